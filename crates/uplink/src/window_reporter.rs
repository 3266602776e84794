//! Cuts what the agent has gathered into reports, and has processor budgets enforced.
//!
//! ```text
//! tables of all threads ──drain──▶ one part for each query ──▶ Reporter (numbered, kept until acknowledged)
//!                                        └─ cost ─▶ Governor of the agent, about once a second
//! ```
//!
//! Reports are cut at every window boundary, whether there is a connection or not, and in between when
//! something was unwoven or a flush was asked for. Windows are placed by the frontend's clock.

use crate::agent_messages;
use crate::agent_runtime::AgentRuntime;
use crate::frontend_clock::{FrontendClock, PlacingChange};
use pivot_advice::{QueryCost, QueryId, WovenTime};
use pivot_agent::{QueryReport, QueryReports, Reporter};
use pivot_protocol::{Clocks, wire};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The length of a window, if the frontend does not say.
const DEFAULT_WINDOW_NS: i64 = 1_000_000_000;

/// The least time over which costs are gathered before they are held against budgets: shorter times would
/// make one expensive event look like an excess.
const GOVERN_INTERVAL: Duration = Duration::from_millis(900);

/// The reports of this process and the costs not yet held against budgets.
pub(crate) struct WindowReporter<C> {
    /// The clocks of this machine.
    clocks: C,
    /// Reports that the frontend has not acknowledged; it outlives connections.
    pub(crate) reporter: Reporter,
    /// Costs of queries since `governed_at`.
    costs: BTreeMap<QueryId, QueryCost>,
    /// When costs were last held against budgets.
    governed_at: Instant,
    /// The frontend's time.
    clock: FrontendClock,
    /// When the newest report was cut, by the steady clock.
    cut_at_ns: i64,
    /// Since when each query was woven that reports have said is.
    told_woven: BTreeMap<QueryId, ToldWoven>,
}

/// Since when a query is woven.
#[derive(Debug, Clone, Copy)]
struct ToldWoven {
    since: std::time::Instant,
    /// The frontend's time then, as reports have said it.
    since_ns: i64,
}

impl<C: Clocks> WindowReporter<C> {
    /// Starts the first window now.
    pub(crate) fn new(clocks: C) -> WindowReporter<C> {
        let steady_ns = clocks.steady_ns();
        let clock = FrontendClock::new(steady_ns, clocks.wall_ns());
        WindowReporter {
            clocks,
            reporter: Reporter::new(DEFAULT_WINDOW_NS, clock.now_ns(steady_ns)),
            costs: BTreeMap::new(),
            governed_at: Instant::now(),
            clock,
            cut_at_ns: steady_ns,
            told_woven: BTreeMap::new(),
        }
    }

    /// Returns the frontend's time.
    fn now_ns(&self) -> i64 {
        self.clock.now_ns(self.clocks.steady_ns())
    }

    /// Whether it is known where windows are: only then may reports be sent.
    pub(crate) fn is_placed(&self) -> bool {
        self.clock.is_known()
    }

    /// Returns the question with which a connection begins.
    pub(crate) fn first_question(&mut self) -> wire::ClockQuestion {
        self.clock.restart_questions(self.clocks.steady_ns());
        self.question()
    }

    /// Returns a question about the frontend's time if one is due.
    pub(crate) fn due_question(&mut self) -> Option<wire::ClockQuestion> {
        self.clock.asks(self.clocks.steady_ns(), self.clocks.wall_ns()).then(|| self.question())
    }

    fn question(&self) -> wire::ClockQuestion {
        let sent_ns = self.clocks.steady_ns();
        wire::ClockQuestion { sent_ns, uncertainty_ns: self.clock.uncertainty_ns(sent_ns) }
    }

    /// Takes the answer to a question in.
    pub(crate) fn hear_time(&mut self, answer: wire::ClockAnswer) {
        let exchange = agent_messages::clock_exchange(answer, self.clocks.steady_ns());
        let change = self.clock.measure(exchange);
        self.note_placing(change);
    }

    /// Places windows by the clock of the machine, because the frontend does not tell the time.
    pub(crate) fn do_without_answer(&mut self) {
        let change = self.clock.follow_machine(self.clocks.steady_ns(), self.clocks.wall_ns());
        self.note_placing(change);
    }

    fn note_placing(&mut self, change: PlacingChange) {
        if change == PlacingChange::Begun {
            self.reporter.place_unseen(self.now_ns());
        }
    }

    /// Sets the length of windows for a change of what is woven: of this and the present one both are multiples, so that
    /// what is unwoven and what is woven find each its own windows.
    pub(crate) fn set_window_between(&mut self, window_ns: i64) {
        let between_ns = common_divisor(self.reporter.window_ns(), usable_window(window_ns));
        self.reporter.set_window(between_ns, self.now_ns());
    }

    /// Sets the length of windows; 0 or less means a second.
    pub(crate) fn set_window(&mut self, window_ns: i64) {
        self.reporter.set_window(usable_window(window_ns), self.now_ns());
    }

    /// Returns when the current window ends.
    pub(crate) fn window_end(&self) -> Instant {
        let left = self.reporter.boundary_ns().saturating_sub(self.now_ns());
        Instant::now() + Duration::from_nanos(u64::try_from(left).unwrap_or(0))
    }

    /// Takes what all threads have gathered and makes a report of it.
    pub(crate) fn cut(&mut self, agent: &mut impl AgentRuntime) {
        let mut drained = agent.drain();

        // A suspended query misses events that nobody counts, so the time is reported instead.
        let cut_at_ns = self.clocks.steady_ns();
        let since_cut_ns = cut_at_ns - std::mem::replace(&mut self.cut_at_ns, cut_at_ns);
        for query in agent.suspended_queries() {
            let part = drained.entry(query).or_insert_with(|| QueryReport::of_query(query));
            part.loss.away_ns += u64::try_from(since_cut_ns).unwrap_or(0);
        }

        for (query, part) in &drained {
            self.costs.entry(*query).or_default().merge(&part.cost);
        }
        let now_ns = self.clock.now_ns(cut_at_ns);
        self.tell_woven(agent, &mut drained, now_ns);
        self.reporter.cut(now_ns, drained);
    }

    /// Says since when the reported queries are woven, and of those that were woven or unwoven since the last report
    /// also if they have nothing else to report.
    fn tell_woven(&mut self, agent: &impl AgentRuntime, drained: &mut QueryReports, now_ns: i64) {
        let woven: BTreeMap<QueryId, ToldWoven> = agent
            .woven_since()
            .into_iter()
            .map(|(query, since)| (query, self.woven_since(query, since, now_ns)))
            .collect();
        for (query, ToldWoven { since_ns, .. }) in &woven {
            let is_told = self.told_woven.contains_key(query);
            if is_told && !drained.contains_key(query) {
                continue;
            }
            let part = drained.entry(*query).or_insert_with(|| QueryReport::of_query(*query));
            part.woven = Some(WovenTime { since_ns: *since_ns, until_ns: None });
        }

        // What is unwoven is followed by a cut at once, so that this is the time.
        for (query, told) in std::mem::replace(&mut self.told_woven, woven.clone()) {
            if !woven.contains_key(&query) {
                let part = drained.entry(query).or_insert_with(|| QueryReport::of_query(query));
                part.woven = Some(WovenTime { since_ns: told.since_ns, until_ns: Some(now_ns) });
            }
        }
    }

    /// Returns since when a query is woven: as it was told, or by the clock as it is now.
    fn woven_since(&self, query: QueryId, since: std::time::Instant, now_ns: i64) -> ToldWoven {
        match self.told_woven.get(&query) {
            Some(told) if told.since == since => *told,
            _ => {
                let ago_ns =
                    i64::try_from((Instant::now().into_std() - since).as_nanos()).unwrap_or(i64::MAX);
                ToldWoven { since, since_ns: now_ns.saturating_sub(ago_ns) }
            }
        }
    }

    /// Holds the costs against the budgets if enough time has passed; returns whether it did.
    pub(crate) fn govern(&mut self, agent: &mut impl AgentRuntime) -> bool {
        let elapsed = self.governed_at.elapsed();
        if elapsed < GOVERN_INTERVAL {
            return false;
        }
        self.governed_at = Instant::now();
        agent.govern(&std::mem::take(&mut self.costs), whole_ns(elapsed));
        true
    }
}

fn whole_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn usable_window(window_ns: i64) -> i64 {
    if window_ns > 0 { window_ns } else { DEFAULT_WINDOW_NS }
}

/// Returns the longest window of which both are multiples.
fn common_divisor(a_ns: i64, b_ns: i64) -> i64 {
    if b_ns <= 0 { a_ns } else { common_divisor(b_ns, a_ns % b_ns) }
}
