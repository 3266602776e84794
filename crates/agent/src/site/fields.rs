//! How the value of a field gets from the expression at a call site to whoever observes it.
//!
//! ```text
//!   at the call site          FieldValue             kind             in the macros       in the executor
//!   delta: u64 = n            Exported(&n)           PlainField    .cell(cells)   ──▶  Cell  U64 42
//!   user = name               Exported(&name)        PlainField    .cell(cells)   ──▶  Cell  "ann"
//!   block = %id               Formatted("{}", id)    PlainField    .cell(cells)   ──▶  Cell  "b-1"
//!   sensitive(user) = name    Exported(&name)        SensitiveField   .cell(cells)   ──▶  Cell  "3f…" (a hash)
//! ```
//!
//! The macros write each field as a [`FieldValue`] in one of two wrappers. Advice runs over cells, so an ordinary
//! field is put into a [`Cell`] directly: a number or short text makes no [`Value`] and allocates nothing. A
//! sensitive field is the exception. Its value is made, hashed, and dropped: only the hash gets into a cell, so
//! that no executor, bag or report can hold the text itself.
//!
//! Nothing here is called for a field that no woven advice observes.

use crate::run::cells::{Cell, Cells};
use crate::site::export::{Export, hash};
use crate::site::formatted::{formatted, with_text};
use pivot_advice::{Type, Value};
use std::fmt;

/// The expression of a field, to be read when the field is observed.
#[doc(hidden)]
pub trait FieldValue {
    /// Puts the value into a cell.
    fn cell(&self, cells: &mut Cells) -> Cell;
    /// Returns the value.
    fn value(&self) -> Value;
}

/// A field whose type implements [`Export`].
#[doc(hidden)]
#[derive(Debug)]
pub struct ExportableField<T>(pub T);

impl<T: Export> FieldValue for ExportableField<T> {
    #[inline(always)]
    fn cell(&self, cells: &mut Cells) -> Cell {
        self.0.cell(cells)
    }

    fn value(&self) -> Value {
        self.0.export()
    }
}

/// A field that is exported as formatted text, cut after some hundred bytes.
#[doc(hidden)]
#[derive(Debug)]
pub struct FormattedField<'a>(pub fmt::Arguments<'a>);

impl FieldValue for FormattedField<'_> {
    fn cell(&self, cells: &mut Cells) -> Cell {
        with_text(self.0, |text| cells.text(text))
    }

    fn value(&self) -> Value {
        formatted(self.0)
    }
}

/// A field that queries see as it is.
#[doc(hidden)]
#[derive(Debug)]
pub struct PlainField<F>(pub F);

// The bound stands at the method and not at the impl: an error then names the type that cannot be exported.
impl<F> PlainField<F> {
    /// Puts the value into a cell.
    #[inline(always)]
    pub fn cell(&self, cells: &mut Cells) -> Cell
    where
        F: FieldValue,
    {
        self.0.cell(cells)
    }
}

impl PlainField<()> {
    /// Returns the type that queries see of a field of type `ty`.
    pub const fn ty(ty: Type) -> Type {
        ty
    }

    /// Returns what queries see of a value.
    #[inline(always)]
    pub fn value(value: Value) -> Value {
        value
    }
}

/// A field in `sensitive(..)`: queries see a keyed hash of its value.
#[doc(hidden)]
#[derive(Debug)]
pub struct SensitiveField<F>(pub F);

impl<F> SensitiveField<F> {
    /// Puts the hash of the value into a cell.
    pub fn cell(&self, cells: &mut Cells) -> Cell
    where
        F: FieldValue,
    {
        cells.hold(&hash(&self.0.value()))
    }
}

impl SensitiveField<()> {
    /// Returns the type that queries see of a field of any type: that of a hash.
    pub const fn ty(_: Type) -> Type {
        Type::String
    }

    /// Returns what queries see of a value: its hash.
    pub fn value(value: Value) -> Value {
        hash(&value)
    }
}
