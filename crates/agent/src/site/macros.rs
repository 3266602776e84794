//! The macro that declares a tracepoint and hits it.
//!
//! `__tracepoint!` takes the fields apart one by one (a *tt-muncher*): it carries the name, the copies to make, and
//! the fields done so far along, in square brackets, until no field is left. Then it writes the code.
//!
//! ```text
//! tracepoint!("Disk.read", bytes: u64 = n, path = %file.path());
//!
//! becomes   static FLAG, static TRACEPOINT, static ENTRY               __declare!: linked into the catalogue
//!           if FLAG.load(Relaxed) != 0 {                               all that runs while idle
//!               let value: u64 = n;                                    a plain variable: copied
//!               let _computed = |_index, _cells| …                     1 => file.path(), formatted
//!               TRACEPOINT.fire_with(&move |_index, _cells| …)         0 => value, into a cell; else _computed
//!           }
//! ```
//!
//! A field that is a plain variable is copied in the cold block before the closure is made, and the closure takes
//! the copy. A closure that borrowed the variable would force it out of its register for the whole function, woven
//! or not. Any other expression is evaluated inside `_computed`, and only when an advice reads its field.
//!
//! Fields are found by counting up to `_index`; the compiler turns the comparisons with constants into a jump.

/// Declares a tracepoint and hits it.
///
/// ```
/// # use pivot_agent::tracepoint;
/// # let (n, block, user) = (42_u64, "b-1", "ann");
/// tracepoint!("DataNodeMetrics.incrBytesRead", delta: u64 = n, block = %block, sensitive(user) = user);
/// ```
///
/// A field has one of these forms:
///
/// | form | queries see |
/// |---|---|
/// | `name: type = expr` | the value, of a type that is known before the program runs |
/// | `name = expr` | the value, of a type that is known when it is seen |
/// | `name = %expr` | the text of its `Display` |
/// | `name = ?expr` | the text of its `Debug` |
/// | `sensitive(name)` in place of `name` | a hash: equal for equal values in this process, and nothing else |
///
/// An expression is evaluated only while a woven query observes its field. Formatted text ends after
/// [`MAX_FORMATTED_BYTES`](crate::site::formatted::MAX_FORMATTED_BYTES).
#[macro_export]
macro_rules! tracepoint {
    () => {
        ::core::compile_error!("expected a name, as in `tracepoint!(\"Component.event\", field: type = expr)`")
    };
    ($name:expr $(, $($fields:tt)*)?) => {
        $crate::__tracepoint!([$name] [] [] $($($fields)*)?)
    };
}

/// Takes one field after the other off the front, then writes the statics and the branch.
///
/// The first group holds the name of the tracepoint. The second gathers what the cold block copies, the third the
/// fields done so far. The rest are the fields to come.
#[doc(hidden)]
#[macro_export]
macro_rules! __tracepoint {
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] sensitive($field:ident) $($rest:tt)+) => {
        $crate::__field!([$name] [$($copy)*] [$($done)*] [$field, SensitiveField] $($rest)+)
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] sensitive($($fields:tt)*) $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "expected the name of one field and its value, as in `sensitive(name) = expr`, found `sensitive(",
            ::core::stringify!($($fields)*), ")`"
        ))
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] $field:ident $($rest:tt)+) => {
        $crate::__field!([$name] [$($copy)*] [$($done)*] [$field, PlainField] $($rest)+)
    };
    ([$name:expr] [$($copy:tt)*] [$({ $field:ident, $kind:ident, $ty:expr, $held:ident $value:expr })*]) => {{
        $crate::__declare!($name, [$((::core::stringify!($field), $crate::site::fields::$kind::ty($ty))),*]);
        if FLAG.load(::core::sync::atomic::Ordering::Relaxed) != 0 {
            $($copy)*
            let _computed = |_index: usize, _cells: &mut $crate::Cells| -> $crate::Cell {
                let mut _next = 0;
                $(
                    $crate::__if_computed!($held if _index == _next {
                        return $crate::site::fields::$kind($value).cell(_cells);
                    });
                    _next += 1;
                )*
                $crate::Cell::NULL
            };
            TRACEPOINT.fire_with(&move |_index, _cells| {
                let mut _next = 0;
                $(
                    $crate::__if_copied!($held if _index == _next {
                        return $crate::site::fields::$kind($value).cell(_cells);
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

/// Takes the type and the value of one field whose name and kind (ordinary or sensitive) are known.
#[doc(hidden)]
#[macro_export]
macro_rules! __field {
    // Each form comes twice: for a plain variable, which is copied before the closure is made, and for any other
    // expression. The copies do not meet although all are named `value`: by hygiene, a name that a macro writes is
    // a different one in every expansion.
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $kind:ident] : $ty:ty = $value:ident $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($copy)* let value: $ty = $value;] [$($done)* {
            $field, $kind, <$ty as $crate::Export>::TYPE, copied $crate::site::fields::ExportableField(&value)
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $kind:ident] : $ty:ty = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($copy)*] [$($done)* {
            $field, $kind, <$ty as $crate::Export>::TYPE, computed $crate::site::fields::ExportableField::<$ty>($value)
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $kind:ident] = % $value:ident $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!(
            [$name]
            [$($copy)* #[allow(unused_imports)] use $crate::site::export::{TakeByCopy as _, TakeByReference as _}; #[allow(clippy::needless_borrow)] let value = (&$crate::site::export::CapturedVariable(&$value)).take();]
            [$($done)* { $field, $kind, $crate::Type::String, copied $crate::site::fields::FormattedField(::core::format_args!("{}", value)) }]
            $($($rest)*)?
        )
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $kind:ident] = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($copy)*] [$($done)* {
            $field, $kind, $crate::Type::String, computed $crate::site::fields::FormattedField(::core::format_args!("{}", $value))
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $kind:ident] = ? $value:ident $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!(
            [$name]
            [$($copy)* #[allow(unused_imports)] use $crate::site::export::{TakeByCopy as _, TakeByReference as _}; #[allow(clippy::needless_borrow)] let value = (&$crate::site::export::CapturedVariable(&$value)).take();]
            [$($done)* { $field, $kind, $crate::Type::String, copied $crate::site::fields::FormattedField(::core::format_args!("{:?}", value)) }]
            $($($rest)*)?
        )
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $kind:ident] = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($copy)*] [$($done)* {
            $field, $kind, $crate::Type::String, computed $crate::site::fields::FormattedField(::core::format_args!("{:?}", $value))
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $kind:ident] = $value:ident $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!(
            [$name]
            [$($copy)* #[allow(unused_imports)] use $crate::site::export::{TakeByCopy as _, TakeByReference as _}; #[allow(clippy::needless_borrow)] let value = (&$crate::site::export::CapturedVariable(&$value)).take();]
            [$($done)* { $field, $kind, $crate::Type::Any, copied $crate::site::fields::ExportableField(&value) }]
            $($($rest)*)?
        )
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $kind:ident] = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__tracepoint!([$name] [$($copy)*] [$($done)* {
            $field, $kind, $crate::Type::Any, computed $crate::site::fields::ExportableField(&$value)
        }] $($($rest)*)?)
    };
    ([$name:expr] [$($copy:tt)*] [$($done:tt)*] [$field:ident, $kind:ident] $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "expected `= expr`, the value of field `", ::core::stringify!($field),
            "`, and a comma before the next field"
        ))
    };
}

/// Expands to its argument for a field that is copied before the closures are made.
#[doc(hidden)]
#[macro_export]
macro_rules! __if_copied {
    (copied $($then:tt)*) => { $($then)* };
    (computed $($then:tt)*) => {};
}

/// Expands to its argument for a field that is computed when it is observed.
#[doc(hidden)]
#[macro_export]
macro_rules! __if_computed {
    (copied $($then:tt)*) => {};
    (computed $($then:tt)*) => { $($then)* };
}

/// Declares the statics of a call site: `FLAG` and `TRACEPOINT`, which the code refers to, and the entry in the
/// catalogue.
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
