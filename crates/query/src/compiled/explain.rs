//! What EXPLAIN says of a query, and what EXPLAIN ANALYZE measured.

use super::program::QueryProgram;
use super::untyped_fields::untyped_fields;
use crate::plan::{Stage, StageChoice, StageEnd};
use pivot_advice::{QueryId, TemporalFilter, Type, Value};
use std::fmt::Write;

impl QueryProgram {
    /// Returns the plan before and after the rules, the rules that fired, the advice, and the bound of each
    /// bag.
    pub fn explain(&self) -> String {
        let mut out = String::new();
        let fired = if self.fired.is_empty() { "none".to_owned() } else { self.fired.join(", ") };
        // Writing to a String does not fail.
        let _ =
            writeln!(out, "plan before\n{}\nrules fired: {fired}\n\nplan after\n{}", self.naive, self.plan);

        // Inner stages first, as tuples travel.
        for advice in self.advice(QueryId::default()).iter().rev() {
            let _ = writeln!(out, "{advice}");
        }
        let _ = write!(out, "\nbags\n{}\nresult\n{}", self.bags(), self.output.describe());

        let untyped = untyped_fields(&self.naive);
        if !untyped.is_empty() {
            let _ = write!(
                out,
                "\ntypes\n  not known before they are seen: {}\n  what a program logs with `?` or `%` is text, of \
                 which SUM and the like are null: CAST it, AS duration or AS f64\n",
                untyped.join(", ")
            );
        }
        out
    }

    /// Returns a line for each bag: its columns, how many tuples it may hold, and their size.
    fn bags(&self) -> String {
        let mut out = String::new();
        // Stage 0 emits: it has no bag.
        for (_, stage) in self.plan.stages.iter().enumerate().skip(1).filter(|(i, stage)| stage.bag == *i) {
            let packed = match &stage.end {
                StageEnd::Groups(groups) => groups.packed(),
                other => other.keys().to_vec(),
            };
            let keys: Vec<String> =
                packed.iter().map(|key| self.plan.columns[usize::from(*key)].shown()).collect();

            let states = stage.end.folds().iter().filter(|fold| !fold.aggregate.is_sketch()).count();
            let columns: usize = packed.iter().map(|key| self.bytes_of(*key)).sum();
            let bytes = columns + 2 + 8 * states;

            for StageChoice { keep, bag } in stage.bags() {
                let bound = match keep {
                    TemporalFilter::First(n) | TemporalFilter::MostRecent(n) => format!("{n} tuples"),
                    TemporalFilter::All if keys.is_empty() => "1 group".into(),
                    TemporalFilter::All => "one group for each key".into(),
                };
                let _ = writeln!(out, "  bag {bag} ({}): {bound}, about {bytes} bytes each", keys.join(", "));
            }
        }
        out
    }

    /// Returns a rough size in baggage.
    fn bytes_of(&self, column: u16) -> usize {
        match self.plan.columns[usize::from(column)].ty {
            Type::Null | Type::Bool => 1,
            Type::I64 | Type::U64 => 5,
            Type::F64 | Type::Timestamp | Type::Duration => 9,
            Type::String | Type::Bytes | Type::Any => 18,
            Type::List(_) => 50,
        }
    }

    /// Returns what the stages of a measured query cost, by row of its result, in so many seconds: for each
    /// request, and for each second as if all requests had been looked at.
    pub fn explain_measured(&self, rows: &[Vec<Value>], seconds: f64) -> String {
        let fraction = self.plan.sample.unwrap_or(1.0);
        let mut out = format!("measured in {seconds:.1} s over {} % of all requests\n", fraction * 100.0);
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "{:24} {:>9} {:>14} {:>13} {:>10} {:>10}",
            "stage", "requests", "tuples/request", "bytes/request", "tuples/s", "bytes/s"
        );

        let stages = self.plan.stages.iter().enumerate();
        // One whose sources all aggregate packs nothing itself, and one that shares a bag neither.
        for (i, stage) in stages.filter(|(i, stage)| stage.bag == *i && !stage.members.is_empty()) {
            let cost = StageCost::of(i, rows);
            let per_second = 1.0 / fraction / seconds.max(1e-9);
            let _ = writeln!(
                out,
                "{:24} {:>9.0} {:>14.2} {:>13.1} {:>10.1} {:>10.0}",
                stage_name(i, stage),
                cost.requests,
                cost.per_request(cost.tuples),
                cost.per_request(cost.bytes),
                cost.tuples * per_second,
                cost.bytes * per_second
            );
        }
        out
    }
}

fn stage_name(index: usize, stage: &Stage) -> String {
    format!("{index} {} {}", if stage.end.is_emit() { "emit" } else { "pack" }, stage.alias)
}

/// The cost of one stage of a measured query.
struct StageCost {
    tuples: f64,
    bytes: f64,
    requests: f64,
}

impl StageCost {
    /// Reads the row of a stage; a stage without one cost nothing.
    fn of(stage: usize, rows: &[Vec<Value>]) -> StageCost {
        let row = rows.iter().find(|row| row.first().and_then(Value::as_integer) == Some(stage as i128));
        let row = row.map_or(&[][..], Vec::as_slice);
        StageCost { tuples: number_at(row, 1), bytes: number_at(row, 2), requests: number_at(row, 3) }
    }

    fn per_request(&self, amount: f64) -> f64 {
        if self.requests > 0.0 { amount / self.requests } else { 0.0 }
    }
}

/// Returns a number of a row, or 0 if the row has none at that place.
fn number_at(row: &[Value], place: usize) -> f64 {
    row.get(place).and_then(Value::as_f64).unwrap_or(0.0)
}
