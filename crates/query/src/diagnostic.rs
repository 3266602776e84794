//! Diagnostics: what is wrong with a query, and where.
//!
//! Spans are byte offsets into the query text, never character offsets.

use ariadne::{Config, IndexType, Label, Report, ReportKind, Source};
use std::fmt;
use std::ops::Range;

/// The most diagnostics that are kept for one text; garbage yields no more.
const MAX_DIAGNOSTICS: usize = 64;

/// A longer text is not drawn: carets under a line of a megabyte help nobody, and take long.
const MAX_DRAWN: usize = 1 << 16;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The query does not compile.
    Error,
    /// The query compiles, and may not do what was meant.
    Warning,
}

/// Whether rendered diagnostics carry terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Color {
    /// Plain text.
    Never,
    /// ANSI escapes.
    Always,
}

/// A piece of a query text, and what to write instead of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextEdit {
    /// The bytes of the text that go; none if something is only inserted there.
    pub span: Range<usize>,
    /// The text that comes there; empty if something is only left out.
    pub replacement: String,
}

/// One finding about a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The severity of the finding.
    pub severity: Severity,
    /// The bytes of the query text that it is about.
    pub span: Range<usize>,
    /// The message, which names the object.
    pub message: String,
    /// The text under the caret; may be empty.
    pub detail: String,
    /// The hint: what to write instead, where that is known.
    pub hint: Option<String>,
    /// The hint as edits of the text; empty if it cannot be put that way.
    pub edits: Vec<TextEdit>,
    /// The whole query as the edits of all findings make it. It compiles; `None` if there is no such query,
    /// or another finding has it.
    pub corrected: Option<String>,
}

impl TextEdit {
    /// Returns the edit that puts other text in the place of a span.
    pub(crate) fn new(span: impl Into<Range<usize>>, replacement: impl Into<String>) -> TextEdit {
        TextEdit { span: span.into(), replacement: replacement.into() }
    }
}

impl Diagnostic {
    /// Returns an error without detail and hint.
    pub fn error(span: impl Into<Range<usize>>, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            span: span.into(),
            message: message.into(),
            detail: String::new(),
            hint: None,
            edits: Vec::new(),
            corrected: None,
        }
    }

    /// Returns a warning without detail and hint.
    pub fn warning(span: impl Into<Range<usize>>, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(span, message) }
    }

    /// Returns the finding with a text under the caret.
    pub fn detail(self, detail: impl Into<String>) -> Diagnostic {
        Diagnostic { detail: detail.into(), ..self }
    }

    /// Returns the finding with a hint.
    pub fn hint(self, hint: impl Into<String>) -> Diagnostic {
        Diagnostic { hint: Some(hint.into()), ..self }
    }

    /// Returns the finding with one more edit of the text, which does what the hint says.
    pub(crate) fn edit(
        mut self,
        span: impl Into<Range<usize>>,
        replacement: impl Into<String>,
    ) -> Diagnostic {
        self.edits.push(TextEdit::new(span, replacement));
        self
    }

    /// Returns the finding with a suggestion of what to write at a place, if there is one.
    pub(crate) fn suggest_at(self, span: impl Into<Range<usize>>, found: Option<String>) -> Diagnostic {
        match found {
            Some(name) => self.edit(span, name.clone()).suggest(Some(name)),
            None => self,
        }
    }

    /// Returns the finding with a suggestion, if there is one.
    pub(crate) fn suggest(self, found: Option<String>) -> Diagnostic {
        match found {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None => self,
        }
    }
}

/// All findings about a query, in the order of the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds a finding; the same finding counts once.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.list.len() < MAX_DIAGNOSTICS && !self.list.contains(&diagnostic) {
            self.list.push(diagnostic);
        }
    }

    /// Adds all findings of another list.
    pub fn extend(&mut self, others: Diagnostics) {
        others.list.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    /// Returns whether an error is among them.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Returns whether further findings are not kept.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MAX_DIAGNOSTICS
    }

    /// Returns whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns the findings.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Returns the findings, to be changed.
    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Diagnostic> {
        self.list.iter_mut()
    }

    /// Returns the findings in the order of the text, errors before warnings at one place.
    pub(crate) fn sorted(mut self) -> Diagnostics {
        self.list.sort_by_key(|d| (d.span.start, d.severity == Severity::Warning, d.span.end));
        self
    }

    /// Renders the findings with carets under the text. `name` is shown as the origin of the text.
    pub fn render(&self, text: &str, name: &str, color: Color) -> String {
        if text.len() > MAX_DRAWN {
            return self.list.iter().map(|diagnostic| diagnostic.line(text, name)).collect();
        }

        let mut cache = (name, Source::from(text));
        let mut out = Vec::new();
        for diagnostic in &self.list {
            // Writing to a Vec does not fail.
            let _ = diagnostic.report(text, name, color).write(&mut cache, &mut out);
        }

        // Ariadne fills lines with blanks; golden files and terminals need none.
        let rendered = String::from_utf8_lossy(&out);
        rendered.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Diagnostics {
        Diagnostics { list: vec![diagnostic] }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.list.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { "; " }, diagnostic.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl Diagnostic {
    /// Renders the finding on one line, without the text.
    fn line(&self, text: &str, name: &str) -> String {
        let kind = if self.severity == Severity::Error { "Error" } else { "Warning" };
        let before = &text[..within(&self.span, text).start];
        let row = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        let detail = if self.detail.is_empty() { String::new() } else { format!(": {}", self.detail) };
        let hint = self.hint.as_ref().map_or(String::new(), |hint| format!("; {hint}"));
        let corrected = self.corrected.as_ref().map_or(String::new(), |text| format!("; write: {text}"));
        format!("{kind}: {} ({name}:{row}:{column}){detail}{hint}{corrected}\n", self.message)
    }

    fn report<'a>(
        &self,
        text: &str,
        name: &'a str,
        color: Color,
    ) -> Report<'static, (&'a str, Range<usize>)> {
        let kind = match self.severity {
            Severity::Error => ReportKind::Error,
            Severity::Warning => ReportKind::Warning,
        };
        // A span that is not inside of the text would make Ariadne panic.
        let span = (name, within(&self.span, text));
        let config = Config::new()
            .with_index_type(IndexType::Byte)
            .with_color(color == Color::Always)
            .with_compact(false);

        let detail = if self.detail.is_empty() { "here" } else { &self.detail };
        let report = Report::build(kind, span.clone())
            .with_config(config)
            .with_message(&self.message)
            .with_label(Label::new(span).with_message(detail));
        let report = match &self.hint {
            Some(hint) => report.with_help(hint),
            None => report,
        };
        match &self.corrected {
            Some(text) => report.with_note(format!("write\n{text}")).finish(),
            None => report.finish(),
        }
    }
}

/// Returns the span cut to the text and to whole characters, so that drawing it cannot go wrong.
fn within(span: &Range<usize>, text: &str) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    start..end
}
