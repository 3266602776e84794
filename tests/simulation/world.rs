//! What the hosts of a simulation share with whoever runs it: the truth about events, the course of the run, and a log by
//! which two runs are compared.

use crate::simulated_clocks::true_ns;
use pivot_protocol::wire;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

/// Nanoseconds in a millisecond.
const MILLISECOND_NS: i64 = 1_000_000;

/// The order to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AgentOrder {
    /// The process ends at once, and starts again after some milliseconds.
    Die(u64),
    /// The process says goodbye and ends, and starts again after some milliseconds.
    Leave(u64),
    /// The process stands still for some milliseconds.
    Stand(u64),
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Agents pass through their tracepoints, and faults happen.
    Running,
    /// Nothing happens any more, agents report what is left, and leave.
    Settling,
    /// Clients end their queries and read what is left.
    Finishing,
}

/// The results of a query that a client has read.
#[derive(Debug, Default, Clone)]
pub(crate) struct ReadResults {
    /// The newest frame of each window.
    pub(crate) windows: BTreeMap<i64, wire::Frame>,
    pub(crate) last: Option<wire::Frame>,
    /// When a client began to uninstall the query, in true milliseconds.
    pub(crate) uninstalled_ms: i64,
    /// Whether that was while faults happened.
    pub(crate) ended_early: bool,
    /// The most rows of each process that any result since install had.
    pub(crate) shown: BTreeMap<String, u64>,
}

/// The shared part of a simulation; all clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct World(Arc<Mutex<WorldState>>);

#[derive(Debug)]
struct WorldState {
    phase: Phase,
    /// Events by query and process, in each true millisecond.
    hits: BTreeMap<(u32, String), BTreeMap<i64, u64>>,
    orders: BTreeMap<String, AgentOrder>,
    /// Processes that ended without saying goodbye.
    dead: BTreeSet<String>,
    /// Hosts whose messages take long at present.
    disturbed: BTreeSet<String>,
    /// Processes that measured the frontend's time while messages took long, and may be far off.
    misplaced: BTreeSet<String>,
    /// How often a lease ended.
    lapses: usize,
    running: BTreeSet<String>,
    results: BTreeMap<u32, ReadResults>,
    hash: DefaultHasher,
    lines: Vec<String>,
    log_limit: usize,
}

impl World {
    /// Makes a world that keeps so many lines of its log.
    pub(crate) fn new(log_limit: usize) -> World {
        World(Arc::new(Mutex::new(WorldState {
            phase: Phase::Running,
            hits: BTreeMap::new(),
            orders: BTreeMap::new(),
            dead: BTreeSet::new(),
            disturbed: BTreeSet::new(),
            misplaced: BTreeSet::new(),
            lapses: 0,
            running: BTreeSet::new(),
            results: BTreeMap::new(),
            hash: DefaultHasher::new(),
            lines: Vec::new(),
            log_limit,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, WorldState> {
        self.0.lock().expect("nothing panics with the world")
    }

    /// Adds a line to the log.
    pub(crate) fn log(&self, line: &str) {
        let line = format!("{:>8} {line}", true_ns() / MILLISECOND_NS);
        let mut state = self.lock();
        line.hash(&mut state.hash);
        if state.lines.len() < state.log_limit {
            state.lines.push(line);
        }
    }

    /// Returns what tells the logs of two runs apart, and its first lines.
    pub(crate) fn trace(&self) -> (u64, Vec<String>) {
        let state = self.lock();
        (state.hash.finish(), state.lines.clone())
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// Counts an event that a query has to answer for.
    pub(crate) fn note_hit(&self, query: u32, process: &str) {
        let ms = true_ns() / MILLISECOND_NS;
        let mut state = self.lock();
        *state.hits.entry((query, process.to_owned())).or_default().entry(ms).or_default() += 1;
    }

    /// Returns the events of a query and a process, by the true millisecond since the simulation began.
    pub(crate) fn hits(&self, query: u32, process: &str) -> BTreeMap<i64, u64> {
        self.lock().hits.get(&(query, process.to_owned())).cloned().unwrap_or_default()
    }

    pub(crate) fn order(&self, process: &str, order: AgentOrder) {
        let mut state = self.lock();
        if state.phase == Phase::Running {
            state.orders.insert(process.to_owned(), order);
        }
    }

    pub(crate) fn take_order(&self, process: &str) -> Option<AgentOrder> {
        self.lock().orders.remove(process)
    }

    /// Notes that a process may have ended with events that it had not reported.
    pub(crate) fn note_death(&self, process: &str) {
        self.lock().dead.insert(process.to_owned());
    }

    pub(crate) fn is_dead(&self, process: &str) -> bool {
        self.lock().dead.contains(process)
    }

    pub(crate) fn nobody_died(&self) -> bool {
        self.lock().dead.is_empty()
    }

    /// Notes that messages of a host take long from now on.
    pub(crate) fn disturb(&self, host: &str) {
        self.lock().disturbed.insert(host.to_owned());
    }

    /// Notes that they do no longer.
    pub(crate) fn calm(&self, host: &str) {
        self.lock().disturbed.remove(host);
    }

    /// Notes that a process has just begun to measure the frontend's time.
    pub(crate) fn note_measuring(&self, host: &str, process: &str) {
        let mut state = self.lock();
        if state.disturbed.contains(host) {
            state.misplaced.insert(process.to_owned());
        }
    }

    pub(crate) fn is_misplaced(&self, process: &str) -> bool {
        self.lock().misplaced.contains(process)
    }

    pub(crate) fn note_lapse(&self) {
        self.lock().lapses += 1;
    }

    pub(crate) fn lapses(&self) -> usize {
        self.lock().lapses
    }

    pub(crate) fn agent_started(&self, process: &str) {
        self.lock().running.insert(process.to_owned());
    }

    pub(crate) fn agent_ended(&self, process: &str) {
        self.lock().running.remove(process);
    }

    /// Notes that all agents of a host have ended.
    pub(crate) fn host_killed(&self, host: &str) {
        let prefix = format!("{host}-");
        self.lock().running.retain(|process| !process.starts_with(&prefix));
    }

    pub(crate) fn running_agents(&self) -> usize {
        self.lock().running.len()
    }

    /// Gives access to what was read of a query.
    pub(crate) fn with_results<T>(&self, query: u32, access: impl FnOnce(&mut ReadResults) -> T) -> T {
        access(self.lock().results.entry(query).or_default())
    }

    /// Returns what was read of a query.
    pub(crate) fn results(&self, query: u32) -> ReadResults {
        self.with_results(query, |results| results.clone())
    }

    /// Returns the numbers of the queries that were read.
    pub(crate) fn queries(&self) -> Vec<u32> {
        self.lock().results.keys().copied().collect()
    }
}
