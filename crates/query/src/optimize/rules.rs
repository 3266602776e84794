//! All rules, in the order in which they run.

use super::filter_placement::FilterPlacementRule;
use super::let_placement::LetPlacementRule;
use super::pack_sharing::SharingRule;
use super::pre_aggregation::PreAggregationRule;
use super::projection::ProjectionRule;
use super::rule::OptimizerRule;
use crate::plan::Plan;

/// Values move first, conditions follow them, and what is left unused then goes.
const RULES: &[&dyn OptimizerRule] =
    &[&LetPlacementRule, &FilterPlacementRule, &PreAggregationRule, &ProjectionRule, &SharingRule];

/// Returns the names of all rules, in the order in which they run.
pub(crate) fn rule_names() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.name())
}

/// Applies the rules that are on; returns the names of those that changed something.
pub(crate) fn optimize(plan: &mut Plan, is_on: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut fired = Vec::new();
    for rule in RULES {
        if is_on(rule.name()) && rule.apply(plan) {
            fired.push(rule.name());
        }
    }
    fired
}
