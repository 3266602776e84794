//! The spans of `tracing` that carry a request by what operators say: in the environment of the process, in its
//! configuration, or at the frontend. The bridge for `tracing` asks here, beside its own function.

use crate::weave::listeners::CHANGED;
use pivot_advice::{CarrierGlob, InvalidCarrierGlob};
use std::sync::{PoisonError, RwLock};

/// The variable with the globs of this process.
pub const CARRIERS_VARIABLE: &str = "PIVOT_CARRIERS";

static CARRIERS: RwLock<NamedCarriers> = RwLock::new(NamedCarriers { process: None, frontend: Vec::new() });

/// The globs by where they were said.
#[derive(Debug)]
struct NamedCarriers {
    /// Those of the configuration; `None` until they are set, and meanwhile those of the environment hold.
    process: Option<Vec<CarrierGlob>>,
    /// Those of the frontend.
    frontend: Vec<CarrierGlob>,
}

/// Returns the globs of the environment, or why they cannot be read.
pub fn carriers_of_environment() -> Result<Vec<CarrierGlob>, InvalidCarrierGlob> {
    CarrierGlob::list(&std::env::var(CARRIERS_VARIABLE).unwrap_or_default())
}

/// Returns whether a span carries a request by its name.
pub fn is_named_carrier(target: &str, name: &str) -> bool {
    let mut carriers = CARRIERS.read().unwrap_or_else(PoisonError::into_inner);
    if carriers.process.is_none() {
        drop(carriers);
        // What cannot be read is an error at the start of the agent, and here it names nothing.
        let of_environment = carriers_of_environment().unwrap_or_default();
        CARRIERS.write().unwrap_or_else(PoisonError::into_inner).process.get_or_insert(of_environment);
        carriers = CARRIERS.read().unwrap_or_else(PoisonError::into_inner);
    }

    let all = carriers.process.iter().flatten().chain(&carriers.frontend);
    all.into_iter().any(|glob| glob.matches(target, name))
}

/// Sets the globs of this process, in the place of those of the environment.
pub fn set_carriers(globs: Vec<CarrierGlob>) {
    set(|carriers| carriers.process.replace(globs.clone()).as_ref() != Some(&globs));
}

/// Sets the globs that the frontend wants in all processes.
pub fn set_frontend_carriers(globs: Vec<CarrierGlob>) {
    set(|carriers| std::mem::replace(&mut carriers.frontend, globs.clone()) != globs);
}

/// Changes the globs, and has the bridge ask again if they are others now.
fn set(change: impl FnOnce(&mut NamedCarriers) -> bool) {
    let has_changed = change(&mut CARRIERS.write().unwrap_or_else(PoisonError::into_inner));
    if has_changed {
        CHANGED.call();
    }
}
