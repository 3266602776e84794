//! One call for programs that log with `log` while their libraries use `tracing`.

use crate::log::bridge;
use crate::log::from_tracing::LoggingSubscriber;
use crate::subscriber_bridge::{AlreadySet, SubscriberBridge};
use ::log::{Log, SetLoggerError};
use std::fmt;

/// The error of [`install_with_tracing`] where there is a logger or a subscriber already.
#[derive(Debug)]
pub enum LogInstallError {
    /// There is a logger already. Nothing was installed.
    Logger(SetLoggerError),
    /// There is a `tracing` subscriber already, to which its events go. The logger was installed.
    Subscriber(AlreadySet),
}

impl fmt::Display for LogInstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogInstallError::Logger(_) => f.write_str("a global logger is set already"),
            LogInstallError::Subscriber(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LogInstallError {}

/// Wraps the logger of an application that only logs, and gives it the events and spans of `tracing` that its
/// libraries make, too. Records, events and spans are tracepoints, and spans can carry requests.
///
/// The logger gets what it would get without us where `tracing` is compiled with its feature `log`: the same
/// targets, levels and texts. (`tracing` itself stops that as soon as there is any subscriber, so one that does nothing
/// would take lines from the log.) With the feature `log-always` it does not stop; such lines come twice.
///
/// Set the level as with any logger: `log::set_max_level(…)`. To set which spans carry requests, call
/// [`install`](bridge::install) with the logger and install a [`SubscriberBridge`] around a
/// [`LoggingSubscriber`] of it.
pub fn install_with_tracing(own: impl Log + 'static) -> Result<(), LogInstallError> {
    let own: &'static dyn Log = Box::leak(Box::new(own));
    bridge::install(own).map_err(LogInstallError::Logger)?;
    SubscriberBridge::new(LoggingSubscriber::new(own)).install().map_err(LogInstallError::Subscriber)
}
