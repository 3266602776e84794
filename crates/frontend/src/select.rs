//! What follows the merge: columns over keys, the multiplicity and finished aggregates, then HAVING,
//! DISTINCT, ORDER BY and LIMIT, by DataFusion.

use crate::arrow::values;
use crate::column_role;
use crate::estimate::{estimate, is_sampled, scale_all};
use crate::finished::{FinishedGroups, NUMBER, compare};
use crate::kernels::{Plan, planned, rank};
use crate::window_groups::WindowGroups;
use datafusion::common::Result;
use datafusion::logical_expr as df;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext, col};
use pivot_advice::{Errors, Form, Loss, Type, Value};
use pivot_protocol::{to_wire, wire};
use pivot_query::{OutputColumn, OutputSchema};

/// The most rows of one result; the surplus counts as dropped.
const MAX_ROWS: usize = 10_000;

/// The columns of a result as the query declares them, before there are values.
pub(crate) fn declared_columns(output: &OutputSchema) -> Vec<wire::Column> {
    let column = |column: &OutputColumn| wire::Column {
        name: column.name.clone(),
        r#type: column.ty.code().into(),
        relative_error: 0.0,
        estimate: 0,
        role: column_role::role(column, output).into(),
        order_position: column_role::order_position(column, output),
    };
    output.columns.iter().map(column).collect()
}

/// The columns of a frame, with the larger of the errors that they have in its parts, and with what they are
/// if any of it comes of a sample.
pub(crate) fn columns(output: &OutputSchema, parts: &[(&WindowGroups, &ResultTable)]) -> Vec<wire::Column> {
    let sampled = parts.iter().any(|(tally, _)| is_sampled(tally, output));
    let mut columns = declared_columns(output);
    for (i, (column, shown)) in columns.iter_mut().zip(&output.columns).enumerate() {
        let errors = parts.iter().filter_map(|(_, rows)| rows.relative_errors.get(i).copied());
        column.relative_error = errors.fold(0.0, f64::max);
        if sampled {
            column.estimate = estimate(&shown.expr, output).into();
        }
    }
    columns
}

/// The rows that have no group of their own as one row, whose keys are null.
pub(crate) fn other(tally: &WindowGroups, output: &OutputSchema, seconds: f64) -> Option<wire::Row> {
    let group = tally.other.iter().next().filter(|_| output.form == Form::Groups)?;
    let keys = vec![Value::Null; output.keys.len()];
    let mut values = output.row(&keys, group.n, &group.states, seconds, &mut Errors::default());
    scale_all(&mut values, &group.states, output);
    let shown = output.columns.iter().map(|column| column.expr.eval(&values, &mut Errors::default()));
    Some(wire::Row { values: shown.map(|value| to_wire::value(&value)).collect(), standard_errors: vec![] })
}

pub(crate) fn wire_rows(rows: &[ResultRow]) -> Vec<wire::Row> {
    let row = |row: &ResultRow| wire::Row {
        values: row.values.iter().map(to_wire::value).collect(),
        standard_errors: row.standard_errors.clone(),
    };
    rows.iter().map(row).collect()
}

/// The rows of a result.
#[derive(Debug)]
pub(crate) struct ResultTable {
    pub(crate) rows: Vec<ResultRow>,
    /// For each column how far its values may be off, as a fraction of them.
    relative_errors: Vec<f64>,
    /// What the result lacks, what was cut here included.
    pub(crate) loss: Loss,
}

/// One row of a result.
#[derive(Debug, Clone)]
pub(crate) struct ResultRow {
    pub(crate) values: Vec<Value>,
    standard_errors: Vec<f64>,
}

/// A DataFusion session for small tables.
pub(crate) struct SelectEngine {
    context: SessionContext,
}

impl std::fmt::Debug for SelectEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SelectEngine").finish_non_exhaustive()
    }
}

impl SelectEngine {
    /// A session without parallelism: results are small and many.
    pub(crate) fn new() -> SelectEngine {
        let config = SessionConfig::new().with_target_partitions(1);
        SelectEngine { context: SessionContext::new_with_config(config) }
    }

    /// The rows of a result in a window of so many seconds, in the order that was asked for, or by
    /// their values.
    pub(crate) async fn rows(
        &self,
        tally: &WindowGroups,
        output: &OutputSchema,
        seconds: f64,
    ) -> ResultTable {
        let mut loss = tally.loss;
        let mut errors = Errors::default();
        let table = FinishedGroups::of(tally, output, seconds, &mut errors);
        loss.errors = loss.errors.saturating_add(errors.0);
        let relative_errors =
            output.columns.iter().map(|column| table.relative_error(&column.expr)).collect();
        let computed = match self.select(&table, output, Plan::Native).await {
            Ok(rows) => Ok(rows),
            // Arrow refuses what the language calls null, such as the least integer over -1.
            Err(_) => self.select(&table, output, Plan::Rowwise).await,
        };
        let Ok((mut rows, errors)) = computed else {
            loss.dropped = table.rows.iter().fold(loss.dropped, |sum, row| sum.saturating_add(row.n));
            return ResultTable { rows: vec![], relative_errors, loss };
        };
        loss.errors = loss.errors.saturating_add(errors.0);
        if output.order.is_empty() {
            rows.sort_by(|(a, _), (b, _)| compare(&a.values, &b.values));
        }
        let rows = expand(rows, output.form, output.limit, &mut loss);
        ResultTable { rows, relative_errors, loss }
    }

    /// Rows with their multiplicity, and what had no value in them.
    async fn select(&self, table: &FinishedGroups, output: &OutputSchema, plan: Plan) -> Result<Selected> {
        let mut errors = Errors::default();
        if table.rows.is_empty() {
            return Ok((Vec::new(), errors));
        }
        let mut frame = self.context.read_batch(table.batch()?)?;
        if let Some(having) = &output.having {
            frame = frame.filter(planned(having, Type::Bool, table, plan, &mut errors).0)?;
        }
        let mut types = Vec::new();
        let mut selected = Vec::new();
        for (i, column) in output.columns.iter().enumerate() {
            let (expr, ty) = planned(&column.expr, column.ty, table, plan, &mut errors);
            selected.push(expr.alias(format!("o{i}")));
            types.push(ty);
            if output.distinct {
                selected.push(rank(&column.expr, table).alias(format!("d{i}")));
            }
        }
        for (i, (expr, _)) in output.order.iter().enumerate() {
            selected.push(rank(expr, table).alias(format!("s{i}")));
        }
        selected.push(col(NUMBER));
        let frame = shaped(frame.select(selected)?, output)?;
        let mut rows = Vec::new();
        for batch in frame.collect().await? {
            let arrays =
                (0..types.len()).map(|i| (format!("o{i}"), types[i])).chain([(NUMBER.into(), Type::U64)]);
            let column = |(name, ty): (String, Type)| match batch.column_by_name(&name) {
                Some(array) => values(array, ty),
                None => Ok(vec![Value::Null; batch.num_rows()]),
            };
            let columns: Vec<Vec<Value>> = arrays.map(column).collect::<Result<_>>()?;
            rows.extend((0..batch.num_rows()).map(|i| shown(&columns, i, table, output)));
        }
        Ok((rows, errors))
    }
}

/// Rows with their multiplicity, and what had no value.
type Selected = (Vec<(ResultRow, u64)>, Errors);

/// DISTINCT, ORDER BY and LIMIT. Rows that an order does not tell apart are in that of their values.
fn shaped(mut frame: DataFrame, output: &OutputSchema) -> Result<DataFrame> {
    let columns = |kind: char| (0..output.columns.len()).map(move |i| col(format!("{kind}{i}")));
    let sorts = || (0..output.order.len()).map(|i| col(format!("s{i}")));
    if output.distinct {
        let all: Vec<df::Expr> = columns('o').chain(sorts()).chain([col(NUMBER)]).collect();
        frame = frame.distinct_on(columns('d').collect(), all, None)?;
    }
    if !output.order.is_empty() {
        let by =
            sorts().zip(&output.order).map(|(expr, (_, descending))| expr.sort(!descending, !descending));
        frame = frame.sort(by.chain([col(NUMBER).sort(true, true)]).collect())?;
        if let Some(limit) = output.limit {
            frame = frame.limit(0, Some(usize::try_from(limit).unwrap_or(usize::MAX)))?;
        }
    }
    Ok(frame)
}

/// A row of a batch whose last column is the number of its group.
fn shown(
    columns: &[Vec<Value>],
    i: usize,
    table: &FinishedGroups,
    output: &OutputSchema,
) -> (ResultRow, u64) {
    let mut values: Vec<Value> = columns.iter().map(|column| column[i].clone()).collect();
    let number = values.pop().and_then(|r| r.as_integer()).and_then(|r| usize::try_from(r).ok());
    let number = number.unwrap_or(usize::MAX);
    let n = table.rows.get(number).map_or(0, |row| row.n);
    (ResultRow { values, standard_errors: table.standard_errors(number, output) }, n)
}

/// Single rows are repeated; what is beyond the bound is counted, what is beyond LIMIT is not wanted.
fn expand(rows: Vec<(ResultRow, u64)>, form: Form, limit: Option<u64>, loss: &mut Loss) -> Vec<ResultRow> {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut out: Vec<ResultRow> = Vec::new();
    for (row, n) in rows {
        let copies = if form == Form::Rows { n } else { 1 };
        let fit = copies.min((MAX_ROWS.min(limit) - out.len()) as u64);
        if limit > MAX_ROWS {
            let cut = if form == Form::Rows { copies - fit } else { n * (1 - fit) };
            loss.dropped = loss.dropped.saturating_add(cut);
        }
        out.extend(std::iter::repeat_n(row, fit as usize));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::Aggregate;
    use pivot_advice::{Binary, Expr, Finish, Finished, Groups};
    use pivot_query::{Catalog, OutputAggregate, OutputKey, compile};

    fn column(i: u16) -> Expr {
        Expr::Column(i)
    }

    /// Rows of `(key, n, summed)` under a column expression over key, n and SUM.
    async fn check(rows: &[(Value, u64, Value)], expr: Expr, expected: &[Value]) {
        check_form(rows, expr, Form::Groups, expected).await;
    }

    async fn check_form(rows: &[(Value, u64, Value)], expr: Expr, form: Form, expected: &[Value]) {
        let finished = Finished { state: 0, finish: Finish::Plain };
        let output = OutputSchema {
            form,
            keys: vec![OutputKey { name: "key".into(), ty: Type::Any }],
            states: vec![Aggregate::Sum],
            finished: vec![OutputAggregate { name: "SUM".into(), finished, ty: Type::Any }],
            columns: vec![OutputColumn { name: "x".into(), ty: Type::Any, expr }],
            having: None,
            distinct: false,
            order: vec![],
            limit: None,
            sample: None,
        };
        let mut groups = Groups::new(1, &[Aggregate::Sum]);
        for (key, n, summed) in rows {
            let mut state = Aggregate::Sum.empty();
            state.update(summed, 1, &mut Errors::default());
            groups.entry(std::slice::from_ref(key)).merge(*n, &[state]);
        }
        let mut tally = WindowGroups::new(&groups);
        tally.groups = groups;
        let found = SelectEngine::new().rows(&tally, &output, 1.0).await.rows;
        let found: Vec<Vec<Value>> = found.into_iter().map(|row| row.values).collect();
        let expected: Vec<Vec<Value>> = expected.iter().map(|value| vec![value.clone()]).collect();
        assert_eq!(found, expected);
        let kinds = |rows: &[Vec<Value>]| rows.iter().map(|row| row[0].type_of()).collect::<Vec<_>>();
        assert_eq!(kinds(&found), kinds(&expected));
    }

    #[tokio::test]
    async fn a_quotient_of_integers_truncates() {
        let mean = Expr::binary(Binary::Divide, column(2), column(1));
        check(&[(Value::Null, 2, Value::I64(-7))], mean.clone(), &[Value::I64(-3)]).await;
        let rows = [(Value::Null, 2, Value::U64(u64::MAX))];
        check(&rows, mean, &[Value::U64(u64::MAX / 2)]).await;
    }

    #[tokio::test]
    async fn division_by_zero_is_null_for_its_row_alone() {
        let quotient = Expr::binary(Binary::Divide, column(2), column(0));
        let rows = [(Value::I64(0), 1, Value::I64(5)), (Value::I64(2), 1, Value::I64(5))];
        check(&rows, quotient, &[Value::Null, Value::I64(2)]).await;
    }

    #[tokio::test]
    async fn a_quotient_beyond_the_type_is_null() {
        let quotient = Expr::binary(Binary::Divide, column(2), column(0));
        check(&[(Value::I64(-1), 1, Value::I64(i64::MIN))], quotient, &[Value::Null]).await;
    }

    #[tokio::test]
    async fn sums_do_not_wrap() {
        let sum = Expr::binary(Binary::Add, column(2), column(0));
        check(&[(Value::I64(1), 1, Value::I64(i64::MAX))], sum, &[Value::Null]).await;
    }

    #[tokio::test]
    async fn sums_beyond_the_signed_ones_stay_numbers() {
        let rows = [(Value::I64(1), 1, Value::U64(7)), (Value::I64(2), 1, Value::U64(1 << 63))];
        check(&rows, column(2), &[Value::U64(7), Value::U64(1 << 63)]).await;
    }

    #[tokio::test]
    async fn values_of_several_types_keep_what_they_are_where_something_depends_on_it() {
        let five = Expr::binary(Binary::Equal, column(0), Expr::Literal(Value::I64(5)));
        let rows = [Value::I64(5), Value::str("5"), Value::Bool(true)].map(|key| (key, 1, Value::Null));
        // The text and the truth have no comparison with a number.
        check(&rows, five, &[Value::Null, Value::Null, Value::Bool(true)]).await;
    }

    #[tokio::test]
    async fn a_division_without_a_value_is_counted() {
        let text = "FROM t IN T GROUP BY t.s SELECT t.s, 1 / (COUNT - 1) AS x";
        let output = compile(text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output;
        let mut table = output.table();
        [("a", 1), ("b", 2)].iter().for_each(|(s, n)| table.entry(&[Value::str(s)]).merge(*n, &[]));
        let mut tally = WindowGroups::new(&table);
        tally.groups = table;
        assert_eq!(SelectEngine::new().rows(&tally, &output, 2.0).await.loss.errors, 1);
    }

    #[tokio::test]
    async fn lists_and_nulls_come_back_as_they_were() {
        let list = Value::List(vec![Value::str("a"), Value::Null].into());
        let rows = [(Value::Null, 1, Value::Null), (list.clone(), 1, Value::Null)];
        check(&rows, column(0), &[Value::Null, list]).await;
        check(&rows, column(2), &[Value::Null, Value::Null]).await;
    }

    #[tokio::test]
    async fn times_keep_their_type() {
        let rows = [(Value::Timestamp(7), 2, Value::Duration(9))];
        check(&rows, column(0), &[Value::Timestamp(7)]).await;
        let half = Expr::binary(Binary::Divide, column(2), column(1));
        check(&rows, half, &[Value::Duration(4)]).await;
    }

    #[tokio::test]
    async fn single_rows_are_repeated_and_groups_are_not() {
        let rows = [(Value::I64(4), 3, Value::Null)];
        check_form(&rows, column(0), Form::Rows, &[Value::I64(4), Value::I64(4), Value::I64(4)]).await;
        check_form(&rows, column(0), Form::Groups, &[Value::I64(4)]).await;
    }

    /// The shown rows of groups `(s, x)` that occurred so often.
    async fn shaped(tail: &str, groups: &[(&str, i64, u64)]) -> Vec<String> {
        let text = format!("FROM t IN T GROUP BY t.s SELECT t.s AS s, COUNT AS n, SUM(t.x) AS x {tail}");
        let output = compile(&text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output;
        let mut table = output.table();
        for (s, x, n) in groups {
            let mut state = Aggregate::Sum.empty();
            state.update(&Value::I64(*x), *n, &mut Errors::default());
            table.entry(&[Value::str(s)]).merge(*n, &[state]);
        }
        let mut tally = WindowGroups::new(&table);
        tally.groups = table;
        let rows = SelectEngine::new().rows(&tally, &output, 2.0).await.rows;
        let shown = |row: ResultRow| row.values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        rows.into_iter().map(shown).collect()
    }

    #[tokio::test]
    async fn having_order_and_limit_shape_the_merged_groups() {
        let groups = [("a", 5, 1), ("b", 1, 4), ("c", 9, 2), ("d", 0, 9)];
        assert_eq!(shaped("HAVING x > 0 ORDER BY x DESC", &groups).await, ["c 2 18", "a 1 5", "b 4 4"]);
        assert_eq!(shaped("ORDER BY COUNT DESC LIMIT 2", &groups).await, ["d 9 0", "b 4 4"]);
        assert_eq!(shaped("LIMIT 0", &groups).await, Vec::<String>::new());
        assert_eq!(shaped("HAVING contains(s, 'a') OR n = 9", &groups).await, ["a 1 5", "d 9 0"]);
    }

    #[tokio::test]
    async fn distinct_rows_of_groups_are_shown_once() {
        let text = "FROM t IN T GROUP BY t.s SELECT DISTINCT length(t.s), COUNT, RATE(*) ORDER BY 1 DESC";
        let output = compile(text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output;
        let mut table = output.table();
        ["a", "b", "cc"].iter().for_each(|s| table.entry(&[Value::str(s)]).merge(4, &[]));
        let mut tally = WindowGroups::new(&table);
        tally.groups = table;
        let rows = SelectEngine::new().rows(&tally, &output, 2.0).await.rows;
        let values: Vec<Vec<Value>> = rows.into_iter().map(|row| row.values).collect();
        let row = |length| vec![Value::I64(length), Value::U64(4), Value::F64(2.0)];
        assert_eq!(values, [row(2), row(1)]);
    }

    #[test]
    fn rows_beyond_the_bound_are_dropped_and_counted() {
        let mut loss = Loss::default();
        let row = |n| (ResultRow { values: vec![], standard_errors: vec![] }, n);
        let rows = expand(vec![row(u64::MAX), row(2)], Form::Rows, None, &mut loss);
        assert_eq!((rows.len(), loss.dropped), (MAX_ROWS, u64::MAX - 9_998));
    }
}
