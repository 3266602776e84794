//! Merged groups as rows of values: keys, n, finished aggregates, seconds.
//!
//! An aggregate travels as a *state* that can be merged (for AVG a sum and a count, for P99 a histogram).
//! Finishing turns the state into the value. All expressions of SELECT, HAVING and ORDER BY are over these
//! rows:
//!
//! ```text
//! GROUP BY t.host SELECT t.host, AVG(t.x), RATE(COUNT)
//!
//! group    key ("dn-1"), n 4, states [sum 10 of 4]        in a window of 2 s
//! row      ["dn-1", 4, 2.5, 2.0]
//!            key    n  AVG  seconds
//! ```

use crate::window_groups::WindowGroups;
use pivot_advice::{EvalErrors, Group, Value};
use pivot_query::OutputPlan;
use std::cmp::Ordering;

/// One group as a row of values.
#[derive(Debug)]
pub(crate) struct FinishedGroup {
    /// Keys, n, finished aggregates, seconds.
    pub(crate) values: Vec<Value>,
    /// The standard error of each value, 0 where there is none; empty if nothing is estimated.
    pub(crate) standard_errors: Vec<f64>,
    /// How many rows the group stands for.
    pub(crate) n: u64,
}

impl FinishedGroup {
    /// Finishes a group that is exact, in a window of so many seconds.
    pub(crate) fn exact(
        group: &Group,
        output: &OutputPlan,
        seconds: f64,
        errors: &mut EvalErrors,
    ) -> FinishedGroup {
        let values = output.row(&group.key, group.n, &group.states, seconds, errors);
        FinishedGroup { values, standard_errors: vec![], n: group.n }
    }

    /// Finishes the group that nothing is in: the one row of a query without GROUP BY for which nothing matched.
    pub(crate) fn of_nothing(output: &OutputPlan, seconds: f64, errors: &mut EvalErrors) -> FinishedGroup {
        FinishedGroup { values: output.row_of_nothing(seconds, errors), standard_errors: vec![], n: 0 }
    }
}

/// Orders rows by their values, the first that differ deciding.
pub(crate) fn compare_rows(a: &[Value], b: &[Value]) -> Ordering {
    let differing = a.iter().zip(b).map(|(x, y)| x.group_cmp(y)).find(|order| order.is_ne());
    differing.unwrap_or(Ordering::Equal)
}

/// Returns for each value of a row how far a sketch may be off, as a fraction of the value: the largest
/// such error of any group.
pub(crate) fn sketch_errors(groups: &WindowGroups, output: &OutputPlan) -> Vec<f64> {
    let first_aggregate = output.keys.len() + 1;
    let mut largest = vec![0.0; first_aggregate + output.finished.len() + 1];

    let sampled = groups.sampled.groups.iter().flatten().cloned();
    for group in groups.groups.iter().chain(sampled) {
        for (value, error) in output.finished.iter().zip(&mut largest[first_aggregate..]) {
            let state = group.states.get(usize::from(value.finished.state));
            *error = f64::max(*error, state.map_or(0.0, |state| state.relative_error()));
        }
    }
    largest
}
