//! The advice woven at one tracepoint, ready to run.
//!
//! ```text
//! WovenSet::Immediate ─▶ WovenAdvice ──next──▶ WovenAdvice ──next──▶ WovenAdvice
//!                        query 1.4              query 1.7, stage 2     query 2.1
//!                        Fused                  Interpreted            Fused
//! ```
//!
//! There is one list per tracepoint, in the order of queries and stages. Each advice has the fastest executor that
//! can run it, whatever the others need. The list is intrusive, because an event that walks it then keeps one
//! pointer in a register instead of the two of a slice.

use crate::run::advice_compiler::compile;
use crate::run::fused::plan::FusedAdvice;
use crate::run::ir::{CompiledAdvice, SchemaInterner};
use crate::site::declaration::TracepointDeclaration;
use crate::weave::name_linker::{FieldSource, LinkedAdvice};
use crate::weave::throttle::QueryGate;
use pivot_advice::{Advice, BagKey};
use std::sync::Arc;

/// All advice woven at one tracepoint.
// The tag is a byte of its own, here and below, so that an event tells the variants apart by one comparison.
#[derive(Debug)]
#[repr(u8)]
pub(crate) enum WovenSet {
    /// Nothing is woven.
    Empty,
    /// Packs go into the baggage at once: no advice of the set unpacks what another one packs.
    Immediate(Box<WovenAdvice>),
    /// Packs wait until all advice has run: an event does not happen before itself, so no advice may unpack what
    /// another one packs at the same event.
    Deferring(Box<WovenAdvice>),
}

/// One advice at one tracepoint, and those after it.
#[derive(Debug)]
pub(crate) struct WovenAdvice {
    pub(crate) linked: LinkedAdvice,
    pub(crate) executor: Executor,
    /// Whether, and for which requests, the query may run.
    pub(crate) gate: Arc<QueryGate>,
    /// The tracepoint that it is woven at.
    pub(crate) tracepoint: &'static TracepointDeclaration,
    /// The query's id, as one number.
    pub(crate) query: u64,
    /// Where every thread keeps the query's table.
    pub(crate) table_index: usize,
    /// Whether it packs or unpacks.
    pub(crate) needs_baggage: bool,
    /// Whether its set is [`WovenSet::Deferring`].
    pub(crate) defers_packs: bool,
    pub(crate) next: Option<Box<WovenAdvice>>,
}

/// How an advice is run, fastest first. All three have the same effect on every event.
#[derive(Debug)]
#[repr(u8)]
#[expect(
    clippy::large_enum_variant,
    reason = "boxed, an event would follow one more pointer; there are few of these"
)]
pub(crate) enum Executor {
    /// By a kernel that keeps no columns. The compiled form runs where the kernel cannot: at a thread's first event,
    /// and for requests of which some are sampled away. It comes first to lie where that of `Compiled` does.
    Fused(FusedAdvice, Box<CompiledAdvice>),
    /// By compiled steps over a row of cells.
    Compiled(Box<CompiledAdvice>),
    /// Instruction by instruction, by the reference interpreter: LEFT and ANTI joins, several joins, lists,
    /// temporal choices.
    Interpreted,
}

/// Names an executor, for tests that choose one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorKind {
    /// The fused kernel.
    Fused,
    /// Compiled steps.
    Compiled,
    /// The reference interpreter.
    Interpreted,
}

impl WovenAdvice {
    pub(crate) fn new(
        linked: LinkedAdvice,
        executor: Executor,
        gate: Arc<QueryGate>,
        tracepoint: &'static TracepointDeclaration,
        table_index: usize,
    ) -> WovenAdvice {
        // Asked of the advice once, here, because events ask for it.
        let (query, needs_baggage) = (linked.advice.query.to_u64(), uses_baggage(&linked.advice));
        WovenAdvice {
            query,
            needs_baggage,
            linked,
            executor,
            gate,
            tracepoint,
            table_index,
            defers_packs: false,
            next: None,
        }
    }
}

impl Executor {
    /// Returns the fastest executor for an advice at a tracepoint of this name.
    pub(crate) fn fastest(
        linked: &LinkedAdvice,
        tracepoint: &'static str,
        schemas: &mut SchemaInterner,
    ) -> Executor {
        let Some(compiled) = compile(linked, schemas).map(Box::new) else { return Executor::Interpreted };

        match FusedAdvice::fuse(&compiled, tracepoint) {
            Some(fused) => Executor::Fused(fused, compiled),
            None => Executor::Compiled(compiled),
        }
    }

    /// Returns this executor, or the one of that kind if this one is faster.
    pub(crate) fn limited_to(self, kind: ExecutorKind) -> Executor {
        match (self, kind) {
            (_, ExecutorKind::Interpreted) => Executor::Interpreted,
            (Executor::Fused(_, compiled), ExecutorKind::Compiled) => Executor::Compiled(compiled),
            (executor, _) => executor,
        }
    }

    pub(crate) fn kind(&self) -> ExecutorKind {
        match self {
            Executor::Fused(..) => ExecutorKind::Fused,
            Executor::Compiled(_) => ExecutorKind::Compiled,
            Executor::Interpreted => ExecutorKind::Interpreted,
        }
    }

    /// Returns the compiled form, or `None` if the advice is always interpreted.
    pub(crate) fn compiled(&self) -> Option<&CompiledAdvice> {
        match self {
            Executor::Fused(_, compiled) | Executor::Compiled(compiled) => Some(compiled),
            Executor::Interpreted => None,
        }
    }
}

impl WovenSet {
    /// Chains advice in the order given.
    pub(crate) fn new(advice: Vec<WovenAdvice>) -> WovenSet {
        let defers_packs = unpacks_what_it_packs(&advice);

        let mut first = None;
        for mut advice in advice.into_iter().rev() {
            advice.defers_packs = defers_packs;
            advice.next = first;
            first = Some(Box::new(advice));
        }

        match first {
            None => WovenSet::Empty,
            Some(first) if defers_packs => WovenSet::Deferring(first),
            Some(first) => WovenSet::Immediate(first),
        }
    }

    /// Returns whether nothing is woven.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, WovenSet::Empty)
    }

    /// Returns the first advice, or `None` if there is none.
    pub(crate) fn first(&self) -> Option<&WovenAdvice> {
        match self {
            WovenSet::Empty => None,
            WovenSet::Immediate(first) | WovenSet::Deferring(first) => Some(first),
        }
    }

    /// Returns all advice in the order in which it runs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &WovenAdvice> + Clone {
        std::iter::successors(self.first(), |advice| advice.next.as_deref())
    }

    /// Returns the indexes of the exported fields that are observed.
    pub(crate) fn observed_fields(&self) -> impl Iterator<Item = usize> {
        self.iter().flat_map(|advice| &advice.linked.sources).filter_map(|source| match source {
            FieldSource::Exported(index) => Some(*index),
            FieldSource::Default(_) | FieldSource::Missing => None,
        })
    }

    /// Returns whether both run the same advice for the same queries: then publishing the other changes nothing.
    pub(crate) fn is_equivalent(&self, other: &WovenSet) -> bool {
        self.iter().count() == other.iter().count()
            && self
                .iter()
                .zip(other.iter())
                .all(|(mine, theirs)| mine.linked == theirs.linked && Arc::ptr_eq(&mine.gate, &theirs.gate))
    }
}

/// Returns whether one advice unpacks a bag that one of them packs.
fn unpacks_what_it_packs(advice: &[WovenAdvice]) -> bool {
    let packed: Vec<BagKey> = advice.iter().flat_map(|advice| advice.linked.advice.packs()).collect();
    advice.iter().any(|advice| advice.linked.advice.unpacks().any(|bag| packed.contains(&bag)))
}

fn uses_baggage(advice: &Advice) -> bool {
    advice.packs().chain(advice.unpacks()).next().is_some()
}

/// Frees the list one by one: recursion would overflow the stack at a tracepoint with very many advices.
impl Drop for WovenAdvice {
    fn drop(&mut self) {
        let mut rest = self.next.take();
        while let Some(mut next) = rest {
            rest = next.next.take();
        }
    }
}
