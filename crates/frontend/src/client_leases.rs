//! The leases of queries: a query that belongs to a client session goes some time after its client.
//!
//! ```text
//!        somebody reads its results,            grace
//! held ◀── or its session calls ──── unheard ──────────▶ uninstalled, as abandoned
//!              KeepAlive                │ Keep
//!                                       └──────────────▶ stays
//! ```
//!
//! Nothing is known of connections: a client that is killed, stopped, cut off or gone with its terminal is one that is
//! not heard of. After a restart all leases begin anew.

use crate::installed_query::InstalledQuery;
use crate::query_end::QueryEnd;
use crate::query_owner::QueryOwner;
use crate::state::FrontendState;
use std::time::{Duration, Instant};

impl FrontendState {
    /// Gives a query an owner. Its lease begins now.
    pub(crate) fn set_owner(&mut self, number: u32, owner: QueryOwner) {
        let held = self.lease_clock.running();
        if let Some(query) = self.queries.get_mut(number) {
            query.set_owner(owner);
            query.held = held;
        }
    }

    /// Notes that a client session lives, so that its queries stay.
    pub(crate) fn keep_alive(&mut self, session: &str) {
        let held = self.lease_clock.running();
        for query in self.queries.iter_mut().filter(|query| query.definition.owner.session == session) {
            query.held = held;
        }
    }

    /// Has a query stay when its client has gone. Returns whether there is an active one of that number.
    pub(crate) fn keep(&mut self, number: u32) -> bool {
        let Some(query) = self.queries.get_mut(number).filter(|query| query.is_active()) else {
            return false;
        };
        let owner = QueryOwner { stays: true, ..query.definition.owner.clone() };
        query.set_owner(owner);
        true
    }

    /// Lets leases become older, and uninstalls queries whose clients were not heard of for longer than the grace. Returns
    /// their numbers.
    pub(crate) fn end_abandoned(&mut self, now: Instant, now_ns: i64) -> Vec<u32> {
        self.lease_clock.advance(now);

        let clock = self.lease_clock;
        for query in self.queries.iter_mut().filter(|query| query.readers > 0) {
            query.held = clock.running();
        }
        let abandoned = self
            .queries
            .active()
            .filter(|query| query.definition.owner.has_lease() && clock.since(query.held) > clock.grace());
        let abandoned: Vec<u32> = abandoned.map(|query| query.definition.id.number).collect();
        for number in &abandoned {
            self.end(*number, QueryEnd::Abandoned, now_ns);
        }
        abandoned
    }

    /// Returns how long the client of a query was not heard of, or `None` if the query stays without.
    pub(crate) fn unheard(&self, query: &InstalledQuery) -> Option<Duration> {
        let has_lease = query.definition.owner.has_lease();
        has_lease.then(|| self.lease_clock.since(query.held))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::FrontendOptions;
    use crate::compilation::CompiledQuery;
    use pivot_query::{CompileOptions, compile_with};

    const GRACE: Duration = Duration::from_secs(60);

    /// A frontend at a time of its own.
    struct LeaseCase {
        state: FrontendState,
        now: Instant,
    }

    impl LeaseCase {
        fn new() -> LeaseCase {
            let options = FrontendOptions { client_grace: GRACE, ..FrontendOptions::default() };
            let mut case = LeaseCase { state: FrontendState::new(&options, 1), now: Instant::now() };
            case.pass(1);
            case
        }

        fn install(&mut self, session: &str) -> u32 {
            let snapshot = self.state.compile_snapshot();
            let options = CompileOptions::default();
            let program = compile_with("FROM t IN T SELECT COUNT", &snapshot.catalog, &options).unwrap();
            let compiled = CompiledQuery::new(snapshot.next_id, program, options, 0);
            let number = self.state.install("", compiled, 1).number;
            let owner = QueryOwner { session: session.into(), ..QueryOwner::default() };
            self.state.set_owner(number, owner);
            number
        }

        /// Lets seconds pass, with a tick in each half of one.
        fn pass(&mut self, seconds: u64) {
            (0..2 * seconds).for_each(|_| self.jump(Duration::from_millis(500)));
        }

        /// Lets a time pass without a tick, but for one at its end.
        fn jump(&mut self, time: Duration) {
            self.now += time;
            self.state.end_abandoned(self.now, 1);
        }

        fn active(&self) -> Vec<u32> {
            self.state.active().map(|query| query.definition.id.number).collect()
        }
    }

    #[test]
    fn a_query_goes_a_grace_after_its_session_was_heard_of() {
        let mut case = LeaseCase::new();
        let (gone, lives) = (case.install("gone"), case.install("lives"));
        for _ in 0..6 {
            assert_eq!(case.active(), [gone, lives]);
            case.pass(10);
            case.state.keep_alive("lives");
        }
        case.pass(1);
        assert_eq!(case.active(), [lives]);
        case.pass(58);
        assert_eq!(case.active(), [lives]);
        case.pass(2);
        assert_eq!(case.active(), [0; 0]);
        let ends = [gone, lives].map(|number| case.state.query(number).unwrap().end());
        assert_eq!(ends, [Some(QueryEnd::Abandoned); 2]);
    }

    #[test]
    fn a_query_stays_without_a_session_and_when_it_was_asked_to() {
        let mut case = LeaseCase::new();
        let (nobodys, kept) = (case.install(""), case.install("gone"));
        assert!(case.state.keep(kept));
        case.state.keep_alive("");
        case.pass(1_000);
        assert_eq!(case.active(), [nobodys, kept]);
        assert!(case.state.unheard(case.state.query(kept).unwrap()).is_none());
        assert!(!case.state.keep(7));
    }

    #[test]
    fn a_query_that_somebody_reads_stays_until_the_grace_after_that() {
        let mut case = LeaseCase::new();
        let query = case.install("gone");
        case.state.query_mut(query).unwrap().readers = 1;
        case.pass(1_000);
        case.state.query_mut(query).unwrap().readers = 0;
        case.pass(59);
        assert_eq!(case.active(), [query]);
        assert!(case.state.unheard(case.state.query(query).unwrap()) > Some(Duration::from_secs(58)));
        case.pass(2);
        assert_eq!(case.active(), [0; 0]);
    }

    #[test]
    fn a_pause_of_the_frontend_is_no_silence_of_clients() {
        let mut case = LeaseCase::new();
        let query = case.install("lives");
        case.pass(15);
        case.jump(Duration::from_secs(3_600));
        assert_eq!(case.active(), [query]);
        case.state.keep_alive("lives");
        case.pass(59);
        assert_eq!(case.active(), [query]);
    }
}
