//! The notices below a result about events that ran outside any request: how many, at which tracepoint, in which span and
//! thread.
//!
//! ```text
//! 160 rows had no request: Log.append in span `append`, thread `raft-core`
//! 12 tuples packed outside any request: 9 at Api.write in thread `main`, 2 at Api.read in no named thread, 1 elsewhere
//! ```

use crate::humanize::{count, grouped};
use crate::terminal_text::escaped;
use pivot_advice::{JoinSide, LossCounts, OutsidePlace, OutsidePlaces};

/// The most places that one notice names.
const MAX_NAMED: usize = 3;

/// Returns a sentence for each side of the joins of a query that had events outside any request; none if all had one.
pub(crate) fn outside_notices(loss: &LossCounts, places: &OutsidePlaces) -> Vec<String> {
    let (rows, tuples) = (loss.without_request, loss.outside_request);
    let mut notices = Vec::new();

    if rows > 0 {
        let fate = format!("{} had no request", count(rows, "row"));
        notices.push(notice(fate, rows, &places.of_side(JoinSide::Unpacks)));
    }
    if tuples > 0 {
        let fate = format!("{} packed outside any request", count(tuples, "tuple"));
        notices.push(notice(fate, tuples, &places.of_side(JoinSide::Packs)));
    }
    notices
}

/// Returns what became of events, and the places of most of them.
fn notice(fate: String, events: u64, places: &[&OutsidePlace]) -> String {
    let named = &places[..places.len().min(MAX_NAMED)];
    let elsewhere = named.iter().fold(events, |left, place| left.saturating_sub(place.events));

    let mut parts: Vec<String> = match named {
        [] => return fate,
        [only] if elsewhere == 0 => vec![where_it_ran(only)],
        _ => {
            named.iter().map(|place| format!("{} at {}", number(place.events), where_it_ran(place))).collect()
        }
    };
    if elsewhere > 0 {
        parts.push(format!("{} elsewhere", number(elsewhere)));
    }
    format!("{fate}: {}", parts.join("; "))
}

fn number(events: u64) -> String {
    grouped(&events.to_string())
}

/// Returns tracepoint, span and thread.
fn where_it_ran(place: &OutsidePlace) -> String {
    let span = match place.span.as_str() {
        "" => String::new(),
        span => format!("span `{}`, ", escaped(span)),
    };
    let thread = match place.thread.as_str() {
        "" => "a thread without a name".to_owned(),
        thread => format!("thread `{}`", escaped(thread)),
    };
    format!("{} in {span}{thread}", escaped(&place.tracepoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(loss: LossCounts, places: &[(JoinSide, &str, &str, &str, u64)], expected: &[&str]) {
        let mut known = OutsidePlaces::default();
        for (side, tracepoint, span, thread, events) in places {
            known.count(*side, tracepoint, span, thread, *events);
        }
        assert_eq!(outside_notices(&loss, &known), expected);
    }

    #[test]
    fn one_place_is_named_without_its_number() {
        let loss = LossCounts { without_request: 160, ..LossCounts::default() };
        let place = (JoinSide::Unpacks, "Log.append", "append", "raft-core", 160);
        check(loss, &[place], &["160 rows had no request: Log.append in span `append`, thread `raft-core`"]);
    }

    #[test]
    fn several_places_are_named_with_their_numbers_and_the_rest_is_counted() {
        let loss = LossCounts { outside_request: 1_017, without_request: 1, ..LossCounts::default() };
        let packs = |thread, events| (JoinSide::Packs, "A.b", "", thread, events);
        let places = [packs("w-1", 1), packs("w-2", 1_005), packs("", 4), packs("\u{1b}[2J", 3)];
        let packed = "1,017 tuples packed outside any request: 1,005 at A.b in thread `w-2`; \
                      4 at A.b in a thread without a name; 3 at A.b in thread `\\u{1b}[2J`; 5 elsewhere";
        check(loss, &places, &["1 row had no request", packed]);
    }

    #[test]
    fn a_result_whose_events_all_had_a_request_says_nothing() {
        check(LossCounts { dropped: 3, ..LossCounts::default() }, &[], &[]);
    }
}
