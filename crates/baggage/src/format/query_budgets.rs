//! Byte budgets of single queries: what `WITHIN bytes` grants a query in this process.
//!
//! A process knows the budgets of the queries that are woven in it. It keeps the bags of such a query within its
//! budget whenever it packs into one of them, and whenever baggage leaves the process; the rule by which groups are
//! cut is the one of [`cut`](crate::format::cut). A process that does not know a budget lets the bags pass as they
//! are, so a query's tuples may exceed its budget only until they reach a process where the query is woven.
//!
//! A budget above that of the whole process, [`budget_bytes`], also makes room for it: baggage with bags of that
//! query may travel in as many bytes as the largest budget among its queries, at most [`HARD_LIMIT`].
//!
//! Without any such query, which is the usual case, the cost is one relaxed load where baggage is packed or leaves.

use crate::baggage::Baggage;
use crate::causality::branch::Branch;
use crate::causality::budget::{HARD_LIMIT, budget_bytes};
use crate::format::cut::cut_newest_of;
use crate::losses;
use pivot_advice::QueryId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Whether any query has a budget, so that everybody else need not take the lock.
static ARE_SET: AtomicBool = AtomicBool::new(false);

/// The budget in bytes of each query that has one.
static BUDGETS: RwLock<BTreeMap<QueryId, usize>> = RwLock::new(BTreeMap::new());

/// Replaces the byte budgets of queries in this process. A query that is not named has no budget of its own.
pub fn set_query_budgets(budgets: BTreeMap<QueryId, usize>) {
    let are_set = !budgets.is_empty();
    *BUDGETS.write().unwrap_or_else(PoisonError::into_inner) = budgets;
    ARE_SET.store(are_set, Relaxed);
}

/// Returns whether any query has a byte budget of its own in this process.
#[inline(always)]
pub(crate) fn are_set() -> bool {
    ARE_SET.load(Relaxed)
}

fn budgets() -> RwLockReadGuard<'static, BTreeMap<QueryId, usize>> {
    BUDGETS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Returns how many bytes of this branch may travel with one message: the budget of the process, or that of a
/// query with tuples in it if that is larger.
pub(crate) fn travel_budget_bytes(branch: &Branch) -> usize {
    let process = budget_bytes();
    if !are_set() {
        return process;
    }

    let budgets = budgets();
    let granted = branch.bags().filter_map(|(key, _)| budgets.get(&key.query)).max();
    granted.map_or(process, |granted| process.max((*granted).min(HARD_LIMIT)))
}

impl Baggage {
    /// Cuts the bags of a query that exceeds its byte budget. To be called when something was packed for it.
    #[inline(always)]
    pub(crate) fn cut_to_query_budget(&mut self, query: QueryId) {
        if are_set() {
            self.branch_mut().cut_to_query_budget(query);
        }
    }
}

impl Branch {
    /// Cuts the bags of every query that exceeds its byte budget.
    #[cold]
    pub(crate) fn cut_to_query_budgets(&mut self) {
        let present: BTreeSet<QueryId> = self.bags().map(|(key, _)| key.query).collect();
        for query in present {
            self.cut_to_query_budget(query);
        }
    }

    /// Cuts the bags of one query until they are within its byte budget, or have nothing left that can be cut.
    #[cold]
    pub(crate) fn cut_to_query_budget(&mut self, query: QueryId) {
        let Some(budget) = budgets().get(&query).copied() else { return };

        // A cut leaves a mark behind, which takes bytes too, so the bags are measured again after each.
        loop {
            let excess = self.query_bytes(query).saturating_sub(budget);
            let left_behind =
                if excess > 0 { cut_newest_of(self, excess, |bag| bag.query == query) } else { 0 };
            if left_behind == 0 {
                return;
            }
            // What arrived has more than what goes on.
            self.arrived = None;
            losses::OVERFLOWED.add(left_behind);
        }
    }

    /// Returns how many bytes the bags of a query take in this branch, encoded.
    pub(crate) fn query_bytes(&self, query: QueryId) -> usize {
        let bags = self.bags().filter(|(key, _)| key.query == query);
        bags.map(|(key, bag)| bag.encoded(*key).len()).sum()
    }
}
