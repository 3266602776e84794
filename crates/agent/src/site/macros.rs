//! The macro that declares a tracepoint and hits it.
//!
//! What it leaves in the hot code is one load and one branch. A field that is a plain variable is
//! copied in the cold block before the closure is made: a closure that took its address would force
//! the variable out of its register for the whole function, woven or not.

/// Declares a tracepoint and hits it.
///
/// ```
/// # use pivot_agent::tracepoint;
/// # let (n, block, user) = (42_u64, "b-1", "ann");
/// tracepoint!("DataNodeMetrics.incrBytesRead", delta: u64 = n, block = %block, sensitive(user) = user);
/// ```
///
/// A field is `name: type = expr`, `name = %expr` (its `Display`), `name = ?expr` (its `Debug`), or
/// `name = expr` with a type that queries learn only as it runs. Expressions are evaluated while a
/// woven query observes the field, and not otherwise. Formatted text ends after
/// [`MAX_FORMATTED_BYTES`](crate::site::formatted::MAX_FORMATTED_BYTES). Of a field in `sensitive(..)` queries
/// see a hash: equal for equal values in this process, and nothing else.
#[macro_export]
macro_rules! tracepoint {
    () => {
        ::core::compile_error!("expected a name, as in `tracepoint!(\"Component.event\", field: type = expr)`")
    };
    ($name:expr $(, $($fields:tt)*)?) => {
        $crate::__tracepoint!([$name] [] [] $($($fields)*)?)
    };
}

/// Takes one field after the other off the front, then declares the statics and the branch.
///
/// The second group gathers what the cold block copies, the third the fields.
#[doc(hidden)]
#[macro_export]
macro_rules! __tracepoint {
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] sensitive($field:ident) $($rest:tt)+) => {
        $crate::__field!([$name] [$($copy)*] [$($done)*] [$field, Hidden] $($rest)+)
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] sensitive($($fields:tt)*) $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "expected the name of one field and its value, as in `sensitive(name) = expr`, found `sensitive(",
            ::core::stringify!($($fields)*), ")`"
        ))
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] $field:ident $($rest:tt)+) => {
        $crate::__field!([$name] [$($copy)*] [$($done)*] [$field, Shown] $($rest)+)
    };
    ([$name:expr] [$($copy:tt)*] [$({ $field:ident, $show:ident, $ty:expr, $held:ident $value:expr })*]) => {{
        $crate::__declare!($name, [$((::core::stringify!($field), $crate::site::fields::$show::ty($ty))),*]);
        if FLAG.load(::core::sync::atomic::Ordering::Relaxed) != 0 {
            $($copy)*
            let _computed = |_index: usize, _cells: &mut $crate::Cells| -> $crate::Cell {
                let mut _next = 0;
                $(
                    $crate::__if_computed!($held if _index == _next {
                        return $crate::site::fields::$show($value).cell(_cells);
                    });
                    _next += 1;
                )*
                $crate::Cell::NULL
            };
            TRACEPOINT.fire_with(&move |_index, _cells| {
                let mut _next = 0;
                $(
                    $crate::__if_copied!($held if _index == _next {
                        return $crate::site::fields::$show($value).cell(_cells);
                    });
                    _next += 1;
                )*
                _computed(_index, _cells)
            });
        }
    }};
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] $($rest:tt)+) => {
        ::core::compile_error!(::core::concat!(
            "expected a field such as `name: type = expr`, `name = %expr`, `name = ?expr` or `name = expr`, found `",
            ::core::stringify!($($rest)+), "`"
        ))
    };
}

/// One field: its name and whether it is shown are known, its type and value follow.
#[doc(hidden)]
#[macro_export]
macro_rules! __field {
    // Plain variables are copied before the closure is made. Each copy is a `value` of its own: a
    // name that a macro makes is another one in every expansion.
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $show:ident] : $ty:ty = $value:ident $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($copy)* let value: $ty = $value;] [$($done)* {
            $field, $show, <$ty as $crate::Export>::TYPE, copied $crate::site::fields::Exported(&value)
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $show:ident] : $ty:ty = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($copy)*] [$($done)* {
            $field, $show, <$ty as $crate::Export>::TYPE, computed $crate::site::fields::Exported::<$ty>($value)
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $show:ident] = % $value:ident $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!(
            [$name]
            [$($copy)* #[allow(unused_imports)] use $crate::site::export::{ByCopy as _, ByReference as _}; #[allow(clippy::needless_borrow)] let value = (&$crate::site::export::Variable(&$value)).take();]
            [$($done)* { $field, $show, $crate::Type::String, copied $crate::site::fields::Formatted(::core::format_args!("{}", value)) }]
            $($($rest)*)?
        )
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $show:ident] = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($copy)*] [$($done)* {
            $field, $show, $crate::Type::String, computed $crate::site::fields::Formatted(::core::format_args!("{}", $value))
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $show:ident] = ? $value:ident $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!(
            [$name]
            [$($copy)* #[allow(unused_imports)] use $crate::site::export::{ByCopy as _, ByReference as _}; #[allow(clippy::needless_borrow)] let value = (&$crate::site::export::Variable(&$value)).take();]
            [$($done)* { $field, $show, $crate::Type::String, copied $crate::site::fields::Formatted(::core::format_args!("{:?}", value)) }]
            $($($rest)*)?
        )
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $show:ident] = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($copy)*] [$($done)* {
            $field, $show, $crate::Type::String, computed $crate::site::fields::Formatted(::core::format_args!("{:?}", $value))
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $show:ident] = $value:ident $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!(
            [$name]
            [$($copy)* #[allow(unused_imports)] use $crate::site::export::{ByCopy as _, ByReference as _}; #[allow(clippy::needless_borrow)] let value = (&$crate::site::export::Variable(&$value)).take();]
            [$($done)* { $field, $show, $crate::Type::Any, copied $crate::site::fields::Exported(&value) }]
            $($($rest)*)?
        )
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $show:ident] = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($copy)*] [$($done)* {
            $field, $show, $crate::Type::Any, computed $crate::site::fields::Exported(&$value)
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $show:ident] $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "expected `= expr`, the value of field `", ::core::stringify!($field),
            "`, and a comma before the next field"
        ))
    };
}

/// Expands to its code for a field that is copied before the closures are made.
#[doc(hidden)]
#[macro_export]
macro_rules! __if_copied {
    (copied $($then:tt)*) => { $($then)* };
    (computed $($then:tt)*) => {};
}

/// Expands to its code for any other field.
#[doc(hidden)]
#[macro_export]
macro_rules! __if_computed {
    (copied $($then:tt)*) => {};
    (computed $($then:tt)*) => { $($then)* };
}

/// The statics of a call site: `TRACEPOINT`, its flag, and its place in the catalogue.
#[doc(hidden)]
#[macro_export]
macro_rules! __declare {
    ($name:expr, [$($fields:tt)*]) => {
        #[$crate::linkme::distributed_slice($crate::FLAGS_V0)]
        #[linkme(crate = $crate::linkme)]
        static FLAG: ::core::sync::atomic::AtomicU8 = ::core::sync::atomic::AtomicU8::new(0);
        static TRACEPOINT: $crate::Tracepoint = $crate::Tracepoint::new(
            $name,
            &[$($fields)*],
            $crate::SourceLocation {
                module: ::core::module_path!(),
                file: ::core::file!(),
                line: ::core::line!(),
            },
            &FLAG,
        );
        #[$crate::linkme::distributed_slice($crate::TRACEPOINTS_V0)]
        #[linkme(crate = $crate::linkme)]
        static ENTRY: &'static $crate::Tracepoint = &TRACEPOINT;
    };
}
