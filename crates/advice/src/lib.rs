//! What the compiler and the agents agree on: values, expressions, aggregates, groups and advice.
//!
//! ```text
//! query ─compile─▶ Advice ─weave─▶ event ─Observe, Unpack, Let, Filter─▶ rows ─Pack─▶ bag (in baggage)
//!                                                                           └─Emit─▶ Groups ─report─▶ frontend
//! ```
//!
//! An advice is a straight line of instructions: no loops, no jumps, no calls into user code. Every row that
//! it produces carries a multiplicity, which is what lets a bag be grouped before the query is known to need
//! it, and still give the same COUNT and SUM.
//!
//! ```
//! use pivot_advice::{Advice, AggregateCall, AggregateKind, CallArgument, Expr, Instruction, QueryId};
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
//!             folds: vec![AggregateCall { aggregate: AggregateKind::Sum, input: CallArgument::Expr(Expr::Column(1)) }],
//!             form: pivot_advice::EmitMode::Groups,
//!         },
//!     ],
//! };
//! assert!(advice.to_string().contains("EMIT    query 7 GROUP (host) AGG (SUM(delta))"));
//! ```
//!
//! Reading order:
//!
//! * [`value`], [`expr`], [`eval`] and [`kleene`]: what a row holds, and what is computed of it;
//! * [`partial_evaluation`]: what is left to compute if some of it is known beforehand;
//! * [`aggregate`], [`sketch`] and [`groups`]: what is computed of many rows, wherever they are;
//! * [`mod@advice`], [`advice_text`] and [`expr_text`]: the instructions;
//! * [`codec`]: the byte form of values and groups; [`columns`]: that of groups in columns;
//! * [`loss`], [`OutsidePlaces`], [`sampled_groups`], [`QueryCost`], [`WovenTime`], [`QueryStatus`] and
//!   [`WithheldMessages`]: reports;
//! * [`exports`] and [`QueryBudget`]: the catalogue of tracepoints, and what a query may take;
//! * [`CarrierGlob`] and [`NamedCarrier`]: which spans carry a request.

pub mod advice;
pub mod advice_text;
pub mod aggregate;
mod bucket_edge;
mod carrier_glob;
pub mod codec;
pub mod columns;
mod duration_text;
pub mod error;
pub mod eval;
pub mod exports;
pub mod expr;
pub mod expr_text;
pub mod groups;
pub mod kleene;
pub mod loss;
mod outside_places;
pub mod partial_evaluation;
mod peer_replies;
mod query_budget;
mod query_cost;
mod query_status;
pub mod sampled_groups;
pub mod sketch;
mod stable_hash;
mod sum;
mod timestamp_text;
pub mod value;
mod withheld_messages;
mod woven_time;

pub use advice::{
    Advice, AggregateCall, BagKey, CallArgument, EmitMode, FinalColumn, Instruction, JoinKind, QueryId,
    TemporalFilter, UnitedBag, UnpackedForm,
};
pub use aggregate::{AggregateKind, AggregateState, FinalFunction, finished_type};
pub use bucket_edge::{bucket_count, bucket_edge};
pub use carrier_glob::{CarrierGlob, InvalidCarrierGlob, MAX_CARRIER_SPANS, NamedCarrier};
pub use error::{DecodeError, EvalErrors};
pub use exports::{Exports, FieldDescriptor, canonical_field, default_fields};
pub use expr::{BinaryOperator, Expr, Function, Pattern, UnaryOperator};
pub use groups::{AbsorbOutcome, Group, GroupLimit, Groups};
pub use loss::{LossCounts, LossKind, LossUnit};
pub use outside_places::{JoinSide, MAX_OUTSIDE_PLACES, OutsidePlace, OutsidePlaces};
pub use peer_replies::PeerReplies;
pub use query_budget::QueryBudget;
pub use query_cost::QueryCost;
pub use query_status::{
    MAX_RULED_OUT, MAX_RULED_OUT_NAMES, QueryState, QueryStatus, RuledOutTracepoints, WeaveProblem,
};
pub use sampled_groups::{SAMPLE_STRATA, SampledGroups};
pub use stable_hash::stable_hash;
pub use sum::Sum;
pub use timestamp_text::parse_timestamp;
pub use value::{Type, Value};
pub use withheld_messages::{WithheldMessages, WithheldReason, held_back_remark};
pub use woven_time::WovenTime;
