//! The whole query as the edits of its diagnostics make it, if that compiles.

use super::fix::QuickFix;
use super::known_fixes::{FixCertainty, quick_fixes};
use super::written_query::WrittenQuery;
use crate::catalog::Catalog;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, TextEdit};

/// How often a mended text is looked at again: a mistake may hide the next one.
const MAX_ROUNDS: usize = 6;

/// A longer text is not mended: nobody reads it in a message.
const MAX_TEXT: usize = 1 << 13;

/// Returns the diagnostics of a text with what is known to be meant, and with the whole query that the edits
/// make, if that compiles. `compile` compiles a text, and gives its warnings or what is wrong.
pub(crate) fn mend(
    text: &str,
    found: Diagnostics,
    catalog: &Catalog,
    compile: impl Fn(&str) -> Result<Diagnostics, Diagnostics>,
) -> Diagnostics {
    if text.len() > MAX_TEXT || found.is_empty() || found.is_full() {
        return found;
    }

    let explained = explained(text, found, catalog, FixCertainty::Certain);
    if let Some(corrected) = corrected(text, &explained, catalog, &compile) {
        return with_corrected(explained, &corrected);
    }
    // What may be right where it stands is changed only if that makes a query of the text.
    if explained.has_errors() {
        let guessed = self::explained(text, explained.clone(), catalog, FixCertainty::Guess);
        if let Some(corrected) = corrected(text, &guessed, catalog, &compile) {
            return with_corrected(guessed, &corrected);
        }
    }
    explained
}

/// Returns the diagnostics with the quick fixes for the places where they are.
fn explained(text: &str, found: Diagnostics, catalog: &Catalog, certainty: FixCertainty) -> Diagnostics {
    let query = WrittenQuery::new(text);
    let mut left: Vec<Option<Diagnostic>> = found.iter().cloned().map(Some).collect();
    let mut fixed = vec![false; left.len()];

    for fix in quick_fixes(&query, catalog, certainty) {
        let about = (0..left.len()).filter(|i| left[*i].as_ref().is_some_and(|wrong| is_about(wrong, &fix)));
        let about: Vec<usize> = about.collect();

        // The narrowest finding says best where the mistake is.
        let narrowest = about.iter().copied().min_by_key(|i| {
            left[*i].as_ref().map(|wrong| (wrong.severity == Severity::Warning, wrong.span.len()))
        });
        let Some(explained) = narrowest else { continue };
        if let Some(wrong) = &mut left[explained] {
            // What is known to be meant is better than the nearest name.
            if !std::mem::replace(&mut fixed[explained], true) && !fix.edits.is_empty() {
                wrong.edits.clear();
            }
            explain(wrong, &fix);
        }

        // Others within what is fixed follow from the mistake.
        for i in about.into_iter().filter(|i| *i != explained) {
            left[i].take_if(|wrong| follows_from_mistake(wrong, &fix));
        }
    }
    let mut list = Diagnostics::default();
    left.into_iter().flatten().for_each(|wrong| list.push(wrong));
    list
}

/// Returns whether a finding is about something that the fix is about.
fn is_about(wrong: &Diagnostic, fix: &QuickFix) -> bool {
    let overlap = wrong.span.start < fix.span.end && fix.span.start < wrong.span.end;
    // An empty span is a place where something is missing.
    let touches = wrong.span.start <= fix.span.end && fix.span.start <= wrong.span.end;
    if !wrong.message.contains(fix.about) {
        return false;
    }
    overlap || (touches && (wrong.span.is_empty() || fix.span.is_empty()))
}

/// Returns whether a finding without edits of its own lies within what is fixed.
fn follows_from_mistake(wrong: &Diagnostic, fix: &QuickFix) -> bool {
    fix.span.start <= wrong.span.start && wrong.span.end <= fix.span.end && wrong.edits.is_empty()
}

/// Says what a fix does in the place of a vaguer hint.
fn explain(wrong: &mut Diagnostic, fix: &QuickFix) {
    // A second fix in the same place waits for the next round.
    if fix.edits.iter().any(|edit| collides(edit, &wrong.edits)) {
        return;
    }
    if !fix.hint.is_empty() {
        wrong.hint = match wrong.hint.take() {
            Some(hint) if !wrong.edits.is_empty() && hint != fix.hint => {
                Some(format!("{hint}; {}", fix.hint))
            }
            _ => Some(fix.hint.clone()),
        };
    }

    for edit in &fix.edits {
        if !wrong.edits.contains(edit) {
            wrong.edits.push(edit.clone());
        }
    }
}

/// Returns whether an edit changes bytes that another one changes otherwise.
fn collides(edit: &TextEdit, others: &[TextEdit]) -> bool {
    others.iter().filter(|other| *other != edit).any(|other| {
        other.span.start < edit.span.end && edit.span.start < other.span.end
            || edit.span == other.span && !edit.span.is_empty()
    })
}

/// Returns the query that the edits make, or `None` if it does not compile, or not better than the text did.
fn corrected(
    text: &str,
    found: &Diagnostics,
    catalog: &Catalog,
    compile: &impl Fn(&str) -> Result<Diagnostics, Diagnostics>,
) -> Option<String> {
    let mut current = text.to_owned();
    let mut wrong = found.clone();

    for _ in 0..MAX_ROUNDS {
        let edited = edited(&current, &wrong)?;
        if edited == current {
            return None;
        }
        current = edited;
        match compile(&current) {
            // A warning is answered by a query without it.
            Ok(warnings) => return (found.has_errors() || warnings.len() < found.len()).then_some(current),
            Err(left) => wrong = explained(&current, left, catalog, FixCertainty::Certain),
        }
    }
    None
}

/// Returns the text with the edits of its errors, or of its warnings if it has no errors; `None` if there are no
/// edits. Of findings whose edits collide the first is mended: the next round finds the others again.
fn edited(text: &str, found: &Diagnostics) -> Option<String> {
    let severity = if found.has_errors() { Severity::Error } else { Severity::Warning };
    let mut edits: Vec<TextEdit> = Vec::new();
    for wrong in found.iter().filter(|wrong| wrong.severity == severity) {
        if !wrong.edits.iter().any(|edit| collides(edit, &edits)) {
            edits.extend(wrong.edits.iter().cloned());
        }
    }

    // What is inserted at a place comes before what replaces the text there. Findings may share an edit.
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    edits.dedup();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for edit in &edits {
        out.push_str(text.get(done..edit.span.start)?);
        out.push_str(&edit.replacement);
        done = edit.span.end;
    }
    out.push_str(text.get(done..)?);
    (!edits.is_empty()).then_some(out)
}

/// Returns the diagnostics, the last with edits of which has the whole query.
fn with_corrected(mut found: Diagnostics, corrected: &str) -> Diagnostics {
    if let Some(last) = found.iter_mut().rfind(|wrong| !wrong.edits.is_empty()) {
        last.corrected = Some(corrected.trim().to_owned());
    }
    found
}
