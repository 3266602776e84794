//! The interface of this crate when the runtime is on: re-exports of the agent, baggage, its propagation and the
//! uplink, and [`init`], which starts them.

pub use pivot_agent::{CpuBudget, Export, ExportedBytes, disable, enable, tracepoint};
pub use pivot_baggage as baggage;
pub use pivot_macros::tracepoints;
pub use pivot_propagate as propagate;
pub use pivot_propagate::{
    Fan, JoinSet, Traced, forked, join, request, request_id, select, spawn, spawn_blocking, spawn_detached,
    thread, try_join,
};
pub use pivot_uplink::{Config, Uplink as Guard, UplinkError, UplinkStatus};

/// Starts the agent with the settings of the environment. Keep the guard until the process ends: dropping
/// it reports what is left.
pub fn init() -> Result<Guard, UplinkError> {
    builder().init()
}

/// Returns the settings of the environment, to be changed and then started with [`Config::init`].
pub fn builder() -> Config {
    Config::new()
}
