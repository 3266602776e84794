//! What leaves a function: its result, its error, its panic, or its cancellation.
//!
//! The attribute for functions expands to these. Whatever a function returns is accepted; how much
//! of it queries see depends on which traits it has.

use crate::report::thread_slot::EventGuard;
use crate::site::export::Export;
use crate::site::formatted::formatted;
use crate::site::tracepoint::Tracepoint;
use pivot_advice::Value;
use std::fmt::{Debug, Display};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

/// Runs a body once. A closure that is passed here may return what it borrows from its captures.
#[inline(always)]
pub fn run<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// A call site with its flag beside it, so that looking at the flag is one load.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    /// Its flag.
    pub flag: &'static AtomicU8,
    /// Everything else.
    pub tracepoint: &'static Tracepoint,
}

impl Site {
    /// Whether advice is woven there.
    #[inline(always)]
    pub fn is_woven(&self) -> bool {
        self.flag.load(Ordering::Relaxed) != 0
    }
}

/// The result or error of a function that has returned.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The error's text; None if it succeeded.
    pub error: Option<Value>,
    /// The result; null if the function failed, nobody observes it, or its type cannot be exported.
    pub result: Value,
}

/// The parts of an outcome that somebody observes.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The result.
    pub result: bool,
    /// The error's text.
    pub error: bool,
}

/// Fires the exit of a function, however it is left.
#[derive(Debug)]
#[must_use = "the function is left when this is dropped"]
pub struct Exit {
    // Boxed: it is moved around at every exit, and is there at few.
    observed: Option<Box<Observed>>,
}

#[derive(Debug)]
struct Observed {
    exit: Site,
    error: Site,
    /// The fields that were evaluated, by index.
    fields: Vec<EvaluatedField>,
    began: Option<Instant>,
    // A function that a destructor calls during a panic is not itself panicking.
    began_panicking: bool,
}

#[derive(Debug, Clone)]
enum EvaluatedField {
    /// Nobody observed it.
    Not,
    Value(Value),
    /// Its expression panicked.
    Panicked,
}

impl Exit {
    /// Begins a function with so many fields. Those that are observed are evaluated, and its time
    /// taken, if something is woven.
    #[inline(always)]
    pub fn begin(exit: Site, error: Site, fields: usize, field: impl Fn(usize) -> Value) -> Exit {
        let woven = exit.is_woven() || error.is_woven();
        Exit { observed: if woven { Observed::begin(exit, error, fields, &field) } else { None } }
    }

    /// The function returned. The outcome is evaluated only if something was woven.
    #[inline(always)]
    pub fn finish(mut self, outcome: impl FnOnce(Wanted) -> Outcome) {
        if let Some(observed) = self.observed.take() {
            observed.returned(outcome);
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
    #[inline(never)]
    fn begin(
        exit: Site,
        error: Site,
        fields: usize,
        field: &dyn Fn(usize) -> Value,
    ) -> Option<Box<Observed>> {
        // EventGuard, like every evaluation: events that an expression hits are skipped.
        let _inside = EventGuard::enter()?;

        let observes = |index| exit.tracepoint.observes(index) || error.tracepoint.observes(index);
        let evaluate = |index| match catch_unwind(AssertUnwindSafe(|| field(index))) {
            Ok(value) => EvaluatedField::Value(value),
            Err(_) => EvaluatedField::Panicked,
        };
        let evaluated = |index| if observes(index) { evaluate(index) } else { EvaluatedField::Not };
        Some(Box::new(Observed {
            exit,
            error,
            fields: (0..fields).map(evaluated).collect(),
            began: observes(fields).then(Instant::now),
            began_panicking: std::thread::panicking(),
        }))
    }

    #[cold]
    fn returned(&self, outcome: impl FnOnce(Wanted) -> Outcome) {
        let fields = self.fields.len();
        let wanted = Wanted {
            result: self.exit.tracepoint.observes(fields + 2),
            error: self.error.tracepoint.observes(fields + 1),
        };
        let evaluated = {
            let Some(_inside) = EventGuard::enter() else { return };
            catch_unwind(AssertUnwindSafe(|| outcome(wanted)))
        };
        let Ok(Outcome { error, result }) = evaluated else {
            return self
                .fire(self.exit, &[self.elapsed(), EvaluatedField::Panicked, EvaluatedField::Panicked]);
        };
        match error {
            None => self.fire_exit("ok", EvaluatedField::Value(result)),
            Some(error) => {
                self.fire(self.error, &[self.elapsed(), EvaluatedField::Value(error)]);
                self.fire_exit("err", EvaluatedField::Value(result));
            }
        }
    }

    #[cold]
    fn abandoned(&self) {
        let panics = std::thread::panicking() && !self.began_panicking;
        self.fire_exit(if panics { "panic" } else { "cancelled" }, EvaluatedField::Value(Value::Null));
    }

    fn elapsed(&self) -> EvaluatedField {
        self.began.map_or(EvaluatedField::Not, |began| EvaluatedField::Value(began.elapsed().export()))
    }

    fn fire_exit(&self, outcome: &str, result: EvaluatedField) {
        self.fire(self.exit, &[self.elapsed(), EvaluatedField::Value(Value::str(outcome)), result]);
    }

    /// Fires with the function's own fields and those that every function has after them. Advice that
    /// was woven since the function began and observes more than was evaluated then has missed it.
    fn fire(&self, site: Site, last: &[EvaluatedField]) {
        let all: Vec<&EvaluatedField> = self.fields.iter().chain(last).collect();
        let missed = |(index, field): (usize, &&EvaluatedField)| {
            matches!(field, EvaluatedField::Not) && site.tracepoint.observes(index)
        };
        if site.is_woven() && !all.iter().enumerate().any(missed) {
            site.tracepoint.fire(&|index| match all.get(index) {
                Some(EvaluatedField::Value(value)) => value.clone(),
                Some(EvaluatedField::Panicked) => resume_unwind(Box::new("a field's expression panicked")),
                Some(EvaluatedField::Not) | None => Value::Null,
            });
        }
    }
}

/// A returned value of which the compiler finds the most telling outcome.
///
/// `(&&&&&&&Returned(&value)).outcome(wanted)` takes the trait that is implemented for the most
/// references and whose bounds hold, so each trait below is tried before the one after it.
#[derive(Debug)]
pub struct Returned<'a, T>(pub &'a T);

macro_rules! outcomes {
    ($($doc:literal $of:ident [$($generics:tt)*] $self:ty, |$value:ident, $wanted:ident| $outcome:expr;)*) => {$(
        #[doc = $doc]
        pub trait $of {
            /// Returns what is known of the returned value.
            fn outcome(&self, wanted: Wanted) -> Outcome;
        }

        impl<$($generics)*> $of for $self {
            fn outcome(&self, $wanted: Wanted) -> Outcome {
                let $value = self.0;
                $outcome
            }
        }
    )*};
}

outcomes! {
    "A result and an error with a message."
    OfResultDisplay [T: Export, E: Display] &&&&&&Returned<'_, Result<T, E>>,
        |value, wanted| of_result(value, wanted, T::export, display);
    "A result and an error with a debug form."
    OfResultDebug [T: Export, E: Debug] &&&&&Returned<'_, Result<T, E>>,
        |value, wanted| of_result(value, wanted, T::export, debug);
    "An opaque result and an error with a message."
    OfErrorDisplay [T, E: Display] &&&&Returned<'_, Result<T, E>>,
        |value, wanted| of_result(value, wanted, |_| Value::Null, display);
    "An opaque result and an error with a debug form."
    OfErrorDebug [T, E: Debug] &&&Returned<'_, Result<T, E>>,
        |value, wanted| of_result(value, wanted, |_| Value::Null, debug);
    "An opaque result and an opaque error, which is named by its type."
    OfError [T, E] &&Returned<'_, Result<T, E>>,
        |value, wanted| of_result(value, wanted, |_| Value::Null, |_| Value::str(std::any::type_name::<E>()));
    "A value that cannot fail."
    OfExport [T: Export] &Returned<'_, T>,
        |value, wanted| Outcome {
            error: None,
            result: if wanted.result { value.export() } else { Value::Null },
        };
    "Anything else."
    OfAny [T] Returned<'_, T>,
        |_value, _wanted| Outcome { error: None, result: Value::Null };
}

fn of_result<T, E>(
    returned: &Result<T, E>,
    wanted: Wanted,
    result: impl FnOnce(&T) -> Value,
    error: impl FnOnce(&E) -> Value,
) -> Outcome {
    match returned {
        Ok(value) => Outcome { error: None, result: if wanted.result { result(value) } else { Value::Null } },
        Err(failed) => Outcome {
            error: Some(if wanted.error { error(failed) } else { Value::Null }),
            result: Value::Null,
        },
    }
}

fn display<E: Display>(error: &E) -> Value {
    formatted(format_args!("{error}"))
}

fn debug<E: Debug>(error: &E) -> Value {
    formatted(format_args!("{error:?}"))
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
            text((&&&&&&&Returned(&value)).outcome(Wanted { result: true, error: true }))
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
