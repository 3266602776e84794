//! The session of one statement: what there is to ask, and with which functions.

use super::bounded_plan::BoundPlan;
use super::catalogue::SqlCatalogue;
use super::growing_functions::scalar_functions;
use super::merge_function::merge_function;
use super::range_function::RangeFunction;
use super::state_functions::StateFunction;
use super::text_concat::TextConcatPlanner;
use datafusion::catalog::TableFunction;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::collections::HashMap;
use std::sync::Arc;

/// How many parts of a plan run side by side.
const PARALLEL_PARTS: usize = 2;

/// The rows of a batch: what functions make of one is in memory at once.
const BATCH_ROWS: usize = 4_096;

/// Makes a session over a catalogue. It knows no files: neither formats of them nor a way to name one.
pub(super) fn session(catalogue: Arc<SqlCatalogue>, environment: Arc<RuntimeEnv>) -> SessionState {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(SqlCatalogue::NAME, SqlCatalogue::DEFAULT_SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_target_partitions(PARALLEL_PARTS)
        .with_batch_size(BATCH_ROWS);
    config.options_mut().sql_parser.collect_spans = true;

    // The first that knows how to plan something does it.
    let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(TextConcatPlanner)];
    planners.extend(SessionStateDefaults::default_expr_planners());
    let mut scalars = scalar_functions();
    scalars.extend(StateFunction::ALL.map(|function| Arc::new(function.function())));
    let mut aggregates = SessionStateDefaults::default_aggregate_functions();
    aggregates.push(Arc::new(merge_function()));
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(environment)
        .with_expr_planners(planners)
        .with_scalar_functions(scalars)
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(aggregates)
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_functions(table_functions(&catalogue))
        .with_physical_optimizer_rule(Arc::new(BoundPlan))
        .build();
    state.catalog_list().register_catalog(SqlCatalogue::NAME.to_owned(), catalogue);
    // A context notes when its statement begins, which now() is about.
    SessionContext::new_with_state(state).state()
}

/// Returns the functions that make tables, of which `range` knows queries too.
fn table_functions(catalogue: &SqlCatalogue) -> HashMap<String, Arc<TableFunction>> {
    let mut functions = HashMap::new();
    for function in SessionStateDefaults::default_table_functions() {
        let name = function.name().to_owned();

        let function = match name.as_str() {
            "range" => {
                let range = RangeFunction::new(catalogue.queries().clone(), function);
                Arc::new(TableFunction::new(name.clone(), Arc::new(range)))
            }
            _ => function,
        };
        functions.insert(name, function);
    }
    functions
}
