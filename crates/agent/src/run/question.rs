//! Questions: whether any advice would look at an event, asked before the application makes it.
//!
//! Code behind a check such as `log_enabled!` runs only if the answer is yes, and may do dear work for the event. So
//! the answer is no where no advice looks, and the work belongs to the cost of the queries that look:
//!
//! ```text
//!   ask ── nobody looks ──▶ None      counted as left out by sampling: the event will not be made
//!    │
//!    └──── somebody looks ─▶ ExpectedEvent ──── the application works ────▶ fire_expected
//!                            the draw that decided                        charged: the time since the question
//! ```
//!
//! The fields of spans are evaluated and formatted before anybody can say whether advice looks at the end of the span. So
//! they are for all requests, and what that takes is measured as [`FieldWork`] and charged to all queries that are woven
//! there.
//!
//! Question and event are sampled alike. In a request, sampling depends on the request's id, which both share; outside any
//! request it depends on a random number, the *draw*, which is handed from the question to the event.

use crate::report::thread_slot::{EventGuard, is_inside_event};
use crate::report::thread_table::ThreadTable;
use crate::run::cells::FieldReader;
use crate::run::fire_event::{run_set, run_timed_from};
use crate::run::random::random;
use crate::run::sample;
use crate::run::stopwatch::Stopwatch;
use crate::weave::published::PublishedAdvice;
use crate::weave::woven::{WovenAdvice, WovenSet};
use std::time::{Duration, Instant};

/// The most that one question or one span's fields may cost its queries: the application may do something else after it
/// asked.
const MAX_WORK: Duration = Duration::from_millis(10);

/// How the time between a question and its event is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionKind {
    /// Always: the application asks because it has to work for the event.
    Explicit,
    /// As often as events are timed: a macro asks before it evaluates the fields of its event.
    InMacro,
}

/// An event at which advice is going to look: the answer to a question.
#[derive(Debug)]
pub struct ExpectedEvent {
    draw: u64,
    asked: AskedAt,
}

/// When the question was asked, as far as that is to be charged.
#[derive(Debug)]
enum AskedAt {
    /// At this time, for itself.
    Instant(Instant),
    /// When this stopwatch was started, which goes on to time the event.
    Stopwatch(Stopwatch),
    /// At an event that is not timed.
    Unknown,
}

/// Asks whether advice is going to look at an event that comes next at one of some tracepoints.
pub(crate) fn ask(
    tracepoints: impl Iterator<Item = &'static PublishedAdvice> + Clone,
    kind: QuestionKind,
) -> Option<ExpectedEvent> {
    let mut guard = EventGuard::enter()?;
    let mut stopwatch = guard.is_timed().then(Stopwatch::start);
    let draw = random();
    let (table, proof) = guard.table_and_proof();
    let woven = tracepoints.flat_map(|published| published.get(proof).iter());
    let somebody_looks = answer(woven, draw, stopwatch.as_mut(), table);

    let asked = match (kind, stopwatch) {
        (QuestionKind::InMacro, None) => AskedAt::Unknown,
        (QuestionKind::InMacro, Some(stopwatch)) if somebody_looks => AskedAt::Stopwatch(stopwatch),
        (_, stopwatch) => {
            if let Some(stopwatch) = stopwatch {
                guard.skip_timing(stopwatch.stop());
            }
            if !somebody_looks {
                return None;
            }
            AskedAt::Instant(Instant::now())
        }
    };
    somebody_looks.then_some(ExpectedEvent { draw, asked })
}

/// Returns whether any advice looks, and charges it for the question if that is timed.
fn answer<'a>(
    woven: impl Iterator<Item = &'a WovenAdvice> + Clone,
    draw: u64,
    stopwatch: Option<&mut Stopwatch>,
    table: &mut ThreadTable,
) -> bool {
    // All are asked: each that does not keep all requests leaves its rate in the baggage.
    let somebody_looks =
        sample::with_draw(draw, || woven.clone().fold(false, |any, advice| looks(advice) | any));
    if !somebody_looks {
        leave_out(woven.clone(), table);
    }

    if let Some(stopwatch) = stopwatch {
        charge(woven, stopwatch.lap_ns(Duration::MAX), table);
    }
    somebody_looks
}

/// Runs the advice at a tracepoint over an event that was asked for.
pub(crate) fn fire_expected(
    published: &'static PublishedAdvice,
    expected: ExpectedEvent,
    fields: FieldReader<'_>,
) {
    let Some(mut guard) = EventGuard::enter() else { return };

    let (asked_at, stopwatch) = match expected.asked {
        AskedAt::Instant(at) => (Some(at), guard.is_timed().then(Stopwatch::start)),
        AskedAt::Stopwatch(stopwatch) => (None, Some(stopwatch)),
        AskedAt::Unknown => (None, None),
    };
    let (table, proof) = guard.table_and_proof();
    let set = published.get(proof);

    let skipped = sample::with_draw(expected.draw, || {
        if let Some(at) = asked_at {
            charge_work(set, whole_ns(at.elapsed().min(MAX_WORK)), table);
        }
        let Some(mut stopwatch) = stopwatch else {
            run_set(set, fields, table);
            return None;
        };

        if asked_at.is_none() {
            charge_work(set, stopwatch.lap_ns(MAX_WORK), table);
        }
        Some(run_timed_from(stopwatch, set, fields, table))
    });

    if let Some(skipped) = skipped {
        guard.skip_timing(skipped);
    }
}

/// Work of the application for the fields of a span, while it is being measured. It is measured at every span: most take
/// next to nothing and one among them may be dear, which timing one in many would take for an accident.
#[derive(Debug)]
pub struct FieldWork(Instant);

impl FieldWork {
    /// Begins to measure. Returns `None` if the work is part of an event, which is timed itself.
    pub fn begin() -> Option<FieldWork> {
        (!is_inside_event()).then(|| FieldWork(Instant::now()))
    }

    /// Charges the time since then to what is woven at some tracepoints.
    pub(crate) fn charge(self, tracepoints: impl Iterator<Item = &'static PublishedAdvice> + Clone) {
        let ns = whole_ns(self.0.elapsed().min(MAX_WORK));
        let Some(mut guard) = EventGuard::enter() else { return };

        let (table, proof) = guard.table_and_proof();
        let woven = tracepoints.flat_map(|published| published.get(proof).iter());
        charge(woven.filter(|advice| advice.gate.is_open()), ns, table);
    }
}

/// Returns whether an advice looks at the event that is asked for.
fn looks(advice: &WovenAdvice) -> bool {
    let weight = advice.gate.weight();
    weight != 0 && sample::decide(weight, advice.needs_baggage).is_some()
}

/// Counts an event that will not be made, because nobody looks at it. It would have been at one of several
/// tracepoints, so each stage of a query counts it once.
#[cold]
fn leave_out<'a>(woven: impl Iterator<Item = &'a WovenAdvice>, table: &mut ThreadTable) {
    let mut counted = Vec::new();
    for advice in woven {
        let stage = (advice.query, advice.linked.advice.stage);
        if counted.contains(&stage) {
            continue;
        }

        counted.push(stage);
        let report = &mut table.query_table(advice.table_index, advice.query).report;
        report.cost.events = report.cost.events.wrapping_add(1);
        if advice.gate.is_open() {
            report.loss.throttled = report.loss.throttled.saturating_add(1);
        }
    }
}

/// Charges the application's work for an event to the queries that look at it.
fn charge_work(set: &WovenSet, ns: u64, table: &mut ThreadTable) {
    charge(set.iter().filter(|advice| looks(advice)), ns, table);
}

/// Charges a time to advice in equal parts.
fn charge<'a>(woven: impl Iterator<Item = &'a WovenAdvice> + Clone, ns: u64, table: &mut ThreadTable) {
    let part = ns / woven.clone().count().max(1) as u64;
    for advice in woven {
        table.query_table(advice.table_index, advice.query).report.cost.add_busy(part);
    }
}

fn whole_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
