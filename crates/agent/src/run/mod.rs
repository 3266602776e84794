//! Running advice over an event.

pub(crate) mod advice_compiler;
pub(crate) mod agreement;
pub(crate) mod cell_expr;
pub mod cells;
pub(crate) mod compiled;
pub(crate) mod event;
pub(crate) mod fused;
pub mod interpreter;
pub(crate) mod ir;
pub mod sample;
