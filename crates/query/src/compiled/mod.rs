//! What a compiled query is: its advice, what its result looks like, how it runs, and its explanation.

mod explain;
mod output_plan;
mod program;
mod result_sink;
mod run_settings;
mod untyped_fields;

pub use output_plan::{OutputAggregate, OutputColumn, OutputKey, OutputPlan};
pub use program::QueryProgram;
pub use result_sink::{PrometheusSink, ResultSink};
pub use run_settings::RunSettings;
