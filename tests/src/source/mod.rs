//! Reads Rust source without compiling it, for the laws in `tidy` and for the `readability` binary.
//!
//! ```text
//! text ─▶ blanked ─▶ tokens ─▶ items (functions, types, paths) ─┬─▶ modules ─▶ circles
//!        no strings, no comments     tests marked               └─▶ figures of a crate and of a tree
//! ```
//!
//! Nothing here knows Rust's whole grammar: it sees words and brackets, which is enough to count, and
//! needs no dependency, so that plain `rustc` builds it.

mod blank;
mod closures;
mod comments;
mod functions;
mod graph;
mod readability_figures;
mod source_file;
mod tokens;
mod tree;

pub use blank::BlankedSource;
pub use closures::LetClosure;
pub use functions::{FunctionSpan, Parameter};
pub use graph::circles;
pub use readability_figures::{Finding, FindingKind, ReadabilityFigures};
pub use source_file::{SourceFile, TypeDefinition};
pub use tokens::{SourceToken, matching};
pub use tree::{Crate, SourceTree};
