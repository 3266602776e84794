//! Weaving: from the advice that a frontend wants to what runs at each tracepoint.
//!
//! ```text
//! weave(advice) ─▶ Weaver ── for every tracepoint ──▶ verify ─▶ LinkedAdvice ─▶ WovenAdvice ─▶ WovenSet ─▶ published
//!                    │                                               └─ ruled out by constants: not woven here
//!                 Governor: which queries run, and for how many requests ──▶ QueryGate, which events read
//! ```
//!
//! Reading order: [`control`] (what may be asked of weaving), `weaver`, [`verify`](mod@verify), [`name_linker`],
//! [`constant_conditions`] and `ruled_out`, `woven`, `published` (how events read it without a lock), [`throttle`],
//! `registration` and `listeners`.

pub mod constant_conditions;
pub mod control;
pub(crate) mod listeners;
pub mod name_linker;
pub(crate) mod published;
pub mod query_budgets;
pub(crate) mod registration;
pub(crate) mod ruled_out;
pub mod throttle;
pub mod verify;
pub(crate) mod weaver;
pub(crate) mod woven;
