//! The advice at one tracepoint, ready to run.

use crate::run::fused::plan::Straight;
use crate::run::ir::Routine;
use crate::site::declaration::Declaration;
use crate::weave::name_linker::{Linked, Source};
use crate::weave::throttle::Standing;
use pivot_advice::BagKey;
use std::sync::Arc;

/// The advice woven at one tracepoint, in the order of queries and stages.
#[derive(Debug)]
pub(crate) struct Woven {
    pub(crate) advice: Vec<Arc<Knot>>,
    /// Whether one advice would see what another one packs at the same event, were it not kept back.
    pub(crate) packs_later: bool,
    /// The same advice in its shortest form, if all of it has one.
    pub(crate) straight: Option<Box<Short>>,
}

/// One advice in its shortest form, and those behind it: to go on takes one look.
#[derive(Debug)]
pub(crate) struct Short {
    pub(crate) straight: Straight,
    pub(crate) standing: Arc<Standing>,
    pub(crate) place: usize,
    pub(crate) tracepoint: &'static Declaration,
    /// The same in its other form.
    pub(crate) knot: Arc<Knot>,
    pub(crate) next: Option<Box<Short>>,
}

/// One advice at one tracepoint.
#[derive(Debug)]
pub(crate) struct Knot {
    pub(crate) linked: Linked,
    pub(crate) standing: Arc<Standing>,
    pub(crate) needs_baggage: bool,
    /// The query's id.
    pub(crate) query: u64,
    /// The query's place in the tables of threads.
    pub(crate) place: usize,
    pub(crate) program: Program,
}

/// What runs of an advice.
#[derive(Debug)]
#[repr(u8)]
pub(crate) enum Program {
    /// It observes and emits, and that is all.
    Plain(Box<Routine>),
    /// It reads or writes the baggage too.
    InRequest(Box<Routine>),
    /// It needs more than a routine can do.
    Interpreted,
}

impl Woven {
    pub(crate) fn new(tracepoint: &'static Declaration, advice: Vec<Arc<Knot>>) -> Woven {
        let packs = advice.iter().flat_map(|knot| knot.linked.advice.packs());
        let packed: Vec<BagKey> = packs.collect();
        let unpacks =
            |bag: &BagKey| advice.iter().any(|knot| knot.linked.advice.unpacks().any(|b| b == *bag));
        let behind = |next, knot: &Arc<Knot>| Some(Some(Box::new(Short::of(tracepoint, knot, next)?)));
        let straight = advice.iter().rev().try_fold(None, behind).flatten();
        Woven { packs_later: packed.iter().any(unpacks), straight, advice }
    }

    /// The exported fields that are observed.
    pub(crate) fn observed(&self) -> impl Iterator<Item = usize> {
        let sources = self.advice.iter().flat_map(|knot| &knot.linked.sources);
        sources.filter_map(|source| match source {
            Source::Exported(index) => Some(*index),
            Source::Default(_) | Source::Lacking => None,
        })
    }

    pub(crate) fn is(&self, advice: &[Arc<Knot>]) -> bool {
        let same = |(mine, other): (&Arc<Knot>, &Arc<Knot>)| {
            mine.linked == other.linked && Arc::ptr_eq(&mine.standing, &other.standing)
        };
        self.advice.len() == advice.len() && self.advice.iter().zip(advice).all(same)
    }
}

impl Short {
    fn of(tracepoint: &'static Declaration, knot: &Arc<Knot>, next: Option<Box<Short>>) -> Option<Short> {
        let (Program::Plain(routine) | Program::InRequest(routine)) = &knot.program else { return None };
        let straight = Straight::of(routine, tracepoint.name)?;
        let (standing, knot) = (Arc::clone(&knot.standing), Arc::clone(knot));
        Some(Short { straight, standing, place: knot.place, tracepoint, knot, next })
    }
}

/// One after the other: there may be more than the stack has room for.
impl Drop for Short {
    fn drop(&mut self) {
        let mut rest = self.next.take();
        while let Some(mut next) = rest {
            rest = next.next.take();
        }
    }
}
