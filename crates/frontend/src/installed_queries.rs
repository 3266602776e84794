//! The queries of a frontend by number: those to be woven, and finished ones whose frames are still kept.

use crate::installed_query::InstalledQuery;
use pivot_advice::QueryId;
use std::collections::{BTreeMap, BTreeSet};

/// The most queries at once, those included whose frames are still kept; these make room for new queries.
pub(crate) const MAX_QUERIES: usize = 1000;

/// How many times as long a finished query is kept while it has readers, so that they reach its end.
pub(crate) const KEEP_FACTOR_WITH_READERS: i64 = 10;

/// Why the frontend does not take a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InstallRefusal {
    /// The frontend has as many queries as it may have.
    TooMany,
    /// An active query has this name.
    NameTaken(String),
    /// Its advice takes so many bytes, and there is no room for them.
    AdviceTooLarge(usize),
}

/// All queries, and the numbers that the next ones get.
#[derive(Debug)]
pub(crate) struct InstalledQueries {
    by_number: BTreeMap<u32, InstalledQuery>,
    /// Queries that were forgotten since the last commit began.
    forgotten: BTreeSet<u32>,
    /// The number that tells this frontend's queries from those of other frontends.
    pub(crate) frontend: u32,
    /// The number of the query that was installed last.
    pub(crate) last_number: u32,
}

impl InstalledQueries {
    /// Makes an empty collection, of a frontend with this number, behind the number of a query.
    pub(crate) fn new(frontend: u32, last_number: u32) -> InstalledQueries {
        InstalledQueries { by_number: BTreeMap::new(), forgotten: BTreeSet::new(), frontend, last_number }
    }

    /// Returns the id that the next query gets.
    pub(crate) fn next_id(&self) -> QueryId {
        QueryId::new(self.frontend, self.last_number.wrapping_add(1))
    }

    /// Returns the id of a number.
    pub(crate) fn id(&self, number: u32) -> QueryId {
        QueryId::new(self.frontend, number)
    }

    /// Adds a query under the number of its id.
    pub(crate) fn insert(&mut self, query: InstalledQuery) {
        let number = query.definition.id.number;
        self.last_number = self.last_number.max(number);
        self.by_number.insert(number, query);
    }

    /// Returns the query of a number, active or finished, or `None` if there is none or it is forgotten.
    pub(crate) fn get(&self, number: u32) -> Option<&InstalledQuery> {
        self.by_number.get(&number)
    }

    /// Returns the query of a number for a change to it; `None` as [`InstalledQueries::get`].
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut InstalledQuery> {
        self.by_number.get_mut(&number)
    }

    /// Returns the query of an id for a change to it, or `None` if it is gone or of another frontend.
    pub(crate) fn of_id_mut(&mut self, id: QueryId) -> Option<&mut InstalledQuery> {
        self.get_mut(id.number).filter(|query| query.definition.id == id)
    }

    /// Returns all queries in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &InstalledQuery> {
        self.by_number.values()
    }

    /// Returns all queries, for changes to them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut InstalledQuery> {
        self.by_number.values_mut()
    }

    /// Returns the queries that are to be woven.
    pub(crate) fn active(&self) -> impl Iterator<Item = &InstalledQuery> {
        self.iter().filter(|query| query.is_active())
    }

    /// Checks whether a query can be installed under a name; an empty name is none. A frontend that has as many
    /// queries as it may have forgets the one that finished first, with its frames, to make room.
    pub(crate) fn check_installable(&mut self, name: &str) -> Result<(), InstallRefusal> {
        if !self.make_room() {
            return Err(InstallRefusal::TooMany);
        }
        if !name.is_empty() && self.active().any(|query| query.definition.name == name) {
            return Err(InstallRefusal::NameTaken(name.to_owned()));
        }
        Ok(())
    }

    /// Forgets the query that finished first if there is no room for another one. Returns whether there is.
    pub(crate) fn make_room(&mut self) -> bool {
        if self.by_number.len() >= MAX_QUERIES {
            let finished =
                self.iter().filter_map(|query| Some((query.finished_ns?, query.definition.id.number)));
            if let Some((_, oldest)) = finished.min() {
                self.by_number.remove(&oldest);
                self.forgotten.insert(oldest);
            }
        }
        self.by_number.len() < MAX_QUERIES
    }

    /// Forgets queries that finished longer than `keep_ns` ago, and their frames with them.
    pub(crate) fn forget_finished(&mut self, keep_ns: i64, now_ns: i64) {
        let forgotten = &mut self.forgotten;
        self.by_number.retain(|number, query| {
            let factor = if query.readers > 0 { KEEP_FACTOR_WITH_READERS } else { 1 };
            let keep_ns = keep_ns.saturating_mul(factor);
            let is_over = query.finished_ns.is_some_and(|at_ns| now_ns.saturating_sub(at_ns) > keep_ns);
            if is_over {
                forgotten.insert(*number);
            }
            !is_over
        });
    }

    /// Returns the numbers of the queries that were forgotten since this was last called.
    pub(crate) fn take_forgotten(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.forgotten)
    }
}
