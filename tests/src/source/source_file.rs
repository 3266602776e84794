//! One source file with its tokens, and which of them are tests.

use super::blank::BlankedSource;
use super::tokens::{SourceToken, matching};
use std::path::PathBuf;

/// A source file, split into tokens.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path below the root of the tree.
    pub path: PathBuf,
    /// The lines of the text.
    pub lines: Vec<String>,
    /// The lines of the text in which everything but comments is blank.
    pub comments: Vec<String>,
    /// The tokens of the code.
    pub tokens: Vec<SourceToken>,
    /// For every token, whether it belongs to an item under `#[cfg(test)]` or `#[test]`.
    pub is_test: Vec<bool>,
}

/// A definition of a `struct`, `enum`, `union`, `trait` or `type`; associated types are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeDefinition {
    /// The name.
    pub name: String,
    /// The line, from 0.
    pub line: usize,
    /// Whether it belongs to a test.
    pub is_test: bool,
}

impl SourceFile {
    /// Reads the text of a file.
    pub fn parse(path: PathBuf, text: &str) -> Self {
        let blanked = BlankedSource::new(text);
        let tokens = SourceToken::all(&blanked.code);
        let is_test = tests(&tokens);

        Self {
            path,
            lines: text.lines().map(str::to_owned).collect(),
            comments: blanked.comments.lines().map(str::to_owned).collect(),
            tokens,
            is_test,
        }
    }

    /// Marks the whole file as a test, because its `mod` declaration is under `#[cfg(test)]`.
    pub fn mark_as_test(&mut self) {
        self.is_test.fill(true);
    }

    /// Returns whether nothing in the file is outside of tests.
    pub fn is_only_test(&self) -> bool {
        !self.is_test.is_empty() && self.is_test.iter().all(|is_test| *is_test)
    }

    /// Returns for every line whether it belongs to a test, comments between its tokens included.
    pub fn test_lines(&self) -> Vec<bool> {
        if self.is_only_test() {
            return vec![true; self.lines.len()];
        }

        let mut marked = vec![false; self.lines.len()];
        let mut tokens = self.tokens.iter().zip(&self.is_test).peekable();

        // A run of tokens of tests marks all lines from its first to its last.
        while let Some((first, is_test)) = tokens.next() {
            if *is_test {
                let mut last = first.line;
                while let Some((token, true)) = tokens.peek() {
                    last = token.line;
                    tokens.next();
                }
                marked[first.line..=last].fill(true);
            }
        }

        marked
    }

    /// Returns the types that the file defines, also those inside functions.
    pub fn types(&self) -> Vec<TypeDefinition> {
        let mut found = Vec::new();
        let mut associated_until = 0;

        for (index, token) in self.tokens.iter().enumerate() {
            // What stands between the braces of an `impl` or a `trait` are associated types.
            if matches!(token.text.as_str(), "impl" | "trait")
                && index >= associated_until
                && self.begins_item(index)
            {
                let open = (index..self.tokens.len()).find(|at| matches!(self.text(*at), "{" | ";"));
                associated_until = open.map_or(index, |open| matching(&self.tokens, open));
            }

            let defines = match token.text.as_str() {
                "struct" | "enum" | "trait" => true,
                // A weak keyword.
                "union" => self.tokens.get(index + 2).is_some_and(|next| next.is("{") || next.is("<")),
                "type" => index >= associated_until,
                _ => false,
            };
            if let (true, Some(name)) = (defines, self.tokens.get(index + 1))
                && name.is_word()
            {
                found.push(TypeDefinition {
                    name: name.text.clone(),
                    line: name.line,
                    is_test: self.is_test[index],
                });
            }
        }

        found
    }

    /// Returns the text of a token, or nothing beyond the end.
    pub(super) fn text(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| token.text.as_str())
    }

    /// Returns whether the token is the first of an item, its visibility and `unsafe` aside: `impl` is a type
    /// elsewhere.
    fn begins_item(&self, index: usize) -> bool {
        let before = index.checked_sub(1).map_or("", |before| self.text(before));
        matches!(before, "" | "}" | ";" | "]" | "{" | ")" | "pub" | "unsafe" | "default" | "auto")
    }
}

/// Returns for every token whether it belongs to a test.
fn tests(tokens: &[SourceToken]) -> Vec<bool> {
    let mut marked = vec![false; tokens.len()];

    for (index, token) in tokens.iter().enumerate() {
        if !token.is("#") || marked[index] {
            continue;
        }
        let (inner, open) =
            if next_is(tokens, index + 1, "!") { (true, index + 2) } else { (false, index + 1) };
        if !next_is(tokens, open, "[") {
            continue;
        }
        let close = matching(tokens, open);
        if is_test_attribute(&tokens[open + 1..close.min(tokens.len())]) {
            // `#![cfg(test)]` is about the whole file.
            if inner {
                marked.fill(true);
                return marked;
            }
            let end = item_end(tokens, close + 1);
            marked[index..end.min(tokens.len())].fill(true);
        }
    }

    marked
}

fn next_is(tokens: &[SourceToken], index: usize, text: &str) -> bool {
    tokens.get(index).is_some_and(|token| token.is(text))
}

/// Returns whether `#[…]` says `test`, `tokio::test`, `cfg(test)` or `cfg(all(test, …))`.
fn is_test_attribute(attribute: &[SourceToken]) -> bool {
    let words: Vec<_> = attribute.iter().map(|token| token.text.as_str()).collect();

    matches!(
        words.as_slice(),
        ["cfg", "(", "test", ")"]
            | ["cfg", "(", "all", "(", "test", ..]
            | ["test"]
            | [.., "::", "test"]
            | [_, "::", "test", "(", ..]
    )
}

/// Returns the index behind the item that begins at `start`, perhaps with more attributes.
fn item_end(tokens: &[SourceToken], mut start: usize) -> usize {
    while next_is(tokens, start, "#") {
        start = matching(tokens, start + 1) + 1;
    }
    let ends_with_semicolon = ends_with_semicolon(&tokens[start.min(tokens.len())..]);

    let mut index = start;
    while let Some(token) = tokens.get(index) {
        match token.text.as_str() {
            "(" | "[" => index = matching(tokens, index),
            "{" => {
                index = matching(tokens, index);
                if !ends_with_semicolon {
                    return index + 1;
                }
            }
            ";" | "," => return index + 1,
            // The end of what encloses it: a field or an arm without a comma.
            "}" | ")" | "]" => return index,
            _ => {}
        }
        index += 1;
    }

    index
}

/// Returns whether braces in the item that begins here do not end it.
fn ends_with_semicolon(tokens: &[SourceToken]) -> bool {
    let mut words = tokens
        .iter()
        .filter(|token| token.is_word())
        .map(|token| token.text.as_str())
        .skip_while(|word| matches!(*word, "pub" | "crate" | "super" | "in" | "self"));

    match words.next() {
        Some("use" | "static" | "type" | "let") => true,
        Some("const") => !matches!(words.next(), Some("fn" | "unsafe" | "extern" | "async")),
        _ => false,
    }
}
