//! A callsite of `tracing` as tracepoints: names, fields, and where it stands.
//!
//! Events that the author gave no name share one tracepoint for each target, with the fields of all
//! of them: the name that the macro makes up is a path on the machine that compiled it.

use crate::callsite::enabled_check;
use pivot_advice::{Type, Value};
use pivot_agent::ExportedField;
use pivot_agent::{Export, SourceLocation, Tracepoint};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tracing_core::{Metadata, callsite};

/// The fields that every callsite has besides its own.
const OF_ALL: [ExportedField; 4] =
    [("level", Type::String), ("target", Type::String), ("file", Type::String), ("line", Type::U64)];

/// The fields that the end of a span has besides those.
const OF_EXIT: [ExportedField; 3] =
    [("elapsed", Type::Duration), ("busy", Type::Duration), ("idle", Type::Duration)];

/// A callsite.
#[derive(Debug)]
pub struct CallsiteTracepoints {
    /// What `tracing` knows of it.
    pub metadata: &'static Metadata<'static>,
    /// The event, or the beginning of the span.
    pub enter: &'static Tracepoint,
    /// The end of the span.
    pub exit: Option<&'static Tracepoint>,
}

/// All callsites that were reached.
#[derive(Debug, Default)]
struct Sites {
    known: HashMap<callsite::Identifier, &'static CallsiteTracepoints>,
    by_target: HashMap<&'static str, Vec<&'static CallsiteTracepoints>>,
}

static SITES: Mutex<Option<Sites>> = Mutex::new(None);

impl CallsiteTracepoints {
    /// The callsite of these metadata, made known to the agent if it is new.
    pub fn of(metadata: &'static Metadata<'static>) -> &'static CallsiteTracepoints {
        let mut sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
        let Sites { known, by_target } = sites.get_or_insert_default();
        known.entry(metadata.callsite()).or_insert_with(|| {
            let site: &'static CallsiteTracepoints =
                Box::leak(Box::new(CallsiteTracepoints::register(metadata)));
            by_target.entry(metadata.target()).or_default().push(site);
            site
        })
    }

    fn register(metadata: &'static Metadata<'static>) -> CallsiteTracepoints {
        let name = name(metadata);
        let tracepoint = |at: &str, more: &[ExportedField]| {
            // What a callsite's own field hides is no constant.
            let constants = move |field: &str| {
                standing(metadata, field).filter(|_| metadata.fields().field(field).is_none())
            };
            let (name, fields) = (format!("{name}{at}"), fields(metadata, more));
            Tracepoint::register_with(&name, &fields, constants, place(metadata))
        };
        let site = if metadata.is_span() {
            let (enter, exit) = (tracepoint("@enter", &[]), tracepoint("@exit", &OF_EXIT));
            CallsiteTracepoints { metadata, enter, exit: Some(exit) }
        } else {
            CallsiteTracepoints { metadata, enter: tracepoint("", &[]), exit: None }
        };
        if site.is_woven() {
            enabled_check::mark_woven(metadata.target());
        }
        site
    }

    /// Whether advice is woven at any of its tracepoints.
    #[inline(always)]
    pub fn is_woven(&self) -> bool {
        self.enter.is_woven() || self.exit.is_some_and(Tracepoint::is_woven)
    }

    /// How many fields the callsite has itself; those of ours follow them.
    pub(crate) fn own_fields(&self) -> usize {
        self.metadata.fields().len()
    }

    /// The value of a field that every callsite has, null of any other.
    pub(crate) fn standing(&self, field: &str) -> Value {
        standing(self.metadata, field).unwrap_or(Value::Null)
    }
}

/// The value of a field that every callsite has.
fn standing(metadata: &Metadata<'_>, field: &str) -> Option<Value> {
    Some(match field {
        "level" => Value::str(metadata.level().as_str()),
        "target" => Value::str(metadata.target()),
        "file" => metadata.file().export(),
        "line" => metadata.line().export(),
        _ => return None,
    })
}

/// Whether advice is woven at any callsite of a target.
pub(crate) fn any_woven(target: &str) -> bool {
    let sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
    let of_target = sites.as_ref().and_then(|sites| sites.by_target.get(target));
    of_target.is_some_and(|sites| sites.iter().any(|site| site.is_woven()))
}

/// `target::name`, or the target of an event without a name of its own.
fn name(metadata: &Metadata<'_>) -> String {
    let (target, name) = (metadata.target(), metadata.name());
    let made_up = match (metadata.file(), metadata.line()) {
        (Some(file), Some(line)) => name == format!("event {file}:{line}"),
        _ => false,
    };
    if made_up { target.to_owned() } else { format!("{target}::{name}") }
}

/// The callsite's own fields, then those that hide none of them. Their types show as they come.
fn fields(metadata: &'static Metadata<'static>, more: &[ExportedField]) -> Vec<ExportedField> {
    let own = || metadata.fields().iter().map(|field| field.name());
    let new = OF_ALL.iter().chain(more).filter(|(name, _)| own().all(|known| known != *name));
    own().map(|name| (name, Type::Any)).chain(new.copied()).collect()
}

fn place(metadata: &'static Metadata<'static>) -> SourceLocation {
    SourceLocation {
        module: metadata.module_path().unwrap_or(metadata.target()),
        file: metadata.file().unwrap_or_default(),
        line: metadata.line().unwrap_or_default(),
    }
}
