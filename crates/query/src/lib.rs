//! Compiles query text into advice. Performs no I/O.
//!
//! ```text
//! text ─syntax─▶ Query ─resolve─▶ Resolved ─plan─▶ Plan ─optimize─▶ Plan ─lower─▶ Advice
//!                          ▲
//!                       Catalog
//! ```
//!
//! ```
//! use pivot_advice::{Exports, FieldDescriptor, QueryId, Type};
//! use pivot_query::{Catalog, compile};
//!
//! let mut catalog = Catalog::default();
//! catalog.add(&Exports {
//!     tracepoint: "DataNodeMetrics.incrBytesRead".into(),
//!     fields: vec![FieldDescriptor { name: "delta".into(), ty: Type::U64 }],
//!     file: "src/metrics.rs".into(),
//!     line: 7,
//!     module: "store::metrics".into(),
//! });
//! let text = "FROM incr IN DataNodeMetrics.incrBytesRead GROUP BY incr.host SELECT incr.host, SUM(incr.delta)";
//! let program = compile(text, &catalog)?;
//! assert_eq!(program.output.columns[1].name, "SUM(incr.delta)");
//! let advice = program.advice(QueryId::new(0, 7));
//! assert!(advice[0].to_string().ends_with("EMIT    query 7 GROUP (host) AGG (SUM(delta))"));
//! # Ok::<(), pivot_query::Diagnostics>(())
//! ```
//!
//! Reading order: [`compile`](fn@compile), `syntax`, [`Catalog`], `resolve`, `plan`, `optimize`, `lower`, `untyped`,
//! [`Program`], [`Diagnostics`].

mod advice_limits;
mod catalog;
mod compile_options;
mod compiled;
mod compiler;
mod diagnostic;
mod formatter;
mod lexical;
mod lower;
mod optimize;
mod plan;
mod resolve;
mod suggest;
mod syntax;

pub use catalog::{Catalog, CatalogField, CatalogTracepoint};
pub use compile_options::CompileOptions;
pub use compiled::{
    OutputAggregate, OutputColumn, OutputKey, OutputSchema, Program, ResultSink, RunSettings,
};
pub use compiler::{compile, compile_with};
pub use diagnostic::{Color, Diagnostic, Diagnostics, Severity};
pub use formatter::format;
pub use lexical::{ClassifiedToken, TokenClass, classify};
pub use lexical::{FunctionInfo, FunctionKind, KEYWORDS, Keyword, functions};
pub use lexical::{Statement, is_complete, statements};
pub use suggest::nearest;
