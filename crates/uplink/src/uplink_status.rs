//! What an agent's connection to its frontend is doing: for the application, and once for whoever reads standard error.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a frontend may be missing at the start before that is said: processes that start together need a moment.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the connection of an agent to its frontend is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UplinkStatus {
    /// Nothing was started: the agent is disabled.
    Disabled,
    /// No frontend is connected, and attempts go on.
    Connecting {
        /// Since when.
        since: Instant,
        /// Why the last attempt failed; `None` before the first one has.
        problem: Option<String>,
    },
    /// Something answers at the address and refuses the agent. Attempts go on.
    Refused {
        /// What it said.
        reason: String,
    },
    /// A frontend is connected.
    Connected {
        /// Since when.
        since: Instant,
    },
    /// The uplink has ended.
    Ended,
}

/// Why no connection was opened.
#[derive(Debug)]
pub(crate) enum ConnectionProblem {
    /// Nobody answers.
    Unreachable(String),
    /// Whoever answers does not take the agent.
    Refused(String),
}

/// The status, which the uplink's thread writes and the application reads.
#[derive(Debug)]
pub(crate) struct StatusBoard {
    address: String,
    state: Mutex<BoardState>,
}

#[derive(Debug)]
struct BoardState {
    status: UplinkStatus,
    /// Whether a frontend was connected, or its absence was said: either is enough for standard error.
    is_settled: bool,
}

impl StatusBoard {
    /// Returns a board for an agent that connects to an address, or to none.
    pub(crate) fn new(address: &str, status: UplinkStatus) -> StatusBoard {
        StatusBoard {
            address: address.to_owned(),
            state: Mutex::new(BoardState { status, is_settled: false }),
        }
    }

    /// Returns the status now.
    pub(crate) fn status(&self) -> UplinkStatus {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).status.clone()
    }

    /// Notes that a frontend is connected.
    pub(crate) fn connected(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.status = UplinkStatus::Connected { since: Instant::now() };
        state.is_settled = true;
    }

    /// Notes that the connection has ended.
    pub(crate) fn disconnected(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.status = UplinkStatus::Connecting { since: Instant::now(), problem: None };
    }

    /// Notes that the uplink has ended.
    pub(crate) fn ended(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.status = UplinkStatus::Ended;
    }

    /// Notes that an attempt has failed, and says so on standard error once, unless it is the first moments of the start.
    pub(crate) fn failed(&self, problem: ConnectionProblem) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match state.status {
            UplinkStatus::Connecting { since, .. } => since,
            _ => Instant::now(),
        };
        let is_due = match &problem {
            ConnectionProblem::Unreachable(_) => since.elapsed() >= PATIENCE,
            ConnectionProblem::Refused(_) => true,
        };

        state.status = match problem {
            ConnectionProblem::Unreachable(reason) => {
                UplinkStatus::Connecting { since, problem: Some(reason) }
            }
            ConnectionProblem::Refused(reason) => UplinkStatus::Refused { reason },
        };
        if is_due {
            self.say_once(&mut state);
        }
    }

    /// Notes that the process leaves while there is no connection.
    pub(crate) fn leaves_unconnected(&self) {
        self.say_once(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Says what the last attempt failed for, unless a frontend was ever connected or something was said before.
    fn say_once(&self, state: &mut BoardState) {
        let address = &self.address;
        let text = match &state.status {
            UplinkStatus::Connecting { problem: Some(reason), .. } => {
                format!("no frontend at {address}: {reason}")
            }
            UplinkStatus::Refused { reason } => {
                format!("the frontend at {address} refuses this agent: {reason}")
            }
            _ => return,
        };

        if !std::mem::replace(&mut state.is_settled, true) {
            // That nobody reads standard error is no reason to fail.
            let _ = writeln!(std::io::stderr(), "pivot: {text}; attempts go on in silence");
        }
    }
}
