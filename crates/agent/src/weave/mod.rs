//! Weaving: from the advice that a frontend wants to what runs at each tracepoint.

pub mod name_linker;
pub mod throttle;
pub mod verify;
pub mod weaver;
