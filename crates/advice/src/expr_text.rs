//! Expressions as query text, with parentheses only where they are needed.
//!
//! The operators bind, from the loosest to the tightest:
//!
//! ```text
//! 1  OR          4  = != < <= > >= IS NULL, IN, LIKE, ~        7  * / %
//! 2  AND         5  ||                                         9  - (of one operand)
//! 3  NOT         6  + -
//! ```

use crate::expr::{BinaryOperator, Expr, Pattern, UnaryOperator};
use crate::value::Value;
use std::fmt::{self, Write};

/// How tightly `NOT` binds.
const NOT: u8 = 3;
/// How tightly comparisons and predicates bind.
const COMPARISON: u8 = 4;
/// How tightly a minus with one operand binds.
const NEGATION: u8 = 9;

/// Returns the symbol of an operator and how tightly it binds.
fn symbol(op: BinaryOperator) -> (&'static str, u8) {
    match op {
        BinaryOperator::Or => ("OR", 1),
        BinaryOperator::And => ("AND", 2),

        BinaryOperator::Equal => ("=", COMPARISON),
        BinaryOperator::NotEqual => ("!=", COMPARISON),
        BinaryOperator::Less => ("<", COMPARISON),
        BinaryOperator::LessEqual => ("<=", COMPARISON),
        BinaryOperator::Greater => (">", COMPARISON),
        BinaryOperator::GreaterEqual => (">=", COMPARISON),

        BinaryOperator::Concat => ("||", 5),
        BinaryOperator::Add => ("+", 6),
        BinaryOperator::Subtract => ("-", 6),
        BinaryOperator::Multiply => ("*", 7),
        BinaryOperator::Divide => ("/", 7),
        BinaryOperator::Remainder => ("%", 7),
    }
}

/// Writes an expression as query text. `name` names a column, and `outer` is how tightly the operator around
/// the expression binds, 0 if there is none.
pub fn write_expr(out: &mut dyn Write, expr: &Expr, name: &dyn Fn(u16) -> String, outer: u8) -> fmt::Result {
    ExprText { out, name }.expr(expr, outer)
}

/// Writes expressions over columns of certain names.
struct ExprText<'a> {
    out: &'a mut dyn Write,
    name: &'a dyn Fn(u16) -> String,
}

impl ExprText<'_> {
    fn expr(&mut self, expr: &Expr, outer: u8) -> fmt::Result {
        let strength = strength(expr);
        if strength >= outer {
            return self.bare(expr);
        }
        self.out.write_str("(")?;
        self.bare(expr)?;
        self.out.write_str(")")
    }

    /// Writes an expression without parentheses around it.
    fn bare(&mut self, expr: &Expr) -> fmt::Result {
        match expr {
            Expr::Column(index) => self.out.write_str(&(self.name)(*index)),
            Expr::Literal(value) => self.literal(value),

            Expr::Binary(op, x, y) => self.binary(*op, x, y),
            Expr::Unary(UnaryOperator::Not, x) => self.around("NOT ", x, NOT + 1, ""),
            Expr::Unary(UnaryOperator::Negate, x) => self.around("-", x, NEGATION, ""),
            Expr::Unary(UnaryOperator::IsNull, x) => self.around("", x, COMPARISON + 1, " IS NULL"),

            Expr::In(x, items) => {
                self.around("", x, COMPARISON + 1, " IN (")?;
                self.list(items)?;
                self.out.write_str(")")
            }
            Expr::Matches(x, pattern) => {
                let operator = if matches!(pattern, Pattern::Like(_)) { " LIKE " } else { " ~ " };
                self.around("", x, COMPARISON + 1, operator)?;
                self.literal(&Value::str(pattern.source()))
            }

            Expr::Call(function, arguments) => {
                write!(self.out, "{}(", function.name())?;
                self.list(arguments)?;
                self.out.write_str(")")
            }
            Expr::Cast(x, ty) => {
                self.around("CAST(", x, 0, " AS ")?;
                write!(self.out, "{ty})")
            }
            Expr::Extract(x, pattern, group) => {
                self.around("regexp_extract(", x, 0, ", ")?;
                self.literal(&Value::str(pattern.source()))?;
                // Group 0, the whole match, is what is left out.
                if *group == 0 { self.out.write_str(")") } else { write!(self.out, ", {group})") }
            }
            Expr::Case(arms, otherwise) => self.case(arms, otherwise.as_deref()),
        }
    }

    fn binary(&mut self, op: BinaryOperator, x: &Expr, y: &Expr) -> fmt::Result {
        let (symbol, strength) = symbol(op);

        // Comparisons do not chain: both operands bind tighter. Other operators associate to the left.
        let left = if strength == COMPARISON { COMPARISON + 1 } else { strength };
        self.expr(x, left)?;
        write!(self.out, " {symbol} ")?;
        self.expr(y, strength + 1)
    }

    fn case(&mut self, arms: &[(Expr, Expr)], otherwise: Option<&Expr>) -> fmt::Result {
        self.out.write_str("CASE")?;
        for (when, then) in arms {
            self.around(" WHEN ", when, 0, " THEN ")?;
            self.expr(then, 0)?;
        }
        if let Some(otherwise) = otherwise {
            self.around(" ELSE ", otherwise, 0, "")?;
        }
        self.out.write_str(" END")
    }

    /// Writes an operand between two texts; it is in parentheses if it binds less tightly than `outer`.
    fn around(&mut self, before: &str, operand: &Expr, outer: u8, after: &str) -> fmt::Result {
        self.out.write_str(before)?;
        self.expr(operand, outer)?;
        self.out.write_str(after)
    }

    fn list(&mut self, items: &[Expr]) -> fmt::Result {
        for (i, item) in items.iter().enumerate() {
            self.around(if i == 0 { "" } else { ", " }, item, 0, "")?;
        }
        Ok(())
    }

    fn literal(&mut self, value: &Value) -> fmt::Result {
        match value {
            Value::Str(text) => write!(self.out, "'{}'", text.replace('\'', "''")),
            other => write!(self.out, "{other}"),
        }
    }
}

/// Returns how tightly the outermost operator of an expression binds; the largest number if it has none that
/// could need parentheses.
fn strength(expr: &Expr) -> u8 {
    match expr {
        Expr::Binary(op, ..) => symbol(*op).1,
        Expr::Unary(UnaryOperator::Not, _) => NOT,
        Expr::Unary(UnaryOperator::IsNull, _) | Expr::In(..) | Expr::Matches(..) => COMPARISON,
        _ => u8::MAX,
    }
}
