//! What it takes to decode and merge what agents report, beside DataFusion's own aggregation in the same run.
//!
//! Rows have a text of 17 bytes as their key, a multiplicity, and a SUM. The reports of all agents are decoded and merged
//! into one empty table, as those of a window are; DataFusion computes `SELECT key, SUM(n), SUM(sum) GROUP BY key` over
//! record batches that are ready, of the same rows, in one thread, with its plan made beforehand.
//!
//! ```text
//! cargo bench -p pivot-frontend --bench merge
//! ```
//!
//! The best of many rounds, which alternate between the two. Machines are shared, so compare within one run.

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};
use datafusion::datasource::MemTable;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use pivot_advice::columns::ColumnBlock;
use pivot_advice::{AggregateKind, AggregateState, Groups, Sum, Value};
use pivot_merge::MergedGroups;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;

const ROUNDS: usize = 31;

/// The rows of a batch of DataFusion's.
const BATCH_ROWS: usize = 8_192;

/// How many agents report how many rows each, of how many different keys.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    agents: usize,
    rows: usize,
    keys: usize,
}

const LOADS: [Load; 3] = [
    Load { name: "small", agents: 64, rows: 1_000, keys: 4_096 },
    Load { name: "hot", agents: 1_000, rows: 64, keys: 64 },
    Load { name: "big", agents: 64, rows: 16_384, keys: 131_071 },
];

/// One row: its key, multiplicity and sum.
type Row = (String, u64, i64);

/// The rows that each agent reports, with different keys in each report.
fn reports(load: Load) -> Vec<Vec<Row>> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };

    let report = |_| {
        let first = random() as usize % load.keys;
        let row = |i| {
            let key = format!("/svc/route-{:06}", (first + i * 7) % load.keys);
            (key, random() % 1_000 + 1, (random() % 1_000_000) as i64)
        };
        (0..load.rows).map(row).collect()
    };
    (0..load.agents).map(report).collect()
}

fn encode(report: &[Row]) -> Vec<u8> {
    let mut groups = Groups::new(1, &[AggregateKind::Sum]);
    for (key, n, sum) in report {
        let state = AggregateState::Sum(Sum::Integer((*sum).into()));
        groups.entry(&[Value::str(key)]).merge(*n, &[state]);
    }
    ColumnBlock::encode(&groups)
}

/// Decodes and merges all reports, and returns the number of groups.
fn decode_and_merge(encoded: Vec<Vec<u8>>) -> usize {
    let aggregates = [AggregateKind::Sum];
    let (mut merged, mut other) = (MergedGroups::new(1, &aggregates), Groups::new(0, &aggregates));
    for bytes in encoded {
        let block = ColumnBlock::decode(bytes).expect("it was just encoded");
        merged.merge(&block, usize::MAX, &mut other);
    }
    merged.len()
}

/// DataFusion's aggregation of the same rows, planned once.
struct Aggregation {
    runtime: Runtime,
    context: SessionContext,
    plan: Arc<dyn ExecutionPlan>,
}

impl Aggregation {
    fn new(reports: &[Vec<Row>]) -> Aggregation {
        let rows: Vec<&Row> = reports.iter().flatten().collect();
        let batches: Vec<RecordBatch> = rows.chunks(BATCH_ROWS).map(batch).collect();
        let table = MemTable::try_new(batches[0].schema(), vec![batches]).expect("batches of one schema");

        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        context.register_table("t", Arc::new(table)).expect("a name that is free");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let plan = runtime.block_on(async {
            let frame = context.sql("SELECT key, SUM(n), SUM(sum) FROM t GROUP BY key").await?;
            frame.create_physical_plan().await
        });
        Aggregation { runtime, context, plan: plan.expect("a plan") }
    }

    /// Aggregates all rows, and returns the number of groups.
    fn run(&self) -> usize {
        let plan = reset_plan_states(self.plan.clone()).expect("a plan without state");
        let found = self.runtime.block_on(collect(plan, self.context.task_ctx())).expect("an aggregation");
        found.iter().map(RecordBatch::num_rows).sum()
    }
}

fn batch(rows: &[&Row]) -> RecordBatch {
    let keys: ArrayRef = Arc::new(rows.iter().map(|(key, ..)| Some(key)).collect::<StringArray>());
    let counts: ArrayRef = Arc::new(rows.iter().map(|(_, n, _)| *n).collect::<UInt64Array>());
    let sums: ArrayRef = Arc::new(rows.iter().map(|(.., sum)| *sum).collect::<Int64Array>());
    RecordBatch::try_from_iter([("key", keys), ("n", counts), ("sum", sums)]).expect("columns of one length")
}

/// Runs something and returns how many nanoseconds it took.
fn timed(run: impl FnOnce() -> usize, groups: usize) -> f64 {
    let begun = Instant::now();
    let found = run();
    let taken = begun.elapsed().as_nanos() as f64;
    assert_eq!(found, groups);
    taken
}

fn main() {
    println!("        rows    bytes/row   Pivot: ns/row  M rows/s   DataFusion: ns/row   Pivot/DataFusion");
    for load in LOADS {
        let reports = reports(load);
        let encoded: Vec<Vec<u8>> = reports.iter().map(|report| encode(report)).collect();
        let aggregation = Aggregation::new(&reports);

        let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
        for _ in 0..ROUNDS {
            let messages = encoded.clone();
            ours = ours.min(timed(|| decode_and_merge(messages), load.keys));
            theirs = theirs.min(timed(|| aggregation.run(), load.keys));
        }

        let rows = (load.agents * load.rows) as f64;
        let bytes: usize = encoded.iter().map(Vec::len).sum();
        println!(
            "{:<6} {rows:>7}   {:>8.1}   {:>12.1} {:>10.1}   {:>18.1}   {:>16.2}",
            load.name,
            bytes as f64 / rows,
            ours / rows,
            rows * 1e3 / ours,
            theirs / rows,
            ours / theirs
        );
    }
}
