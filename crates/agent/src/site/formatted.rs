//! Text of a bounded length from a value's `Display` or `Debug`.
//!
//! The text is written into a buffer on the stack. When the buffer is full, the writer fails, which ends the
//! formatting: a huge value costs no more than the part of it that is exported.

use pivot_advice::Value;
use std::fmt::{self, Write};

/// The most bytes of formatted text that a field exports. Longer text is cut and ends in `…`.
pub const MAX_FORMATTED_BYTES: usize = 512;

/// The mark at the end of text that was cut.
const CUT: &str = "…";

/// Returns the formatted text as a value, cut if it is too long.
#[doc(hidden)]
pub fn formatted(arguments: fmt::Arguments<'_>) -> Value {
    with_text(arguments, |text| Value::str(text))
}

/// Formats on the stack, and returns what `see` makes of the text.
pub(crate) fn with_text<R>(arguments: fmt::Arguments<'_>, see: impl FnOnce(&str) -> R) -> R {
    // A literal without arguments is its own text.
    if let Some(text) = arguments.as_str().filter(|text| text.len() <= MAX_FORMATTED_BYTES) {
        return see(text);
    }

    let mut text = BoundedText { buffer: [0; MAX_FORMATTED_BYTES], length: 0 };
    // An error means that it is full, or that there is no more text.
    let _ = text.write_fmt(arguments);
    let bytes = text.buffer.get(..text.length).unwrap_or_default();
    see(std::str::from_utf8(bytes).unwrap_or_default())
}

/// A buffer for text that refuses what does not fit.
struct BoundedText {
    buffer: [u8; MAX_FORMATTED_BYTES],
    length: usize,
}

impl BoundedText {
    /// Appends text, or nothing if it does not fit.
    fn push(&mut self, text: &str) {
        if let Some(free) = self.buffer.get_mut(self.length..self.length + text.len()) {
            free.copy_from_slice(text.as_bytes());
            self.length += text.len();
        }
    }

    /// Replaces as many characters at the end by the mark as it needs room.
    fn cut(&mut self) {
        let text = self.buffer.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let room = MAX_FORMATTED_BYTES - CUT.len();
        self.length = text.map_or(0, |text| text.floor_char_boundary(room.min(text.len())));
        self.push(CUT);
    }
}

impl Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_FORMATTED_BYTES - self.length;
        if text.len() <= room {
            self.push(text);
            return Ok(());
        }
        self.push(&text[..text.floor_char_boundary(room)]);
        self.cut();
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(formatted(format_args!("{text}{}", "")), Value::str(expected));
    }

    #[test]
    fn text_that_fits_is_kept_and_longer_text_is_cut_between_characters() {
        check("short", "short");
        check(&"x".repeat(MAX_FORMATTED_BYTES), &"x".repeat(MAX_FORMATTED_BYTES));
        check(&"x".repeat(MAX_FORMATTED_BYTES + 1), &("x".repeat(MAX_FORMATTED_BYTES - 3) + "…"));
        check(&"ß".repeat(MAX_FORMATTED_BYTES), &("ß".repeat(MAX_FORMATTED_BYTES / 2 - 2) + "…"));
    }

    #[test]
    fn formatting_stops_when_the_text_is_full() {
        struct Endless<'a>(&'a std::cell::Cell<usize>);
        impl fmt::Display for Endless<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("many words ")?;
                    self.0.set(self.0.get() + 1);
                }
            }
        }
        let written = std::cell::Cell::new(0);
        let value = formatted(format_args!("{}", Endless(&written)));
        assert!(value.to_string().ends_with('…'));
        assert!(written.get() <= MAX_FORMATTED_BYTES);
    }
}
