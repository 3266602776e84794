//! Call sites: what an application writes, and what of it queries see.
//!
//! ```text
//!   tracepoint!("Disk.read", bytes: u64 = n)          #[tracepoints] fn read(..)       Tracepoint::register(..)
//!          │ macros                                          │ function                        │ at run time
//!          └──────────────────────────┬──────────────────────┴─────────────────────────────────┘
//!                                     ▼
//!          Tracepoint: declaration (name, fields, location), one byte, a pointer to woven advice
//!             │                                         │
//!         catalogue ─▶ frontend, which checks           └─ a woven hit ─▶ run: advice reads fields by index
//!                      queries against it                                   exported: fields, export, formatted
//!                                                                           default:  default_field, process_identity
//! ```
//!
//! Reading order: [`tracepoint`] (what a call site is and costs), [`declaration`], `macros`, [`catalogue`], then
//! how a value gets from an expression to a cell: [`fields`], [`export`], [`formatted`]; the fields that all call
//! sites have: [`default_field`], [`process_identity`]; and whole functions: [`function`],
//! [`function_future`]. Apart from these: [`carriers`], which spans of `tracing` carry a request.

pub mod carriers;
pub mod catalogue;
pub mod declaration;
pub mod default_field;
pub mod export;
pub mod fields;
pub mod formatted;
pub mod function;
pub mod function_future;
mod macros;
pub mod process_identity;
pub mod tracepoint;
