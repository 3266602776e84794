//! The REPL: a line editor around the Frontend service.
//!
//! ```text
//! line_editor (reedline) ─ text ─▶ session ─┬─ query ──────▶ install, then live::watch
//!   completion, highlight                   ├─ command ────▶ commands::parse ─▶ stateless_commands ─▶ lists
//!   history_path                            └─ \e ─────────▶ text_editor
//! ```
//!
//! Commands that need nothing of the session work in batch runs as well, and are in `stateless_commands`.

pub(crate) mod commands;
mod completion;
mod glob;
mod help_topics;
mod highlight;
mod history;
mod history_path;
mod known_names;
mod line_editor;
mod lists;
mod session;
mod sql_completion;
pub(crate) mod stateless_commands;
mod text_editor;

pub(crate) use help_topics::EXAMPLE_QUERY;
pub(crate) use session::ReplSession;
