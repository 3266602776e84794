//! What compiler and agent agree on: values, expressions, aggregates and advice.
//!
//! ```text
//! query ─compile─▶ Advice ─weave─▶ event ─Observe Unpack Let Filter─▶ row ─Pack─▶ bag
//!                                                                        └─Emit─▶ Groups ─report─▶ frontend
//! ```
//!
//! An advice is a straight line of instructions: no loops, no jumps, no calls into user code.
//! Every row that it produces carries a multiplicity, which is what lets a bag be grouped before
//! the query is known to need it and still give the same COUNT and SUM.
//!
//! ```
//! use pivot_advice::{Advice, AggregateCall, Aggregate, CallArgument, Expr, Instruction, QueryId};
//!
//! let advice = Advice {
//!     query: QueryId::new(0, 7),
//!     stage: 0,
//!     tracepoint: "DataNodeMetrics.incrBytesRead".into(),
//!     instructions: vec![
//!         Instruction::Observe { field: "host".into() },
//!         Instruction::Observe { field: "delta".into() },
//!         Instruction::Emit {
//!             keys: vec![0],
//!             folds: vec![AggregateCall { aggregate: Aggregate::Sum, input: CallArgument::Expr(Expr::Column(1)) }],
//!             form: pivot_advice::EmitMode::Groups,
//!         },
//!     ],
//! };
//! assert!(advice.to_string().contains("EMIT    query 7 GROUP (host) AGG (SUM(delta))"));
//! ```
//!
//! Reading order: [`value`], [`exports`], [`expr`], `duration_text`, [`eval`], [`aggregate`], [`sketch`],
//! [`groups`], [`sampled_groups`], [`loss`], [`mod@advice`], [`advice_text`], [`codec`].

pub mod advice;
pub mod advice_text;
pub mod aggregate;
pub mod codec;
mod cost;
mod duration_text;
pub mod error;
pub mod eval;
pub mod exports;
pub mod expr;
pub mod groups;
pub mod kleene;
pub mod loss;
mod query_budget;
mod query_status;
pub mod sampled_groups;
pub mod sketch;
mod stable_hash;
mod sum;
pub mod value;
mod withheld;

pub use advice::{
    Advice, AggregateCall, BagKey, CallArgument, EmitMode, FinalValue, Instruction, JoinKind, QueryId,
    TemporalFilter, UnpackMode,
};
pub use aggregate::{Aggregate, AggregateState, FinalFunction, finished_type};
pub use cost::Cost;
pub use error::{DecodeError, EvalErrors};
pub use exports::{Exports, FieldDescriptor, canonical_field, default_fields};
pub use expr::{Binary, Expr, Function, Pattern, Unary};
pub use groups::{Group, Groups};
pub use loss::{LossCounts, LossKind, LossUnit};
pub use query_budget::QueryBudget;
pub use query_status::{QueryState, QueryStatus, WeaveProblem};
pub use sampled_groups::{SAMPLE_PARTS, SampledGroups};
pub use stable_hash::stable_hash;
pub use sum::Sum;
pub use value::{Type, Value};
pub use withheld::{Withheld, WithheldReason};
