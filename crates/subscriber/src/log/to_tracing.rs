//! [`LogForwarder`]: hands records of `log` to the application's `tracing` subscriber, as `tracing-log` does.
//!
//! `tracing` wants metadata that live for ever, but a record's target is known only when it comes. So the
//! subscriber is *asked* about metadata made on the spot, with the record's own target and level, and *gets*
//! an event of one of five static callsites, one for each level, with the target in a field:
//!
//! ```text
//! log::info!(target: "db", "read")
//!   ─▶ enabled?  log record,  target db,  INFO
//!   ─▶ event     log event,   target log, INFO   message = read, log.target = db, log.file = ...
//! ```

use ::log::{Log, Metadata as LogMetadata, Record};
use tracing_core::callsite::DefaultCallsite;
use tracing_core::field::{FieldSet, Value};
use tracing_core::{Event, Kind, Level, Metadata, dispatcher, identify_callsite, metadata};

/// The target of such events.
pub(crate) const TARGET: &str = "log";
/// The name of such events.
pub(crate) const NAME: &str = "log event";

const FIELDS: &[&str] = &["message", "log.target", "log.module_path", "log.file", "log.line"];

/// A logger that passes all records on to the current `tracing` subscriber.
#[derive(Debug)]
pub(crate) struct LogForwarder;

/// Declares a callsite for each level, and the function that finds it.
macro_rules! callsites {
    ($($callsite:ident $metadata:ident $level:ident),*) => {
        $(
            static $callsite: DefaultCallsite = DefaultCallsite::new(&$metadata);
            static $metadata: Metadata<'static> = metadata! {
                name: NAME,
                target: TARGET,
                level: Level::$level,
                fields: FIELDS,
                callsite: &$callsite,
                kind: Kind::EVENT
            };
        )*

        fn callsite_of(level: Level) -> (&'static DefaultCallsite, &'static Metadata<'static>) {
            match level {
                $(Level::$level => (&$callsite, &$metadata),)*
            }
        }
    };
}

callsites!(
    ERROR ERROR_METADATA ERROR,
    WARN WARN_METADATA WARN,
    INFO INFO_METADATA INFO,
    DEBUG DEBUG_METADATA DEBUG,
    TRACE TRACE_METADATA TRACE
);

fn tracing_level(level: ::log::Level) -> Level {
    match level {
        ::log::Level::Error => Level::ERROR,
        ::log::Level::Warn => Level::WARN,
        ::log::Level::Info => Level::INFO,
        ::log::Level::Debug => Level::DEBUG,
        ::log::Level::Trace => Level::TRACE,
    }
}

impl Log for LogForwarder {
    fn enabled(&self, record: &LogMetadata<'_>) -> bool {
        let level = tracing_level(record.level());
        let (callsite, _) = callsite_of(level);

        // Registers the callsite: the subscriber knows it before it is asked about it.
        callsite.interest();

        let fields = FieldSet::new(FIELDS, identify_callsite!(callsite));
        let metadata =
            Metadata::new("log record", record.target(), level, None, None, None, fields, Kind::EVENT);
        dispatcher::get_default(|dispatch| dispatch.enabled(&metadata))
    }

    fn log(&self, record: &Record<'_>) {
        let (_, metadata) = callsite_of(tracing_level(record.level()));
        let fields: Vec<_> = metadata.fields().iter().collect();
        let [message, target, module, file, line] = fields.as_slice() else { return };

        // Named first, since the values are references into them.
        let (module_path, file_path, line_number) = (record.module_path(), record.file(), record.line());
        let values = [
            (message, Some(record.args() as &dyn Value)),
            (target, Some(&record.target() as &dyn Value)),
            (module, module_path.as_ref().map(|path| path as &dyn Value)),
            (file, file_path.as_ref().map(|path| path as &dyn Value)),
            (line, line_number.as_ref().map(|line| line as &dyn Value)),
        ];
        Event::dispatch(metadata, &metadata.fields().value_set(&values));
    }

    fn flush(&self) {}
}
