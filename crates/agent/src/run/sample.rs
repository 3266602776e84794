//! Which requests a throttled query samples, and for how many each of them stands.
//!
//! A query that samples one request in `weight` takes those whose id hashes below a threshold. Every process takes
//! the same ones, and one that samples fewer takes a subset of them, so that joins across processes stay whole: this is
//! consistent hash-based sampling, as in Dapper. What is found in a sampled request counts `weight` times (a
//! Horvitz-Thompson estimate). Requests also fall into 16 strata by a second hash; how much the strata differ tells the
//! frontend how far off the estimate may be.

use crate::run::random::random;
use pivot_advice::SAMPLE_STRATA;
use pivot_baggage::Baggage;
use std::cell::Cell;

/// The largest weight that a rate in the baggage may mean; of a request with a smaller rate nearly nothing is kept.
const MAX_WEIGHT: f64 = 65_536.0;

/// How many requests a sampled event represents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleDecision {
    /// The number of requests that the event's request stands for, itself included.
    pub weight: u32,
    /// The stratum of all requests that it belongs to, below [`SAMPLE_STRATA`].
    pub stratum: u8,
}

impl SampleDecision {
    /// The decision where every request is kept.
    pub const UNSAMPLED: SampleDecision = SampleDecision { weight: 1, stratum: 0 };

    /// Returns whether the event stands for itself alone.
    #[inline(always)]
    pub fn is_unsampled(self) -> bool {
        self.weight == 1
    }

    /// Returns the decision for a request of this hash, or `None` if it is not in the sample.
    fn for_hash(weight: u32, hash: u32, stratum: u8) -> Option<SampleDecision> {
        (hash <= u32::MAX / weight.max(1)).then_some(SampleDecision { weight, stratum })
    }
}

/// Returns whether every process on the request's way so far keeps all requests.
#[inline]
pub(crate) fn keeps_all(baggage: &Baggage) -> bool {
    let rate = baggage.sampling_rate();
    rate >= 1.0 || weight_of(rate) == Some(1)
}

/// Whether an event in this request needs neither a decision nor a remark: all requests are kept, and this one has
/// not been answered.
#[inline(always)]
pub(crate) fn is_ordinary(baggage: &Baggage) -> bool {
    // First what is true of most requests, in one look.
    baggage.is_plain() || is_ordinary_though_not_plain(baggage)
}

#[inline(never)]
fn is_ordinary_though_not_plain(baggage: &Baggage) -> bool {
    keeps_all(baggage) && !baggage.is_answered()
}

/// Decides about an event for a query that samples one request in `weight`. Returns `None` if it is not in the sample.
#[inline(always)]
pub(crate) fn decide(weight: u32, needs_baggage: bool) -> Option<SampleDecision> {
    if weight == 1 && !needs_baggage {
        Some(SampleDecision::UNSAMPLED)
    } else {
        decide_by_request(weight, needs_baggage)
    }
}

/// Decides by the smallest rate on the request's way: a joined row is there only if every event that it is made of was
/// sampled, so it stands for as many requests as that rate says.
fn decide_by_request(own: u32, needs_baggage: bool) -> Option<SampleDecision> {
    if own == 1 && !pivot_baggage::is_carrying() {
        return Some(SampleDecision::UNSAMPLED);
    }

    pivot_baggage::with_current(|baggage| {
        let Some(baggage) = baggage else { return decide_alone(own) };

        let mut weight = own;
        if needs_baggage {
            // Whoever unpacks what this query packs has to sample the same requests.
            if own > 1 {
                baggage.lower_sampling_rate(1.0 / f64::from(own));
            }
            weight = own.max(weight_of(baggage.sampling_rate())?);
        }
        if weight == 1 {
            return Some(SampleDecision::UNSAMPLED);
        }

        let request = baggage.request_or_begin();
        SampleDecision::for_hash(weight, request_hash(request), stratum_of(request))
    })
}

thread_local! {
    /// The random number that decides about the running event outside any request, if it was drawn before.
    static DRAW: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs with a random number that decides outside any request, the same for all advice.
pub(crate) fn with_draw<R>(draw: u64, run: impl FnOnce() -> R) -> R {
    struct ClearOnDrop;
    impl Drop for ClearOnDrop {
        fn drop(&mut self) {
            DRAW.set(None);
        }
    }

    DRAW.set(Some(draw));
    let _clear = ClearOnDrop;
    run()
}

/// Decides for an event outside any request, independently of all others.
fn decide_alone(weight: u32) -> Option<SampleDecision> {
    if weight == 1 {
        return Some(SampleDecision::UNSAMPLED);
    }
    let random = DRAW.get().unwrap_or_else(random);
    SampleDecision::for_hash(weight, (random >> 32) as u32, random as u8 % SAMPLE_STRATA)
}

/// Returns the weight for a sampling rate, rounded up, or `None` if nearly no request is kept.
fn weight_of(rate: f64) -> Option<u32> {
    // Of a third of all requests each stands for three, whatever the last digit of a third is.
    let weight = (1.0 / rate - 1e-6).ceil().max(1.0);
    (weight <= MAX_WEIGHT).then_some(weight as u32)
}

/// Combines both halves of a request's id.
fn folded(request: u128) -> u64 {
    (request as u64) ^ ((request >> 64) as u64)
}

/// Returns the number by which a request is sampled, spread evenly over all numbers.
pub fn request_hash(request: u128) -> u32 {
    (folded(request).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

/// Returns the stratum of a request, which is independent of whether it is sampled.
fn stratum_of(request: u128) -> u8 {
    (folded(request).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 60) as u8 % SAMPLE_STRATA
}

#[cfg(test)]
mod tests {
    use super::*;

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
