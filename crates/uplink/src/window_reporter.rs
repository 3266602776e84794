//! Cuts what the agent has gathered into reports, and has processor budgets enforced.
//!
//! ```text
//! tables of all threads ──drain──▶ one part for each query ──▶ Reporter (numbered, kept until acknowledged)
//!                                        └─ cost ─▶ Governor of the agent, about once a second
//! ```
//!
//! Reports are cut at every window boundary, whether there is a connection or not, and in between when
//! something was unwoven or a flush was asked for.

use pivot_advice::{QueryCost, QueryId, WovenTime};
use pivot_agent::{QueryReport, QueryReports, Reporter};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// The length of a window, if the frontend does not say.
const DEFAULT_WINDOW_NS: i64 = 1_000_000_000;

/// The least time over which costs are gathered before they are held against budgets: shorter times would
/// make one expensive event look like an excess.
const GOVERN_INTERVAL: Duration = Duration::from_millis(900);

/// The reports of this process and the costs not yet held against budgets.
pub(crate) struct WindowReporter {
    /// Reports that the frontend has not acknowledged; it outlives connections.
    pub(crate) reporter: Reporter,
    /// Costs of queries since `governed_at`.
    costs: BTreeMap<QueryId, QueryCost>,
    /// When costs were last held against budgets.
    governed_at: Instant,
    /// When the newest report was cut.
    cut_at: Instant,
    /// Since when each query was woven that reports have said is.
    told_woven: BTreeMap<QueryId, i64>,
}

impl WindowReporter {
    /// Starts the first window now.
    pub(crate) fn new() -> WindowReporter {
        WindowReporter {
            reporter: Reporter::new(DEFAULT_WINDOW_NS, now_ns()),
            costs: BTreeMap::new(),
            governed_at: Instant::now(),
            cut_at: Instant::now(),
            told_woven: BTreeMap::new(),
        }
    }

    /// Sets the length of windows; 0 or less means a second.
    pub(crate) fn set_window(&mut self, window_ns: i64) {
        let window_ns = if window_ns > 0 { window_ns } else { DEFAULT_WINDOW_NS };
        self.reporter.set_window(window_ns, now_ns());
    }

    /// Returns when the current window ends.
    pub(crate) fn window_end(&self) -> Instant {
        let left = self.reporter.boundary_ns().saturating_sub(now_ns());
        Instant::now() + Duration::from_nanos(u64::try_from(left).unwrap_or(0))
    }

    /// Takes what all threads have gathered and makes a report of it.
    pub(crate) fn cut(&mut self) {
        let mut drained = pivot_agent::drain();

        // A suspended query misses events that nobody counts, so the time is reported instead.
        let since_cut = std::mem::replace(&mut self.cut_at, Instant::now()).elapsed();
        for query in pivot_agent::suspended_queries() {
            let part = drained.entry(query).or_insert_with(|| QueryReport::of_query(query));
            part.loss.away_ns += whole_ns(since_cut);
        }

        for (query, part) in &drained {
            self.costs.entry(*query).or_default().merge(&part.cost);
        }
        let now_ns = now_ns();
        self.tell_woven(&mut drained, now_ns);
        self.reporter.cut(now_ns, drained);
    }

    /// Says since when the reported queries are woven, and of those that were woven or unwoven since the last report
    /// also if they have nothing else to report.
    fn tell_woven(&mut self, drained: &mut QueryReports, now_ns: i64) {
        let woven = pivot_agent::woven_since();
        for (query, since_ns) in &woven {
            let is_told = self.told_woven.contains_key(query);
            if is_told && !drained.contains_key(query) {
                continue;
            }
            let part = drained.entry(*query).or_insert_with(|| QueryReport::of_query(*query));
            part.woven = Some(WovenTime { since_ns: *since_ns, until_ns: None });
        }

        // What is unwoven is followed by a cut at once, so that this is the time.
        for (query, since_ns) in std::mem::replace(&mut self.told_woven, woven.clone()) {
            if !woven.contains_key(&query) {
                let part = drained.entry(query).or_insert_with(|| QueryReport::of_query(query));
                part.woven = Some(WovenTime { since_ns, until_ns: Some(now_ns) });
            }
        }
    }

    /// Holds the costs against the budgets if enough time has passed; returns whether it did.
    pub(crate) fn govern(&mut self) -> bool {
        let elapsed = self.governed_at.elapsed();
        if elapsed < GOVERN_INTERVAL {
            return false;
        }
        self.governed_at = Instant::now();
        pivot_agent::govern(&std::mem::take(&mut self.costs), whole_ns(elapsed));
        true
    }
}

fn whole_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
