//! The REPL: a line editor around the same service that everything else uses.

mod commands;
mod completion;
mod edit;
mod highlight;
mod history;
mod lists;
mod scan;
mod session;

pub(crate) use session::{EXAMPLE, Session};
