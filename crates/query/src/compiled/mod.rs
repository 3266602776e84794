//! What a compiled query is: its advice, its result, and how it runs.

mod program;
mod untyped_fields;

pub use program::{
    OutputAggregate, OutputColumn, OutputKey, OutputSchema, Program, QueryBudget, ResultSink, RunSettings,
};
