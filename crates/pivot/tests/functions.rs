//! `#[tracepoints]` fires once at each end of a function, whatever way it ends.
#![cfg(feature = "runtime")]
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{Advice, Form, Instruction, QueryId, Value};
use std::sync::Mutex;

/// Weaving is one for the process.
static SERIAL: Mutex<()> = Mutex::new(());

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

/// Weaves an advice that emits these fields of the tracepoint, runs, and gives what was emitted.
fn check(tracepoint: &str, fields: &[&str], run: impl FnOnce(), expected: &[&[&str]]) {
    let _serial = SERIAL.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let query = QueryId::new(1, 1);
    let mut instructions: Vec<Instruction> =
        fields.iter().map(|field| Instruction::Observe { field: (*field).into() }).collect();
    let keys = (0..fields.len() as u16).collect();
    instructions.push(Instruction::Emit { keys, folds: vec![], form: Form::Groups });
    let advice = Advice { query, stage: 0, tracepoint: tracepoint.into(), instructions };
    assert_eq!(pivot::__private::weave(&[advice]), []);
    pivot::__private::drain();
    run();
    let parts = pivot::__private::drain();
    pivot::__private::weave(&[]);
    let groups = parts.get(&query).and_then(|part| part.groups.as_ref());
    let rows = groups.into_iter().flatten().flat_map(|group| (0..group.n).map(|_| &group.key));
    let mut rows: Vec<Vec<String>> = rows.map(|key| key.iter().map(Value::to_string).collect()).collect();
    rows.sort();
    assert_eq!(rows, expected);
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

async fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context)))
        .await
}
