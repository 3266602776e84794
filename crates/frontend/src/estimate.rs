//! What a sample says about all requests: scaled counts and sums, and how far they may be off.
//!
//! Two things sample. SAMPLE looks at a fraction of all requests, and its groups are scaled here. A query
//! beyond its budget looks at one request in some number, and its rows count so many times already. Either
//! way the requests fall into sixteen parts by a hash: how much the parts differ tells how far the whole
//! may be off. Only COUNT and SUM have such an error; the counts in lists, those of HIST, LHIST and TOPK, are
//! scaled without one.

use crate::window_groups::WindowGroups;
use pivot_advice::{Aggregate, Binary, Errors, Expr, Form, Group, Groups, State, Value};
use pivot_protocol::wire::column::Estimate;
use pivot_query::OutputSchema;
use std::collections::HashMap;

/// Into how many parts the requests of a sample fall.
const PARTS: usize = 16;

/// What each part adds to a sum.
type StratumSums = [f64; PARTS];

/// One group of all parts together, and its parts.
struct Strata<'a> {
    /// Those of a sample that SAMPLE asked for.
    asked: Vec<&'a Group>,
    /// Those of requests that stand for several.
    weighted: Vec<&'a Group>,
}

/// A row of values over a sample, with the standard error of each, 0 where there is none.
pub(crate) struct Estimated {
    pub(crate) values: Vec<Value>,
    pub(crate) n: u64,
    pub(crate) standard_errors: Vec<f64>,
}

/// Whether any of the tally comes of a sample.
pub(crate) fn is_sampled(tally: &WindowGroups, output: &OutputSchema) -> bool {
    output.is_scaled() || tally.is_sampled()
}

/// The parts of each group together, and scaled.
pub(crate) fn rows(
    tally: &WindowGroups,
    output: &OutputSchema,
    seconds: f64,
    errors: &mut Errors,
) -> Vec<Estimated> {
    let keys = output.keys.len();
    let key = |group: &Group| group.key[..keys.min(group.key.len())].to_vec();
    let mut merged = Groups::new(keys, tally.groups.aggregates());
    let mut parts: HashMap<Vec<Value>, Strata<'_>> = HashMap::new();
    let nothing = || Strata { asked: vec![], weighted: vec![] };
    for group in &tally.groups {
        merged.entry(&key(group)).merge(group.n, &group.states);
        parts.entry(key(group)).or_insert_with(nothing).asked.push(group);
    }
    for group in tally.sampled.groups.iter().flatten() {
        merged.entry(&key(group)).merge(group.n, &group.states);
        parts.entry(key(group)).or_insert_with(nothing).weighted.push(group);
    }
    let fraction = fraction(output);
    let weighted = fraction * tally.sampled.fraction();
    let rows = merged.iter().map(|group| {
        let mut values = output.row(&group.key, group.n, &group.states, seconds, errors);
        let mut standard_errors = vec![0.0; values.len()];
        if let Some(whole) = parts.get(&*group.key) {
            for place in (keys..values.len()).filter(|place| estimate_of(*place, output) == Estimate::Scaled)
            {
                let variance = spread(&whole.asked, output, place) * (1.0 - fraction)
                    + spread(&whole.weighted, output, place) * (1.0 - weighted);
                standard_errors[place] = variance.max(0.0).sqrt() / fraction;
            }
        }
        scale_all(&mut values, &group.states, output);
        Estimated { values, n: group.n, standard_errors }
    });
    rows.collect()
}

/// The values of a group for all requests, where only the asked fraction of them was looked at.
pub(crate) fn scale_all(values: &mut [Value], states: &[State], output: &OutputSchema) {
    let fraction = fraction(output);
    if fraction >= 1.0 {
        return;
    }
    for (place, value) in values.iter_mut().enumerate() {
        if estimate_of(place, output) == Estimate::Scaled {
            *value = scale(value, fraction);
        }
    }
    let finished = output.finished.iter().map(|value| value.finished);
    for (value, finished) in values.iter_mut().skip(output.keys.len() + 1).zip(finished) {
        let state = states.get(usize::from(finished.state));
        if let Some(counts) = state.and_then(|state| state.finish_counts(finished.finish, fraction)) {
            *value = counts;
        }
    }
}

/// Which fraction of all requests the query asked for.
fn fraction(output: &OutputSchema) -> f64 {
    output.sample.filter(|_| output.is_scaled()).unwrap_or(1.0)
}

/// What the value in a place of a group's row is: keys, n, finished aggregates, seconds.
fn estimate_of(place: usize, output: &OutputSchema) -> Estimate {
    let Some(place) = place.checked_sub(output.keys.len()) else { return Estimate::None };
    let Some(place) = place.checked_sub(1) else { return Estimate::Scaled };
    let state = output.finished.get(place).map(|value| usize::from(value.finished.state));
    match state.and_then(|state| output.states.get(state)) {
        None => Estimate::None,
        Some(Aggregate::Count | Aggregate::Sum) => Estimate::Scaled,
        Some(Aggregate::Min | Aggregate::Max | Aggregate::Distinct | Aggregate::Any) => Estimate::OfSample,
        Some(_) => Estimate::Approximate,
    }
}

/// What a column is if the result is that of a sample.
pub(crate) fn estimate(expr: &Expr, output: &OutputSchema) -> Estimate {
    if output.form == Form::Rows {
        return Estimate::None;
    }
    let mut worst = Estimate::None;
    expr.columns(&mut |column| worst = worst.max(estimate_of(usize::from(column), output)));
    let exactly = matches!(worst, Estimate::Scaled) && linear(expr, output).is_none();
    if exactly { Estimate::Approximate } else { worst }
}

/// The column that an expression is a multiple of, if it is scaled; and by what it is multiplied.
fn linear<'e>(expr: &'e Expr, output: &OutputSchema) -> Option<(usize, Option<(Binary, &'e Expr)>)> {
    let scaled = |expr: &Expr| match expr {
        Expr::Column(column) => {
            Some(usize::from(*column)).filter(|place| estimate_of(*place, output) == Estimate::Scaled)
        }
        _ => None,
    };
    let is_exact = |expr: &Expr| {
        let mut exact = true;
        expr.columns(&mut |column| exact &= estimate_of(usize::from(column), output) == Estimate::None);
        exact
    };
    match expr {
        Expr::Binary(op @ (Binary::Divide | Binary::Multiply), x, by) if is_exact(by) => {
            Some((scaled(x)?, Some((*op, by))))
        }
        other => Some((scaled(other)?, None)),
    }
}

/// The standard error of a column, from those of a row's values; 0 if there is none.
pub(crate) fn standard_error(expr: &Expr, row: &[Value], errors: &[f64], output: &OutputSchema) -> f64 {
    let Some((place, by)) = linear(expr, output) else { return 0.0 };
    let error = errors.get(place).copied().unwrap_or(0.0);
    let Some((op, by)) = by else { return error };
    let by = double(&by.eval(row, &mut Errors::default())).abs();
    let scaled = if op == Binary::Divide { error / by } else { error * by };
    if scaled.is_finite() { scaled } else { 0.0 }
}

/// How much the parts of a value differ: the variance of their sum.
fn spread(groups: &[&Group], output: &OutputSchema, place: usize) -> f64 {
    if groups.is_empty() {
        return 0.0;
    }
    let mut shares: StratumSums = [0.0; PARTS];
    for group in groups {
        let part = group.key.last().and_then(Value::as_integer).unwrap_or(0).rem_euclid(PARTS as i128);
        shares[part as usize] += share(group, output, place - output.keys.len());
    }
    let parts = PARTS as f64;
    let mean = shares.iter().sum::<f64>() / parts;
    shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() * parts / (parts - 1.0)
}

/// What a group adds to a value: n is the first behind the keys, then aggregates.
fn share(group: &Group, output: &OutputSchema, place: usize) -> f64 {
    let Some(place) = place.checked_sub(1) else { return group.n as f64 };
    let Some(value) = output.finished.get(place) else { return 0.0 };
    let state = group.states.get(usize::from(value.finished.state));
    state.map_or(0.0, |state| double(&state.finish(value.finished.finish, &mut Errors::default())))
}

fn double(value: &Value) -> f64 {
    match value {
        Value::Duration(ns) => *ns as f64,
        other => other.as_f64().unwrap_or(0.0),
    }
}

/// A sum over a fraction of all requests as one over all of them.
fn scale(value: &Value, fraction: f64) -> Value {
    let whole = |x: f64| (x / fraction).round();
    match value {
        Value::U64(x) => Value::U64(whole(*x as f64) as u64),
        Value::I64(x) => Value::I64(whole(*x as f64) as i64),
        Value::Duration(x) => Value::Duration(whole(*x as f64) as i64),
        Value::F64(x) => Value::F64(x / fraction),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use pivot_query::{Catalog, compile};

    fn output(tail: &str) -> OutputSchema {
        let text = format!("FROM t IN T GROUP BY t.host SELECT t.host, COUNT, SUM(t.x), RATE(COUNT) {tail}");
        compile(&text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output
    }

    fn hash(request: u64, salt: u64) -> u64 {
        pivot_advice::eval::stable_hash(&[Value::U64(request), Value::U64(salt)])
    }

    fn is_in(hash: u64, fraction: f64) -> bool {
        (hash as f64 / u64::MAX as f64) < fraction
    }

    /// Requests, one row each of a host, of which SAMPLE keeps a fraction; of those a weight that is more
    /// than 1 keeps some. The weight of a request depends on its number.
    fn sampled(seed: u64, many: u64, fraction: f64, weight: impl Fn(u64) -> u64) -> Estimated {
        let tail = if fraction < 1.0 { format!("SAMPLE {fraction}") } else { String::new() };
        let output = output(&tail);
        let mut tally = WindowGroups::new(&output.table());
        for request in seed * many..(seed + 1) * many {
            let weight = weight(request);
            if !is_in(hash(request, 0), fraction) || !is_in(hash(request, 2), 1.0 / weight as f64) {
                continue;
            }
            let mut key = vec![Value::str("a")];
            key.extend((fraction < 1.0).then(|| Value::U64(hash(request, 1) % 16)));
            let group = if weight == 1 {
                tally.groups.entry(&key)
            } else {
                key.push(Value::U64(hash(request, 3) % 16));
                tally.sampled.count(1, weight);
                let empty = || Groups::new(key.len(), output.table().aggregates());
                tally.sampled.groups.get_or_insert_with(empty).entry(&key)
            };
            group.n += weight;
            group.states[0].update(&Value::I64(3), weight, &mut Errors::default());
        }
        assert!(is_sampled(&tally, &output));
        let mut rows = rows(&tally, &output, 2.0, &mut Errors::default());
        assert_eq!(rows.len(), 1);
        rows.swap_remove(0)
    }

    /// Means over many samples: of the estimate, of its square error, and of the variance that is claimed.
    fn check(fraction: f64, weight: impl Fn(u64) -> u64) {
        let (many, rounds) = (4_000_u64, 60);
        let (mut sum, mut squares, mut claimed) = (0.0, 0.0, 0.0);
        for seed in 0..rounds {
            let row = sampled(seed, many, fraction, &weight);
            let off = double(&row.values[1]) - many as f64;
            assert!((double(&row.values[2]) / double(&row.values[1]) - 3.0).abs() < 0.01);
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
        let mut tally = WindowGroups::new(&output.table());
        tally.groups.entry(&[Value::str("exact")]).n = 7;
        let mut weighted = Groups::new(2, output.table().aggregates());
        weighted.entry(&[Value::str("estimated"), Value::U64(3)]).n = 8;
        tally.sampled.groups = Some(weighted);
        tally.sampled.count(2, 4);
        let found = rows(&tally, &output, 1.0, &mut Errors::default());
        let errors: Vec<f64> = found.iter().map(|row| row.standard_errors[1]).collect();
        assert_eq!(errors[0], 0.0);
        // One part has all: two requests that count four times each, of which a quarter is looked at.
        assert!((errors[1] - (64.0_f64 * 0.75).sqrt()).abs() < 1e-9, "{errors:?}");
    }

    #[test]
    fn columns_say_what_they_are_for_all_requests() {
        let text = "FROM t IN T GROUP BY t.host SELECT t.host, COUNT, SUM(t.x), RATE(COUNT), SUM(t.x) / COUNT, \
                    AVG(t.x), P99(t.x), MAX(t.x), COUNT(DISTINCT t.x), MAX(t.x) - MIN(t.x)";
        let output = compile(text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output;
        let found: Vec<Estimate> =
            output.columns.iter().map(|column| estimate(&column.expr, &output)).collect();
        use Estimate::{Approximate, None, OfSample, Scaled};
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
        let mut tally = WindowGroups::new(&output.table());
        for x in 1..=4 {
            let key: Vec<Value> = output.is_scaled().then_some(Value::U64(x % 2)).into_iter().collect();
            let group = tally.groups.entry(&key);
            group.n += x;
            for (state, aggregate) in group.states.iter_mut().zip(&output.states) {
                // What LHIST counts are the numbers of its buckets.
                let value = if *aggregate == Aggregate::Tally { x / 2 + 1 } else { x };
                state.update(&Value::U64(value), x, &mut Errors::default());
            }
        }
        let found = if is_sampled(&tally, &output) {
            rows(&tally, &output, 1.0, &mut Errors::default()).swap_remove(0).values
        } else {
            let group = tally.groups.iter().next().unwrap();
            output.row(&group.key, group.n, &group.states, 1.0, &mut Errors::default())
        };
        output.columns.iter().map(|c| c.expr.eval(&found, &mut Errors::default()).to_string()).collect()
    }

    #[test]
    fn counts_in_lists_are_those_of_all_requests_and_quantiles_are_as_they_were() {
        let all = [
            "[4: 4, 3: 3]",
            "[[0, 2): 1, [2, 4): 5, [4, ∞): 4]",
            "[(0.9892, 1]: 1, (1.978, 2]: 2, (2.986, 3.018]: 3, (3.957, 4]: 4]",
            "3.00198412326639",
        ];
        let whole = [
            "[4: 8, 3: 6]",
            "[[0, 2): 2, [2, 4): 10, [4, ∞): 8]",
            "[(0.9892, 1]: 2, (1.978, 2]: 4, (2.986, 3.018]: 6, (3.957, 4]: 8]",
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
        let of =
            |i: usize| standard_error(&output.columns[i].expr, &row.values, &row.standard_errors, &output);
        assert!(of(1) > 0.0);
        assert_eq!(of(3), of(1) / 2.0);
    }
}
