//! Findings about a query, drawn so that they fit the terminal: a line that is too long is shown
//! around the place, and what stands under the caret moves to a line of its own.

use crate::table::{Paint, TextStyle};
use crate::text::{cut, width, wrap};
use pivot_query::{Diagnostic, Diagnostics, Severity};
use std::ops::Range;
use unicode_width::UnicodeWidthChar;

/// Columns of text that are kept before the place if a line is cut.
const BEFORE: usize = 20;

/// Less is not drawn into, however narrow the terminal is.
const LEAST: usize = 20;

/// All findings with carets under the text, none of their lines wider than `columns`.
pub(crate) fn render(
    found: &Diagnostics,
    text: &str,
    origin: &str,
    columns: usize,
    paint: Paint,
) -> Vec<String> {
    let columns = columns.max(LEAST);
    found.iter().flat_map(|diagnostic| one(diagnostic, text, origin, columns, paint)).collect()
}

fn one(found: &Diagnostic, text: &str, origin: &str, columns: usize, paint: Paint) -> Vec<String> {
    let place = MarkedLine::find(&found.span, text);
    let gutter = " ".repeat(place.row.to_string().len());
    let rule = |sign: &str| paint.style(TextStyle::Quiet, &format!("{gutter} {sign}"));
    let (kind, style) = match found.severity {
        Severity::Error => ("error", TextStyle::Error),
        Severity::Warning => ("warning", TextStyle::Warning),
    };
    let mut lines: Vec<String> = wrap(&format!("{kind}: {}", found.message), columns)
        .into_iter()
        .map(|line| paint.style(style, &line))
        .collect();
    let at = format!("{gutter} ╭─ {origin}:{}:{}", place.row, place.column);
    lines.push(paint.style(TextStyle::Quiet, &cut(&at, columns)));
    let available = columns - gutter.len() - 3;
    let (shown, before, marked) = place.window(available);
    lines.push(format!("{} {shown}", paint.style(TextStyle::Quiet, &format!("{} │", place.row))));
    let carets = paint.style(style, &"^".repeat(marked));
    let caret_line = format!("{} {}{carets}", rule("│"), " ".repeat(before));
    if before + marked + 1 + width(&found.detail) <= available {
        let detail = paint.style(style, &found.detail);
        lines.push(format!("{caret_line} {detail}").trim_end().to_owned());
    } else {
        lines.push(caret_line);
        let details = wrap(&found.detail, available);
        lines.extend(details.iter().map(|line| format!("{} {}", rule("│"), paint.style(style, line))));
    }
    for (i, line) in found.hint.iter().flat_map(|hint| wrap(hint, available.saturating_sub(6))).enumerate() {
        let lead = if i == 0 { "help: " } else { "      " };
        lines.push(format!("{} {}{line}", rule("╰"), paint.style(TextStyle::Accent, lead)));
    }
    lines.push(String::new());
    lines
}

/// Where a finding is in a text: its line, and what of the line is meant.
struct MarkedLine<'a> {
    /// From 1.
    row: usize,
    /// From 1, in characters.
    column: usize,
    line: &'a str,
    /// In bytes of the line.
    span: Range<usize>,
}

impl<'a> MarkedLine<'a> {
    fn find(span: &Range<usize>, text: &'a str) -> MarkedLine<'a> {
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
        let begins = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let ends = text[start..].find('\n').map_or(text.len(), |at| start + at);
        MarkedLine {
            row: text[..begins].matches('\n').count() + 1,
            column: text[begins..start].chars().count() + 1,
            line: &text[begins..ends],
            span: start - begins..end.min(ends) - begins,
        }
    }

    /// The line in at most so many columns, the columns before the marked part, and the columns of it.
    fn window(&self, available: usize) -> (String, usize, usize) {
        let line: Vec<char> = self.line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = self.line[..self.span.start].chars().count();
        let marked = self.line[self.span.clone()].chars().count();
        let all = columns(&line);
        if all <= available {
            return (
                line.iter().collect(),
                columns(&line[..before]),
                columns(&line[before..][..marked]).max(1),
            );
        }
        let mut from = before.saturating_sub(BEFORE.min(available / 3));
        // A place at the end needs no more room behind it than its caret.
        while from > 0 && columns(&line[from - 1..]) + 2 <= available {
            from -= 1;
        }
        let head = if from > 0 { "…" } else { "" };
        let rest: String = line[from..].iter().collect();
        let shown = format!("{head}{}", cut(&rest, available - width(head)));
        let at = columns(&line[from..before]) + width(head);
        let marked = columns(&line[before..][..marked]).min(available.saturating_sub(at)).max(1);
        (shown, at, marked)
    }
}

fn columns(text: &[char]) -> usize {
    text.iter().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, span: Range<usize>, columns: usize, expected: &[&str]) {
        let found = Diagnostic::error(span, "unknown field `foo`")
            .detail("`Store.read` does not export it")
            .hint("did you mean `food`?");
        let lines = render(&found.into(), text, "q", columns, Paint::Plain);
        assert_eq!(lines, expected);
        assert!(lines.iter().all(|line| width(line) <= columns.max(LEAST)), "{lines:#?}");
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
                    let lines = render(&found, text, "q", columns, Paint::Plain);
                    assert!(lines.iter().all(|line| width(line) <= columns.max(LEAST)), "{lines:#?}");
                }
            }
        }
    }
}
