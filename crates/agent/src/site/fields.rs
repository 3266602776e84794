//! Fields as the macros write them: what of a field queries see, its value or a hash of it.

use crate::run::cells::{Cell, Cells};
use crate::site::export::{Export, hash};
use crate::site::formatted::{formatted, with_text};
use pivot_advice::{Type, Value};
use std::fmt;

/// The value of a field, in the form that its observer wants.
#[doc(hidden)]
pub trait Field {
    /// Returns the value as a cell.
    fn cell(&self, cells: &mut Cells) -> Cell;
    /// Returns the value.
    fn value(&self) -> Value;
}

/// A field of a type that can be exported.
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

/// A field that is formatted, by `%` or `?`.
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

/// An ordinary field: queries see its value.
#[doc(hidden)]
#[derive(Debug)]
pub struct Shown<F>(pub F);

// The bound is on the methods, so that the compiler names the type that cannot be exported.
impl<F> Shown<F> {
    /// Returns the value as a cell.
    #[inline(always)]
    pub fn cell(&self, cells: &mut Cells) -> Cell
    where
        F: Field,
    {
        self.0.cell(cells)
    }
}

impl Shown<()> {
    /// Returns the type that queries see of a field of this type.
    pub const fn ty(ty: Type) -> Type {
        ty
    }
}

impl Shown<Value> {
    /// Returns what queries see of a value.
    #[inline(always)]
    pub fn value(value: Value) -> Value {
        value
    }
}

/// A sensitive field: queries see a hash of it.
#[doc(hidden)]
#[derive(Debug)]
pub struct Hidden<F>(pub F);

impl<F> Hidden<F> {
    /// Returns the value's hash as a cell.
    pub fn cell(&self, cells: &mut Cells) -> Cell
    where
        F: Field,
    {
        cells.hold(&hash(&self.0.value()))
    }
}

impl Hidden<()> {
    /// Returns the type that queries see of a field of any type.
    pub const fn ty(_: Type) -> Type {
        Type::String
    }
}

impl Hidden<Value> {
    /// Returns what queries see of a value.
    pub fn value(value: Value) -> Value {
        hash(&value)
    }
}
