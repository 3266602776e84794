//! A store that was restored from a backup: its frontend is another one than the one that made the backup.
//!
//! What agents have reported to the first since then is not in the store, and they will not send it again. What they still
//! send is about queries of the first, whose numbers may be those of others here. So the frontend takes a new id and
//! generations above all earlier ones, weaves its queries anew, and says of their results that they are partial.

use crate::machine::Machine;
use crate::store::{FrontendRecord, StoredState};
use crate::time_range::TimeRange;
use pivot_advice::WovenTime;
use std::collections::BTreeMap;

/// Nanoseconds in a millisecond, of which generations are counted.
const MILLISECOND_NS: u64 = 1_000_000;

/// Makes the stored state of a backup that of another frontend, at this time. Returns the time of which its queries miss
/// what was reported, or `None` if it is no backup.
pub(crate) fn become_another(
    machine: &dyn Machine,
    stored: &mut StoredState,
    now_ns: i64,
) -> Option<TimeRange> {
    if !stored.frontend.is_backup {
        return None;
    }
    let since_ns = stored.frontend.clock.as_ref().map_or(0, |clock| clock.time_ns);
    // The first frontend began with the time as well, and makes far less than one generation a millisecond.
    let now_generation = now_ns.unsigned_abs() / MILLISECOND_NS;
    let generation = now_generation.max(stored.frontend.generation) + 1;
    stored.frontend = FrontendRecord {
        frontend: another_id(machine, stored.frontend.frontend, now_ns),
        generation,
        woven_everywhere: 0,
        ..stored.frontend.clone()
    };

    let cut_ns = stored.agents.iter().map(|agent| (agent.incarnation, agent.progress.cut_ns)).collect();
    for query in stored.queries.values_mut() {
        query.woven = ended(&query.woven, &cut_ns);
    }
    Some(TimeRange { start_ns: since_ns, end_ns: now_ns.max(since_ns) })
}

/// Returns when a query was woven for the first frontend: until the last report of each agent that is in the backup. An agent
/// that weaves it again does so as another one, since it was not woven in between.
fn ended(woven: &BTreeMap<u64, WovenTime>, cut_ns: &BTreeMap<u64, i64>) -> BTreeMap<u64, WovenTime> {
    let ended = woven.iter().map(|(incarnation, woven)| {
        let cut_ns = cut_ns.get(incarnation).copied().unwrap_or(woven.since_ns);
        let until_ns = woven.until_ns.unwrap_or(cut_ns).max(woven.since_ns);
        (!incarnation, WovenTime { until_ns: Some(until_ns), ..*woven })
    });
    ended.collect()
}

fn another_id(machine: &dyn Machine, id: u32, now_ns: i64) -> u32 {
    // Without randomness there is still the time.
    let random = machine.random().unwrap_or(now_ns as u32);
    if random == id { random.wrapping_add(1) } else { random }
}
