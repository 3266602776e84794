//! What a rule is.

use crate::plan::Plan;

/// A rewrite of plans that keeps their meaning.
pub(crate) trait OptimizerRule: Sync {
    /// Returns the name of its switch.
    fn name(&self) -> &'static str;

    /// Rewrites as far as it can. Returns whether the plan now reads differently.
    fn apply(&self, plan: &mut Plan) -> bool;
}
