//! What a frontend knows: its agents, its queries, and the advice that should be woven.
//!
//! A state machine without clock, connections or threads: every method takes an event and the time, changes
//! the state, and puts what is to be told into agents' outboxes and queries' frames.
//!
//! ```text
//!            connect, report, ...                           install, uninstall
//! agents ───────────────────────────▶ FrontendState ◀────────────────────────── clients
//!        ◀───────────────────────────      │        ──────────────────────────▶
//!            wanted advice, acknowledged   tick      frames of closed windows
//! ```
//!
//! Every change of the wanted advice begins a **generation**, a number that only rises. Agents are sent the
//! whole set with its generation and answer with the generation they have woven, so that neither side has to
//! know which messages the other has seen.

use crate::agent_identity::AgentIdentity;
use crate::agent_registry::{AgentConnectionId, AgentRegistry};
use crate::agent_report::{AgentLosses, AgentReport, DecodedQueryReport, WovenNotice};
use crate::agent_session::{AgentPresence, Outbox, SequenceCheck};
use crate::announced_exports::AnnouncedExports;
use crate::compilation::{CompileSnapshot, CompiledQuery};
use crate::convergence::Convergence;
use crate::installed_queries::{InstallRefusal, InstalledQueries};
use crate::installed_query::InstalledQuery;
use crate::lease_clock::LeaseClock;
use crate::options::FrontendOptions;
use crate::query_definition::QueryTick;
use crate::query_end::QueryEnd;
use crate::report_figures::ReportFigures;
use crate::report_placement::PlacementBounds;
use crate::select::ResultColumn;
use crate::store::{ClockRecord, FrontendRecord, StateChanges};
use crate::time_range::TimeRange;
use crate::unreturned_replies::BareReplies;
use crate::wanted_advice::{WantedNews, WantedUpdate};
use crate::wanted_set::{WantedQuery, WantedSet};
use pivot_advice::{CarrierGlob, QueryState};
use pivot_query::Diagnostics;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Notify;

/// How long an agent may take to notice that it has lost the frontend, as its keep-alive does: until then requests that
/// begin there may carry a generation that it has not woven.
const NOTICE_NS: i64 = 30_000_000_000;

/// Agents, queries, and the advice that should be woven.
#[derive(Debug)]
pub(crate) struct FrontendState {
    pub(crate) registry: AgentRegistry,
    /// Wakes the task that compiles installed queries again.
    tracepoints_changed: Arc<Notify>,
    pub(crate) queries: InstalledQueries,
    /// Replies that came without baggage, to be matched with what servers say has left.
    bare_replies: BareReplies,
    /// All advice that should be woven, with its generation.
    pub(crate) wanted: WantedSet,
    /// Changes of it that agents are not told yet, since they are not durable.
    pub(crate) unpublished: Vec<WantedUpdate>,
    /// News to be shown and sent after the commit that runs.
    pub(crate) to_publish: Publication,
    /// The number of the commit that makes durable what changes now.
    pub(crate) batch: u64,
    /// The record of the frontend itself that was stored last.
    pub(crate) stored: FrontendRecord,
    /// The frontend's clock when the commit that runs began; `None` if another run need not know.
    pub(crate) clock: Option<ClockRecord>,
    pub(crate) convergence: Convergence,
    pub(crate) lease_clock: LeaseClock,
    pub(crate) reports: ReportFigures,
    /// How long after its end a window waits for agents.
    grace_ns: i64,
    /// How many frames of each query are kept.
    keep_frames: usize,
    /// How long a finished query without readers is kept.
    pub(crate) keep_finished_ns: i64,
}

/// News that a commit lets be shown and sent.
#[derive(Debug, Default)]
pub(crate) struct Publication {
    /// News for agents.
    pub(crate) wanted: WantedNews,
    /// For each query, by number, the sequence of its newest frame.
    pub(crate) sequences: BTreeMap<u32, u64>,
}

/// The outcome of an install, as the client is told.
#[derive(Debug)]
pub(crate) struct InstallOutcome {
    pub(crate) number: u32,
    pub(crate) warnings: Diagnostics,
    pub(crate) columns: Vec<ResultColumn>,
    /// Connected agents that export a tracepoint of the query.
    pub(crate) agents_expected: usize,
}

impl FrontendState {
    /// Makes the state of a frontend without agents and queries, which begins at this time.
    pub(crate) fn new(options: &FrontendOptions, now_ns: i64) -> FrontendState {
        let mut state = FrontendState {
            registry: AgentRegistry::default(),
            tracepoints_changed: Arc::default(),
            // Without randomness there is still the time.
            queries: InstalledQueries::new(options.machine.random().unwrap_or(now_ns as u32), 0),
            bare_replies: BareReplies::default(),
            // From the time, so that generations rise across restarts too.
            wanted: WantedSet::new(now_ns.unsigned_abs() / 1_000_000),
            unpublished: Vec::new(),
            to_publish: Publication::default(),
            batch: 1,
            stored: FrontendRecord::default(),
            clock: None,
            convergence: Convergence::default(),
            lease_clock: LeaseClock::new(options.client_grace),
            reports: ReportFigures::default(),
            grace_ns: i64::try_from(options.grace.as_nanos()).unwrap_or(i64::MAX),
            keep_frames: options.keep_frames,
            keep_finished_ns: i64::try_from(options.keep_finished.as_nanos()).unwrap_or(i64::MAX),
        };

        // Agents that connect before any query is installed are told to weave nothing.
        state.weave();
        state
    }

    /// Takes an agent in and tells it what to weave.
    pub(crate) fn connect(
        &mut self,
        incarnation: u64,
        identity: AgentIdentity,
        exports: AnnouncedExports,
        outbox: Outbox,
        now_ns: i64,
    ) -> AgentConnectionId {
        let version = self.exports_version();
        let connection = self.registry.connect(incarnation, identity, exports, outbox, now_ns);
        // The agent is told what to weave when it is stored that it is there; what its tracepoints change comes as another
        // generation.
        self.recompile_if_newer(version);
        connection
    }

    /// Has an agent told all that it should weave, since it has lost track of changes.
    pub(crate) fn send_wanted(&mut self, connection: AgentConnectionId, now_ns: i64) {
        if let Some(agent) = self.registry.heard_from(connection, now_ns) {
            agent.send_whole_set();
        }
    }

    /// Notes what an agent has woven.
    pub(crate) fn note_woven(&mut self, connection: AgentConnectionId, woven: WovenNotice, now_ns: i64) {
        if let Some(agent) = self.registry.heard_from(connection, now_ns) {
            agent.note_woven(woven.generation, now_ns);
            agent.problems = woven.problems;
            agent.set_statuses(woven.statuses);
            agent.carriers = woven.carriers;
        }
    }

    /// Adds tracepoints that became known after an agent's hello.
    pub(crate) fn add_exports(
        &mut self,
        connection: AgentConnectionId,
        exports: AnnouncedExports,
        now_ns: i64,
    ) {
        let version = self.exports_version();
        self.registry.add_exports(connection, exports, now_ns);
        self.recompile_if_newer(version);
    }

    /// Returns the version of the tracepoints that queries are compiled against.
    pub(crate) fn exports_version(&self) -> u64 {
        self.registry.exports.version()
    }

    /// Has installed queries compiled again if there are newer tracepoints than those of a version.
    fn recompile_if_newer(&self, version: u64) {
        if self.exports_version() > version {
            self.tracepoints_changed.notify_one();
        }
    }

    /// Notes what an agent has lost so far.
    pub(crate) fn note_losses(&mut self, connection: AgentConnectionId, losses: AgentLosses, now_ns: i64) {
        if let Some(agent) = self.registry.heard_from(connection, now_ns) {
            agent.losses = losses;
        }
    }

    /// Notes that the connection of an agent has ended. If the agent has not said goodbye, windows that it was to report
    /// are made, so that they show as partial although nobody may have rows for them.
    pub(crate) fn disconnect(&mut self, connection: AgentConnectionId, now_ns: i64) {
        self.registry.disconnect(connection, now_ns);

        let incarnation = connection.incarnation;
        let Some(agent) = self.registry.agent_of(connection) else { return };
        if let AgentPresence::Lost(lost_ns) = agent.presence {
            let unreported = TimeRange { start_ns: agent.watermark_ns, end_ns: lost_ns };
            for query in self.queries.iter_mut() {
                let id = query.definition.id;
                let status = agent.status_of(id);
                if status.is_none_or(|status| status.state != QueryState::RuledOut) {
                    query.note_vanished(incarnation, unreported);
                }
            }
        }
    }

    /// Notes that an agent leaves.
    pub(crate) fn note_goodbye(&mut self, connection: AgentConnectionId, now_ns: i64) {
        if let Some(agent) = self.registry.heard_from(connection, now_ns) {
            agent.presence = AgentPresence::Left;
        }
    }

    /// Takes a report when it comes for the first time, and has it acknowledged every time. If reports before it
    /// are missing, it does neither and returns [`SequenceCheck::Gap`]: the caller ends the stream, and the
    /// agent connects anew and sends again whatever was not acknowledged.
    pub(crate) fn merge_report(
        &mut self,
        connection: AgentConnectionId,
        mut report: AgentReport,
        now_ns: i64,
    ) -> SequenceCheck {
        let Some(agent) = self.registry.heard_from(connection, now_ns) else { return SequenceCheck::Gap };
        let check = agent.accept(report.sequence);
        self.reports.note(check, &report);
        if check == SequenceCheck::Gap {
            return check;
        }

        // Sent when the merge is durable, since the agent forgets what is acknowledged. A duplicate is acknowledged too:
        // it was sent again because its acknowledgement was lost.
        agent.acknowledge_when_durable();
        if check != SequenceCheck::Next {
            return check;
        }

        let bounds = PlacementBounds::new(agent.identity.clock, agent.identity.lease_ns, now_ns);
        let misplaced = if bounds.allow(report.window) {
            bounds.correct(&mut report);
            agent.note_report(&report);
            self.merge_parts(connection.incarnation, bounds, report)
        } else {
            self.refuse_report(&report)
        };
        if let Some(agent) = self.registry.agent_of(connection) {
            agent.misplaced_rows = agent.misplaced_rows.saturating_add(misplaced);
        }
        check
    }

    /// Merges a report. Returns how many of its rows are lost because they are about a time that cannot be.
    fn merge_parts(&mut self, incarnation: u64, bounds: PlacementBounds, report: AgentReport) -> u64 {
        let mut misplaced = 0_u64;
        for mut part in report.parts {
            match self.correct_part(bounds, report.window, &mut part) {
                Some(rows) => misplaced = misplaced.saturating_add(rows),
                None => self.merge_part(incarnation, report.window, &mut part),
            }
        }

        self.find_unreturned(&report.bare, report.window);
        misplaced
    }

    /// Merges one query's part of a report, and charges the query with what it cost.
    fn merge_part(&mut self, incarnation: u64, window: TimeRange, part: &mut DecodedQueryReport) {
        // Agents may still report queries that are gone, or those of another frontend.
        let Some(query) = self.queries.of_id_mut(part.query) else { return };

        query.merge_report(incarnation, window, part);
        query.match_left(&part.left, &self.bare_replies, window);
    }

    /// Finds calls whose replies left their servers with tuples of a query and came to their callers without.
    fn find_unreturned(&mut self, bare: &[(u64, String)], window: TimeRange) {
        for (tag, peer) in bare {
            if self.bare_replies.add(*tag, peer) {
                for query in self.queries.iter_mut() {
                    query.match_bare(*tag, peer, window);
                }
            }
        }
    }

    /// Takes what a compilation rests on.
    pub(crate) fn compile_snapshot(&self) -> CompileSnapshot {
        CompileSnapshot {
            catalog: self.registry.exports.catalog().clone(),
            exports_version: self.exports_version(),
            next_id: self.queries.next_id(),
        }
    }

    /// Whether the catalogue is still the one that a compilation rested on.
    pub(crate) fn is_current(&self, snapshot: &CompileSnapshot) -> bool {
        Arc::ptr_eq(self.registry.exports.catalog(), &snapshot.catalog)
    }

    /// Checks whether a query can be installed under a name; see [`InstalledQueries::check_installable`].
    pub(crate) fn check_installable(&mut self, name: &str) -> Result<(), InstallRefusal> {
        self.queries.check_installable(name)
    }

    /// Checks whether there is room for the advice of a query among that of all others.
    pub(crate) fn check_room(&self, compiled: &CompiledQuery) -> Result<(), InstallRefusal> {
        match self.wanted.has_room(compiled.id, compiled.wire_bytes) {
            true => Ok(()),
            false => Err(InstallRefusal::AdviceTooLarge(compiled.wire_bytes)),
        }
    }

    /// Installs a compiled query under the next number.
    pub(crate) fn install(&mut self, name: &str, compiled: CompiledQuery, now_ns: i64) -> InstallOutcome {
        let id = self.queries.next_id();
        let compiled = compiled.with_id(id);
        let output = &compiled.program.output;
        let installation = InstallOutcome {
            number: id.number,
            warnings: compiled.program.warnings.clone(),
            columns: output.columns.iter().map(|column| ResultColumn::declared(column, output)).collect(),
            agents_expected: self.count_exporters(&compiled.program.tracepoints),
        };

        // Compiled against tracepoints that have changed meanwhile: the task does it again.
        self.recompile_if_newer(compiled.exports_version);
        let query = InstalledQuery::new(name.to_owned(), compiled, self.generation() + 1, now_ns);
        self.take_up(query);
        self.weave();
        installation
    }

    /// Adds a query, and its name to the catalogue.
    pub(crate) fn take_up(&mut self, query: InstalledQuery) {
        let definition = &query.definition;
        if query.is_active() && !definition.name.is_empty() {
            self.registry.exports.name_query(&definition.name, &definition.program.text);
        }
        self.queries.insert(query);
    }

    /// Returns the number of connected agents that export one of the tracepoints.
    fn count_exporters(&self, tracepoints: &[String]) -> usize {
        self.registry.connected().filter(|agent| agent.exports_any(tracepoints)).count()
    }

    /// Uninstalls a query. Returns whether there is one of that number.
    pub(crate) fn uninstall(&mut self, number: u32, now_ns: i64) -> bool {
        self.end(number, QueryEnd::Uninstalled, now_ns)
    }

    /// Uninstalls a query for a reason. Returns whether there is one of that number.
    pub(crate) fn end(&mut self, number: u32, end: QueryEnd, now_ns: i64) -> bool {
        let generation = self.generation() + 1;
        let Some(query) = self.queries.get_mut(number) else { return false };

        if query.is_active() {
            query.remove(generation, end, now_ns);
            if !query.definition.name.is_empty() {
                self.registry.exports.unname_query(&query.definition.name);
            }
            self.forget_unused_tracepoints();
            self.weave();
        }
        true
    }

    /// Forgets tracepoints that no agent exports, unless an installed query uses them.
    fn forget_unused_tracepoints(&mut self) {
        if self.registry.exports.has_unused() {
            let used: BTreeSet<&str> = self
                .queries
                .active()
                .flat_map(|query| &query.definition.program.tracepoints)
                .map(String::as_str)
                .collect();
            self.registry.exports.forget_unused(|name| used.contains(name));
        }
    }

    /// Returns the query of a number, active or finished, or `None` if there is none or it is forgotten.
    pub(crate) fn query(&self, number: u32) -> Option<&InstalledQuery> {
        self.queries.get(number)
    }

    /// Returns the query of a number for a change to it, active or finished; `None` as [`FrontendState::query`].
    pub(crate) fn query_mut(&mut self, number: u32) -> Option<&mut InstalledQuery> {
        self.queries.get_mut(number)
    }

    /// Returns the queries that are to be woven.
    pub(crate) fn active(&self) -> impl Iterator<Item = &InstalledQuery> {
        self.queries.active()
    }

    /// Makes all frames that are due now and shows them, as a frontend that stores nothing.
    #[cfg(test)]
    pub(crate) fn tick(&mut self, now_ns: i64) {
        self.advance(now_ns);
        self.publish();
    }

    /// Returns the generation that is to be woven.
    pub(crate) fn generation(&self) -> u64 {
        self.wanted.generation()
    }

    /// Whether an agent that has woven a generation has woven all that it should. Not while queries are
    /// compiled again: tracepoints that an agent brings may lead to other advice.
    pub(crate) fn has_converged(&self, woven: u64) -> bool {
        woven >= self.generation()
            && !self.queries.iter().any(|query| query.is_outdated(self.exports_version()))
    }

    /// Merges what was reported, makes all frames that are due now, and removes queries whose time is over. Returns what
    /// has changed since this was last called. Once that is durable, [`FrontendState::publish`] is to be called.
    pub(crate) fn advance(&mut self, now_ns: i64) -> StateChanges {
        // Before frames are made, so that a query ends at the first tick after its time.
        let expired = self.queries.iter().filter(|query| query.is_expired(now_ns));
        let expired: Vec<u32> = expired.map(|query| query.definition.id.number).collect();
        for number in expired {
            self.end(number, QueryEnd::Expired, now_ns);
        }

        self.announce_convergence(now_ns);
        self.queries.forget_finished(self.keep_finished_ns, now_ns);
        self.registry.forget_gone(now_ns);

        let mut changes = StateChanges::default();
        let now = self.query_tick(now_ns);
        for query in self.queries.iter_mut() {
            query.tick(&self.registry, now, &mut changes);
        }
        self.registry.collect_changes(self.generation(), &mut changes);
        if !self.registry.forgotten().is_empty() {
            self.registry.clear_forgotten();
            self.forget_unused_tracepoints();
        }
        self.collect_changes(&mut changes);
        changes
    }

    /// Returns what a query's tick needs to know.
    pub(crate) fn query_tick(&self, now_ns: i64) -> QueryTick {
        QueryTick { now_ns, batch: self.batch, grace_ns: self.grace_ns, keep_frames: self.keep_frames }
    }

    /// Tells all agents when a generation has become woven everywhere.
    fn announce_convergence(&mut self, now_ns: i64) {
        let woven_by_all = self.registry.woven_by_all(now_ns.saturating_sub(NOTICE_NS));
        if let Some(generation) = self.convergence.observe(woven_by_all, now_ns) {
            // Agents that connect later learn it together with the advice.
            self.wanted.set_woven_everywhere(generation);
        }
    }

    /// Returns what is notified when installed queries are to be compiled again.
    pub(crate) fn tracepoints_changed(&self) -> Arc<Notify> {
        self.tracepoints_changed.clone()
    }

    /// Names the spans that carry a request in all processes, and tells all agents. Returns those named before.
    pub(crate) fn set_carriers(&mut self, carriers: Vec<CarrierGlob>) -> Vec<CarrierGlob> {
        let before = self.wanted.set_carriers(carriers.clone());
        if before != carriers {
            self.weave();
        }
        before
    }

    /// Returns the spans that carry a request in all processes.
    pub(crate) fn carriers(&self) -> &[CarrierGlob] {
        self.wanted.carriers()
    }

    /// Begins a generation with the advice of all active queries. Agents are told when it is durable.
    pub(crate) fn weave(&mut self) {
        let change = self.wanted.update(self.queries.active().map(|query| WantedQuery {
            id: query.definition.id,
            since: query.definition.advice_generation,
            advice: &query.definition.advice,
            settings: &query.definition.program.settings,
        }));
        self.unpublished.push(WantedUpdate { generation: self.wanted.generation(), change });
    }
}
