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
//! Reading order: `arguments` parses what is in the attribute's parentheses, `expand` writes the function, with
//! `returned_future` (what it returns), `parameters` and `inlined_body` (how its body moves); `no_op` is what is left in builds without the runtime.

mod arguments;
mod expand;
mod hygiene;
mod inlined_body;
mod no_op;
mod parameters;
mod returned_future;

use proc_macro::TokenStream;

/// Declares tracepoints where a function is entered and left.
///
/// `#[tracepoints("Name", fields(path: String = path.clone(), n: u64 = n))]` on a function or
/// method, async or not. The name is the function's own unless given. There are three tracepoints:
///
/// - `Name@enter` exports the fields;
/// - `Name@exit` exports the fields, `elapsed`, `outcome` (`ok`, `err`, `panic` or `cancelled`) and
///   `result`, null if that is of a generic type and no bound says that it can be exported;
/// - `Name@error` exports the fields, `elapsed` and `error`, when an `Err` is returned.
///
/// A field is `name: type = expr`, `name = %expr` (its `Display`), `name = ?expr` (its `Debug`), or
/// `name = expr`; in `sensitive(name)` queries see a hash of it. Expressions see the arguments and are
/// evaluated when the function is called, each only while a woven query observes it; a panic in one is kept
/// from the function.
///
/// A function that returns a future ends when the future does, also if it is not `async`; a future that is
/// dropped before was `cancelled`:
///
/// | function | `@enter` and the time begin |
/// |---|---|
/// | `async fn`, also under `#[async_trait]` | at the first poll |
/// | `-> impl Future`, `-> Pin<Box<dyn Future>>`, `-> BoxFuture`, whose body is an async block (boxed or not) and nothing else | at the first poll |
/// | the same with any other body | at the call |
///
/// The future grows by one pointer. Where the return type says that there is a future, but not as the whole
/// value (`Result<BoxFuture<'_, T>, E>`, `Self::Future`), the attribute is an error. **What it cannot see is a
/// future behind an alias of another name or in a type like `JoinHandle`: such a function ends when it
/// returns.** Write it as an `async fn`, or with its type written out.
///
/// Otherwise the function behaves as without the attribute: arguments are dropped in the same order, and
/// `#[track_caller]` has its effect (in such a function, a `return` that a macro like `bail!` makes has the
/// outcome `err` and no `@error`). A `const fn` cannot have tracepoints. Where other attribute macros stand
/// below this one, an `async fn` stays one, and its future may hold arguments twice; put this one below them.
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
