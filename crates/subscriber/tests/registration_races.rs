//! Callsites that register while weaving changes are on in the end if they are woven, and off if not.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::emit;
use pivot_advice::Advice;
use pivot_subscriber::{SubscriberBridge, layer};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, OnceLock};
use std::time::Duration;
use tracing_core::callsite::{self, Callsite};
use tracing_core::{
    Dispatch, Interest, Kind, Level, Metadata, Subscriber, dispatcher, field, identify_callsite,
};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// A callsite that is slow to store the first interest that it is told.
struct Made {
    name: String,
    metadata: OnceLock<Metadata<'static>>,
    told: AtomicBool,
    /// Called the first time, between being told and storing it.
    slow: fn(),
    interest: AtomicU8,
}

impl Callsite for Made {
    fn set_interest(&self, interest: Interest) {
        if !self.told.swap(true, SeqCst) {
            (self.slow)();
        }
        let interest = if interest.is_never() { 0 } else { 1 + u8::from(interest.is_always()) };
        self.interest.store(interest, SeqCst);
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.metadata.get().unwrap()
    }
}

/// Makes a callsite.
fn make(target: &'static str, slow: fn()) -> &'static Made {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let event: &'static str = format!("event {}", NUMBER.fetch_add(1, SeqCst)).leak();
    let interest = AtomicU8::new(9);
    let name = format!("{target}::{event}");
    let made = Made { name, metadata: OnceLock::new(), told: AtomicBool::new(false), slow, interest };

    let made: &'static Made = Box::leak(Box::new(made));
    let fields = field::FieldSet::new(&["message"], identify_callsite!(made));
    let metadata = Metadata::new(event, target, Level::DEBUG, None, None, None, fields, Kind::EVENT);
    made.metadata.set(metadata).unwrap();
    made
}

/// Returns a subscriber that wants nothing of these callsites.
fn application() -> impl Subscriber + Send + Sync {
    struct Nothing;
    impl<S: Subscriber> Layer<S> for Nothing {}
    Registry::default().with(Nothing.with_filter(LevelFilter::INFO))
}

/// Governs, as an uplink does about every second.
fn govern() {
    pivot_agent::govern(&BTreeMap::new(), 1_000_000_000);
}

/// Makes a callsite known to a dispatcher.
fn register(dispatch: &Dispatch, made: &'static Made) {
    dispatcher::with_default(dispatch, || callsite::register(made));
}

/// Registers a callsite that is woven between being told its interest and storing it.
fn check_overtaken(dispatch: &Dispatch) {
    static STEPS: Barrier = Barrier::new(2);
    let made = make("race::overtaken", || {
        STEPS.wait();
        STEPS.wait();
    });
    std::thread::scope(|scope| {
        scope.spawn(|| register(dispatch, made));
        STEPS.wait();
        pivot_agent::weave(&[emit(&made.name, &[])]);
        STEPS.wait();
    });

    assert_ne!(made.interest.load(SeqCst), 0, "it is woven, so it must not be off");
    (0..2).for_each(|_| govern());
    assert_eq!(made.interest.load(SeqCst), 1);
    pivot_agent::weave(&[]);
    assert_eq!(made.interest.load(SeqCst), 0);
}

#[test]
fn a_callsite_that_is_woven_while_it_becomes_known_is_on() {
    harness::serially(|| {
        govern();
        check_overtaken(&Dispatch::new(SubscriberBridge::new(application())));
        let by_hand = Registry::default().with(layer());
        check_overtaken(&Dispatch::new(by_hand));
    });
}

#[test]
fn whatever_becomes_known_while_weaving_goes_on_is_woven_in_the_end() {
    const THREADS: usize = 4;
    harness::serially(|| {
        govern();
        let slow = || std::thread::sleep(Duration::from_millis(8));
        let made: Vec<&'static Made> = (0..THREADS * 40).map(|_| make("race::many", slow)).collect();
        let wanted: Vec<Advice> = made.iter().map(|made| emit(&made.name, &[])).collect();
        let dispatch = Dispatch::new(SubscriberBridge::new(application()));
        let known = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for some in made.chunks(made.len() / THREADS) {
                scope.spawn(|| {
                    some.iter().for_each(|made| {
                        register(&dispatch, made);
                        known.fetch_add(1, SeqCst);
                    });
                });
            }
            while known.load(SeqCst) < made.len() / 2 {
                pivot_agent::weave(&[]);
                // Some are told that they are off, and are slow to store it.
                std::thread::sleep(Duration::from_millis(4));
                pivot_agent::weave(&wanted);
            }
        });

        assert!(made.iter().all(|made| made.interest.load(SeqCst) != 0));
        (0..2).for_each(|_| govern());
        assert!(made.iter().all(|made| made.interest.load(SeqCst) == 1));
    });
}

#[test]
fn a_callsite_that_nobody_wants_is_asked_about_again_and_then_off() {
    harness::serially(|| {
        govern();
        let made = make("race::idle", || ());
        let dispatch = Dispatch::new(SubscriberBridge::new(application()));
        register(&dispatch, made);
        let enabled = dispatcher::with_default(&dispatch, || {
            dispatcher::get_default(|dispatch| dispatch.enabled(made.metadata()))
        });
        assert_eq!((made.interest.load(SeqCst), enabled), (1, false));
        govern();
        assert_eq!(made.interest.load(SeqCst), 0);

        // Without an agent nobody would ask again.
        pivot_agent::stop_governing();
        let alone = make("race::idle", || ());
        register(&dispatch, alone);
        assert_eq!(alone.interest.load(SeqCst), 0);
    });
}

#[test]
fn what_became_known_last_is_off_when_the_agent_has_gone() {
    harness::serially(|| {
        govern();
        let made = make("race::last", || ());
        let dispatch = Dispatch::new(SubscriberBridge::new(application()));
        register(&dispatch, made);
        assert_eq!(made.interest.load(SeqCst), 1);
        pivot_agent::stop_governing();
        assert_eq!(made.interest.load(SeqCst), 0);
    });
}
