//! A library that a program loads as it runs, in whatever language the program is. It has a copy of the agent
//! of its own: its own catalogue, which its linker made complete, and its own weaving.

use pivot_advice::{Advice, EmitMode, Instruction, QueryId};

/// Does the library's work once.
fn work(n: u64) {
    pivot_agent::tracepoint!("Plugin.work", n: u64 = n);
}

/// How many tracepoints this library has.
// SAFETY: no other library of the programs that load this one has such a name.
#[unsafe(no_mangle)]
pub extern "C" fn pivot_plugin_tracepoints() -> u64 {
    pivot_agent::tracepoints().len() as u64
}

/// Weaves a query that counts, works so often, and gives what the query has counted.
// SAFETY: likewise.
#[unsafe(no_mangle)]
pub extern "C" fn pivot_plugin_count(times: u64) -> u64 {
    let query = QueryId::new(1, 1);
    let emit = Instruction::Emit { keys: vec![], folds: vec![], form: EmitMode::Groups };
    let advice = Advice { query, stage: 0, tracepoint: "Plugin.work".into(), instructions: vec![emit] };
    let problems = pivot_agent::weave(&[advice]);
    (0..times).for_each(work);
    pivot_agent::weave(&[]);
    let counted = pivot_agent::drain().get(&query).map_or(0, |part| part.emitted);
    if problems.is_empty() { counted } else { 0 }
}
