//! Comments: those inside functions, and the beginnings of those that document items.

use super::source_file::SourceFile;

/// Beginnings of doc comments that cannot be understood where rustdoc and editors show them alone.
const BAD_BEGINNINGS: [&str; 16] = [
    "The same", "Likewise", "That ", "Those ", "Who ", "Whom ", "Whose ", "What ", "Which ", "By what",
    "By which", "So many", "So much", "As many", "It ", "They ",
];

impl SourceFile {
    /// Returns whether a line holds a comment and nothing else.
    pub fn is_comment_line(&self, line: usize) -> bool {
        let comment = self.comments.get(line).map_or("", |text| text.trim());
        !comment.is_empty() && self.lines[line].trim() == comment
    }

    /// Returns whether a line is blank.
    pub fn is_blank_line(&self, line: usize) -> bool {
        self.lines.get(line).is_none_or(|text| text.trim().is_empty())
    }

    /// Returns the lines on which a doc comment (`///`) begins, with its text.
    pub fn doc_beginnings(&self) -> Vec<(usize, &str)> {
        let mut found = Vec::new();
        let mut is_inside = false;

        for (line, comment) in self.comments.iter().enumerate() {
            let text = comment.trim().strip_prefix("///");
            if let (Some(text), false) = (text, is_inside) {
                found.push((line, text.trim()));
            }
            is_inside = text.is_some();
        }

        found
    }
}

/// Returns whether a doc comment begins in a way that only its neighbours explain.
pub(super) fn begins_badly(text: &str) -> bool {
    BAD_BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
}
