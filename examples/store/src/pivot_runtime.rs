//! What the store uses of Pivot's runtime. In a build with `--no-default-features` the stand-ins below take
//! its place, and the store runs as if it had never been instrumented.

#[cfg(feature = "runtime")]
mod runtime {
    pub(crate) use pivot::propagate::{ClientLayer, JoinHandle, ServerLayer};
    pub(crate) use pivot::{Guard, spawn};

    use crate::{ProcessOptions, StoreError};

    /// Starts the agent. Dropping the guard reports what it has not reported yet.
    pub(crate) fn start_agent(options: &ProcessOptions) -> Result<Guard, StoreError> {
        let role = options.role.as_str();
        let builder = pivot::builder().process(role).host(options.name.as_str()).label("role", role);
        let builder = match &options.frontend {
            Some(frontend) => builder.frontend(frontend.as_str()),
            None => builder,
        };
        builder.init().map_err(|error| StoreError::Agent(options.name.clone(), error.to_string()))
    }
}

#[cfg(not(feature = "runtime"))]
mod stand_ins {
    pub(crate) use tokio::spawn;
    pub(crate) use tokio::task::JoinHandle;
    pub(crate) use tower_layer::Identity as ClientLayer;
    pub(crate) use tower_layer::Identity as ServerLayer;

    use crate::{ProcessOptions, StoreError};

    /// Starts nothing.
    pub(crate) fn start_agent(_: &ProcessOptions) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(feature = "runtime")]
pub(crate) use runtime::*;
#[cfg(not(feature = "runtime"))]
pub(crate) use stand_ins::*;
