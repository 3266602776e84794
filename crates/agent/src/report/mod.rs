//! What advice emits, from a thread's own table to numbered reports.
//!
//! ```text
//!  every thread, at events                      the agent's thread, once per window
//!  ───────────────────────                      ───────────────────────────────────
//!  Emit ─▶ ThreadTable ──────── drain ────────▶ QueryReports ─▶ Reporter ─▶ Report ─▶ uplink
//!           a QueryTable per query                one QueryReport    numbers, keeps until acknowledged
//!            ├─ GroupTable  (compiled, fused)      per query
//!            └─ QueryReport (interpreted)
//!
//!  ThreadSlot: two ThreadTables and an epoch. A drain swaps the tables, then waits until the thread is
//!  outside the event that may still add to the old one. Events never wait, lock or share a cache line.
//! ```
//!
//! Reading order: `thread_slot` and `fence` (how a table is taken from a running thread), `thread_table`,
//! `group_table`, `interner` (what events add to), [`drain`], [`query_report`] (threads are merged),
//! [`reporter`] (reports are delivered), `report_pieces` (in messages), [`fork`] (what becomes of all this in a forked child).

pub mod drain;
pub(crate) mod fence;
pub mod fork;
pub(crate) mod group_table;
pub(crate) mod interner;
pub mod query_report;
pub(crate) mod report_pieces;
pub mod reporter;
pub(crate) mod thread_slot;
pub(crate) mod thread_table;
pub(crate) mod wire_size;
