//! A program that logs with `log`, and libraries that use `tracing`. The lines are those that `tracing` logs with its
//! feature `log` where there is no subscriber.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{emit, request, rows};
use log::{LevelFilter, Log};
use std::collections::BTreeMap;
use std::sync::Mutex;
use tracing::Level;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A logger of the application's own.
struct Own;

impl Log for Own {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() != "unwanted"
    }
    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            assert_eq!(record.module_path(), Some("log_only"));
            assert!(record.file().is_some() && record.line().is_some());
            let line = format!("{} {}: {}", record.level(), record.target(), record.args());
            LINES.lock().unwrap().push(line);
        }
    }
    fn flush(&self) {}
}

fn lines() -> Vec<String> {
    std::mem::take(&mut LINES.lock().unwrap())
}

/// What libraries do.
fn application() {
    log::info!("a record of `log`");
    tracing::info!(target: "library", port = 80, "an event of {}", "a library");
    tracing::warn!(target: "library", name = "quoted", shown = %"as is", debugged = ?"text", ratio = 0.5);
    tracing::debug!(target: "library", "beyond the level, or not");
    tracing::error!(target: "unwanted", "dropped");
    let error: &dyn std::error::Error = &std::fmt::Error;
    tracing::error!(error, yes = true, none = tracing::field::Empty, message = "late");

    let span = tracing::info_span!(target: "library", "request", id = 7, status = tracing::field::Empty);
    span.in_scope(|| tracing::info!(target: "library", "inside"));
    span.record("status", 200);
    drop(span);
    tracing::info_span!("bare").in_scope(|| ());
    tracing::debug_span!(target: "library", "detail", n = 1).in_scope(|| ());
}

#[test]
fn a_program_that_only_logs_keeps_all_its_lines() {
    log::set_max_level(LevelFilter::Info);
    pivot_subscriber::log::install_with_tracing(Own).unwrap();
    application();
    // Entering and leaving a span is traced, and shown if the span is and the logger wants traces.
    let shown = [
        "INFO log_only: a record of `log`",
        "INFO library: an event of a library port=80",
        "WARN library: name=\"quoted\" shown=as is debugged=\"text\" ratio=0.5",
        "ERROR log_only: error=an error occurred when formatting an argument yes=true message=late",
        "INFO library: request; id=7",
        "TRACE tracing::span::active: -> request;",
        "INFO library: inside",
        "TRACE tracing::span::active: <- request;",
        "INFO library: request; status=200",
        "TRACE tracing::span: -- request;",
        "INFO tracing::span: bare;",
        "TRACE tracing::span::active: -> bare;",
        "TRACE tracing::span::active: <- bare;",
        "TRACE tracing::span: -- bare;",
    ];
    assert_eq!(lines(), shown);

    // A level that the application sets later. An agent looks at it every second.
    log::set_max_level(LevelFilter::Debug);
    pivot_agent::govern(&BTreeMap::new(), 1);
    application();
    let all = [
        "INFO log_only: a record of `log`",
        "INFO library: an event of a library port=80",
        "WARN library: name=\"quoted\" shown=as is debugged=\"text\" ratio=0.5",
        "DEBUG library: beyond the level, or not",
        "ERROR log_only: error=an error occurred when formatting an argument yes=true message=late",
        "INFO library: request; id=7",
        "TRACE tracing::span::active: -> request;",
        "INFO library: inside",
        "TRACE tracing::span::active: <- request;",
        "INFO library: request; status=200",
        "TRACE tracing::span: -- request;",
        "INFO tracing::span: bare;",
        "TRACE tracing::span::active: -> bare;",
        "TRACE tracing::span::active: <- bare;",
        "TRACE tracing::span: -- bare;",
        "DEBUG library: detail; n=1",
        "TRACE tracing::span::active: -> detail;",
        "TRACE tracing::span::active: <- detail;",
        "TRACE tracing::span: -- detail;",
    ];
    assert_eq!(lines(), all);
    assert!(pivot_subscriber::log::install_with_tracing(Own).is_err());

    // Events and spans are tracepoints, and spans carry requests.
    let event = || tracing::trace!(target: "unwanted", n = 1, "woven");
    event();
    pivot_agent::weave(&[emit("unwanted", &["n"])]);
    event();
    assert_eq!(rows(), ["1"]);
    let span = tracing::span!(target: "tower_http::trace::make_span", Level::TRACE, "request");
    let inside = span.in_scope(request);
    assert!(inside.is_some() && inside == span.in_scope(request));
}
