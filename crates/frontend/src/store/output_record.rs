//! The plan of a query's output as it is stored: so that windows can be read when the query, or what it was compiled
//! against, is long gone.

use pivot_advice::{AggregateKind, EmitMode, Expr, Type};
use pivot_protocol::{ProtocolError, from_wire, to_wire, wire};
use pivot_query::{
    NullPlace, OutputAggregate, OutputColumn, OutputKey, OutputPlan, SortDirection, SortOrder,
};

/// How results are made of groups.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OutputRecord {
    /// Whether each row is a group of its own, and not the groups the rows.
    #[prost(bool, tag = "1")]
    is_rows: bool,
    #[prost(message, repeated, tag = "2")]
    keys: Vec<KeyRecord>,
    /// Codes of aggregates.
    #[prost(uint32, repeated, tag = "3")]
    states: Vec<u32>,
    #[prost(message, repeated, tag = "4")]
    finished: Vec<AggregateRecord>,
    #[prost(message, repeated, tag = "5")]
    columns: Vec<ColumnRecord>,
    #[prost(message, optional, tag = "6")]
    having: Option<wire::Expr>,
    #[prost(bool, tag = "7")]
    distinct: bool,
    #[prost(message, repeated, tag = "8")]
    order: Vec<SortRecord>,
    #[prost(uint64, optional, tag = "9")]
    limit: Option<u64>,
    #[prost(double, optional, tag = "10")]
    sample: Option<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeyRecord {
    #[prost(string, tag = "1")]
    name: String,
    /// The code of a type.
    #[prost(uint32, tag = "2")]
    ty: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AggregateRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    ty: u32,
    #[prost(message, optional, tag = "3")]
    finished: Option<wire::Finished>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ColumnRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    ty: u32,
    #[prost(message, optional, tag = "3")]
    expr: Option<wire::Expr>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SortRecord {
    #[prost(message, optional, tag = "1")]
    expr: Option<wire::Expr>,
    #[prost(bool, tag = "2")]
    is_descending: bool,
    #[prost(bool, tag = "3")]
    is_null_first: bool,
}

impl From<&OutputPlan> for OutputRecord {
    fn from(output: &OutputPlan) -> OutputRecord {
        let OutputPlan { form, keys, states, finished, columns, having, distinct, order, limit, sample } =
            output;

        OutputRecord {
            is_rows: *form == EmitMode::Rows,
            keys: keys
                .iter()
                .map(|key| KeyRecord { name: key.name.clone(), ty: key.ty.code().into() })
                .collect(),
            states: states.iter().map(|state| *state as u32).collect(),
            finished: finished.iter().map(AggregateRecord::from).collect(),
            columns: columns.iter().map(ColumnRecord::from).collect(),
            having: having.as_ref().map(to_wire::expr),
            distinct: *distinct,
            order: order.iter().map(|(expr, order)| sort_record(expr, *order)).collect(),
            limit: *limit,
            sample: *sample,
        }
    }
}

impl From<&OutputAggregate> for AggregateRecord {
    fn from(aggregate: &OutputAggregate) -> AggregateRecord {
        let OutputAggregate { name, finished, ty } = aggregate;
        let finished = Some(to_wire::finished(finished));
        AggregateRecord { name: name.clone(), ty: ty.code().into(), finished }
    }
}

impl From<&OutputColumn> for ColumnRecord {
    fn from(column: &OutputColumn) -> ColumnRecord {
        let OutputColumn { name, ty, expr } = column;
        ColumnRecord { name: name.clone(), ty: ty.code().into(), expr: Some(to_wire::expr(expr)) }
    }
}

fn sort_record(expr: &Expr, order: SortOrder) -> SortRecord {
    SortRecord {
        expr: Some(to_wire::expr(expr)),
        is_descending: order.direction == SortDirection::Descending,
        is_null_first: order.nulls == NullPlace::First,
    }
}

impl OutputRecord {
    /// Returns the plan. Fails if a later version has written what this one does not know.
    pub(crate) fn plan(self) -> Result<OutputPlan, ProtocolError> {
        let mut finished = Vec::with_capacity(self.finished.len());
        for AggregateRecord { name, ty, finished: value } in self.finished {
            let value = value.ok_or(ProtocolError::Missing("value of an aggregate"))?;
            finished.push(OutputAggregate { name, finished: from_wire::finished(value)?, ty: type_of(ty) });
        }
        let mut columns = Vec::with_capacity(self.columns.len());
        for ColumnRecord { name, ty, expr } in self.columns {
            columns.push(OutputColumn { name, ty: type_of(ty), expr: expression(expr)? });
        }
        let mut order = Vec::with_capacity(self.order.len());
        for SortRecord { expr, is_descending, is_null_first } in self.order {
            let direction = if is_descending { SortDirection::Descending } else { SortDirection::Ascending };
            let nulls = if is_null_first { NullPlace::First } else { NullPlace::Last };
            order.push((expression(expr)?, SortOrder { direction, nulls }));
        }

        let states = self.states.into_iter().map(aggregate);
        Ok(OutputPlan {
            form: if self.is_rows { EmitMode::Rows } else { EmitMode::Groups },
            keys: self
                .keys
                .into_iter()
                .map(|key| OutputKey { name: key.name, ty: type_of(key.ty) })
                .collect(),
            states: states.collect::<Result<_, _>>()?,
            finished,
            columns,
            having: self.having.map(from_wire::expr).transpose()?,
            distinct: self.distinct,
            order,
            limit: self.limit,
            sample: self.sample,
        })
    }
}

fn type_of(code: u32) -> Type {
    u8::try_from(code).map_or(Type::Any, Type::from_code)
}

fn aggregate(code: u32) -> Result<AggregateKind, ProtocolError> {
    let known = u8::try_from(code).ok().and_then(AggregateKind::from_code);
    known.ok_or(ProtocolError::Unknown { what: "aggregate", number: code.into() })
}

fn expression(expr: Option<wire::Expr>) -> Result<Expr, ProtocolError> {
    from_wire::expr(expr.ok_or(ProtocolError::Missing("expression"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_query::{Catalog, compile};

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        for text in [
            "FROM t IN T GROUP BY t.s SELECT t.s, COUNT, SUM(t.x) AS x, AVG(t.x) HAVING x > 3 ORDER BY x DESC LIMIT 5",
            "FROM t IN T SELECT P99(t.x), STDDEV(t.x), TOPK(t.s, 3), LHIST(t.x, 0, 10, 1), COUNT(DISTINCT t.s)",
            "FROM t IN T GROUP BY t.s SELECT DISTINCT length(t.s), RATE(COUNT) ORDER BY 1 NULLS FIRST",
            "FROM t IN T SELECT t.x, t.s ORDER BY t.x LIMIT 3",
            "FROM t IN T GROUP BY t.s SELECT t.s, COUNT SAMPLE 10%",
        ] {
            let plan = compile(text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output;
            let record = OutputRecord::from(&plan);
            assert_eq!(record.plan().unwrap_or_else(|wrong| panic!("{text}: {wrong}")), plan, "{text}");
        }
    }
}
