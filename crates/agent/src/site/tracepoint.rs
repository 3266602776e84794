//! Tracepoints: named places in the code that export fields.
//!
//! A call site is two statics. The byte that says whether anything is woven lies among the bytes of
//! all other call sites, so idle tracepoints share cache lines with each other and with nothing else;
//! everything that only a woven tracepoint needs lies elsewhere.

use crate::run::cells::{Cell, Cells};
use crate::run::event::fire;
use crate::site::declaration::{Constants, Declaration, ExportedField, SourceLocation, are_different};
use crate::weave::published::PublishedAdvice;
use pivot_advice::{Exports, Value};
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A call site.
pub struct Tracepoint {
    pub(crate) declaration: Declaration,
    flag: &'static AtomicU8,
    published: PublishedAdvice,
    /// A bit for each exported field that woven advice observes; the last bit stands for all from there.
    observed: AtomicU64,
}

impl Tracepoint {
    /// A call site; made by the macros, and checked as the program is compiled.
    pub const fn new(
        name: &'static str,
        fields: &'static [ExportedField],
        location: SourceLocation,
        flag: &'static AtomicU8,
    ) -> Tracepoint {
        assert!(!name.is_empty(), "a tracepoint has a name");
        assert!(are_different(fields), "a tracepoint exports each field once: two have the same name");
        let (constants, is_one_of_several) = (None, false);
        Tracepoint::of(Declaration { name, fields, constants, location, is_one_of_several }, flag)
    }

    /// A call site that becomes known as the program runs.
    pub(crate) fn late(
        name: &'static str,
        fields: &'static [ExportedField],
        constants: Constants,
        location: SourceLocation,
        flag: &'static AtomicU8,
    ) -> Tracepoint {
        let (constants, is_one_of_several) = (Some(constants), true);
        Tracepoint::of(Declaration { name, fields, constants, location, is_one_of_several }, flag)
    }

    const fn of(declaration: Declaration, flag: &'static AtomicU8) -> Tracepoint {
        Tracepoint { declaration, flag, published: PublishedAdvice::empty(), observed: AtomicU64::new(0) }
    }

    /// The full name.
    pub fn name(&self) -> &'static str {
        self.declaration.name
    }

    /// Names and types of the exported fields.
    pub fn fields(&self) -> &'static [ExportedField] {
        self.declaration.fields
    }

    /// Returns whether advice is woven here: one relaxed load.
    #[inline(always)]
    pub fn is_woven(&self) -> bool {
        self.flag.load(Ordering::Relaxed) != 0
    }

    /// Returns whether woven advice observes the exported field of that index.
    pub fn observes(&self, index: usize) -> bool {
        self.observed.load(Ordering::Relaxed) >> index.min(63) & 1 == 1
    }

    /// Runs the woven advice. `field` gives the value of the exported field of that index, and is
    /// called for observed fields only.
    #[cold]
    #[inline(never)]
    pub fn fire(&'static self, field: &dyn Fn(usize) -> Value) {
        self.fire_with(&|index, cells| cells.hold(&field(index)));
    }

    /// Runs the woven advice without making values: `field` returns the exported field of an index as a cell.
    #[cold]
    #[inline(never)]
    pub fn fire_with(&'static self, field: &dyn Fn(usize, &mut Cells) -> Cell) {
        fire(&self.published, field);
    }

    /// Returns what the catalogue says of this call site.
    pub fn exports(&self) -> Exports {
        self.declaration.exports()
    }

    pub(crate) fn published(&self) -> &PublishedAdvice {
        &self.published
    }

    /// Sets which exported fields are observed. Comes before the advice is published.
    pub(crate) fn set_observed(&self, fields: impl Iterator<Item = usize>) {
        self.observed.store(fields.fold(0, |bits, index| bits | 1 << index.min(63)), Ordering::Release);
    }

    /// Sets whether anything is woven here. Comes after the advice is published.
    pub(crate) fn set_woven(&self, woven: bool) {
        self.flag.store(u8::from(woven), Ordering::Release);
    }
}

impl fmt::Debug for Tracepoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Declaration { name, location, .. } = &self.declaration;
        f.debug_struct("Tracepoint").field("name", name).field("location", location).finish()
    }
}
