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
//! The budgets lie in a fixed hash table of atomic words, with linear probing, which whoever packs or sends reads
//! without a lock. While the table is written anew, a budget may be missed for a moment: the tuples are then cut at
//! the next pack, or where they leave next. Without any such query, which is the usual case, the cost is one relaxed
//! load.

use crate::baggage::Baggage;
use crate::causality::branch::Branch;
use crate::format::cut::cut_newest_of;
use crate::format::message_budget::{HARD_LIMIT, budget_bytes};
use crate::losses;
use pivot_advice::QueryId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// The places of the table: twice as many as a frontend has queries.
const PLACES: usize = 2048;

/// How many bits of an entry are the budget. It is capped at [`HARD_LIMIT`], which needs 13.
const BUDGET_BITS: u32 = 16;

/// Whether any query has a budget.
static ARE_SET: AtomicBool = AtomicBool::new(false);

/// An entry is the upper 48 bits of a query's hash and its budget in bytes; 0 is a free place.
static ENTRIES: [AtomicU64; PLACES] = [const { AtomicU64::new(0) }; PLACES];

/// Held by whoever writes the table.
static WRITING: Mutex<()> = Mutex::new(());

/// Replaces the byte budgets of queries in this process. A query that is not named has no budget of its own.
pub fn set_query_budgets(budgets: &BTreeMap<QueryId, usize>) {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    ARE_SET.store(false, Relaxed);
    ENTRIES.iter().for_each(|entry| entry.store(0, Relaxed));

    // Half of the places stay free, so that a search for a query that has no budget ends soon.
    for (query, bytes) in budgets.iter().take(PLACES / 2) {
        let hash = hash_of(*query);
        let free = probe(hash).find(|place| ENTRIES[*place].load(Relaxed) == 0);
        let budget = (*bytes).min(HARD_LIMIT) as u64;
        free.iter().for_each(|place| ENTRIES[*place].store(hash << BUDGET_BITS | budget, Relaxed));
    }
    ARE_SET.store(!budgets.is_empty(), Relaxed);
}

/// Returns whether any query has a byte budget of its own in this process.
#[inline(always)]
pub(crate) fn are_set() -> bool {
    ARE_SET.load(Relaxed)
}

/// Returns the byte budget of a query, or `None` if it has none of its own.
fn query_budget(query: QueryId) -> Option<usize> {
    let hash = hash_of(query);
    let entries = probe(hash).map(|place| ENTRIES[place].load(Relaxed)).take_while(|entry| *entry != 0);
    let mut own = entries.filter(|entry| entry >> BUDGET_BITS == hash);
    own.next().map(|entry| (entry & ((1 << BUDGET_BITS) - 1)) as usize)
}

/// Returns 48 bits by which queries differ: multiplying by an odd constant spreads neighbouring numbers.
fn hash_of(query: QueryId) -> u64 {
    query.to_u64().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> BUDGET_BITS
}

/// Returns the places where an entry may be, in the order in which they are tried.
fn probe(hash: u64) -> impl Iterator<Item = usize> {
    (0..PLACES).map(move |step| (hash as usize + step) % PLACES)
}

/// Returns how many bytes of this branch may travel with one message: the budget of the process, or that of a
/// query with tuples in it if that is larger.
pub(crate) fn travel_budget_bytes(branch: &Branch) -> usize {
    let process = budget_bytes();
    if !are_set() {
        return process;
    }

    let granted = branch.bags().filter_map(|(key, _)| query_budget(key.query)).max();
    granted.map_or(process, |granted| process.max(granted))
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
        let Some(budget) = query_budget(query) else { return };

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
