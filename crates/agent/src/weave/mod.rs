//! Weaving: from the advice that a frontend wants to what runs at each tracepoint.

pub mod control;
pub(crate) mod listeners;
pub mod name_linker;
pub(crate) mod published;
pub(crate) mod registration;
pub mod throttle;
pub mod verify;
pub(crate) mod weaver;
pub(crate) mod woven;
