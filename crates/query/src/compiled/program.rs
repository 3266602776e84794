//! A compiled query: its advice under any id, and what the frontend makes of the merged groups.

use super::output_plan::{OutputAggregate, OutputColumn, OutputKey, OutputPlan};
use super::run_settings::RunSettings;
use crate::diagnostic::Diagnostics;
use crate::lower::{lower, lower_measured};
use crate::plan::Plan;
use pivot_advice::{Advice, AggregateKind, EmitMode, Expr, FinalColumn, FinalFunction, QueryId, Type};

/// A query that can be installed.
#[derive(Debug, Clone)]
pub struct QueryProgram {
    /// The text it was compiled from.
    pub text: String,
    /// How its result is computed from merged groups.
    pub output: OutputPlan,
    /// The terms on which it runs.
    pub settings: RunSettings,
    /// Warnings: what may not be as it was meant.
    pub warnings: Diagnostics,
    /// The full names of all tracepoints that it weaves advice into.
    pub tracepoints: Vec<String>,
    /// The names of those that nobody exports yet.
    pub pending: Vec<String>,
    /// The plan as the language defines it.
    pub(crate) naive: Plan,
    /// The plan as it runs.
    pub(crate) plan: Plan,
    /// The rules that led from one to the other.
    pub(crate) fired: Vec<&'static str>,
    /// Whether it measures itself instead of giving its result.
    pub(crate) measured: bool,
}

impl QueryProgram {
    /// Returns the advice of this query under an id. Where two weave into one tracepoint they must run in
    /// this order: an event never joins with itself.
    pub fn advice(&self, id: QueryId) -> Vec<Advice> {
        if self.measured { lower_measured(&self.plan, id) } else { lower(&self.plan, id) }
    }

    /// Returns the query over a fraction of all requests, with what its stages cost as the result: their
    /// number, how many tuples and bytes they packed or emitted, and in how many requests.
    /// It uninstalls itself after `duration_ns`.
    pub fn measured(&self, fraction: f64, duration_ns: i64) -> QueryProgram {
        let mut plan = self.plan.clone();
        plan.sample = (fraction < 1.0).then_some(fraction);

        // A row is the stage, the number of tuples, then the two aggregates.
        let columns = ["stage", "tuples", "bytes", "requests"].into_iter().zip(0..);
        let columns = columns.map(|(name, place)| OutputColumn {
            name: name.into(),
            ty: Type::U64,
            expr: Expr::Column(place),
        });
        let output = OutputPlan {
            keys: vec![OutputKey { name: "stage".into(), ty: Type::U64 }],
            states: vec![AggregateKind::Sum, AggregateKind::Distinct],
            finished: vec![plain_value("bytes", 0, Type::I64), plain_value("requests", 1, Type::U64)],
            columns: columns.collect(),
            ..OutputPlan::empty(EmitMode::Groups)
        };

        let settings = RunSettings {
            duration_ns: Some(duration_ns),
            budget: self.settings.budget,
            ..RunSettings::default()
        };
        QueryProgram { plan, output, settings, measured: true, ..self.clone() }
    }

    /// Returns whether it measures itself instead of giving its result.
    pub fn is_measured(&self) -> bool {
        self.measured
    }

    /// Returns the names of the optimiser rules that changed something, in the order in which they ran.
    pub fn fired(&self) -> &[&'static str] {
        &self.fired
    }

    /// Returns the plan as it runs, as text.
    pub fn plan(&self) -> String {
        self.plan.to_string()
    }
}

/// Returns the value of a state as it is.
fn plain_value(name: &str, state: u16, ty: Type) -> OutputAggregate {
    let finished = FinalColumn { state, finish: FinalFunction::Plain };
    OutputAggregate { name: name.into(), finished, ty }
}
