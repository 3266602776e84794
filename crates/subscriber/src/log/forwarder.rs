//! LogBridge of `log` for the application's `tracing` subscriber, in the shape that `tracing-log` gives them.
//!
//! The subscriber is asked whether it wants an event of the record's own target and level; what it gets
//! is an event of the target `log`, since metadata have to be there before the program runs.

use ::log::{Log, Metadata as Question, Record};
use tracing_core::callsite::DefaultCallsite;
use tracing_core::field::{FieldSet, Value};
use tracing_core::{Event, Kind, Level, Metadata, dispatcher, identify_callsite, metadata};

/// The target and the name of such events.
pub(crate) const TARGET: &str = "log";
pub(crate) const NAME: &str = "log event";

const FIELDS: &[&str] = &["message", "log.target", "log.module_path", "log.file", "log.line"];

/// Passes all records on.
#[derive(Debug)]
pub(crate) struct LogForwarder;

/// A callsite for each level.
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

        fn of_level(level: Level) -> (&'static DefaultCallsite, &'static Metadata<'static>) {
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

fn level(level: ::log::Level) -> Level {
    match level {
        ::log::Level::Error => Level::ERROR,
        ::log::Level::Warn => Level::WARN,
        ::log::Level::Info => Level::INFO,
        ::log::Level::Debug => Level::DEBUG,
        ::log::Level::Trace => Level::TRACE,
    }
}

impl Log for LogForwarder {
    fn enabled(&self, question: &Question<'_>) -> bool {
        let level = level(question.level());
        let (callsite, _) = of_level(level);
        // Known to the subscriber before it is asked.
        callsite.interest();
        let fields = FieldSet::new(FIELDS, identify_callsite!(callsite));
        let of_record =
            Metadata::new("log record", question.target(), level, None, None, None, fields, Kind::EVENT);
        dispatcher::get_default(|dispatch| dispatch.enabled(&of_record))
    }

    fn log(&self, record: &Record<'_>) {
        let (_, metadata) = of_level(level(record.level()));
        let fields: Vec<_> = metadata.fields().iter().collect();
        let [message, target, module, file, line] = fields.as_slice() else { return };
        let (module_of, file_of, line_of) = (record.module_path(), record.file(), record.line());
        let values = [
            (message, Some(record.args() as &dyn Value)),
            (target, Some(&record.target() as &dyn Value)),
            (module, module_of.as_ref().map(|path| path as &dyn Value)),
            (file, file_of.as_ref().map(|file| file as &dyn Value)),
            (line, line_of.as_ref().map(|line| line as &dyn Value)),
        ];
        Event::dispatch(metadata, &metadata.fields().value_set(&values));
    }

    fn flush(&self) {}
}
