//! Results as metrics: what queries with `INTO prometheus` say, when Prometheus asks.
//!
//! ```text
//! FROM o IN Shop.order GROUP BY o.region SELECT o.region, COUNT, SUM(o.cents) AS cents, P99(o.time), HIST(o.items)
//! INTO prometheus(name = 'orders')
//!
//! orders_count_total{region="eu"} 3120             COUNT and SUM: since install
//! orders_cents_total{region="eu"} 913400
//! orders_p99_o_time{region="eu"} 0.25              everything else: of the newest window; durations in seconds
//! orders_hist_o_items_bucket{region="eu",le="4"} 2801        HIST and LHIST: since install
//! ```
//!
//! Keys are labels, measures are metrics. A query has at most as many series as it says; further ones are left out and
//! counted in `pivot_query_series_left_out`. What a result lacks shows in `pivot_query_partial`.

use crate::column_role::{ColumnRole, role};
use crate::kept_frames::{Frame, ResultOnDemand};
use crate::metric_histogram::{BucketBounds, cumulative_buckets, metric_value};
use crate::prometheus_text::{MetricKind, PrometheusText};
use crate::select::{ResultRow, ResultTable};
use crate::shared_state::SharedState;
use datafusion::error::DataFusionError;
use pivot_advice::{AggregateKind, Expr, FinalFunction, Value};
use pivot_query::{OutputColumn, OutputPlan, PrometheusSink, ResultSink};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::runtime::Handle;

/// A query whose results Prometheus reads, with its newest frame.
struct Exported {
    /// The name or the number of the query.
    query: String,
    sink: PrometheusSink,
    frame: Frame,
}

/// One metric of a query: a measure, and how it is shown.
struct Metric {
    name: String,
    /// The column of the result.
    column: usize,
    kind: MetricKind,
    /// Of its buckets, if it is a histogram.
    bounds: BucketBounds,
}

/// Returns the metrics of all queries, in the text form that Prometheus reads.
pub(crate) async fn query_metrics(shared: &Arc<SharedState>) -> String {
    let exported = exported(shared);
    let mut text = PrometheusText::default();
    let (mut partial, mut left_out) = (Vec::new(), Vec::new());
    // Names of metrics that were said: two queries may not share one.
    let mut taken = BTreeSet::new();

    for Exported { query, sink, frame } in exported {
        let slot = shared.frame_slot().await;
        let tables = compute(shared, &frame).await;
        drop(slot);
        let Ok((window, total)) = tables else {
            partial.push((query, 1.0));
            continue;
        };

        let mut series =
            SeriesWriter { text: &mut text, output: &frame.output, room: sink.series, left_out: 0 };
        for metric in metrics(&query, &sink, &frame.output) {
            if taken.insert(metric.name.clone()) {
                let rows = if metric.kind == MetricKind::Gauge { &window.rows } else { &total.rows };
                series.write(&metric, rows);
            }
        }
        left_out.push((query.clone(), series.left_out as f64));
        let lacks = frame.result.is_partial(&window)
            || frame.cumulative.as_ref().is_some_and(|result| result.is_partial(&total));
        partial.push((query, f64::from(u8::from(lacks))));
    }

    add_facts(
        &mut text,
        "pivot_query_partial",
        "Whether the newest results of a query lack anything.",
        &partial,
    );
    let help = "Series of a query that are left out, since it has more than it may have.";
    add_facts(&mut text, "pivot_query_series_left_out", help, &left_out);
    text.into_text()
}

fn add_facts(text: &mut PrometheusText, name: &str, help: &str, facts: &[(String, f64)]) {
    text.family(name, MetricKind::Gauge, help);
    for (query, value) in facts {
        text.sample(name, &[("query", query)], *value);
    }
}

/// Returns the queries that are to be shown and have a result.
fn exported(shared: &SharedState) -> Vec<Exported> {
    let state = shared.lock();
    let mut exported = Vec::new();
    for query in state.active() {
        let definition = &query.definition;
        let Some(ResultSink::Prometheus(sink)) = &definition.program.settings.sink else { continue };
        let Some(frame) = query.frames.published().last().cloned() else { continue };

        let query = match definition.name.as_str() {
            "" => format!("q{}", definition.id.number),
            name => name.to_owned(),
        };
        exported.push(Exported { query, sink: sink.clone(), frame });
    }
    exported
}

/// Computes the rows of the newest window, and of the result since install.
async fn compute(
    shared: &SharedState,
    frame: &Frame,
) -> Result<(Arc<ResultTable>, Arc<ResultTable>), DataFusionError> {
    let (engine, runtime) = (shared.engine(), Handle::current());
    let (output, window) = (frame.output.clone(), frame.result.clone());
    let total = frame.cumulative.clone().unwrap_or_else(|| window.clone());

    let computed = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            let window = rows_of(&window, &engine, &output).await?;
            Ok((window, rows_of(&total, &engine, &output).await?))
        })
    });
    computed.await.unwrap_or_else(|stopped| Err(DataFusionError::Execution(stopped.to_string())))
}

async fn rows_of(
    result: &ResultOnDemand,
    engine: &crate::select::SelectEngine,
    output: &OutputPlan,
) -> Result<Arc<ResultTable>, DataFusionError> {
    Ok(Arc::new(engine.select(&result.groups, output, result.seconds()).await?))
}

/// Returns the metrics of a query: its measures.
fn metrics(query: &str, sink: &PrometheusSink, output: &OutputPlan) -> Vec<Metric> {
    let prefix = match &sink.prefix {
        Some(prefix) => prefix.clone(),
        None => metric_name(query),
    };
    let measures = output.columns.iter().enumerate();
    let measures = measures.filter(|(_, column)| role(column, output) == ColumnRole::Measure);

    let mut metrics = Vec::new();
    for (index, column) in measures {
        let stem = format!("{prefix}_{}", metric_name(&column.name));
        let (kind, name) = match kind(column, output) {
            MetricKind::Counter => (MetricKind::Counter, format!("{stem}_total")),
            kind => (kind, stem),
        };
        metrics.push(Metric { name, column: index, kind, bounds: bounds(column, output) });
    }
    metrics
}

/// Returns how a measure is shown: counts and sums only rise, unless numbers are negative.
fn kind(column: &OutputColumn, output: &OutputPlan) -> MetricKind {
    let Expr::Column(place) = column.expr else { return MetricKind::Gauge };
    if output.has_buckets(column) {
        return MetricKind::Histogram;
    }

    // A group's row has its keys, how many rows it stands for, and the finished aggregates.
    match usize::from(place).checked_sub(output.keys.len()) {
        Some(0) => MetricKind::Counter,
        Some(aggregate) => match finished(output, aggregate - 1) {
            Some((AggregateKind::Count | AggregateKind::Sum, FinalFunction::Plain)) => MetricKind::Counter,
            _ => MetricKind::Gauge,
        },
        None => MetricKind::Gauge,
    }
}

fn bounds(column: &OutputColumn, output: &OutputPlan) -> BucketBounds {
    let Expr::Column(place) = column.expr else { return BucketBounds::PowersOfTwo };
    let aggregate = usize::from(place).checked_sub(output.keys.len() + 1);
    match aggregate.and_then(|aggregate| finished(output, aggregate)) {
        Some((_, FinalFunction::Linear { .. })) => BucketBounds::OfQuery,
        _ => BucketBounds::PowersOfTwo,
    }
}

fn finished(output: &OutputPlan, aggregate: usize) -> Option<(AggregateKind, FinalFunction)> {
    let value = output.finished.get(aggregate)?;
    let state = output.states.get(usize::from(value.finished.state))?;
    Some((*state, value.finished.finish))
}

/// Writes the series of one query.
struct SeriesWriter<'t> {
    text: &'t mut PrometheusText,
    output: &'t OutputPlan,
    /// How many series may follow.
    room: usize,
    left_out: usize,
}

impl SeriesWriter<'_> {
    fn write(&mut self, metric: &Metric, rows: &[ResultRow]) {
        let help = format!("{} of a query.", self.output.columns[metric.column].name);
        self.text.family(&metric.name, metric.kind, &help);

        let labels = label_columns(self.output);
        // Rows that differ in what is no label would be one series.
        let mut said = BTreeSet::new();
        for row in rows {
            let labels: Vec<(String, String)> = labels
                .iter()
                .map(|(name, column)| (name.clone(), label_value(&row.values[*column])))
                .collect();
            let value = &row.values[metric.column];
            if self.room == 0 || !said.insert(labels.clone()) {
                self.left_out += 1;
            } else if metric.kind == MetricKind::Histogram {
                self.write_histogram(metric, &labels, value);
            } else if let Some(number) = metric_value(value) {
                self.room -= 1;
                self.sample(&metric.name, &labels, number);
            }
        }
    }

    fn write_histogram(&mut self, metric: &Metric, labels: &[(String, String)], value: &Value) {
        let Some(buckets) = cumulative_buckets(value, metric.bounds) else { return };
        // Each bucket is a series, and so is the count.
        let series = buckets.len() + 1;
        if series > self.room {
            self.left_out += series;
            return;
        }
        self.room -= series;

        let name = format!("{}_bucket", metric.name);
        let total = buckets.last().map_or(0, |bucket| bucket.count) as f64;
        for bucket in buckets {
            let upper = if bucket.upper.is_finite() { bucket.upper.to_string() } else { "+Inf".to_owned() };
            self.sample(&name, &[labels, &[("le".to_owned(), upper)]].concat(), bucket.count as f64);
        }
        self.sample(&format!("{}_count", metric.name), labels, total);
    }

    fn sample(&mut self, name: &str, labels: &[(String, String)], value: f64) {
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.text.sample(name, &labels, value);
    }
}

/// Returns the columns that are labels, with names that are unique: `host` for `d.host`.
fn label_columns(output: &OutputPlan) -> Vec<(String, usize)> {
    let keys = output.columns.iter().enumerate();
    let keys = keys.filter(|(_, column)| role(column, output) == ColumnRole::Key);
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();

    keys.map(|(index, column)| {
        let short = column.name.rsplit('.').next().unwrap_or(&column.name);
        let name = metric_name(short);
        let number = uses.entry(name.clone()).and_modify(|number| *number += 1).or_insert(1);
        (if *number == 1 { name } else { format!("{name}_{number}") }, index)
    })
    .collect()
}

fn label_value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Str(text) => text.to_string(),
        other => other.to_string(),
    }
}

/// Returns a name of letters, digits and underscores: `sum_d_size` for `SUM(d.size)`.
fn metric_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        match c.is_ascii_alphanumeric() {
            true => name.push(c.to_ascii_lowercase()),
            false if !name.is_empty() && !name.ends_with('_') => name.push('_'),
            false => {}
        }
    }

    let name = name.trim_end_matches('_');
    match name.starts_with(|first: char| first.is_ascii_digit()) || name.is_empty() {
        true => format!("_{name}"),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_prometheus_takes() {
        let check = |text: &str, expected: &str| assert_eq!(metric_name(text), expected);
        check("SUM(d.size)", "sum_d_size");
        check("COUNT", "count");
        check("p 99 / 2", "p_99_2");
        check("99th", "_99th");
        check("größe", "gr_e");
        check("(*)", "_");
    }
}
