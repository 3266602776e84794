//! The column of a result that says how much there is of each group: it gets the bars and the sparklines, and
//! rows are sorted by it unless the query has an ORDER BY.
//!
//! The frontend sends with each column whether an aggregate goes into it ([`Role`]). Results of a frontend that
//! does not say so have no measure: rows keep the order in which they come, without bars.

use crate::result_frame::{FrameColumn, FrameOrder};
use pivot_advice::Type;
use pivot_protocol::wire::column::Role;

/// The column that says how much, and the columns that tell groups apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MeasureColumn {
    /// Position of the column in the result.
    pub(crate) column: usize,
    /// Positions of the columns that no aggregate goes into.
    pub(crate) keys: Vec<usize>,
    /// Whether the query sorts its rows. If it does not, those with the largest measure stand first.
    pub(crate) order: FrameOrder,
}

impl MeasureColumn {
    /// Returns the measure of a result: the column that ORDER BY begins with if it is a number with an aggregate
    /// in it, else the first such column. `None` if there is none, as in a result of rows that are not grouped.
    pub(crate) fn find(columns: &[FrameColumn], order: FrameOrder) -> Option<MeasureColumn> {
        let candidates: Vec<usize> = (0..columns.len()).filter(|i| is_candidate(&columns[*i])).collect();

        // What a query is ordered by matters most in it.
        let first_in_order = candidates.iter().find(|i| columns[**i].order_position == 1);
        let column = *first_in_order.or(candidates.first())?;

        let keys = (0..columns.len()).filter(|i| columns[*i].role != Role::Measure).collect();
        Some(MeasureColumn { column, keys, order })
    }
}

/// Returns whether a column has an aggregate in it and can be drawn as a bar. [`Type::Any`] may be a number.
fn is_candidate(column: &FrameColumn) -> bool {
    let may_be_number = column.ty.is_number() || matches!(column.ty, Type::Duration | Type::Any);
    column.role == Role::Measure && may_be_number
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::client::FrontendConnection;
    use crate::client_session::QueryStay;
    use crate::params::QueryParams;

    /// Installs the query at a frontend of its own, and finds the measure in what comes over the wire.
    fn check(text: &str, expected: Option<usize>) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let listen = (std::net::Ipv4Addr::LOCALHOST, 0).into();
            let frontend =
                pivot_frontend::start(crate::server::frontend_options(listen, None)).await.unwrap();
            let address = format!("http://{}", frontend.address());
            let connection = FrontendConnection::open(&address, "test").await.unwrap();

            let reply =
                connection.install(text, "", &QueryParams::default(), QueryStay::WithClient).await.unwrap();
            let found =
                MeasureColumn::find(&reply.columns, FrameOrder::Unspecified).map(|found| found.column);
            assert_eq!(found, expected, "{text}");

            drop(connection);
            frontend.stop().await;
        });
    }

    #[test]
    fn keys_are_not_the_measure() {
        check("FROM e IN T GROUP BY e.port SELECT e.port, SUM(e.bytes)", Some(1));
        check("FROM e IN T GROUP BY e.port SELECT e.port AS bytes, e.port AS x, COUNT", Some(2));
        check("FROM e IN T SELECT e.port, e.bytes", None);
        check("FROM e IN Unknown SELECT", None);
        check("FROM e IN T GROUP BY e.port SELECT e.port, COUNT, SUM(e.bytes) AS b ORDER BY b DESC", Some(2));
    }

    #[test]
    fn without_roles_there_is_no_measure() {
        let columns = [FrameColumn::exact("port", Type::I64), FrameColumn::exact("COUNT", Type::U64)];
        assert_eq!(MeasureColumn::find(&columns, FrameOrder::Unspecified), None);
    }
}
