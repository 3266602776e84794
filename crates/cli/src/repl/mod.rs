//! The REPL: a line editor around the same service that everything else uses.

pub(crate) mod commands;
mod completion;
mod edit;
mod external;
mod highlight;
mod history;
mod lists;
mod scan;
mod session;
pub(crate) mod show;
mod topics;
pub(crate) use external::Tee;
pub(crate) use session::{EXAMPLE, Session};
