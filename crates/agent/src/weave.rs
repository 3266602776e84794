//! Makes what is woven in this process equal to what a frontend wants woven.

use crate::link::Linked;
use crate::tracepoint::{Tracepoint, tracepoints};
use crate::verify::verify;
use pivot_advice::{Advice, QueryId};
use std::sync::{Arc, Mutex, PoisonError};

/// The advice woven at one tracepoint.
#[derive(Debug, PartialEq)]
pub struct Woven {
    /// In the order of queries and stages.
    pub advice: Vec<Linked>,
}

/// Why an advice is not woven in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its query.
    pub query: QueryId,
    /// The tracepoint it was meant for.
    pub tracepoint: String,
    /// What is wrong.
    pub message: String,
}

/// Weaving is serial, so that the last call wins everywhere.
static WEAVING: Mutex<()> = Mutex::new(());

/// Weaves exactly these advices: the others are unwoven, and a tracepoint at which nothing changes is
/// not touched. An advice that cannot be woven is left out and reported.
pub fn weave(desired: &[Advice]) -> Vec<Problem> {
    let _serial = WEAVING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut problems = Vec::new();
    let mut sound: Vec<&Advice> = Vec::new();
    for advice in desired {
        match verify(advice) {
            Ok(()) => sound.push(advice),
            Err(error) => problems.push(problem(advice, &error)),
        }
    }
    sound.sort_by_key(|advice| (advice.query, advice.stage));
    tracepoints().into_iter().for_each(|tracepoint| weave_at(tracepoint, &sound, &mut problems));
    problems
}

fn weave_at(tracepoint: &'static Tracepoint, desired: &[&Advice], problems: &mut Vec<Problem>) {
    let fields: Vec<&str> = tracepoint.fields().iter().map(|(name, _)| *name).collect();
    let mut advice = Vec::new();
    for wanted in desired.iter().filter(|advice| advice.tracepoint == tracepoint.name()) {
        match Linked::link(wanted, &fields) {
            Ok(linked) => advice.push(linked),
            Err(error) => problems.push(problem(wanted, &error)),
        }
    }
    let woven = (!advice.is_empty()).then_some(Woven { advice });
    if tracepoint.woven().as_deref() != woven.as_ref() {
        tracepoint.publish(woven.map(Arc::new));
    }
}

fn problem(advice: &Advice, error: &crate::AgentError) -> Problem {
    Problem { query: advice.query, tracepoint: advice.tracepoint.clone(), message: error.to_string() }
}
