//! One agent: who it is, what it exports, what it has woven, and how far it has reported.
//!
//! ```text
//!              told              woven                          reported up to the watermark
//! connected ────┴──────────────────┴────────── reports ─────────────────────┴──▶ goodbye
//!                                                    ╲ stream breaks           nothing is missing
//!                                                     ▼
//!                                                   lost: what it gathers until its lease ends is missing,
//!                                                         until it is back and has reported it
//! ```
//!
//! Reports carry a sequence per incarnation, from 1 without gaps. [`AgentSession::accept`] merges each
//! once: what is resent after a reconnect is acknowledged again and ignored, and a gap is refused.

use crate::agent_identity::AgentIdentity;
use crate::agent_report::{AgentLosses, AgentReport};
use crate::known_exports::AgentExports;
use crate::query_term::QueryTerm;
use crate::report_placement::PlacingClock;
use crate::store::{AgentProgress, AgentRecord};
use crate::time_range::TimeRange;
use crate::wanted_advice::{AgentCommand, WantedForm, WantedNews};
use crate::wanted_set::WantedSet;
use pivot_advice::{
    NamedCarrier, PeerReplies, QueryId, QueryState, QueryStatus, WeaveProblem, WithheldMessages,
};
use tokio::sync::mpsc;
use tonic::Status;

/// The sending end of an agent's stream; an error ends the stream.
pub(crate) type Outbox = mpsc::Sender<Result<AgentCommand, Status>>;

/// The most entries kept of an agent's list of hosts that it sent messages without baggage to.
const MAX_WITHHELD: usize = 100;

/// Whether one agent is connected, has left, or was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AgentPresence {
    /// The agent's stream is open.
    Connected,
    /// The agent said goodbye, after it had reported everything.
    Left,
    /// The stream broke, at this time in nanoseconds since the epoch.
    Lost(i64),
}

/// The verdict on a report, by its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SequenceCheck {
    /// The next one: the report is merged.
    Next,
    /// Merged before: the report is acknowledged again.
    Duplicate,
    /// Reports before it are missing: the report is refused.
    Gap,
}

/// Whether an agent has reported a window of a query, or is expected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowPart {
    /// The agent has reported all that it had.
    Reported,
    /// Its report is still to come.
    Awaited,
    /// The agent was lost, and may have rows that nobody has seen.
    Lost,
    /// The agent does not take part.
    None,
}

/// One process, while it is connected and for a while after.
#[derive(Debug)]
pub(crate) struct AgentSession {
    pub(crate) identity: AgentIdentity,
    /// The tracepoints that it has announced.
    pub(crate) exports: AgentExports,
    pub(crate) presence: AgentPresence,
    /// When its stream was closed; `None` while it is open.
    pub(crate) gone_ns: Option<i64>,
    pub(crate) connected_ns: i64,
    /// When its latest message came.
    pub(crate) last_heard_ns: i64,
    /// The generation of advice that it has woven, as it has said on this connection.
    pub(crate) woven: u64,
    /// The newest generation that it has ever woven.
    newest_woven: u64,
    /// The newest generation that it was ever sent.
    told: u64,
    /// When it first had woven any; 0 before.
    pub(crate) woven_ns: i64,
    /// Advice that it could not weave.
    pub(crate) problems: Vec<WeaveProblem>,
    /// How each query fares in it, by query.
    statuses: Vec<QueryStatus>,
    /// The spans that carry a request there because the frontend has named them.
    pub(crate) carriers: Vec<NamedCarrier>,
    /// Messages that it sent without baggage.
    pub(crate) withheld: Vec<WithheldMessages>,
    /// How the replies of each peer came.
    pub(crate) peers: Vec<PeerReplies>,
    /// Losses that belong to no query.
    pub(crate) losses: AgentLosses,
    /// Rows that it has reported for times that cannot be.
    pub(crate) misplaced_rows: u64,
    /// The end of the windows whose rows it has all reported.
    pub(crate) watermark_ns: i64,
    /// When its newest report was cut, by its own clock.
    pub(crate) cut_ns: i64,
    /// The highest sequence that was merged.
    highest: Option<u64>,
    /// The highest sequence that is durable, or will be with the commit that runs.
    committed: Option<u64>,
    /// Whether it waits for an acknowledgement.
    is_unacknowledged: bool,
    /// Whether its description has changed since the last commit began.
    is_changed: bool,
    /// The progress that was stored last.
    stored: AgentProgress,
    /// Whether its description has been stored since it connected, or is being stored.
    is_recorded: bool,
    /// The generation that it was sent on this connection; `None` before the first.
    sent: Option<u64>,
    /// The generation woven everywhere that it was told on this connection.
    told_everywhere: u64,
    /// Whether a new report has come on this connection.
    resumed: bool,
    /// The number of its newest connection.
    connection: u64,
    /// Where messages to it go; `None` if its stream is closed.
    outbox: Option<Outbox>,
}

/// A connection that an agent has opened.
#[derive(Debug)]
pub(crate) struct NewConnection {
    /// The number of the connection, unique in this frontend.
    pub(crate) number: u64,
    pub(crate) identity: AgentIdentity,
    pub(crate) exports: AgentExports,
    pub(crate) outbox: Outbox,
}

impl AgentSession {
    /// Makes an agent that connects for the first time, or comes back after it was forgotten but for the highest sequence
    /// that was merged.
    pub(crate) fn new(connection: NewConnection, highest: Option<u64>, now_ns: i64) -> AgentSession {
        let NewConnection { number, identity, exports, outbox } = connection;
        let progress = AgentProgress { highest, ..progress_at(now_ns) };

        AgentSession {
            connection: number,
            outbox: Some(outbox),
            presence: AgentPresence::Connected,
            gone_ns: None,
            is_changed: true,
            ..AgentSession::without_connection(identity, exports, progress)
        }
    }

    /// Makes an agent as it was stored. One that has not said goodbye counts as lost from now on: it has its time to come
    /// back.
    pub(crate) fn restore(
        record: AgentRecord,
        progress: AgentProgress,
        exports: AgentExports,
        now_ns: i64,
    ) -> AgentSession {
        let AgentRecord { process, host, pid, build, labels, lease_ns, .. } = record;
        let wanted_form = WantedForm::default();
        let clock = PlacingClock::default();
        let identity = AgentIdentity { process, host, pid, build, labels, wanted_form, lease_ns, clock };
        AgentSession {
            presence: if progress.has_left { AgentPresence::Left } else { AgentPresence::Lost(now_ns) },
            gone_ns: Some(now_ns),
            ..AgentSession::without_connection(identity, exports, progress)
        }
    }

    fn without_connection(
        identity: AgentIdentity,
        exports: AgentExports,
        progress: AgentProgress,
    ) -> AgentSession {
        AgentSession {
            identity,
            exports,
            presence: AgentPresence::Left,
            gone_ns: None,
            connected_ns: progress.connected_ns,
            last_heard_ns: progress.last_heard_ns,
            woven: 0,
            newest_woven: progress.woven,
            told: progress.told,
            woven_ns: progress.woven_ns,
            problems: Vec::new(),
            statuses: Vec::new(),
            carriers: Vec::new(),
            withheld: Vec::new(),
            peers: Vec::new(),
            losses: AgentLosses::default(),
            misplaced_rows: 0,
            watermark_ns: progress.watermark_ns,
            cut_ns: progress.cut_ns,
            highest: progress.highest,
            committed: progress.highest,
            is_unacknowledged: false,
            is_changed: false,
            stored: progress,
            is_recorded: false,
            sent: None,
            told_everywhere: 0,
            resumed: false,
            connection: 0,
            outbox: None,
        }
    }

    /// Takes a new connection of the same agent. What was merged of it outlives its connections: its sequence, its
    /// watermark, and since when it takes part.
    pub(crate) fn reconnect(&mut self, connection: NewConnection, now_ns: i64) {
        let NewConnection { number, identity, exports, outbox } = connection;
        (self.connection, self.identity, self.exports) = (number, identity, exports);
        self.outbox = Some(outbox);
        (self.presence, self.gone_ns) = (AgentPresence::Connected, None);
        (self.connected_ns, self.last_heard_ns) = (now_ns, now_ns);
        (self.woven, self.resumed, self.is_changed) = (0, false, true);
        (self.is_recorded, self.sent, self.told_everywhere) = (false, None, 0);

        self.problems.clear();
        self.statuses.clear();
        self.carriers.clear();
        self.withheld.clear();
        self.peers.clear();
    }

    /// Notes that its stream is closed.
    pub(crate) fn disconnect(&mut self, now_ns: i64) {
        self.outbox = None;
        self.exports.discount();
        self.gone_ns.get_or_insert(now_ns);
        if self.is_connected() {
            self.presence = AgentPresence::Lost(now_ns);
        }
    }

    /// Closes its stream.
    pub(crate) fn close(&mut self) {
        self.outbox = None;
    }

    /// Returns the number of its newest connection.
    pub(crate) fn connection(&self) -> u64 {
        self.connection
    }

    /// Returns the newest generation that it has ever woven.
    pub(crate) fn newest_woven(&self) -> u64 {
        self.newest_woven
    }

    /// Returns the highest sequence that was merged.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Whether its stream is open.
    pub(crate) fn is_connected(&self) -> bool {
        self.presence == AgentPresence::Connected
    }

    /// Returns the name under which people know the process.
    pub(crate) fn name(&self) -> String {
        self.identity.name()
    }

    /// Notes that its description has changed.
    pub(crate) fn mark_changed(&mut self) {
        self.is_changed = true;
    }

    /// Notes what it has woven.
    pub(crate) fn note_woven(&mut self, generation: u64, now_ns: i64) {
        if self.woven_ns == 0 {
            self.woven_ns = now_ns;
        }
        self.woven = generation;
        self.newest_woven = self.newest_woven.max(generation);
    }

    /// Returns what it has to do with a window of a query. If it was lost at `waits_since_ns` or later, it may be back soon,
    /// and is still awaited.
    pub(crate) fn part_in(&self, term: QueryTerm<'_>, window: TimeRange, waits_since_ns: i64) -> WindowPart {
        // An agent that has unwoven the query has reported all that it had, whatever its watermark.
        let has_flushed = term.removed.is_some_and(|generation| self.newest_woven >= generation);
        let is_reported = has_flushed || self.watermark_ns >= window.end_ns;

        // An agent that began to weave after the window has nothing to say about it.
        let has_woven = self.newest_woven >= term.installed && self.woven_ns < window.end_ns;
        match self.presence {
            _ if is_reported && has_woven => WindowPart::Reported,
            AgentPresence::Connected if has_woven => WindowPart::Awaited,
            // When a query ends, it may be that what an agent has woven is still to be heard.
            AgentPresence::Connected if term.removed.and(self.owed_until(term, window.end_ns)).is_some() => {
                WindowPart::Awaited
            }
            AgentPresence::Lost(lost_ns) if !is_reported && self.may_have_rows(term, window) => {
                if lost_ns >= waits_since_ns { WindowPart::Awaited } else { WindowPart::Lost }
            }
            _ => WindowPart::None,
        }
    }

    /// Whether it is lost, and may have gathered rows of a query in a part of a range that it has not reported.
    pub(crate) fn may_have_rows(&self, term: QueryTerm<'_>, range: TimeRange) -> bool {
        self.unreported(term).and_then(|unreported| unreported.within(range)).is_some()
    }

    /// Returns the time in which it may have gathered rows of a query that nobody has seen: of one that is lost, from its
    /// last report until it has unwoven everything, because its lease has ended. `None` if there is none.
    pub(crate) fn unreported(&self, term: QueryTerm<'_>) -> Option<TimeRange> {
        let AgentPresence::Lost(lost_ns) = self.presence else { return None };
        let start_ns = self.owes_since(term)?;
        let unreported = TimeRange { start_ns, end_ns: lost_ns.saturating_add(self.identity.lease_ns) };
        (unreported.length_ns() > 0).then_some(unreported)
    }

    /// Returns since when it may have gathered rows of a query that nobody has seen, connected or lost; `None` if it has
    /// not, since it was not told of the query, has none of its tracepoints, or has unwoven it.
    fn owes_since(&self, term: QueryTerm<'_>) -> Option<i64> {
        let is_told = self.told >= term.installed;
        let has_flushed = term.removed.is_some_and(|generation| self.newest_woven >= generation);
        if !is_told || has_flushed || !self.exports.contains_any(term.tracepoints) {
            return None;
        }

        let status = self.status_of(term.query);
        let is_ruled_out = status.is_some_and(|status| status.state == QueryState::RuledOut);
        let since_ns = if self.watermark_ns > 0 { self.watermark_ns } else { self.connected_ns };
        (!is_ruled_out).then_some(since_ns)
    }

    /// Returns the time until an end in which it may have gathered rows of a query that nobody has seen.
    pub(crate) fn owed_until(&self, term: QueryTerm<'_>, end_ns: i64) -> Option<TimeRange> {
        if !self.is_connected() {
            return self.unreported(term);
        }
        let owed = TimeRange { start_ns: self.owes_since(term)?, end_ns };
        (owed.length_ns() > 0).then_some(owed)
    }

    /// Takes over how each query fares in it.
    pub(crate) fn set_statuses(&mut self, mut statuses: Vec<QueryStatus>) {
        statuses.sort_by_key(|status| status.query);
        self.statuses = statuses;
    }

    /// Returns how a query fares in it, or `None` if it has not said so yet.
    pub(crate) fn status_of(&self, query: QueryId) -> Option<&QueryStatus> {
        let found = self.statuses.binary_search_by_key(&query, |status| status.query).ok()?;
        self.statuses.get(found)
    }

    /// Whether it exports one of the tracepoints.
    pub(crate) fn exports_any(&self, tracepoints: &[String]) -> bool {
        self.exports.contains_any(tracepoints)
    }

    /// Sends a command. An agent that does not read loses its stream, and asks anew when it reconnects.
    fn send(&mut self, command: AgentCommand) {
        if self.outbox.as_ref().is_some_and(|outbox| outbox.try_send(Ok(command)).is_err()) {
            self.outbox = None;
        }
    }

    /// Asks for an acknowledgement of all that is merged, once it is durable.
    pub(crate) fn acknowledge_when_durable(&mut self) {
        self.is_unacknowledged = true;
    }

    /// Sends what may be sent because it rests on what is durable now: what is new of the wanted advice, or all of it to an
    /// agent that has none yet, and the acknowledgement that it waits for.
    pub(crate) fn publish(&mut self, news: &WantedNews, wanted: &mut WantedSet) {
        // That it may weave has to be known after a restart, so it is told nothing before its description is stored.
        if self.is_connected() && self.is_recorded {
            self.send_wanted(news, wanted);
        }

        if let Some(sequence) = self.committed.filter(|_| self.is_unacknowledged) {
            self.is_unacknowledged = self.committed != self.highest;
            self.send(AgentCommand::Acknowledge(sequence));
        }
    }

    fn send_wanted(&mut self, news: &WantedNews, wanted: &mut WantedSet) {
        let form = self.identity.wanted_form;
        match self.sent.filter(|_| form == WantedForm::Changes) {
            Some(sent) => {
                for update in news.updates.iter().filter(|update| update.generation > sent) {
                    self.send(AgentCommand::Change(update.change.clone()));
                }
            }

            // A set that is newer than what is durable is sent with the next commit.
            None if self.sent == Some(news.generation) || wanted.generation() != news.generation => {}
            None => self.send(wanted.whole(form)),
        }
        if self.sent.is_some() || wanted.generation() == news.generation {
            self.sent = Some(news.generation);
            self.told = self.told.max(news.generation);
        }

        if self.told_everywhere < news.woven_everywhere && self.sent.is_some() {
            self.told_everywhere = news.woven_everywhere;
            self.send(AgentCommand::WovenEverywhere(news.woven_everywhere));
        }
    }

    /// Has the whole set of wanted advice sent anew, since the agent asks for it.
    pub(crate) fn send_whole_set(&mut self) {
        self.sent = None;
    }

    /// Repeats something that it knows, so that it does not take a frontend for dead that cannot store its state.
    pub(crate) fn keep_alive(&mut self, woven_everywhere: u64) {
        self.send(AgentCommand::WovenEverywhere(woven_everywhere));
    }

    /// Returns its description if that has changed since this was last called.
    pub(crate) fn take_record(&mut self) -> Option<AgentRecord> {
        if !std::mem::take(&mut self.is_changed) {
            return None;
        }
        let AgentIdentity { process, host, pid, build, labels, lease_ns, .. } = self.identity.clone();
        let catalogue = self.exports.declared().fingerprint().to_le_bytes().to_vec();
        Some(AgentRecord { process, host, pid, build, labels, catalogue, lease_ns })
    }

    /// Returns its progress if that has changed since this was last called, to be made durable. `wanted` is the
    /// generation that it will be told then.
    pub(crate) fn take_progress(&mut self, wanted: u64) -> Option<AgentProgress> {
        let told = if self.is_connected() { self.told.max(wanted) } else { self.told };
        let progress = AgentProgress {
            highest: self.highest,
            watermark_ns: self.watermark_ns,
            cut_ns: self.cut_ns,
            woven: self.newest_woven,
            told,
            woven_ns: self.woven_ns,
            connected_ns: self.connected_ns,
            last_heard_ns: self.last_heard_ns,
            has_left: self.presence == AgentPresence::Left,
        };
        self.committed = self.highest;
        self.is_recorded = true;

        // That an agent was heard again is of no use by itself after a restart.
        let is_same = AgentProgress { last_heard_ns: self.stored.last_heard_ns, ..progress } == self.stored;
        if is_same {
            return None;
        }
        self.stored = progress;
        Some(progress)
    }

    /// Takes over what a report that is merged says of the process as a whole.
    pub(crate) fn note_report(&mut self, report: &AgentReport) {
        self.watermark_ns = self.watermark_ns.max(report.watermark_ns);
        // Of an agent that does not say it, rows are known up to the end of its window.
        let cut_ns = if report.cut_ns > 0 { report.cut_ns } else { report.window.end_ns };
        self.cut_ns = self.cut_ns.max(cut_ns);

        self.withheld = report.withheld.iter().take(MAX_WITHHELD).cloned().collect();
        self.peers = report.peers.iter().take(MAX_WITHHELD).cloned().collect();
    }

    /// Decides what becomes of a report, and remembers the sequence if the report is to be merged.
    pub(crate) fn accept(&mut self, sequence: u64) -> SequenceCheck {
        match self.highest {
            Some(highest) if sequence <= highest => SequenceCheck::Duplicate,

            // The first new report of a connection is accepted whatever its sequence: an agent sends all
            // that it still has, so those before it were acknowledged by an earlier frontend, or were
            // discarded by the agent and are counted as loss.
            Some(highest) if self.resumed && sequence > highest.saturating_add(1) => SequenceCheck::Gap,

            _ => {
                self.highest = Some(sequence);
                self.resumed = true;
                SequenceCheck::Next
            }
        }
    }
}

/// Returns the progress of an agent that has just connected for the first time.
fn progress_at(now_ns: i64) -> AgentProgress {
    AgentProgress { connected_ns: now_ns, last_heard_ns: now_ns, ..AgentProgress::default() }
}
