//! Expressions over cells: what [`Expr::eval`] does, without making values where cells do.
//!
//! The comparisons of a column with a constant, which most conditions are, become one node each: an integer range, or
//! the equality of words. Whatever is rare is evaluated by [`Expr::eval`] itself.

use crate::run::cells::{Cell, Cells};
use pivot_advice::kleene::LogicalConnective;
use pivot_advice::{BinaryOperator, EvalErrors, Expr, UnaryOperator, Value, eval};

/// An expression that is ready to run.
#[derive(Debug)]
pub(crate) enum CellExpr {
    Column(usize),
    Constant(Cell),
    /// A column compared with a whole number.
    InRange(usize, AcceptedInts),
    /// A column compared with short text, for equality.
    EqualsText(usize, Cell),
    Unary(UnaryOperator, Box<CellExpr>),
    Binary(BinaryOperator, Box<CellExpr>, Box<CellExpr>),
    /// Anything else, and the columns that it reads.
    General(Expr, Vec<usize>),
}

/// The integers that a comparison accepts: `first..first + count` modulo 2^64. So every comparison becomes one
/// subtraction and one unsigned comparison.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AcceptedInts {
    first: i64,
    count: u64,
    op: BinaryOperator,
    limit: i64,
}

impl AcceptedInts {
    /// Accepts nothing.
    pub(crate) const NONE: AcceptedInts =
        AcceptedInts { first: 0, count: 0, op: BinaryOperator::Less, limit: i64::MIN };

    /// Returns the range of a comparison with `limit`, or `None` if the operator is no comparison or accepts all integers.
    fn new(op: BinaryOperator, limit: i64) -> Option<AcceptedInts> {
        let (below, above) = (limit.abs_diff(i64::MIN), limit.abs_diff(i64::MAX));
        let next = limit.wrapping_add(1);

        let (first, count) = match op {
            BinaryOperator::Equal => (limit, 1),
            BinaryOperator::NotEqual => (next, u64::MAX),
            BinaryOperator::LessEqual => (i64::MIN, below.checked_add(1)?),
            BinaryOperator::Greater => (next, above),
            BinaryOperator::GreaterEqual => (limit, above.checked_add(1)?),
            BinaryOperator::Less => (i64::MIN, below),
            _ => return None,
        };

        Some(AcceptedInts { first, count, op, limit })
    }

    /// Returns whether a value is in the range.
    #[inline(always)]
    pub(crate) fn holds(&self, cell: Cell, cells: &mut Cells, errors: &mut EvalErrors) -> bool {
        match cell.as_integer() {
            Some(x) => self.accepts(x),
            None => self.compare(cell, cells, errors) == Cell::bool(true),
        }
    }

    /// Returns whether a value is in the range, and ends the event in `cells` if not.
    #[inline(always)]
    pub(crate) fn lets_pass(&self, cell: Cell, cells: &mut Cells, errors: &mut EvalErrors) -> bool {
        match cell.as_integer() {
            Some(x) => self.accepts(x),
            None => {
                let passes = self.compare(cell, cells, errors) == Cell::bool(true);
                if !passes {
                    cells.end();
                }
                passes
            }
        }
    }

    #[inline(always)]
    fn accepts(&self, x: i64) -> bool {
        x.wrapping_sub(self.first).cast_unsigned() < self.count
    }

    /// Compares anything but a small integer.
    #[cold]
    #[inline(never)]
    fn compare(&self, cell: Cell, cells: &mut Cells, errors: &mut EvalErrors) -> Cell {
        binary(self.op, cell, Cell::i64(self.limit), cells, errors)
    }
}

impl CellExpr {
    pub(crate) fn compile(expr: &Expr) -> CellExpr {
        let inner = |x: &Expr| Box::new(CellExpr::compile(x));
        match expr {
            Expr::Column(column) => CellExpr::Column(usize::from(*column)),
            Expr::Literal(Value::Str(text)) => {
                Cell::short(text).map_or_else(|| other(expr), CellExpr::Constant)
            }
            Expr::Literal(Value::Bytes(_) | Value::List(_)) => other(expr),
            Expr::Literal(value) => CellExpr::Constant(Cells::default().hold(value)),
            Expr::Unary(op, x) => CellExpr::Unary(*op, inner(x)),
            Expr::Binary(BinaryOperator::Concat, ..) => other(expr),
            Expr::Binary(op, x, y) => {
                fused(*op, x, y).unwrap_or_else(|| CellExpr::Binary(*op, inner(x), inner(y)))
            }
            _ => other(expr),
        }
    }

    /// Returns whether the condition is true; unknown is not.
    pub(crate) fn holds(&self, cells: &mut Cells, errors: &mut EvalErrors) -> bool {
        self.eval(cells, errors) == Cell::bool(true)
    }

    /// Evaluates the expression.
    pub(crate) fn eval(&self, cells: &mut Cells, errors: &mut EvalErrors) -> Cell {
        match self {
            CellExpr::Column(column) => cells.get(*column),
            CellExpr::Constant(cell) => *cell,
            CellExpr::InRange(column, range) => match cells.get(*column) {
                cell if cell.as_integer().is_some() => Cell::bool(range.holds(cell, cells, errors)),
                cell => range.compare(cell, cells, errors),
            },
            CellExpr::EqualsText(column, text) => match cells.get(*column) {
                Cell::NULL => Cell::NULL,
                cell if cell.is_text() => Cell::bool(cell == *text),
                cell => binary(BinaryOperator::Equal, cell, *text, cells, errors),
            },
            CellExpr::Unary(op, x) => {
                let x = x.eval(cells, errors);
                let value = eval::unary(*op, cells.value(x), errors);
                cells.hold(&value)
            }
            CellExpr::Binary(BinaryOperator::And, x, y) => {
                connective(LogicalConnective::And, x, y, cells, errors)
            }
            CellExpr::Binary(BinaryOperator::Or, x, y) => {
                connective(LogicalConnective::Or, x, y, cells, errors)
            }
            CellExpr::Binary(op, x, y) => {
                let (x, y) = (x.eval(cells, errors), y.eval(cells, errors));
                binary(*op, x, y, cells, errors)
            }
            CellExpr::General(expr, reads) => {
                // Only the columns that the expression reads become values; the gaps between them are null.
                let mut row = cells.take_row();
                for column in reads {
                    row.resize(*column, Value::Null);
                    row.push(cells.value(cells.get(*column)));
                }

                let value = expr.eval(&row, errors);
                cells.keep_row(row);
                cells.hold(&value)
            }
        }
    }
}

fn other(expr: &Expr) -> CellExpr {
    let mut reads = Vec::new();
    expr.columns(&mut |column| reads.push(usize::from(column)));
    reads.sort_unstable();
    reads.dedup();
    CellExpr::General(expr.clone(), reads)
}

/// Returns the one node for a comparison of a column with a literal, or `None` if there is no such node.
fn fused(op: BinaryOperator, x: &Expr, y: &Expr) -> Option<CellExpr> {
    let (Expr::Column(column), Expr::Literal(literal)) = (x, y) else { return None };
    let column = usize::from(*column);
    if let (BinaryOperator::Equal, Value::Str(text)) = (op, literal) {
        return Cell::short(text).map(|text| CellExpr::EqualsText(column, text));
    }
    let limit = i64::try_from(literal.as_integer()?).ok()?;
    AcceptedInts::new(op, limit).map(|range| CellExpr::InRange(column, range))
}

/// Any operator but AND and OR.
fn binary(op: BinaryOperator, x: Cell, y: Cell, cells: &mut Cells, errors: &mut EvalErrors) -> Cell {
    let (mut left, mut right) = ([0; 16], [0; 16]);
    if let (Some(x), Some(y)) = (cells.as_text(x, &mut left), cells.as_text(y, &mut right))
        && let Some(holds) = eval::ordered(op, x.cmp(y))
    {
        return Cell::bool(holds);
    }
    let value = eval::binary(op, &cells.value(x), &cells.value(y), errors);
    cells.hold(&value)
}

/// Evaluates `AND` or `OR`; the right operand only if the left one leaves the result open.
fn connective(
    op: LogicalConnective,
    x: &CellExpr,
    y: &CellExpr,
    cells: &mut Cells,
    errors: &mut EvalErrors,
) -> Cell {
    let left = truth(x.eval(cells, errors), errors);
    let result = op.combine(left, || truth(y.eval(cells, errors), errors));
    result.map_or(Cell::NULL, Cell::bool)
}

fn truth(cell: Cell, errors: &mut EvalErrors) -> Option<bool> {
    let truth = cell.as_bool();
    errors.0 += u64::from(truth.is_none() && !cell.is_null());
    truth
}
