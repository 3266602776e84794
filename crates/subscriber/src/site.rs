//! A callsite of `tracing` as tracepoints: names, fields, and where it stands.

use pivot_advice::Type;
use pivot_agent::tracepoint::ExportedField;
use pivot_agent::{Place, Tracepoint};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tracing_core::{Metadata, callsite};

/// The fields that an event has besides its own.
const OF_EVENT: [ExportedField; 1] = [("level", Type::String)];

/// The fields that the end of a span has besides the span's own.
const OF_EXIT: [ExportedField; 4] = [
    ("level", Type::String),
    ("elapsed", Type::Duration),
    ("busy", Type::Duration),
    ("idle", Type::Duration),
];

/// A callsite.
#[derive(Debug)]
pub struct Site {
    /// What `tracing` knows of it.
    pub metadata: &'static Metadata<'static>,
    /// The event, or the beginning of the span: `target::name` or `target::name@enter`.
    pub enter: &'static Tracepoint,
    /// The end of the span: `target::name@exit`.
    pub exit: Option<&'static Tracepoint>,
}

static SITES: Mutex<Option<HashMap<callsite::Identifier, &'static Site>>> = Mutex::new(None);

impl Site {
    /// The callsite of these metadata, made known to the agent if it is new.
    pub fn of(metadata: &'static Metadata<'static>) -> &'static Site {
        let mut sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
        let sites = sites.get_or_insert_default();
        sites.entry(metadata.callsite()).or_insert_with(|| Box::leak(Box::new(Site::register(metadata))))
    }

    fn register(metadata: &'static Metadata<'static>) -> Site {
        let name = format!("{}::{}", metadata.target(), metadata.name());
        let tracepoint = |at: &str, own: &[ExportedField]| {
            Tracepoint::register(&format!("{name}{at}"), &fields(metadata, own), place(metadata))
        };
        if metadata.is_span() {
            let (enter, exit) = (tracepoint("@enter", &OF_EVENT), tracepoint("@exit", &OF_EXIT));
            return Site { metadata, enter, exit: Some(exit) };
        }
        Site { metadata, enter: tracepoint("", &OF_EVENT), exit: None }
    }

    /// Whether advice is woven at any of its tracepoints.
    #[inline(always)]
    pub fn is_woven(&self) -> bool {
        self.enter.is_woven() || self.exit.is_some_and(Tracepoint::is_woven)
    }
}

/// The callsite's own fields, then those that hide none of them. Their types show as they come.
fn fields(metadata: &'static Metadata<'static>, own: &[ExportedField]) -> Vec<ExportedField> {
    let mut fields: Vec<ExportedField> =
        metadata.fields().iter().map(|field| (field.name(), Type::Any)).collect();
    let known: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let new: Vec<ExportedField> = own.iter().filter(|(name, _)| !known.contains(name)).copied().collect();
    fields.extend(new);
    fields
}

fn place(metadata: &'static Metadata<'static>) -> Place {
    Place {
        module: metadata.module_path().unwrap_or(metadata.target()),
        file: metadata.file().unwrap_or_default(),
        line: metadata.line().unwrap_or_default(),
    }
}
