//! The set of advice that the frontend wants woven, kept up by changes.
//!
//! ```text
//! WantedPart, WantedPart ──▶ WantedChange ──apply──▶ WantedSet ──▶ WantedGeneration, to be woven
//!                                             └─ not the digest that the change says: ask for the whole set
//! ```

use crate::agent_messages::{self, GroupForm};
use pivot_advice::{Advice, CarrierGlob, QueryBudget, QueryId, WeaveProblem};
use pivot_protocol::{from_wire, wire};
use prost::Message;
use std::collections::BTreeMap;

/// The most bytes of a change that are kept until its last piece comes.
const MAX_CHANGE_BYTES: usize = 64 << 20;

/// All that should be woven, and on which terms.
#[derive(Debug, Default)]
pub(crate) struct WantedGeneration {
    /// The number of the set.
    pub(crate) generation: u64,
    pub(crate) advice: Vec<Advice>,
    /// Advice that could not be decoded.
    pub(crate) problems: Vec<WeaveProblem>,
    /// For each query the generation that brought its advice.
    pub(crate) since: BTreeMap<QueryId, u64>,
    /// What queries ask to take.
    pub(crate) budgets: BTreeMap<QueryId, QueryBudget>,
    /// The spans that carry a request, beside those that this process names itself.
    pub(crate) carriers: Vec<CarrierGlob>,
    /// Whether requests carry baggage.
    pub(crate) carrying: bool,
    /// The newest generation that all agents have woven.
    pub(crate) everywhere: u64,
    /// The length of windows; 0 means a second.
    pub(crate) window_ns: i64,
    /// In which form the frontend takes the groups of reports.
    pub(crate) group_form: GroupForm,
}

impl From<wire::Desired> for WantedGeneration {
    fn from(desired: wire::Desired) -> WantedGeneration {
        let (advice, problems) = decode_advice(desired.advice);

        WantedGeneration {
            generation: desired.generation,
            advice,
            problems,
            since: desired.since.into_iter().filter_map(agent_messages::since).collect(),
            budgets: desired.budgets.into_iter().filter_map(agent_messages::wanted_budget).collect(),
            carriers: agent_messages::carriers(&desired.carriers),
            carrying: desired.carrying,
            everywhere: desired.everywhere,
            window_ns: desired.window_ns,
            group_form: GroupForm::Rows,
        }
    }
}

/// One query as it is wanted.
#[derive(Debug)]
struct WantedQuery {
    advice: Vec<Advice>,
    problems: Vec<WeaveProblem>,
    since: u64,
    budget: Option<QueryBudget>,
    digest: u64,
}

/// The outcome of a piece of a change.
#[derive(Debug)]
pub(crate) enum WantedOutcome {
    /// More pieces follow, or nothing has changed.
    Nothing,
    /// To be woven.
    Weave(WantedGeneration),
    /// This is not the set that the frontend means.
    Mismatch,
}

/// All queries that are wanted, and the pieces of a change that has not come entirely.
#[derive(Debug, Default)]
pub(crate) struct WantedSet {
    queries: BTreeMap<QueryId, WantedQuery>,
    pieces: Vec<u8>,
    /// Whether a change is passed over to its end, because it is too large.
    is_skipping: bool,
}

impl WantedSet {
    /// Begins anew: another connection begins with the whole set.
    pub(crate) fn clear(&mut self) {
        *self = WantedSet::default();
    }

    /// Takes in a piece of a change.
    pub(crate) fn take_in(&mut self, part: wire::WantedPart) -> WantedOutcome {
        self.is_skipping |= self.pieces.len() + part.data.len() > MAX_CHANGE_BYTES;
        if !self.is_skipping {
            self.pieces.extend_from_slice(&part.data);
        }
        if part.more {
            return WantedOutcome::Nothing;
        }

        let pieces = std::mem::take(&mut self.pieces);
        if std::mem::take(&mut self.is_skipping) {
            return WantedOutcome::Nothing;
        }
        match wire::WantedChange::decode(pieces.as_slice()) {
            Ok(change) => self.apply(change),
            Err(_) => WantedOutcome::Nothing,
        }
    }

    fn apply(&mut self, change: wire::WantedChange) -> WantedOutcome {
        if change.whole {
            self.queries.clear();
        }
        for removed in change.removed {
            if let Ok(query) = from_wire::query_id(Some(removed)) {
                self.queries.remove(&query);
            }
        }
        for wanted in change.queries {
            // One without an id cannot be woven, nor can it be told of.
            let Ok(id) = from_wire::query_id(wanted.query) else { continue };
            let (advice, problems) = decode_advice(wanted.advice);
            let budget = wanted.budget.as_ref().map(from_wire::query_budget);
            let (since, digest) = (wanted.since, wanted.digest);
            self.queries.insert(id, WantedQuery { advice, problems, since, budget, digest });
        }

        // To ask for the whole set once more would not help if the whole set is not what it says.
        let digest = self.queries.values().fold(0_u64, |sum, query| sum.wrapping_add(query.digest));
        if digest != change.digest && !change.whole {
            return WantedOutcome::Mismatch;
        }

        let mut wanted = WantedGeneration {
            generation: change.generation,
            carriers: agent_messages::carriers(&change.carriers),
            carrying: change.carrying,
            everywhere: change.everywhere,
            window_ns: change.window_ns,
            group_form: if change.takes_columns { GroupForm::Columns } else { GroupForm::Rows },
            ..WantedGeneration::default()
        };
        for (id, query) in &self.queries {
            wanted.advice.extend_from_slice(&query.advice);
            wanted.problems.extend_from_slice(&query.problems);
            wanted.since.insert(*id, query.since);
            wanted.budgets.extend(query.budget.map(|budget| (*id, budget)));
        }
        WantedOutcome::Weave(wanted)
    }
}

/// Returns the advice that decodes, and a problem for each that does not.
fn decode_advice(encoded: Vec<wire::Advice>) -> (Vec<Advice>, Vec<WeaveProblem>) {
    let (mut advice, mut problems) = (Vec::new(), Vec::new());
    for encoded in encoded {
        // Taken before the advice is decoded, to name it if that fails.
        let (query, tracepoint) = (from_wire::query_id(encoded.query), encoded.tracepoint.clone());
        match (from_wire::advice(encoded), query) {
            (Ok(decoded), _) => advice.push(decoded),
            (Err(error), Ok(query)) => {
                problems.push(WeaveProblem { query, tracepoint, message: error.to_string() });
            }
            // An advice without a query is of nobody who could be told.
            (Err(_), Err(_)) => {}
        }
    }

    (advice, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(number: u32, digest: u64) -> wire::WantedQuery {
        let query = Some(wire::QueryId { frontend: 1, number });
        wire::WantedQuery { query, since: digest, digest, ..Default::default() }
    }

    fn send(set: &mut WantedSet, change: wire::WantedChange) -> WantedOutcome {
        let encoded = change.encode_to_vec();
        let (first, rest) = encoded.split_at(encoded.len() / 2);
        let part = |data: &[u8], more| wire::WantedPart { data: data.to_vec().into(), more };
        assert!(matches!(set.take_in(part(first, true)), WantedOutcome::Nothing));
        set.take_in(part(rest, false))
    }

    fn woven(outcome: WantedOutcome) -> Vec<(u32, u64)> {
        let WantedOutcome::Weave(wanted) = outcome else { panic!("{outcome:?}") };
        wanted.since.iter().map(|(query, since)| (query.number, *since)).collect()
    }

    #[test]
    fn changes_add_up_to_the_set_and_a_missed_one_is_noticed() {
        let mut set = WantedSet::default();
        let whole =
            wire::WantedChange { whole: true, queries: vec![query(1, 5)], digest: 5, ..Default::default() };
        assert_eq!(woven(send(&mut set, whole.clone())), [(1, 5)]);
        let added = wire::WantedChange { queries: vec![query(2, 8)], digest: 13, ..Default::default() };
        assert_eq!(woven(send(&mut set, added)), [(1, 5), (2, 8)]);

        let removed = vec![wire::QueryId { frontend: 1, number: 1 }];
        let changed =
            wire::WantedChange { removed, queries: vec![query(2, 9)], digest: 9, ..Default::default() };
        assert_eq!(woven(send(&mut set, changed)), [(2, 9)]);

        // That there was a query 3 was missed.
        let later = wire::WantedChange { queries: vec![query(4, 1)], digest: 17, ..Default::default() };
        assert!(matches!(send(&mut set, later), WantedOutcome::Mismatch));
        assert_eq!(woven(send(&mut set, whole)), [(1, 5)]);
    }

    #[test]
    fn advice_of_a_later_version_is_a_problem_of_its_query() {
        let skipped = wire::Advice {
            query: Some(wire::QueryId { frontend: 1, number: 2 }),
            tracepoint: "T".into(),
            instructions: vec![wire::Instruction { kind: None }],
            ..wire::Advice::default()
        };
        let queries = vec![query(1, 5), wire::WantedQuery { advice: vec![skipped], ..query(2, 8) }];
        let whole = wire::WantedChange { whole: true, queries, digest: 13, ..Default::default() };

        let mut set = WantedSet::default();
        let WantedOutcome::Weave(wanted) = send(&mut set, whole) else { panic!("nothing to weave") };
        assert!(wanted.advice.is_empty());
        let [problem] = wanted.problems.as_slice() else { panic!("{:?}", wanted.problems) };
        assert_eq!((problem.query.number, problem.tracepoint.as_str()), (2, "T"));
    }

    #[test]
    fn what_is_not_a_change_or_too_large_is_passed_over() {
        let mut set = WantedSet::default();
        let part = |data: Vec<u8>, more| wire::WantedPart { data: data.into(), more };
        assert!(matches!(set.take_in(part(vec![255; 9], false)), WantedOutcome::Nothing));
        for _ in 0..3 {
            assert!(matches!(set.take_in(part(vec![0; MAX_CHANGE_BYTES / 2], true)), WantedOutcome::Nothing));
        }
        assert!(set.pieces.len() <= MAX_CHANGE_BYTES);
        assert!(matches!(set.take_in(part(vec![], false)), WantedOutcome::Nothing));
        assert!(set.pieces.is_empty() && !set.is_skipping);
    }
}
