//! Which Rust types a field may have.

use pivot_advice::{Type, Value};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A type whose values a tracepoint can export.
pub trait Export {
    /// The type queries see.
    const TYPE: Type;

    /// The value queries see. Called only while the field is observed.
    fn export(&self) -> Value;
}

macro_rules! export_integers {
    ($($from:ty => $ty:ident($to:ty)),*) => {$(
        impl Export for $from {
            const TYPE: Type = Type::$ty;

            fn export(&self) -> Value {
                Value::$ty(*self as $to)
            }
        }
    )*};
}

export_integers! {
    u8 => U64(u64), u16 => U64(u64), u32 => U64(u64), u64 => U64(u64), usize => U64(u64),
    i8 => I64(i64), i16 => I64(i64), i32 => I64(i64), i64 => I64(i64), isize => I64(i64),
    f32 => F64(f64), f64 => F64(f64)
}

macro_rules! export_text {
    ($($from:ty),*) => {$(
        impl Export for $from {
            const TYPE: Type = Type::String;

            fn export(&self) -> Value {
                Value::str(self)
            }
        }
    )*};
}

export_text!(str, String, Arc<str>, Box<str>, Cow<'_, str>);

impl Export for bool {
    const TYPE: Type = Type::Bool;

    fn export(&self) -> Value {
        Value::Bool(*self)
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
}

impl<T: Export> Export for Option<T> {
    const TYPE: Type = T::TYPE;

    fn export(&self) -> Value {
        self.as_ref().map_or(Value::Null, Export::export)
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

/// `Type::list` for constants, where types cannot be compared.
const fn list_of(element: Type) -> Type {
    match element {
        Type::Null => Type::List(&Type::Null),
        Type::Bool => Type::List(&Type::Bool),
        Type::I64 => Type::List(&Type::I64),
        Type::U64 => Type::List(&Type::U64),
        Type::F64 => Type::List(&Type::F64),
        Type::String => Type::List(&Type::String),
        Type::Bytes => Type::List(&Type::Bytes),
        Type::Timestamp => Type::List(&Type::Timestamp),
        Type::Duration => Type::List(&Type::Duration),
        Type::Any | Type::List(_) => Type::List(&Type::Any),
    }
}
