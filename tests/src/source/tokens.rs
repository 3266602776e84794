//! Words and punctuation of a blanked text.

/// A word, a lifetime, or one character of punctuation (`::`, `->` and `=>` count as one).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceToken {
    /// The text of the token.
    pub text: String,
    /// The line that it stands on, from 0.
    pub line: usize,
}

impl SourceToken {
    /// Splits code without comments into tokens.
    pub fn all(code: &str) -> Vec<Self> {
        let mut tokens = Vec::new();

        for (line, text) in code.lines().enumerate() {
            let mut rest = text.trim_start();
            while !rest.is_empty() {
                let length = token_length(rest);
                tokens.push(SourceToken { text: rest[..length].to_owned(), line });
                rest = rest[length..].trim_start();
            }
        }

        tokens
    }

    /// Returns whether the token is this text.
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// Returns whether the token is an identifier or a keyword.
    pub fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

/// Returns the length in bytes of the token at the beginning of a text that is not empty.
fn token_length(text: &str) -> usize {
    match word_length(text) {
        0 if ["::", "->", "=>"].iter().any(|pair| text.starts_with(pair)) => 2,
        0 if text.starts_with('\'') => 1 + word_length(&text[1..]),
        0 => text.chars().next().map_or(1, char::len_utf8),
        length => length,
    }
}

fn word_length(text: &str) -> usize {
    text.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(text.len())
}

/// Returns the index of the bracket that closes the one at `open`, or the number of tokens if none does.
///
/// Angle brackets are no brackets here: they mean other things as well.
pub fn matching(tokens: &[SourceToken], open: usize) -> usize {
    let mut depth = 0usize;

    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return index;
        }
    }

    tokens.len()
}
