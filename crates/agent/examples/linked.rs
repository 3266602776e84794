//! A program whose tracepoints are all in the catalogue before the first hit, however it was linked:
//! `cargo run -p pivot-agent --example linked`. It checks itself.

use pivot_advice::{Advice, EmitMode, Instruction, QueryId};

mod inner {
    /// Called through a pointer alone.
    pub(crate) fn rarely(n: u64) {
        pivot_agent::tracepoint!("Linked.rarely", n: u64 = n);
    }
}

fn generic<T: std::fmt::Display>(value: T) {
    pivot_agent::tracepoint!("Linked.generic", text = %value);
}

/// Never called: the linker could take it for unused.
#[allow(dead_code)]
fn never() {
    pivot_agent::tracepoint!("Linked.never");
}

fn main() {
    let names: Vec<String> = pivot_agent::catalogue().into_iter().map(|exports| exports.tracepoint).collect();
    println!("catalogue: {names:?}");
    for name in ["Linked.rarely", "Linked.generic"] {
        assert!(names.iter().any(|known| known == name), "{name} is not in the catalogue");
    }
    let query = QueryId::new(1, 1);
    let instructions = vec![
        Instruction::Observe { field: "n".into() },
        Instruction::Emit { keys: vec![0], folds: vec![], form: EmitMode::Groups },
    ];
    let advice = Advice { query, stage: 0, tracepoint: "Linked.rarely".into(), instructions };
    assert!(pivot_agent::weave(&[advice]).is_empty());
    let call: fn(u64) = std::hint::black_box(inner::rarely);
    (0..10).for_each(|n| call(n % 3));
    generic("text");
    let drained = pivot_agent::drain();
    let groups = drained[&query].groups.as_ref().map_or(0, |groups| groups.len());
    assert_eq!((drained[&query].emitted, groups), (10, 3));
    println!("linked: 10 events in 3 groups");
}
