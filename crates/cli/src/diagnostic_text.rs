//! Diagnostics of a query as text that fits the terminal:
//!
//! ```text
//! error: unknown field `foo`
//!   ╭─ q.pivot:1:48
//! 1 │ …host = 'a' SELECT e.foo, COUNT                  a long line is shown around the span
//!   │                    ^^^^^
//!   │ `Store.read` does not export it                  the detail, here if it does not fit beside the carets
//!   ╰ help: did you mean `food`?
//!
//!     FROM r IN Store.read SELECT r.food             the whole query, as it would compile
//! ```

use crate::table::{StyleMode, TextRole};
use crate::terminal_text::{cut, escaped, width, wrap};
use pivot_query::{Diagnostic, Diagnostics, Severity};
use std::ops::Range;
use unicode_width::UnicodeWidthChar;

/// How many characters before the span are kept if a line is cut.
const KEPT_BEFORE: usize = 20;

/// The least width that is drawn for, however narrow the terminal is.
const LEAST_COLUMNS: usize = 20;

/// Returns all diagnostics with carets under the text, no line wider than `columns`.
pub(crate) fn render(
    found: &Diagnostics,
    text: &str,
    origin: &str,
    columns: usize,
    paint: StyleMode,
) -> Vec<String> {
    let columns = columns.max(LEAST_COLUMNS);
    found.iter().flat_map(|diagnostic| render_one(diagnostic, text, origin, columns, paint)).collect()
}

fn render_one(found: &Diagnostic, text: &str, origin: &str, columns: usize, paint: StyleMode) -> Vec<String> {
    let marked = MarkedLine::find(&found.span, text);
    let (kind, style) = match found.severity {
        Severity::Error => ("error", TextRole::Error),
        Severity::Warning => ("warning", TextRole::Warning),
    };

    let message = wrap(&format!("{kind}: {}", found.message), columns);
    let mut lines: Vec<String> = message.iter().map(|line| paint.style(style, line)).collect();

    // Left of everything below stands a gutter as wide as the number of the line.
    let gutter = " ".repeat(marked.number.to_string().len());
    let location = format!("{gutter} ╭─ {origin}:{}:{}", marked.number, marked.column);
    lines.push(paint.style(TextRole::Quiet, &cut(&location, columns)));

    let available = columns - gutter.len() - 3;
    let excerpt = marked.excerpt(available);
    let number = paint.style(TextRole::Quiet, &format!("{} │", marked.number));
    lines.push(format!("{number} {}", excerpt.text));

    // The detail stands beside the carets if there is room, else below them.
    let side = paint.style(TextRole::Quiet, &format!("{gutter} │"));
    let carets = paint.style(style, &"^".repeat(excerpt.caret_width));
    let caret_line = format!("{side} {}{carets}", " ".repeat(excerpt.caret_column));
    if excerpt.caret_column + excerpt.caret_width + 1 + width(&found.detail) <= available {
        let detail = paint.style(style, &found.detail);
        lines.push(format!("{caret_line} {detail}").trim_end().to_owned());
    } else {
        lines.push(caret_line);
        let details = wrap(&found.detail, available);
        lines.extend(details.iter().map(|line| format!("{side} {}", paint.style(style, line))));
    }

    let corner = paint.style(TextRole::Quiet, &format!("{gutter} ╰"));
    let hint = found.hint.iter().flat_map(|hint| wrap(hint, available.saturating_sub(6)));
    for (i, line) in hint.enumerate() {
        let label = if i == 0 { "help: " } else { "      " };
        lines.push(format!("{corner} {}{line}", paint.style(TextRole::Accent, label)));
    }

    lines.push(String::new());
    if let Some(corrected) = &found.corrected {
        lines.extend(corrected_query(corrected));
    }
    lines
}

/// Returns the corrected query with nothing around it but blanks, so that it can be copied; it is not cut either.
fn corrected_query(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| format!("    {}", escaped(&line.replace('\t', "  "))));
    lines.chain([String::new()]).collect()
}

/// The line of a text in which a span begins.
struct MarkedLine<'a> {
    /// The number of the line, from 1.
    number: usize,
    /// Where the span begins in the line, in characters from 1.
    column: usize,
    line: &'a str,
    /// The part of the span that is in this line, in bytes of the line.
    span: Range<usize>,
}

/// As much of a line as fits, with the place for the carets below it.
struct LineExcerpt {
    text: String,
    /// Columns before the first caret.
    caret_column: usize,
    /// Number of carets, at least one.
    caret_width: usize,
}

impl<'a> MarkedLine<'a> {
    /// Finds the line of any span, also of one that is outside the text or within a character.
    fn find(span: &Range<usize>, text: &'a str) -> MarkedLine<'a> {
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);

        MarkedLine {
            number: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            line: &text[line_start..line_end],
            span: start - line_start..end.min(line_end) - line_start,
        }
    }

    /// Returns the part of the line around the span, in at most so many columns.
    fn excerpt(&self, available: usize) -> LineExcerpt {
        // A tab would move the carets, so control characters are drawn as blanks.
        let line: Vec<char> = self.line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = self.line[..self.span.start].chars().count();
        let marked = self.line[self.span.clone()].chars().count();
        let marked_width = chars_width(&line[before..][..marked]);

        if chars_width(&line) <= available {
            return LineExcerpt {
                text: line.iter().collect(),
                caret_column: chars_width(&line[..before]),
                caret_width: marked_width.max(1),
            };
        }

        let mut from = before.saturating_sub(KEPT_BEFORE.min(available / 3));
        // A span near the end of the line leaves room behind it, which text before it can use.
        while from > 0 && chars_width(&line[from - 1..]) + 2 <= available {
            from -= 1;
        }
        let ellipsis = if from > 0 { "…" } else { "" };
        let rest: String = line[from..].iter().collect();

        let caret_column = chars_width(&line[from..before]) + width(ellipsis);
        LineExcerpt {
            text: format!("{ellipsis}{}", cut(&rest, available - width(ellipsis))),
            caret_column,
            caret_width: marked_width.min(available.saturating_sub(caret_column)).max(1),
        }
    }
}

fn chars_width(text: &[char]) -> usize {
    text.iter().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, span: Range<usize>, columns: usize, expected: &[&str]) {
        let found = Diagnostic::error(span, "unknown field `foo`")
            .detail("`Store.read` does not export it")
            .hint("did you mean `food`?");
        let lines = render(&found.into(), text, "q", columns, StyleMode::Plain);
        assert_eq!(lines, expected);
        assert!(lines.iter().all(|line| width(line) <= columns.max(LEAST_COLUMNS)), "{lines:#?}");
    }

    #[test]
    fn the_caret_stands_under_the_place() {
        check(
            "FROM e IN Store.read\nSELECT e.foo",
            28..33,
            80,
            &[
                "error: unknown field `foo`",
                "  ╭─ q:2:8",
                "2 │ SELECT e.foo",
                "  │        ^^^^^ `Store.read` does not export it",
                "  ╰ help: did you mean `food`?",
                "",
            ],
        );
    }

    #[test]
    fn the_corrected_query_can_be_copied() {
        let found =
            Diagnostic { corrected: Some("FROM e IN a\nSELECT e.b".into()), ..Diagnostic::error(0..1, "m") };
        let lines = render(&found.into(), "x", "q", 80, StyleMode::Plain);
        assert_eq!(lines[lines.len() - 4..], ["", "    FROM e IN a", "    SELECT e.b", ""]);
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        check(
            "FROM e IN Store.read WHERE e.host = 'a' SELECT e.foo, COUNT",
            47..52,
            36,
            &[
                "error: unknown field `foo`",
                "  ╭─ q:1:48",
                "1 │ …host = 'a' SELECT e.foo, COUNT",
                "  │                    ^^^^^",
                "  │ `Store.read` does not export it",
                "  ╰ help: did you mean `food`?",
                "",
            ],
        );
    }

    #[test]
    fn any_place_of_any_text_is_drawn() {
        for text in ["", "\n", "ü\t日本語", "a\nb\n", &"x日".repeat(90)] {
            for start in 0..text.len() + 2 {
                for columns in [0, 20, 21, 40, 200] {
                    let found = Diagnostic::error(start..start + 3, "m").into();
                    let lines = render(&found, text, "q", columns, StyleMode::Plain);
                    assert!(lines.iter().all(|line| width(line) <= columns.max(LEAST_COLUMNS)), "{lines:#?}");
                }
            }
        }
    }
}
