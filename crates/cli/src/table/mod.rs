//! The one table renderer: live results, windows of unattended runs, and the lists of the REPL.

mod layout;
mod paint;
mod render;
mod result;

pub(crate) use layout::GAP;
pub(crate) use paint::{Paint, Style};
pub(crate) use render::{Cell, Table};
pub(crate) use result::{expanded, of_rows, other_texts};
