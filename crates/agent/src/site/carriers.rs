//! The spans of `tracing` that carry a request because the environment of the process, or its configuration, names them.
//! The bridge for `tracing` asks here, beside its own function.

use crate::weave::listeners::CHANGED;
use pivot_advice::{CarrierGlob, InvalidCarrierGlob};
use std::sync::{PoisonError, RwLock};

/// The variable with the globs of this process.
pub const CARRIERS_VARIABLE: &str = "PIVOT_CARRIERS";

/// The globs that hold; `None` until the configuration sets them or the environment is first read.
static CARRIERS: RwLock<Option<Vec<CarrierGlob>>> = RwLock::new(None);

/// Returns the globs of the environment, or why they cannot be read.
pub fn carriers_of_environment() -> Result<Vec<CarrierGlob>, InvalidCarrierGlob> {
    CarrierGlob::list(&std::env::var(CARRIERS_VARIABLE).unwrap_or_default())
}

/// Returns whether a span carries a request by its name.
pub fn is_named_carrier(target: &str, name: &str) -> bool {
    let mut carriers = CARRIERS.read().unwrap_or_else(PoisonError::into_inner);
    if carriers.is_none() {
        drop(carriers);
        // Globs that cannot be read are an error at the start of the agent; here they name nothing.
        let of_environment = carriers_of_environment().unwrap_or_default();
        CARRIERS.write().unwrap_or_else(PoisonError::into_inner).get_or_insert(of_environment);
        carriers = CARRIERS.read().unwrap_or_else(PoisonError::into_inner);
    }

    carriers.iter().flatten().any(|glob| glob.matches(target, name))
}

/// Sets the globs of this process, in the place of those of the environment, and has the bridge ask again if they
/// are others now.
pub fn set_carriers(globs: Vec<CarrierGlob>) {
    let before = CARRIERS.write().unwrap_or_else(PoisonError::into_inner).replace(globs.clone());
    if before.as_ref() != Some(&globs) {
        CHANGED.call();
    }
}
