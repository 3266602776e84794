//! The targets of `log` that were met, with their tracepoints.
//!
//! A target may be made as the program runs: `log::debug!(target: &format!("connection-{id}"), …)`. Targets are
//! never forgotten, so there are at most [`MAX_NAMED`] of them, besides those that are the path of a module: of these
//! a program has a bounded number. Records of all others share the tracepoint [`OTHER`].
//!
//! ```text
//! record ─▶ thread's map ─ miss ─▶ FULL, once it is ─ miss ─▶ NAMED (RwLock) ─ miss ─▶ make it, or OTHER
//! ```

use crate::callsite::enabled_check::EnabledCheck;
use ::log::{Level, LevelFilter};
use foldhash::fast::RandomState;
use pivot_advice::{Type, Value};
use pivot_agent::{ExportedField, SourceLocation, Tracepoint};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

/// The most targets that have a tracepoint of their own, besides paths of modules.
pub(crate) const MAX_NAMED: usize = 1_000;

/// The tracepoint of records of all further targets.
pub(crate) const OTHER: &str = "log::other";

pub(crate) const FIELDS: [ExportedField; 6] = [
    ("message", Type::String),
    ("level", Type::String),
    ("target", Type::String),
    ("module", Type::String),
    ("file", Type::String),
    ("line", Type::U64),
];

/// A target of the `log` crate that was met, or all those beyond the limit.
#[derive(Debug)]
pub(crate) struct LogTarget {
    /// `None` if it stands for many.
    name: Option<&'static str>,
    /// Registered at the first record: a check alone does not prove that there are any.
    tracepoint: OnceLock<&'static Tracepoint>,
    pub(crate) check: EnabledCheck,
}

type TargetMap = HashMap<&'static str, &'static LogTarget, RandomState>;

/// All targets with a tracepoint of their own.
#[derive(Debug)]
struct NamedTargets {
    by_name: TargetMap,
    /// How many of them are not the path of a module, as far as is known.
    made: usize,
}

static NAMED: RwLock<Option<NamedTargets>> = RwLock::new(None);

/// What was named when there was no more room, to be read without a lock.
static FULL: OnceLock<TargetMap> = OnceLock::new();

thread_local! {
    /// The named targets that this thread has met, so that records take no lock.
    static MET: RefCell<TargetMap> = RefCell::default();
}

/// Whether a target is the path of the module that logs, which is a bounded number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetOrigin {
    /// The target is the path of its module.
    Module,
    /// The target was made in another way, or nobody knows.
    Made,
}

impl LogTarget {
    /// Returns a target, which becomes known if it is new and there is room.
    pub(crate) fn of(target: &str, origin: TargetOrigin) -> &'static LogTarget {
        let met = MET.try_with(|met| met.try_borrow().ok()?.get(target).copied());
        if let Ok(Some(known)) = met {
            return known;
        }

        let found = LogTarget::find_or_insert(target, origin);
        if let Some(name) = found.name {
            // A thread that is ending looks behind the lock the next time.
            let _ = MET.try_with(|met| met.try_borrow_mut().map(|mut met| met.insert(name, found)));
        }
        found
    }

    fn find_or_insert(target: &str, origin: TargetOrigin) -> &'static LogTarget {
        if let Some(full) = FULL.get() {
            match full.get(target) {
                Some(known) => return known,
                None if origin == TargetOrigin::Made => return LogTarget::other(),
                None => {}
            }
        }

        let mut named = NAMED.write().unwrap_or_else(PoisonError::into_inner);
        let named = named.get_or_insert_with(|| NamedTargets { by_name: HashMap::default(), made: 0 });
        if let Some(known) = named.by_name.get(target) {
            return known;
        }
        if origin == TargetOrigin::Made && named.made == MAX_NAMED {
            // Copied once: from now on no target that is made is added.
            FULL.get_or_init(|| named.by_name.clone());
            return LogTarget::other();
        }

        named.made += usize::from(origin == TargetOrigin::Made);
        let name: &'static str = String::leak(target.to_owned());
        let check = EnabledCheck::for_target(name);
        let new: &'static LogTarget =
            Box::leak(Box::new(LogTarget { name: Some(name), tracepoint: OnceLock::new(), check }));
        named.by_name.insert(name, new);
        new
    }

    /// Returns what stands for all targets beyond the limit.
    fn other() -> &'static LogTarget {
        static OTHERS: OnceLock<LogTarget> = OnceLock::new();
        OTHERS.get_or_init(|| {
            let check = EnabledCheck::for_target(OTHER);
            LogTarget { name: None, tracepoint: OnceLock::new(), check }
        })
    }

    /// Returns the tracepoint of the target's records, or `None` if there was no record yet.
    pub(crate) fn known_tracepoint(&self) -> Option<&'static Tracepoint> {
        self.tracepoint.get().copied()
    }

    /// Registers the tracepoint of the target's records.
    pub(crate) fn register(&self) -> &'static Tracepoint {
        self.tracepoint.get_or_init(|| {
            let location = SourceLocation { module: "", file: "", line: 0 };
            let target = self.name;
            let name = target.map_or_else(|| OTHER.to_owned(), |target| format!("{target}::log"));
            Tracepoint::register_with(
                &name,
                &FIELDS,
                move |field| target.filter(|_| field == "target").map(Value::str),
                location,
            )
        })
    }

    /// Returns whether this stands for all targets beyond the limit.
    pub(crate) fn is_other(&self) -> bool {
        self.name.is_none()
    }
}

/// Returns the most verbose level of records that woven advice may want: it may have conditions on the level.
pub(crate) fn woven_level() -> LevelFilter {
    let named = NAMED.read().unwrap_or_else(PoisonError::into_inner);
    let named = named.iter().flat_map(|named| named.by_name.values().copied());
    let tracepoints = named.chain([LogTarget::other()]).filter_map(LogTarget::known_tracepoint);
    let woven = tracepoints.filter(|tracepoint| tracepoint.is_woven());
    woven.map(wanted_level).max().unwrap_or(LevelFilter::Off)
}

/// Returns the most verbose level of records that advice woven at a target's tracepoint may want.
fn wanted_level(tracepoint: &'static Tracepoint) -> LevelFilter {
    let is_wanted = |level: &Level| {
        pivot_agent::may_come_to_something(tracepoint, |field| {
            (field == "level").then(|| Value::str(level.as_str()))
        })
    };
    let levels = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];
    levels.into_iter().find(is_wanted).map_or(LevelFilter::Off, |level| level.to_level_filter())
}
