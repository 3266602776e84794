//! The bridge as applications use it: one global subscriber, woven from a thread of the agent.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Counts, emit, rows};

/// Passes an event.
fn step() {
    tracing::debug!(name: "step", target: "global", n = 1);
}

/// Held by each test: weaving is global to the process.
static SERIAL: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn weaving_on_another_thread_reaches_callsites_everywhere() {
    let _serial = SERIAL.lock().unwrap();
    let counts = installed();
    let before = counts.seen().0;
    step();

    let weave =
        |advice: Vec<pivot_advice::Advice>| std::thread::spawn(move || pivot_agent::weave(&advice)).join();
    assert_eq!(weave(vec![emit("global::step", &["n"])]).unwrap(), []);
    step();
    std::thread::spawn(step).join().unwrap();
    weave(vec![]).unwrap();
    step();
    assert_eq!(rows(), ["1", "1"]);
    assert_eq!(counts.seen().0, before);
}

/// Returns the application's subscriber, which the first test installs.
fn installed() -> Counts {
    static COUNTS: std::sync::OnceLock<Counts> = std::sync::OnceLock::new();
    let install = || {
        let counts = Counts::default();
        pivot_subscriber::install(counts.clone()).unwrap();
        assert!(pivot_subscriber::install(Counts::default()).is_err());
        counts
    };
    COUNTS.get_or_init(install).clone()
}

/// `tracing` does not guard a global subscriber against events that its own events cause. The agent does.
#[test]
fn an_event_that_a_field_causes_does_not_recur() {
    struct Chatty;
    impl std::fmt::Debug for Chatty {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            say();
            f.write_str("chatty")
        }
    }
    fn say() {
        tracing::trace!(name: "say", target: "recur", who = ?Chatty);
    }

    let _serial = SERIAL.lock().unwrap();
    installed();
    say();
    pivot_agent::weave(&[emit("recur::say", &["who"])]);
    let before = pivot_agent::skipped_events();
    say();
    pivot_agent::weave(&[]);
    assert_eq!((rows(), pivot_agent::skipped_events() - before), (vec!["chatty".into()], 1));
}

/// `tracing` issue 3269: callsites register while others reweave, without a deadlock.
#[test]
fn callsites_register_while_weaving_changes() {
    let _serial = SERIAL.lock().unwrap();
    installed();

    let rounds = 200;
    std::thread::scope(|threads| {
        threads.spawn(|| {
            (0..rounds).for_each(|_| {
                pivot_agent::weave(&[emit("storm::a", &[]), emit("storm::b", &[])]);
                pivot_agent::weave(&[]);
            });
        });
        for thread in 0..2 {
            threads.spawn(move || {
                for _ in 0..rounds {
                    tracing::info!(name: "a", target: "storm", "passed");
                    let _span = tracing::debug_span!(target: "storm", "b", thread).entered();
                    std::thread::scope(|inner| {
                        inner.spawn(|| tracing::trace!(name: "c", target: "storm", "passed"));
                    });
                }
            });
        }
    });
    pivot_agent::drain();
}

/// Installing replaces `tracing_subscriber`'s `init`, which hands records on too. The application's subscriber
/// is asked about the record's own target.
#[test]
fn records_are_events_of_ours_and_reach_the_applications_subscriber() {
    let say = |level, n: u64| log::log!(target: "elder", level, "record {n}");
    let _serial = SERIAL.lock().unwrap();
    let counts = installed();
    say(log::Level::Debug, 0);

    pivot_agent::weave(&[emit("elder::log", &["message", "level", "target"])]);
    let before = counts.seen().0;
    say(log::Level::Debug, 1);
    say(log::Level::Info, 2);
    pivot_agent::weave(&[]);
    assert_eq!(rows(), ["record 1 DEBUG elder", "record 2 INFO elder"]);
    assert_eq!(counts.seen().0 - before, 1);
}

#[test]
fn a_question_about_records_is_answered_yes_once_and_while_they_are_woven() {
    let asked = || log::log_enabled!(target: "doubt", log::Level::Trace);
    let _serial = SERIAL.lock().unwrap();
    installed();
    let first = (0..9).filter(|_| asked()).count();
    assert!((1..3).contains(&first) && !asked());

    log::trace!(target: "doubt", "known");
    pivot_agent::weave(&[emit("doubt::log", &[])]);
    assert!(asked());
    pivot_agent::weave(&[]);
    assert!(!asked());
}
