//! Advice from the wire is refused, or verified and run over an event of nulls.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pivot_advice::{LossCounts, Value};
use pivot_agent::run::interpreter::interpret;
use pivot_agent::weave::name_linker::LinkedAdvice;
use pivot_baggage::Baggage;
use pivot_protocol::{from_wire, wire};
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = wire::Advice::decode(bytes) else { return };
    let Ok(advice) = from_wire::advice(message) else { return };
    if pivot_agent::verify(&advice).is_err() {
        return;
    }
    let Ok(linked) = LinkedAdvice::link(&advice, &["a", "b"]) else { return };
    let observed = vec![Value::Null; linked.sources.len()];
    let _ = interpret(&linked, observed, Some(&Baggage::begin()), 0, &mut LossCounts::default());
});
