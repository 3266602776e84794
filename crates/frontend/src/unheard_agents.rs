//! What a query lacks because agents were not heard: windows that nobody may have rows for are made all the same, so that
//! the result says so.

use crate::agent_registry::AgentRegistry;
use crate::installed_query::InstalledQuery;
use crate::time_range::TimeRange;

impl InstalledQuery {
    /// Notes that an agent has vanished that answered the query and has not reported a time. The first window of it and
    /// the last are shown as such, also if nobody has rows for them.
    pub(crate) fn note_vanished(&mut self, incarnation: u64, unreported: TimeRange) {
        let is_reported = unreported.start_ns >= unreported.end_ns;
        if self.finished_ns.is_some() || is_reported || !self.windows.covered.is_open(incarnation) {
            return;
        }

        self.open_ends(unreported);
    }

    /// Makes the first window of a time that some agent has not reported, and the last.
    fn open_ends(&mut self, unreported: TimeRange) {
        let TimeRange { start_ns, end_ns } = unreported;
        for at_ns in [start_ns, end_ns.saturating_sub(1)] {
            let instant = TimeRange { start_ns: at_ns, end_ns: at_ns.saturating_add(1) };
            self.windows.open(instant.aligned_to(self.every_ns()));
        }
    }

    /// Makes windows of the time that agents have not reported when the query ends and they are not waited for any longer,
    /// so that the result says what it lacks although nobody may have rows for them.
    pub(crate) fn open_owed(&mut self, registry: &AgentRegistry, now_ns: i64) {
        let (life, term) = (self.life(now_ns), self.definition.term(self.removed));
        let owed = registry.iter().filter_map(|(_, agent)| agent.owed_until(term, life.end_ns)?.within(life));
        for unreported in owed.collect::<Vec<TimeRange>>() {
            self.open_ends(unreported);
        }
    }

    /// Notes that agents are forgotten: what they may have gathered will not come any more.
    pub(crate) fn note_forgotten(&mut self, registry: &AgentRegistry, now_ns: i64) {
        let (life, term) = (self.life(now_ns), self.definition.term(self.removed));
        let forgotten = registry.forgotten().values();
        let unreported: Vec<TimeRange> =
            forgotten.filter_map(|agent| agent.unreported(term)?.within(life)).collect();

        for range in unreported {
            self.misses_rows = true;
            self.windows.miss(range);
        }
    }
}
