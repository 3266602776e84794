//! One installed query: what it is, its windows, its costs, and the frames that are kept for its readers.
//!
//! ```text
//! report ──▶ QueryWindows ──tick──▶ closed windows ──▶ KeptFrames ──▶ readers
//!    └─────▶ CostLedger
//! ```

use crate::agent_coverage::{AgentCoverage, AllAgentsReported};
use crate::agent_registry::AgentRegistry;
use crate::agent_report::DecodedQueryReport;
use crate::agent_session::AgentSession;
use crate::compilation::CompiledQuery;
use crate::cost_ledger::{CostLedger, RecentCost};
use crate::kept_frames::{Frame, KeptFrames, ResultOnDemand, ResultScope};
use crate::query_definition::{QueryDefinition, QueryRemoval, QueryTick};
use crate::query_end::QueryEnd;
use crate::query_owner::QueryOwner;
use crate::range_coverage::RangeCoverage;
use crate::store::{QueryRecord, ResultRecord, StateChanges, StoredQuery};
use crate::time_range::TimeRange;
use crate::unreported_windows::UnreportedWindows;
use crate::unreturned_replies::{BareReplies, UnreturnedReplies};
use crate::window::{ClosedWindow, WindowCloseRules};
use crate::window_groups::WindowGroups;
use crate::windows::QueryWindows;
use pivot_merge::MergedGroups;
use pivot_protocol::{from_wire, to_wire};
use std::sync::Arc;
use std::time::Duration;

/// How much longer than a window's grace a removed query waits for its agents.
const FLUSH_NS: i64 = 3_000_000_000;

/// An installed query, or a removed one whose frames are still kept.
#[derive(Debug)]
pub(crate) struct InstalledQuery {
    pub(crate) definition: QueryDefinition,
    pub(crate) windows: QueryWindows,
    pub(crate) costs: CostLedger,
    /// Replies that lost its tuples on the way.
    pub(crate) unreturned: UnreturnedReplies,
    pub(crate) frames: KeptFrames,
    /// Number of clients that read its frames.
    pub(crate) readers: u32,
    /// When its client was last heard of, by the clock of leases.
    pub(crate) held: Duration,
    /// When it was removed; `None` while it is to be woven.
    pub(crate) removed: Option<QueryRemoval>,
    /// When its last frame was made. From then on nothing is merged any more.
    pub(crate) finished_ns: Option<i64>,
    /// Whether an agent is forgotten that may have had rows which nobody has seen.
    pub(crate) misses_rows: bool,
    /// Whether its definition has changed since the last commit began.
    is_changed: bool,
    /// The record of its results that was stored last.
    stored_result: ResultRecord,
}

impl InstalledQuery {
    /// Makes a query that nothing has been reported for, to be woven with a generation.
    pub(crate) fn new(name: String, compiled: CompiledQuery, generation: u64, now_ns: i64) -> InstalledQuery {
        let CompiledQuery { id, program, options, advice, exports_version, measured, .. } = compiled;
        let shape = MergedGroups::from(&program.output.table());
        let unreported = UnreportedWindows::of(&program, now_ns);
        let definition = QueryDefinition {
            id,
            name,
            output: Arc::new(program.output.clone()),
            program,
            options,
            advice,
            installed_ns: now_ns,
            generation,
            advice_generation: generation,
            exports_version,
            measured,
            owner: QueryOwner::default(),
        };

        InstalledQuery {
            definition,
            windows: QueryWindows::new(&shape, unreported),
            costs: CostLedger::default(),
            unreturned: UnreturnedReplies::default(),
            frames: KeptFrames::new(),
            readers: 0,
            held: Duration::ZERO,
            removed: None,
            finished_ns: None,
            misses_rows: false,
            is_changed: true,
            stored_result: ResultRecord::default(),
        }
    }

    /// Makes a query with its results as they were stored; `compiled` is what it is compiled to now. What was merged is
    /// counted as dropped if it does not fit it, after a change of the compiler.
    pub(crate) fn restore(compiled: CompiledQuery, stored: &StoredQuery) -> InstalledQuery {
        let QueryRecord { installed_ns, generation, advice_generation, removed, .. } = stored.record;
        let shape = MergedGroups::from(&compiled.program.output.table());
        let unreported = UnreportedWindows::of(&compiled.program, installed_ns);
        let mut query = InstalledQuery::new(stored.record.name.clone(), compiled, generation, installed_ns);

        query.definition.advice_generation = advice_generation;
        query.definition.owner = QueryOwner {
            name: stored.record.owner.clone(),
            session: stored.record.session.clone(),
            stays: stored.record.stays,
        };
        query.removed = removed.map(QueryRemoval::restore);
        query.windows = QueryWindows::restore(&shape, unreported, stored);
        query.costs.total = from_wire::cost(stored.result.cost);
        query.unreturned = UnreturnedReplies::restore(stored.result.unreturned.clone().into_iter().collect());
        query.finished_ns = stored.result.finished_ns;
        query.misses_rows = stored.result.misses_rows;
        query.is_changed = false;
        query.stored_result = stored.result.clone();

        if query.unreturned.any() {
            query.windows.settle_undecided(|| ());
        }
        query
    }

    /// Notes that what was reported in a time is not known, and that its advice comes with another generation for all
    /// agents, as after a restore from a backup.
    pub(crate) fn miss(&mut self, missed: TimeRange, generation: u64) {
        if self.finished_ns.is_some() {
            return;
        }
        self.misses_rows = true;
        self.windows.miss(missed);
        self.windows.covered.store_again();
        self.definition.generation = generation;
        self.set_advice_generation(generation);
    }

    /// Notes that its advice is another one than before a restart: requests of earlier generations may have missed it.
    pub(crate) fn set_advice_generation(&mut self, generation: u64) {
        self.definition.advice_generation = generation;
        self.is_changed = true;
    }

    /// Makes the frames that were kept of stored windows again, under their sequences, for readers that come back.
    pub(crate) fn restore_frames(&mut self, registry: &AgentRegistry, now: QueryTick) {
        let rules = self.definition.close_rules(self.removed, now);
        let shown = self.windows.shown(rules, registry);
        for (sequence, window) in shown {
            let frame = self.window_frame(window, registry);
            self.frames.restore(sequence, frame, now.keep_frames);
        }

        let newest = self.stored_result.sequence;
        if self.finished_ns.is_some() {
            self.frames.restore(newest, self.last_frame(registry), now.keep_frames);
        }
        self.frames.continue_after(newest);
        self.publish(newest, registry);
    }

    /// Whether it is to be woven.
    pub(crate) fn is_active(&self) -> bool {
        self.removed.is_none()
    }

    /// Returns why it is not installed any more; `None` while it is.
    pub(crate) fn end(&self) -> Option<QueryEnd> {
        self.removed.map(|removed| removed.end)
    }

    /// Notes who it belongs to.
    pub(crate) fn set_owner(&mut self, owner: QueryOwner) {
        self.is_changed |= owner != self.definition.owner;
        self.definition.owner = owner;
    }

    /// Whether the time is over that its DURATION clause gave it.
    pub(crate) fn is_expired(&self, now_ns: i64) -> bool {
        let QueryDefinition { program, installed_ns, .. } = &self.definition;
        let duration_ns = program.settings.duration_ns;
        self.is_active() && duration_ns.is_some_and(|ns| now_ns >= installed_ns.saturating_add(ns))
    }

    /// Whether the tracepoints of agents have changed since it was compiled, in a way that may matter.
    pub(crate) fn is_outdated(&self, exports_version: u64) -> bool {
        // A measurement is over before a change of the catalogue matters.
        let is_lasting = self.is_active() && !self.definition.program.is_measured();
        is_lasting && self.definition.exports_version < exports_version
    }

    /// Notes that a newer catalogue leaves the query as it is, because it does not compile against it.
    pub(crate) fn keep_as_it_is(&mut self, exports_version: u64) {
        let known = &mut self.definition.exports_version;
        *known = exports_version.max(*known);
    }

    /// Takes over a newer compilation, unless its groups have another shape: what was merged so far would
    /// not fit them. Returns whether the advice has changed, which `generation` then brings.
    pub(crate) fn replace(&mut self, compiled: CompiledQuery, generation: u64) -> bool {
        self.keep_as_it_is(compiled.exports_version);
        let definition = &mut self.definition;
        if !compiled.program.output.table().same_shape(&definition.output.table()) {
            return false;
        }

        let has_changed = compiled.advice != definition.advice;
        // Requests that began before this generation may have missed what the new advice packs.
        if has_changed {
            definition.advice_generation = generation;
        }
        self.is_changed |= has_changed || compiled.program.output != *definition.output;
        definition.output = Arc::new(compiled.program.output.clone());
        definition.program = compiled.program;
        definition.advice = compiled.advice;
        has_changed
    }

    /// Removes it with a generation; frames of what was reported until then are still to come.
    pub(crate) fn remove(&mut self, generation: u64, end: QueryEnd, now_ns: i64) {
        self.removed.get_or_insert(QueryRemoval { generation, at_ns: now_ns, end });
        self.is_changed = true;
    }

    /// Returns the groups of all windows that were shown.
    pub(crate) fn cumulative(&self) -> &WindowGroups {
        self.windows.cumulative()
    }

    /// Takes its part of an agent's report, which is merged at the next tick, and charges it with the cost.
    pub(crate) fn merge_report(
        &mut self,
        incarnation: u64,
        window: TimeRange,
        part: &mut DecodedQueryReport,
    ) {
        if self.unreturned.any() {
            part.loss.settle_undecided();
        }
        let time = TimeRange { start_ns: window.start_ns, end_ns: part.cut_ns };
        self.costs.charge(incarnation, part, time);
        if self.finished_ns.is_some() {
            return;
        }

        // Agents report for the greatest common divisor of all queries' windows.
        let window = window.aligned_to(self.every_ns());
        self.windows.covered.note(incarnation, part.woven, window);
        if !part.has_no_rows() {
            self.windows.stage(window).add_report(part);
        }
    }

    /// Counts the rows of its part of a report as lost, which is about a time that cannot be. They belong to no window, so
    /// the result since install alone tells of them. Returns how many.
    pub(crate) fn lose_part(&mut self, part: &DecodedQueryReport) -> u64 {
        let mut lost = WindowGroups::new(&self.windows.cumulative().groups);
        let rows = lost.add_refused(part);
        if self.finished_ns.is_none() && !lost.is_empty() {
            self.windows.stage_outside_windows(&lost);
        }
        rows
    }

    /// Returns what it has cost an agent of late.
    pub(crate) fn recent_cost(&self, incarnation: u64, agent: &AgentSession) -> RecentCost {
        let Some(cost) = self.costs.of_agent(incarnation) else { return RecentCost::default() };
        cost.recent(self.windows.covered.woven(incarnation), agent.cut_ns)
    }

    pub(crate) fn every_ns(&self) -> i64 {
        self.definition.program.settings.every_ns
    }

    /// Notes replies that left a server with its tuples: some may be known to have arrived without.
    pub(crate) fn match_left(&mut self, left: &[u64], bare: &BareReplies, window: TimeRange) {
        let lost = left.iter().filter(|tag| self.unreturned.add_left(**tag, bare)).count();
        self.lose_replies(lost as u64, window);
    }

    /// Notes a reply that arrived without baggage: it may be known to have left with tuples of the query.
    pub(crate) fn match_bare(&mut self, tag: u64, peer: &str, window: TimeRange) {
        let is_lost = self.unreturned.add_bare(tag, peer);
        self.lose_replies(u64::from(is_lost), window);
    }

    /// Counts calls whose replies lost its tuples. From the first on, rows that were kept behind replies without
    /// baggage are uncertain, those of windows that were shown included.
    fn lose_replies(&mut self, calls: u64, window: TimeRange) {
        if calls == 0 || self.finished_ns.is_some() {
            return;
        }

        self.windows.settle_undecided(|| self.frames.drop_cumulative());
        let staged = self.windows.stage(window.aligned_to(self.every_ns()));
        staged.loss.unreturned = staged.loss.unreturned.saturating_add(calls);
    }

    /// Merges what was staged, makes the frames that are due, of the windows that close now and the last one, and adds all
    /// that has changed to a commit.
    pub(crate) fn tick(&mut self, registry: &AgentRegistry, now: QueryTick, changes: &mut StateChanges) {
        let merged = self.windows.merge_staged(|| self.frames.drop_cumulative());
        // Before windows are looked at, which would seem complete without these agents.
        self.note_forgotten(registry, now.now_ns);
        let ends = self.finished_ns.is_none() && self.has_been_flushed(registry, now.grace_ns, now.now_ns);
        if ends {
            self.open_owed(registry, now.now_ns);
        }
        let rules = WindowCloseRules {
            close_all: ends,
            misses_rows: self.misses_rows,
            ..self.definition.close_rules(self.removed, now)
        };

        let closed = self.windows.close_due(rules, registry, now.now_ns, || self.frames.drop_cumulative());
        for window in closed {
            let start_ns = window.time_range.start_ns;
            self.add_to_history(&window, now.batch, &mut changes.history);
            let frame = self.window_frame(window, registry);
            let sequence = self.frames.push(frame, now.keep_frames);
            self.windows.set_sequence(start_ns, sequence);
        }
        if ends {
            self.finished_ns = Some(now.now_ns);
            self.frames.push(self.last_frame(registry), now.keep_frames);
        }

        self.costs.forget_agents(registry.forgotten().keys().copied());
        self.windows.covered.forget_agents(registry.forgotten().keys().copied());
        self.add_forgotten_to_history(now.batch, &mut changes.history);
        self.windows.collect_changes(self.definition.id.number, now.batch, merged, changes);
        self.collect_changes(changes);
    }

    /// Returns the time from its install to its end, or until now.
    pub(crate) fn life(&self, now_ns: i64) -> TimeRange {
        let end_ns = self.removed.map_or(now_ns, |removed| removed.at_ns);
        TimeRange { start_ns: self.definition.installed_ns, end_ns }
    }

    /// Adds what has changed, apart from windows, to a commit.
    fn collect_changes(&mut self, changes: &mut StateChanges) {
        let number = self.definition.id.number;
        if std::mem::take(&mut self.is_changed) {
            changes.queries.insert(number, self.definition.record(self.removed));
            if self.definition.has_history() {
                changes.history.queries.insert(number, self.definition.history_record());
            }
        }
        for (incarnation, woven) in self.windows.covered.take_changed() {
            changes.woven.insert((number, incarnation), woven);
        }

        let result = self.result_record();
        if result != self.stored_result {
            self.stored_result = result.clone();
            changes.results.insert(number, result);
        }
    }

    fn result_record(&self) -> ResultRecord {
        let mut record = ResultRecord {
            sequence: self.frames.sequence(),
            cost: Some(to_wire::cost(&self.costs.total)),
            unreturned: self.unreturned.counts().clone().into_iter().collect(),
            finished_ns: self.finished_ns,
            misses_rows: self.misses_rows,
            ..ResultRecord::default()
        };
        self.windows.fill_record(&mut record);
        record
    }

    /// Lets readers see the frames up to a sequence, which are durable now. The newest has the result since install.
    pub(crate) fn publish(&mut self, sequence: u64, registry: &AgentRegistry) {
        // It may have changed by data that no window shows any more.
        if let Some(end_ns) = self.frames.end_without_cumulative() {
            self.frames.set_cumulative(self.cumulative_result(end_ns, registry));
        }
        self.frames.publish(sequence);
    }

    /// Whether its last frame was made, and readers may see it.
    pub(crate) fn has_ended(&self) -> bool {
        self.finished_ns.is_some() && self.frames.is_all_published()
    }

    /// Whether it is removed, and all agents have unwoven it and so have reported all they had, or had
    /// their time to do so.
    fn has_been_flushed(&self, registry: &AgentRegistry, grace_ns: i64, now_ns: i64) -> bool {
        let Some(removed) = self.removed else { return false };
        let has_waited = now_ns >= removed.at_ns.saturating_add(grace_ns).saturating_add(FLUSH_NS);
        let term = self.definition.term(self.removed);
        has_waited || registry.have_unwoven(term, removed.generation, now_ns.saturating_sub(grace_ns))
    }

    fn window_frame(&self, window: ClosedWindow, registry: &AgentRegistry) -> Frame {
        let ClosedWindow { time_range, groups, revision, coverage, time, .. } = window;
        let scope = ResultScope { time, heard: coverage.agents_heard(), incomplete_windows: 0 };
        let result = ResultOnDemand::new(groups, scope);
        Frame { revision, ..self.frame(time_range, coverage, result, registry) }
    }

    /// Makes the frame that no other follows: an empty window at the end, and the final cumulative result.
    fn last_frame(&self, registry: &AgentRegistry) -> Frame {
        // Without a window it is known when the query was removed.
        let removed_ns = self.removed.map_or(self.definition.installed_ns, |removed| removed.at_ns);
        let end_ns = self.windows.latest_end_ns().unwrap_or(removed_ns);
        let time_range = TimeRange { start_ns: end_ns, end_ns };
        let nothing = Arc::new(WindowGroups::new(&self.cumulative().groups));
        let time = RangeCoverage::default();
        let scope = ResultScope { time, heard: AllAgentsReported::All, incomplete_windows: 0 };
        let result = ResultOnDemand::new(nothing, scope);
        Frame { end: self.end(), ..self.frame(time_range, self.whole_coverage(registry), result, registry) }
    }

    /// Returns the agents of the newest window or, if there never was one, those that took part without having
    /// anything to report.
    fn whole_coverage(&self, registry: &AgentRegistry) -> AgentCoverage {
        let coverage = self.windows.coverage();
        let Some(removed) = self.removed.filter(|_| coverage.expected == 0) else { return coverage };

        let whole = TimeRange { start_ns: self.definition.installed_ns, end_ns: removed.at_ns };
        let term = self.definition.term(self.removed);
        match registry.has_witness(term, whole) {
            true => registry.coverage(term, whole, i64::MAX),
            false => AgentCoverage::default(),
        }
    }

    fn frame(
        &self,
        window: TimeRange,
        coverage: AgentCoverage,
        result: Arc<ResultOnDemand>,
        registry: &AgentRegistry,
    ) -> Frame {
        Frame {
            query: self.definition.id.number,
            // [`KeptFrames::push`] numbers it.
            sequence: 0,
            window,
            revision: 0,
            output: self.definition.output.clone(),
            coverage,
            end: None,
            result,
            cumulative: Some(self.cumulative_result(window.end_ns, registry)),
        }
    }

    /// Returns the result since install, up to the end of a window.
    fn cumulative_result(&self, end_ns: i64, registry: &AgentRegistry) -> Arc<ResultOnDemand> {
        // At the end it covers all the time in which the query was answered, also that after the last row.
        let covered = &self.windows.covered;
        let ended_ns = self.finished_ns.and_then(|_| covered.end_ns(registry)).unwrap_or(end_ns);
        let every_ns = self.every_ns();
        let range = self.windows.cumulative_time_range(end_ns.max(ended_ns), every_ns);

        // An agent may be missing of which no window tells, since nobody else had rows.
        let until_ns = if self.finished_ns.is_some() { i64::MAX } else { end_ns };
        let misses_rows =
            self.misses_rows || registry.misses_rows(self.definition.term(self.removed), self.life(until_ns));
        let scope = ResultScope {
            time: covered.of_range(range, every_ns, self.definition.installed_ns, registry),
            heard: if misses_rows { AllAgentsReported::SomeMissing } else { AllAgentsReported::All },
            incomplete_windows: self.windows.incomplete_windows(),
        };
        ResultOnDemand::new(self.windows.cumulative().clone(), scope)
    }
}
