//! How far all agents together have come.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Counts of agents that have reached a step.
#[derive(Debug)]
pub(crate) struct LoadProgress {
    agents: usize,
    attached: AtomicUsize,
    woven: AtomicUsize,
    broken: AtomicUsize,
}

impl LoadProgress {
    pub(crate) fn new(agents: usize) -> LoadProgress {
        LoadProgress {
            agents,
            attached: AtomicUsize::new(0),
            woven: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
        }
    }

    /// Notes that an agent was told what to weave.
    pub(crate) fn attach(&self) {
        self.attached.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that an agent has heard of the query.
    pub(crate) fn weave(&self) {
        self.woven.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the stream of an agent has ended.
    pub(crate) fn break_off(&self) {
        self.broken.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many streams have ended.
    pub(crate) fn broken(&self) -> usize {
        self.broken.load(Ordering::Relaxed)
    }

    pub(crate) async fn wait_until_attached(&self, patience: Duration) {
        self.wait("attached", &self.attached, patience).await;
    }

    pub(crate) async fn wait_until_woven(&self, patience: Duration) {
        self.wait("woven", &self.woven, patience).await;
    }

    async fn wait(&self, what: &str, count: &AtomicUsize, patience: Duration) {
        let begun = Instant::now();
        while count.load(Ordering::Relaxed) < self.agents {
            let (reached, agents, broken) = (count.load(Ordering::Relaxed), self.agents, self.broken());
            assert!(begun.elapsed() < patience, "{reached} of {agents} agents are {what}, {broken} cut off");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
