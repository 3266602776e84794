//! What applications do only if somebody wants the event: governed and charged as the event is.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Counts, emit, serially, under};
use log::Log;
use pivot_agent::QueryReport;
use pivot_subscriber::{SubscriberBridge, layer};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Once;
use std::time::{Duration, Instant};
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, Level, Subscriber, dispatcher};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

/// A logger that wants warnings.
struct Warnings;

impl Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }
    fn log(&self, _: &log::Record<'_>) {}
    fn flush(&self) {}
}

/// Runs with a subscriber and a logger that do not want what is asked for, and with nothing woven.
fn unwanted(run: impl FnOnce()) {
    static LOGGER: Once = Once::new();
    serially(|| {
        LOGGER.call_once(|| pivot_subscriber::log::install(Warnings).unwrap());
        dispatcher::with_default(&Dispatch::new(SubscriberBridge::new(NoSubscriber::default())), run);
    });
}

/// Dear work, counted.
struct Dear {
    calls: Cell<u64>,
    takes: Duration,
}

impl Dear {
    fn new(takes: Duration) -> Dear {
        Dear { calls: Cell::new(0), takes }
    }

    fn work(&self) -> &'static str {
        self.calls.set(self.calls.get() + 1);
        let start = Instant::now();
        while start.elapsed() < self.takes {}
        "select 1"
    }

    fn taken(&self) -> u64 {
        self.calls.replace(0)
    }
}

/// A layer of the application's.
struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {}

/// A library that works for a record only if somebody wants it: by the name of its tracepoint.
type Library = (&'static str, fn(&Dear));

const LIBRARIES: [Library; 4] = [
    ("db::log", |dear| {
        if log::log_enabled!(target: "db", log::Level::Info) {
            log::info!(target: "db", "{}", dear.work());
        }
    }),
    ("asked", |dear| {
        if tracing::enabled!(target: "asked", Level::DEBUG) {
            let sql = dear.work();
            tracing::debug!(target: "asked", sql);
        }
    }),
    ("asked as event", |dear| {
        if tracing::event_enabled!(target: "asked as event", Level::DEBUG) {
            let sql = dear.work();
            tracing::debug!(target: "asked as event", sql);
        }
    }),
    ("in the macro", |dear| tracing::debug!(target: "in the macro", sql = dear.work())),
];

fn part() -> QueryReport {
    let mut drained = pivot_agent::drain();
    drained.remove(&emit("", &[]).query).unwrap_or_else(QueryReport::empty)
}

/// Has the library's records become known, and weaves at them.
fn weave(library: Library, dear: &Dear) {
    weave_observing(library, "level", dear);
}

fn weave_observing(library: Library, field: &str, dear: &Dear) {
    (0..4).for_each(|_| library.1(dear));
    assert_eq!(pivot_agent::weave(&[emit(library.0, &[field])]), []);
    dear.taken();
}

/// Returns what a query that observes a field is charged for `events` of a library's records that take so long.
fn charged(library: Library, field: &str, takes: Duration, events: u32) -> Duration {
    let mut dear = Dear::new(Duration::from_micros(50));
    weave_observing(library, field, &dear);
    // What macros ask is timed as events are: one in many, until one takes long.
    (0..100).for_each(|_| library.1(&dear));
    part();

    dear.takes = takes;
    (0..events).for_each(|_| library.1(&dear));
    Duration::from_nanos(part().cost.busy_ns)
}

#[test]
fn every_event_is_made_while_a_query_looks_at_all_of_them_and_none_otherwise() {
    for library in LIBRARIES {
        unwanted(|| {
            let dear = Dear::new(Duration::ZERO);
            weave(library, &dear);
            (0..100).for_each(|_| library.1(&dear));
            assert_eq!((dear.taken(), part().emitted), (100, 100), "{}", library.0);

            pivot_agent::weave(&[]);
            (0..100).for_each(|_| library.1(&dear));
            assert_eq!(dear.taken(), 0, "{}", library.0);
        });
    }
}

#[test]
fn a_throttled_query_has_only_those_events_made_that_it_looks_at() {
    const TURNS: u64 = 8_000;
    for library in LIBRARIES {
        unwanted(|| {
            let dear = Dear::new(Duration::ZERO);
            weave(library, &dear);
            pivot_agent::sample_one_in(emit("", &[]).query, 16);
            (0..TURNS).for_each(|_| library.1(&dear));

            // Decided once: each event that was made is looked at. The others are counted as left out.
            let (made, part) = (dear.taken(), part());
            assert_eq!(part.emitted, made, "{}", library.0);
            assert_eq!((part.cost.events, part.loss.throttled), (TURNS, TURNS - made), "{}", library.0);
            assert!((TURNS / 32..TURNS / 8).contains(&made), "{}: {made} of {TURNS}", library.0);
        });
    }
}

/// A layer cannot keep the application from making an event, but what it looks at is decided once, too.
#[test]
fn behind_a_layer_each_event_is_decided_about_once() {
    const TURNS: u64 = 4_000;
    for library in &LIBRARIES[1..] {
        let stack = Registry::default().with(Nothing.with_filter(LevelFilter::INFO)).with(layer());
        serially(|| {
            dispatcher::with_default(&Dispatch::new(stack), || {
                let dear = Dear::new(Duration::ZERO);
                weave(*library, &dear);
                pivot_agent::sample_one_in(emit("", &[]).query, 16);
                (0..TURNS).for_each(|_| library.1(&dear));

                let part = part();
                let looked_at = part.emitted;
                assert_eq!((part.cost.events, part.loss.throttled), (TURNS, TURNS - looked_at));
                assert!((TURNS / 32..TURNS / 8).contains(&looked_at), "{}: {looked_at}", library.0);
            });
        });
    }
}

#[test]
fn work_for_an_event_is_charged_to_the_query_that_looks_and_at_most_so_much() {
    const EVENTS: u32 = 20;
    for library in LIBRARIES {
        unwanted(|| {
            let takes = Duration::from_millis(2);
            assert!(charged(library, "level", takes, EVENTS) >= takes * EVENTS, "{}", library.0);
            let capped = charged(library, "level", Duration::from_millis(30), EVENTS);
            assert!(capped >= Duration::from_millis(10) * EVENTS, "{}: {capped:?}", library.0);
            assert!(capped < Duration::from_millis(20) * EVENTS, "{}: {capped:?}", library.0);
        });
    }
}

/// A value that is dear to format.
struct DearText<'a>(&'a Dear);

impl fmt::Debug for DearText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.work())
    }
}

/// Makes a span with a field that is dear to evaluate.
fn span_of_expression(dear: &Dear) {
    tracing::debug_span!(target: "dear", "expression", sql = dear.work());
}

/// Makes a span with a field that is dear to format.
fn span_of_text(dear: &Dear) {
    tracing::debug_span!(target: "dear", "text", sql = ?DearText(dear));
}

/// Makes a span, and records such a field later.
fn span_that_records(dear: &Dear) {
    let span = tracing::debug_span!(target: "dear", "recorded", sql = tracing::field::Empty);
    span.record("sql", tracing::field::debug(DearText(dear)));
}

const SPANS: [Library; 5] = [
    ("dear::expression@enter", span_of_expression),
    ("dear::expression@exit", span_of_expression),
    ("dear::text@enter", span_of_text),
    ("dear::text@exit", span_of_text),
    ("dear::recorded@exit", span_that_records),
];

#[test]
fn what_the_fields_of_a_span_take_is_charged_to_the_query_that_looks() {
    const SPANS_MADE: u32 = 20;
    for span in SPANS {
        unwanted(|| {
            let takes = Duration::from_millis(2);
            let charged = charged(span, "sql", takes, SPANS_MADE);
            assert!(charged >= takes * SPANS_MADE, "{}: {charged:?}", span.0);
        });
    }
}

#[test]
fn fields_of_spans_that_the_application_wants_are_charged_to_nobody() {
    let span: Library = ("wanted::span@enter", |dear| {
        tracing::info_span!(target: "wanted", "span", sql = dear.work());
    });
    under(Counts::default(), || {
        let charged = charged(span, "level", Duration::from_millis(2), 20);
        assert!(charged < Duration::from_millis(20), "{charged:?}");
    });
}

/// Returns what a query is charged for spans of a level behind [`layer`], beside another layer.
fn charged_behind_a_layer<L>(beside: L, span: Library, takes: Duration, spans: u32) -> Duration
where
    L: Layer<Registry> + Send + Sync,
{
    let mut found = Duration::ZERO;
    let stack = Registry::default().with(beside).with(layer());
    serially(|| {
        dispatcher::with_default(&Dispatch::new(stack), || found = charged(span, "level", takes, spans));
    });
    found
}

#[test]
fn behind_a_layer_the_fields_of_spans_that_no_other_layer_wants_are_charged() {
    const SPANS_MADE: u32 = 20;
    let span: Library = ("layered::span@enter", |dear| {
        tracing::debug_span!(target: "layered", "span", sql = dear.work());
    });
    let takes = Duration::from_millis(2);

    let charged = charged_behind_a_layer(Nothing.with_filter(LevelFilter::INFO), span, takes, SPANS_MADE);
    assert!(charged >= takes * SPANS_MADE, "{charged:?}");
    let charged = charged_behind_a_layer(Nothing.with_filter(LevelFilter::DEBUG), span, takes, SPANS_MADE);
    assert!(charged < takes * SPANS_MADE / 2, "wanted by a filter: {charged:?}");
    let charged = charged_behind_a_layer(Nothing, span, takes, SPANS_MADE);
    assert!(charged < takes * SPANS_MADE / 2, "wanted by a layer without a filter: {charged:?}");
}

/// A query that has a library do dear work is throttled and then rests, as by work of its own.
#[test]
fn dear_work_ends_after_one_second_because_it_is_part_of_the_querys_budget() {
    const TURNS: u64 = 400;
    for library in LIBRARIES {
        unwanted(|| {
            let dear = Dear::new(Duration::from_micros(500));
            weave(library, &dear);

            let second = || {
                let start = Instant::now();
                (0..TURNS).for_each(|_| library.1(&dear));
                let costs: BTreeMap<_, _> =
                    pivot_agent::drain().into_iter().map(|(query, part)| (query, part.cost)).collect();
                pivot_agent::govern(&costs, u64::try_from(start.elapsed().as_nanos()).unwrap());
                dear.taken()
            };
            let made: Vec<u64> = (0..8).map(|_| second()).collect();
            assert_eq!(made[0], TURNS, "{}", library.0);
            assert!(made[1..].iter().sum::<u64>() <= TURNS / 10, "{}: {made:?}", library.0);
            pivot_agent::stop_governing();
        });
    }
}

#[test]
fn work_that_the_application_wants_to_do_anyway_is_charged_to_nobody() {
    unwanted(|| {
        let dear = Dear::new(Duration::from_millis(2));
        let library = || {
            if log::log_enabled!(target: "wanted", log::Level::Warn) {
                log::warn!(target: "wanted", "{}", dear.work());
            }
        };
        library();
        pivot_agent::weave(&[emit("wanted::log", &["level"])]);
        pivot_agent::sample_one_in(emit("", &[]).query, 4);
        (0..200).for_each(|_| library());

        let part = part();
        assert_eq!(dear.taken(), 201);
        assert_eq!(part.emitted + part.loss.throttled, 200);
        assert!(Duration::from_nanos(part.cost.busy_ns) < Duration::from_millis(2) * 50);
    });
}

fn in_a_request(ask: fn() -> bool) -> bool {
    let _request = pivot_baggage::enter_request(None);
    ask()
}

/// A question in one request must not decide about the event of another.
#[test]
fn a_question_without_its_event_does_not_decide_about_later_ones() {
    const WEIGHT: u32 = 16;
    unwanted(|| {
        let dear = Dear::new(Duration::ZERO);
        for (name, ask) in [
            ("db::log", (|| log::log_enabled!(target: "db", log::Level::Info)) as fn() -> bool),
            ("asked", || tracing::enabled!(target: "asked", Level::DEBUG)),
        ] {
            let library = *LIBRARIES.iter().find(|library| library.0 == name).unwrap();
            weave(library, &dear);
            pivot_agent::sample_one_in(emit("", &[]).query, WEIGHT);

            let mut looked_at = 0;
            for _ in 0..400 {
                while !in_a_request(ask) {}
                part();
                let _other = pivot_baggage::enter_request(None);
                match name {
                    "db::log" => log::info!(target: "db", "unasked"),
                    _ => tracing::debug!(target: "asked", "unasked"),
                }
                looked_at += part().emitted;
            }
            assert!(looked_at < 100, "{name}: {looked_at} of 400");
        }
    });
}

/// As when a task's poll has ended: its question is about nothing that comes later on the thread.
#[test]
fn a_question_in_a_span_ends_with_the_span() {
    unwanted(|| {
        let dear = Dear::new(Duration::ZERO);
        weave(LIBRARIES[1], &dear);
        let request = || tracing::error_span!(target: "tower_http::trace::make_span", "request");
        assert!(request().in_scope(|| tracing::enabled!(target: "asked", Level::DEBUG)));
        let slow = Instant::now();
        while slow.elapsed() < Duration::from_millis(5) {}
        tracing::debug!(target: "asked", "later");

        let part = part();
        assert_eq!(part.emitted, 1);
        assert!(Duration::from_nanos(part.cost.busy_ns) < Duration::from_millis(5), "charged for the pause");
    });
}

/// A check that is never followed by an event is decided anew each time, and not for its first answer.
#[test]
fn a_check_whose_event_never_comes_is_throttled_as_well() {
    unwanted(|| {
        let dear = Dear::new(Duration::ZERO);
        weave(LIBRARIES[1], &dear);
        pivot_agent::sample_one_in(emit("", &[]).query, 64);
        let ask = || tracing::enabled!(target: "asked", Level::DEBUG);
        let yes = (0..6_400).filter(|_| ask()).count();
        assert!((30..300).contains(&yes), "{yes} of 6,400");
    });
}
