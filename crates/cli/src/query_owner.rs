//! Who an installed query belongs to, and whether it stays when they have gone, in words.

use crate::frontend_lists::ListedQuery;
use crate::humanize::elapsed;
use crate::terminal_text::escaped;

/// The share of a grace from which on it is said that a client is not heard of.
const SILENCE: u32 = 2;

/// Returns the owner of a query, or a dash if nobody has said who that is.
pub(crate) fn owner(query: &ListedQuery) -> String {
    if query.owner.is_empty() { "-".to_owned() } else { escaped(&query.owner) }
}

/// Returns how long a query stays.
pub(crate) fn stay(query: &ListedQuery) -> String {
    match query.lease {
        None => "stays".to_owned(),
        Some(lease) if lease.unheard > lease.grace / SILENCE => {
            format!("goes in {}", elapsed(lease.grace.saturating_sub(lease.unheard)))
        }
        Some(lease) => format!("goes {} after its client", elapsed(lease.grace)),
    }
}

/// Returns owner and stay of a query in one line.
pub(crate) fn owner_line(query: &ListedQuery) -> String {
    match query.owner.as_str() {
        "" => stay(query),
        owner => format!("{}, {}", escaped(owner), stay(query)),
    }
}

/// Returns what is to be said of a query that was uninstalled because its client was not heard of.
pub(crate) fn abandoned(number: u32) -> String {
    format!("query {number} was uninstalled, since the frontend had not heard of its client for too long")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend_lists::ListedLease;
    use std::time::Duration;

    #[test]
    fn a_query_says_whose_it_is_and_how_long_it_stays() {
        let lease = |unheard| {
            let (grace, unheard) = (Duration::from_secs(60), Duration::from_secs(unheard));
            Some(ListedLease { grace, unheard })
        };
        let check = |name: &str, lease, expected: &str| {
            let query = ListedQuery { owner: name.to_owned(), lease, ..ListedQuery::default() };
            assert_eq!(owner_line(&query), expected);
        };
        check("", None, "stays");
        check("ada@dev (repl, pid 7)", None, "ada@dev (repl, pid 7), stays");
        check("ada@dev (-c, pid 7)", lease(15), "ada@dev (-c, pid 7), goes 1 min 0 s after its client");
        check("", lease(45), "goes in 15 s");
        check("", lease(70), "goes in 0 s");
    }
}
