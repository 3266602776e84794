//! What a sample says about all requests: scaled counts and sums, and how far they may be off.
//!
//! Two things sample requests. A SAMPLE clause processes a fraction of all requests, and its groups are
//! scaled here. A query beyond its processor budget processes one request in `w`, and its rows were counted
//! `w` times by the agent already. Both may apply to one query.
//!
//! # How far a sum may be off
//!
//! This is the method of *random groups* of survey sampling. A hash of the request puts it into one of
//! [`SAMPLE_STRATA`] strata, whose number travels as one more key of each group. Each stratum is a small sample
//! of its own, so how much they differ tells how much another sample would differ from this one:
//!
//! ```text
//! stratum           0    1    2    3   ..  15
//! its share of SUM  12   9    14   10  ..  11        K strata, mean m
//!
//! variance of the sum of all strata = K/(K-1) * Σ (share - m)²
//! ```
//!
//! That variance is what remains of a sample without replacement only if the sample is a small fraction
//! `f` of all requests, so it is multiplied by the *finite population correction* `1 - f`: a sample of
//! all requests is not off at all. Scaling a sum by `1/f` scales its standard error likewise. The two
//! kinds of samples are independent: each has its own fraction, and their variances add up.
//!
//! Only COUNT and SUM, and constant multiples of them, have a standard error. The counts in the lists of
//! HIST, LHIST and TOPK are scaled without one. MIN, MAX and COUNT(DISTINCT) stay those of the sample.

use crate::finished_groups::FinishedGroup;
use crate::window_groups::WindowGroups;
use pivot_advice::{
    AggregateKind, AggregateState, BinaryOperator, EmitMode, EvalErrors, Expr, Group, Groups, SAMPLE_STRATA,
    Value,
};
use pivot_query::OutputPlan;
use std::collections::HashMap;

/// How much a column tells about all requests if only a sample of them was processed. Ordered from the
/// most to the least that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SampledMeaning {
    /// A key: a sample shows it as all requests would.
    None,
    /// Scaled to all requests, with a standard error.
    Scaled,
    /// About what it is for all requests: a quantile, an average, the counts in a list.
    Approximate,
    /// True of the sample alone: the least, the largest, the number of different values.
    OfSample,
}

/// The strata of one group, by the kind of sample that they come from.
#[derive(Default)]
struct GroupSamples<'a> {
    /// Of requests that the SAMPLE clause chose, or of all requests if there is none.
    chosen: Vec<&'a Group>,
    /// Of requests that stand for several because the query was throttled.
    throttled: Vec<&'a Group>,
}

/// Whether any rows come from a sample of the requests.
pub(crate) fn is_sampled(groups: &WindowGroups, output: &OutputPlan) -> bool {
    output.is_scaled() || groups.is_sampled()
}

/// Finishes groups that come from samples: merges the strata of each, scales it to all requests, and computes
/// standard errors.
pub(crate) fn estimated_groups(
    groups: &WindowGroups,
    output: &OutputPlan,
    seconds: f64,
    errors: &mut EvalErrors,
) -> Vec<FinishedGroup> {
    let keys = output.keys.len();
    let mut merged = Groups::new(keys, groups.groups.aggregates());
    let mut samples: HashMap<&[Value], GroupSamples<'_>> = HashMap::new();

    let exact = groups.groups.to_groups();
    for group in &exact {
        let key = key_without_stratum(group, keys);
        merged.entry(key).merge(group.n, &group.states);
        samples.entry(key).or_default().chosen.push(group);
    }
    for group in groups.sampled.groups.iter().flatten() {
        let key = key_without_stratum(group, keys);
        merged.entry(key).merge(group.n, &group.states);
        samples.entry(key).or_default().throttled.push(group);
    }

    // A throttled query still obeys its SAMPLE clause: it processes a fraction of a fraction.
    let throttled_fraction = sample_fraction(output) * groups.sampled.fraction();
    let mut estimated = Vec::with_capacity(merged.len());
    for group in &merged {
        let samples = samples.get(&*group.key);
        let observed = observed_states(&group.states, samples, groups.sampled.fraction());
        let mut values = output.row(&group.key, group.n, &observed, seconds, errors);
        let standard_errors = match samples {
            Some(samples) => group_errors(samples, values.len(), output, throttled_fraction),
            None => vec![0.0; values.len()],
        };
        scale_to_all_requests(&mut values, &group.states, output);
        estimated.push(FinishedGroup { values, standard_errors, n: group.n });
    }
    estimated
}

/// Returns the states of a group in which moments have as many numbers as were observed: a row of a throttled query
/// counts several times, and varies as one.
fn observed_states(
    states: &[AggregateState],
    samples: Option<&GroupSamples<'_>>,
    fraction: f64,
) -> Vec<AggregateState> {
    let mut observed = states.to_vec();
    let Some(samples) = samples.filter(|samples| !samples.throttled.is_empty()) else { return observed };

    for (index, state) in observed.iter_mut().enumerate() {
        let AggregateState::Moments(moments) = state else { continue };
        let throttled: f64 = samples.throttled.iter().map(|group| count_of_moments(group, index)).sum();
        let all = moments.count as f64;
        if all > 0.0 {
            moments.count_fraction((all - throttled * (1.0 - fraction)) / all);
        }
    }
    observed
}

/// Returns how many numbers the moments of a group have.
fn count_of_moments(group: &Group, state: usize) -> f64 {
    match group.states.get(state) {
        Some(AggregateState::Moments(moments)) => moments.count as f64,
        _ => 0.0,
    }
}

/// Returns the key of a group without the number of the stratum, which is its last value in a sample.
fn key_without_stratum(group: &Group, keys: usize) -> &[Value] {
    &group.key[..keys.min(group.key.len())]
}

/// Returns the standard error of each value of a group's row, 0 for those that have none.
fn group_errors(
    samples: &GroupSamples<'_>,
    values: usize,
    output: &OutputPlan,
    throttled_fraction: f64,
) -> Vec<f64> {
    let chosen_fraction = sample_fraction(output);
    let mut standard_errors = vec![0.0; values];

    for (index, error) in standard_errors.iter_mut().enumerate().skip(output.keys.len()) {
        if value_estimate(index, output) != SampledMeaning::Scaled {
            continue;
        }
        let variance = variance_of_sum(&samples.chosen, output, index) * (1.0 - chosen_fraction)
            + variance_of_sum(&samples.throttled, output, index) * (1.0 - throttled_fraction);
        // Throttled rows were scaled by the agent; what the SAMPLE clause left out is scaled here.
        *error = variance.max(0.0).sqrt() / chosen_fraction;
    }
    standard_errors
}

/// Scales the values of a group to all requests, if a SAMPLE clause chose a fraction of them.
pub(crate) fn scale_to_all_requests(values: &mut [Value], states: &[AggregateState], output: &OutputPlan) {
    let fraction = sample_fraction(output);
    if fraction >= 1.0 {
        return;
    }

    for (index, value) in values.iter_mut().enumerate() {
        if value_estimate(index, output) == SampledMeaning::Scaled {
            *value = scale(value, fraction);
        }
    }

    // The counts within a list are finished anew from the state: a list is no number that could be scaled.
    let aggregates = values.iter_mut().skip(output.keys.len() + 1);
    for (value, wanted) in aggregates.zip(&output.finished) {
        let state = states.get(usize::from(wanted.finished.state));
        let counts = state.and_then(|state| state.finish_counts(wanted.finished.finish, fraction));
        if let Some(counts) = counts {
            *value = counts;
        }
    }
}

/// Returns the fraction of all requests that the SAMPLE clause chooses; 1 without one.
fn sample_fraction(output: &OutputPlan) -> f64 {
    output.sample.filter(|_| output.is_scaled()).unwrap_or(1.0)
}

/// Returns what a value of a group's row says about all requests, by its index: keys, n, finished aggregates,
/// seconds.
fn value_estimate(index: usize, output: &OutputPlan) -> SampledMeaning {
    let Some(behind_keys) = index.checked_sub(output.keys.len()) else { return SampledMeaning::None };
    let Some(aggregate) = behind_keys.checked_sub(1) else { return SampledMeaning::Scaled };

    let state = output.finished.get(aggregate).map(|value| usize::from(value.finished.state));
    match state.and_then(|state| output.states.get(state)) {
        None => SampledMeaning::None,
        Some(AggregateKind::Count | AggregateKind::Sum) => SampledMeaning::Scaled,
        Some(AggregateKind::Min | AggregateKind::Max | AggregateKind::Distinct | AggregateKind::Any) => {
            SampledMeaning::OfSample
        }
        Some(_) => SampledMeaning::Approximate,
    }
}

/// Returns what a column says about all requests: the least that is known of any value in its expression.
pub(crate) fn column_estimate(expr: &Expr, output: &OutputPlan) -> SampledMeaning {
    // Rows are shown as they are, and not scaled.
    if output.form == EmitMode::Rows {
        return SampledMeaning::None;
    }

    let mut worst = SampledMeaning::None;
    expr.columns(&mut |column| worst = worst.max(value_estimate(usize::from(column), output)));
    let has_error = worst != SampledMeaning::Scaled || multiple_of(expr, output).is_some();
    if has_error { worst } else { SampledMeaning::Approximate }
}

/// An expression that is a scaled value, or a constant multiple of one.
struct ScaledMultiple<'e> {
    /// The index of the value in a group's row.
    index: usize,
    /// The exact factor or divisor, if there is one.
    factor: Option<(BinaryOperator, &'e Expr)>,
}

/// Returns the scaled value that an expression is a multiple of, or `None` if its error does not follow from
/// that of one value.
fn multiple_of<'e>(expr: &'e Expr, output: &OutputPlan) -> Option<ScaledMultiple<'e>> {
    match expr {
        Expr::Binary(op @ (BinaryOperator::Divide | BinaryOperator::Multiply), x, factor)
            if is_exact(factor, output) =>
        {
            Some(ScaledMultiple { index: scaled_index(x, output)?, factor: Some((*op, factor)) })
        }
        other => Some(ScaledMultiple { index: scaled_index(other, output)?, factor: None }),
    }
}

/// Returns the index of a value that an expression is, if the value is scaled.
fn scaled_index(expr: &Expr, output: &OutputPlan) -> Option<usize> {
    let Expr::Column(column) = expr else { return None };
    Some(usize::from(*column)).filter(|index| value_estimate(*index, output) == SampledMeaning::Scaled)
}

/// Whether an expression is the same for a sample as for all requests.
fn is_exact(expr: &Expr, output: &OutputPlan) -> bool {
    let mut is_exact = true;
    expr.columns(&mut |column| {
        is_exact &= value_estimate(usize::from(column), output) == SampledMeaning::None;
    });
    is_exact
}

/// Returns the standard error of a column of a group, or 0 if it has none.
pub(crate) fn standard_error(expr: &Expr, group: &FinishedGroup, output: &OutputPlan) -> f64 {
    let Some(ScaledMultiple { index, factor }) = multiple_of(expr, output) else { return 0.0 };
    let error = group.standard_errors.get(index).copied().unwrap_or(0.0);
    let Some((op, factor)) = factor else { return error };

    let factor = as_f64(&factor.eval(&group.values, &mut EvalErrors::default())).abs();
    let multiple = if op == BinaryOperator::Divide { error / factor } else { error * factor };
    if multiple.is_finite() { multiple } else { 0.0 }
}

/// Returns the variance of the sum of a value over all strata of a sample, from how much the strata differ.
fn variance_of_sum(sample: &[&Group], output: &OutputPlan, index: usize) -> f64 {
    if sample.is_empty() {
        return 0.0;
    }

    // A stratum that has no group of this key has a share of zero, which counts.
    let mut shares = [0.0; SAMPLE_STRATA as usize];
    for group in sample {
        let number = group.key.last().and_then(Value::as_integer).unwrap_or(0);
        let stratum = number.rem_euclid(SAMPLE_STRATA.into());
        shares[stratum as usize] += share(group, output, index - output.keys.len());
    }

    let strata = f64::from(SAMPLE_STRATA);
    let mean = shares.iter().sum::<f64>() / strata;
    shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() * strata / (strata - 1.0)
}

/// Returns what a group adds to a value, by the value's index behind the keys: 0 is n, then come aggregates.
fn share(group: &Group, output: &OutputPlan, behind_keys: usize) -> f64 {
    let Some(aggregate) = behind_keys.checked_sub(1) else { return group.n as f64 };
    let Some(value) = output.finished.get(aggregate) else { return 0.0 };
    let state = group.states.get(usize::from(value.finished.state));
    state.map_or(0.0, |state| as_f64(&state.finish(value.finished.finish, &mut EvalErrors::default())))
}

fn as_f64(value: &Value) -> f64 {
    match value {
        Value::Duration(ns) => *ns as f64,
        other => other.as_f64().unwrap_or(0.0),
    }
}

/// Scales a sum over a fraction of all requests to all of them; integers stay integers.
fn scale(value: &Value, fraction: f64) -> Value {
    match value {
        Value::U64(x) => Value::U64((*x as f64 / fraction).round() as u64),
        Value::I64(x) => Value::I64((*x as f64 / fraction).round() as i64),
        Value::Duration(x) => Value::Duration((*x as f64 / fraction).round() as i64),
        Value::F64(x) => Value::F64(x / fraction),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use pivot_merge::MergedGroups;
    use pivot_query::{Catalog, compile};

    fn output(tail: &str) -> OutputPlan {
        let text = format!("FROM t IN T GROUP BY t.host SELECT t.host, COUNT, SUM(t.x), RATE(COUNT) {tail}");
        compile(&text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output
    }

    fn hash(request: u64, salt: u64) -> u64 {
        pivot_advice::stable_hash(&[Value::U64(request), Value::U64(salt)])
    }

    fn is_in(hash: u64, fraction: f64) -> bool {
        (hash as f64 / u64::MAX as f64) < fraction
    }

    /// Requests, one row each of a host, of which SAMPLE keeps a fraction; of those a weight that is more
    /// than 1 keeps some. The weight of a request depends on its number.
    fn sampled(seed: u64, many: u64, fraction: f64, weight: impl Fn(u64) -> u64) -> FinishedGroup {
        let tail = if fraction < 1.0 { format!("SAMPLE {fraction}") } else { String::new() };
        let output = output(&tail);
        let mut exact = output.table();
        let mut window = WindowGroups::from(&exact);
        for request in seed * many..(seed + 1) * many {
            let weight = weight(request);
            if !is_in(hash(request, 0), fraction) || !is_in(hash(request, 2), 1.0 / weight as f64) {
                continue;
            }
            let mut key = vec![Value::str("a")];
            key.extend((fraction < 1.0).then(|| Value::U64(hash(request, 1) % 16)));
            let group = if weight == 1 {
                exact.entry(&key)
            } else {
                key.push(Value::U64(hash(request, 3) % 16));
                window.sampled.count(1, weight);
                let empty = || Groups::new(key.len(), output.table().aggregates());
                window.sampled.groups.get_or_insert_with(empty).entry(&key)
            };
            group.n += weight;
            group.states[0].update(&Value::I64(3), weight, &mut EvalErrors::default());
        }
        window.groups = MergedGroups::from(&exact);

        assert!(is_sampled(&window, &output));

        let mut rows = estimated_groups(&window, &output, 2.0, &mut EvalErrors::default());
        assert_eq!(rows.len(), 1);

        rows.swap_remove(0)
    }

    /// Means over many samples: of the estimate, of its square error, and of the variance that is claimed.
    fn check(fraction: f64, weight: impl Fn(u64) -> u64) {
        let (many, rounds) = (4_000_u64, 60);
        let (mut sum, mut squares, mut claimed) = (0.0, 0.0, 0.0);
        for seed in 0..rounds {
            let row = sampled(seed, many, fraction, &weight);
            let off = as_f64(&row.values[1]) - many as f64;
            assert!((as_f64(&row.values[2]) / as_f64(&row.values[1]) - 3.0).abs() < 0.01);
            assert!((row.standard_errors[2] / row.standard_errors[1] - 3.0).abs() < 0.01);
            (sum, squares) = (sum + off, squares + off * off);
            claimed += row.standard_errors[1].powi(2);
        }
        let (mean, real, claimed) = (sum / rounds as f64, squares / rounds as f64, claimed / rounds as f64);
        // Sixty samples: the mean lies within four of its standard errors, the variances within a factor.
        assert!(mean.abs() < 4.0 * (real / rounds as f64).sqrt(), "off by {mean} on average");
        assert!((0.5..2.0).contains(&(claimed / real)), "claims {claimed}, is {real}");
    }

    #[test]
    fn counts_of_a_sample_are_right_on_average_and_their_errors_honest() {
        check(0.5, |_| 1);
        check(0.1, |_| 1);
    }

    #[test]
    fn counts_of_throttled_queries_are_right_on_average_and_their_errors_honest() {
        check(1.0, |_| 2);
        check(1.0, |_| 12);
    }

    #[test]
    fn rates_that_change_in_a_window_and_differ_between_processes_are_estimated_too() {
        check(1.0, |request| [1, 2, 9][(request % 3) as usize]);
        check(0.5, |request| [1, 4][(request % 2) as usize]);
    }

    #[test]
    fn an_exact_group_beside_an_estimated_one_has_no_error() {
        let output = output("");
        let mut exact = output.table();
        exact.entry(&[Value::str("exact")]).n = 7;
        let mut window = WindowGroups::from(&exact);
        let mut weighted = Groups::new(2, output.table().aggregates());
        weighted.entry(&[Value::str("estimated"), Value::U64(3)]).n = 8;
        window.sampled.groups = Some(weighted);
        window.sampled.count(2, 4);
        let found = estimated_groups(&window, &output, 1.0, &mut EvalErrors::default());
        let errors: Vec<f64> = found.iter().map(|row| row.standard_errors[1]).collect();

        assert_eq!(errors[0], 0.0);

        // One stratum has all: two requests that count four times each, of which a quarter is looked at.
        assert!((errors[1] - (64.0_f64 * 0.75).sqrt()).abs() < 1e-9, "{errors:?}");
    }

    #[test]
    fn columns_say_what_they_are_for_all_requests() {
        let text = "FROM t IN T GROUP BY t.host SELECT t.host, COUNT, SUM(t.x), RATE(COUNT), SUM(t.x) / COUNT, \
                    AVG(t.x), P99(t.x), MAX(t.x), COUNT(DISTINCT t.x), MAX(t.x) - MIN(t.x)";
        let output = compile(text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output;
        let found: Vec<SampledMeaning> =
            output.columns.iter().map(|column| column_estimate(&column.expr, &output)).collect();
        use SampledMeaning::{Approximate, None, OfSample, Scaled};
        let expected = [
            None,
            Scaled,
            Scaled,
            Scaled,
            Approximate,
            Approximate,
            Approximate,
            OfSample,
            OfSample,
            OfSample,
        ];

        assert_eq!(found, expected);
    }

    /// The lists of a query over the numbers 1 to 4, of which each occurred as often in what was looked at.
    fn lists(tail: &str) -> Vec<String> {
        let text =
            format!("FROM t IN T SELECT TOPK(t.x, 2), LHIST(t.x, 0, 4, 2), HIST(t.x), P50(t.x) {tail}");
        let output = compile(&text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output;
        let mut table = output.table();
        for x in 1..=4 {
            let key: Vec<Value> = output.is_scaled().then_some(Value::U64(x % 2)).into_iter().collect();
            let group = table.entry(&key);
            group.n += x;
            for (state, aggregate) in group.states.iter_mut().zip(&output.states) {
                // What LHIST counts are the numbers of its buckets.
                let value = if *aggregate == AggregateKind::Tally { x / 2 + 1 } else { x };
                state.update(&Value::U64(value), x, &mut EvalErrors::default());
            }
        }
        let window = WindowGroups::from(&table);
        let found = if is_sampled(&window, &output) {
            estimated_groups(&window, &output, 1.0, &mut EvalErrors::default()).swap_remove(0).values
        } else {
            let group = window.groups.iter().next().unwrap();
            output.row(&group.key, group.n, &group.states, 1.0, &mut EvalErrors::default())
        };
        output.columns.iter().map(|c| c.expr.eval(&found, &mut EvalErrors::default()).to_string()).collect()
    }

    #[test]
    fn counts_in_lists_are_those_of_all_requests_and_quantiles_are_as_they_were() {
        let all = [
            "[4: 4, 3: 3]",
            "[[0, 2): 1, [2, 4): 5, [4, ∞): 4]",
            "[1: 1, (1.978, 2]: 2, (2.985, 3.019]: 3, (3.956, 4]: 4]",
            "3.00198412326639",
        ];
        let whole = [
            "[4: 8, 3: 6]",
            "[[0, 2): 2, [2, 4): 10, [4, ∞): 8]",
            "[1: 2, (1.978, 2]: 4, (2.985, 3.019]: 6, (3.956, 4]: 8]",
            "3.00198412326639",
        ];
        assert_eq!(
            (lists(""), lists("SAMPLE 50%")),
            (all.map(String::from).into(), whole.map(String::from).into())
        );
    }

    #[test]
    fn a_rate_has_the_error_of_its_count_per_second() {
        let row = sampled(0, 4_000, 1.0, |_| 5);
        let output = output("");
        let of = |i: usize| standard_error(&output.columns[i].expr, &row, &output);
        assert!(of(1) > 0.0);
        assert_eq!(of(3), of(1) / 2.0);
    }
}
