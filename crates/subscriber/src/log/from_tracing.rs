//! [`LoggingSubscriber`]: hands spans and events of `tracing` to a logger, as `tracing` itself does with its feature
//! `log` in a program without any subscriber.
//!
//! ```text
//! info!(target: "db", rows = 3, "read")     INFO  db                     read rows=3
//! info_span!(target: "db", "query", sql)    INFO  db                     query; sql="select 1"
//! info_span!("query")                       INFO  tracing::span          query;
//!   .record("rows", 3)                      INFO  db                     query; rows=3
//!   entered, left                           TRACE tracing::span::active  -> query;   <- query;
//!   dropped                                 TRACE tracing::span          -- query;
//! ```

use crate::log::level;
use ::log::{Level as LogLevel, Log, Metadata as LogMetadata, Record as LogRecord};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::fmt::{self, Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Interest, Level, LevelFilter, Metadata, Subscriber};

/// The target of records about a span without fields, and about the end of any.
const LIFECYCLE: &str = "tracing::span";
/// The target of records about entering and leaving a span.
const ACTIVITY: &str = "tracing::span::active";

/// A subscriber that hands spans and events to a logger.
pub struct LoggingSubscriber {
    logger: &'static dyn Log,
    next: AtomicU64,
    spans: Mutex<HashMap<u64, OpenSpan, RandomState>>,
}

/// A span that was made and has handles.
#[derive(Debug)]
struct OpenSpan {
    metadata: &'static Metadata<'static>,
    handles: usize,
}

impl LoggingSubscriber {
    /// Makes the subscriber of a logger. Wrap it in a [`SubscriberBridge`](crate::SubscriberBridge).
    pub fn new(logger: &'static dyn Log) -> LoggingSubscriber {
        LoggingSubscriber { logger, next: AtomicU64::new(1), spans: Mutex::default() }
    }

    fn spans(&self) -> MutexGuard<'_, HashMap<u64, OpenSpan, RandomState>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn metadata_of(&self, span: &Id) -> Option<&'static Metadata<'static>> {
        self.spans().get(&span.into_u64()).map(|open| open.metadata)
    }

    fn is_enabled(&self, level: LogLevel, target: &str) -> bool {
        self.logger.enabled(&LogMetadata::builder().level(level).target(target).build())
    }

    /// Logs a text about a callsite, if the logger wants it.
    fn log(&self, metadata: &Metadata<'_>, level: LogLevel, target: &str, text: fmt::Arguments<'_>) {
        let record = LogMetadata::builder().level(level).target(target).build();
        if self.logger.enabled(&record) {
            let mut builder = LogRecord::builder();
            builder.metadata(record).module_path(metadata.module_path());
            self.logger.log(&builder.file(metadata.file()).line(metadata.line()).args(text).build());
        }
    }

    /// Logs what a thread does with a span.
    fn log_span(&self, span: &Id, target: &str, what: &str) {
        // Found first: the logger is the application's code, and must not run while the lock is held.
        if let Some(metadata) = self.metadata_of(span) {
            self.log(metadata, LogLevel::Trace, target, format_args!("{what} {};", metadata.name()));
        }
    }
}

impl Debug for LoggingSubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoggingSubscriber")
    }
}

impl Subscriber for LoggingSubscriber {
    /// Returns *sometimes*: a logger may change its mind without telling anybody.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match level::own().to_level() {
            None => LevelFilter::OFF,
            Some(LogLevel::Error) => LevelFilter::ERROR,
            Some(LogLevel::Warn) => LevelFilter::WARN,
            Some(LogLevel::Info) => LevelFilter::INFO,
            Some(LogLevel::Debug) => LevelFilter::DEBUG,
            Some(LogLevel::Trace) => LevelFilter::TRACE,
        })
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = log_level(*metadata.level());
        if level > level::own() {
            return false;
        }

        let is_span_followed = || {
            self.is_enabled(level, LIFECYCLE)
                || self.is_enabled(LogLevel::Trace, LIFECYCLE)
                || self.is_enabled(LogLevel::Trace, ACTIVITY)
        };
        self.is_enabled(level, metadata.target()) || metadata.is_span() && is_span_followed()
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let (metadata, id) = (attributes.metadata(), self.next.fetch_add(1, Ordering::Relaxed));
        self.spans().insert(id, OpenSpan { metadata, handles: 1 });

        let target = if attributes.is_empty() { LIFECYCLE } else { metadata.target() };
        let values = FieldText::further(|visitor| attributes.record(visitor));
        let level = log_level(*metadata.level());
        self.log(metadata, level, target, format_args!("{};{values}", metadata.name()));
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, record: &Record<'_>) {
        let Some(metadata) = self.metadata_of(span) else { return };
        let target = if record.is_empty() { LIFECYCLE } else { metadata.target() };
        let values = FieldText::further(|visitor| record.record(visitor));
        let level = log_level(*metadata.level());
        self.log(metadata, level, target, format_args!("{};{values}", metadata.name()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let values = FieldText::first(|visitor| event.record(visitor));
        self.log(metadata, log_level(*metadata.level()), metadata.target(), format_args!("{values}"));
    }

    fn enter(&self, span: &Id) {
        self.log_span(span, ACTIVITY, "->");
    }

    fn exit(&self, span: &Id) {
        self.log_span(span, ACTIVITY, "<-");
    }

    fn clone_span(&self, span: &Id) -> Id {
        if let Some(open) = self.spans().get_mut(&span.into_u64()) {
            open.handles += 1;
        }
        span.clone()
    }

    /// Ends one handle. `tracing` logs the end of each.
    fn try_close(&self, span: Id) -> bool {
        self.log_span(&span, LIFECYCLE, "--");

        let mut spans = self.spans();
        let Some(open) = spans.get_mut(&span.into_u64()) else { return true };
        open.handles -= 1;
        let was_last = open.handles == 0;
        if was_last {
            spans.remove(&span.into_u64());
        }
        was_last
    }
}

/// The text of fields and their values: a message stands alone if it comes first.
struct FieldText {
    text: String,
    is_first: bool,
}

impl FieldText {
    /// Returns the text of what is recorded, from the beginning of a line.
    fn first(record: impl FnOnce(&mut FieldText)) -> String {
        FieldText::of(FieldText { text: String::new(), is_first: true }, record)
    }

    /// Returns the text of what is recorded, behind a name.
    fn further(record: impl FnOnce(&mut FieldText)) -> String {
        FieldText::of(FieldText { text: String::new(), is_first: false }, record)
    }

    fn of(mut visitor: FieldText, record: impl FnOnce(&mut FieldText)) -> String {
        record(&mut visitor);
        visitor.text
    }
}

impl Visit for FieldText {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = field.name();
        // Writing to a text does not fail; a value that does is cut.
        let _ = match std::mem::take(&mut self.is_first) {
            true if name == "message" => write!(self.text, "{value:?}"),
            true => write!(self.text, "{name}={value:?}"),
            false => write!(self.text, " {name}={value:?}"),
        };
    }
}

fn log_level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}
