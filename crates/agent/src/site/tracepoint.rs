//! Tracepoints: named places in the code that export fields.
//!
//! A call site is two statics. The byte that says whether anything is woven lies among the bytes of
//! all other call sites, so idle tracepoints share cache lines with each other and with nothing else;
//! everything that only a woven tracepoint needs lies elsewhere.

use crate::run::cells::{Cell, Cells};
use crate::run::event::fire;
use crate::weave::name_linker::{DefaultField, Source};
use crate::weave::weaver::{self, Published};
use linkme::distributed_slice;
use pivot_advice::{Exports, Field, Type, Value};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{fmt, ptr};

/// One byte per call site: not zero while advice is woven there. The number is this crate's major
/// version: two versions in one program have slices of their own, where one name would be an error.
#[distributed_slice]
pub static FLAGS_V0: [AtomicU8];

/// All call sites that were linked into this program.
#[distributed_slice]
pub static TRACEPOINTS_V0: [&'static Tracepoint];

/// Tracepoints that became known as the program ran.
static REGISTERED: Mutex<Vec<&'static Tracepoint>> = Mutex::new(Vec::new());

/// Name and type of an exported field.
pub type ExportedField = (&'static str, Type);

/// Gives the value of an exported field if it is always the same.
type Constants = &'static (dyn Fn(&str) -> Option<Value> + Send + Sync);

/// A call site.
pub struct Tracepoint {
    name: &'static str,
    fields: &'static [ExportedField],
    /// Gives the exported fields that have one value here whatever happens.
    constants: Option<Constants>,
    place: Place,
    /// Whether call sites of the same name with other fields may become known.
    one_of_several: bool,
    flag: &'static AtomicU8,
    published: Published,
    /// A bit for each exported field that woven advice observes; the last bit stands for all from there.
    observed: AtomicU64,
}

/// Where a call site stands in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Module path.
    pub module: &'static str,
    /// Source file.
    pub file: &'static str,
    /// Source line, from 1.
    pub line: u32,
}

impl Tracepoint {
    /// A call site; made by the macros, and checked as the program is compiled.
    pub const fn new(
        name: &'static str,
        fields: &'static [ExportedField],
        place: Place,
        flag: &'static AtomicU8,
    ) -> Tracepoint {
        assert!(!name.is_empty(), "a tracepoint has a name");
        assert!(are_different(fields), "a tracepoint exports each field once: two have the same name");
        Tracepoint::of(name, fields, place, flag)
    }

    const fn of(
        name: &'static str,
        fields: &'static [ExportedField],
        place: Place,
        flag: &'static AtomicU8,
    ) -> Tracepoint {
        let (published, observed) = (Published::nothing(), AtomicU64::new(0));
        Tracepoint { name, fields, constants: None, place, one_of_several: false, flag, published, observed }
    }

    /// Adds a tracepoint that no macro declared, for as long as the process lives: that of a library's
    /// own instrumentation, or of a library that was loaded as the program ran. What a frontend wants
    /// woven there is woven at once; of the fields that it observes, those that are not here are null,
    /// since another of the same name may have them.
    pub fn register(name: &str, fields: &[ExportedField], place: Place) -> &'static Tracepoint {
        Tracepoint::register_with(name, fields, |_| None, place)
    }

    /// The same with fields that have one value here whatever happens, which `constants` gives: advice with
    /// a condition that rules it out is not woven here at all.
    pub fn register_with(
        name: &str,
        fields: &[ExportedField],
        constants: impl Fn(&str) -> Option<Value> + Send + Sync + 'static,
        place: Place,
    ) -> &'static Tracepoint {
        let name: &'static str = Box::leak(Box::<str>::from(name));
        let fields: &'static [ExportedField] = Box::leak(Box::<[ExportedField]>::from(fields));
        let flag: &'static AtomicU8 = Box::leak(Box::new(AtomicU8::new(0)));
        let constants: Option<Constants> = Some(Box::leak(Box::new(constants)));
        let declared = Tracepoint::of(name, fields, place, flag);
        let tracepoint = Tracepoint { one_of_several: true, constants, ..declared };
        let tracepoint: &'static Tracepoint = Box::leak(Box::new(tracepoint));
        REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).push(tracepoint);
        weaver::weave_new(tracepoint);
        tracepoint
    }

    /// The full name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Names and types of the exported fields.
    pub fn fields(&self) -> &'static [ExportedField] {
        self.fields
    }

    /// Whether advice is woven here. One relaxed load.
    #[inline(always)]
    pub fn is_woven(&self) -> bool {
        self.flag.load(Ordering::Relaxed) != 0
    }

    /// Whether woven advice observes the exported field of that index.
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

    /// The same where values need not be made: `field` puts one into a cell.
    #[cold]
    #[inline(never)]
    pub fn fire_with(&'static self, field: &dyn Fn(usize, &mut Cells) -> Cell) {
        fire(self, field);
    }

    /// What the catalogue says of this call site.
    pub fn exports(&self) -> Exports {
        let field = |(name, ty): &ExportedField| Field { name: (*name).into(), ty: *ty };
        Exports {
            tracepoint: self.name.into(),
            fields: self.fields.iter().map(field).collect(),
            file: self.place.file.into(),
            line: self.place.line,
            module: self.place.module.into(),
        }
    }

    /// What an observed value is here whatever happens, if it is always the same.
    pub(crate) fn constant(&self, source: Source) -> Option<Value> {
        match source {
            Source::Exported(index) => self.constants?(self.fields.get(index)?.0),
            Source::Default(DefaultField::Tracepoint) => Some(Value::str(self.name)),
            Source::Default(_) => None,
            Source::Lacking => Some(Value::Null),
        }
    }

    pub(crate) fn is_one_of_several(&self) -> bool {
        self.one_of_several
    }

    pub(crate) fn published(&self) -> &Published {
        &self.published
    }

    /// Says which exported fields are observed. Comes before what is published.
    pub(crate) fn observe(&self, fields: impl Iterator<Item = usize>) {
        self.observed.store(fields.fold(0, |bits, index| bits | 1 << index.min(63)), Ordering::Release);
    }

    /// Says whether something is woven here. Comes after what is published.
    pub(crate) fn raise(&self, woven: bool) {
        self.flag.store(u8::from(woven), Ordering::Release);
    }
}

impl fmt::Debug for Tracepoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracepoint").field("name", &self.name).field("place", &self.place).finish()
    }
}

/// Whether no two fields have the same name.
const fn are_different(fields: &[ExportedField]) -> bool {
    let mut i = 0;
    while i < fields.len() {
        let mut j = 0;
        while j < i {
            if are_equal(fields[i].0.as_bytes(), fields[j].0.as_bytes()) {
                return false;
            }
            j += 1;
        }
        i += 1;
    }
    true
}

const fn are_equal(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// Takes in the tracepoints of a library that was loaded as the program ran and that shares this crate's
/// code with it but has slices of its own: what it finds in its own [`TRACEPOINTS_V0`]. A library with a
/// copy of the crate is an agent of its own instead.
pub fn adopt(tracepoints: &[&'static Tracepoint]) {
    if crate::report::fork::is_forked() {
        return;
    }
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    let linked = TRACEPOINTS_V0.iter().copied();
    let known: HashSet<_> = linked.chain(registered.iter().copied()).map(ptr::from_ref).collect();
    let new = tracepoints.iter().copied().filter(|tracepoint| !known.contains(&ptr::from_ref(*tracepoint)));
    let new: Vec<&'static Tracepoint> = new.collect();
    registered.extend(&new);
    drop(registered);
    new.into_iter().for_each(weaver::weave_new);
}

/// How many tracepoints became known as the program ran; it only rises.
pub fn registered() -> usize {
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// All tracepoints of this program: call sites in the order of their places in the source, then
/// those that became known later, in the order in which they did.
pub fn tracepoints() -> Vec<&'static Tracepoint> {
    let mut all: Vec<_> = TRACEPOINTS_V0.iter().copied().collect();
    all.sort_by_key(|tracepoint| (tracepoint.place, tracepoint.name));
    all.extend(REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).iter());
    all
}

/// What all tracepoints of this program export.
pub fn catalogue() -> Vec<Exports> {
    tracepoints().into_iter().map(Tracepoint::exports).collect()
}

/// What tracepoints export that became known after so many others had.
pub fn catalogue_since(registered: usize) -> Vec<Exports> {
    let known = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().skip(registered).map(|tracepoint| tracepoint.exports()).collect()
}
