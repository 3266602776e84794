//! Compiles query text into advice. Performs no I/O.
//!
//! ```text
//! text ─syntax─▶ Query ─resolve─▶ Resolved ─plan─▶ Plan ─optimize─▶ Plan ─lower─▶ Advice
//!                          ▲
//!                       Catalog
//! ```
//!
//! ```
//! use pivot_advice::{Exports, Field, QueryId, Type};
//! use pivot_query::{Catalog, compile};
//!
//! let mut catalog = Catalog::default();
//! catalog.add(&Exports {
//!     tracepoint: "DataNodeMetrics.incrBytesRead".into(),
//!     fields: vec![Field { name: "delta".into(), ty: Type::U64 }],
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

mod catalog;
mod compile;
mod diagnostic;
mod format;
mod lower;
mod optimize;
mod plan;
mod program;
mod resolve;
mod statement;
mod suggest;
mod syntax;
mod untyped;

pub use catalog::{Catalog, CatalogField, Tracepoint};
pub use compile::{Options, compile, compile_with};
pub use diagnostic::{Color, Diagnostic, Diagnostics, Severity};
pub use format::format;
pub use program::{Budget, Output, OutputColumn, OutputKey, OutputValue, Program, Settings, Sink};
pub use statement::{Statement, is_complete, statements};
