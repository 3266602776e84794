//! tokio's macros for concurrency within one task, with a branch for each future.
//!
//! Without branches of their own, the futures of one `join!` would see each other's tuples, in an order
//! that depends on when they were polled.

/// Awaits futures concurrently as [`tokio::join!`] does, each in a branch of the current request.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// let sum = runtime.block_on(async {
///     let (a, b) = pivot_propagate::join!(async { 1 }, async { 2 });
///     a + b
/// });
/// assert_eq!(sum, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
#[macro_export]
macro_rules! join {
    ($($future:expr),+ $(,)?) => { $crate::__tokio::join!($($crate::forked($future)),+) };
}

/// Awaits futures as [`tokio::try_join!`] does, each in a branch of the current request.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// let failed = runtime.block_on(async {
///     pivot_propagate::try_join!(async { Ok::<i32, &str>(1) }, async { Err::<i32, &str>("no") })
/// });
/// assert_eq!(failed, Err("no"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[macro_export]
macro_rules! try_join {
    ($($future:expr),+ $(,)?) => { $crate::__tokio::try_join!($($crate::forked($future)),+) };
}

/// Awaits the first of several futures as [`tokio::select!`] does, each in a branch of the current
/// request.
///
/// The losers are dropped before the handler of the winner runs, so what they did by then happened
/// before it. For a future that is passed by reference, to be polled again later, use
/// [`forked`](crate::forked) where it is made, and plain `tokio::select!`.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// let first = runtime.block_on(async {
///     pivot_propagate::select! {
///         biased;
///         () = std::future::pending() => 1,
///         x = async { 2 }, if true => { x }
///         else => 3,
///     }
/// });
/// assert_eq!(first, 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[macro_export]
macro_rules! select {
    // `@(..)` accumulates the arms that are wrapped already; each rule below moves one arm into it.
    (@($($done:tt)*)) => { $crate::__tokio::select! { $($done)* } };
    (@($($done:tt)*) else => $else:expr $(,)?) => { $crate::__tokio::select! { $($done)* else => { $else } } };
    (@($($done:tt)*) $p:pat = $f:expr, if $if:expr => $h:block, $($rest:tt)*) => {
        $crate::select!(@($($done)* $p = $crate::forked($f), if $if => { $h },) $($rest)*)
    };
    (@($($done:tt)*) $p:pat = $f:expr, if $if:expr => $h:block $($rest:tt)*) => {
        $crate::select!(@($($done)* $p = $crate::forked($f), if $if => { $h },) $($rest)*)
    };
    (@($($done:tt)*) $p:pat = $f:expr, if $if:expr => $h:expr $(, $($rest:tt)*)?) => {
        $crate::select!(@($($done)* $p = $crate::forked($f), if $if => { $h },) $($($rest)*)?)
    };
    (@($($done:tt)*) $p:pat = $f:expr => $h:block, $($rest:tt)*) => {
        $crate::select!(@($($done)* $p = $crate::forked($f) => { $h },) $($rest)*)
    };
    (@($($done:tt)*) $p:pat = $f:expr => $h:block $($rest:tt)*) => {
        $crate::select!(@($($done)* $p = $crate::forked($f) => { $h },) $($rest)*)
    };
    (@($($done:tt)*) $p:pat = $f:expr => $h:expr $(, $($rest:tt)*)?) => {
        $crate::select!(@($($done)* $p = $crate::forked($f) => { $h },) $($($rest)*)?)
    };
    (biased; $($arms:tt)*) => { $crate::select!(@(biased;) $($arms)*) };
    ($($arms:tt)*) => { $crate::select!(@() $($arms)*) };
}
