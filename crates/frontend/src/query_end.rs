//! Why a query is not installed any more.

use pivot_protocol::wire;

/// The reason why a query is not installed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryEnd {
    /// Somebody has uninstalled it.
    Uninstalled,
    /// The time of its DURATION clause is over.
    Expired,
    /// Its client was not heard of for longer than the grace.
    Abandoned,
}

impl QueryEnd {
    /// Returns its form on the wire and in the store.
    pub(crate) fn to_wire(self) -> wire::frame::End {
        match self {
            QueryEnd::Uninstalled => wire::frame::End::Uninstalled,
            QueryEnd::Expired => wire::frame::End::Expired,
            QueryEnd::Abandoned => wire::frame::End::Abandoned,
        }
    }

    /// Returns what a form on the wire or in the store stands for. Frontends before this stored no reason.
    pub(crate) fn from_wire(end: wire::frame::End) -> QueryEnd {
        match end {
            wire::frame::End::Expired => QueryEnd::Expired,
            wire::frame::End::Abandoned => QueryEnd::Abandoned,
            wire::frame::End::Uninstalled | wire::frame::End::Unspecified => QueryEnd::Uninstalled,
        }
    }
}
