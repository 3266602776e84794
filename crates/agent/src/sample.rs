//! Which events are looked at, and which are timed.
//!
//! A throttled query looks at the requests whose hash lies below a threshold, so that every process
//! looks at the same ones and joins stay whole. Timing reads the clock at one event in many, and more
//! often where events take long: a sampled event stands for all since the one before it.

use pivot_baggage::Baggage;
use std::cell::Cell;
use std::time::Instant;

/// The most events that one timed event stands for.
const MOST: u32 = 64;

/// An event that takes so long is timed every time: reading the clock does not matter then.
const LONG_NS: u64 = 20_000;

/// How much longer than usual an event may take before it stands only for itself: its thread was
/// probably not running.
const UNUSUAL: u64 = 16;

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(0) };
    static WEIGHT: Cell<u32> = const { Cell::new(1) };
    static USUAL_NS: Cell<u64> = const { Cell::new(0) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// A number without a pattern, private to the thread.
fn random() -> u64 {
    let seed = || RANDOM.with(|at| std::ptr::from_ref(at).addr() as u64 | 1);
    let mut x = Some(RANDOM.get()).filter(|x| *x != 0).unwrap_or_else(seed);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    RANDOM.set(x);
    x.wrapping_mul(0x2545_F491_4F6C_DD1D)
}

/// Measures an event.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    last: Instant,
    weight: u32,
    total_ns: u64,
}

impl Stopwatch {
    /// Whether this event is to be measured: one in many is. Counts it otherwise.
    #[inline(always)]
    pub(crate) fn takes() -> bool {
        match LEFT.get() {
            0 => true,
            left => {
                LEFT.set(left - 1);
                false
            }
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn start() -> Stopwatch {
        Stopwatch { last: Instant::now(), weight: WEIGHT.get(), total_ns: 0 }
    }

    /// Time since the last lap, for all the events that this one stands for.
    #[cold]
    #[inline(never)]
    pub(crate) fn lap_ns(&mut self) -> u64 {
        let now = Instant::now();
        let ns = u64::try_from((now - self.last).as_nanos()).unwrap_or(u64::MAX);
        self.last = now;
        self.total_ns += ns;
        stand_for(ns, self.weight, USUAL_NS.get())
    }
}

/// What an event that took `ns` adds to the estimate.
fn stand_for(ns: u64, weight: u32, usual_ns: u64) -> u64 {
    let usual = if usual_ns == 0 { ns } else { ns.min(usual_ns.saturating_mul(UNUSUAL)) };
    usual.saturating_mul(weight.into()).saturating_add(ns - usual)
}

impl Drop for Stopwatch {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        let usual_ns = USUAL_NS.get();
        USUAL_NS.set(if usual_ns == 0 { self.total_ns.max(1) } else { drift(usual_ns, self.total_ns) });
        let most = gap(self.total_ns);
        // Not every n-th: a program has a rhythm of its own.
        let weight = most / 2 + 1 + (random() % u64::from(most.max(1))) as u32;
        WEIGHT.set(weight);
        LEFT.set(weight - 1);
    }
}

fn drift(usual_ns: u64, ns: u64) -> u64 {
    (usual_ns * 7 + ns.min(usual_ns.saturating_mul(4))).div_ceil(8).max(1)
}

/// About how many events the next one stands for.
fn gap(ns: u64) -> u32 {
    let fitting = (u64::from(MOST) * 1_000 / ns.max(1_000)) as u32;
    if ns >= LONG_NS { 0 } else { fitting.clamp(1, MOST) }
}

/// Whether a query that looks at this fraction of requests, of `u32::MAX`, looks at this event. What
/// has to do with the request has [`keeps`] to ask besides.
#[inline(always)]
pub(crate) fn looks_at(keep: u32, needs_baggage: bool) -> bool {
    keep == u32::MAX || decide(keep, needs_baggage)
}

fn decide(keep: u32, needs_baggage: bool) -> bool {
    pivot_baggage::with_current(|baggage| match baggage {
        Some(baggage) => {
            if needs_baggage {
                // Those who unpack what this query packs have to choose the same requests.
                baggage.keep_at_most(f64::from(keep) / f64::from(u32::MAX));
            }
            let request = baggage.request_or_begin();
            request_hash(request) <= keep && keeps(baggage)
        }
        None => (random() >> 32) as u32 <= keep,
    })
}

/// Whether sampling anywhere on the request's way has kept it.
#[inline]
pub(crate) fn keeps(baggage: &Baggage) -> bool {
    let keep = baggage.keep();
    keep >= 1.0
        || baggage
            .request()
            .is_none_or(|request| f64::from(request_hash(request)) <= keep * f64::from(u32::MAX))
}

/// The number by which a request is chosen, spread evenly over all numbers.
pub fn request_hash(request: u128) -> u32 {
    let folded = (request as u64) ^ ((request >> 64) as u64);
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timed_event_stands_for_those_before_it_but_not_for_an_accident() {
        assert_eq!(stand_for(100, 64, 100), 6_400);
        assert_eq!(stand_for(4_000_000, 64, 100), 1_600 * 64 + (4_000_000 - 1_600));
        assert_eq!(stand_for(5_000, 1, 0), 5_000);
    }

    #[test]
    fn long_events_are_timed_every_time_and_short_ones_rarely() {
        assert_eq!((gap(100), gap(1_000), gap(10_000), gap(1_000_000)), (64, 64, 6, 0));
    }

    #[test]
    fn requests_are_chosen_evenly() {
        let chosen = (0..10_000_u128).filter(|i| request_hash(i * 0x1_0000_0001) <= u32::MAX / 10).count();
        assert!((800..1_200).contains(&chosen), "{chosen}");
    }

    #[test]
    fn every_process_chooses_the_same_requests() {
        let fewer = |request: u128| request_hash(request) <= u32::MAX / 100;
        let more = |request: u128| request_hash(request) <= u32::MAX / 10;
        assert!((0..100_000).filter(|i| fewer(*i)).all(more));
    }
}
