//! The advice at one tracepoint, ready to run.

use crate::run::fused::plan::FusedAdvice;
use crate::run::ir::CompiledAdvice;
use crate::site::declaration::Declaration;
use crate::weave::name_linker::{FieldSource, LinkedAdvice};
use crate::weave::throttle::Gate;
use pivot_advice::BagKey;
use std::sync::Arc;

/// The advice woven at one tracepoint, in the order of queries and stages.
#[derive(Debug)]
pub(crate) struct WovenSet {
    pub(crate) advice: Vec<Arc<WovenAdvice>>,
    /// Whether one advice would see what another one packs at the same event, were it not kept back.
    pub(crate) packs_later: bool,
    /// The same advice in its shortest form, if all of it has one.
    pub(crate) fused: Option<Box<FusedEntry>>,
}

/// One advice in its shortest form, and those behind it: to go on takes one look.
#[derive(Debug)]
pub(crate) struct FusedEntry {
    pub(crate) fused: FusedAdvice,
    pub(crate) gate: Arc<Gate>,
    pub(crate) place: usize,
    pub(crate) tracepoint: &'static Declaration,
    /// The same in its other form.
    pub(crate) woven: Arc<WovenAdvice>,
    pub(crate) next: Option<Box<FusedEntry>>,
}

/// One advice at one tracepoint.
#[derive(Debug)]
pub(crate) struct WovenAdvice {
    pub(crate) linked: LinkedAdvice,
    pub(crate) gate: Arc<Gate>,
    pub(crate) needs_baggage: bool,
    /// The query's id.
    pub(crate) query: u64,
    /// The query's place in the tables of threads.
    pub(crate) place: usize,
    pub(crate) program: Executor,
}

/// What runs of an advice.
#[derive(Debug)]
#[repr(u8)]
pub(crate) enum Executor {
    /// It observes and emits, and that is all.
    Plain(Box<CompiledAdvice>),
    /// It reads or writes the baggage too.
    InRequest(Box<CompiledAdvice>),
    /// It needs more than a routine can do.
    Interpreted,
}

impl WovenSet {
    pub(crate) fn new(tracepoint: &'static Declaration, advice: Vec<Arc<WovenAdvice>>) -> WovenSet {
        let packs = advice.iter().flat_map(|woven| woven.linked.advice.packs());
        let packed: Vec<BagKey> = packs.collect();
        let unpacks =
            |bag: &BagKey| advice.iter().any(|woven| woven.linked.advice.unpacks().any(|b| b == *bag));
        let behind =
            |next, woven: &Arc<WovenAdvice>| Some(Some(Box::new(FusedEntry::of(tracepoint, woven, next)?)));
        let fused = advice.iter().rev().try_fold(None, behind).flatten();
        WovenSet { packs_later: packed.iter().any(unpacks), fused, advice }
    }

    /// The exported fields that are observed.
    pub(crate) fn observed(&self) -> impl Iterator<Item = usize> {
        let sources = self.advice.iter().flat_map(|woven| &woven.linked.sources);
        sources.filter_map(|source| match source {
            FieldSource::Exported(index) => Some(*index),
            FieldSource::Default(_) | FieldSource::Missing => None,
        })
    }

    pub(crate) fn is(&self, advice: &[Arc<WovenAdvice>]) -> bool {
        let same = |(mine, other): (&Arc<WovenAdvice>, &Arc<WovenAdvice>)| {
            mine.linked == other.linked && Arc::ptr_eq(&mine.gate, &other.gate)
        };
        self.advice.len() == advice.len() && self.advice.iter().zip(advice).all(same)
    }
}

impl FusedEntry {
    fn of(
        tracepoint: &'static Declaration,
        woven: &Arc<WovenAdvice>,
        next: Option<Box<FusedEntry>>,
    ) -> Option<FusedEntry> {
        let (Executor::Plain(routine) | Executor::InRequest(routine)) = &woven.program else { return None };
        let fused = FusedAdvice::of(routine, tracepoint.name)?;
        let (gate, woven) = (Arc::clone(&woven.gate), Arc::clone(woven));
        Some(FusedEntry { fused, gate, place: woven.place, tracepoint, woven, next })
    }
}

/// One after the other: there may be more than the stack has room for.
impl Drop for FusedEntry {
    fn drop(&mut self) {
        let mut rest = self.next.take();
        while let Some(mut next) = rest {
            rest = next.next.take();
        }
    }
}
