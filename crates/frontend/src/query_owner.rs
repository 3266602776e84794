//! Who an installed query belongs to.

/// The owner of a query, and whether the query stays when its owner has gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct QueryOwner {
    /// For people: who and what the client is; may be empty.
    pub(crate) name: String,
    /// The client session that it goes with; empty if there is none.
    pub(crate) session: String,
    /// Whether somebody has asked that it stays.
    pub(crate) stays: bool,
}

impl QueryOwner {
    /// Whether the query goes some time after its client.
    pub(crate) fn has_lease(&self) -> bool {
        !self.stays && !self.session.is_empty()
    }
}
