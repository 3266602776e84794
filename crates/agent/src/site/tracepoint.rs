//! Call sites: what one is, what it costs, and what weaving changes about it.
//!
//! A **tracepoint** is a named place in a program that exports fields; queries name it and observe its fields.
//! Several call sites may have one name. Each call site of the `tracepoint!` macro declares two statics of its own:
//!
//! ```text
//!   section of flags, all call sites side by side           wherever the linker puts it
//!   ┌───┬───┬───┬───┬───┬───┬─                              ┌─ TRACEPOINT ────────────────────────────────────┐
//!   │ 0 │ 0 │ 1 │ 0 │ 0 │ 0 │ …   FLAG, one byte each        │ declaration   name, fields, location: constant  │
//!   └───┴───┴─│─┴───┴───┴───┴─                              │ published ──▶ WovenSet: advice in running order │
//!             └─ read by every hit                          │ observed      a bit per exported field          │
//!                                                           └──────── read by woven hits only ────────────────┘
//! ```
//!
//! # What a hit costs
//!
//! - **Idle**: one load of the byte and one branch that is not taken, three instructions. No field is evaluated. The
//!   bytes lie side by side, so idle call sites share cache lines with each other, and nothing is written there but by weaving.
//! - **Woven**: [`Tracepoint::fire_with`], outside the hot code. It marks the thread as inside an event, loads the
//!   published set, and runs its advice; each advice evaluates a field when it first reads it. A fused COUNT takes
//!   fewer than 200 instructions in all.
//!
//! # What weaving changes
//!
//! The weaver builds a new set and then stores three things, in this order:
//!
//! 1. `observed`: which fields the set reads, for callers that evaluate fields before they fire;
//! 2. `published`: the pointer to the set. The old one is freed when no event can be reading it, see
//!    `weave/published.rs`;
//! 3. the byte.
//!
//! The byte is only a hint, read with a relaxed load. A hit that reads 0 a little too long misses advice that was
//! woven just now; one that reads 1 too long fires and finds the empty set. What must be right is read through the
//! pointer.

use crate::run::cells::{Cell, Cells};
use crate::run::fire_event::fire;
use crate::run::question::{ExpectedEvent, FieldWork, QuestionKind, ask, fire_expected};
use crate::site::declaration::{
    Constants, ExportedField, SourceLocation, TracepointDeclaration, are_different,
};
use crate::weave::published::PublishedAdvice;
use pivot_advice::{Exports, Value};
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A call site that exports fields, and the advice woven there.
pub struct Tracepoint {
    /// Name, fields and location, which never change.
    pub(crate) declaration: TracepointDeclaration,
    /// The call site's byte: not zero while advice is woven.
    flag: &'static AtomicU8,
    /// The advice that is woven, to be read without a lock.
    published: PublishedAdvice,
    /// A bit for each exported field that woven advice observes. The last bit stands for field 63 and all after it.
    observed: AtomicU64,
}

impl Tracepoint {
    /// Returns a call site that is linked into the program. The macros call this in a static, so its assertions are
    /// checked when the program is compiled.
    pub const fn new(
        name: &'static str,
        fields: &'static [ExportedField],
        location: SourceLocation,
        flag: &'static AtomicU8,
    ) -> Tracepoint {
        assert!(!name.is_empty(), "a tracepoint has a name");
        assert!(are_different(fields), "a tracepoint exports each field once: two have the same name");
        let (constants, is_one_of_several) = (None, false);
        Tracepoint::unwoven(
            TracepointDeclaration { name, fields, constants, location, is_one_of_several },
            flag,
        )
    }

    /// Returns a call site that is registered while the program runs. Others of its name may export other fields.
    pub(crate) fn registered(
        name: &'static str,
        fields: &'static [ExportedField],
        constants: Constants,
        location: SourceLocation,
        flag: &'static AtomicU8,
    ) -> Tracepoint {
        let (constants, is_one_of_several) = (Some(constants), true);
        Tracepoint::unwoven(
            TracepointDeclaration { name, fields, constants, location, is_one_of_several },
            flag,
        )
    }

    /// Returns a call site without advice.
    const fn unwoven(declaration: TracepointDeclaration, flag: &'static AtomicU8) -> Tracepoint {
        Tracepoint { declaration, flag, published: PublishedAdvice::empty(), observed: AtomicU64::new(0) }
    }

    /// Returns the full name, by which queries name the tracepoint.
    pub fn name(&self) -> &'static str {
        self.declaration.name
    }

    /// Returns the names and types of the exported fields, by index.
    pub fn fields(&self) -> &'static [ExportedField] {
        self.declaration.fields
    }

    /// Returns whether advice is woven here. Costs one relaxed load.
    #[inline(always)]
    pub fn is_woven(&self) -> bool {
        self.flag.load(Ordering::Relaxed) != 0
    }

    /// Returns whether woven advice observes the exported field with this index.
    pub fn observes(&self, index: usize) -> bool {
        self.observed.load(Ordering::Relaxed) >> index.min(63) & 1 == 1
    }

    /// Runs the woven advice over one event. `field` returns the value of the exported field with an index, and is
    /// called for observed fields only.
    #[cold]
    #[inline(never)]
    pub fn fire(&'static self, field: &dyn Fn(usize) -> Value) {
        self.fire_with(&|index, cells| cells.hold(&field(index)));
    }

    /// Runs the woven advice over one event. `field` puts the exported field with an index into a cell, which
    /// spares numbers and short text an allocation, and is called for observed fields only.
    #[cold]
    #[inline(never)]
    pub fn fire_with(&'static self, field: &dyn Fn(usize, &mut Cells) -> Cell) {
        fire(&self.published, field);
    }

    /// Asks whether advice is going to look at an event that comes next at one of these tracepoints. Returns `None`
    /// if none is: then the event is counted as left out, and need not be made.
    ///
    /// Pass what is returned to [`fire_expected`](Self::fire_expected) of the tracepoint where the event comes. If
    /// it does not come, drop it.
    #[cold]
    #[inline(never)]
    pub fn ask(tracepoints: &[&'static Tracepoint], kind: QuestionKind) -> Option<ExpectedEvent> {
        ask(tracepoints.iter().map(|tracepoint| &tracepoint.published), kind)
    }

    /// Runs the woven advice over an event that was [asked for](Self::ask) before: what was decided then is not
    /// decided again, and the time since is charged to the queries that look.
    #[cold]
    #[inline(never)]
    pub fn fire_expected(&'static self, expected: ExpectedEvent, field: &dyn Fn(usize) -> Value) {
        fire_expected(&self.published, expected, &|index, cells| cells.hold(&field(index)));
    }

    /// Charges work for the fields of a span, which ends now, to the advice woven at these tracepoints.
    #[cold]
    #[inline(never)]
    pub fn charge_field_work(work: FieldWork, tracepoints: &[&'static Tracepoint]) {
        work.charge(tracepoints.iter().map(|tracepoint| &tracepoint.published));
    }

    /// Returns the entry of this call site in the catalogue.
    pub fn exports(&self) -> Exports {
        self.declaration.exports()
    }

    /// Returns where the woven advice is published.
    pub(crate) fn published(&self) -> &PublishedAdvice {
        &self.published
    }

    /// Stores which exported fields are observed. Call it before a set is published: whoever runs the set may ask.
    pub(crate) fn set_observed(&self, fields: impl Iterator<Item = usize>) {
        self.observed.store(fields.fold(0, |bits, index| bits | 1 << index.min(63)), Ordering::Release);
    }

    /// Stores whether advice is woven. Call it after a set is published: whoever sees the byte must find the set.
    pub(crate) fn set_woven(&self, woven: bool) {
        self.flag.store(u8::from(woven), Ordering::Release);
    }
}

impl fmt::Debug for Tracepoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TracepointDeclaration { name, location, .. } = &self.declaration;
        f.debug_struct("Tracepoint").field("name", name).field("location", location).finish()
    }
}
