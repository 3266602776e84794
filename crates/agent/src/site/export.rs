//! The Rust types whose values a tracepoint can export, and how each is seen by queries.
//!
//! ```text
//!   Rust                                           Export::TYPE   export() makes a Value, cell() a Cell
//!   u8 … u64, usize, NonZero…                      U64            in the cell
//!   i8 … i64, isize                                I64            in the cell
//!   u128, i128                                     U64, I64       null beyond 64 bits
//!   f32, f64                                       F64            in the cell
//!   bool                                           Bool           in the cell
//!   str, String, Cow, Box<str>, Arc<str>, char     String         up to 15 bytes in the cell, else in `Cells`
//!   Duration, SystemTime                           Duration, Timestamp, in nanoseconds
//!   Bytes(&[u8])                                   Bytes          in `Cells`
//!   [T], Vec<T>, [T; N]                            List of T      in `Cells`
//!   Option<T>                                      that of T      null if None
//!   &T, &mut T, Box<T>, Rc<T>, Arc<T>              that of T
//! ```
//!
//! Every type has [`Export::export`]. Those that occur in hot code also have a [`Export::cell`] of their own, which
//! puts the value where advice reads it without making a [`Value`], and so without an allocation.
//!
//! A `sensitive` field exports [`hash`] of its value instead. The hash is keyed, so that nobody outside can find a
//! name by hashing all names. Processes that are given one key by [`set_hash_key`] agree on hashes, which joins
//! need.

use crate::run::cells::{Cell, Cells};
use pivot_advice::{Type, Value};
use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A type whose values a tracepoint can export.
#[diagnostic::on_unimplemented(
    message = "a tracepoint cannot export a value of type `{Self}`",
    label = "queries know no such values",
    note = "export its text instead, with `name = %expr` (its `Display`) or `name = ?expr` (its `Debug`)",
    note = "or a field or method of it, or implement `pivot::Export` for it"
)]
pub trait Export {
    /// The type that queries see.
    const TYPE: Type;

    /// Returns the value that queries see. Called only while the field is observed.
    fn export(&self) -> Value;

    /// Puts the value that queries see into a cell. Types that occur in hot code override this, to make no
    /// [`Value`].
    #[inline(always)]
    fn cell(&self, cells: &mut Cells) -> Cell {
        cells.hold(&self.export())
    }
}

macro_rules! export_integers {
    ($($from:ty => $ty:ident($to:ident)),*) => {$(
        impl Export for $from {
            const TYPE: Type = Type::$ty;

            fn export(&self) -> Value {
                Value::$ty(*self as $to)
            }

            #[inline(always)]
            fn cell(&self, _: &mut Cells) -> Cell {
                Cell::$to(*self as $to)
            }
        }
    )*};
}

export_integers! {
    u8 => U64(u64), u16 => U64(u64), u32 => U64(u64), u64 => U64(u64), usize => U64(u64),
    i8 => I64(i64), i16 => I64(i64), i32 => I64(i64), i64 => I64(i64), isize => I64(i64)
}

macro_rules! export_doubles {
    ($($from:ty),*) => {$(
        impl Export for $from {
            const TYPE: Type = Type::F64;

            fn export(&self) -> Value {
                Value::double(f64::from(*self))
            }

            #[inline(always)]
            fn cell(&self, cells: &mut Cells) -> Cell {
                cells.hold(&Value::double(f64::from(*self)))
            }
        }
    )*};
}

export_doubles!(f32, f64);

macro_rules! export_wide {
    ($($from:ty => $ty:ident($to:ty)),*) => {$(
        impl Export for $from {
            const TYPE: Type = Type::$ty;

            /// Null beyond 64 bits.
            fn export(&self) -> Value {
                <$to>::try_from(*self).map_or(Value::Null, Value::$ty)
            }
        }
    )*};
}

export_wide!(u128 => U64(u64), i128 => I64(i64));

macro_rules! export_within {
    ($($from:ty: $get:expr),*) => {$(
        impl Export for $from {
            const TYPE: Type = <u64 as Export>::TYPE;

            fn export(&self) -> Value {
                let get: fn(&$from) -> u64 = $get;
                Value::U64(get(self))
            }
        }
    )*};
}

export_within! {
    std::num::NonZeroU8: |n| n.get().into(), std::num::NonZeroU16: |n| n.get().into(),
    std::num::NonZeroU32: |n| n.get().into(), std::num::NonZeroU64: |n| n.get(),
    std::num::NonZeroUsize: |n| n.get() as u64
}

macro_rules! export_text {
    ($($from:ty),*) => {$(
        impl Export for $from {
            const TYPE: Type = Type::String;

            fn export(&self) -> Value {
                Value::str(self)
            }

            #[inline(always)]
            fn cell(&self, cells: &mut Cells) -> Cell {
                cells.text(self)
            }
        }
    )*};
}

export_text!(str, String, Arc<str>, Box<str>, Cow<'_, str>);

impl Export for char {
    const TYPE: Type = Type::String;

    fn export(&self) -> Value {
        Value::str(self.encode_utf8(&mut [0; 4]))
    }
}

impl Export for () {
    const TYPE: Type = Type::Null;

    fn export(&self) -> Value {
        Value::Null
    }
}

/// Bytes that are exported as such, where a `[u8]` would be a list of numbers.
#[derive(Debug, Clone, Copy)]
pub struct ExportedBytes<'a>(pub &'a [u8]);

impl Export for ExportedBytes<'_> {
    const TYPE: Type = Type::Bytes;

    fn export(&self) -> Value {
        Value::Bytes(self.0.into())
    }
}

impl Export for bool {
    const TYPE: Type = Type::Bool;

    fn export(&self) -> Value {
        Value::Bool(*self)
    }

    #[inline(always)]
    fn cell(&self, _: &mut Cells) -> Cell {
        Cell::bool(*self)
    }
}

impl Export for Duration {
    const TYPE: Type = Type::Duration;

    fn export(&self) -> Value {
        Value::Duration(i64::try_from(self.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl Export for SystemTime {
    const TYPE: Type = Type::Timestamp;

    fn export(&self) -> Value {
        let since = self.duration_since(UNIX_EPOCH).map(|since| since.as_nanos());
        Value::Timestamp(since.map_or(0, |ns| i64::try_from(ns).unwrap_or(i64::MAX)))
    }
}

impl Export for Value {
    const TYPE: Type = Type::Any;

    fn export(&self) -> Value {
        self.clone()
    }
}

impl<T: Export + ?Sized> Export for &T {
    const TYPE: Type = T::TYPE;

    fn export(&self) -> Value {
        (**self).export()
    }

    #[inline(always)]
    fn cell(&self, cells: &mut Cells) -> Cell {
        (**self).cell(cells)
    }
}

macro_rules! export_inside {
    ($($outer:ident),*) => {$(
        impl<T: Export> Export for $outer<T> {
            const TYPE: Type = T::TYPE;

            fn export(&self) -> Value {
                (**self).export()
            }

            #[inline(always)]
            fn cell(&self, cells: &mut Cells) -> Cell {
                (**self).cell(cells)
            }
        }
    )*};
}

export_inside!(Box, Rc, Arc);

impl<T: Export + ?Sized> Export for &mut T {
    const TYPE: Type = T::TYPE;

    fn export(&self) -> Value {
        (**self).export()
    }

    #[inline(always)]
    fn cell(&self, cells: &mut Cells) -> Cell {
        (**self).cell(cells)
    }
}

impl<T: Export> Export for Option<T> {
    const TYPE: Type = T::TYPE;

    fn export(&self) -> Value {
        self.as_ref().map_or(Value::Null, Export::export)
    }

    #[inline(always)]
    fn cell(&self, cells: &mut Cells) -> Cell {
        match self {
            Some(value) => value.cell(cells),
            None => Cell::NULL,
        }
    }
}

impl<T: Export> Export for [T] {
    const TYPE: Type = list_of(T::TYPE);

    fn export(&self) -> Value {
        Value::List(self.iter().map(Export::export).collect())
    }
}

impl<T: Export> Export for Vec<T> {
    const TYPE: Type = list_of(T::TYPE);

    fn export(&self) -> Value {
        self.as_slice().export()
    }
}

impl<T: Export, const N: usize> Export for [T; N] {
    const TYPE: Type = list_of(T::TYPE);

    fn export(&self) -> Value {
        self.as_slice().export()
    }
}

/// A variable that a tracepoint exports without a declared type.
///
/// `(&CapturedVariable(&x)).take()` copies `x` if its type is `Copy`, and borrows it otherwise. This is *autoref
/// specialization*: method lookup first tries the receiver `&CapturedVariable` as [`TakeByCopy`], whose bound may fail, and
/// then `&&CapturedVariable` as [`TakeByReference`].
#[doc(hidden)]
#[derive(Debug)]
pub struct CapturedVariable<'a, T>(pub &'a T);

/// Takes a variable by copying it.
#[doc(hidden)]
pub trait TakeByCopy {
    /// The variable's type.
    type Taken;
    /// Returns a copy of the variable.
    fn take(&self) -> Self::Taken;
}

impl<T: Copy> TakeByCopy for CapturedVariable<'_, T> {
    type Taken = T;

    #[inline(always)]
    fn take(&self) -> T {
        *self.0
    }
}

/// Takes a variable by borrowing it.
#[doc(hidden)]
pub trait TakeByReference {
    /// A reference to the variable's type.
    type Taken;
    /// Returns a reference to the variable.
    fn take(&self) -> Self::Taken;
}

impl<'a, T> TakeByReference for &CapturedVariable<'a, T> {
    type Taken = &'a T;

    #[inline(always)]
    fn take(&self) -> &'a T {
        self.0
    }
}

/// The key of [`hash`]: random unless it was set before the first hash.
static HASH_KEY: OnceLock<[u64; 2]> = OnceLock::new();

/// Sets the key under which sensitive values are hashed. Processes with the same key make the same hashes; a
/// process without one has a random key. Returns false, without effect, if a key is set or a value was hashed
/// already.
pub fn set_hash_key(key: [u64; 2]) -> bool {
    HASH_KEY.set(key).is_ok()
}

/// Returns the hash of a value under this process's key: 16 hexadecimal digits, or null for null.
pub fn hash(value: &Value) -> Value {
    if value.is_null() {
        return Value::Null;
    }

    // The standard library's hasher state is the source of randomness: no dependency is needed for it.
    let key = HASH_KEY.get_or_init(|| [(); 2].map(|()| RandomState::new().build_hasher().finish()));
    let mut hasher = std::hash::DefaultHasher::new();
    (key, value).hash(&mut hasher);
    Value::str(format!("{:016x}", hasher.finish()))
}

/// Returns the type of lists of `element`, like `Type::list` but in a constant, where types cannot be compared.
const fn list_of(element: Type) -> Type {
    match element {
        // A list type borrows its element type, which must be a constant too: hence an arm for each.
        Type::Null => Type::List(&Type::Null),
        Type::Bool => Type::List(&Type::Bool),
        Type::I64 => Type::List(&Type::I64),
        Type::U64 => Type::List(&Type::U64),
        Type::F64 => Type::List(&Type::F64),
        Type::String => Type::List(&Type::String),
        Type::Bytes => Type::List(&Type::Bytes),
        Type::Timestamp => Type::List(&Type::Timestamp),
        Type::Duration => Type::List(&Type::Duration),

        // Types nest one level deep.
        Type::Any | Type::List(_) => Type::List(&Type::Any),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Export>(given: T, expected: Value) {
        assert_eq!(given.export(), expected);
        let ty = expected.type_of();
        assert!(T::TYPE == ty || expected.is_null(), "{:?} is not {ty:?}", T::TYPE);
    }

    #[test]
    fn types_of_the_language_have_rust_types() {
        check(u128::from(7_u8), Value::U64(7));
        check(u128::MAX, Value::Null);
        check(std::num::NonZeroU32::MIN, Value::U64(1));
        check('ß', Value::str("ß"));
        check(ExportedBytes(b"ab"), Value::Bytes(b"ab".as_slice().into()));
        check(Arc::new(5_i8), Value::I64(5));
        check([1.5_f32, 2.0], Value::List(vec![Value::F64(1.5), Value::F64(2.0)].into()));
        check(Some(vec!["a"]), Value::List(vec![Value::str("a")].into()));
    }

    #[test]
    #[allow(clippy::needless_borrow)]
    fn what_can_be_copied_is_copied_and_anything_else_borrowed() {
        let (number, text) = (4_u64, String::from("x"));
        let (taken, borrowed) = ((&CapturedVariable(&number)).take(), (&CapturedVariable(&text)).take());
        let _: (u64, &String) = (taken, borrowed);
        assert!(std::ptr::eq(borrowed, &text) && taken == 4);
    }

    #[test]
    fn a_hash_tells_equal_from_different_and_nothing_else() {
        let [a, again, b] = ["ann", "ann", "bob"].map(|name| hash(&Value::str(name)));
        assert_eq!(a, again);
        assert_ne!(a, b);
        assert!(!a.to_string().contains("ann"));
        assert!(hash(&Value::Null).is_null());
    }
}
