//! What tests and benches need of how advice runs: events through chosen executors, and events that are not timed.

use crate::report::query_report::{QueryReport, QueryReports};
use crate::report::thread_table::ThreadTable;
use crate::run::cells::Cells;
use crate::run::fire_event::run_set;
use crate::run::ir::SchemaInterner;
use crate::site::declaration::{SourceLocation, TracepointDeclaration};
use crate::weave::name_linker::{FieldSource, LinkedAdvice};
use crate::weave::throttle::QueryGate;
use crate::weave::woven::{Executor, ExecutorKind, WovenAdvice, WovenSet};
use pivot_advice::{QueryId, Value};
use pivot_baggage::Baggage;
use std::sync::Arc;

pub use crate::report::thread_slot::leave_untimed;

static TRACEPOINT: TracepointDeclaration = TracepointDeclaration {
    name: "",
    fields: &[],
    constants: None,
    location: SourceLocation { module: "", file: "", line: 0 },
    is_one_of_several: false,
};

/// All advice of one tracepoint, each with its executor, and what a thread gathers that runs it.
#[derive(Debug)]
pub struct ChosenExecutors {
    set: WovenSet,
    table: ThreadTable,
}

impl ChosenExecutors {
    /// Weaves advice with the executors chosen, or with the next slower one where an advice has no such executor.
    pub fn new(advice: Vec<(LinkedAdvice, ExecutorKind)>) -> ChosenExecutors {
        let mut schemas = SchemaInterner::new();
        let mut queries: Vec<QueryId> = Vec::new();
        let mut table = ThreadTable::default();
        let mut woven = Vec::new();
        let mut fields = 0;

        for (mut linked, kind) in advice {
            // Every advice has its own fields, one after the other, in place of those of a call site.
            for source in &mut linked.sources {
                *source = FieldSource::Exported(fields);
                fields += 1;
            }

            let query = linked.advice.query;
            let index = queries.iter().position(|known| *known == query).unwrap_or_else(|| {
                queries.push(query);
                queries.len() - 1
            });
            let executor = Executor::fastest(&linked, TRACEPOINT.name, &mut schemas).limited_to(kind);
            if let Executor::Fused(fused, _) = &executor {
                table.query_table(index, query.to_u64()).groups.accepts(&fused.schema);
            }
            woven.push(WovenAdvice::new(linked, executor, Arc::new(QueryGate::new()), &TRACEPOINT, index));
        }
        ChosenExecutors { set: WovenSet::new(woven), table }
    }

    /// Returns the executor that each advice got.
    pub fn kinds(&self) -> Vec<ExecutorKind> {
        self.set.iter().map(|advice| advice.executor.kind()).collect()
    }

    /// Runs all advice over one event of which each observed these values, in the order of its Observes. Returns the
    /// request's baggage as it is after the event.
    pub fn run(&mut self, observed: &[Vec<Value>], mut baggage: Option<Baggage>) -> Option<Baggage> {
        let observed: Vec<&Value> = observed.iter().flatten().collect();
        let field = |index: usize, cells: &mut Cells| cells.hold(observed[index]);

        pivot_baggage::current::run_in(&mut baggage, || run_set(&self.set, &field, &mut self.table));
        baggage
    }

    /// Returns what was emitted, lost and spent.
    pub fn into_reports(self) -> QueryReports {
        let mut reports = QueryReports::new();
        for (query, report) in self.table.into_reports() {
            reports.entry(query).or_insert_with(|| QueryReport::of_query(query)).merge(report);
        }
        reports
    }
}
