//! `#[tracepoints]`: declares tracepoints where a function is entered and left.
//!
//! ```text
//! #[tracepoints("Name", fields(..))] fn ──▶ Name@enter ─▶ body ─┬─▶ Name@exit
//!                                                               └─▶ Name@error
//! ```
//!
//! The expansion names everything through `::pivot::__private`, so a crate that uses the attribute
//! depends on `pivot` alone, which re-exports it. For an example see `pivot::tracepoints`.
//!
//! Reading order: `arguments` parses what is in the attribute's parentheses, `expand` writes the function,
//! `no_op` is what is left in builds without the runtime.

mod arguments;
mod expand;
mod no_op;

use proc_macro::TokenStream;

/// Declares tracepoints where a function is entered and left.
///
/// `#[tracepoints("Name", fields(path: String = path.clone(), n: u64 = n))]` on a function or
/// method, async or not. The name is the function's own unless given. There are three:
///
/// - `Name@enter` exports the fields;
/// - `Name@exit` exports the fields, `elapsed`, `outcome` (`ok`, `err`, `panic` or `cancelled`) and
///   `result`, null if that is of a generic type and no bound says that it can be exported;
/// - `Name@error` exports the fields, `elapsed` and `error`, when an `Err` is returned.
///
/// A field is `name: type = expr`, `name = %expr` (its `Display`), `name = ?expr` (its `Debug`), or
/// `name = expr`; in `sensitive(name)` queries see a hash of it. Expressions see the arguments and are
/// evaluated on entry, each only while a woven query observes it; a panic in one is kept from the
/// function.
#[proc_macro_attribute]
pub fn tracepoints(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(arguments.into(), item.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Checks what is written as [`macro@tracepoints`] does and leaves the function as it is, for builds
/// without the runtime.
#[proc_macro_attribute]
pub fn tracepoints_no_op(arguments: TokenStream, item: TokenStream) -> TokenStream {
    no_op::check(arguments.into(), item.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}
