//! What the agent's tests share. Weaving is one for the process, so each test holds [`serial`].
#![allow(dead_code)]

use pivot_advice::{Advice, EmitMode, Instruction, QueryId};
use pivot_agent::{QueryReport, QueryReports};
use std::sync::{Mutex, MutexGuard, PoisonError};

static SERIAL: Mutex<()> = Mutex::new(());

/// Held by a test that weaves.
pub(crate) fn serial() -> MutexGuard<'static, ()> {
    SERIAL.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn query(number: u32) -> QueryId {
    QueryId::new(1, number)
}

/// Emits the fields of every event, grouped by all of them.
pub(crate) fn emit(number: u32, tracepoint: &str, fields: &[&str]) -> Advice {
    let observe = |field: &&str| Instruction::Observe { field: (*field).into() };
    let mut instructions: Vec<Instruction> = fields.iter().map(observe).collect();
    let keys = (0..fields.len() as u16).collect();
    instructions.push(Instruction::Emit { keys, folds: vec![], form: EmitMode::Groups });
    Advice { query: query(number), stage: 0, tracepoint: tracepoint.into(), instructions }
}

/// Weaves, runs, and gives what was drained; nothing is woven afterwards.
pub(crate) fn woven(advice: &[Advice], run: impl FnOnce()) -> QueryReports {
    pivot_agent::drain();
    assert_eq!(pivot_agent::weave(advice), []);
    run();
    pivot_agent::weave(&[]);
    pivot_agent::drain()
}

pub(crate) fn part(parts: &QueryReports, number: u32) -> QueryReport {
    parts.get(&query(number)).cloned().unwrap_or_else(QueryReport::empty)
}

/// The keys of a part's groups, as text, in order.
pub(crate) fn keys(part: &QueryReport) -> Vec<String> {
    let text =
        |group: &pivot_advice::Group| group.key.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let mut keys: Vec<String> = part.groups.iter().flatten().map(text).collect();
    keys.sort();
    keys
}
