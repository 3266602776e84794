//! The places where events of a query ran outside any request, although they had something to pack or to unpack.
//!
//! ```text
//! FROM a IN Log.append JOIN c IN Api.write ON c -> a SELECT COUNT
//!
//! unpacks  Log.append   span append   thread raft-core    160     its rows found no request
//! packs    Api.write    -             thread main           2     their tuples had none to travel with
//! ```
//!
//! [`LossCounts`](crate::LossCounts) has the sums of both sides; here are the places, of which the first few are told
//! apart in a process, and those with the most events where processes are added up.

use std::cmp::Reverse;

/// The most places of a query that are kept.
pub const MAX_OUTSIDE_PLACES: usize = 16;

/// The longest name of a thread, span or tracepoint in a place, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// A side of a happened-before join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JoinSide {
    /// Its events pack a tuple, for later events of the request.
    Packs,
    /// Its events unpack what was packed before.
    Unpacks,
}

/// A place where events of a query ran outside any request, with their number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutsidePlace {
    /// Whether the events were to pack or to unpack.
    pub side: JoinSide,
    /// The name of the tracepoint.
    pub tracepoint: String,
    /// The name of the span of `tracing` that the thread was in; empty if it was in none that is known.
    pub span: String,
    /// The name of the thread; empty if it has none.
    pub thread: String,
    /// The number of events.
    pub events: u64,
}

/// The places where events of one query ran outside any request: at most [`MAX_OUTSIDE_PLACES`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutsidePlaces(Vec<OutsidePlace>);

impl OutsidePlace {
    fn is_at(&self, side: JoinSide, tracepoint: &str, span: &str, thread: &str) -> bool {
        self.side == side && self.span == span && self.thread == thread && self.tracepoint == tracepoint
    }
}

impl OutsidePlaces {
    /// Counts events at a place. A place for which there is no room is left out.
    pub fn count(&mut self, side: JoinSide, tracepoint: &str, span: &str, thread: &str, events: u64) {
        let (tracepoint, span, thread) = (bounded(tracepoint), bounded(span), bounded(thread));

        let has_room = self.0.len() < MAX_OUTSIDE_PLACES;
        match self.0.iter_mut().find(|place| place.is_at(side, tracepoint, span, thread)) {
            Some(place) => place.events = place.events.saturating_add(events),
            None if !has_room => {}
            None => self.0.push(OutsidePlace {
                side,
                tracepoint: tracepoint.to_owned(),
                span: span.to_owned(),
                thread: thread.to_owned(),
                events,
            }),
        }
    }

    /// Adds the places of another part of the result. If they are too many, those with the fewest events are left out.
    pub fn merge(&mut self, other: &OutsidePlaces) {
        for theirs in &other.0 {
            let OutsidePlace { side, tracepoint, span, thread, events } = theirs;
            match self.0.iter_mut().find(|place| place.is_at(*side, tracepoint, span, thread)) {
                Some(place) => place.events = place.events.saturating_add(*events),
                None => self.0.push(theirs.clone()),
            }
        }

        if self.0.len() > MAX_OUTSIDE_PLACES {
            // By name where numbers are equal, so that the choice does not depend on the order of reports.
            self.0.sort_by(|a, b| (Reverse(a.events), a).cmp(&(Reverse(b.events), b)));
            self.0.truncate(MAX_OUTSIDE_PLACES);
        }
    }

    /// Returns the places of one side, those with the most events first.
    pub fn of_side(&self, side: JoinSide) -> Vec<&OutsidePlace> {
        let mut places: Vec<&OutsidePlace> = self.0.iter().filter(|place| place.side == side).collect();
        places.sort_by_key(|place| (Reverse(place.events), *place));
        places
    }

    /// Returns all places, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &OutsidePlace> {
        self.0.iter()
    }
}

/// Returns the begin of a name that is too long, else all of it.
fn bounded(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places in threads of these numbers, with so many events.
    fn places(of_threads: impl IntoIterator<Item = (usize, u64)>) -> OutsidePlaces {
        let mut places = OutsidePlaces::default();
        for (thread, events) in of_threads {
            places.count(JoinSide::Unpacks, "Log.append", "append", &format!("worker-{thread}"), events);
        }
        places
    }

    fn events(places: &OutsidePlaces) -> Vec<u64> {
        places.of_side(JoinSide::Unpacks).iter().map(|place| place.events).collect()
    }

    #[test]
    fn events_of_one_place_are_added_up_and_sides_are_told_apart() {
        let mut found = places([(1, 1), (2, 5), (1, 2)]);
        found.count(JoinSide::Packs, "Log.append", "append", "worker-1", 7);
        found.merge(&places([(2, u64::MAX), (3, 4)]));
        assert_eq!(events(&found), [u64::MAX, 4, 3]);
        assert_eq!(found.of_side(JoinSide::Packs).len(), 1);
    }

    #[test]
    fn there_are_few_places_and_merging_keeps_those_with_the_most_events() {
        let mut found = places((0..100).map(|thread| (thread, thread as u64)));
        assert_eq!(found.iter().count(), MAX_OUTSIDE_PLACES);
        found.merge(&places((50..60).map(|thread| (thread, 1_000 + thread as u64))));
        assert_eq!(found.iter().count(), MAX_OUTSIDE_PLACES);
        assert_eq!(events(&found)[..11], [1059, 1058, 1057, 1056, 1055, 1054, 1053, 1052, 1051, 1050, 15]);
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let mut found = OutsidePlaces::default();
        found.count(JoinSide::Packs, &"ä".repeat(1_000), "", &("x".to_owned() + &"ä".repeat(1_000)), 1);
        let place = found.of_side(JoinSide::Packs)[0];
        assert_eq!((place.tracepoint.len(), place.thread.len()), (256, 255));
    }
}
