//! Closures that are given a name by `let`.

use super::source_file::SourceFile;
use super::tokens::matching;

/// A closure in a `let`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetClosure {
    /// The pattern that it is bound to.
    pub name: String,
    /// The line of the `let`, from 0.
    pub line: usize,
    /// Whether it stands bare behind `let name =`, rather than inside a tuple or a box, or with a type.
    pub is_plain: bool,
    /// Whether it belongs to a test.
    pub is_test: bool,
}

impl SourceFile {
    /// Returns the closures of the file that are bound to a name.
    pub fn closures(&self) -> Vec<LetClosure> {
        (0..self.tokens.len()).filter_map(|index| self.closure_at(index)).collect()
    }

    fn closure_at(&self, index: usize) -> Option<LetClosure> {
        if self.text(index) != "let" {
            return None;
        }

        let equals = self.equals_after(index)?;
        // What stands between `=` and the bars says how it captures.
        let value = self.skip_words(equals + 1, &["move", "async", "static"]);
        let is_closure = self.text(value) == "|";
        let is_wrapped = !is_closure && self.wraps_closure(value);
        if !is_closure && !is_wrapped {
            return None;
        }

        let pattern: Vec<_> =
            (index + 1..equals).map(|at| self.text(at)).filter(|text| *text != "mut").collect();
        let line = self.tokens[index].line;
        Some(LetClosure {
            name: pattern.concat(),
            line,
            is_plain: is_closure && pattern.len() == 1,
            is_test: self.is_test[index],
        })
    }

    /// Returns the index of the `=` of a `let`, or `None` if it has no value.
    fn equals_after(&self, index: usize) -> Option<usize> {
        let mut at = index + 1;
        loop {
            match self.tokens.get(at)?.text.as_str() {
                "=" => return Some(at),
                ";" | "{" | "}" => return None,
                "(" | "[" => at = matching(&self.tokens, at),
                _ => {}
            }
            at += 1;
        }
    }

    /// Returns whether the value is a reference to a closure, a tuple that begins with one, or `Box::new(|..| ..)`.
    fn wraps_closure(&self, value: usize) -> bool {
        let behind_reference = self.skip_words(value, &["&", "mut", "move"]);
        let inside = match self.text(value) {
            "(" => Some(value + 1),
            "Box" | "Arc" | "Rc" if self.text(value + 2) == "new" => Some(value + 4),
            "&" => Some(behind_reference),
            _ => None,
        };

        inside.is_some_and(|inside| self.text(self.skip_words(inside, &["move", "async"])) == "|")
    }

    fn skip_words(&self, mut index: usize, words: &[&str]) -> usize {
        while words.contains(&self.text(index)) {
            index += 1;
        }
        index
    }
}
