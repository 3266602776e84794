//! Tracepoints: named places in the code that export fields.
//!
//! A call site is two statics. The byte that says whether anything is woven lies among the bytes of
//! all other call sites, so idle tracepoints share cache lines with each other and with nothing else;
//! everything that only a woven tracepoint needs lies elsewhere.

use crate::fire::fire;
use crate::weave::Woven;
use arc_swap::ArcSwapOption;
use linkme::distributed_slice;
use pivot_advice::{Exports, Field, Type, Value};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// One byte per call site: not zero while advice is woven there.
#[distributed_slice]
pub static FLAGS_V0: [AtomicU8];

/// All call sites that were linked into this program.
#[distributed_slice]
pub static TRACEPOINTS_V0: [&'static Tracepoint];

/// A call site.
pub struct Tracepoint {
    name: &'static str,
    fields: &'static [(&'static str, Type)],
    place: Place,
    flag: &'static AtomicU8,
    woven: ArcSwapOption<Woven>,
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
    /// A call site; made by the macros.
    pub const fn new(
        name: &'static str,
        fields: &'static [(&'static str, Type)],
        place: Place,
        flag: &'static AtomicU8,
    ) -> Tracepoint {
        Tracepoint { name, fields, place, flag, woven: ArcSwapOption::const_empty() }
    }

    /// The full name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Names and types of the exported fields.
    pub fn fields(&self) -> &'static [(&'static str, Type)] {
        self.fields
    }

    /// Whether advice is woven here. One relaxed load.
    #[inline(always)]
    pub fn is_woven(&self) -> bool {
        self.flag.load(Ordering::Relaxed) != 0
    }

    /// Runs the woven advice. `field` gives the value of the exported field of that index, and is
    /// called for observed fields only.
    #[cold]
    #[inline(never)]
    pub fn fire(&'static self, field: &dyn Fn(usize) -> Value) {
        fire(self, field);
    }

    /// What the catalogue says of this call site.
    pub fn exports(&self) -> Exports {
        let field = |(name, ty): &(&str, Type)| Field { name: (*name).into(), ty: *ty };
        Exports {
            tracepoint: self.name.into(),
            fields: self.fields.iter().map(field).collect(),
            file: self.place.file.into(),
            line: self.place.line,
            module: self.place.module.into(),
        }
    }

    pub(crate) fn woven(&self) -> arc_swap::Guard<Option<Arc<Woven>>> {
        self.woven.load()
    }

    /// Publishes what is woven here: first what, then that.
    pub(crate) fn publish(&self, woven: Option<Arc<Woven>>) {
        let flag = u8::from(woven.is_some());
        self.woven.store(woven);
        self.flag.store(flag, Ordering::Release);
    }
}

impl fmt::Debug for Tracepoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracepoint").field("name", &self.name).field("place", &self.place).finish()
    }
}

/// All call sites of this program, in the order of their places in the source.
pub fn tracepoints() -> Vec<&'static Tracepoint> {
    let mut all: Vec<_> = TRACEPOINTS_V0.iter().copied().collect();
    all.sort_by_key(|tracepoint| (tracepoint.place, tracepoint.name));
    all
}

/// What all call sites of this program export.
pub fn catalogue() -> Vec<Exports> {
    tracepoints().into_iter().map(Tracepoint::exports).collect()
}

/// Declares a tracepoint and hits it.
///
/// ```
/// # use pivot_agent::tracepoint;
/// # let (n, block) = (42_u64, "b-1");
/// tracepoint!("DataNodeMetrics.incrBytesRead", delta: u64 = n, block = %block);
/// ```
///
/// A field is `name: type = expr`, `name = %expr` (its `Display`), `name = ?expr` (its `Debug`), or
/// `name = expr` with a type that queries learn only as it runs. Expressions are evaluated while a
/// woven query observes the field, and not otherwise.
#[macro_export]
macro_rules! tracepoint {
    ($name:expr $(, $($fields:tt)*)?) => {
        $crate::__tracepoint!([$name] [] $($($fields)*)?)
    };
}

/// Takes one field after the other off the front, then declares the statics.
#[doc(hidden)]
#[macro_export]
macro_rules! __tracepoint {
    ([$name:expr] [$($done:tt)*] $field:ident : $ty:ty = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($done)* {
            $field, <$ty as $crate::Export>::TYPE, { let value: $ty = $value; $crate::Export::export(&value) }
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($done:tt)*] $field:ident = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($done)* {
            $field, $crate::Type::String, $crate::Value::str(::std::format!("{}", $value))
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($done:tt)*] $field:ident = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($done)* {
            $field, $crate::Type::String, $crate::Value::str(::std::format!("{:?}", $value))
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($done:tt)*] $field:ident = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($done)* {
            $field, $crate::Type::Any, $crate::Export::export(&$value)
        }] $($($rest)*)?)
    };
    ([$name:expr] [$({ $field:ident, $ty:expr, $value:expr })*]) => {{
        $crate::__declare!($name, [$((::core::stringify!($field), $ty)),*]);
        if TRACEPOINT.is_woven() {
            TRACEPOINT.fire(&|_index| {
                let mut _next = 0;
                $(
                    if _index == _next {
                        return $value;
                    }
                    _next += 1;
                )*
                $crate::Value::Null
            });
        }
    }};
}

/// The statics of a call site: `TRACEPOINT`, its flag, and its place in the catalogue.
#[doc(hidden)]
#[macro_export]
macro_rules! __declare {
    ($name:expr, [$($fields:tt)*]) => {
        #[$crate::linkme::distributed_slice($crate::FLAGS_V0)]
        #[linkme(crate = $crate::linkme)]
        static FLAG: ::core::sync::atomic::AtomicU8 = ::core::sync::atomic::AtomicU8::new(0);
        static TRACEPOINT: $crate::Tracepoint = $crate::Tracepoint::new(
            $name,
            &[$($fields)*],
            $crate::Place {
                module: ::core::module_path!(),
                file: ::core::file!(),
                line: ::core::line!(),
            },
            &FLAG,
        );
        #[$crate::linkme::distributed_slice($crate::TRACEPOINTS_V0)]
        #[linkme(crate = $crate::linkme)]
        static ENTRY: &'static $crate::Tracepoint = &TRACEPOINT;
    };
}
