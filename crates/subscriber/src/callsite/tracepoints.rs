//! The tracepoints of a callsite of `tracing`: names, fields, and the place in the source.
//!
//! ```text
//! info!(target: "db", rows, "read")         db                    rows, message, level, target, file, line
//! info!(name: "read", target: "db", rows)   db::read              rows, level, target, file, line
//! info_span!(target: "db", "query", sql)    db::query@enter       sql, level, target, file, line
//!                                           db::query@exit        those, elapsed, busy, idle
//! ```
//!
//! `tracing` makes up a name for events that have none: `event src/db.rs:42`, a path on the machine that
//! compiled it. Such events share one tracepoint per target instead, with the fields of all of them.
//!
//! A program can make callsites as it runs, without end. Those beyond [`MAX_CALLSITES`] share the tracepoints of
//! `tracing::other`, without fields of their own.

use crate::callsite::questions;
use crate::callsite::woven_targets::TargetTracepoints;
use pivot_advice::{Type, Value, canonical_field, default_fields};
use pivot_agent::{Export, ExportedField, FieldWork, SourceLocation, Tracepoint};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use tracing_core::{Metadata, callsite};

/// The fields that every callsite exports besides its own.
const COMMON_FIELDS: [ExportedField; 4] =
    [("level", Type::String), ("target", Type::String), ("file", Type::String), ("line", Type::U64)];

/// The fields that the end of a span exports besides those.
const EXIT_FIELDS: [ExportedField; 3] =
    [("elapsed", Type::Duration), ("busy", Type::Duration), ("idle", Type::Duration)];

/// The most callsites with tracepoints of their own: more than large programs are compiled with.
const MAX_CALLSITES: usize = 20_000;

/// The target and tracepoint of further callsites.
const OTHER: &str = "tracing::other";

/// A callsite with its tracepoints, made once for the process and never freed.
#[derive(Debug)]
pub struct CallsiteTracepoints {
    /// The callsite's own description.
    pub metadata: &'static Metadata<'static>,
    /// The tracepoint of the event, or of the beginning of the span.
    pub enter: &'static Tracepoint,
    /// The tracepoint of the end of the span; `None` for an event.
    pub exit: Option<&'static Tracepoint>,
    /// All tracepoints of the callsite's target.
    pub(crate) target: &'static TargetTracepoints,
    own_fields: usize,
}

/// All callsites that were reached, whatever subscriber met them.
static KNOWN_CALLSITES: Mutex<Option<HashMap<callsite::Identifier, &'static CallsiteTracepoints>>> =
    Mutex::new(None);

impl CallsiteTracepoints {
    /// Returns the tracepoints of the callsite that this metadata describes. The first time they are
    /// registered with the agent, which weaves what is installed for them.
    pub fn of(metadata: &'static Metadata<'static>) -> &'static CallsiteTracepoints {
        let mut known = KNOWN_CALLSITES.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        let has_room = known.len() < MAX_CALLSITES;
        known.entry(metadata.callsite()).or_insert_with(|| {
            let register =
                if has_room { CallsiteTracepoints::register } else { CallsiteTracepoints::one_of_others };
            Box::leak(Box::new(register(metadata)))
        })
    }

    fn register(metadata: &'static Metadata<'static>) -> CallsiteTracepoints {
        let name = tracepoint_name(metadata);
        let (enter, exit) = if metadata.is_span() {
            let enter = register_tracepoint(&format!("{name}@enter"), metadata, &[]);
            (enter, Some(register_tracepoint(&format!("{name}@exit"), metadata, &EXIT_FIELDS)))
        } else {
            (register_tracepoint(&name, metadata, &[]), None)
        };

        // Advice may have waited for this callsite: then checks in front of it have to ask.
        let target = TargetTracepoints::of(metadata.target());
        std::iter::once(enter).chain(exit).for_each(|tracepoint| target.add(tracepoint));
        CallsiteTracepoints { metadata, enter, exit, target, own_fields: metadata.fields().len() }
    }

    /// Returns a callsite for which there is no room: it shares its tracepoints with all others of its kind.
    fn one_of_others(metadata: &'static Metadata<'static>) -> CallsiteTracepoints {
        static EVENTS: LazyLock<&Tracepoint> = LazyLock::new(|| register_other("", &[]));
        static BEGINNINGS: LazyLock<&Tracepoint> = LazyLock::new(|| register_other("@enter", &[]));
        static ENDS: LazyLock<&Tracepoint> = LazyLock::new(|| register_other("@exit", &EXIT_FIELDS));

        let is_span = metadata.is_span();
        let enter = if is_span { *BEGINNINGS } else { *EVENTS };
        let (exit, target) = (is_span.then(|| *ENDS), TargetTracepoints::of(OTHER));
        CallsiteTracepoints { metadata, enter, exit, target, own_fields: 0 }
    }

    /// Returns whether advice is woven at the event, or at the beginning or the end of the span.
    #[inline(always)]
    pub fn is_woven(&self) -> bool {
        self.enter.is_woven() || self.exit.is_some_and(Tracepoint::is_woven)
    }

    /// Returns whether advice looks at the event that comes next here. Pass the event on if so: the answer is kept
    /// for it.
    pub(crate) fn is_looked_at(&self) -> bool {
        self.enter.is_woven() && questions::ask_in_macro(self.target, self.enter)
    }

    /// Begins to measure what the application does for the fields of the span, which it makes next for advice alone.
    pub(crate) fn begin_fields(&self) {
        questions::begin_fields(self.enter);
    }

    /// Charges what the application has done for the fields of the span that it makes now, if that is being measured.
    #[inline]
    pub(crate) fn end_fields(&self) {
        if let Some(work) = questions::end_fields(self.enter) {
            let both: Vec<&Tracepoint> = std::iter::once(self.enter).chain(self.exit).collect();
            Tracepoint::charge_field_work(work, &both);
        }
    }

    /// Returns the values of fields that the advice at the end of the span observes, by their indices, and charges it for
    /// them. `evaluate` returns one.
    pub(crate) fn evaluate_for_exit(
        &self,
        observed: impl Iterator<Item = usize>,
        evaluate: impl Fn(usize) -> Value,
    ) -> Vec<(usize, Value)> {
        let mut observed = observed.peekable();
        if observed.peek().is_none() {
            return Vec::new();
        }

        let work = FieldWork::begin();
        let values = observed.map(|index| (index, evaluate(index))).collect();
        if let (Some(work), Some(exit)) = (work, self.exit) {
            Tracepoint::charge_field_work(work, &[exit]);
        }
        values
    }

    /// Returns the number of fields that its tracepoints export besides those that all do. Their indices come first.
    pub(crate) fn own_fields(&self) -> usize {
        self.own_fields
    }

    /// Returns the value of a field that every callsite has, or null for any other.
    pub(crate) fn common_value(&self, field: &str) -> Value {
        common_value(self.metadata, field).unwrap_or(Value::Null)
    }
}

/// Registers one tracepoint of a callsite.
fn register_tracepoint(
    name: &str,
    metadata: &'static Metadata<'static>,
    more: &[ExportedField],
) -> &'static Tracepoint {
    // The agent decides conditions on constants when advice is woven, so a callsite that they rule out
    // stays off. A field of the callsite's own that hides a common one is no constant.
    let constants =
        move |field: &str| common_value(metadata, field).filter(|_| metadata.fields().field(field).is_none());

    let location = SourceLocation {
        module: metadata.module_path().unwrap_or(metadata.target()),
        file: metadata.file().unwrap_or_default(),
        line: metadata.line().unwrap_or_default(),
    };
    Tracepoint::register_with(name, &exported_fields(metadata, more), constants, location)
}

/// Registers a tracepoint that callsites share for which there is no room.
fn register_other(part: &str, more: &[ExportedField]) -> &'static Tracepoint {
    let fields: Vec<ExportedField> = COMMON_FIELDS.iter().chain(more).copied().collect();
    let location = SourceLocation { module: "", file: "", line: 0 };
    let tracepoint = Tracepoint::register(&format!("{OTHER}{part}"), &fields, location);
    TargetTracepoints::of(OTHER).add(tracepoint);
    tracepoint
}

/// Returns the value of a field that every callsite has, or `None` if this is not one of them.
fn common_value(metadata: &Metadata<'_>, field: &str) -> Option<Value> {
    Some(match field {
        "level" => Value::str(metadata.level().as_str()),
        "target" => Value::str(metadata.target()),
        "file" => metadata.file().export(),
        "line" => metadata.line().export(),
        _ => return None,
    })
}

/// Returns `target::name`, or the target of an event that its author gave no name.
fn tracepoint_name(metadata: &Metadata<'_>) -> String {
    let (target, name) = (metadata.target(), metadata.name());
    let is_made_up = match (metadata.file(), metadata.line()) {
        (Some(file), Some(line)) => name == format!("event {file}:{line}"),
        _ => false,
    };
    if is_made_up { target.to_owned() } else { format!("{target}::{name}") }
}

/// Returns the callsite's own fields, then those of ours that none of them hides. `tracing` declares
/// names without types: types of own fields show with their values.
fn exported_fields(metadata: &'static Metadata<'static>, more: &[ExportedField]) -> Vec<ExportedField> {
    let mut fields: Vec<ExportedField> =
        metadata.fields().iter().map(|field| (own_field_name(field.name()), Type::Any)).collect();
    for field in COMMON_FIELDS.iter().chain(more) {
        if metadata.fields().field(field.0).is_none() {
            fields.push(*field);
        }
    }
    fields
}

/// Returns the name under which queries see a field of a callsite's own. One that is called like a field of every
/// tracepoint, or like another spelling of one, must not hide it: `host` becomes `field.host`.
fn own_field_name(name: &'static str) -> &'static str {
    let canonical = canonical_field(name);
    if default_fields().iter().all(|(default, _)| *default != canonical) {
        return name;
    }
    // Leaked as the callsite is, of which the process has a bounded number.
    Box::leak(format!("field.{name}").into_boxed_str())
}
