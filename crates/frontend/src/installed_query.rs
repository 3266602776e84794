//! One installed query: its windows, what they add up to, and its kept frames.
//!
//! The cumulative result is the sum of the windows that were shown, so a frame never tells of rows
//! whose window is still open.

use crate::frames::{Frame, FrameQueue, LazyResult};
use crate::ledger::{self, AgentCost};
use crate::registry::Registry;
use crate::window_groups::{Window, WindowGroups};
use pivot_advice::{Advice, Instruction, QueryId};
use pivot_protocol::{to_wire, wire};
use pivot_query::{CompileOptions, OutputSchema, Program};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most windows that are kept for late data.
const MAX_CLOSED: usize = 60;

/// The most windows of one query that may be open at once; older ones close early.
const MAX_OPEN: usize = 600;

/// How much longer than a window's grace an uninstalled query waits for its agents.
const FLUSH_NS: i64 = 3_000_000_000;

/// When a query was removed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Removal {
    generation: u64,
    at_ns: i64,
}

/// A query.
#[derive(Debug)]
pub(crate) struct InstalledQuery {
    pub(crate) id: QueryId,
    pub(crate) name: String,
    pub(crate) program: Program,
    /// What its parameters stand for.
    pub(crate) options: CompileOptions,
    pub(crate) output: Arc<OutputSchema>,
    pub(crate) installed_ns: i64,
    /// The generation that installed it; agents that have woven it report, whatever came later.
    pub(crate) generation: u64,
    /// The generation that brought its advice as it is.
    since: u64,
    pub(crate) removed: Option<Removal>,
    /// When its last frame was stored.
    pub(crate) finished_ns: Option<i64>,
    pub(crate) cumulative: Arc<WindowGroups>,
    cost: wire::Cost,
    /// What it costs each process, by incarnation.
    accounts: BTreeMap<u64, AgentCost>,
    pub(crate) readers: u32,
    partial: bool,
    finishing: bool,
    windows: BTreeMap<i64, Window>,
    /// Of the newest window: how many agents it has heard, and how many it should hear.
    agents: (u32, u32),
    /// The start of the first window that anything was reported for.
    began_ns: i64,
    forgotten_ns: i64,
    pub(crate) frames: FrameQueue,
}

impl InstalledQuery {
    /// A query that nothing has been reported for.
    pub(crate) fn new(
        id: QueryId,
        name: String,
        (program, options): (Program, CompileOptions),
        generation: u64,
        now_ns: i64,
    ) -> InstalledQuery {
        let output = Arc::new(program.output.clone());
        let shape = output.table();
        InstalledQuery {
            id,
            name,
            program,
            options,
            output,
            installed_ns: now_ns,
            generation,
            since: generation,
            removed: None,
            finished_ns: None,
            cumulative: Arc::new(WindowGroups::new(&shape)),
            cost: wire::Cost::default(),
            accounts: BTreeMap::new(),
            readers: 0,
            partial: false,
            finishing: false,
            windows: BTreeMap::new(),
            agents: (0, 0),
            began_ns: i64::MAX,
            forgotten_ns: i64::MIN,
            frames: FrameQueue::new(),
        }
    }

    /// Whether it is to be woven.
    pub(crate) fn is_active(&self) -> bool {
        self.removed.is_none()
    }

    /// Whether the time that it was to run for is over.
    pub(crate) fn is_expired(&self, now_ns: i64) -> bool {
        let duration_ns = self.program.settings.duration_ns;
        self.is_active() && duration_ns.is_some_and(|ns| now_ns >= self.installed_ns.saturating_add(ns))
    }

    /// Its advice.
    pub(crate) fn advice(&self) -> Vec<Advice> {
        self.program.advice(self.id)
    }

    /// Which generation brought it.
    pub(crate) fn since(&self) -> wire::Since {
        wire::Since { query: Some(to_wire::query_id(self.id)), generation: self.since }
    }

    /// Takes a newly compiled program if it differs in advice and not in the shape of its groups. If it
    /// does, that `generation` brings it.
    pub(crate) fn replace(&mut self, program: Program, generation: u64) -> bool {
        if !program.output.table().same_shape(&self.output.table()) {
            return false;
        }
        let changed = program.advice(self.id) != self.advice();
        if changed {
            self.since = generation;
        }
        self.output = Arc::new(program.output.clone());
        self.program = program;
        changed
    }

    /// Removes it; frames of what was reported are still to come.
    pub(crate) fn remove(&mut self, generation: u64, now_ns: i64) {
        self.removed.get_or_insert(Removal { generation, at_ns: now_ns });
    }

    /// Notes what it cost a process.
    pub(crate) fn charge(&mut self, incarnation: u64, cost: wire::Cost, tally: &WindowGroups, now_ns: i64) {
        ledger::add(&mut self.cost, &cost);
        self.accounts.entry(incarnation).or_default().charge(cost, tally, now_ns);
    }

    /// Merges one part of a report.
    pub(crate) fn report(&mut self, start_ns: i64, end_ns: i64, part: WindowGroups) {
        if self.finishing || part.is_empty() {
            return;
        }
        // What is reported lies within windows of the query's own length.
        let every_ns = self.program.settings.every_ns.max(1);
        let start_ns = start_ns - start_ns.rem_euclid(every_ns);
        let end_ns = end_ns + (-end_ns).rem_euclid(every_ns);
        self.began_ns = self.began_ns.min(start_ns);
        if start_ns <= self.forgotten_ns {
            // Its window's rows are no longer known, so no revision could be right.
            self.add(&part);
            return;
        }
        let tally = || Arc::new(WindowGroups::new(&self.cumulative.groups));
        let window = self.windows.entry(start_ns).or_insert_with(|| Window {
            end_ns,
            tally: tally(),
            closed: false,
            late: false,
            revision: 0,
        });
        window.end_ns = window.end_ns.max(end_ns);
        Arc::make_mut(&mut window.tally).merge(&part);
        if window.closed {
            window.late = true;
            self.add(&part);
        }
    }

    /// Adds to the result since install, of which nobody needs what it was before.
    fn add(&mut self, part: &WindowGroups) {
        self.frames.outdate();
        Arc::make_mut(&mut self.cumulative).merge(part);
    }

    /// Makes the frames that are due: of windows that everybody has reported, or that waited long enough.
    pub(crate) fn tick(&mut self, registry: &Registry, (grace_ns, now_ns): (i64, i64), keep: usize) {
        let ends = !self.finishing && self.removed.is_some_and(|r| flushed(r, registry, grace_ns, now_ns));
        let without = self.removed.map(|removed| removed.generation);
        let open = self.windows.values().filter(|window| !window.closed).count();
        let mut early = open.saturating_sub(MAX_OPEN);
        let pending = self.windows.iter().filter(|(_, window)| !window.closed || window.late);
        let pending: Vec<(i64, i64)> = pending.map(|(start_ns, window)| (*start_ns, window.end_ns)).collect();
        for (start_ns, end_ns) in pending {
            let (reporting, expected) = registry.coverage(self.generation, without, (start_ns, end_ns));
            let waited = now_ns >= end_ns.saturating_add(grace_ns);
            let complete = reporting == expected && now_ns >= end_ns;
            let Some(window) = self.windows.get_mut(&start_ns) else { continue };
            if !window.closed {
                if !(complete || waited || ends || early > 0) {
                    continue;
                }
                early = early.saturating_sub(1);
                window.closed = true;
                let tally = window.tally.clone();
                self.add(&tally);
            }
            self.partial |= reporting < expected;
            self.agents = (reporting, expected);
            self.show(start_ns, keep);
        }
        self.forget();
        self.accounts.retain(|incarnation, _| registry.knows(*incarnation));
        if ends {
            self.finishing = true;
            self.finished_ns = Some(now_ns);
            self.show_last(keep);
        }
        // Something may have come that no window shows any more.
        let (whole, began_ns, partial) = (&self.cumulative, self.began_ns, self.partial);
        self.frames.renew(|end_ns| total(whole, (began_ns, end_ns), partial));
        self.frames.tell();
    }

    /// Makes the next frame of a window.
    fn show(&mut self, start_ns: i64, keep: usize) {
        let Some(window) = self.windows.get_mut(&start_ns) else { return };
        let (revision, window_ns) = (window.revision, (start_ns, window.end_ns));
        window.late = false;
        window.revision += 1;
        let (reporting, expected) = self.agents;
        let part = LazyResult::new(window.tally.clone(), window.end_ns - start_ns, reporting < expected);
        let frame = Frame { revision, ..self.frame(window_ns, part) };
        self.frames.push(frame, keep);
    }

    /// Makes the frame that no other follows.
    fn show_last(&mut self, keep: usize) {
        let end_ns = self.windows.values().map(|window| window.end_ns).max().unwrap_or(0);
        let nothing = Arc::new(WindowGroups::new(&self.cumulative.groups));
        let frame = self.frame((end_ns, end_ns), LazyResult::new(nothing, 0, false));
        self.frames.push(Frame { last: true, ..frame }, keep);
    }

    /// A frame of a window with all that was shown so far.
    fn frame(&self, window_ns: (i64, i64), window: Arc<LazyResult>) -> Frame {
        Frame {
            query: self.id.number,
            sequence: 0,
            window_ns,
            revision: 0,
            output: self.output.clone(),
            agents: self.agents,
            last: false,
            window,
            cumulative: Some(total(&self.cumulative, (self.began_ns, window_ns.1), self.partial)),
        }
    }

    fn forget(&mut self) {
        let closed: Vec<i64> =
            self.windows.iter().filter(|(_, w)| w.closed).map(|(start, _)| *start).collect();
        for start_ns in &closed[..closed.len().saturating_sub(MAX_CLOSED)] {
            self.windows.remove(start_ns);
            self.forgotten_ns = self.forgotten_ns.max(*start_ns);
        }
    }

    /// The query as it is listed.
    pub(crate) fn describe(&self, registry: &Registry, now_ns: i64) -> wire::Query {
        let exported = |name: &String| {
            registry.connected().flat_map(|agent| &agent.exports).any(|exports| exports.tracepoint == *name)
        };
        let weaves = |exports: &pivot_advice::Exports| self.program.tracepoints.contains(&exports.tracepoint);
        let woven = registry.connected().filter(|agent| agent.woven >= self.generation);
        let id = Some(to_wire::query_id(self.id));
        let nothing = AgentCost::default();
        let agents = registry.iter().filter(|(_, agent)| agent.is_connected()).filter_map(|(i, agent)| {
            let status = agent.statuses.iter().find(|status| status.query == id)?;
            let account = self.accounts.get(&i).unwrap_or(&nothing);
            Some(wire::AgentStatus {
                agent: agent.name(),
                status: Some(status.clone()),
                cost: Some(account.total),
                recent: Some(account.recent(now_ns)),
                loss: Some(to_wire::loss(&account.loss)),
                groups: account.groups,
                other: account.other,
            })
        });
        let problems = registry.connected().flat_map(|agent| {
            let mine = agent.problems.iter().filter(|problem| problem.query == id);
            mine.map(|problem| wire::AgentProblem {
                agent: agent.name(),
                tracepoint: problem.tracepoint.clone(),
                message: problem.message.clone(),
            })
        });
        wire::Query {
            number: self.id.number,
            name: self.name.clone(),
            text: self.program.text.clone(),
            installed_ns: self.installed_ns,
            pending: self.program.tracepoints.iter().filter(|name| !exported(name)).cloned().collect(),
            agents_woven: woven.filter(|agent| agent.exports.iter().any(weaves)).count() as u32,
            problems: problems.collect(),
            rows_emitted: self.cumulative.emitted,
            groups: self.cumulative.groups.len() as u64,
            loss: Some(to_wire::loss(&self.cumulative.loss)),
            readers: self.readers,
            cost: Some(self.cost),
            agents: agents.collect(),
            recent_ns: ledger::recent_ns(self.installed_ns, now_ns),
        }
    }
}

/// The result since install, of a time.
fn total(whole: &Arc<WindowGroups>, (began_ns, end_ns): (i64, i64), partial: bool) -> Arc<LazyResult> {
    LazyResult::new(whole.clone(), end_ns.saturating_sub(began_ns), partial)
}

/// Whether all agents have unwoven a removed query, and so have flushed it, or had their time.
fn flushed(removed: Removal, registry: &Registry, grace_ns: i64, now_ns: i64) -> bool {
    let waited = now_ns >= removed.at_ns.saturating_add(grace_ns).saturating_add(FLUSH_NS);
    waited || registry.connected().all(|agent| agent.woven >= removed.generation)
}

/// Whether an advice needs requests to carry baggage.
pub(crate) fn carries(advice: &Advice) -> bool {
    advice.instructions.iter().any(|instruction| match instruction {
        Instruction::Pack { .. } => true,
        Instruction::Observe { field } => field == "request" || field == "$request",
        _ => false,
    })
}
