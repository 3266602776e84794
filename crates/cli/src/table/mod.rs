//! The one table renderer: live results, windows of unattended runs, and the lists of the REPL.

mod column_widths;
mod paint;
mod result_table;
mod text_table;

pub(crate) use column_widths::GAP;
pub(crate) use paint::{Paint, TextStyle};
pub(crate) use result_table::{expanded, of_rows, other_texts};
pub(crate) use text_table::{TableCell, TextTable};
