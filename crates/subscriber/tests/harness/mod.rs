//! Advice, subscribers and look-ups that the tests of the bridge share. Weaving is global to the process, so
//! tests run one after the other.
#![allow(dead_code)]

use pivot_advice::{Advice, BagKey, EmitMode, Instruction, JoinKind, QueryId, TemporalFilter, UnpackedForm};
use pivot_subscriber::SubscriberBridge;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber, dispatcher};

static SERIAL: Mutex<()> = Mutex::new(());

/// Returns advice that emits these fields of a tracepoint.
pub(crate) fn emit(tracepoint: &str, fields: &[&str]) -> Advice {
    let observe = |field: &&str| Instruction::Observe { field: (*field).into() };
    let mut instructions: Vec<Instruction> = fields.iter().map(observe).collect();
    let keys = (0..fields.len() as u16).collect();
    instructions.push(Instruction::Emit { keys, folds: vec![], form: EmitMode::Groups });
    Advice { query: QueryId::new(1, 1), stage: 0, tracepoint: tracepoint.into(), instructions }
}

/// Returns each row that was emitted since the last time, as text, sorted.
pub(crate) fn rows() -> Vec<String> {
    let drained = pivot_agent::drain();
    let groups = drained.values().filter_map(|part| part.groups.as_ref()).flatten();
    let mut rows: Vec<String> = groups
        .flat_map(|group| {
            let row = group.key.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            std::iter::repeat_n(row, group.n as usize)
        })
        .collect();
    rows.sort();
    rows
}

/// Runs with a wrapped subscriber as this thread's default, and with nothing woven before and after.
pub(crate) fn under<S: Subscriber + Send + Sync>(inner: S, run: impl FnOnce()) {
    under_wrapped(SubscriberBridge::new(inner), run);
}

/// Runs with a bridge as this thread's default, and with nothing woven before and after.
pub(crate) fn under_wrapped<S: Subscriber + Send + Sync>(wrapped: SubscriberBridge<S>, run: impl FnOnce()) {
    serially(|| dispatcher::with_default(&Dispatch::new(wrapped), run));
}

/// Runs when no other test does, with nothing woven before and after.
pub(crate) fn serially(run: impl FnOnce()) {
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    run();
    pivot_agent::weave(&[]);
    pivot_agent::drain();
}

/// A subscriber that counts what it gets, and wants INFO and above.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    pub(crate) events: Arc<AtomicU64>,
    pub(crate) spans: Arc<AtomicU64>,
    pub(crate) entered: Arc<AtomicU64>,
}

impl Counts {
    /// Returns the numbers of events, spans, and spans entered.
    pub(crate) fn seen(&self) -> (u64, u64, u64) {
        (self.events.load(SeqCst), self.spans.load(SeqCst), self.entered.load(SeqCst))
    }
}

impl Subscriber for Counts {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing_core::Level::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, SeqCst) + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.events.fetch_add(1, SeqCst);
    }

    fn enter(&self, _: &Id) {
        self.entered.fetch_add(1, SeqCst);
    }

    fn exit(&self, _: &Id) {}

    fn try_close(&self, _: Id) -> bool {
        true
    }
}

/// The bag that `pack_at` fills.
pub(crate) const BAG: BagKey = BagKey { query: QueryId { frontend: 1, number: 9 }, stage: 1 };

/// Returns advice that packs a field.
pub(crate) fn pack_at(tracepoint: &str, field: &str) -> Advice {
    let instructions = vec![
        Instruction::Observe { field: field.into() },
        Instruction::Pack { bag: BAG, keep: TemporalFilter::All, keys: vec![0], folds: vec![] },
    ];
    Advice { query: BAG.query, stage: BAG.stage, tracepoint: tracepoint.into(), instructions }
}

/// Returns advice that emits what `pack_at` has packed before.
pub(crate) fn emit_packed(tracepoint: &str) -> Advice {
    let instructions = vec![
        Instruction::Unpack {
            bag: BAG,
            alias: "p".to_owned(),
            columns: vec!["n".to_owned()],
            aggregates: vec![],
            rows: UnpackedForm::Rows,
            matching: JoinKind::Inner,
            on: None,
        },
        Instruction::Emit { keys: vec![0], folds: vec![], form: EmitMode::Groups },
    ];
    Advice { query: BAG.query, stage: 2, tracepoint: tracepoint.into(), instructions }
}

/// Returns what the current request has packed, each value as often as it counts; `None` outside any request.
pub(crate) fn packed() -> Option<Vec<u64>> {
    pivot_baggage::with_current(|baggage| {
        let baggage = baggage?;
        let mut all = Vec::new();
        for group in baggage.unpack(BAG).iter().flat_map(|rows| rows.iter()) {
            let value = group.key[0].as_integer().unwrap() as u64;
            all.extend(std::iter::repeat_n(value, group.n as usize));
        }
        all.sort_unstable();
        Some(all)
    })
}

/// Returns the id of the current request.
pub(crate) fn request() -> Option<u128> {
    pivot_baggage::with_current(|baggage| baggage.map(pivot_baggage::Baggage::request_or_begin))
}
