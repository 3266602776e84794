//! Which events are looked at, and which are timed.
//!
//! A throttled query looks at one request in a whole number, which is its weight: those whose hash lies
//! below a threshold, so that every process looks at the same ones and joins stay whole. What it finds in
//! them counts so many times. Timing reads the clock at one event in many, and more
//! often where events take long: a sampled event stands for all since the one before it.

use pivot_advice::SAMPLE_STRATA;
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

    /// Ends the measurement of an event. Tells how many are left out until the next one is measured.
    #[cold]
    #[inline(never)]
    pub(crate) fn stop(self) -> u32 {
        let usual_ns = USUAL_NS.get();
        let usual_ns = if usual_ns == 0 { self.total_ns.max(1) } else { drift(usual_ns, self.total_ns) };
        USUAL_NS.set(usual_ns);
        // A short event among long ones does not say that the next is short.
        let most = gap(self.total_ns.max(usual_ns));
        // Not every n-th: a program has a rhythm of its own.
        let weight = most / 2 + 1 + (random() % u64::from(most.max(1))) as u32;
        WEIGHT.set(weight);
        weight - 1
    }
}

/// What an event that took `ns` adds to the estimate.
fn stand_for(ns: u64, weight: u32, usual_ns: u64) -> u64 {
    let usual = if usual_ns == 0 { ns } else { ns.min(usual_ns.saturating_mul(UNUSUAL)) };
    usual.saturating_mul(weight.into()).saturating_add(ns - usual)
}

fn drift(usual_ns: u64, ns: u64) -> u64 {
    (usual_ns * 7 + ns.min(usual_ns.saturating_mul(4))).div_ceil(8).max(1)
}

/// About how many events the next one stands for.
fn gap(ns: u64) -> u32 {
    let fitting = (u64::from(MOST) * 1_000 / ns.max(1_000)) as u32;
    if ns >= LONG_NS { 0 } else { fitting.clamp(1, MOST) }
}

/// The least fraction of requests that a rate in baggage may say: one in so many.
const MOST_WEIGHT: f64 = 65_536.0;

/// That an event is looked at, and what it then stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleDecision {
    /// For how many requests its request stands, itself included: one in so many is looked at.
    pub weight: u32,
    /// Which part of all requests it belongs to, below [`SAMPLE_STRATA`]. How much the parts differ tells how far
    /// a sum over a sample may be off.
    pub stratum: u8,
}

impl SampleDecision {
    /// Every request is looked at.
    pub const UNSAMPLED: SampleDecision = SampleDecision { weight: 1, stratum: 0 };

    /// Whether it stands for itself alone.
    #[inline(always)]
    pub fn is_unsampled(self) -> bool {
        self.weight == 1
    }

    fn of(weight: u32, hash: u32, stratum: u8) -> Option<SampleDecision> {
        (hash <= u32::MAX / weight.max(1)).then_some(SampleDecision { weight, stratum })
    }
}

/// Whether sampling anywhere on a request's way has kept every request.
#[inline]
pub(crate) fn keeps_all(baggage: &Baggage) -> bool {
    let keep = baggage.sampling_rate();
    keep >= 1.0 || weight_of(keep) == Some(1)
}

/// How a query that looks at one request in `weight` looks at this event, if it does.
#[inline(always)]
pub(crate) fn decide(weight: u32, needs_baggage: bool) -> Option<SampleDecision> {
    if weight == 1 && !needs_baggage {
        Some(SampleDecision::UNSAMPLED)
    } else {
        decide_by_request(weight, needs_baggage)
    }
}

/// The smallest rate on the request's way decides: a row is there if every event was looked at that it
/// is made of, so it stands for as many requests as that rate says.
fn decide_by_request(own: u32, needs_baggage: bool) -> Option<SampleDecision> {
    if own == 1 && !pivot_baggage::is_carrying() {
        return Some(SampleDecision::UNSAMPLED);
    }
    pivot_baggage::with_current(|baggage| {
        let Some(baggage) = baggage else { return alone(own) };
        let mut weight = own;
        if needs_baggage {
            // Those who unpack what this query packs have to choose the same requests.
            if own > 1 {
                baggage.lower_sampling_rate(1.0 / f64::from(own));
            }
            weight = own.max(weight_of(baggage.sampling_rate())?);
        }
        if weight == 1 {
            return Some(SampleDecision::UNSAMPLED);
        }
        let request = baggage.request_or_begin();
        SampleDecision::of(weight, request_hash(request), stratum_of(request))
    })
}

/// Outside a request every event decides for itself.
fn alone(weight: u32) -> Option<SampleDecision> {
    if weight == 1 {
        return Some(SampleDecision::UNSAMPLED);
    }
    let random = random();
    SampleDecision::of(weight, (random >> 32) as u32, random as u8 % SAMPLE_STRATA)
}

/// The number of requests of which this fraction is one, rounded up; none if nearly none is kept.
fn weight_of(keep: f64) -> Option<u32> {
    // Of a third of all requests each stands for three, whatever the last digit of a third is.
    let weight = (1.0 / keep - 1e-6).ceil().max(1.0);
    (weight <= MOST_WEIGHT).then_some(weight as u32)
}

/// Both halves of a request's id.
fn folded(request: u128) -> u64 {
    (request as u64) ^ ((request >> 64) as u64)
}

/// The number by which a request is chosen, spread evenly over all numbers.
pub fn request_hash(request: u128) -> u32 {
    (folded(request).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

/// The part of all requests that a request belongs to, whether it was chosen or not.
fn stratum_of(request: u128) -> u8 {
    (folded(request).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 60) as u8 % SAMPLE_STRATA
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

    #[test]
    fn parts_are_even_among_those_that_are_chosen() {
        let mut parts = [0_u32; SAMPLE_STRATA as usize];
        let mut id = 1_u128;
        for _ in 0..200_000 {
            id = id.wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645).wrapping_add(1);
            if request_hash(id) <= u32::MAX / 20 {
                parts[usize::from(stratum_of(id))] += 1;
            }
        }
        assert!(parts.iter().all(|n| (500..750).contains(n)), "{parts:?}");
    }

    #[test]
    fn a_rate_in_baggage_becomes_the_weight_that_it_was_made_of() {
        assert!((1..=256).all(|weight| weight_of(1.0 / f64::from(weight)) == Some(weight)));
        assert_eq!((weight_of(0.7), weight_of(0.0), weight_of(1e-9)), (Some(2), None, None));
    }
}
