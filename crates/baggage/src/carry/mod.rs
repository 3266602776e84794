//! The baggage of the request that runs here: on a thread, in a future, through a channel.

pub mod current;
pub mod ending;
pub mod fan;
pub mod future;
pub mod leaks;
pub mod thread;
pub mod traced;
pub mod withheld;
