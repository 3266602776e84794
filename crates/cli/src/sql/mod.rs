//! SQL at the prompt and as `pivot sql`: how statements are asked, and how answers are printed.
//!
//! ```text
//! command ──▶ answer: rows as they come from the frontend ──▶ print: table, JSON, CSV, Markdown
//! ```

mod answer;
mod command;
mod print;

pub(crate) use answer::{SqlAnswer, SqlOutcome};
pub(crate) use command::{ask, run};
pub(crate) use print::PrintedForm;
