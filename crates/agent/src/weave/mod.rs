//! Weaving: from the advice that a frontend wants to what runs at each tracepoint.

pub mod name_linker;
pub(crate) mod published;
pub(crate) mod registration;
pub mod throttle;
pub mod verify;
pub mod weaver;
pub(crate) mod woven;
