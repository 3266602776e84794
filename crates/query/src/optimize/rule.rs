//! What a rule is, and all of them in the order in which they run.

use super::filter_placement::FilterPlacement;
use super::let_placement::LetPlacement;
use super::pre_aggregation::PreAggregation;
use super::projection::Projection;
use super::sharing::Sharing;
use crate::plan::Plan;

/// A rewrite of plans that keeps their meaning.
pub(crate) trait Rule: Sync {
    /// The name of its switch.
    fn name(&self) -> &'static str;

    /// Rewrites as far as it can.
    fn apply(&self, plan: &mut Plan);
}

/// All rules. Values move first, conditions follow them, and what is left unused then goes.
pub(crate) const RULES: &[&dyn Rule] =
    &[&LetPlacement, &FilterPlacement, &PreAggregation, &Projection, &Sharing];

/// Applies the rules that are on; gives the names of those that changed something.
pub(crate) fn optimize(plan: &mut Plan, is_on: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut fired = Vec::new();
    for rule in RULES.iter().filter(|rule| is_on(rule.name())) {
        let before = plan.clone();
        rule.apply(plan);
        // What moves without being shown elsewhere has not moved for a reader.
        if *plan != before && plan.to_string() != before.to_string() {
            fired.push(rule.name());
        }
    }
    fired
}
