//! Runs advice where the event happens. Performs no I/O, starts no thread, never fails a request.
//!
//! ```text
//! tracepoint! ─woven?─▶ fire ─observe─▶ routine ─Pack─▶ baggage
//!      ▲                                   └────Emit─▶ thread's table ─drain─▶ Reporter ─▶ uplink
//!      └─ weave ◀─ compile ◀─ link ◀─ verify ◀─ advice from a frontend
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
//! Reading order: [`tracepoint`](mod@tracepoint), `macros`, [`mod@function`], [`export`], [`text`],
//! [`mod@identity`], [`verify`](mod@verify), [`link`], `compile`, `code`, [`weave`](mod@weave), [`standing`],
//! `barrier`, `thread`, [`fork`], [`cells`], [`view`], [`fire`], [`sample`], `routine`, `straight`,
//! `joined`, `rows`, [`interpret`], `agreement`, [`emit`], [`report`].

mod agreement;
mod barrier;
pub mod cells;
mod code;
mod compile;
pub mod emit;
pub mod error;
pub mod export;
pub mod fire;
pub mod fork;
pub mod function;
pub mod identity;
pub mod interpret;
mod joined;
pub mod link;
mod macros;
pub mod report;
mod routine;
mod rows;
pub mod sample;
pub mod standing;
mod straight;
pub mod text;
mod thread;
pub mod tracepoint;
pub mod verify;
pub mod view;
pub mod weave;

pub use barrier::use_fences;
pub use cells::{Cell, Cells};
pub use emit::{Cost, Part, Parts, drain};
pub use error::AgentError;
pub use export::{Bytes, Export, set_hash_key};
pub use fork::{is_forked, watch_forks};
pub use identity::{Identity, identity, set_identity};
pub use report::{Report, Reporter};
pub use standing::{CpuBudget, State, Status, set_cpu_budget};
pub use thread::{exempt_this_thread, skipped, takes_events};
pub use tracepoint::{
    FLAGS_V0, Place, TRACEPOINTS_V0, Tracepoint, adopt, catalogue, catalogue_since, registered, tracepoints,
};
pub use verify::verify;
pub use weave::{
    Problem, away, away_since, disable, enable, govern, is_disabled, is_governed, lapse, look_at_one_in,
    on_change, on_govern, statuses, ungovern, weave, weave_since,
};

#[doc(hidden)]
pub use agreement::agrees;
#[doc(hidden)]
pub use barrier::is_fenced;
#[doc(hidden)]
pub use linkme;
pub use pivot_advice::{Type, Value};
