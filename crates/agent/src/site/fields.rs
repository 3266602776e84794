//! A field as a tracepoint shows it to whoever observes it.

use crate::run::cells::{Cell, Cells};
use crate::site::export::{Export, hash};
use crate::site::formatted::{formatted, with_text};
use pivot_advice::Value;
use std::fmt;

/// A field as the macros write it down.
#[doc(hidden)]
pub trait Field {
    /// Puts the value into a cell.
    fn cell(&self, cells: &mut Cells) -> Cell;
    /// Gives the value.
    fn value(&self) -> Value;
}

/// An exported field.
#[doc(hidden)]
#[derive(Debug)]
pub struct Exported<T>(pub T);

impl<T: Export> Field for Exported<T> {
    #[inline(always)]
    fn cell(&self, cells: &mut Cells) -> Cell {
        self.0.cell(cells)
    }

    fn value(&self) -> Value {
        self.0.export()
    }
}

/// A field that is formatted.
#[doc(hidden)]
#[derive(Debug)]
pub struct Formatted<'a>(pub fmt::Arguments<'a>);

impl Field for Formatted<'_> {
    fn cell(&self, cells: &mut Cells) -> Cell {
        with_text(self.0, |text| cells.text(text))
    }

    fn value(&self) -> Value {
        formatted(self.0)
    }
}

/// An ordinary field.
#[doc(hidden)]
#[derive(Debug)]
pub struct Shown<F>(pub F);

// The condition stands at the methods: so the compiler names the type that cannot be exported.
impl<F> Shown<F> {
    /// Puts the value into a cell.
    #[inline(always)]
    pub fn cell(&self, cells: &mut Cells) -> Cell
    where
        F: Field,
    {
        self.0.cell(cells)
    }
}

/// A sensitive field: its hash is shown.
#[doc(hidden)]
#[derive(Debug)]
pub struct Hidden<F>(pub F);

impl<F> Hidden<F> {
    /// Puts the value's hash into a cell.
    pub fn cell(&self, cells: &mut Cells) -> Cell
    where
        F: Field,
    {
        cells.hold(&hash(&self.0.value()))
    }
}
