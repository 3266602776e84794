//! The traps of bridging `tracing`, and the tests that spring them, here and in the other files.
//!
//! | trap | test |
//! |---|---|
//! | a level for all hides callsites for good | `bridge`: callsites below the subscriber's level |
//! | a filter for all hides them from layers | `bridge`: a global filter; here: every subscriber |
//! | *never* of one layer is *never* for all | `layer`: the layer sees what is woven |
//! | a layer without a filter makes disabled callsites slow | `layer`: callsites that others disabled |
//! | filters keep their answer for the next question (#2519) | `bridge`, `layer`, `global_filters`, here: every subscriber |
//! | callsites register while others ask again (#3269) | `global_subscriber`: callsites register while weaving |
//! | the thread that asks again has another subscriber (#3614) | here and `layer`: weaving on a thread |
//! | a global subscriber is not guarded against itself | `global_subscriber`: an event that a field causes |
//! | several dispatchers turn *always* into *sometimes* | here: a second dispatcher |
//! | filters that are reloaded, layers that are not there (#2413) | here: every subscriber, a filter |
//! | callsites behind `enabled!` are not reached | here: code behind a check |
//! | callsites made at run time | here: callsites made at run time |
//! | a registry's ids use all bits | here: no id of the registry |
//! | others look for their subscriber, and are told their dispatcher | `bridge`: others find; here: learns |
//! | `%x`, `?x` and numbers of all widths | `bridge`: values keep, values of every type |
//! | fields recorded later | `bridge`: the end of a span |
//! | records of `log` have no callsite | `bridge`, `global_subscriber`: records |
//! | two threads inside of one span | `carriers`, `carrier_law` |
//! | a rebuild is linear in callsites | `many_callsites` |
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Counts, emit, rows, under};
use pivot_subscriber::SubscriberBridge;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, Event, Level, Subscriber, dispatcher};
use tracing_subscriber::filter::{DynFilterFn, LevelFilter, Targets, dynamic_filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

/// Returns whether the agent knows a tracepoint.
fn known(tracepoint: &str) -> bool {
    pivot_agent::catalogue().iter().any(|exports| exports.tracepoint == tracepoint)
}

/// A layer that keeps what it sees, in order.
#[derive(Clone, Default)]
struct Seen(Arc<std::sync::Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, what: &str, name: &str) {
        self.0.lock().unwrap().push(format!("{what} {name}"));
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(
        &self,
        attributes: &tracing_core::span::Attributes<'_>,
        _: &tracing_core::span::Id,
        _: Context<'_, S>,
    ) {
        self.note("new", attributes.metadata().name());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let inside = context.event_span(event).map_or("nothing", |span| span.name());
        self.note(event.metadata().name(), inside);
    }

    fn on_close(&self, id: tracing_core::span::Id, context: Context<'_, S>) {
        self.note("close", context.span(&id).map_or("?", |span| span.name()));
    }
}

/// Passes events and spans on all levels, some nested, some behind a check.
fn application() {
    for turn in 0..3 {
        let outer = tracing::info_span!(target: "app::web", "outer", turn).entered();
        tracing::debug!(name: "detail", target: "app::web", "passed");
        tracing::trace_span!(target: "app::db", "deep").in_scope(|| {
            tracing::info!(name: "said", target: "app::db", turn);
            tracing::error!(name: "failed", target: "lib", "passed");
        });

        if tracing::enabled!(target: "lib", Level::DEBUG) {
            tracing::debug!(name: "asked", target: "lib", "passed");
        }
        let span = tracing::debug_span!(target: "lib", "handed on");
        let again = span.clone();
        drop(span);
        again.in_scope(|| tracing::warn!(name: "inside", target: "app::db", "passed"));
        drop(outer);
    }
}

type Stack = fn(Seen, Seen) -> Dispatch;

/// Subscribers that applications have. Each is made twice: bare, and wrapped.
const STACKS: [(&str, Stack, Stack); 8] = {
    macro_rules! stack {
        ($name:expr, |$a:ident, $b:ident| $subscriber:expr) => {
            (
                $name,
                |$a: Seen, $b: Seen| Dispatch::new($subscriber),
                |$a: Seen, $b: Seen| Dispatch::new(SubscriberBridge::new($subscriber)),
            )
        };
    }
    /// Passes what is inside of the span `outer`. As an `EnvFilter` with a span in it, it is asked each time.
    fn inside_outer<S: Subscriber + for<'a> LookupSpan<'a>>() -> DynFilterFn<S> {
        dynamic_filter_fn(|metadata, context| {
            let inside = || context.lookup_current().is_some_and(|span| span.name() == "outer");
            *metadata.level() <= Level::WARN || metadata.name() == "outer" || inside()
        })
    }
    fn only(target: &str) -> Targets {
        Targets::new().with_target(target, Level::TRACE)
    }
    [
        stack!("two layers", |a, b| Registry::default().with(a).with(b)),
        stack!("a level for all", |a, b| Registry::default().with(a).with(LevelFilter::INFO).with(b)),
        stack!("targets for all", |a, b| {
            let targets = Targets::new().with_target("app", Level::DEBUG).with_target("lib", Level::WARN);
            Registry::default().with(targets).with(a).with(b)
        }),
        stack!("a filter for all that depends on spans", |a, b| {
            Registry::default().with(a).with(inside_outer()).with(b)
        }),
        stack!("filters of single layers", |a, b| {
            Registry::default().with(a.with_filter(LevelFilter::INFO)).with(b.with_filter(inside_outer()))
        }),
        stack!("filters that agree", |a, b| {
            Registry::default().with(a.with_filter(only("app::db"))).with(b.with_filter(only("app::db")))
        }),
        stack!("a filter and a layer without one", |a, b| {
            Registry::default().with(a.with_filter(only("lib"))).with(b)
        }),
        stack!("a layer that is not there, and one behind reload", |a, b| {
            let (layer, _) = reload::Layer::new(b.with_filter(LevelFilter::DEBUG));
            Registry::default().with(layer).with(None::<LevelFilter>).with(a.with_filter(LevelFilter::WARN))
        }),
    ]
};

const NAMES: [&str; 5] =
    ["app::web::detail", "app::db::said", "lib::failed", "lib::asked", "app::db::inside"];

#[test]
fn every_subscriber_sees_the_same_with_us_and_without_woven_or_not() {
    let spans = ["app::web::outer", "app::db::deep", "lib::handed on"];
    let ends = spans.iter().flat_map(|name| [format!("{name}@enter"), format!("{name}@exit")]);
    let woven: Vec<_> = NAMES.iter().map(|name| name.to_string()).chain(ends).collect();
    let woven: Vec<_> = woven.iter().map(|name| emit(name, &["level"])).collect();

    for (name, bare, wrapped) in STACKS {
        let run = |stack: Stack, advice: &[pivot_advice::Advice]| {
            let (a, b) = (Seen::default(), Seen::default());
            let seen = (a.clone(), b.clone());
            harness::serially(|| {
                dispatcher::with_default(&stack(a, b), || {
                    application();
                    drop((seen.0.taken(), seen.1.taken()));
                    pivot_agent::weave(advice);
                    application();
                });
            });
            (seen.0.taken(), seen.1.taken())
        };

        let expected = run(bare, &[]);
        assert_eq!(run(wrapped, &[]), expected, "{name}, nothing woven");
        assert_eq!(run(wrapped, &woven), expected, "{name}, everything woven");
    }
}

#[test]
fn a_filter_that_is_reloaded_is_asked_again() {
    fn say() {
        tracing::debug!(name: "say", target: "reloaded", "passed");
    }
    let seen = Seen::default();
    let (filter, handle) = reload::Layer::new(LevelFilter::INFO);
    let inner = Registry::default().with(seen.clone().with_filter(filter));
    under(inner, || {
        say();
        assert_eq!(seen.taken(), [""; 0]);

        handle.modify(|filter| *filter = LevelFilter::DEBUG).unwrap();
        say();
        assert_eq!(seen.taken(), ["say nothing"]);

        handle.modify(|filter| *filter = LevelFilter::OFF).unwrap();
        say();
        assert_eq!(seen.taken(), [""; 0]);
    });
}

/// In a process that has made one dispatcher, `tracing` asks the default of the thread that weaves.
#[test]
fn weaving_on_a_thread_without_a_subscriber_takes_nothing_from_the_one_that_has() {
    fn say(n: u64) {
        tracing::info!(name: "say", target: "one", n);
    }

    let counts = Counts::default();
    under(counts.clone(), || {
        say(1);
        std::thread::scope(|s| drop(s.spawn(|| pivot_agent::weave(&[emit("one::say", &["n"])])).join()));
        say(2);
        assert_eq!(rows(), ["2"]);
    });
    assert_eq!(counts.seen().0, 2);
}

/// With a second dispatcher, whoever says *never*, callsites ask each time.
#[test]
fn a_second_dispatcher_takes_nothing_from_us() {
    fn say(n: u64) {
        tracing::debug!(name: "say", target: "second", n);
        let _span = tracing::debug_span!(target: "second", "work", n).entered();
    }

    let second = Dispatch::new(NoSubscriber::default());
    let counts = Counts::default();
    under(counts.clone(), || {
        say(1);
        pivot_agent::weave(&[emit("second::say", &["n"]), emit("second::work@exit", &["n"])]);
        say(2);
        dispatcher::with_default(&second, || say(3));
        assert_eq!(rows(), ["2"; 2]);
    });
    assert_eq!(counts.seen().0, 0);
}

#[test]
fn code_behind_a_check_becomes_known_and_is_reached_while_it_is_woven() {
    let reached = AtomicU64::new(0);
    let ask = |n: u64| {
        if tracing::enabled!(target: "hint", Level::DEBUG) {
            reached.fetch_add(1, SeqCst);
            tracing::debug!(target: "hint", n, "behind");
        }
    };
    let counts = Counts::default();
    under(counts.clone(), || {
        (0..5).for_each(ask);
        assert!(known("hint") && reached.swap(0, SeqCst) == 1, "the answer is yes once");

        pivot_agent::weave(&[emit("hint", &["n"])]);
        (5..7).for_each(ask);
        assert_eq!((rows(), reached.swap(0, SeqCst)), (vec!["5".into(), "6".into()], 2));
        pivot_agent::weave(&[]);
        ask(7);
        assert_eq!(reached.load(SeqCst), 0);
    });
    assert_eq!(counts.seen().0, 0);
}

#[test]
fn code_behind_a_check_is_woven_when_it_is_reached_for_the_first_time() {
    let ask = |n: u64| {
        if tracing::enabled!(target: "early", Level::TRACE) {
            tracing::trace!(target: "early", n, "behind");
        }
    };
    under(NoSubscriber::default(), || {
        pivot_agent::weave(&[emit("early", &["n"])]);
        (0..3).for_each(ask);
        assert_eq!(rows(), ["0", "1", "2"]);
    });
}

#[test]
fn callsites_made_at_run_time_are_tracepoints() {
    use tracing_core::{Interest, Kind, Metadata, callsite, field, identify_callsite};
    struct Made(std::sync::OnceLock<Metadata<'static>>);
    impl callsite::Callsite for Made {
        fn set_interest(&self, _: Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            self.0.get().unwrap()
        }
    }
    let made: &'static Made = Box::leak(Box::new(Made(std::sync::OnceLock::new())));
    let fields = field::FieldSet::new(&["n"], identify_callsite!(made));
    let metadata = Metadata::new("made", "runtime", Level::DEBUG, None, None, None, fields, Kind::EVENT);
    made.0.set(metadata).unwrap();
    under(NoSubscriber::default(), || {
        callsite::register(made);
        assert!(known("runtime::made"));
        pivot_agent::weave(&[emit("runtime::made", &["n", "target"])]);

        let metadata = callsite::Callsite::metadata(made);
        let n = metadata.fields().field("n").unwrap();
        Event::dispatch(metadata, &metadata.fields().value_set(&[(&n, Some(&7_u64 as &dyn field::Value))]));
        assert_eq!(rows(), ["7 runtime"]);
    });
}

#[test]
fn events_without_a_name_share_the_tracepoint_of_their_target() {
    under(NoSubscriber::default(), || {
        let say = || {
            tracing::info!(target: "shared", a = 1, "first");
            tracing::warn!(target: "shared", b = 2, "second");
        };
        say();
        assert_eq!(pivot_agent::weave(&[emit("shared", &["message", "a", "b", "level"])]), []);
        say();
        assert_eq!(rows(), ["first 1 null INFO", "second null 2 WARN"]);
    });
}

#[test]
fn a_span_that_began_before_it_was_woven_does_not_end() {
    under(NoSubscriber::default(), || {
        let open = |n: u64| tracing::info_span!(target: "early span", "work", n);
        drop(open(0));

        let before = open(1);
        pivot_agent::weave(&[emit("early span::work@exit", &["n"])]);
        drop(open(2));
        drop(before);
        assert_eq!(rows(), ["2"]);
    });
}

/// A registry uses all bits of an id once a place in its memory was used often.
#[test]
fn no_id_of_the_registry_is_taken_for_one_of_ours() {
    let seen = Seen::default();
    under(Registry::default().with(seen.clone()), || {
        (0..10_000).for_each(|_| drop(tracing::info_span!(target: "ids", "span")));
        let closed = seen.taken().iter().filter(|what| *what == "close span").count();
        assert_eq!(closed, 10_000);
    });
}

#[test]
fn the_applications_subscriber_learns_its_dispatcher() {
    struct Learns(Arc<AtomicU64>);
    impl<S: Subscriber> Layer<S> for Learns {
        fn on_register_dispatch(&self, _: &Dispatch) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let times = Arc::new(AtomicU64::new(0));
    under(Registry::default().with(Learns(times.clone())), || assert_eq!(times.load(SeqCst), 1));
}
