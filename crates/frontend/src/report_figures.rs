//! How many reports came, and what became of them.

use crate::agent_report::AgentReport;
use crate::agent_session::SequenceCheck;

/// The reports of all agents since the frontend began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReportFigures {
    pub(crate) merged: u64,
    /// Reports that were merged before, and came again since their acknowledgement was lost.
    pub(crate) duplicate: u64,
    /// Reports that were refused, since those before them were missing.
    pub(crate) refused: u64,
    /// Rows of merged reports.
    pub(crate) rows: u64,
}

impl ReportFigures {
    /// Counts a report.
    pub(crate) fn note(&mut self, check: SequenceCheck, report: &AgentReport) {
        match check {
            SequenceCheck::Next => {
                self.merged += 1;
                let rows = report.parts.iter().map(|part| part.emitted);
                self.rows = rows.fold(self.rows, u64::saturating_add);
            }
            SequenceCheck::Duplicate => self.duplicate += 1,
            SequenceCheck::Gap => self.refused += 1,
        }
    }
}
