//! What becomes of the clocks of agents, and of reports about times that cannot be.

use crate::agent_registry::AgentConnectionId;
use crate::agent_report::{AgentReport, DecodedQueryReport};
use crate::report_placement::{PlacementBounds, PlacingClock};
use crate::state::FrontendState;
use crate::time_range::TimeRange;

impl FrontendState {
    /// Notes what an agent places windows by.
    pub(crate) fn note_clock(&mut self, connection: AgentConnectionId, clock: PlacingClock, now_ns: i64) {
        if let Some(agent) = self.registry.heard_from(connection, now_ns) {
            agent.identity.clock = clock;
        }
    }

    /// Counts the rows of a report as lost, since it is about a time that cannot be. Returns how many.
    pub(crate) fn refuse_report(&mut self, report: &AgentReport) -> u64 {
        let refused = report.parts.iter().map(|part| self.refuse_part(part));
        refused.fold(0, u64::saturating_add)
    }

    /// Takes back times that cannot be in a part of a report. If that is all of it, counts its rows as lost and returns
    /// how many; otherwise it may be merged.
    pub(crate) fn correct_part(
        &mut self,
        bounds: PlacementBounds,
        window: TimeRange,
        part: &mut DecodedQueryReport,
    ) -> Option<u64> {
        let installed_ns = self.queries.of_id_mut(part.query)?.definition.installed_ns;
        if !bounds.allow_of_query(window, installed_ns) {
            return Some(self.refuse_part(part));
        }

        bounds.correct_part(part, installed_ns);
        None
    }

    fn refuse_part(&mut self, part: &DecodedQueryReport) -> u64 {
        // Agents may still report queries that are gone.
        self.queries.of_id_mut(part.query).map_or(0, |query| query.lose_part(part))
    }
}
