//! Functions: where they begin and end, and what they take.

use super::source_file::SourceFile;
use super::tokens::{SourceToken, matching};

/// A function with a body.
#[derive(Debug, Clone)]
pub struct FunctionSpan {
    /// The name.
    pub name: String,
    /// The line of `fn`, from 0.
    pub first_line: usize,
    /// The line of the closing brace, from 0.
    pub last_line: usize,
    /// The parameters, `self` included.
    pub parameters: Vec<Parameter>,
    /// Whether it belongs to a test.
    pub is_test: bool,
}

/// A parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The pattern before the colon, its tokens joined by spaces.
    pub pattern: String,
    /// The type, its tokens joined by spaces; empty for `self`.
    pub type_text: String,
}

impl Parameter {
    /// Returns whether a tuple is taken apart: `(start, end): (u64, u64)`.
    pub fn is_tuple(&self) -> bool {
        self.pattern.starts_with('(') || self.pattern.starts_with("& (")
    }

    /// Returns whether the type is `bool`.
    pub fn is_bool(&self) -> bool {
        matches!(self.type_text.as_str(), "bool" | "& bool" | "& mut bool")
    }
}

impl FunctionSpan {
    /// Returns how many lines there are from `fn` to the closing brace.
    pub fn line_count(&self) -> usize {
        self.last_line + 1 - self.first_line
    }

    /// Returns the lines of the body, those of its braces aside.
    pub fn inner_lines(&self) -> std::ops::Range<usize> {
        self.first_line + 1..self.last_line.max(self.first_line + 1)
    }
}

impl SourceFile {
    /// Returns the functions of the file that have a body, also those inside others.
    pub fn functions(&self) -> Vec<FunctionSpan> {
        (0..self.tokens.len()).filter_map(|index| self.function_at(index)).collect()
    }

    fn function_at(&self, index: usize) -> Option<FunctionSpan> {
        let name = self.tokens.get(index + 1)?;
        if !self.tokens[index].is("fn") || !name.is_word() {
            return None;
        }

        // A type `fn(..)` has no name and was left above.
        let open = skip_generics(&self.tokens, index + 2);
        if self.text(open) != "(" {
            return None;
        }
        let close = matching(&self.tokens, open);
        let body = self.body_after(close + 1)?;
        let last = self.tokens.get(matching(&self.tokens, body))?;

        Some(FunctionSpan {
            name: name.text.clone(),
            first_line: self.tokens[index].line,
            last_line: last.line,
            parameters: parameters(&self.tokens[open + 1..close]),
            is_test: self.is_test[index],
        })
    }

    /// Returns the index of the brace that opens the body, or `None` for a declaration.
    fn body_after(&self, mut index: usize) -> Option<usize> {
        loop {
            match self.tokens.get(index)?.text.as_str() {
                "{" => return Some(index),
                ";" | "}" => return None,
                "(" | "[" => index = matching(&self.tokens, index),
                _ => {}
            }
            index += 1;
        }
    }
}

/// Returns the index behind `<…>`, if that stands at `index`.
fn skip_generics(tokens: &[SourceToken], index: usize) -> usize {
    if !tokens.get(index).is_some_and(|token| token.is("<")) {
        return index;
    }

    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(index) {
        match token.text.as_str() {
            "<" => depth += 1,
            ">" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }

    tokens.len()
}

/// Splits what stands between the parentheses of a function.
fn parameters(tokens: &[SourceToken]) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    let (mut depth, mut start) = (0usize, 0);

    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" | "<" => depth += 1,
            ")" | "]" | "}" | ">" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                parameters.extend(parameter(&tokens[start..index]));
                start = index + 1;
            }
            _ => {}
        }
    }
    parameters.extend(parameter(&tokens[start..]));

    parameters
}

fn parameter(tokens: &[SourceToken]) -> Option<Parameter> {
    if tokens.is_empty() {
        return None;
    }
    let colon = tokens.iter().position(|token| token.is(":")).unwrap_or(tokens.len());
    let behind = (colon + 1).min(tokens.len());
    Some(Parameter { pattern: joined(&tokens[..colon]), type_text: joined(&tokens[behind..]) })
}

/// Returns the texts of tokens with spaces between them.
fn joined(tokens: &[SourceToken]) -> String {
    let texts: Vec<_> = tokens.iter().map(|token| token.text.as_str()).collect();
    texts.join(" ")
}
