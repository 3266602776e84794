//! Golden files as sections. Headings stand alone on their line.

use std::fmt;

/// Headings of the part that a person writes.
const WRITTEN: [&str; 5] = ["tracepoints", "queries", "options", "query", "run"];

/// A golden file.
#[derive(Debug)]
pub struct GoldenFile {
    /// Everything above the first `----`, as it is.
    pub written: String,
    sections: Vec<(String, String)>,
}

/// One section of the part that the machine writes.
#[derive(Debug)]
pub struct GoldenSection {
    name: &'static str,
    text: String,
}

impl GoldenFile {
    /// Takes the file apart; what stands before the first heading is a description.
    pub fn parse(text: &str) -> GoldenFile {
        let end = text.find("\n----").map_or(text.len(), |end| end + 1);
        let written = format!("{}\n\n", text[..end].trim_end());

        let mut sections: Vec<(String, String)> = Vec::new();
        // What stands before the first heading belongs to none: a description.
        for line in written.lines() {
            if WRITTEN.contains(&line) {
                sections.push((line.to_owned(), String::new()));
            } else if let Some((_, text)) = sections.last_mut() {
                text.push_str(line);
                text.push('\n');
            }
        }

        GoldenFile { written, sections }
    }

    /// The text of a section without blank lines around it; empty if there is none.
    pub fn section(&self, name: &str) -> &str {
        let found = self.sections.iter().find(|(heading, _)| heading == name);
        found.map_or("", |(_, text)| text.trim())
    }
}

impl GoldenSection {
    /// A section of that name.
    pub fn new(name: &'static str, text: String) -> GoldenSection {
        GoldenSection { name, text }
    }
}

impl fmt::Display for GoldenSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "---- {}\n{}", self.name, self.text.trim_end())
    }
}
