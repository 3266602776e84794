//! What follows the merge: columns over keys, the multiplicity and finished aggregates, by DataFusion.
//!
//! Arrow wraps or fails where the language gives null, and has no arithmetic of mixed signs. So an
//! expression is planned natively where both agree, and is a function over the row where they differ.

use crate::arrow::{array, data_type, scalar, unite, values};
use crate::installed::columns;
use crate::window::Tally;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::functions::expr_fn::{coalesce, nullif};
use datafusion::logical_expr::{
    self as df, ColumnarValue, ScalarFunctionImplementation, Volatility, cast, create_udf, lit, when,
};
use datafusion::prelude::{SessionConfig, SessionContext, col};
use pivot_advice::{Binary, Errors, Expr, Form, Function, Groups, Loss, Type, Unary, Value};
use pivot_protocol::{to_wire, wire};
use pivot_query::Output;
use std::cmp::Ordering;
use std::sync::Arc;

/// The most rows of one result; the surplus counts as dropped.
const MAX_ROWS: usize = 10_000;

/// A frame that is to be computed.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) query: u32,
    /// Start and end, in nanoseconds since the epoch.
    pub(crate) window_ns: (i64, i64),
    pub(crate) revision: u32,
    pub(crate) output: Arc<Output>,
    pub(crate) window: Tally,
    pub(crate) cumulative: Tally,
    /// Reporting and expected.
    pub(crate) agents: (u32, u32),
    /// Whether an agent is missing.
    pub(crate) partial: bool,
    /// Whether one was missing in any window.
    pub(crate) cumulative_partial: bool,
    pub(crate) last: bool,
}

impl Pending {
    /// The frame, without its sequence. Rows that the engine fails on count as dropped.
    pub(crate) async fn compute(self, engine: &Engine) -> wire::Frame {
        let (rows, loss) = engine.rows(&self.window, &self.output).await;
        let (cumulative, cumulative_loss) = engine.rows(&self.cumulative, &self.output).await;
        let completeness = |tally: &Tally, loss: Loss, missing: bool| wire::Completeness {
            emitted: tally.emitted,
            loss: Some(to_wire::loss(&loss)),
            agents_reporting: self.agents.0,
            agents_expected: self.agents.1,
            partial: missing || !loss.is_zero() || tally.other > 0,
            other: tally.other,
        };
        wire::Frame {
            query: self.query,
            sequence: 0,
            window_start_ns: self.window_ns.0,
            window_end_ns: self.window_ns.1,
            revision: self.revision,
            columns: columns(&self.output),
            rows: wire_rows(&rows),
            cumulative: wire_rows(&cumulative),
            completeness: Some(completeness(&self.window, loss, self.partial)),
            cumulative_completeness: Some(completeness(
                &self.cumulative,
                cumulative_loss,
                self.cumulative_partial,
            )),
            last: self.last,
        }
    }
}

fn wire_rows(rows: &[Vec<Value>]) -> Vec<wire::Row> {
    let row = |row: &Vec<Value>| wire::Row { values: row.iter().map(to_wire::value).collect() };
    rows.iter().map(row).collect()
}

/// A DataFusion session for small tables.
pub(crate) struct Engine {
    context: SessionContext,
}

impl Engine {
    /// A session without parallelism: results are small and many.
    pub(crate) fn new() -> Engine {
        let config = SessionConfig::new().with_target_partitions(1);
        Engine { context: SessionContext::new_with_config(config) }
    }

    /// The sorted rows of a result and what it lacks, what was cut here included.
    pub(crate) async fn rows(&self, tally: &Tally, output: &Output) -> (Vec<Vec<Value>>, Loss) {
        let mut loss = tally.loss;
        let table = Table::of(&tally.groups, output, &mut loss);
        let computed = match self.select(&table, output, Plan::Native).await {
            Ok(rows) => Ok(rows),
            // Arrow refuses what the language calls null, such as the least integer over -1.
            Err(_) => self.select(&table, output, Plan::Rowwise).await,
        };
        let Ok(mut rows) = computed else {
            loss.dropped = tally.groups.iter().fold(loss.dropped, |sum, group| sum.saturating_add(group.n));
            return (Vec::new(), loss);
        };
        rows.sort_by(|a, b| compare(&a.0, &b.0));
        (expand(rows, output.form, &mut loss), loss)
    }

    /// Rows with their multiplicity.
    async fn select(&self, table: &Table, output: &Output, plan: Plan) -> Result<Vec<(Vec<Value>, u64)>> {
        if table.rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut types = Vec::new();
        let mut selected = Vec::new();
        for (i, column) in output.columns.iter().enumerate() {
            let native = if plan == Plan::Native { native(&column.expr, &table.types) } else { None };
            let (expr, ty) = native.unwrap_or_else(|| rowwise(i, &column.expr, column.ty, table));
            selected.push(expr.alias(format!("o{i}")));
            types.push(ty);
        }
        selected.push(col(name(output.keys.len())).alias("n"));
        types.push(Type::U64);
        let batches = self.context.read_batch(table.batch()?)?.select(selected)?.collect().await?;
        let mut rows = Vec::new();
        for batch in batches {
            let pairs = batch.columns().iter().zip(&types);
            let columns: Vec<Vec<Value>> =
                pairs.map(|(array, ty)| values(array, *ty)).collect::<Result<_>>()?;
            for i in 0..batch.num_rows() {
                let mut row: Vec<Value> = columns.iter().map(|column| column[i].clone()).collect();
                let n = row.pop().and_then(|n| n.as_integer()).and_then(|n| u64::try_from(n).ok());
                rows.push((row, n.unwrap_or(0)));
            }
        }
        Ok(rows)
    }
}

/// How expressions are planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// As Arrow kernels where they agree with the language.
    Native,
    /// All as functions over the row.
    Rowwise,
}

/// Groups as rows: keys, n, finished aggregates.
struct Table {
    rows: Vec<Vec<Value>>,
    types: Vec<Type>,
}

impl Table {
    fn of(groups: &Groups, output: &Output, loss: &mut Loss) -> Table {
        let mut errors = Errors::default();
        let rows: Vec<Vec<Value>> = groups
            .iter()
            .map(|group| {
                let finished = group.states.iter().map(|state| state.finish(&mut errors));
                group.key.iter().cloned().chain([Value::U64(group.n)]).chain(finished).collect()
            })
            .collect();
        loss.errors = loss.errors.saturating_add(errors.0);
        let keys = output.keys.iter().map(|key| key.ty);
        let declared = keys.chain([Type::U64]).chain(output.aggregates.iter().map(|found| found.ty));
        let of =
            |(i, ty): (usize, Type)| unite(&rows.iter().filter_map(|row| row.get(i)).collect::<Vec<_>>(), ty);
        let types = declared.enumerate().map(of).collect();
        Table { rows, types }
    }

    fn batch(&self) -> Result<RecordBatch> {
        let fields = self.types.iter().enumerate().map(|(i, ty)| Field::new(name(i), data_type(*ty), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let column = |(i, ty): (usize, &Type)| {
            let values: Vec<Value> = self.rows.iter().map(|row| row[i].clone()).collect();
            array(&values, *ty)
        };
        let columns: Vec<ArrayRef> = self.types.iter().enumerate().map(column).collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}

fn name(column: usize) -> String {
    format!("c{column}")
}

/// The expression in Arrow kernels, if they agree with the language for these types.
fn native(expr: &Expr, types: &[Type]) -> Option<(df::Expr, Type)> {
    match expr {
        Expr::Column(i) => Some((col(name(usize::from(*i))), *types.get(usize::from(*i))?)),
        Expr::Literal(value) => {
            let ty = value.type_of();
            let plain = matches!(ty, Type::Bool | Type::I64 | Type::U64 | Type::F64 | Type::String);
            Some((lit(scalar(value, ty).ok().filter(|_| plain)?), ty))
        }
        Expr::Unary(op, x) => {
            let (x, ty) = native(x, types)?;
            match (op, ty) {
                (Unary::IsNull, _) => Some((x.is_null(), Type::Bool)),
                (Unary::Not, Type::Bool) => Some((df::not(x), Type::Bool)),
                (Unary::Negate, Type::F64) => Some((df::Expr::Negative(Box::new(x)), Type::F64)),
                _ => None,
            }
        }
        Expr::Binary(op, x, y) => binary(*op, native(x, types)?, native(y, types)?),
        Expr::Call(Function::Coalesce, arguments) => {
            let arguments: Vec<_> = arguments.iter().map(|x| native(x, types)).collect::<Option<_>>()?;
            let ty = arguments.first()?.1;
            let same = arguments.iter().all(|(_, other)| *other == ty);
            same.then(|| (coalesce(arguments.into_iter().map(|(x, _)| x).collect()), ty))
        }
        Expr::Case(arms, otherwise) => case(arms, otherwise.as_deref()?, types),
        Expr::Call(..) | Expr::In(..) | Expr::Matches(..) | Expr::Cast(..) => None,
    }
}

fn binary(op: Binary, (x, a): (df::Expr, Type), (y, b): (df::Expr, Type)) -> Option<(df::Expr, Type)> {
    use Type::{Bool, F64, I64, String, U64};
    let numbers = [I64, U64, F64];
    let doubles = numbers.contains(&a) && numbers.contains(&b) && (a == F64 || b == F64);
    let comparable = a == b && matches!(a, Bool | I64 | U64 | String | Type::Timestamp | Type::Duration);
    let operator = match op {
        Binary::Add => df::Operator::Plus,
        Binary::Subtract => df::Operator::Minus,
        Binary::Multiply => df::Operator::Multiply,
        Binary::Divide => df::Operator::Divide,
        Binary::Remainder => df::Operator::Modulo,
        Binary::Equal => df::Operator::Eq,
        Binary::NotEqual => df::Operator::NotEq,
        Binary::Less => df::Operator::Lt,
        Binary::LessEqual => df::Operator::LtEq,
        Binary::Greater => df::Operator::Gt,
        Binary::GreaterEqual => df::Operator::GtEq,
        Binary::And => df::Operator::And,
        Binary::Or => df::Operator::Or,
        Binary::Concat => return None,
    };
    match op {
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder if doubles => {
            let (x, y) = (cast(x, DataType::Float64), cast(y, DataType::Float64));
            Some((df::binary_expr(x, operator, y), F64))
        }
        // A zero divisor is null here; the other operators would wrap around.
        Binary::Divide | Binary::Remainder if a == b && matches!(a, I64 | U64) => {
            let zero = if a == I64 { lit(0_i64) } else { lit(0_u64) };
            Some((df::binary_expr(x, operator, nullif(y, zero)), a))
        }
        Binary::And | Binary::Or if a == Bool && b == Bool => Some((df::binary_expr(x, operator, y), Bool)),
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => None,
        Binary::And | Binary::Or => None,
        _ => comparable.then(|| (df::binary_expr(x, operator, y), Bool)),
    }
}

fn case(arms: &[(Expr, Expr)], otherwise: &Expr, types: &[Type]) -> Option<(df::Expr, Type)> {
    let (mut result, ty) = native(otherwise, types)?;
    for (condition, then) in arms.iter().rev() {
        let ((condition, truth), (then, then_ty)) = (native(condition, types)?, native(then, types)?);
        if truth != Type::Bool || then_ty != ty {
            return None;
        }
        result = when(condition, then).otherwise(result).ok()?;
    }
    Some((result, ty))
}

/// The expression as a function over the whole row, by the language's own evaluation.
fn rowwise(place: usize, expr: &Expr, declared: Type, table: &Table) -> (df::Expr, Type) {
    let found: Vec<Value> = table.rows.iter().map(|row| expr.eval(row, &mut Errors::default())).collect();
    let ty = unite(&found.iter().collect::<Vec<_>>(), declared);
    let (owned, types) = (expr.clone(), table.types.clone());
    let evaluate: ScalarFunctionImplementation = Arc::new(move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let columns: Vec<Vec<Value>> =
            arrays.iter().zip(&types).map(|(array, ty)| values(array, *ty)).collect::<Result<_>>()?;
        let count = columns.first().map_or(0, Vec::len);
        let rows = (0..count).map(|i| {
            let row: Vec<Value> = columns.iter().map(|column| column[i].clone()).collect();
            owned.eval(&row, &mut Errors::default())
        });
        Ok::<_, DataFusionError>(ColumnarValue::Array(array(&rows.collect::<Vec<_>>(), ty)?))
    });
    let inputs = table.types.iter().map(|ty| data_type(*ty)).collect();
    let function =
        create_udf(&format!("pivot_column_{place}"), inputs, data_type(ty), Volatility::Immutable, evaluate);
    (function.call((0..table.types.len()).map(|i| col(name(i))).collect()), ty)
}

fn compare(a: &[Value], b: &[Value]) -> Ordering {
    let differing = a.iter().zip(b).map(|(x, y)| x.total_cmp(y)).find(|order| order.is_ne());
    differing.unwrap_or(Ordering::Equal)
}

/// Single rows are repeated; what is beyond the bound is counted.
fn expand(rows: Vec<(Vec<Value>, u64)>, form: Form, loss: &mut Loss) -> Vec<Vec<Value>> {
    let mut out: Vec<Vec<Value>> = Vec::new();
    for (row, n) in rows {
        let copies = if form == Form::Rows { n } else { 1 };
        let fit = copies.min((MAX_ROWS - out.len()) as u64);
        let cut = if form == Form::Rows { copies - fit } else { n * (1 - fit) };
        loss.dropped = loss.dropped.saturating_add(cut);
        out.extend(std::iter::repeat_n(row, fit as usize));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::Aggregate;
    use pivot_query::{OutputAggregate, OutputColumn, OutputKey};

    fn column(i: u16) -> Expr {
        Expr::Column(i)
    }

    /// Rows of `(key, n, summed)` under a column expression over key, n and SUM.
    async fn check(rows: &[(Value, u64, Value)], expr: Expr, expected: &[Value]) {
        check_form(rows, expr, Form::Groups, expected).await;
    }

    async fn check_form(rows: &[(Value, u64, Value)], expr: Expr, form: Form, expected: &[Value]) {
        let output = Output {
            form,
            keys: vec![OutputKey { name: "key".into(), ty: Type::Any }],
            aggregates: vec![OutputAggregate { aggregate: Aggregate::Sum, ty: Type::Any }],
            columns: vec![OutputColumn { name: "x".into(), ty: Type::Any, expr }],
        };
        let mut groups = Groups::new(1, &[Aggregate::Sum]);
        for (key, n, summed) in rows {
            let mut state = Aggregate::Sum.empty();
            state.update(summed, 1, &mut Errors::default());
            groups.entry(std::slice::from_ref(key)).merge(*n, &[state]);
        }
        let tally = Tally { groups, emitted: 0, loss: Loss::default(), other: 0 };
        let (found, _) = Engine::new().rows(&tally, &output).await;
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
    async fn case_and_comparison_run_in_arrow() {
        let large = Expr::binary(Binary::Greater, column(1), Expr::Literal(Value::U64(1)));
        let then = Expr::Literal(Value::str("many"));
        let case = Expr::Case(vec![(large, then)], Some(Box::new(Expr::Literal(Value::str("one")))));
        let types = [Type::Null, Type::U64, Type::Null];
        assert!(native(&case, &types).is_some());
        let rows = [(Value::I64(1), 1, Value::Null), (Value::I64(2), 2, Value::Null)];
        check(&rows, case, &[Value::str("many"), Value::str("one")]).await;
    }

    #[tokio::test]
    async fn single_rows_are_repeated_and_groups_are_not() {
        let rows = [(Value::I64(4), 3, Value::Null)];
        check_form(&rows, column(0), Form::Rows, &[Value::I64(4), Value::I64(4), Value::I64(4)]).await;
        check_form(&rows, column(0), Form::Groups, &[Value::I64(4)]).await;
    }

    #[test]
    fn rows_beyond_the_bound_are_dropped_and_counted() {
        let mut loss = Loss::default();
        let rows = expand(vec![(vec![], u64::MAX), (vec![], 2)], Form::Rows, &mut loss);
        assert_eq!((rows.len(), loss.dropped), (MAX_ROWS, u64::MAX - 9_998));
    }
}
