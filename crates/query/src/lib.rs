//! Compiles query text into advice. Performs no I/O: the catalogue of tracepoints is an argument.
//!
//! ```text
//! text ─lexical─▶ tokens ─syntax─▶ AST ─resolve─▶ resolved query ─plan─▶ plan ─optimize─▶ plan ─lower─▶ advice
//!                                         ▲
//!                                      catalog
//! ```
//!
//! Query 2 of the paper at each step:
//!
//! ```text
//! text       FROM incr IN DataNodeMetrics.incrBytesRead
//!            JOIN cl IN First(ClientProtocols) ON cl -> incr
//!            GROUP BY cl.process SELECT cl.process, SUM(incr.delta)
//!
//! tokens     FROM · incr · IN · DataNodeMetrics · . · incrBytesRead · JOIN · cl · IN · First · ( · ..
//!
//! AST        AstQuery { from: incr IN DataNodeMetrics.incrBytesRead,
//!                       joins: [cl IN First 1 (ClientProtocols), cl -> incr],
//!                       group: [cl.process], select: [cl.process, SUM(incr.delta)] }
//!
//! resolved   columns  #0 = cl.process: string, #1 = incr.delta: u64
//!            stages   0 incr, 1 cl (first 1, joined to 0)
//!            result   keys [#0], states [Sum(#1)], columns [key 0, finished 0]
//!
//! plan       stage 0: incr in DataNodeMetrics.incrBytesRead
//!              observe delta
//!              join cl -> incr
//!                stage 1: cl in ClientProtocols, first 1
//!                  observe process
//!                  pack (cl.process)
//!              emit groups (cl.process) aggregate (SUM(incr.delta))
//!
//! rules      none fires here: a first tuple is chosen as a whole, so nothing can be computed before it
//!
//! advice     A1 at ClientProtocols                    A0 at DataNodeMetrics.incrBytesRead
//!              OBSERVE process                          OBSERVE delta
//!              PACK    bag 7.1 FIRST 1 (process)        UNPACK  bag 7.1 as cl (process)
//!                                                       EMIT    query 7 GROUP (cl.process) AGG (SUM(delta))
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
//! The front door is [`compile`]. Everything that is wrong with a text is reported at once, as
//! [`Diagnostics`] with a place, a reason and a hint; a text never panics, and never takes long: see
//! `resolve/work_budget` and `advice_limits`.
//!
//! Reading order: `compiler`, which calls the stages one after the other; then the folders as they stand in
//! the drawing, `lexical`, `syntax`, `resolve`, `plan`, `optimize`, and the file `lower`; last `compiled`,
//! which holds what comes out. `formatter` is `pivot fmt`, and `quick_fix` says how a text that does not
//! compile would; both stand beside the pipeline.

mod advice_limits;
mod catalog;
mod compile_options;
mod compiled;
mod compiler;
mod diagnostic;
mod exporter_count;
mod formatter;
mod lexical;
mod lower;
mod optimize;
mod plan;
mod quick_fix;
mod resolve;
mod sort_order;
mod suggest;
mod syntax;

pub use catalog::{Catalog, CatalogField, CatalogTracepoint};
pub use compile_options::CompileOptions;
pub use compiled::{
    OutputAggregate, OutputColumn, OutputKey, OutputPlan, PrometheusSink, QueryProgram, ResultSink,
    RunSettings,
};
pub use compiler::{compile, compile_with};
pub use diagnostic::{Color, Diagnostic, Diagnostics, Severity, TextEdit};
pub use exporter_count::ExporterCount;
pub use formatter::format;
pub use lexical::{ClassifiedToken, TokenClass, classify};
pub use lexical::{FunctionEntry, FunctionKind, KEYWORDS, Keyword, functions};
pub use lexical::{StatementText, is_complete, statements};
pub use sort_order::{NullPlace, SortDirection, SortOrder};
pub use suggest::nearest;
