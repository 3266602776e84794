//! What the store uses of Pivot's runtime, and what stands in its place in a build without one: with
//! `--no-default-features` the same store runs as if it had never been instrumented.

#[cfg(feature = "runtime")]
mod with {
    pub(crate) use pivot::propagate::{ClientLayer, JoinHandle, ServerLayer};
    pub(crate) use pivot::{Guard, spawn};

    use crate::{ProcessOptions, StoreError};

    /// Starts the agent; what it has not reported yet is flushed when the guard is dropped.
    pub(crate) fn agent(options: &ProcessOptions) -> Result<Guard, StoreError> {
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
mod with {
    pub(crate) use tokio::spawn;
    pub(crate) use tokio::task::JoinHandle;
    pub(crate) use tower_layer::Identity as ClientLayer;
    pub(crate) use tower_layer::Identity as ServerLayer;

    use crate::{ProcessOptions, StoreError};

    /// There is none to start.
    pub(crate) fn agent(_: &ProcessOptions) -> Result<(), StoreError> {
        Ok(())
    }
}

pub(crate) use with::*;
