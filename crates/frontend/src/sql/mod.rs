//! SQL over what the frontend knows and over the windows of queries, closed and kept.
//!
//! ```text
//! text ──statement──▶ guarded ──catalogue──▶ plan ──engine──▶ batches ──reply──▶ rows, or Arrow
//!         one, and      names of tables        on a runtime of its own, with limits
//!         it only asks                          on time, memory and rows
//! ```

mod archived_windows;
mod bounded_plan;
mod catalogue;
mod column_names;
mod column_type;
mod engine;
mod from_arrow;
mod growing_functions;
mod limits;
mod made_size;
mod merge_function;
mod merged_calls;
mod mistakes;
mod observed_cache;
mod range_function;
mod reply;
mod row_column;
mod service;
mod session;
mod shown_windows;
mod state_functions;
mod state_value;
mod statement;
mod statement_size;
mod system_tables;
#[cfg(test)]
mod tests;
mod text_concat;
mod time_filter;
mod to_arrow;
mod window_rows;
mod window_source;
mod window_table;
#[cfg(test)]
mod window_tests;

pub(crate) use engine::SqlEngine;
pub use limits::SqlLimits;
pub(crate) use service::answer;
