//! What a compiled query is: its advice, what its result looks like, how it runs, and its explanation.

mod explain;
mod output_plan;
mod program;
mod run_settings;
mod untyped_fields;

pub use output_plan::{OutputAggregate, OutputColumn, OutputKey, OutputPlan};
pub use program::QueryProgram;
pub use run_settings::{ResultSink, RunSettings};
