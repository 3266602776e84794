//! How a function ends: with a result, an error, a panic, or a cancellation. `#[tracepoints]` expands to these.
//!
//! ```text
//!   #[tracepoints] fn read(n: u64) -> Result<Vec<u8>, io::Error>
//!
//!   read@enter    n                              when it begins
//!   read@error    n, elapsed, error              if it returns Err
//!   read@exit     n, elapsed, outcome, result    always: outcome is ok, err, panic or cancelled
//! ```
//!
//! A [`FunctionExitGuard`] is made when the function begins. If nothing is woven, it is one null pointer, tested once
//! at the end. Otherwise it holds the fields, evaluated at the beginning, because the body may consume the arguments.
//! The body reaches [`FunctionExitGuard::finish`] when it returns. If the guard is dropped before, the function has
//! panicked. Functions that return a future end when it does: see [`function_future`](super::function_future).
//!
//! A function may return anything. How much of the returned value queries see depends on the traits that its type
//! has; [`ReturnedValue`] makes the compiler choose.

use crate::report::thread_slot::EventGuard;
use crate::site::export::Export;
use crate::site::formatted::formatted;
use crate::site::tracepoint::Tracepoint;
use pivot_advice::Value;
use std::convert::Infallible;
use std::fmt::{Debug, Display};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;
use std::time::Instant;

/// Calls the body of a function. Passed as an argument, the closure is known to be called once, and so may return
/// what it borrows from its captures.
#[inline(always)]
pub fn run<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// One of the tracepoints of a function, with the address of its flag beside it, so that reading the flag is one
/// load.
#[derive(Debug, Clone, Copy)]
pub struct FunctionTracepoint {
    /// The byte that is not zero while advice is woven.
    pub flag: &'static AtomicU8,
    /// The call site itself.
    pub tracepoint: &'static Tracepoint,
}

impl FunctionTracepoint {
    /// Returns whether advice is woven at the call site.
    #[inline(always)]
    pub fn is_woven(&self) -> bool {
        self.flag.load(Ordering::Relaxed) != 0
    }
}

/// The returned value of a function as queries see it.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionOutcome {
    /// The text of the error, or `None` if the function succeeded.
    pub error: Option<Value>,
    /// The result; null if the function failed, the result is not observed, or its type cannot be exported.
    pub result: Value,
}

/// The parts of an outcome that woven advice observes; the others are not evaluated.
#[derive(Debug, Clone, Copy)]
pub struct ObservedOutcome {
    /// Whether the result is observed.
    pub result: bool,
    /// Whether the text of the error is observed.
    pub error: bool,
}

/// A guard that fires the exit of a function, however the function ends.
#[derive(Debug)]
#[must_use = "the function is left when this is dropped"]
pub struct FunctionExitGuard {
    // Boxed, because the guard is moved at every exit, and few exits are woven.
    observed: Option<Box<BegunCall>>,
}

/// A call of a function that began while one of its tracepoints was woven.
#[derive(Debug)]
pub(super) struct BegunCall {
    exit: FunctionTracepoint,
    error: FunctionTracepoint,
    /// The fields of the function, by index, as they were when it began.
    fields: Vec<EvaluatedField>,
    /// When the function began, if its duration is observed.
    began: Option<Instant>,
}

/// The value of a field, taken before its tracepoint fires.
#[derive(Debug, Clone)]
enum EvaluatedField {
    /// The field was not evaluated, because no advice observed it then.
    Unobserved,
    /// The value of the field.
    Value(Value),
    /// The expression of the field panicked. The panic goes on in the advice that reads the field.
    Panicked,
}

impl FunctionExitGuard {
    /// Begins a function with `fields` fields. If its exit or error is woven, evaluates those that are observed,
    /// and takes the time.
    #[inline(always)]
    pub fn begin(
        exit: FunctionTracepoint,
        error: FunctionTracepoint,
        fields: usize,
        field: impl Fn(usize) -> Value,
    ) -> FunctionExitGuard {
        let woven = exit.is_woven() || error.is_woven();
        FunctionExitGuard { observed: if woven { begin_boxed(exit, error, fields, &field) } else { None } }
    }

    /// Fires the exit of a function that returned, after its error if it failed. `outcome` is called only if the
    /// exit or error was woven when the function began.
    #[inline(always)]
    pub fn finish(mut self, outcome: impl FnOnce(ObservedOutcome) -> FunctionOutcome) {
        if let Some(observed) = self.observed.take() {
            observed.returned(outcome);
        }
    }
}

impl Drop for FunctionExitGuard {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(observed) = self.observed.take() {
            observed.abandoned();
        }
    }
}

/// Begins a call. Returns `None` if this thread takes no events now.
#[cold]
#[inline(never)]
fn begin_boxed(
    exit: FunctionTracepoint,
    error: FunctionTracepoint,
    fields: usize,
    field: &dyn Fn(usize) -> Value,
) -> Option<Box<BegunCall>> {
    let mut call = BegunCall::prepare(None, exit, error, fields, field)?;
    call.take_time();
    Some(Box::new(call))
}

impl BegunCall {
    /// Evaluates the fields that are observed, at the entry too if there is one. Returns `None` if this thread takes
    /// no events now.
    pub(super) fn prepare(
        enter: Option<FunctionTracepoint>,
        exit: FunctionTracepoint,
        error: FunctionTracepoint,
        fields: usize,
        field: &dyn Fn(usize) -> Value,
    ) -> Option<BegunCall> {
        // As at every evaluation: tracepoints that a field expression hits are skipped.
        let _inside = EventGuard::enter()?;

        let mut evaluated = Vec::with_capacity(fields);
        for index in 0..fields {
            let entered = enter.is_some_and(|enter| enter.tracepoint.observes(index));
            evaluated.push(match entered || is_observed(exit, error, index) {
                true => evaluate(field, index),
                false => EvaluatedField::Unobserved,
            });
        }

        Some(BegunCall { exit, error, fields: evaluated, began: None })
    }

    /// Takes the time as that when the function began, if its duration is observed.
    pub(super) fn take_time(&mut self) {
        // The duration comes first after the function's own fields, at the exit and at the error.
        self.began = is_observed(self.exit, self.error, self.fields.len()).then(Instant::now);
    }

    /// Fires the entry of the function.
    pub(super) fn entered(&self, enter: FunctionTracepoint) {
        self.fire(enter, &[]);
    }

    /// Fires the tracepoints of a function that returned.
    #[cold]
    pub(super) fn returned(&self, outcome: impl FnOnce(ObservedOutcome) -> FunctionOutcome) {
        let fields = self.fields.len();
        let wanted = ObservedOutcome {
            result: self.exit.tracepoint.observes(fields + 2),
            error: self.error.tracepoint.observes(fields + 1),
        };

        // Formatting an error is user code, like a field expression. The guard ends before the tracepoints fire, or
        // they would be skipped.
        let evaluated = {
            let Some(_inside) = EventGuard::enter() else { return };
            catch_unwind(AssertUnwindSafe(|| outcome(wanted)))
        };
        let Ok(FunctionOutcome { error, result }) = evaluated else {
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

    /// Fires the exit of a function that was left without returning.
    #[cold]
    pub(super) fn abandoned(&self) {
        // Without a panic it is a `return` that the attribute could not see, in a macro like `bail!`.
        let outcome = if std::thread::panicking() { "panic" } else { "err" };
        self.fire_exit(outcome, EvaluatedField::Value(Value::Null));
    }

    /// Fires the exit of a function whose future was dropped before its end.
    #[cold]
    pub(super) fn cancelled(&self) {
        self.fire_exit("cancelled", EvaluatedField::Value(Value::Null));
    }

    /// Returns the time since the function began, if it is observed.
    fn elapsed(&self) -> EvaluatedField {
        self.began.map_or(EvaluatedField::Unobserved, |began| EvaluatedField::Value(began.elapsed().export()))
    }

    /// Fires the exit with its outcome (`ok`, `err`, `panic` or `cancelled`) and result.
    fn fire_exit(&self, outcome: &str, result: EvaluatedField) {
        self.fire(self.exit, &[self.elapsed(), EvaluatedField::Value(Value::str(outcome)), result]);
    }

    /// Fires a tracepoint with the function's own fields, and then the `last` ones, which every function has.
    fn fire(&self, site: FunctionTracepoint, last: &[EvaluatedField]) {
        if !site.is_woven() {
            return;
        }

        // Advice that was woven since the function began may observe a field that was not evaluated then. It has
        // missed the beginning of this call, and so it misses the end.
        let all: Vec<&EvaluatedField> = self.fields.iter().chain(last).collect();
        for (index, field) in all.iter().enumerate() {
            if matches!(field, EvaluatedField::Unobserved) && site.tracepoint.observes(index) {
                return;
            }
        }

        site.tracepoint.fire(&|index| match all.get(index) {
            Some(EvaluatedField::Value(value)) => value.clone(),
            Some(EvaluatedField::Panicked) => resume_unwind(Box::new("a field's expression panicked")),
            Some(EvaluatedField::Unobserved) | None => Value::Null,
        });
    }
}

/// Returns whether advice at the exit or at the error observes a field, which has the same index at both.
fn is_observed(exit: FunctionTracepoint, error: FunctionTracepoint, index: usize) -> bool {
    exit.tracepoint.observes(index) || error.tracepoint.observes(index)
}

/// Evaluates the expression of a field. A panic is kept for the advice that will read the field.
fn evaluate(field: &dyn Fn(usize) -> Value, index: usize) -> EvaluatedField {
    match catch_unwind(AssertUnwindSafe(|| field(index))) {
        Ok(value) => EvaluatedField::Value(value),
        Err(_) => EvaluatedField::Panicked,
    }
}

/// A value that `?` may follow. Where a body must not become a closure, because the function has `#[track_caller]`, the
/// attribute writes this in place of `?`.
pub trait Attempt {
    /// The value to go on with.
    type Output;
    /// The value to return with; `?` on it never goes on.
    type Residual;
    /// Returns which of the two it is.
    fn attempt(self) -> ControlFlow<Self::Residual, Self::Output>;
}

impl<T, E> Attempt for Result<T, E> {
    type Output = T;
    type Residual = Result<Infallible, E>;

    fn attempt(self) -> ControlFlow<Self::Residual, T> {
        match self {
            Ok(value) => ControlFlow::Continue(value),
            Err(error) => ControlFlow::Break(Err(error)),
        }
    }
}

impl<T> Attempt for Option<T> {
    type Output = T;
    type Residual = Option<Infallible>;

    fn attempt(self) -> ControlFlow<Self::Residual, T> {
        self.map_or(ControlFlow::Break(None), ControlFlow::Continue)
    }
}

impl<B, C> Attempt for ControlFlow<B, C> {
    type Output = C;
    type Residual = ControlFlow<B, Infallible>;

    fn attempt(self) -> ControlFlow<Self::Residual, C> {
        match self {
            ControlFlow::Continue(value) => ControlFlow::Continue(value),
            ControlFlow::Break(value) => ControlFlow::Break(ControlFlow::Break(value)),
        }
    }
}

impl<T, E> Attempt for Poll<Result<T, E>> {
    type Output = Poll<T>;
    type Residual = Result<Infallible, E>;

    fn attempt(self) -> ControlFlow<Self::Residual, Poll<T>> {
        match self {
            Poll::Ready(Ok(value)) => ControlFlow::Continue(Poll::Ready(value)),
            Poll::Ready(Err(error)) => ControlFlow::Break(Err(error)),
            Poll::Pending => ControlFlow::Continue(Poll::Pending),
        }
    }
}

impl<T, E> Attempt for Poll<Option<Result<T, E>>> {
    type Output = Poll<Option<T>>;
    type Residual = Result<Infallible, E>;

    fn attempt(self) -> ControlFlow<Self::Residual, Poll<Option<T>>> {
        match self {
            Poll::Ready(Some(Ok(value))) => ControlFlow::Continue(Poll::Ready(Some(value))),
            Poll::Ready(Some(Err(error))) => ControlFlow::Break(Err(error)),
            Poll::Ready(None) => ControlFlow::Continue(Poll::Ready(None)),
            Poll::Pending => ControlFlow::Continue(Poll::Pending),
        }
    }
}

/// A returned value, of which the compiler chooses the most telling outcome.
///
/// This is *autoref specialization*. Every trait below has a method `outcome` and is implemented for another number
/// of references. `(&&&&&&&Returned(&value)).outcome(wanted)` removes one reference after the other until a trait's
/// bounds hold, so each trait is tried before the one after it.
#[derive(Debug)]
pub struct ReturnedValue<'a, T>(pub &'a T);

macro_rules! outcomes {
    ($($doc:literal $of:ident [$($generics:tt)*] $self:ty, |$value:ident, $wanted:ident| $outcome:expr;)*) => {$(
        #[doc = $doc]
        pub trait $of {
            /// Returns the wanted parts of the returned value.
            fn outcome(&self, wanted: ObservedOutcome) -> FunctionOutcome;
        }

        impl<$($generics)*> $of for $self {
            fn outcome(&self, $wanted: ObservedOutcome) -> FunctionOutcome {
                let $value = self.0;
                $outcome
            }
        }
    )*};
}

outcomes! {
    "A result and an error with a message."
    OfResultDisplay [T: Export, E: Display] &&&&&&ReturnedValue<'_, Result<T, E>>,
        |value, wanted| of_result(value, wanted, T::export, display);
    "A result and an error with a debug form."
    OfResultDebug [T: Export, E: Debug] &&&&&ReturnedValue<'_, Result<T, E>>,
        |value, wanted| of_result(value, wanted, T::export, debug);
    "An opaque result and an error with a message."
    OfErrorDisplay [T, E: Display] &&&&ReturnedValue<'_, Result<T, E>>,
        |value, wanted| of_result(value, wanted, |_| Value::Null, display);
    "An opaque result and an error with a debug form."
    OfErrorDebug [T, E: Debug] &&&ReturnedValue<'_, Result<T, E>>,
        |value, wanted| of_result(value, wanted, |_| Value::Null, debug);
    "An opaque result and an opaque error, which is named by its type."
    OfError [T, E] &&ReturnedValue<'_, Result<T, E>>,
        |value, wanted| of_result(value, wanted, |_| Value::Null, |_| Value::str(std::any::type_name::<E>()));
    "A value that cannot fail."
    OfExport [T: Export] &ReturnedValue<'_, T>,
        |value, wanted| FunctionOutcome {
            error: None,
            result: if wanted.result { value.export() } else { Value::Null },
        };
    "Anything else."
    OfAny [T] ReturnedValue<'_, T>,
        |_value, _wanted| FunctionOutcome { error: None, result: Value::Null };
}

/// Returns the outcome of a `Result`, of which `result` and `error` export the parts.
fn of_result<T, E>(
    returned: &Result<T, E>,
    wanted: ObservedOutcome,
    result: impl FnOnce(&T) -> Value,
    error: impl FnOnce(&E) -> Value,
) -> FunctionOutcome {
    match returned {
        Ok(value) => {
            FunctionOutcome { error: None, result: if wanted.result { result(value) } else { Value::Null } }
        }

        // There is an error, observed or not: its presence decides between `ok` and `err`.
        Err(failed) => FunctionOutcome {
            error: Some(if wanted.error { error(failed) } else { Value::Null }),
            result: Value::Null,
        },
    }
}

/// Exports the message of an error.
fn display<E: Display>(error: &E) -> Value {
    formatted(format_args!("{error}"))
}

/// Exports the debug form of an error.
fn debug<E: Debug>(error: &E) -> Value {
    formatted(format_args!("{error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Opaque;

    fn text(outcome: FunctionOutcome) -> (Option<Value>, Value) {
        (outcome.error, outcome.result)
    }

    macro_rules! outcome {
        ($ty:ty, $value:expr) => {{
            let value: $ty = $value;
            text((&&&&&&&ReturnedValue(&value)).outcome(ObservedOutcome { result: true, error: true }))
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
