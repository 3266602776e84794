//! Text that fits a terminal and cannot do anything to it.
//!
//! Text that comes from instrumented processes may hold anything. [`escaped`] makes it harmless, so that no value
//! can move the cursor, colour the terminal or reverse the direction of a line. Widths count columns and not
//! characters: `日` takes two.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Returns the text with control characters escaped.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmless(c) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    out
}

/// Returns whether a character is neither a control character nor a mark that changes the direction of text.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns how many columns of a terminal the text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Returns the text in at most so many columns, with `…` where it was cut.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    match columns {
        0 => String::new(),
        columns => format!("{}…", prefix_that_fits(text, columns - 1)),
    }
}

/// Returns the text as escaped lines of at most so many columns, broken at blanks where there are any.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = escaped(word);
        if !line.is_empty() && width(&line) + 1 + width(&word) > columns {
            lines.push(std::mem::take(&mut line));
        }

        // A word that is wider than a line is broken. A line has room for one wide character at least.
        while width(&word) > columns.max(2) {
            let head = prefix_that_fits(&word, columns.max(2)).to_owned();
            word.drain(..head.len());
            lines.push(head);
        }

        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }

    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Returns the longest beginning of the text that fits.
fn prefix_that_fits(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::Value;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(escaped("a\n\x1b[31mb"), "a\\n\\u{1b}[31mb");
        assert_eq!(crate::humanize::value(&Value::str("grün 日本")), "grün 日本");
    }

    #[test]
    fn a_cut_text_fits_also_with_wide_characters() {
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("abcd", 0), "");
    }

    #[test]
    fn lines_are_broken_at_blanks() {
        assert_eq!(wrap("use a number, or COUNT", 12), ["use a", "number, or", "COUNT"]);
        assert_eq!(wrap("a 0123456789", 5), ["a", "01234", "56789"]);
        assert_eq!(wrap("日本語", 3), ["日", "本", "語"]);
        assert!(wrap(" ", 3).is_empty());
    }
}
