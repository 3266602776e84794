//! The budget of each query in this process: as the query asks with `WITHIN`, up to the process's ceiling.
//!
//! | limit  | of                                            | enforced by                                        |
//! |--------|-----------------------------------------------|----------------------------------------------------|
//! | bytes  | its bags in the baggage of one request        | `pivot_baggage`, where this process packs or sends |
//! | groups | its groups between two reports                | the tables of threads and the query's report       |
//! | cpu    | the fraction of one core that its advice uses | the `Governor` of `throttle.rs`                    |
//!
//! Limits are looked up when a table is made or a second ends, never at an event.

use crate::limits::MAX_GROUPS;
use pivot_advice::{QueryBudget, QueryId};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock};

/// Fractions of one core that queries may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuBudget {
    /// Each query.
    pub query: f64,
    /// All together.
    pub all: f64,
}

impl Default for CpuBudget {
    fn default() -> CpuBudget {
        CpuBudget { query: 0.005, all: 0.02 }
    }
}

static BUDGET: Mutex<Option<CpuBudget>> = Mutex::new(None);

/// Sets what queries may use of the processor. Unless set, it is half a percent of a core for each and two percent for
/// all together.
pub fn set_cpu_budget(budget: CpuBudget) {
    *BUDGET.lock().unwrap_or_else(PoisonError::into_inner) = Some(budget);
}

pub(crate) fn cpu_budget() -> CpuBudget {
    BUDGET.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_default()
}

/// The budgets that queries ask for, and the most that they are granted.
#[derive(Debug)]
struct AskedBudgets {
    asked: BTreeMap<QueryId, QueryBudget>,
    ceiling: QueryBudget,
}

static BUDGETS: RwLock<AskedBudgets> = RwLock::new(AskedBudgets {
    asked: BTreeMap::new(),
    ceiling: QueryBudget { bytes: None, groups: None, cpu: None },
});

/// Sets the most that any query is granted in this process. Where it is silent, a query is granted what the process
/// allows queries that ask for nothing, or less if it asks for less.
pub fn set_budget_ceiling(ceiling: QueryBudget) {
    BUDGETS.write().unwrap_or_else(PoisonError::into_inner).ceiling = ceiling;
    grant_bytes();
}

/// Replaces what the queries of this process ask for. To be called before their advice is woven.
pub fn set_query_budgets(asked: &BTreeMap<QueryId, QueryBudget>) {
    BUDGETS.write().unwrap_or_else(PoisonError::into_inner).asked.clone_from(asked);
    grant_bytes();
}

/// Returns what a query is granted of what it asked for; nothing is limited where it did not ask.
pub(crate) fn granted(query: QueryId) -> QueryBudget {
    let budgets = BUDGETS.read().unwrap_or_else(PoisonError::into_inner);
    let asked = budgets.asked.get(&query);
    asked.map_or_else(QueryBudget::default, |asked| asked.granted(&budgets.ceiling, &process_default()))
}

/// Returns how many groups a query may have between two reports.
pub(crate) fn max_groups(query: QueryId) -> usize {
    let groups = granted(query).groups.and_then(|groups| usize::try_from(groups).ok());
    groups.unwrap_or(MAX_GROUPS)
}

/// Returns the limits of queries that ask for nothing.
fn process_default() -> QueryBudget {
    QueryBudget {
        bytes: Some(pivot_baggage::budget_bytes() as u64),
        groups: Some(MAX_GROUPS as u64),
        cpu: Some(cpu_budget().query),
    }
}

/// Tells baggage to keep the bags of queries within the bytes that they are granted.
fn grant_bytes() {
    let queries: Vec<QueryId> = {
        let budgets = BUDGETS.read().unwrap_or_else(PoisonError::into_inner);
        budgets.asked.keys().copied().collect()
    };

    let bytes = queries.into_iter().filter_map(|query| {
        let bytes = granted(query).bytes?;
        Some((query, usize::try_from(bytes).unwrap_or(usize::MAX)))
    });
    pivot_baggage::set_query_budgets(&bytes.collect());
}
