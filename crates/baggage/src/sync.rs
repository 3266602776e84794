//! What threads meet at. `tests/threads.rs` puts a scheduler that tries all orders in its place.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
