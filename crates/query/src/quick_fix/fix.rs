//! One quick fix: what to write instead of what stands somewhere.

use super::written_query::WrittenQuery;
use crate::diagnostic::TextEdit;
use std::ops::Range;

/// A part of the message about a column that is no key.
pub(super) const NOT_GROUPED: &str = "neither grouped nor aggregated";

/// What to say about a diagnostic at a place, and what to write there instead.
pub(super) struct QuickFix {
    /// The bytes that it is about. It is used only if a diagnostic is about some of them.
    pub(super) span: Range<usize>,
    /// A part of the message of the diagnostics that it is for; empty if it is for any.
    pub(super) about: &'static str,
    /// Empty if the diagnostic says it already.
    pub(super) hint: String,
    /// Empty if nothing can be written without knowing more.
    pub(super) edits: Vec<TextEdit>,
}

impl QuickFix {
    /// Returns the fix that writes something else in the place of some tokens.
    pub(super) fn new(
        query: &WrittenQuery<'_>,
        tokens: Range<usize>,
        replacement: impl Into<String>,
        hint: impl Into<String>,
    ) -> QuickFix {
        let span = query.span(tokens);
        QuickFix { edits: vec![TextEdit::new(span.clone(), replacement)], span, about: "", hint: hint.into() }
    }

    /// Returns the fix that only says what to do about some tokens.
    pub(super) fn only_hint(
        query: &WrittenQuery<'_>,
        tokens: Range<usize>,
        hint: impl Into<String>,
    ) -> QuickFix {
        QuickFix { span: query.span(tokens), about: "", hint: hint.into(), edits: Vec::new() }
    }

    /// Returns the fix that makes several edits.
    pub(super) fn of_edits(span: Range<usize>, hint: impl Into<String>, edits: Vec<TextEdit>) -> QuickFix {
        QuickFix { span, about: "", hint: hint.into(), edits }
    }
}
