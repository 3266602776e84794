//! Runs advice where the event happens. Performs no I/O, starts no thread, never fails a request.
//!
//! ```text
//! tracepoint! ─woven?─▶ fire ─observe─▶ interpret ─Pack─▶ baggage
//!      ▲                                    └─────Emit─▶ thread's table ─drain─▶ Reporter ─▶ uplink
//!      └─ weave ◀─ link ◀─ verify ◀─ advice from a frontend
//! ```
//!
//! ```
//! use pivot_advice::{Advice, Form, Instruction, QueryId};
//!
//! let query = QueryId::new(1, 1);
//! let instructions = vec![
//!     Instruction::Observe { field: "size".into() },
//!     Instruction::Emit { keys: vec![0], folds: vec![], form: Form::Groups },
//! ];
//! let advice = Advice { query, stage: 0, tracepoint: "Doc.Read".into(), instructions };
//! assert!(pivot_agent::weave(&[advice]).is_empty());
//! pivot_agent::tracepoint!("Doc.Read", size: u64 = 4096);
//! assert_eq!(pivot_agent::drain()[&query].emitted, 1);
//! ```
//!
//! Reading order: [`tracepoint`](mod@tracepoint), [`mod@function`], [`export`], [`mod@identity`],
//! [`verify`](mod@verify), [`link`], [`weave`](mod@weave), [`fire`], [`interpret`], [`emit`], [`report`].

pub mod emit;
pub mod error;
pub mod export;
pub mod fire;
pub mod function;
pub mod identity;
pub mod interpret;
pub mod link;
pub mod report;
pub mod tracepoint;
pub mod verify;
pub mod weave;

pub use emit::{Part, Parts, drain};
pub use error::AgentError;
pub use export::Export;
pub use identity::{Identity, identity, set_identity};
pub use report::{Report, Reporter};
pub use tracepoint::{FLAGS_V0, Place, TRACEPOINTS_V0, Tracepoint, catalogue, tracepoints};
pub use verify::verify;
pub use weave::{Problem, weave};

#[doc(hidden)]
pub use linkme;
pub use pivot_advice::{Type, Value};
