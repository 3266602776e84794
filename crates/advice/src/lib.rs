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
//! use pivot_advice::{Advice, Fold, Aggregate, Input, Expr, Instruction, QueryId};
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
//!             folds: vec![Fold { aggregate: Aggregate::Sum, input: Input::Expr(Expr::Column(1)) }],
//!             form: pivot_advice::Form::Groups,
//!         },
//!     ],
//! };
//! assert!(advice.to_string().contains("EMIT    query 7 GROUP (host) AGG (SUM(delta))"));
//! ```
//!
//! Reading order: [`value`], [`exports`], [`expr`], `duration`, [`eval`], [`aggregate`], [`sketch`],
//! [`groups`], [`sampled`], [`loss`], [`program`], [`text`], [`codec`].

pub mod aggregate;
pub mod codec;
mod duration;
pub mod error;
pub mod eval;
pub mod exports;
pub mod expr;
pub mod groups;
pub mod loss;
pub mod program;
pub mod sampled;
mod show;
pub mod sketch;
mod sum;
pub mod text;
pub mod value;

pub use aggregate::{Aggregate, Finish, State, finished_type};
pub use error::DecodeError;
pub use eval::Errors;
pub use exports::{Exports, Field, canonical_field, default_fields};
pub use expr::{Binary, Expr, Function, Pattern, Unary};
pub use groups::{Group, Groups};
pub use loss::Loss;
pub use program::{Advice, BagKey, Finished, Fold, Form, Input, Instruction, Keep, Match, QueryId, Unpacked};
pub use sampled::Sampled;
pub use sum::Sum;
pub use value::{Type, Value};
