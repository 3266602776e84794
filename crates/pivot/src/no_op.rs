//! What is left without the runtime: the words, and no effect.

pub use pivot_macros::tracepoints_no_op as tracepoints;

/// Nothing: the runtime is not there. What stands in it is not evaluated, and need not compile with
/// the runtime either; test a library with it.
#[macro_export]
macro_rules! tracepoint {
    ($name:expr $(, $($fields:tt)*)?) => {
        $crate::__no_op!($($($fields)*)?)
    };
}

/// Mentions what a field's expression mentions, and never evaluates it.
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

#[doc(hidden)]
#[macro_export]
macro_rules! __mention {
    ($value:expr) => {
        if false {
            let _ = &$value;
        }
    };
}

/// The future as it is.
pub async fn request<F: Future>(future: F) -> F::Output {
    future.await
}

/// The future as it is.
pub fn forked<F: Future>(future: F) -> F {
    future
}
