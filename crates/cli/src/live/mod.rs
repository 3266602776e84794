//! The live table: the result of one query, redrawn in place as its windows close.
//!
//! ```text
//! frontend ──frames───▶ watch: tasks ──FrontendUpdate──▶ watch: loop ──add_frame──▶ QueryView ─▶ lines
//!          ◀─status?──                                     ▲    │                                 │
//!                                          keys, resize ───┘    └───────── TerminalScreen ◀────────┘
//! ```
//!
//! **What is drawn when.** The loop wakes for a key or a resize, and at least every 50 ms. Each time it takes in all
//! updates that have come, has the view make the whole screen as lines of text, and draws them. The screen compares
//! them with what it drew last and writes nothing if they are equal, so an idle query costs no output.
//!
//! **What comes from where.** Two tasks run on the runtime and send into one channel: one reads the result stream,
//! the other asks every half second how the query stands (woven where, problems). The loop runs on the thread that
//! owns the terminal and never waits for the network.
//!
//! **Who touches the terminal.** `TerminalScreen` alone. `QueryView` makes text from what it was given, so the tests
//! compare whole screens. When watching ends, the terminal returns to the prompt and the last state of the table is
//! printed above it.
//!
//! Files: `measure_column` finds the column that gets bars, `trend` keeps the last windows for sparklines,
//! `query_view` lays the screen out, `screen` draws it, `watch` is the loop.

mod measure_column;
mod query_view;
mod screen;
mod trend;
mod watch;

pub(crate) use query_view::{QueryView, RowLayout, waiting};
pub(crate) use screen::{read_key, restore_terminal};
pub(crate) use watch::{WatchEnd, watch};
