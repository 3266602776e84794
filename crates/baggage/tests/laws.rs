//! What baggage promises, checked on random requests against a model that knows everything.
//!
//! A request is a list of steps over its live branches: they pack, fork, join, travel, call, and get lost.
//! The model gives each branch the set of contributions that happened before it, by the plain definition: a
//! fork copies the set, and a join unites two. After each step the branches that it touched have to show
//! exactly that set, or say that they are partial and show a part of it. `PIVOT_LAWS_CASES` sets the number
//! of requests for each law.

#![allow(clippy::unwrap_used, missing_docs)]

mod kinds;

use kinds::{FIRST, Kind, RECENT, sum_of};
use pivot_advice::stable_hash;
use pivot_advice::{TemporalFilter, Value};
use pivot_baggage::{Bag, Baggage, Hlc, JoinOutcome, MAX_BYTES, MergeOutcome, Share, Stamp, UNCHANGED_REPLY};
use proptest::prelude::*;

/// An hour of microseconds, as a clock that travels counts it.
const HOUR: u64 = 3_600_000_000 << 12;

/// A set of contributions, by their numbers.
type Set = u128;

fn has(set: Set, id: usize) -> bool {
    set >> id & 1 == 1
}

/// One tuple that was packed.
#[derive(Debug)]
struct Contribution {
    kind: Kind,
    /// The contributions that happened before it.
    before: Set,
    /// What orders it among others, or `None` if a bag of the first tuples refused it.
    rank: Option<(Stamp, usize)>,
}

/// A live branch, and what the model knows of it.
#[derive(Debug)]
struct Live {
    baggage: Baggage,
    /// The contributions that happened before.
    before: Set,
    /// Detached branches and their descendants are of another family, and never join their origin.
    family: usize,
    /// Whether a join was refused in its past.
    spoilt: bool,
}

/// One step of a request. Numbers that are too great count modulo what there is.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// What happens; see [`Request::step`].
    what: u8,
    /// The branch to which it happens.
    which: usize,
    /// Another branch, or what else the step needs to know.
    other: usize,
}

/// What may go wrong in a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Weather {
    /// Nothing but hops.
    Fair,
    /// Replies get lost, messages are detached, and some headers are too small.
    Lossy,
    /// Messages are also delivered twice, at any time and to any branch.
    Doubling,
}

/// A request while it goes on.
struct Request {
    /// The share of the first branch.
    root: Share,
    live: Vec<Live>,
    /// All contributions of the request.
    packed: Vec<Contribution>,
    /// How many families there are.
    families: usize,
    weather: Weather,
}

/// The baggage of a request that has just begun, and owns the leftmost share of a depth. It arrives as bytes,
/// because no other request begins with less than the whole.
fn begun(depth: u8) -> Baggage {
    let version = [1 << 3, 1];
    let request = [&[2 << 3 | 2, 16][..], &[7; 16]].concat();
    let start_bytes = depth.div_ceil(8);
    let share = [&[5 << 3 | 2, 1 + start_bytes, depth][..], &vec![0; usize::from(start_bytes)]].concat();
    Baggage::decode(&[&version[..], &request, &share].concat()).unwrap()
}

impl Request {
    /// A request whose first branch can be divided so many times in a row, 64 at most. Beyond that branches
    /// are anonymous.
    fn begin(weather: Weather, levels: u8) -> Request {
        let baggage = begun(64 - levels);
        let root = baggage.share();
        let live = vec![Live { baggage, before: 0, family: 0, spoilt: false }];
        Request { root, live, packed: Vec::new(), families: 1, weather }
    }

    /// Takes one step. The ranges are how often a step is taken, of a hundred.
    fn step(&mut self, step: Step) {
        let which = step.which % self.live.len();
        match step.what {
            0..=29 => self.pack(which, Kind::ALL[step.other % 4], 1 + step.other / 4 % 3),
            30..=54 => self.fork(which),
            55..=84 => self.join(which, step.other),
            85..=91 => self.hop(which, step.other as u64 % 3),
            92..=93 if self.weather != Weather::Fair => self.lose(which),
            94 if self.weather != Weather::Fair => self.detach(which),
            98 => self.call(which, step.other),
            95..=97 if self.weather == Weather::Doubling => self.double(which),
            _ => self.lose_attempt(which),
        }
    }

    /// An event that packs some tuples.
    fn pack(&mut self, which: usize, kind: Kind, tuples: usize) {
        let first = self.packed.len();
        let ids = first..(first + tuples).min(Set::BITS as usize);

        let branch = &mut self.live[which];
        let stamp = match kind {
            Kind::First | Kind::MostRecent if ids.len() == 1 => {
                let row = [Value::U64(first as u64)];
                branch.baggage.pack_temporal(kind.key(), kind.keep(), &[], &row, &[])
            }
            _ => branch.baggage.pack(kind.key(), kind.keep(), ids.clone().map(|id| kind.rows(id))),
        };

        // The tuples of one event happened at once: none before another.
        let before = branch.before;
        for (position, id) in ids.enumerate() {
            let rank = stamp.map(|stamp| (stamp, position));
            self.packed.push(Contribution { kind, before, rank });
            branch.before |= 1 << id;
        }
        self.check(which);
    }

    /// A branch forks, and both sides see what it saw.
    fn fork(&mut self, which: usize) {
        let branch = &mut self.live[which];
        let baggage = branch.baggage.fork();
        let Live { before, family, spoilt, .. } = *branch;
        self.live.push(Live { baggage, before, family, spoilt });
        self.check(which);
        self.check(self.live.len() - 1);
    }

    /// Any two branches may meet: a child returns, or one sibling hands over to another.
    fn join(&mut self, from: usize, into: usize) {
        if self.live.len() == 1 {
            return;
        }

        let ended = self.live.swap_remove(from);
        let into = into % self.live.len();
        let branch = &mut self.live[into];
        let joined = branch.baggage.join(ended.baggage);
        branch.before |= ended.before;
        branch.spoilt |= ended.spoilt || joined != JoinOutcome::Merged;

        match joined {
            JoinOutcome::Foreign => assert_ne!(branch.family, ended.family),
            JoinOutcome::Duplicate => assert_eq!(self.weather, Weather::Doubling),
            JoinOutcome::Merged => assert_eq!(branch.family, ended.family),
            JoinOutcome::Outside => unreachable!("a branch is never outside"),
        }
        assert!(joined == JoinOutcome::Merged || branch.baggage.is_partial());
        self.check(into);
    }

    /// Travels to another host and on, where the clock may be some hours ahead.
    fn hop(&mut self, which: usize, hours: u64) {
        let room = if self.weather != Weather::Fair && hours == 2 { 200 } else { MAX_BYTES };
        let branch = &mut self.live[which];
        let mut bytes = std::mem::take(&mut branch.baggage).encode_within(room);

        // The clock follows the version and the request id, unless nothing was stamped so far.
        if bytes.get(20) == Some(&(3 << 3 | 1)) {
            let clock = &mut bytes[21..29];
            let ahead = u64::from_le_bytes(clock.try_into().unwrap()) + hours * HOUR;
            clock.copy_from_slice(&ahead.to_le_bytes());
        }

        branch.baggage = Baggage::decode(&bytes).unwrap();
        self.check(which);
    }

    /// A call that packs, and of which the reply leaves out what came with the request.
    fn call(&mut self, which: usize, other: usize) {
        let (id, kind) = (self.packed.len(), Kind::ALL[other % 4]);
        // In fair weather nothing is cut.
        pivot_baggage::set_budget_bytes(pivot_baggage::HARD_LIMIT);
        let many = self.live[which].baggage.instance_count() > 32;
        if id == Set::BITS as usize || self.weather == Weather::Fair && many {
            return;
        }

        let Some((request, mut sent)) = self.live[which].baggage.fork().encode_request() else { return };
        let mut server = Baggage::decode(&request).unwrap();
        let snapshot = server.snapshot();

        // What is called may do nothing, or have others do nothing.
        let packs = !other.is_multiple_of(3);
        let mut all_own_shares = true;
        if packs {
            let stamp = server.pack(kind.key(), kind.keep(), [kind.rows(id)]);
            let (before, rank) = (self.live[which].before, stamp.map(|stamp| (stamp, 0)));
            self.packed.push(Contribution { kind, before, rank });
        } else if other.is_multiple_of(2) {
            let callee = server.fork();
            all_own_shares = !callee.share().is_empty();
            assert_eq!(server.join(callee), JoinOutcome::Merged);
        }

        // What was cut on its way, and a branch without a share, may be answered at length.
        all_own_shares &= !server.share().is_empty();
        let plain = snapshot.is_some() && !server.is_partial() && all_own_shares;
        let reply = server.encode_reply(snapshot.as_ref());
        assert!(packs || !plain || reply == UNCHANGED_REPLY, "{reply:?}");

        let fill = |out: &mut [u8]| {
            out.copy_from_slice(&reply);
            true
        };
        let reply = sent.decode_reply(reply.len(), fill).unwrap();
        let branch = &mut self.live[which];
        branch.before |= Set::from(packs) << id;
        assert_eq!(branch.baggage.join(reply), JoinOutcome::Merged);
        self.check(which);
    }

    /// A branch ends without being joined, as when a reply is lost.
    fn lose(&mut self, which: usize) {
        if self.live.len() > 1 {
            self.live.swap_remove(which);
        }
    }

    /// A message that promises no return.
    fn detach(&mut self, which: usize) {
        let Live { ref baggage, before, spoilt, .. } = self.live[which];
        // By hand, or as a message that reaches any number of receivers.
        let baggage = match self.families % 2 {
            0 => baggage.detach(),
            _ => Baggage::decode(&baggage.encode_detached(MAX_BYTES)).unwrap().into_detached(),
        };
        self.live.push(Live { baggage, before, family: self.families, spoilt });
        self.families += 1;
        self.check(self.live.len() - 1);
    }

    /// A message that is delivered twice, to two receivers that know nothing of each other.
    fn double(&mut self, which: usize) {
        let branch = &mut self.live[which];
        let bytes = std::mem::take(&mut branch.baggage).encode_within(MAX_BYTES);
        branch.baggage = Baggage::decode(&bytes).unwrap();
        let Live { before, family, spoilt, .. } = *branch;
        self.live.push(Live { baggage: Baggage::decode(&bytes).unwrap(), before, family, spoilt });
    }

    /// An attempt of which the reply is lost, before the next one.
    fn lose_attempt(&mut self, which: usize) {
        if self.weather == Weather::Fair {
            return self.hop(which, 0);
        }
        if self.packed.len() == Set::BITS as usize {
            return;
        }

        let mut attempt = Baggage::decode(&self.live[which].baggage.fork().encode_within(MAX_BYTES)).unwrap();
        let id = self.packed.len();
        let stamp = attempt.pack(Kind::First.key(), Kind::First.keep(), [Kind::First.rows(id)]);
        let (before, rank) = (self.live[which].before, stamp.map(|stamp| (stamp, 0)));
        self.packed.push(Contribution { kind: Kind::First, before, rank });
        self.check(which);
    }

    /// Joins all that is left of the first family in the given order, and gives the end of it.
    fn end(mut self, order: usize) -> Request {
        self.live.retain(|branch| branch.family == 0);
        while self.live.len() > 1 {
            self.join(order % self.live.len(), order / 7);
        }
        self
    }

    /// Checks what a branch shows against what happened before it.
    fn check(&self, which: usize) {
        Kind::ALL.into_iter().for_each(|kind| self.check_kind(&self.live[which], kind));
    }

    fn check_kind(&self, branch: &Live, kind: Kind) {
        let seen = branch.baggage.unpack(kind.key());
        let ids = (0..self.packed.len()).filter(|id| has(branch.before, *id));
        let due: Vec<usize> = ids.filter(|id| self.packed[*id].kind == kind).collect();
        let partial = branch.baggage.is_incomplete(kind.key());

        if kind == Kind::Sum {
            let (n, sum) = seen.map_or((0, 0), |rows| sum_of(&rows));
            let (all, total) = (due.len() as u64, due.iter().sum::<usize>() as i128);
            assert!(n <= all && sum <= total, "{n} of {all} contributions count {sum} of {total}");
            assert!(partial || (n, sum) == (all, total), "{n} of {all} contributions, not partial");
            return;
        }

        let mut shown: Vec<usize> = seen.iter().flat_map(|rows| rows.iter()).map(id_of).collect();
        shown.sort_unstable();
        assert!(shown.iter().all(|id| due.contains(id)), "{kind:?} shows {shown:?} of {due:?}");

        if let Some(threshold) = branch.baggage.cut(kind.key()) {
            // Even in a partial bag, what a cut leaves is complete, unless something else went wrong.
            let below = |id: &usize| stable_hash(&[Value::U64(*id as u64)]) < threshold;
            assert!(shown.iter().all(below));
            if !branch.spoilt {
                assert_eq!(shown, due.into_iter().filter(below).collect::<Vec<_>>(), "cut");
            }
        } else if !partial {
            assert_eq!(shown, self.chosen(kind, &due), "{kind:?} of {due:?}");
            self.check_order(kind, &shown, &due);
        }
    }

    /// Returns which of the contributions that are due a bag has to choose.
    fn chosen(&self, kind: Kind, due: &[usize]) -> Vec<usize> {
        let stamped = due.iter().copied().filter(|id| self.packed[*id].rank.is_some());
        let mut by_stamp: Vec<usize> = stamped.collect();
        by_stamp.sort_by_key(|id| self.packed[*id].rank);

        match kind {
            Kind::Each | Kind::Sum => return due.to_vec(),
            Kind::First => by_stamp.truncate(FIRST as usize),
            Kind::MostRecent => drop(by_stamp.drain(..by_stamp.len().saturating_sub(RECENT as usize))),
        }

        by_stamp.sort_unstable();
        by_stamp
    }

    /// The choice extends happened-before, whatever the stamps say.
    fn check_order(&self, kind: Kind, shown: &[usize], due: &[usize]) {
        for passed_over in due.iter().filter(|id| !shown.contains(id)) {
            for chosen in shown {
                let (earlier, later) = match kind {
                    Kind::First => (*passed_over, *chosen),
                    _ => (*chosen, *passed_over),
                };
                assert!(
                    !has(self.packed[later].before, earlier),
                    "{kind:?} chose {chosen} over {passed_over}"
                );
            }
        }
    }
}

/// Returns the number of the contribution that a group shows.
fn id_of(group: &pivot_advice::Group) -> usize {
    assert_eq!(group.n, 1, "{:?} counts {} times", group.key, group.n);
    group.key[0].as_integer().unwrap() as usize
}

fn cases() -> u32 {
    let cases = std::env::var("PIVOT_LAWS_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(10_000)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step =
        (0u8..100, 0usize..64, 0usize..64).prop_map(|(what, which, other)| Step { what, which, other });
    proptest::collection::vec(step, 1..100)
}

fn levels() -> impl Strategy<Value = u8> {
    prop_oneof![Just(64u8), Just(64u8), 0u8..5]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn every_branch_sees_exactly_what_happened_before_it(
        steps in steps(), levels in levels(), order in 0usize..1000
    ) {
        let mut request = Request::begin(Weather::Fair, levels);
        steps.into_iter().for_each(|step| request.step(step));
        let request = request.end(order);
        let end = &request.live[0];
        prop_assert_eq!(end.before.count_ones() as usize, request.packed.len());
        prop_assert!(!end.baggage.is_partial());
        prop_assert_eq!(end.baggage.share(), request.root);
        prop_assert!(levels < 64 || end.baggage.instance_count() == 0);
    }

    #[test]
    fn a_lost_reply_loses_only_what_was_packed_in_its_branch(
        steps in steps(), levels in levels(), order in 0usize..1000
    ) {
        let mut request = Request::begin(Weather::Lossy, levels);
        steps.into_iter().for_each(|step| request.step(step));
        request.end(order);
    }

    #[test]
    fn messages_delivered_twice_never_count_twice(
        steps in steps(), levels in levels(), order in 0usize..1000
    ) {
        let mut request = Request::begin(Weather::Doubling, levels);
        steps.into_iter().for_each(|step| request.step(step));
        request.end(order);
    }

    #[test]
    fn merging_bags_is_commutative_and_associative(
        kind in 0usize..4, a in ids(), b in ids(), c in ids(), cuts in proptest::array::uniform3(cuts())
    ) {
        let kind = Kind::ALL[kind];
        let [mut a, mut b, mut c] = [a, b, c].map(|ids| bag(kind, &ids));
        for (bag, cut) in [&mut a, &mut b, &mut c].into_iter().zip(cuts) {
            let Some(threshold) = cut else { continue };
            bag.cut_at(threshold);
            if kind.keep() != TemporalFilter::All && threshold < u64::MAX / 4 {
                *bag = Bag::Lost;
            }
        }
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        if kind.keep() != TemporalFilter::All {
            prop_assert_eq!(merged(&merged(&a, &b), &a), merged(&a, &b));
        }
    }
}

fn cuts() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), any::<u64>().prop_map(Some)]
}

fn ids() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0usize..12, 1..8)
}

/// A bag with some contributions, of which two at a time have one clock.
fn bag(kind: Kind, ids: &[usize]) -> Bag {
    let stamp = |id: usize| Stamp { clock: Hlc::from_u64(id as u64 / 2), nonce: id as u32 % 2 };
    let each = ids.iter().map(|id| Bag::packed(kind.keep(), [kind.rows(*id)], stamp(*id)).unwrap());
    each.reduce(|a, b| merged(&a, &b)).unwrap()
}

fn merged(a: &Bag, b: &Bag) -> Bag {
    let mut bag = a.clone();
    assert_eq!(bag.merge(b.clone()), MergeOutcome::Both);
    bag
}
