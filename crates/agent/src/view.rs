//! A field's value as it is lent to whoever observes it, for as long as that looks at it.

use crate::export::{Export, hash};
use crate::text::{formatted, with_text};
use pivot_advice::Value;
use std::fmt;

/// A value, or text that belongs to somebody else.
#[derive(Debug)]
pub enum View<'a> {
    /// Text, not copied yet.
    Str(&'a str),
    /// Anything else.
    Value(Value),
}

impl View<'_> {
    /// The value, which is a copy of text.
    pub fn into_value(self) -> Value {
        match self {
            View::Str(text) => Value::str(text),
            View::Value(value) => value,
        }
    }
}

/// Is shown one view.
pub type See<'s> = &'s mut dyn FnMut(View<'_>);

/// A field as the macros write it down.
#[doc(hidden)]
pub trait Field {
    /// Shows the value.
    fn view(&self, see: See<'_>);
    /// Gives the value.
    fn value(&self) -> Value;
}

/// An exported field.
#[doc(hidden)]
#[derive(Debug)]
pub struct Exported<T>(pub T);

impl<T: Export> Field for Exported<T> {
    #[inline(always)]
    fn view(&self, see: See<'_>) {
        self.0.view(see);
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
    fn view(&self, see: See<'_>) {
        with_text(self.0, |text| see(View::Str(text)));
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
    /// Shows the value.
    #[inline(always)]
    pub fn view(&self, see: See<'_>)
    where
        F: Field,
    {
        self.0.view(see);
    }
}

/// A sensitive field: its hash is shown.
#[doc(hidden)]
#[derive(Debug)]
pub struct Hidden<F>(pub F);

impl<F> Hidden<F> {
    /// Shows the value's hash.
    pub fn view(&self, see: See<'_>)
    where
        F: Field,
    {
        see(View::Value(hash(&self.0.value())));
    }
}
