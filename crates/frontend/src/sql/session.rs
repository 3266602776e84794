//! The session of one statement: what there is to ask, and with which functions.

use super::bounded_plan::BoundPlan;
use super::catalogue::SqlCatalogue;
use super::growing_functions::scalar_functions;
use super::text_concat::TextConcatPlanner;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::prelude::{SessionConfig, SessionContext};
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
    let functions = SessionStateDefaults::default_table_functions();
    let functions = functions.into_iter().map(|function| (function.name().to_owned(), function));
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(environment)
        .with_expr_planners(planners)
        .with_scalar_functions(scalar_functions())
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_functions(functions.collect())
        .with_physical_optimizer_rule(Arc::new(BoundPlan))
        .build();
    state.catalog_list().register_catalog(SqlCatalogue::NAME.to_owned(), catalogue);
    // A context notes when its statement begins, which now() is about.
    SessionContext::new_with_state(state).state()
}
