//! The messages of a server, on standard error: as lines for people, or as JSON.

use crate::humanize::timestamp;
use crate::server_settings::LogFormat;
use serde_json::{Map, Value, json};
use std::fmt;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Has the messages of this process written from now on: of the levels of `log`, which was checked.
pub(crate) fn write_logs(log: &str, format: LogFormat) {
    let levels: Targets = log.parse().unwrap_or_default();
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let registry = tracing_subscriber::registry();

    // Somebody else in this process may have messages written already, as a test of another server.
    let _ = match format {
        LogFormat::Text => registry.with(layer.with_filter(levels)).try_init(),
        LogFormat::Json => registry.with(layer.event_format(JsonLines).with_filter(levels)).try_init(),
    };
}

/// Writes each event as a JSON document in a line of its own.
#[derive(Debug)]
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));

        let metadata = event.metadata();
        let mut fields = Map::new();
        fields.insert("timestamp".to_owned(), json!(time));
        fields.insert("level".to_owned(), json!(metadata.level().as_str()));
        fields.insert("target".to_owned(), json!(metadata.target()));
        event.record(&mut JsonFields(&mut fields));
        writeln!(out, "{}", Value::Object(fields))
    }
}

/// Adds the fields of an event to a document.
struct JsonFields<'a>(&'a mut Map<String, Value>);

impl JsonFields<'_> {
    fn add(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for JsonFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, json!(format!("{value:?}")));
    }
}
