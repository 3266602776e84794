//! The one table renderer: for live results, the windows of batch runs, and the lists of the REPL.
//!
//! ```text
//! FrameRow ──result_table──▶ TextTable of TableCells ──render(columns, StyleMode)──▶ lines, none wider
//!                                          └─ column_widths: who gives way when it is too wide
//! ```

mod column_widths;
mod paint;
mod result_table;
mod text_table;

pub(crate) use column_widths::GAP;
pub(crate) use paint::{StyleMode, TextRole};
pub(crate) use result_table::{expanded_rows, other_row_texts, result_table};
pub(crate) use text_table::{TableCell, TextTable};
