//! The primitives by which threads meet.
//!
//! With `--cfg pivot_shuttle` they are those of a scheduler that tries many orders, for `tests/threads.rs`.

#[cfg(not(pivot_shuttle))]
pub(crate) use std::{
    sync::{Arc, Mutex, MutexGuard},
    thread_local,
};

#[cfg(pivot_shuttle)]
pub(crate) use shuttle::{
    sync::{Arc, Mutex, MutexGuard},
    thread_local,
};
