//! What leaves a function: its result, its error, its panic, or its cancellation.
//!
//! The attribute for functions expands to these. Whatever a function returns is accepted; how much
//! of it queries see depends on which traits it has.

use crate::export::Export;
use crate::tracepoint::Tracepoint;
use pivot_advice::Value;
use std::fmt::{Debug, Display};
use std::time::Instant;

/// Runs a body once. A closure that is passed here may return what it borrows from its captures.
#[inline(always)]
pub fn run<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// What a function returned.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The error's text; None if it succeeded.
    pub error: Option<Value>,
    /// What it returned; Null if it failed or its type cannot be exported.
    pub result: Value,
}

/// Fires the exit of a function, however it is left.
#[derive(Debug)]
#[must_use = "the function is left when this is dropped"]
pub struct Exit {
    observed: Option<Observed>,
}

#[derive(Debug)]
struct Observed {
    exit: &'static Tracepoint,
    error: &'static Tracepoint,
    fields: Vec<Value>,
    began: Instant,
    // A function that a destructor calls during a panic is not itself panicking.
    began_panicking: bool,
}

impl Exit {
    /// Begins a function. Its fields are evaluated, and its time taken, only if something is woven.
    #[inline(always)]
    pub fn begin(
        exit: &'static Tracepoint,
        error: &'static Tracepoint,
        fields: impl FnOnce() -> Vec<Value>,
    ) -> Exit {
        let observe = || Observed {
            exit,
            error,
            fields: fields(),
            began: Instant::now(),
            began_panicking: std::thread::panicking(),
        };
        Exit { observed: (exit.is_woven() || error.is_woven()).then(observe) }
    }

    /// The function returned. The outcome is evaluated only if something was woven.
    #[inline(always)]
    pub fn finish(mut self, outcome: impl FnOnce() -> Outcome) {
        if let Some(observed) = self.observed.take() {
            observed.returned(outcome());
        }
    }
}

impl Drop for Exit {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(observed) = self.observed.take() {
            observed.abandoned();
        }
    }
}

impl Observed {
    #[cold]
    fn returned(self, outcome: Outcome) {
        let Outcome { error, result } = outcome;
        match error {
            None => self.fire_exit("ok", result),
            Some(error) => {
                if self.error.is_woven() {
                    fire(self.error, &self.fields, &[self.began.elapsed().export(), error]);
                }
                self.fire_exit("err", result);
            }
        }
    }

    #[cold]
    fn abandoned(self) {
        let panics = std::thread::panicking() && !self.began_panicking;
        self.fire_exit(if panics { "panic" } else { "cancelled" }, Value::Null);
    }

    fn fire_exit(&self, outcome: &str, result: Value) {
        if self.exit.is_woven() {
            let last = [self.began.elapsed().export(), Value::str(outcome), result];
            fire(self.exit, &self.fields, &last);
        }
    }
}

/// Fires with the function's own fields and those that every function has after them.
fn fire(tracepoint: &'static Tracepoint, fields: &[Value], last: &[Value]) {
    tracepoint.fire(&|index| fields.iter().chain(last).nth(index).cloned().unwrap_or(Value::Null));
}

/// A returned value of which the compiler finds the most telling outcome.
///
/// `(&&&&&&&Returned(&value)).outcome()` takes the trait that is implemented for the most
/// references and whose bounds hold, so each trait below is tried before the one after it.
#[derive(Debug)]
pub struct Returned<'a, T>(pub &'a T);

macro_rules! outcomes {
    ($($doc:literal $of:ident [$($generics:tt)*] $self:ty, |$value:ident| $outcome:expr;)*) => {$(
        #[doc = $doc]
        pub trait $of {
            /// What is known of the returned value.
            fn outcome(&self) -> Outcome;
        }

        impl<$($generics)*> $of for $self {
            fn outcome(&self) -> Outcome {
                let $value = self.0;
                $outcome
            }
        }
    )*};
}

outcomes! {
    "A result and an error with a message."
    OfResultDisplay [T: Export, E: Display] &&&&&&Returned<'_, Result<T, E>>,
        |value| of_result(value, T::export, E::to_string);
    "A result and an error with a debug form."
    OfResultDebug [T: Export, E: Debug] &&&&&Returned<'_, Result<T, E>>,
        |value| of_result(value, T::export, |error| format!("{error:?}"));
    "An opaque result and an error with a message."
    OfErrorDisplay [T, E: Display] &&&&Returned<'_, Result<T, E>>,
        |value| of_result(value, |_| Value::Null, E::to_string);
    "An opaque result and an error with a debug form."
    OfErrorDebug [T, E: Debug] &&&Returned<'_, Result<T, E>>,
        |value| of_result(value, |_| Value::Null, |error| format!("{error:?}"));
    "An opaque result and an opaque error, which is named by its type."
    OfError [T, E] &&Returned<'_, Result<T, E>>,
        |value| of_result(value, |_| Value::Null, |_| std::any::type_name::<E>().into());
    "A value that cannot fail."
    OfExport [T: Export] &Returned<'_, T>,
        |value| Outcome { error: None, result: value.export() };
    "Anything else."
    OfAny [T] Returned<'_, T>,
        |_value| Outcome { error: None, result: Value::Null };
}

fn of_result<T, E>(
    returned: &Result<T, E>,
    result: impl FnOnce(&T) -> Value,
    error: impl FnOnce(&E) -> String,
) -> Outcome {
    match returned {
        Ok(value) => Outcome { error: None, result: result(value) },
        Err(failed) => Outcome { error: Some(Value::str(error(failed))), result: Value::Null },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Opaque;

    fn text(outcome: Outcome) -> (Option<Value>, Value) {
        (outcome.error, outcome.result)
    }

    macro_rules! outcome {
        ($ty:ty, $value:expr) => {{
            let value: $ty = $value;
            text((&&&&&&&Returned(&value)).outcome())
        }};
    }

    #[test]
    fn the_most_telling_outcome_is_taken() {
        let failed = |text: &str| (Some(Value::str(text)), Value::Null);
        assert_eq!(outcome!(Result<u64, String>, Ok(4)), (None, Value::U64(4)));
        assert_eq!(outcome!(Result<u64, String>, Err("no".into())), failed("no"));
        assert_eq!(outcome!(Result<u64, Opaque>, Err(Opaque)), failed("Opaque"));
        assert_eq!(outcome!(Result<Opaque, String>, Err("no".into())), failed("no"));
        assert_eq!(outcome!(Result<Opaque, Opaque>, Err(Opaque)), failed("Opaque"));
        assert_eq!(outcome!(Result<Opaque, Opaque>, Ok(Opaque)), (None, Value::Null));
        assert_eq!(outcome!(u64, 4), (None, Value::U64(4)));
        assert_eq!(outcome!(Opaque, Opaque), (None, Value::Null));
    }
}
