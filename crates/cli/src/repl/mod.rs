//! The REPL: a line editor around the same service that everything else uses.

pub(crate) mod commands;
mod completion;
mod help_topics;
mod highlight;
mod history_path;
mod line_editor;
mod lists;
mod scan;
mod session;
pub(crate) mod stateless_commands;
mod text_editor;
pub(crate) use session::{EXAMPLE, ReplSession};
pub(crate) use text_editor::WindowFile;
