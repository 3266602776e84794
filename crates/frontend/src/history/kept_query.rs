//! A query of which history has windows, as it is read: with its name, its text, and how results are made of groups.

use super::error::HistoryError;
use crate::store::HistoryQueryRecord;
use pivot_merge::MergedGroups;
use pivot_query::OutputPlan;
use std::sync::Arc;

/// A query of which history may have windows.
#[derive(Debug, Clone)]
pub(crate) struct KeptQuery {
    pub(crate) number: u32,
    /// May be empty; a later query may have the same.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) installed_ns: i64,
    /// The length of its windows.
    pub(crate) every_ns: i64,
    pub(crate) output: Arc<OutputPlan>,
    /// How long its windows are kept, if it says so itself.
    pub(crate) keep_ns: Option<i64>,
}

impl KeptQuery {
    /// Makes a query as it was stored.
    pub(crate) fn new(number: u32, record: HistoryQueryRecord) -> Result<KeptQuery, HistoryError> {
        let HistoryQueryRecord { name, text, installed_ns, every_ns, output, keep_ns } = record;
        let plan = output.unwrap_or_default().plan();
        let plan = plan.map_err(|error| HistoryError::damaged(format!("query {number}: {error}")))?;
        Ok(KeptQuery { number, name, text, installed_ns, every_ns, output: Arc::new(plan), keep_ns })
    }

    /// Returns an empty table of its groups.
    pub(crate) fn shape(&self) -> MergedGroups {
        MergedGroups::from(&self.output.table())
    }
}
