//! Running advice over an event.

pub(crate) mod advice_compiler;
pub(crate) mod agreement;
pub(crate) mod cell_expr;
pub mod cells;
pub(crate) mod compiled;
pub mod event;
pub(crate) mod fused;
pub(crate) mod fused_join;
pub mod interpreter;
pub mod sample;
