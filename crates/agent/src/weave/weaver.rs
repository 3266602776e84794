//! Makes what is woven in this process equal to what a frontend wants woven, as far as it may be.
//!
//! ```text
//! desired advice ─verify─▶ sound ─link─▶ names are indexes ─compile─▶ WovenSet ─publish─▶ tracepoint
//!                   │                │          │
//!                   └── WeaveProblem ┘          └─ left out where a constant rules it out
//! ```
//!
//! A change builds new sets for the tracepoints that it concerns, publishes them, and then waits, outside the
//! lock, until no event reads the old ones.

use crate::error::AgentError;
use crate::report::thread_slot;
use crate::run::ir::SchemaInterner;
use crate::site::catalogue::tracepoints;
use crate::site::process_identity::identity;
use crate::site::tracepoint::Tracepoint;
use crate::weave::constant_conditions::ConstantVerdict;
use crate::weave::listeners;
use crate::weave::name_linker::{FieldSource, LinkedAdvice};
use crate::weave::published::RetiredWovenSets;
use crate::weave::throttle::Governor;
use crate::weave::verify::verify;
use crate::weave::woven::{Executor, WovenAdvice, WovenSet};
use pivot_advice::{Advice, QueryCost, QueryId, QueryStatus, Value, WeaveProblem};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The advice that a frontend wants woven, and what became of it.
#[derive(Debug)]
pub(crate) struct Weaver {
    /// In the order of queries and stages, in which advice runs.
    desired: Vec<Advice>,
    governor: Governor,
    /// For each index in the tables of threads, the query that it was given to; `None` if it is free.
    table_indexes: Vec<Option<QueryId>>,
    schemas: SchemaInterner,
    /// Whether the operator or the application has switched weaving off.
    disabled: bool,
    /// Whether no frontend was heard from for too long.
    lapsed: bool,
    /// Whether weaving has changed since the listeners were called.
    changed: bool,
    retired: RetiredWovenSets,
}

static WEAVER: Mutex<Weaver> = Mutex::new(Weaver {
    desired: Vec::new(),
    governor: Governor::new(),
    table_indexes: Vec::new(),
    schemas: SchemaInterner::new(),
    disabled: false,
    lapsed: false,
    changed: false,
    retired: RetiredWovenSets::new(),
});

/// Locks the weaver. Whoever changes what is woven passes the lock to [`finish`] afterwards, which releases it.
pub(crate) fn weaver() -> MutexGuard<'static, Weaver> {
    WEAVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a change: frees the sets that were replaced once no event can be reading them, and calls the listeners.
///
/// It waits outside the lock, because an event on its way may wait for the lock, to register a tracepoint. If an
/// event takes too long, what it may be reading is kept for the next change.
pub(crate) fn finish(mut weaver: MutexGuard<'_, Weaver>) {
    let retired = weaver.retired.take();
    let changed = std::mem::take(&mut weaver.changed);
    drop(weaver);

    if !retired.is_empty() && !thread_slot::quiesce() {
        self::weaver().retired.put_back(retired);
    }

    if changed {
        listeners::CHANGED.call();
    }
}

/// Links an advice to a tracepoint, and decides its conditions over what is constant there and over exported fields of
/// which `known` returns the values.
fn decide_at(
    tracepoint: &'static Tracepoint,
    advice: &Advice,
    known: &dyn Fn(&str) -> Option<Value>,
) -> Result<ConstantVerdict, AgentError> {
    let declaration = &tracepoint.declaration;
    let fields: Vec<&str> = declaration.fields.iter().map(|(name, _)| *name).collect();
    let linked = if declaration.is_one_of_several {
        LinkedAdvice::link_one_of_several(advice, &fields)?
    } else {
        LinkedAdvice::link(advice, &fields)?
    };

    let identity = identity();
    Ok(linked.decide_constants(|source| {
        let known = match source {
            FieldSource::Exported(index) => fields.get(index).and_then(|field| known(field)),
            _ => None,
        };
        known.or_else(|| declaration.constant(source, &identity))
    }))
}

/// Weaves what is wanted at a tracepoint that was registered just now.
///
/// It does without [`finish`]. Nothing was woven there before, so no set is retired. The listeners hear of it with the
/// next change: whoever registers may hold locks that a listener takes, as the bridge for `tracing` does. Advice that
/// cannot be linked shows in the status of its query.
pub(crate) fn weave_new(tracepoint: &'static Tracepoint) {
    let mut weaver = weaver();
    let is_wanted = |advice: &&Advice| advice.tracepoint == tracepoint.name() && verify(advice).is_ok();
    let wanted: Vec<Advice> = weaver.desired.iter().filter(is_wanted).cloned().collect();

    if !wanted.is_empty() {
        let mut problems = Vec::new();
        weaver.weave_at(tracepoint, &wanted.iter().collect::<Vec<_>>(), &mut problems);
        weaver.governor.add_problems(problems);
        let now = Instant::now();
        wanted.iter().for_each(|advice| weaver.governor.set_arrived(advice.query, now));
    }
}

impl Weaver {
    /// Weaves exactly these advices. `since` has the generation that brought each query. Returns the advices that
    /// cannot be woven in this process, and why.
    pub(crate) fn set_desired(
        &mut self,
        desired: &[Advice],
        since: &BTreeMap<QueryId, u64>,
    ) -> Vec<WeaveProblem> {
        self.lapsed = false;
        self.desired = desired.to_vec();
        self.desired.sort_by_key(|advice| (advice.query, advice.stage));
        self.governor.keep_only(desired, since);

        // Queries that are gone give their indexes back. A thread notices when another query comes to one of them.
        for owner in &mut self.table_indexes {
            *owner = owner.filter(|query| desired.iter().any(|advice| advice.query == *query));
        }

        self.apply()
    }

    /// Switches weaving off or on again. Returns whether that is a change.
    pub(crate) fn set_disabled(&mut self, disabled: bool) -> bool {
        let changed = self.disabled != disabled;
        if changed {
            self.disabled = disabled;
            self.apply();
        }
        changed
    }

    pub(crate) fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// Weaves anew because the identity of the process has changed: conditions on it were decided by the one before.
    pub(crate) fn identity_changed(&mut self) {
        self.apply();
    }

    pub(crate) fn lapse(&mut self) {
        self.lapsed = true;
        self.apply();
    }

    pub(crate) fn statuses(&self) -> Vec<QueryStatus> {
        self.governor.statuses(self.is_off())
    }

    pub(crate) fn woven_since(&self) -> BTreeMap<QueryId, Instant> {
        self.governor.woven_since()
    }

    pub(crate) fn suspended_queries(&self) -> Vec<QueryId> {
        self.governor.suspended_queries(self.is_off())
    }

    pub(crate) fn suspended_since(&self) -> Option<u64> {
        self.governor.suspended_since(self.is_off())
    }

    pub(crate) fn sample_one_in(&mut self, query: QueryId, requests: u32) {
        self.governor.sample_one_in(query, requests);
    }

    /// Adapts queries to their CPU budgets, given what they cost in the last `elapsed_ns`, and weaves anew if another
    /// set of queries may run from now on. Returns whether it does.
    pub(crate) fn govern(&mut self, costs: &BTreeMap<QueryId, QueryCost>, elapsed_ns: u64) -> bool {
        let changed = self.governor.govern(costs, elapsed_ns);
        if changed {
            self.apply();
        }
        changed
    }

    /// Returns whether advice that is woven at a tracepoint may come to something at events of which `known` returns the
    /// values of some exported fields.
    pub(crate) fn may_come_to_something(
        &self,
        tracepoint: &'static Tracepoint,
        known: impl Fn(&str) -> Option<Value>,
    ) -> bool {
        let may_run = |advice: &&Advice| {
            advice.tracepoint == tracepoint.name()
                && !self.is_off()
                && self.governor.running(advice.query).is_some()
                && verify(advice).is_ok()
        };

        self.desired.iter().filter(may_run).any(|advice| {
            let verdict = decide_at(tracepoint, advice, &known);
            matches!(verdict, Ok(ConstantVerdict::Remaining(_)))
        })
    }

    /// Returns whether nothing is woven, whatever is wanted.
    fn is_off(&self) -> bool {
        self.disabled || self.lapsed
    }

    /// Weaves at every tracepoint what is wanted there and may run.
    fn apply(&mut self) -> Vec<WeaveProblem> {
        let mut problems = Vec::new();
        let desired = std::mem::take(&mut self.desired);
        self.governor.forget_verdicts();

        let mut sound: HashMap<&str, Vec<&Advice>> = HashMap::new();
        for advice in &desired {
            match verify(advice) {
                Ok(()) => sound.entry(&advice.tracepoint).or_default().push(advice),
                Err(error) => problems.push(problem(advice, &error)),
            }
        }

        let tracepoints = tracepoints();
        for tracepoint in &tracepoints {
            let wanted = sound.get(tracepoint.name()).map_or(&[][..], Vec::as_slice);
            self.weave_at(tracepoint, wanted, &mut problems);
        }

        let names: HashSet<&str> = tracepoints.into_iter().map(Tracepoint::name).collect();
        self.governor.set_problems(&problems);
        self.governor.set_pending(&desired, |name| names.contains(name), Instant::now());
        self.desired = desired;
        problems
    }

    /// Publishes at one tracepoint what is wanted there, unless that is woven already.
    fn weave_at(
        &mut self,
        tracepoint: &'static Tracepoint,
        wanted: &[&Advice],
        problems: &mut Vec<WeaveProblem>,
    ) {
        let mut woven = Vec::new();
        for wanted in wanted {
            match decide_at(tracepoint, wanted, &|_| None) {
                Ok(ConstantVerdict::Remaining(linked)) => {
                    self.governor.note_remaining(wanted.query);
                    woven.extend(self.prepare(tracepoint, linked));
                }
                Ok(ConstantVerdict::RuledOut(why)) => {
                    self.governor.note_ruled_out(wanted.query, tracepoint.name(), &why);
                }
                Err(error) => problems.push(problem(wanted, &error)),
            }
        }

        let set = WovenSet::new(woven);
        let published = tracepoint.published();
        if published.peek(&self.retired).is_equivalent(&set) {
            return;
        }

        // In this order. An event that sees the flag expects to find the set, and one that runs the set may ask which
        // fields are observed.
        let is_woven = !set.is_empty();
        tracepoint.set_observed(set.observed_fields());
        published.replace(set, &mut self.retired);
        tracepoint.set_woven(is_woven);
        self.changed = true;
    }

    /// Makes a linked advice ready to run, or returns `None` while its query may not run here.
    fn prepare(&mut self, tracepoint: &'static Tracepoint, linked: LinkedAdvice) -> Option<WovenAdvice> {
        let gate = self.governor.running(linked.advice.query).filter(|_| !self.is_off())?;
        let executor = Executor::fastest(&linked, tracepoint.name(), &mut self.schemas);
        let table_index = self.table_index(linked.advice.query);

        Some(WovenAdvice::new(linked, executor, gate, &tracepoint.declaration, table_index))
    }

    /// Returns the index of a query in the tables of threads, which no other has as long as this one is wanted.
    fn table_index(&mut self, query: QueryId) -> usize {
        let owned = self.table_indexes.iter().position(|owner| *owner == Some(query));
        let index = owned.or_else(|| self.table_indexes.iter().position(Option::is_none));
        let index = index.unwrap_or(self.table_indexes.len());

        self.table_indexes.resize(self.table_indexes.len().max(index + 1), None);
        self.table_indexes[index] = Some(query);
        index
    }
}

fn problem(advice: &Advice, error: &AgentError) -> WeaveProblem {
    WeaveProblem { query: advice.query, tracepoint: advice.tracepoint.clone(), message: error.to_string() }
}
