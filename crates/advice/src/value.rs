//! Values and their types.
//!
//! Equality here is that of group keys, not that of `=` in a query:
//!
//! | | group key (`==`, `Hash`, [`Value::group_cmp`]) | `=` in a query ([`crate::eval`]) |
//! |---|---|---|
//! | null, null | equal | unknown |
//! | NaN, NaN | equal | false |
//! | 0.0, -0.0 | equal | true |
//! | 5 (i64), 5 (u64) | equal | true |
//! | 5 (i64), 5.0 (f64) | different | true |
//!
//! A value is three words. Text, bytes and lists are shared, so a clone counts a reference up and allocates
//! nothing.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// One value of a tuple.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A double.
    F64(f64),
    /// Text.
    Str(Arc<str>),
    /// Raw bytes.
    Bytes(Arc<[u8]>),
    /// Nanoseconds since the Unix epoch.
    Timestamp(i64),
    /// Nanoseconds.
    Duration(i64),
    /// A list of values that are not lists.
    List(Arc<[Value]>),
}

/// The type of a field, column or expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Not known before the first event; checked as it runs.
    Any,
    /// Only null.
    Null,
    /// [`Value::Bool`].
    Bool,
    /// [`Value::I64`].
    I64,
    /// [`Value::U64`].
    U64,
    /// [`Value::F64`].
    F64,
    /// [`Value::Str`].
    String,
    /// [`Value::Bytes`].
    Bytes,
    /// [`Value::Timestamp`].
    Timestamp,
    /// [`Value::Duration`].
    Duration,
    /// [`Value::List`] with elements of one type.
    List(&'static Type),
}

/// The bits of a type code that name a scalar.
const SCALAR_BITS: u8 = 15;
/// The bit of a type code that makes it a list of the scalar.
const LIST_BIT: u8 = 16;

impl Type {
    /// The types that are not lists, in the order of their wire codes.
    pub const SCALARS: [Type; 10] = [
        Type::Any,
        Type::Null,
        Type::Bool,
        Type::I64,
        Type::U64,
        Type::F64,
        Type::String,
        Type::Bytes,
        Type::Timestamp,
        Type::Duration,
    ];

    /// Whether the type is `i64` or `u64`.
    pub fn is_integer(self) -> bool {
        matches!(self, Type::I64 | Type::U64)
    }

    /// Whether the type is an integer or a double.
    pub fn is_number(self) -> bool {
        self.is_integer() || self == Type::F64
    }

    /// Returns the code of the type on the wire and in baggage: its place in [`Type::SCALARS`], plus 16
    /// for a list of it. [`Type::from_code`] is the inverse.
    pub const fn code(self) -> u8 {
        match self {
            Type::Any => 0,
            Type::Null => 1,
            Type::Bool => 2,
            Type::I64 => 3,
            Type::U64 => 4,
            Type::F64 => 5,
            Type::String => 6,
            Type::Bytes => 7,
            Type::Timestamp => 8,
            Type::Duration => 9,
            Type::List(element) => LIST_BIT | element.code() & SCALAR_BITS,
        }
    }

    /// Returns the type of a code; a code of a later version means [`Type::Any`].
    pub fn from_code(code: u8) -> Type {
        let index = usize::from(code & SCALAR_BITS);
        match (Self::SCALARS.get(index), code & LIST_BIT) {
            (Some(scalar), 0) => *scalar,
            (Some(scalar), _) => scalar.list(),
            (None, _) => Type::Any,
        }
    }

    /// Returns the type of lists of this type; a list of lists is a list of [`Type::Any`].
    pub fn list(self) -> Type {
        // Types are copied freely, so the element types are in the program itself.
        const LISTS: [Type; 10] = [
            Type::List(&Type::Any),
            Type::List(&Type::Null),
            Type::List(&Type::Bool),
            Type::List(&Type::I64),
            Type::List(&Type::U64),
            Type::List(&Type::F64),
            Type::List(&Type::String),
            Type::List(&Type::Bytes),
            Type::List(&Type::Timestamp),
            Type::List(&Type::Duration),
        ];

        let place = Self::SCALARS.iter().position(|t| *t == self);
        LISTS[place.unwrap_or(0)]
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Any => "any",
            Type::Null => "null",
            Type::Bool => "bool",
            Type::I64 => "i64",
            Type::U64 => "u64",
            Type::F64 => "f64",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Timestamp => "timestamp",
            Type::Duration => "duration",
            Type::List(element) => return write!(f, "list<{element}>"),
        })
    }
}

impl Value {
    /// Returns a text as a value.
    pub fn str(text: impl AsRef<str>) -> Value {
        Value::Str(Arc::from(text.as_ref()))
    }

    /// Returns a double as a value. Zero loses its sign and a NaN its bits, so that values of one group read
    /// alike and nothing that is computed from them differs.
    pub fn double(x: f64) -> Value {
        Value::F64(canonical(x))
    }

    /// Returns the type of the value.
    pub fn type_of(&self) -> Type {
        match self {
            Value::Null => Type::Null,
            Value::Bool(_) => Type::Bool,
            Value::I64(_) => Type::I64,
            Value::U64(_) => Type::U64,
            Value::F64(_) => Type::F64,
            Value::Str(_) => Type::String,
            Value::Bytes(_) => Type::Bytes,
            Value::Timestamp(_) => Type::Timestamp,
            Value::Duration(_) => Type::Duration,
            Value::List(items) => items.first().map_or(Type::Any, Value::type_of).list(),
        }
    }

    /// Whether the value is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Returns how much memory the value takes, in bytes; about.
    pub fn memory_size(&self) -> usize {
        // What is shared has two counters before it.
        const COUNTERS: usize = 16;
        let shared = match self {
            Value::Str(text) => text.len() + COUNTERS,
            Value::Bytes(bytes) => bytes.len() + COUNTERS,
            Value::List(items) => items.iter().map(Value::memory_size).sum::<usize>() + COUNTERS,
            _ => 0,
        };
        size_of::<Value>() + shared
    }

    /// Returns the number if the value is an integer.
    pub fn as_integer(&self) -> Option<i128> {
        match self {
            Value::I64(x) => Some(i128::from(*x)),
            Value::U64(x) => Some(i128::from(*x)),
            _ => None,
        }
    }

    /// Returns the number if the value is one, as a double.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::I64(x) => Some(*x as f64),
            Value::U64(x) => Some(*x as f64),
            Value::F64(x) => Some(*x),
            _ => None,
        }
    }

    /// Compares by a total order over all values, for sorting the rows of a result.
    ///
    /// Numbers compare by number across their types, and a NaN is above all of them. Other values of
    /// different types compare by type, null first.
    pub fn total_cmp(&self, other: &Value) -> Ordering {
        use Value::*;
        match (self, other) {
            (Bool(a), Bool(b)) => a.cmp(b),
            (Str(a), Str(b)) => a.cmp(b),
            (Bytes(a), Bytes(b)) => a.cmp(b),
            (Timestamp(a), Timestamp(b)) | (Duration(a), Duration(b)) => a.cmp(b),
            (List(a), List(b)) => compare_lists(a, b),

            (F64(a), F64(b)) => compare_doubles(*a, *b),
            // An integer is never converted to a double here: large ones would be equal to their neighbours.
            (F64(a), _) => match other.as_integer() {
                Some(b) => compare_integer(b, *a).reverse(),
                None => self.rank().cmp(&other.rank()),
            },
            (_, F64(b)) => match self.as_integer() {
                Some(a) => compare_integer(a, *b),
                None => self.rank().cmp(&other.rank()),
            },

            _ => match (self.as_integer(), other.as_integer()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => self.rank().cmp(&other.rank()),
            },
        }
    }

    /// Compares by a total order in which exactly the values of one group are equal: like
    /// [`Value::total_cmp`], but an integer comes before the double that is the same number. MIN and MAX use
    /// it, so that they do not depend on the order of rows.
    pub fn group_cmp(&self, other: &Value) -> Ordering {
        self.total_cmp(other).then_with(|| match (self, other) {
            (Value::List(a), Value::List(b)) => {
                let differing = a.iter().zip(b.iter()).map(|(x, y)| x.group_cmp(y)).find(|o| o.is_ne());
                differing.unwrap_or(Ordering::Equal)
            }
            _ => matches!(self, Value::F64(_)).cmp(&matches!(other, Value::F64(_))),
        })
    }

    /// Returns the place of the type in the order of values of different types.
    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::I64(_) | Value::U64(_) | Value::F64(_) => 2,
            Value::Str(_) => 3,
            Value::Bytes(_) => 4,
            Value::Timestamp(_) => 5,
            Value::Duration(_) => 6,
            Value::List(_) => 7,
        }
    }
}

/// Compares doubles so that NaN is above infinity and zero has no sign.
fn compare_doubles(a: f64, b: f64) -> Ordering {
    canonical(a).total_cmp(&canonical(b))
}

/// Compares an integer with a double exactly, without rounding either; a NaN is above all integers.
fn compare_integer(a: i128, b: f64) -> Ordering {
    if b.is_nan() {
        return Ordering::Less;
    }

    // The conversion to i128 saturates far beyond all integers that a value holds.
    let fraction = if b > b.floor() { Ordering::Less } else { Ordering::Equal };
    a.cmp(&(b.floor() as i128)).then(fraction)
}

/// Compares lists element by element; a list that ends first comes first.
fn compare_lists(a: &[Value], b: &[Value]) -> Ordering {
    let differing = a.iter().zip(b).map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// Maps all NaNs to one and both zeros to one, so that equal group keys have equal bits.
fn canonical(x: f64) -> f64 {
    if x.is_nan() {
        f64::NAN
    } else if x == 0.0 {
        0.0
    } else {
        x
    }
}

/// Returns the integer nearest to a double, or `None` if it does not fit 64 bits or is not a number.
pub(crate) fn nearest_integer(x: f64) -> Option<i64> {
    let x = x.round();
    // 2^63 as a double is exact, and the first value out of range.
    let limit = 9_223_372_036_854_775_808.0;
    (-limit <= x && x < limit).then_some(x as i64)
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        use Value::*;
        match (self, other) {
            (Null, Null) => true,
            (Bool(a), Bool(b)) => a == b,
            (F64(a), F64(b)) => canonical(*a).to_bits() == canonical(*b).to_bits(),
            (Str(a), Str(b)) => a == b,
            (Bytes(a), Bytes(b)) => a == b,
            (Timestamp(a), Timestamp(b)) | (Duration(a), Duration(b)) => a == b,
            (List(a), List(b)) => a == b,

            _ => match (self.as_integer(), other.as_integer()) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
        }
    }
}

impl Eq for Value {}

/// Numbers that tell types apart whose values have the same bits. Without them `0` and `false` would hash
/// alike, and a sketch that counts different hashes would count one value. They must not change: hashes
/// travel.
#[repr(u64)]
enum TypeSalt {
    Null = 0x9e37_79b9_7f4a_7c15,
    Negative = 0x2545_f491_4f6c_dd1d,
    Bool = 0xc2b2_ae3d_27d4_eb4f,
    Double = 0x1656_67b1_9e37_79f9,
    Timestamp = 0x27d4_eb2f_1656_67c5,
    Duration = 0xff51_afd7_ed55_8ccd,
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Value::Null => state.write_u64(TypeSalt::Null as u64),
            Value::Bool(x) => state.write_u64(TypeSalt::Bool as u64 ^ u64::from(*x)),
            // Equal integers hash alike whatever their type; those below zero equal no unsigned one.
            Value::I64(x) if *x < 0 => state.write_u64(TypeSalt::Negative as u64 ^ *x as u64),
            Value::I64(x) => state.write_u64(*x as u64),
            Value::U64(x) => state.write_u64(*x),

            Value::F64(x) => state.write_u64(TypeSalt::Double as u64 ^ canonical(*x).to_bits()),
            Value::Str(x) => x.hash(state),
            Value::Bytes(x) => x.hash(state),
            Value::Timestamp(x) => state.write_u64(TypeSalt::Timestamp as u64 ^ *x as u64),
            Value::Duration(x) => state.write_u64(TypeSalt::Duration as u64 ^ *x as u64),
            Value::List(x) => x.hash(state),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(x) => write!(f, "{x}"),
            Value::I64(x) => write!(f, "{x}"),
            Value::U64(x) => write!(f, "{x}"),
            Value::F64(x) => write!(f, "{x:?}"),

            Value::Str(x) => f.write_str(x),
            Value::Bytes(x) => x.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            // Seconds since the epoch; a time zone is for those who show it to people.
            Value::Timestamp(x) => {
                write!(f, "{}.{:09}", x.div_euclid(1_000_000_000), x.rem_euclid(1_000_000_000))
            }
            Value::Duration(x) => write_duration(f, *x),
            Value::List(items) => write_list(f, items),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, items: &[Value]) -> fmt::Result {
    f.write_str("[")?;
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
    }
    f.write_str("]")
}

/// Writes a duration exactly, in the largest unit of which there is at least one: `1.5ms`.
fn write_duration(f: &mut fmt::Formatter<'_>, ns: i64) -> fmt::Result {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let (unit, name, digits) = match ns {
        0..1_000 => return write!(f, "{sign}{ns}ns"),
        1_000..1_000_000 => (1_000, "us", 3),
        1_000_000..1_000_000_000 => (1_000_000, "ms", 6),
        _ => (1_000_000_000, "s", 9),
    };

    // All digits first, then without the zeros at the end.
    let fraction = format!("{:0digits$}", ns % unit);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    write!(f, "{sign}{}{point}{fraction}{name}", ns / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_equal_by_number() {
        assert_eq!(Value::I64(5), Value::U64(5));
        assert_ne!(Value::I64(-1), Value::U64(u64::MAX));
        assert_ne!(Value::I64(5), Value::F64(5.0));
    }

    #[test]
    fn integers_compare_with_doubles_exactly() {
        let two_to_63 = 9_223_372_036_854_775_808.0;
        assert!(Value::I64(i64::MAX).total_cmp(&Value::F64(two_to_63)).is_lt());
        assert!(Value::F64(two_to_63).total_cmp(&Value::U64(1 << 63)).is_eq());
        assert!(Value::F64(-0.5).total_cmp(&Value::I64(-1)).is_gt());
        assert!(Value::I64(0).total_cmp(&Value::F64(f64::NEG_INFINITY)).is_gt());
        assert!(Value::U64(u64::MAX).total_cmp(&Value::F64(f64::NAN)).is_lt());
    }

    #[test]
    fn values_that_are_one_group_are_the_equal_ones_in_their_order() {
        let list = |items: &[Value]| Value::List(items.into());
        let values = [
            Value::I64(5),
            Value::U64(5),
            Value::F64(5.0),
            Value::F64(f64::NAN),
            list(&[Value::I64(5)]),
            list(&[Value::F64(5.0)]),
            Value::str("5"),
        ];
        for (x, y) in values.iter().flat_map(|x| values.iter().map(move |y| (x, y))) {
            assert_eq!(x == y, x.group_cmp(y).is_eq(), "{x:?} {y:?}");
            assert_eq!(x.group_cmp(y), y.group_cmp(x).reverse(), "{x:?} {y:?}");
        }
    }

    #[test]
    fn every_nan_is_one_group() {
        assert_eq!(Value::F64(f64::NAN), Value::F64(-f64::NAN));
        assert_eq!(Value::F64(0.0), Value::F64(-0.0));
    }

    #[test]
    fn values_of_different_types_hash_differently() {
        let values = [
            Value::Null,
            Value::Bool(false),
            Value::I64(0),
            Value::I64(-1),
            Value::U64(u64::MAX),
            Value::F64(0.0),
            Value::Timestamp(0),
            Value::Duration(0),
            Value::str(""),
        ];
        let hashes: std::collections::HashSet<u64> =
            values.iter().map(|value| crate::stable_hash::stable_hash(std::slice::from_ref(value))).collect();
        assert_eq!(hashes.len(), values.len());
    }

    #[test]
    fn durations_are_shown_exactly() {
        let shown = |ns| Value::Duration(ns).to_string();
        assert_eq!(shown(999), "999ns");
        assert_eq!(shown(1_500_000), "1.5ms");
        assert_eq!(shown(-2_000_000_000), "-2s");
        assert_eq!(shown(1_000_000_001), "1.000000001s");
    }

    #[test]
    fn type_codes_round_trip() {
        for scalar in Type::SCALARS {
            assert_eq!(Type::from_code(scalar.code()), scalar);
            assert_eq!(Type::from_code(scalar.list().code()), scalar.list());
        }
    }
}
