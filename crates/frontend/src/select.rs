//! From merged groups to the rows of a result: SELECT, HAVING, DISTINCT, ORDER BY and LIMIT.
//!
//! ```text
//! WindowGroups ──finish──▶ FinishedGroup: keys, n, aggregates, seconds      `finished_groups`, `estimate`
//!                               │
//!                               ▼  every expression once per group          `evaluated_rows`
//!              ┌─────────────────────────────────┐
//!              │ EvaluatedRows                   │
//!              │   values of SELECT              │
//!              │   having, ranks, row number ────┼──▶ DataFusion: filter, distinct, sort, limit
//!              └──────────────┬──────────────────┘                │
//!                             └──────── row numbers ◀─────────────┘
//!                                          │
//!                                          ▼  rows repeated as often as they occurred
//!                                     ResultTable
//! ```
//!
//! DataFusion decides which rows there are and in which order, and never sees a value: there is one
//! arithmetic in Pivot, and it is not Arrow's, which wraps or fails where ours gives null.

use crate::column_role::{self, ColumnRole};
use crate::estimate::{SampledMeaning, estimated_groups, is_sampled, scale_to_all_requests, standard_error};
use crate::evaluated_rows::{EvaluatedRows, HAVING, ROW, distinct_column, order_column};
use crate::finished_groups::{FinishedGroup, compare_rows, sketch_errors};
use crate::window_groups::WindowGroups;
use datafusion::arrow::array::UInt64Array;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr as df;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext, col};
use pivot_advice::{EmitMode, EvalErrors, Expr, LossCounts, Type, Value};
use pivot_query::{NullPlace, OutputColumn, OutputPlan, SortDirection};

/// The most rows of one result; further ones count as dropped.
const MAX_ROWS: usize = 10_000;

/// A column of a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResultColumn {
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// How far values of sketches may be off, as a fraction of them; 0 if they are exact.
    pub(crate) relative_error: f64,
    /// How much its values tell about all requests if only a sample of them was processed.
    pub(crate) estimate: SampledMeaning,
    /// Whether it is a key, a measure or a value of a row.
    pub(crate) role: ColumnRole,
    /// Its place in ORDER BY, from 1; 0 if rows are not sorted by it.
    pub(crate) order_position: u32,
    /// Whether its values are lists of buckets.
    pub(crate) has_buckets: bool,
}

impl ResultColumn {
    /// Makes a column as the query declares it, before there are values.
    pub(crate) fn declared(column: &OutputColumn, output: &OutputPlan) -> ResultColumn {
        ResultColumn {
            name: column.name.clone(),
            ty: column.ty,
            relative_error: 0.0,
            estimate: SampledMeaning::None,
            role: column_role::role(column, output),
            order_position: column_role::order_position(column, output),
            has_buckets: output.has_buckets(column),
        }
    }
}

/// One row of a result.
#[derive(Debug, Clone)]
pub(crate) struct ResultRow {
    pub(crate) values: Vec<Value>,
    /// The standard errors of the values, 0 where there is none; empty if nothing is estimated.
    pub(crate) standard_errors: Vec<f64>,
}

/// The rows of a result.
#[derive(Debug)]
pub(crate) struct ResultTable {
    pub(crate) rows: Vec<ResultRow>,
    /// For each column how far values of sketches may be off, as a fraction of them.
    pub(crate) relative_errors: Vec<f64>,
    /// Losses of its groups, and those added here.
    pub(crate) loss: LossCounts,
}

/// A row together with the number of rows that it stands for.
#[derive(Debug)]
struct CountedRow {
    row: ResultRow,
    n: u64,
}

/// Makes the one row of all rows that found no group of their own; its keys are null, since it is of many
/// keys. Returns `None` if there are no such rows.
pub(crate) fn other_row(groups: &WindowGroups, output: &OutputPlan, seconds: f64) -> Option<ResultRow> {
    if output.form != EmitMode::Groups {
        return None;
    }
    let group = groups.other.iter().next()?;

    let keys = vec![Value::Null; output.keys.len()];
    let mut finished = output.row(&keys, group.n, &group.states, seconds, &mut EvalErrors::default());
    scale_to_all_requests(&mut finished, &group.states, output);

    let columns = output.columns.iter();
    let values = columns.map(|column| column.expr.eval(&finished, &mut EvalErrors::default())).collect();
    Some(ResultRow { values, standard_errors: vec![] })
}

/// Makes results of groups.
pub(crate) struct SelectEngine {
    context: SessionContext,
}

impl std::fmt::Debug for SelectEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SelectEngine").finish_non_exhaustive()
    }
}

impl SelectEngine {
    /// Makes an engine. It computes each result on one core: results are small, and there are many.
    pub(crate) fn new() -> SelectEngine {
        let config = SessionConfig::new().with_target_partitions(1);
        SelectEngine { context: SessionContext::new_with_config(config) }
    }

    /// Makes an engine that has no memory to sort in.
    #[cfg(test)]
    pub(crate) fn without_memory() -> SelectEngine {
        use datafusion::execution::runtime_env::RuntimeEnvBuilder;
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(1, 1.0).build_arc();
        let runtime = runtime.unwrap_or_else(|wrong| panic!("{wrong}"));
        let config = SessionConfig::new().with_target_partitions(1);
        SelectEngine { context: SessionContext::new_with_config_rt(config, runtime) }
    }

    /// Computes the rows of a result over so many seconds, in the order of ORDER BY, or by their values.
    /// Fails only if DataFusion fails, for instance for want of memory.
    pub(crate) async fn select(
        &self,
        groups: &WindowGroups,
        output: &OutputPlan,
        seconds: f64,
    ) -> Result<ResultTable> {
        let mut errors = EvalErrors::default();
        let finished = finish(groups, output, seconds, &mut errors);
        let mut rows = self.shaped_rows(&finished, output, &mut errors).await?;

        // Evaluations without a value are a loss of this result, in addition to those of the agents.
        let mut loss = groups.loss;
        loss.errors = loss.errors.saturating_add(errors.0);
        if output.order.is_empty() {
            rows.sort_by(|a, b| compare_rows(&a.row.values, &b.row.values));
        }
        let rows = repeat_rows(rows, output.form, output.limit, &mut loss);

        let sketch_errors = sketch_errors(groups, output);
        let columns = output.columns.iter();
        let relative_errors = columns.map(|column| relative_error(&column.expr, &sketch_errors)).collect();
        Ok(ResultTable { rows, relative_errors, loss })
    }

    /// Evaluates all expressions, and returns the rows that HAVING, DISTINCT and LIMIT leave.
    async fn shaped_rows(
        &self,
        groups: &[FinishedGroup],
        output: &OutputPlan,
        errors: &mut EvalErrors,
    ) -> Result<Vec<CountedRow>> {
        if groups.is_empty() {
            return Ok(Vec::new());
        }

        // Every value is computed once, here; what DataFusion returns are numbers of rows.
        let evaluated = EvaluatedRows::new(groups, output, errors)?;
        let frame = shaped(self.context.read_batch(evaluated.batch())?, output)?;

        let mut rows = Vec::new();
        for batch in frame.collect().await? {
            let numbers =
                batch.column_by_name(ROW).and_then(|array| array.as_any().downcast_ref::<UInt64Array>());
            let numbers = numbers.ok_or_else(|| exec_datafusion_err!("the row numbers are missing"))?;
            for number in numbers.values() {
                let number = usize::try_from(*number).unwrap_or(usize::MAX);
                let group =
                    groups.get(number).ok_or_else(|| exec_datafusion_err!("there is no row {number}"))?;
                let standard_errors = standard_errors(group, output);
                let row = ResultRow { values: evaluated.row(number), standard_errors };
                rows.push(CountedRow { row, n: group.n });
            }
        }
        Ok(rows)
    }
}

/// Makes rows of values of groups, in an order that depends on the values alone: agents report in any order,
/// and what ORDER BY does not tell apart must not change places from frame to frame.
pub(crate) fn finish(
    groups: &WindowGroups,
    output: &OutputPlan,
    seconds: f64,
    errors: &mut EvalErrors,
) -> Vec<FinishedGroup> {
    let mut finished: Vec<FinishedGroup> = if is_sampled(groups, output) {
        estimated_groups(groups, output, seconds, errors)
    } else {
        groups.groups.iter().map(|group| FinishedGroup::exact(&group, output, seconds, errors)).collect()
    };

    // Of agents that took part one knows that nothing happened; without any one knows nothing.
    if finished.is_empty() && output.has_one_row() && groups.is_answered {
        finished.push(FinishedGroup::of_nothing(output, seconds, errors));
    }
    finished.sort_by(|a, b| compare_rows(&a.values, &b.values));
    finished
}

/// Applies HAVING, DISTINCT, ORDER BY and LIMIT to a batch of [`EvaluatedRows`].
fn shaped(mut frame: DataFrame, output: &OutputPlan) -> Result<DataFrame> {
    if output.having.is_some() {
        frame = frame.filter(col(HAVING))?;
    }

    let orders: Vec<df::Expr> = (0..output.order.len()).map(|i| col(order_column(i))).collect();
    if output.distinct {
        let ranks = (0..output.columns.len()).map(|i| col(distinct_column(i))).collect();
        let kept = orders.iter().cloned().chain([col(ROW)]).collect();
        frame = frame.distinct_on(ranks, kept, None)?;
    }

    if !output.order.is_empty() {
        // Null has no rank: the query says where it comes. Rows that ORDER BY does not tell apart are in the order
        // of their numbers.
        let sorts = orders.into_iter().zip(&output.order);
        let sorts = sorts.map(|(rank, (_, order))| {
            let is_ascending = order.direction == SortDirection::Ascending;
            rank.sort(is_ascending, order.nulls == NullPlace::First)
        });
        frame = frame.sort(sorts.chain([col(ROW).sort(true, true)]).collect())?;

        // Without ORDER BY the limit is applied later, to rows sorted by their values.
        if let Some(limit) = output.limit {
            frame = frame.limit(0, Some(usize::try_from(limit).unwrap_or(usize::MAX)))?;
        }
    }
    frame.select(vec![col(ROW)])
}

/// Returns how far a column may be off because of sketches, as a fraction: the largest error of any value in
/// its expression.
fn relative_error(expr: &Expr, sketch_errors: &[f64]) -> f64 {
    let mut largest: f64 = 0.0;
    expr.columns(&mut |column| {
        largest = largest.max(sketch_errors.get(usize::from(column)).copied().unwrap_or(0.0));
    });
    largest
}

/// Returns the standard errors of the columns of a group, or nothing if the group is exact.
fn standard_errors(group: &FinishedGroup, output: &OutputPlan) -> Vec<f64> {
    if group.standard_errors.is_empty() {
        return vec![];
    }
    output.columns.iter().map(|column| standard_error(&column.expr, group, output)).collect()
}

/// Repeats single rows as often as they occurred, up to LIMIT and [`MAX_ROWS`].
fn repeat_rows(
    rows: Vec<CountedRow>,
    form: EmitMode,
    limit: Option<u64>,
    loss: &mut LossCounts,
) -> Vec<ResultRow> {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let most = MAX_ROWS.min(limit);

    let mut repeated: Vec<ResultRow> = Vec::new();
    for CountedRow { row, n } in rows {
        let copies = if form == EmitMode::Rows { n } else { 1 };
        let fit = copies.min((most - repeated.len()) as u64);

        // What is beyond LIMIT is not wanted; what is beyond the bound of a result is lost.
        if limit > MAX_ROWS {
            let cut = if form == EmitMode::Rows { copies - fit } else { n * (1 - fit) };
            loss.dropped = loss.dropped.saturating_add(cut);
        }
        repeated.extend(std::iter::repeat_n(row, fit as usize));
    }
    repeated
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use pivot_advice::AggregateKind;
    use pivot_advice::{BinaryOperator, Expr, FinalColumn, FinalFunction, Groups};
    use pivot_query::{Catalog, OutputAggregate, OutputKey, compile};

    fn column(i: u16) -> Expr {
        Expr::Column(i)
    }

    /// Rows of `(key, n, summed)` under a column expression over key, n and SUM.
    async fn check(rows: &[(Value, u64, Value)], expr: Expr, expected: &[Value]) {
        check_form(rows, expr, EmitMode::Groups, expected).await;
    }

    async fn check_form(rows: &[(Value, u64, Value)], expr: Expr, form: EmitMode, expected: &[Value]) {
        let finished = FinalColumn { state: 0, finish: FinalFunction::Plain };
        let output = OutputPlan {
            form,
            keys: vec![OutputKey { name: "key".into(), ty: Type::Any }],
            states: vec![AggregateKind::Sum],
            finished: vec![OutputAggregate { name: "SUM".into(), finished, ty: Type::Any }],
            columns: vec![OutputColumn { name: "x".into(), ty: Type::Any, expr }],
            having: None,
            distinct: false,
            order: vec![],
            limit: None,
            sample: None,
        };
        let mut groups = Groups::new(1, &[AggregateKind::Sum]);
        for (key, n, summed) in rows {
            let mut state = AggregateKind::Sum.empty();
            state.update(summed, 1, &mut EvalErrors::default());
            groups.entry(std::slice::from_ref(key)).merge(*n, &[state]);
        }
        let window = WindowGroups::from(&groups);
        let found = SelectEngine::new().select(&window, &output, 1.0).await.unwrap().rows;
        let found: Vec<Vec<Value>> = found.into_iter().map(|row| row.values).collect();
        let expected: Vec<Vec<Value>> = expected.iter().map(|value| vec![value.clone()]).collect();

        assert_eq!(found, expected);

        let kinds = |rows: &[Vec<Value>]| rows.iter().map(|row| row[0].type_of()).collect::<Vec<_>>();
        assert_eq!(kinds(&found), kinds(&expected));
    }

    #[tokio::test]
    async fn a_quotient_of_integers_truncates() {
        let mean = Expr::binary(BinaryOperator::Divide, column(2), column(1));
        check(&[(Value::Null, 2, Value::I64(-7))], mean.clone(), &[Value::I64(-3)]).await;
        let rows = [(Value::Null, 2, Value::U64(u64::MAX))];
        check(&rows, mean, &[Value::U64(u64::MAX / 2)]).await;
    }

    #[tokio::test]
    async fn division_by_zero_is_null_for_its_row_alone() {
        let quotient = Expr::binary(BinaryOperator::Divide, column(2), column(0));
        let rows = [(Value::I64(0), 1, Value::I64(5)), (Value::I64(2), 1, Value::I64(5))];
        check(&rows, quotient, &[Value::Null, Value::I64(2)]).await;
    }

    #[tokio::test]
    async fn a_quotient_beyond_the_type_is_null() {
        let quotient = Expr::binary(BinaryOperator::Divide, column(2), column(0));
        check(&[(Value::I64(-1), 1, Value::I64(i64::MIN))], quotient, &[Value::Null]).await;
    }

    #[tokio::test]
    async fn sums_do_not_wrap() {
        let sum = Expr::binary(BinaryOperator::Add, column(2), column(0));
        check(&[(Value::I64(1), 1, Value::I64(i64::MAX))], sum, &[Value::Null]).await;
    }

    #[tokio::test]
    async fn sums_beyond_the_signed_ones_stay_numbers() {
        let rows = [(Value::I64(1), 1, Value::U64(7)), (Value::I64(2), 1, Value::U64(1 << 63))];
        check(&rows, column(2), &[Value::U64(7), Value::U64(1 << 63)]).await;
    }

    #[tokio::test]
    async fn values_of_several_types_keep_what_they_are_where_something_depends_on_it() {
        let five = Expr::binary(BinaryOperator::Equal, column(0), Expr::Literal(Value::I64(5)));
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
        let window = WindowGroups::from(&table);
        assert_eq!(SelectEngine::new().select(&window, &output, 2.0).await.unwrap().loss.errors, 1);
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
        let half = Expr::binary(BinaryOperator::Divide, column(2), column(1));
        check(&rows, half, &[Value::Duration(4)]).await;
    }

    #[tokio::test]
    async fn single_rows_are_repeated_and_groups_are_not() {
        let rows = [(Value::I64(4), 3, Value::Null)];
        check_form(&rows, column(0), EmitMode::Rows, &[Value::I64(4), Value::I64(4), Value::I64(4)]).await;
        check_form(&rows, column(0), EmitMode::Groups, &[Value::I64(4)]).await;
    }

    /// The shown rows of groups `(s, x)` that occurred so often.
    async fn shaped(tail: &str, groups: &[(&str, i64, u64)]) -> Vec<String> {
        let text = format!("FROM t IN T GROUP BY t.s SELECT t.s AS s, COUNT AS n, SUM(t.x) AS x {tail}");
        let output = compile(&text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output;
        let mut table = output.table();
        for (s, x, n) in groups {
            let mut state = AggregateKind::Sum.empty();
            state.update(&Value::I64(*x), *n, &mut EvalErrors::default());
            table.entry(&[Value::str(s)]).merge(*n, &[state]);
        }
        let window = WindowGroups::from(&table);
        let rows = SelectEngine::new().select(&window, &output, 2.0).await.unwrap().rows;
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
    async fn null_is_sorted_as_the_largest_value_or_where_the_query_says() {
        let sorted = "FROM t IN T GROUP BY t.x SELECT t.x ORDER BY t.x";
        for (tail, expected) in [
            ("", "1.0 inf NaN null"),
            (" DESC", "null NaN inf 1.0"),
            (" NULLS FIRST", "null 1.0 inf NaN"),
            (" DESC NULLS LAST", "NaN inf 1.0 null"),
        ] {
            let text = format!("{sorted}{tail}");
            let output = compile(&text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output;
            let mut table = output.table();
            let keys = [Value::F64(1.0), Value::Null, Value::F64(f64::NAN), Value::F64(f64::INFINITY)];
            keys.into_iter().for_each(|key| table.entry(&[key]).n = 1);
            let window = WindowGroups::from(&table);

            let rows = SelectEngine::new().select(&window, &output, 1.0).await.unwrap().rows;
            let found: Vec<String> = rows.iter().map(|row| row.values[0].to_string()).collect();
            assert_eq!(found.join(" "), expected, "{tail}");
        }
    }

    #[tokio::test]
    async fn distinct_rows_of_groups_are_shown_once() {
        let text = "FROM t IN T GROUP BY t.s SELECT DISTINCT length(t.s), COUNT, RATE(*) ORDER BY 1 DESC";
        let output = compile(text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output;
        let mut table = output.table();
        ["a", "b", "cc"].iter().for_each(|s| table.entry(&[Value::str(s)]).merge(4, &[]));
        let window = WindowGroups::from(&table);
        let rows = SelectEngine::new().select(&window, &output, 2.0).await.unwrap().rows;
        let values: Vec<Vec<Value>> = rows.into_iter().map(|row| row.values).collect();
        let row = |length| vec![Value::I64(length), Value::U64(4), Value::F64(2.0)];

        assert_eq!(values, [row(2), row(1)]);
    }

    #[test]
    fn rows_beyond_the_bound_are_dropped_and_counted() {
        let mut loss = LossCounts::default();
        let row = |n| CountedRow { row: ResultRow { values: vec![], standard_errors: vec![] }, n };
        let rows = repeat_rows(vec![row(u64::MAX), row(2)], EmitMode::Rows, None, &mut loss);
        assert_eq!((rows.len(), loss.dropped), (MAX_ROWS, u64::MAX - 9_998));
    }

    #[tokio::test]
    async fn a_failure_of_datafusion_is_an_error_and_not_an_empty_result() {
        let text = "FROM t IN T GROUP BY t.s SELECT t.s ORDER BY COUNT";
        let output = compile(text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output;
        let mut table = output.table();
        table.entry(&[Value::str("a")]).n = 1;
        let failed = SelectEngine::without_memory().select(&WindowGroups::from(&table), &output, 1.0).await;
        assert!(failed.unwrap_err().to_string().contains("Resources exhausted"));
    }
}
