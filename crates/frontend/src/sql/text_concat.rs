//! `a || b` of texts, with a bound on what it makes at once: a text that is put together with itself some thirty times
//! would be larger than all memory.

use super::made_size::{MAX_MADE, MAX_TEXT, value_size};
use datafusion::arrow::array::{Array, AsArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, exec_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use std::sync::Arc;

/// The function behind `||` of texts.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TextConcat {
    signature: Signature,
}

impl TextConcat {
    /// Makes the function.
    pub(super) fn new() -> TextConcat {
        TextConcat { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TextConcat {
    fn name(&self) -> &str {
        "text_concat"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(names.join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types.len() {
            2 => Ok(vec![DataType::Utf8; 2]),
            other => exec_err!("|| puts two texts together, not {other}"),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [left, right] = &args.args[..] else { return exec_err!("|| puts two texts together") };
        let left = cast(&left.to_array(rows)?, &DataType::Utf8)?;
        let right = cast(&right.to_array(rows)?, &DataType::Utf8)?;

        let mut made = 0.0;
        for row in 0..rows {
            let bytes = value_size(&left, row) + value_size(&right, row);
            made += bytes;
            if bytes > MAX_TEXT || made > MAX_MADE {
                return exec_err!("|| would make texts that are too long: one may have {MAX_TEXT} bytes");
            }
        }

        let (left, right) = (left.as_string::<i32>(), right.as_string::<i32>());
        let mut texts = StringBuilder::with_capacity(rows, made as usize);
        for row in 0..rows {
            match left.is_null(row) || right.is_null(row) {
                true => texts.append_null(),
                false => texts.append_value(format!("{}{}", left.value(row), right.value(row))),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}

/// Has `||` of texts be [`TextConcat`]. Lists are put together by a function that is bounded too.
#[derive(Debug)]
pub(super) struct TextConcatPlanner;

impl ExprPlanner for TextConcatPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if expr.op != BinaryOperator::StringConcat
            || is_list(&expr.left, schema)
            || is_list(&expr.right, schema)
        {
            return Ok(PlannerResult::Original(expr));
        }

        let concat = Arc::new(ScalarUDF::new_from_impl(TextConcat::new()));
        Ok(PlannerResult::Planned(concat.call(vec![expr.left, expr.right])))
    }
}

/// Whether an expression is a list.
fn is_list(expr: &Expr, schema: &DFSchema) -> bool {
    let ty = expr.get_type(schema);
    ty.is_ok_and(|ty| matches!(ty, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)))
}
