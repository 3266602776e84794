//! Helpers that the tests of `#[tracepoints]` share.
#![allow(dead_code)]

use pivot_advice::{Advice, EmitMode, Instruction, QueryId, Value};
use std::sync::Mutex;

/// Held by each test: weaving is global to the process.
static SERIAL: Mutex<()> = Mutex::new(());

/// Weaves advice that emits these fields of a tracepoint, runs, and checks the rows that were emitted.
pub(crate) fn check(tracepoint: &str, fields: &[&str], run: impl FnOnce(), expected: &[&[&str]]) {
    let rows = rows(tracepoint, fields, run);
    let mut rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(Value::to_string).collect()).collect();
    rows.sort();
    assert_eq!(rows, expected);
}

/// Weaves advice that emits these fields of a tracepoint, runs, and returns the rows that were emitted.
pub(crate) fn rows(tracepoint: &str, fields: &[&str], run: impl FnOnce()) -> Vec<Vec<Value>> {
    let _serial = SERIAL.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let query = QueryId::new(1, 1);

    let mut instructions: Vec<Instruction> =
        fields.iter().map(|field| Instruction::Observe { field: (*field).into() }).collect();
    let keys = (0..fields.len() as u16).collect();
    instructions.push(Instruction::Emit { keys, folds: vec![], form: EmitMode::Groups });
    let advice = Advice { query, stage: 0, tracepoint: tracepoint.into(), instructions };

    assert_eq!(pivot::__private::weave(&[advice]), []);
    pivot::__private::drain();
    run();

    let parts = pivot::__private::drain();
    pivot::__private::weave(&[]);

    let groups = parts.get(&query).and_then(|part| part.groups.as_ref());
    let rows = groups.into_iter().flatten().flat_map(|group| (0..group.n).map(|_| group.key.to_vec()));
    rows.collect()
}

/// Runs a future on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
