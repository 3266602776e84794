//! `#[tracepoints]` fires once at each end of a function, whatever way it ends.
#![cfg(feature = "runtime")]
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{block_on, check};
use pivot_advice::Value;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

#[pivot::tracepoints("Doc.parse", fields(text: String = text.to_owned()))]
fn parse(text: &str) -> Result<u64, std::num::ParseIntError> {
    if text.is_empty() {
        return Ok(0);
    }
    let number: u64 = text.parse()?;
    Ok(number)
}

#[pivot::tracepoints("Doc.wait")]
async fn wait(times: u32) -> u32 {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
    times
}

#[pivot::tracepoints("Doc.fail")]
fn fail() {
    panic!("on purpose");
}

struct Reader;

impl Reader {
    #[pivot::tracepoints("Doc.method", fields(bytes: u64 = bytes))]
    fn read(&mut self, bytes: u64) -> u64 {
        bytes * 2
    }
}

trait Store {
    fn get(&self, key: &str) -> Option<u64>;
}

impl Store for Reader {
    #[pivot::tracepoints("Doc.trait", fields(key: &str = key, sensitive(secret): &str = key))]
    fn get(&self, key: &str) -> Option<u64> {
        (!key.is_empty()).then_some(7)
    }
}

#[pivot::tracepoints("Doc.generic", fields(value = %value))]
async fn generic<T: std::fmt::Display + Send>(value: T) -> Result<T, String> {
    tokio::task::yield_now().await;
    if value.to_string().is_empty() { Err("empty".into()) } else { Ok(value) }
}

static EVALUATED: AtomicU64 = AtomicU64::new(0);

/// Counts how often a field is evaluated.
fn evaluated() -> u64 {
    EVALUATED.fetch_add(1, SeqCst)
}

#[pivot::tracepoints("Doc.lazy", fields(seen: u64 = evaluated(), inverse: u64 = 100 / n, n: u64 = n))]
fn lazy(n: u64) -> u64 {
    n + 1
}

#[derive(Debug)]
struct Rude;

impl std::fmt::Display for Rude {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("an error that cannot be shown");
    }
}

#[pivot::tracepoints("Doc.rude")]
fn rude() -> Result<(), Rude> {
    Err(Rude)
}

#[test]
fn enter_exports_the_chosen_arguments() {
    let run = || {
        let _ = (parse("4"), parse("x"));
    };
    check("Doc.parse@enter", &["text"], run, &[&["4"], &["x"]]);
}

#[test]
fn exit_tells_ok_from_err_and_fires_on_an_early_return() {
    let run = || {
        let _ = (parse(""), parse("4"), parse("x"));
    };
    check("Doc.parse@exit", &["text", "outcome"], run, &[&["", "ok"], &["4", "ok"], &["x", "err"]]);
}

#[test]
fn error_says_what_went_wrong_and_fires_for_errors_only() {
    let run = || {
        let _ = (parse("4"), parse("x"));
    };
    check("Doc.parse@error", &["error"], run, &[&["invalid digit found in string"]]);
}

#[test]
fn a_panic_is_an_outcome() {
    let run = || drop(std::panic::catch_unwind(fail));
    check("Doc.fail@exit", &["outcome"], run, &[&["panic"]]);
}

#[test]
fn a_method_exports_its_result() {
    check("Doc.method@exit", &["bytes", "result"], || drop(Box::new(Reader.read(21))), &[&["21", "42"]]);
}

#[test]
fn a_future_that_is_dropped_was_cancelled() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            wait(3).await;
            let mut unfinished = Box::pin(wait(3));
            assert!(futures_poll(&mut unfinished).await.is_pending());
        });
    };
    check("Doc.wait@exit", &["outcome"], run, &[&["cancelled"], &["ok"]]);
}

#[test]
fn a_method_of_a_trait_may_hide_an_argument() {
    let run = || assert_eq!((Reader.get("a"), Reader.get("")), (Some(7), None));
    check("Doc.trait@exit", &["key", "result"], run, &[&["", "null"], &["a", "7"]]);
    let run = || assert_eq!(Reader.get("a"), Some(7));
    check("Doc.trait@enter", &["secret"], run, &[&[&hash_of("a")]]);
}

/// Returns the hash that queries see of a sensitive text.
fn hash_of(text: &str) -> String {
    pivot::__private::site::export::hash(&Value::str(text)).to_string()
}

#[test]
fn generic_async_functions_have_one_tracepoint_for_all_types() {
    let run =
        || block_on(async { drop((generic(1).await, generic("x").await, generic(String::new()).await)) });
    let expected: [&[&str]; 3] = [&["", "err"], &["1", "ok"], &["x", "ok"]];
    check("Doc.generic@exit", &["value", "outcome"], run, &expected);
}

#[test]
fn fields_are_evaluated_once_and_only_if_they_are_observed() {
    let before = EVALUATED.load(SeqCst);
    check("Doc.lazy@exit", &["n"], || drop(lazy(3).to_string()), &[&["3"]]);
    assert_eq!(EVALUATED.load(SeqCst), before);
    let run = || assert_eq!(lazy(3), 4);
    check("Doc.lazy@exit", &["seen", "result"], run, &[&[&before.to_string(), "4"]]);
    assert_eq!(EVALUATED.load(SeqCst), before + 1);
}

#[test]
fn a_panic_of_a_field_or_an_error_text_does_not_reach_the_function() {
    check("Doc.lazy@exit", &["inverse"], || assert_eq!(lazy(0), 1), &[]);
    check("Doc.lazy@enter", &["inverse"], || assert_eq!(lazy(0), 1), &[]);
    check("Doc.rude@error", &["error"], || assert!(rude().is_err()), &[]);
    check("Doc.rude@exit", &["outcome"], || assert!(rude().is_err()), &[&["err"]]);
}

/// Polls a future once.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context)))
        .await
}
