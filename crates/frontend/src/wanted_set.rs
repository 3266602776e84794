//! The set of all advice that should be woven, encoded once for all agents.
//!
//! ```text
//! installed queries ──update──▶ WantedSet ─┬─ what is different ─▶ every connected agent
//!   each encoded when it changes           ├─ the whole set ─────▶ an agent that connects, or asks for it
//!                                          └─ as `Desired` ──────▶ agents that do not take changes
//! ```
//!
//! A change costs its own size, and so does sending it: the agents' messages share one buffer. Each query has a digest
//! that tells its advice from earlier ones; with the sum of all, an agent checks that its set is the one that is meant.

use crate::wanted_advice::{AgentCommand, WantedForm};
use pivot_advice::{Advice, CarrierGlob, QueryId};
use pivot_protocol::{to_wire, wire};
use pivot_query::RunSettings;
use prost::Message;
use prost::bytes::Bytes;
use siphasher::sip::SipHasher24;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The longest window that agents report.
const LONGEST_WINDOW_NS: i64 = 1_000_000_000;

/// The most bytes that the whole set takes on the wire: half a message, for agents that take it as one.
pub(crate) const MAX_WANTED_BYTES: usize = 32 << 20;

/// The key of `WantedChange.queries`, a field with a length.
const QUERIES_KEY: u8 = 4 << 3 | 2;

/// One query as it is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WantedQuery<'q> {
    pub(crate) id: QueryId,
    /// The generation that brought its advice as it is.
    pub(crate) since: u64,
    pub(crate) advice: &'q [Advice],
    pub(crate) settings: &'q RunSettings,
}

/// One query as it is wanted, encoded as a field of `WantedChange`.
#[derive(Debug)]
struct EncodedQuery {
    field: Vec<u8>,
    since: u64,
    digest: u64,
    needs_baggage: bool,
    every_ns: i64,
}

impl EncodedQuery {
    fn new(wanted: WantedQuery<'_>) -> EncodedQuery {
        let WantedQuery { id, since, advice, settings } = wanted;
        let mut message = wire::WantedQuery {
            query: Some(to_wire::query_id(id)),
            advice: advice.iter().map(to_wire::advice).collect(),
            since,
            budget: (!settings.budget.is_empty()).then(|| to_wire::query_budget(&settings.budget)),
            digest: 0,
        };
        message.digest = SipHasher24::new().hash(&message.encode_to_vec());

        let mut field = vec![QUERIES_KEY];
        field.extend_from_slice(&message.encode_length_delimited_to_vec());
        EncodedQuery {
            field,
            since,
            digest: message.digest,
            needs_baggage: advice.iter().any(Advice::needs_carrying),
            every_ns: settings.every_ns,
        }
    }
}

/// All advice that should be woven, of all queries, with its generation.
#[derive(Debug, Default)]
pub(crate) struct WantedSet {
    /// Rises with every change.
    generation: u64,
    /// The newest generation that all agents have woven.
    woven_everywhere: u64,
    queries: BTreeMap<QueryId, EncodedQuery>,
    /// The spans that carry a request in all processes, beside those that a process names itself.
    carriers: Vec<CarrierGlob>,
    /// The whole set, once somebody has asked for it since it changed.
    whole: Option<Bytes>,
    desired: Option<Arc<wire::Desired>>,
}

impl WantedSet {
    /// Makes an empty set with a generation.
    pub(crate) fn new(generation: u64) -> WantedSet {
        WantedSet { generation, ..WantedSet::default() }
    }

    /// Returns the generation of the set as it is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Goes on with a generation that was begun before the frontend was started again.
    pub(crate) fn continue_from(&mut self, generation: u64) {
        self.generation = generation;
        (self.whole, self.desired) = (None, None);
    }

    /// Takes over which generation all agents have woven: those that connect later learn it with the set.
    pub(crate) fn set_woven_everywhere(&mut self, generation: u64) {
        self.woven_everywhere = generation;
        (self.whole, self.desired) = (None, None);
    }

    /// Names the spans that carry a request from the next generation on. Returns those named before.
    pub(crate) fn set_carriers(&mut self, carriers: Vec<CarrierGlob>) -> Vec<CarrierGlob> {
        std::mem::replace(&mut self.carriers, carriers)
    }

    /// Returns the spans that carry a request.
    pub(crate) fn carriers(&self) -> &[CarrierGlob] {
        &self.carriers
    }

    fn encoded_carriers(&self) -> Vec<String> {
        self.carriers.iter().map(ToString::to_string).collect()
    }

    /// Begins a generation with all queries that are wanted, and returns how it differs from the one before.
    pub(crate) fn update<'q>(&mut self, wanted: impl Iterator<Item = WantedQuery<'q>>) -> Bytes {
        self.generation += 1;
        (self.whole, self.desired) = (None, None);

        let mut gone: BTreeSet<QueryId> = self.queries.keys().copied().collect();
        let mut changed = Vec::new();
        for query in wanted {
            gone.remove(&query.id);
            if self.queries.get(&query.id).is_none_or(|known| known.since != query.since) {
                self.queries.insert(query.id, EncodedQuery::new(query));
                changed.push(query.id);
            }
        }
        gone.iter().for_each(|id| _ = self.queries.remove(id));

        let removed = gone.into_iter().map(to_wire::query_id).collect();
        let header = wire::WantedChange { removed, ..self.header() };
        self.encode(header, changed.iter().filter_map(|id| self.queries.get(id)))
    }

    /// Returns what tells an agent to weave the whole set.
    pub(crate) fn whole(&mut self, form: WantedForm) -> AgentCommand {
        match form {
            WantedForm::Changes => {
                let header = wire::WantedChange { whole: true, ..self.header() };
                let whole = self.whole.take();
                let whole = whole.unwrap_or_else(|| self.encode(header, self.queries.values()));
                AgentCommand::Change(self.whole.insert(whole).clone())
            }

            WantedForm::WholeSet => {
                let desired = self.desired.take().unwrap_or_else(|| Arc::new(self.as_desired()));
                AgentCommand::Weave(self.desired.insert(desired).clone())
            }
        }
    }

    fn header(&self) -> wire::WantedChange {
        wire::WantedChange {
            generation: self.generation,
            whole: false,
            removed: Vec::new(),
            queries: Vec::new(),
            carrying: self.needs_baggage(),
            everywhere: self.woven_everywhere,
            window_ns: self.window_ns(),
            carriers: self.encoded_carriers(),
            digest: self.queries.values().fold(0, |sum, query| sum.wrapping_add(query.digest)),
            takes_columns: true,
        }
    }

    fn encode<'q>(
        &self,
        header: wire::WantedChange,
        queries: impl Iterator<Item = &'q EncodedQuery>,
    ) -> Bytes {
        // The fields of a message may come in any order.
        let mut encoded = header.encode_to_vec();
        queries.for_each(|query| encoded.extend_from_slice(&query.field));
        encoded.into()
    }

    /// Returns the set as agents take it that do not take changes.
    fn as_desired(&self) -> wire::Desired {
        let mut desired = wire::Desired {
            generation: self.generation,
            carrying: self.needs_baggage(),
            everywhere: self.woven_everywhere,
            window_ns: self.window_ns(),
            carriers: self.encoded_carriers(),
            ..wire::Desired::default()
        };

        let fields = self.queries.values().flat_map(|query| query.field.iter().copied()).collect::<Vec<u8>>();
        // What was encoded here can be decoded.
        let decoded = wire::WantedChange::decode(fields.as_slice()).unwrap_or_default();
        for wire::WantedQuery { query, advice, since, budget, .. } in decoded.queries {
            desired.advice.extend(advice);
            desired.since.push(wire::Since { query, generation: since });
            if budget.is_some() {
                desired.budgets.push(wire::WantedBudget { query, budget });
            }
        }
        desired
    }

    /// Requests carry baggage only while some query anywhere packs: otherwise it costs them nothing.
    fn needs_baggage(&self) -> bool {
        self.queries.values().any(|query| query.needs_baggage)
    }

    /// Returns the longest window of which those of all queries are multiples.
    fn window_ns(&self) -> i64 {
        self.queries.values().fold(LONGEST_WINDOW_NS, |ns, query| common_divisor(ns, query.every_ns))
    }

    /// Returns whether there is room for a query whose advice takes so many bytes, in place of what it has now.
    pub(crate) fn has_room(&self, id: QueryId, bytes: usize) -> bool {
        let others = self.queries.iter().filter(|(other, _)| **other != id);
        let taken: usize = others.map(|(_, query)| query.field.len()).sum();
        taken.saturating_add(bytes) <= MAX_WANTED_BYTES
    }
}

/// Returns about how many bytes advice takes on the wire.
pub(crate) fn encoded_bytes(advice: &[Advice]) -> usize {
    advice.iter().map(|advice| to_wire::advice(advice).encoded_len()).sum()
}

/// Returns the longest window of which both are multiples.
fn common_divisor(a_ns: i64, b_ns: i64) -> i64 {
    if b_ns <= 0 { a_ns } else { common_divisor(b_ns, a_ns % b_ns) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use pivot_query::{Catalog, compile};

    /// Compiled queries with the generation that brought each.
    fn queries(texts: &[(u32, u64, &str)]) -> Vec<(QueryId, u64, RunSettings, Vec<Advice>)> {
        let compiled = texts.iter().map(|(number, since, text)| {
            let program = compile(text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
            let id = QueryId::new(1, *number);
            (id, *since, program.settings.clone(), program.advice(id))
        });
        compiled.collect()
    }

    fn update(set: &mut WantedSet, texts: &[(u32, u64, &str)]) -> wire::WantedChange {
        let queries = queries(texts);
        let wanted = queries.iter().map(|(id, since, settings, advice)| WantedQuery {
            id: *id,
            since: *since,
            advice,
            settings,
        });
        let change = set.update(wanted);
        wire::WantedChange::decode(change).unwrap()
    }

    fn whole(set: &mut WantedSet) -> wire::WantedChange {
        match set.whole(WantedForm::Changes) {
            AgentCommand::Change(change) => wire::WantedChange::decode(change).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn numbers(change: &wire::WantedChange) -> Vec<u32> {
        change.queries.iter().map(|query| query.query.unwrap().number).collect()
    }

    const COUNT: &str = "FROM a IN A SELECT COUNT EVERY 300ms";
    const JOIN: &str = "FROM b IN B JOIN a IN A ON a -> b SELECT COUNT WITHIN groups 7";

    #[test]
    fn a_change_has_what_is_different_and_the_digest_of_the_whole() {
        let mut set = WantedSet::new(10);
        let first = update(&mut set, &[(1, 11, COUNT)]);
        assert_eq!((first.generation, first.whole, numbers(&first)), (11, false, vec![1]));
        assert_eq!((first.window_ns, first.carrying), (100_000_000, false));

        let second = update(&mut set, &[(1, 11, COUNT), (2, 12, JOIN)]);
        assert_eq!((numbers(&second), second.carrying, second.removed.len()), (vec![2], true, 0));
        let all = whole(&mut set);
        assert_eq!((all.whole, all.generation, numbers(&all)), (true, 12, vec![1, 2]));
        assert_eq!((all.digest, all.queries[1].budget.unwrap().groups), (second.digest, Some(7)));
        let sum = all.queries.iter().fold(0_u64, |sum, query| sum.wrapping_add(query.digest));
        assert_eq!(sum, all.digest);

        // Other advice of one, and the other is gone.
        let third = update(&mut set, &[(1, 13, JOIN)]);
        assert_eq!((numbers(&third), third.removed[0].number, third.window_ns), (vec![1], 2, 1_000_000_000));
        assert_ne!(third.digest, first.digest);
        let none = update(&mut set, &[]);
        assert_eq!((none.digest, none.removed.len(), whole(&mut set).queries.len()), (0, 1, 0));
    }

    #[test]
    fn agents_that_take_no_changes_are_told_the_whole_set() {
        let mut set = WantedSet::new(10);
        update(&mut set, &[(1, 11, COUNT), (2, 11, JOIN)]);
        set.set_woven_everywhere(9);
        let AgentCommand::Weave(desired) = set.whole(WantedForm::WholeSet) else { panic!("not a set") };
        assert_eq!((desired.generation, desired.everywhere, desired.carrying), (11, 9, true));
        assert_eq!((desired.advice.len(), desired.since.len(), desired.budgets.len()), (3, 2, 1));
        assert_eq!(desired.window_ns, 100_000_000);
    }
}
