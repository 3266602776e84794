//! What an uplink asks of the machine that it runs on: the time, the way to a frontend, and chance.
//!
//! Processes use `ThisMachine`. A simulation brings a machine of its own, and with it runs the same uplink by a time, a
//! network and dice that it decides on.

use pivot_protocol::{Clocks, SystemClocks};
use std::hash::{BuildHasher, Hasher, RandomState};
use tonic::transport::{Channel, Endpoint, Error};

/// A machine that an uplink runs on.
pub trait Machine: Clocks + Clone {
    /// Connects to a frontend.
    fn connect(&self, endpoint: &Endpoint) -> impl Future<Output = Result<Channel, Error>>;

    /// Returns a number that nobody can foretell.
    fn random(&self) -> u64;
}

/// The machine of this process.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ThisMachine;

impl Clocks for ThisMachine {
    fn steady_ns(&self) -> i64 {
        SystemClocks.steady_ns()
    }

    fn wall_ns(&self) -> i64 {
        SystemClocks.wall_ns()
    }
}

impl Machine for ThisMachine {
    fn connect(&self, endpoint: &Endpoint) -> impl Future<Output = Result<Channel, Error>> {
        endpoint.connect()
    }

    fn random(&self) -> u64 {
        // A hasher with random keys is the standard library's source of randomness.
        RandomState::new().build_hasher().finish()
    }
}
