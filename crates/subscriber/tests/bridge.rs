//! What the bridge sees, and what the application's subscriber gets. `tracing_traps` lists the traps that these
//! tests spring.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Counts, emit, rows, under};
use pivot_subscriber::SubscriberBridge;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

/// Returns whether the agent knows a tracepoint.
fn known(tracepoint: &str) -> bool {
    pivot_agent::catalogue().iter().any(|exports| exports.tracepoint == tracepoint)
}

/// Weaves advice that emits these fields.
fn weave(tracepoint: &str, fields: &[&str]) {
    assert_eq!(pivot_agent::weave(&[emit(tracepoint, fields)]), []);
}

#[test]
fn callsites_below_the_subscribers_level_become_known_and_can_be_woven() {
    fn step(bytes: u64) {
        tracing::trace!(name: "step", target: "levels", bytes);
    }

    let counts = Counts::default();
    under(counts.clone(), || {
        step(1);
        assert!(known("levels::step"));
        weave("levels::step", &["bytes", "level"]);
        step(2);
        assert_eq!(rows(), ["2 TRACE"]);
    });
    assert_eq!(counts.seen(), (0, 0, 0), "the application's subscriber got what it does not want");
}

#[test]
fn the_applications_subscriber_gets_the_same_woven_or_not() {
    fn both(n: u64) {
        tracing::info!(name: "loud", target: "same", n);
        tracing::debug!(name: "quiet", target: "same", n);
        let _span = tracing::info_span!(target: "same", "work", n).entered();
        let _span = tracing::debug_span!(target: "same", "detail", n).entered();
    }

    let seen = |advice: &[pivot_advice::Advice]| {
        let counts = Counts::default();
        under(counts.clone(), || {
            both(0);
            pivot_agent::weave(advice);
            (0..3).for_each(both);
        });
        counts.seen()
    };

    let names = ["same::loud", "same::quiet", "same::work@enter", "same::detail@exit", "same::work@exit"];
    let advice: Vec<_> = names.iter().map(|name| emit(name, &["n"])).collect();
    assert_eq!(seen(&[]), (4, 4, 4));
    assert_eq!(seen(&advice), (4, 4, 4));
}

#[test]
fn values_keep_their_types_and_text_is_made_only_where_it_is_observed() {
    struct Costly<'a>(&'a Cell<u32>);
    impl fmt::Debug for Costly<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.set(self.0.get() + 1);
            f.write_str("costly")
        }
    }
    let formatted = Cell::new(0);
    let event = || {
        let shown = format!("x{}", 1);
        tracing::info!(name: "types", target: "t", n = -4, big = u64::MAX, yes = true, half = 0.5, text = "a b",
            %shown, costly = ?Costly(&formatted), unset = tracing::field::Empty, "said {}", 7);
    };
    under(NoSubscriber::default(), || {
        event();
        weave("t::types", &["n", "big", "yes", "half", "text", "shown", "unset", "message"]);
        event();
        assert_eq!(rows(), ["-4 18446744073709551615 true 0.5 a b x1 null said 7"]);
        assert_eq!(formatted.get(), 0);

        weave("t::types", &["costly"]);
        event();
        assert_eq!((rows(), formatted.get()), (vec!["costly".into()], 1));
    });
}

#[test]
fn values_of_every_type_that_tracing_knows_arrive() {
    let error: Box<dyn std::error::Error> = "broken".into();
    let event = || {
        tracing::info!(name: "all", target: "t", wide = -5_i128, unsigned = 6_u128, beyond = u128::MAX,
            bytes = [1_u8, 255].as_slice(), error = error.as_ref(), some = Some(3), none = None::<u64>);
    };

    under(NoSubscriber::default(), || {
        event();
        weave("t::all", &["wide", "unsigned", "beyond", "bytes", "error", "some", "none"]);
        event();
        assert_eq!(rows(), ["-5 6 null 01ff broken 3 null"]);
    });
}

#[test]
fn the_end_of_a_span_knows_what_was_recorded_on_the_way() {
    under(NoSubscriber::default(), || {
        let run = |n: u64| {
            let span = tracing::debug_span!(target: "spans", "query", n, rows = tracing::field::Empty);
            span.in_scope(|| span.record("rows", n * 10));
            drop(span.clone());
        };
        run(1);

        let mut exit = emit("spans::query@exit", &["n", "rows", "level"]);
        exit.query.number = 2;
        pivot_agent::weave(&[emit("spans::query@enter", &["n"]), exit]);
        run(2);
        assert_eq!(rows(), ["2", "2 20 DEBUG"]);
    });
}

#[test]
fn a_span_is_busy_while_it_is_entered() {
    under(NoSubscriber::default(), || {
        let run = |wait: std::time::Duration| {
            let span = tracing::debug_span!(target: "busy", "job");
            span.in_scope(|| std::thread::sleep(wait));
            std::thread::sleep(wait * 3);
        };
        run(std::time::Duration::ZERO);
        weave("busy::job@exit", &["elapsed", "busy", "idle"]);
        run(std::time::Duration::from_millis(5));

        let drained = pivot_agent::drain();
        let key =
            drained.values().next().unwrap().groups.as_ref().unwrap().iter().next().unwrap().key.clone();

        let [elapsed, busy, idle] = [0, 1, 2].map(|i| match key[i] {
            pivot_advice::Value::Duration(ns) => ns,
            ref other => panic!("{other:?} is not a duration"),
        });
        assert!(busy >= 5_000_000 && idle >= 15_000_000 && elapsed == busy + idle, "{key:?}");
    });
}

/// A layer that counts events and spans.
#[derive(Clone, Default)]
struct Seen(Arc<(AtomicU64, AtomicU64)>);

impl<S: Subscriber> Layer<S> for Seen {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.0.0.fetch_add(1, SeqCst);
    }

    fn on_new_span(
        &self,
        _: &tracing_core::span::Attributes<'_>,
        _: &tracing_core::span::Id,
        _: Context<'_, S>,
    ) {
        self.0.1.fetch_add(1, SeqCst);
    }
}

impl Seen {
    fn counts(&self) -> (u64, u64) {
        (self.0.0.load(SeqCst), self.0.1.load(SeqCst))
    }
}

/// `tracing` issue 2519: a filter's decision about one event must not stick to the next span.
#[test]
fn filters_of_single_layers_stay_right_when_a_callsite_they_reject_is_woven() {
    fn work() {
        tracing::debug!(name: "rejected", target: "filters", "passed");
        let _span = tracing::info_span!(target: "filters", "kept").entered();
        tracing::info!(name: "accepted", target: "filters", "passed");
    }

    let counts = |advice: &[pivot_advice::Advice]| {
        let (info, all) = (Seen::default(), Seen::default());
        let inner = Registry::default()
            .with(info.clone().with_filter(LevelFilter::INFO))
            .with(all.clone().with_filter(filter_fn(|metadata| metadata.target() == "filters")));
        under(inner, || {
            work();
            pivot_agent::weave(advice);
            (0..10).for_each(|_| work());
        });
        (info.counts(), all.counts())
    };

    let woven = [emit("filters::rejected", &[]), emit("filters::kept@exit", &[])];
    assert_eq!(counts(&[]), ((11, 11), (22, 11)));
    assert_eq!(counts(&woven), ((11, 11), (22, 11)));
}

#[test]
fn a_global_filter_hides_from_its_layers_what_it_did_before_and_nothing_from_us() {
    fn work() {
        tracing::debug!(name: "hidden", target: "global", n = 1);
        tracing::info!(name: "shown", target: "global", n = 2);
    }

    let seen = Seen::default();
    let inner =
        Registry::default().with(Targets::new().with_target("global", Level::INFO)).with(seen.clone());
    under(inner, || {
        work();
        weave("global::hidden", &["n"]);
        work();
        assert_eq!(rows(), ["1"]);
    });
    assert_eq!(seen.counts(), (2, 0));
}

#[test]
fn others_find_the_subscriber_that_they_look_for() {
    under(Registry::default(), || {
        tracing_core::dispatcher::get_default(|dispatch| {
            assert!(dispatch.downcast_ref::<Registry>().is_some());
            assert!(dispatch.downcast_ref::<SubscriberBridge<Registry>>().is_some());
            assert!(dispatch.downcast_ref::<NoSubscriber>().is_none());
        });
    });
}

#[test]
fn a_span_that_nobody_wants_is_closed_once_and_forgotten() {
    under(Counts::default(), || {
        let open = || tracing::trace_span!(target: "own", "unwanted");
        drop(open());
        weave("own::unwanted@exit", &["level"]);

        let (first, second) = (open(), open());
        let again = first.clone();
        assert_ne!(first.id(), second.id());
        drop(first);
        assert!(rows().is_empty());

        drop(again);
        drop(second);
        assert_eq!(rows(), ["TRACE", "TRACE"]);
    });
}

#[test]
fn records_of_log_are_events_of_their_target() {
    use log::{Log, Record};
    struct Loud(AtomicU64);
    impl Log for Loud {
        fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
            metadata.level() <= log::Level::Info
        }
        fn log(&self, _: &Record<'_>) {
            self.0.fetch_add(1, SeqCst);
        }
        fn flush(&self) {}
    }

    let logger = pivot_subscriber::log::LogBridge(Loud(AtomicU64::new(0)));
    let say = |level| {
        let record = |arguments: fmt::Arguments<'_>| {
            logger.log(&Record::builder().level(level).target("old").line(Some(3)).args(arguments).build());
        };
        record(format_args!("hello {}", level));
    };
    under(NoSubscriber::default(), || {
        say(log::Level::Debug);
        weave("old::log", &["message", "level", "line", "file"]);
        say(log::Level::Debug);
        say(log::Level::Info);
        assert_eq!(rows(), ["hello DEBUG DEBUG 3 null", "hello INFO INFO 3 null"]);
    });
    assert_eq!(logger.0.0.load(SeqCst), 1);
}

#[test]
fn own_fields_called_like_fields_of_every_tracepoint_hide_none_of_them() {
    fn step() {
        tracing::info!(name: "step", target: "named", host = "h", request = 7, timestamp = "t", user = "u");
        drop(tracing::info_span!(target: "named", "work", time = "own", pid = 1, procName = "p"));
    }
    under(NoSubscriber::default(), || {
        step();
        let exported = |tracepoint: &str| {
            let all = pivot_agent::catalogue();
            let found = all.into_iter().find(|exports| exports.tracepoint == tracepoint).unwrap();
            found.fields.into_iter().map(|field| field.name).take(4).collect::<Vec<_>>()
        };
        assert_eq!(exported("named::step"), ["field.host", "field.request", "field.timestamp", "user"]);
        assert_eq!(exported("named::work@exit")[..3], ["field.time", "field.pid", "field.procName"]);

        weave("named::step", &["field.host", "field.request", "field.timestamp", "user", "tracepoint"]);
        step();
        assert_eq!(rows(), ["h 7 t u named::step"]);
        weave("named::step", &["host", "request"]);
        step();
        let host = pivot_agent::identity().host.clone();
        assert_eq!(rows(), [format!("{host} null")]);
        weave("named::work@exit", &["field.time", "field.pid", "pid"]);
        step();
        assert_eq!(rows(), [format!("own 1 {}", std::process::id())]);
    });
}
