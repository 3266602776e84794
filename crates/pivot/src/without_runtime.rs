//! The interface of this crate when the runtime is off: every name that a library uses, and no effect.

pub use pivot_macros::tracepoints_no_op as tracepoints;

/// Declares no tracepoint, since the runtime is off. Field expressions are not evaluated. They are not
/// fully checked either, so test a library with the runtime as well.
#[macro_export]
macro_rules! tracepoint {
    ($name:expr $(, $($fields:tt)*)?) => {
        $crate::__no_op!($($($fields)*)?)
    };
}

/// Mentions each field's expression, so that its variables count as used, and never evaluates it.
#[doc(hidden)]
#[macro_export]
macro_rules! __no_op {
    () => {};
    (sensitive($field:ident) $($rest:tt)+) => { $crate::__no_op!($field $($rest)+) };
    ($field:ident : $ty:ty = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__mention!($value); $crate::__no_op!($($($rest)*)?)
    };
    ($field:ident = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__mention!($value); $crate::__no_op!($($($rest)*)?)
    };
    ($field:ident = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__mention!($value); $crate::__no_op!($($($rest)*)?)
    };
    ($field:ident = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__mention!($value); $crate::__no_op!($($($rest)*)?)
    };
}

/// Mentions an expression in code that never runs.
#[doc(hidden)]
#[macro_export]
macro_rules! __mention {
    ($value:expr) => {
        if false {
            let _ = &$value;
        }
    };
}

/// Runs the future; there are no requests without the runtime.
pub async fn request<F: Future>(future: F) -> F::Output {
    future.await
}

/// Returns the future; there are no branches without the runtime.
pub fn forked<F: Future>(future: F) -> F {
    future
}

/// Returns `None`; there are no requests without the runtime.
pub fn request_id() -> Option<String> {
    None
}
