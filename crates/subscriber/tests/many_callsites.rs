//! Thousands of callsites: making them known and rebuilding the interest cache takes time in proportion.
//!
//! With `cargo test --release -p pivot-subscriber --test many_callsites -- --nocapture` on one core of an AMD EPYC,
//! a rebuild for 10,000 callsites, which every change of weaving needs, takes 0.5 to 0.6 ms (0.15 ms without the
//! bridge); up to 2.5 ms where neighbours crowd the caches, and 7 ms without optimization. Making one known takes
//! 1 to 2 µs.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::emit;
use pivot_advice::{Advice, BinaryOperator, Expr, Instruction, Value};
use pivot_subscriber::SubscriberBridge;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tracing_core::callsite::{self, Callsite};
use tracing_core::{
    Dispatch, Interest, Kind, Level, Metadata, Subscriber, dispatcher, field, identify_callsite,
};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// A callsite made at run time, and the interest that it was told: 0 never, 1 sometimes, 2 always.
struct Made {
    metadata: OnceLock<Metadata<'static>>,
    interest: AtomicU8,
}

impl Callsite for Made {
    fn set_interest(&self, interest: Interest) {
        let interest = if interest.is_never() { 0 } else { 1 + u8::from(interest.is_always()) };
        self.interest.store(interest, SeqCst);
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.metadata.get().unwrap()
    }
}

/// Makes callsites, ten for each target, one of them a check.
fn make(count: usize) -> Vec<&'static Made> {
    make_of("many", count, |_| Level::DEBUG)
}

/// Makes callsites, ten for each target `name::t<number>`, one of them a check, with levels by their number.
fn make_of(name: &str, count: usize, level: impl Fn(usize) -> Level) -> Vec<&'static Made> {
    let make = |number: usize| {
        let made = Made { metadata: OnceLock::new(), interest: AtomicU8::new(9) };
        let made: &'static Made = Box::leak(Box::new(made));
        let kind = if number % 10 == 9 { Kind::HINT } else { Kind::EVENT };
        let (name, target) = (format!("event {number}").leak(), format!("{name}::t{}", number / 10).leak());

        let fields = field::FieldSet::new(&["n", "message"], identify_callsite!(made));
        let metadata = Metadata::new(name, target, level(number), None, None, None, fields, kind);
        made.metadata.set(metadata).unwrap();
        made
    };
    (0..count).map(make).collect()
}

fn application() -> impl Subscriber + Send + Sync {
    struct Nothing;
    impl<S: Subscriber> Layer<S> for Nothing {}
    Registry::default()
        .with(Nothing.with_filter(LevelFilter::INFO))
        .with(Targets::new().with_target("many", Level::WARN))
}

/// Returns how long it takes to make callsites known.
fn time_to_register(count: usize) -> Duration {
    let made = make(count);
    let start = Instant::now();
    made.into_iter().for_each(|made| callsite::register(made));
    start.elapsed()
}

/// Returns the least that a rebuild of the interest cache takes.
fn time_to_rebuild() -> Duration {
    let once = |_| {
        let start = Instant::now();
        callsite::rebuild_interest_cache();
        start.elapsed()
    };
    (0..7).map(once).min().unwrap()
}

/// The bounds are in proportion, with room for caches that fewer callsites fit into. What grows with the square
/// would take ten times as much.
#[test]
fn ten_thousand_callsites_cost_ten_times_what_a_thousand_do() {
    harness::serially(|| {
        let dispatch = Dispatch::new(SubscriberBridge::new(application()));
        let (first, few, rest, many) = dispatcher::with_default(&dispatch, || {
            let (first, few) = (time_to_register(1_000), time_to_rebuild());
            (first, few, time_to_register(9_000), time_to_rebuild())
        });
        drop(dispatch);
        let bare = dispatcher::with_default(&Dispatch::new(application()), time_to_rebuild);

        println!("rebuild: {few:?} for 1,000, {many:?} for 10,000, {bare:?} without the bridge");
        println!("registration: {first:?} for 1,000, {rest:?} for 9,000 more");
        assert!(many < few * 10 * 6 && many < bare * 20 && rest < first * 9 * 6);
    });
}

/// Returns the advice of a query over `**[level = 'WARN']` at a tracepoint.
fn warnings(tracepoint: &str) -> Advice {
    let mut advice = emit(tracepoint, &["level"]);
    let warn = Expr::Literal(Value::str("WARN"));
    let expr = Expr::binary(BinaryOperator::Equal, Expr::Column(0), warn);
    advice.instructions.insert(1, Instruction::Filter { expr });
    advice
}

#[test]
fn a_condition_on_the_level_weaves_no_callsite_of_another_level() {
    harness::serially(|| {
        dispatcher::with_default(&Dispatch::new(SubscriberBridge::new(application())), || {
            let level = |number: usize| if number.is_multiple_of(4) { Level::WARN } else { Level::DEBUG };
            let made = make_of("levels", 400, level);

            let (early, late) = made.split_at(200);
            early.iter().for_each(|made| callsite::register(*made));

            let sites = made.iter().filter(|made| made.metadata.get().unwrap().is_event());
            let name = |made: &&&'static Made| {
                let metadata = made.metadata.get().unwrap();
                format!("{}::{}", metadata.target(), metadata.name())
            };

            let wanted: Vec<Advice> = sites.clone().map(|made| warnings(&name(&made))).collect();
            assert_eq!(pivot_agent::weave(&wanted), []);
            late.iter().for_each(|made| callsite::register(*made));

            for made in sites {
                let warns = *made.metadata.get().unwrap().level() == Level::WARN;
                assert_eq!(made.interest.load(SeqCst), if warns { 1 } else { 0 }, "{}", name(&made));
            }
        });
    });
}

#[test]
fn of_events_without_a_name_those_of_the_level_are_woven_alone() {
    harness::serially(|| {
        dispatcher::with_default(&Dispatch::new(SubscriberBridge::new(application())), || {
            let evaluated = std::cell::Cell::new(0);
            let text = || {
                evaluated.set(evaluated.get() + 1);
                "text"
            };
            let say = || {
                tracing::debug!(target: "levels::shared", text = text());
                tracing::warn!(target: "levels::shared", text = text());
            };

            pivot_agent::weave(&[warnings("levels::shared")]);
            (0..3).for_each(|_| say());
            assert_eq!((harness::rows(), evaluated.get()), (vec!["WARN".to_owned(); 3], 3));

            pivot_agent::weave(&[emit("levels::shared", &["level"])]);
            say();
            assert_eq!(harness::rows(), ["DEBUG", "WARN"]);
        });
    });
}

#[test]
fn all_callsites_of_a_name_are_woven_and_no_other() {
    harness::serially(|| {
        dispatcher::with_default(&Dispatch::new(SubscriberBridge::new(application())), || {
            let made = make(200);
            made.iter().for_each(|made| callsite::register(*made));
            pivot_agent::weave(&[emit("many::t0::event 7", &[])]);
            let told = |interest| {
                let told = made.iter().filter(move |made| made.interest.load(SeqCst) == interest);
                told.map(|made| made.metadata.get().unwrap())
            };
            assert_eq!(told(2).count(), 0);

            // Asked at each event: a woven one that the application does not want, and checks not asked yet.
            let (events, checks): (Vec<_>, Vec<_>) = told(1).partition(|metadata| metadata.is_event());
            assert_eq!(events.iter().map(|metadata| metadata.name()).collect::<Vec<_>>(), ["event 7"]);
            assert_eq!(checks.len(), 20);
        });
    });
}
