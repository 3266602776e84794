//! Where statements of SQL run: on threads of their own, few at a time, with a bounded memory.
//!
//! Reports, frames and other calls have their own runtime, so a statement that keeps its threads busy delays statements
//! alone.

use super::limits::SqlLimits;
use super::observed_cache::ObservedCache;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use std::num::NonZeroUsize;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// The threads on which statements run.
const THREADS: usize = 2;

/// The stack of such a thread: plans are trees that are walked down to their leaves. It is used as far as it is needed.
const STACK: usize = 256 << 20;

/// The most statements that run at once; others wait.
const MAX_STATEMENTS: usize = 4;

/// How many of those who take most memory an error names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::MIN;

/// The threads, the memory and the limits of statements.
pub(crate) struct SqlEngine {
    /// Always there, until it is dropped.
    runtime: Option<Runtime>,
    pub(super) environment: Arc<RuntimeEnv>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) limits: SqlLimits,
    /// What was found of the types in history.
    pub(super) observed: Arc<ObservedCache>,
}

impl std::fmt::Debug for SqlEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlEngine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl SqlEngine {
    /// Starts the threads. Statements leave nothing on disk: what does not fit into memory fails.
    pub(crate) fn start(limits: SqlLimits) -> Result<SqlEngine, DataFusionError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("pivot-sql")
            .thread_stack_size(STACK)
            .enable_all()
            .build()?;

        let memory = usize::try_from(limits.memory).unwrap_or(usize::MAX);
        let pool = TrackConsumersPool::new(GreedyMemoryPool::new(memory), NAMED_CONSUMERS);
        let no_files = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(no_files)
            .build_arc()?;
        let slots = Arc::new(Semaphore::new(MAX_STATEMENTS));
        let observed = Arc::default();
        Ok(SqlEngine { runtime: Some(runtime), environment, slots, limits, observed })
    }

    /// Runs a task on the threads of statements; `None` when they are gone.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Option<JoinHandle<()>> {
        Some(self.runtime.as_ref()?.spawn(task))
    }
}

impl Drop for SqlEngine {
    fn drop(&mut self) {
        // Waiting for the threads would hold up whoever drops it, which may be one of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
