//! Gathers where constants rule a query out in this process, to tell whoever wonders about an empty result.
//!
//! A pattern may stand for thousands of call sites, so what is kept is bounded: a few conditions, a few names, a few
//! values, and none of them long.

use crate::weave::constant_conditions::FalseCondition;
use pivot_advice::{MAX_RULED_OUT, MAX_RULED_OUT_NAMES, RuledOutTracepoints};

/// The most characters of a condition, a name or a value that are kept.
const MAX_TEXT: usize = 120;

/// Where constants rule out one query.
#[derive(Debug, Default)]
pub(crate) struct RuledOut {
    conditions: Vec<RuledOutTracepoints>,
    /// Whether the query has something to do at another call site.
    has_remaining: bool,
}

impl RuledOut {
    /// Notes that the query has something to do at a call site.
    pub(crate) fn note_remaining(&mut self) {
        self.has_remaining = true;
    }

    /// Notes why the query has nothing to do at a call site of a tracepoint.
    pub(crate) fn add(&mut self, tracepoint: &str, why: &FalseCondition) {
        let condition = shortened(&why.condition);
        let known = self.conditions.iter().position(|known| known.condition == condition);
        let place = known.unwrap_or_else(|| {
            self.conditions.push(RuledOutTracepoints { condition, ..RuledOutTracepoints::default() });
            self.conditions.len() - 1
        });
        self.conditions.truncate(MAX_RULED_OUT);

        // A condition for which there was no room.
        let Some(found) = self.conditions.get_mut(place) else { return };
        found.call_sites += 1;
        add_once(&mut found.tracepoints, tracepoint);
        if !why.values.is_empty() {
            add_once(&mut found.values, &why.values);
        }
    }

    /// Returns whether constants rule the query out at every call site that has its fields.
    pub(crate) fn is_everywhere(&self) -> bool {
        !self.has_remaining && !self.conditions.is_empty()
    }

    pub(crate) fn conditions(&self) -> &[RuledOutTracepoints] {
        &self.conditions
    }

    /// Returns the first condition in words, with what there is instead.
    pub(crate) fn reason(&self) -> String {
        let Some(first) = self.conditions.first() else { return String::new() };
        match &first.values[..] {
            [] => format!("never true: {}", first.condition),
            values => format!("never true here: {}; there is: {}", first.condition, values.join(", ")),
        }
    }
}

/// Adds a text that is not there yet, if there is room.
fn add_once(texts: &mut Vec<String>, text: &str) {
    let text = shortened(text);
    if texts.len() < MAX_RULED_OUT_NAMES && !texts.contains(&text) {
        texts.push(text);
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(condition: &str, values: &str) -> FalseCondition {
        FalseCondition { condition: condition.into(), values: values.into() }
    }

    #[test]
    fn one_condition_stands_for_all_places_that_it_rules_out() {
        let mut found = RuledOut::default();
        for (tracepoint, level) in [("a", "INFO"), ("a", "DEBUG"), ("b", "INFO")] {
            found.add(tracepoint, &why("level = 'ERROR'", level));
        }
        let [only] = found.conditions() else { panic!("{found:?}") };
        assert_eq!((only.call_sites, only.tracepoints.len()), (3, 2));
        assert_eq!(found.reason(), "never true here: level = 'ERROR'; there is: INFO, DEBUG");
        assert!(found.is_everywhere());
        found.note_remaining();
        assert!(!found.is_everywhere());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut found = RuledOut::default();
        for i in 0..1_000 {
            let long = "x".repeat(1_000);
            found.add(&format!("{i}{long}"), &why(&format!("{} = {long}", i % 10), &format!("{i}")));
        }
        assert_eq!(found.conditions().len(), MAX_RULED_OUT);
        for condition in found.conditions() {
            assert_eq!(condition.call_sites, 100);
            let texts = [&condition.tracepoints[..], &condition.values[..]].concat();
            assert_eq!(texts.len(), 2 * MAX_RULED_OUT_NAMES);
            assert!(texts.iter().all(|text| text.chars().count() <= MAX_TEXT + 1));
        }
    }
}
