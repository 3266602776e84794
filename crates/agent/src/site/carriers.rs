//! The spans of `tracing` that carry a request by what operators say: in the environment of the process, in its
//! configuration, or at the frontend. The bridge for `tracing` asks here, beside its own function.

use crate::weave::listeners::CHANGED;
use pivot_advice::{CarrierGlob, InvalidCarrierGlob, NamedCarrier};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The variable with the globs of this process.
pub const CARRIERS_VARIABLE: &str = "PIVOT_CARRIERS";

/// A lock will do: `tracing` asks when it registers a callsite, and not at events.
static CARRIERS: Mutex<OperatorCarriers> =
    Mutex::new(OperatorCarriers { process: None, frontend: Vec::new() });

/// The globs by where they were said.
#[derive(Debug)]
struct OperatorCarriers {
    /// Those of the process; `None` until the configuration sets them or the environment is first read.
    process: Option<Vec<CarrierGlob>>,
    /// Those of the frontend, with the spans that were asked about and match.
    frontend: Vec<NamedCarrier>,
}

fn lock() -> MutexGuard<'static, OperatorCarriers> {
    CARRIERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the globs of the environment, or why they cannot be read.
pub fn carriers_of_environment() -> Result<Vec<CarrierGlob>, InvalidCarrierGlob> {
    CarrierGlob::list(&std::env::var(CARRIERS_VARIABLE).unwrap_or_default())
}

/// Returns whether a span carries a request by its name.
pub fn is_named_carrier(target: &str, name: &str) -> bool {
    let mut carriers = lock();
    // Globs that cannot be read are an error at the start of the agent; here they name nothing.
    let of_process = carriers.process.get_or_insert_with(|| carriers_of_environment().unwrap_or_default());
    let mut is_named = of_process.iter().any(|glob| glob.matches(target, name));

    for carrier in &mut carriers.frontend {
        if carrier.glob.matches(target, name) {
            carrier.add_span(format!("{target}::{name}"));
            is_named = true;
        }
    }
    is_named
}

/// Sets the globs of this process, in the place of those of the environment, and has the bridge ask again if they
/// are others now.
pub fn set_carriers(globs: Vec<CarrierGlob>) {
    let before = lock().process.replace(globs.clone());
    if before.as_ref() != Some(&globs) {
        CHANGED.call();
    }
}

/// Sets the globs that the frontend names for all processes, beside those of this process, and has the bridge ask again
/// if they are others now.
pub fn set_frontend_carriers(globs: Vec<CarrierGlob>) {
    let mut carriers = lock();
    if carriers.frontend.iter().map(|carrier| &carrier.glob).eq(&globs) {
        return;
    }

    carriers.frontend = globs.into_iter().map(NamedCarrier::new).collect();
    drop(carriers);
    CHANGED.call();
}

/// Returns the globs that the frontend has named, each with spans of this process that it matches.
pub fn frontend_carriers() -> Vec<NamedCarrier> {
    lock().frontend.clone()
}
