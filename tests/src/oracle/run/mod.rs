//! A run: the steps of requests, the DAG of events that they make, and the advice that runs as they happen.

pub(crate) mod event_dag;
pub(crate) mod executors;
pub(crate) mod in_band;
pub(crate) mod run_script;
