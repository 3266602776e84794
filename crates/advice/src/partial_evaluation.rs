//! Partial evaluation: what is left of an expression if some of its columns are known beforehand.
//!
//! With `process` known to be `'api'`:
//!
//! ```text
//! process = 'api' AND size > 5                  ─▶  size > 5
//! process = 'web' AND size > 5                  ─▶  false
//! process LIKE 'w%' OR size / 0 > 1             ─▶  false OR size / 0 > 1
//! CASE WHEN process = 'api' THEN size ELSE 0 END ─▶  size
//! ```
//!
//! The remaining expression has, in every row, the value of the whole one. Errors of evaluation (a division by zero, an
//! overflow) are kept too, with one exception: where a known operand alone decides an AND, OR or IN, the others are not
//! evaluated, so their errors are not counted. The language does not promise in which order operands are evaluated. An
//! expression over known values alone that fails is left as it is, so that its error is counted in each row.

use crate::error::EvalErrors;
use crate::eval::binary;
use crate::expr::{BinaryOperator, Expr, Function, UnaryOperator};
use crate::kleene::LogicalConnective;
use crate::value::Value;

impl Expr {
    /// Returns what is left of the expression if `known` has the values of some columns, by their numbers.
    pub fn with_known(&self, known: &[Option<Value>]) -> Expr {
        match self {
            Expr::Column(index) => match known.get(usize::from(*index)) {
                Some(Some(value)) => Expr::Literal(value.clone()),
                _ => self.clone(),
            },
            Expr::Literal(_) => self.clone(),

            Expr::Binary(BinaryOperator::And, x, y) => {
                connective(LogicalConnective::And, x.with_known(known), y.with_known(known))
            }
            Expr::Binary(BinaryOperator::Or, x, y) => {
                connective(LogicalConnective::Or, x.with_known(known), y.with_known(known))
            }
            Expr::Case(arms, otherwise) => case(arms, otherwise.as_deref(), known),
            Expr::Call(Function::If, arguments) => match &arguments[..] {
                [condition, then, otherwise] => choice(condition, then, otherwise, known),
                _ => self.clone(),
            },
            Expr::Call(Function::Coalesce, arguments) => coalesce(arguments, known),
            Expr::In(x, list) => is_in(x, list, known),

            Expr::Unary(op, x) => evaluated(Expr::Unary(*op, Box::new(x.with_known(known)))),
            Expr::Binary(op, x, y) => evaluated(Expr::binary(*op, x.with_known(known), y.with_known(known))),
            Expr::Call(function, arguments) => evaluated(Expr::Call(*function, all(arguments, known))),
            Expr::Matches(x, pattern) => {
                evaluated(Expr::Matches(Box::new(x.with_known(known)), pattern.clone()))
            }
            Expr::Extract(x, pattern, group) => {
                evaluated(Expr::Extract(Box::new(x.with_known(known)), pattern.clone(), *group))
            }
            Expr::Cast(x, ty) => evaluated(Expr::Cast(Box::new(x.with_known(known)), *ty)),
        }
    }

    /// Returns the value if this is a literal, else `None`.
    pub fn literal(&self) -> Option<&Value> {
        match self {
            Expr::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// Returns whether the condition may be true in some row, as far as its literals tell.
    pub fn can_hold(&self) -> bool {
        match self {
            Expr::Literal(value) => *value == Value::Bool(true),
            Expr::Binary(BinaryOperator::And, x, y) => x.can_hold() && y.can_hold(),
            Expr::Binary(BinaryOperator::Or, x, y) => x.can_hold() || y.can_hold(),
            _ => true,
        }
    }

    /// Returns whether the value is a truth value or null, in every row.
    fn is_truth(&self) -> bool {
        match self {
            Expr::Literal(value) => matches!(value, Value::Bool(_) | Value::Null),
            Expr::Unary(op, _) => matches!(op, UnaryOperator::Not | UnaryOperator::IsNull),
            Expr::In(..) | Expr::Matches(..) => true,
            Expr::Call(function, _) => matches!(function, Function::StartsWith | Function::Contains),

            Expr::Binary(op, ..) => matches!(
                op,
                BinaryOperator::Equal
                    | BinaryOperator::NotEqual
                    | BinaryOperator::Less
                    | BinaryOperator::LessEqual
                    | BinaryOperator::Greater
                    | BinaryOperator::GreaterEqual
                    | BinaryOperator::And
                    | BinaryOperator::Or
            ),
            Expr::Column(_) | Expr::Case(..) | Expr::Cast(..) | Expr::Extract(..) => false,
        }
    }
}

/// Returns what is left of several expressions.
fn all(exprs: &[Expr], known: &[Option<Value>]) -> Vec<Expr> {
    exprs.iter().map(|expr| expr.with_known(known)).collect()
}

/// Replaces an expression over literals alone by its value, unless it has an error.
fn evaluated(expr: Expr) -> Expr {
    if expr.children().into_iter().any(|child| child.literal().is_none()) {
        return expr;
    }

    let mut errors = EvalErrors::default();
    let value = expr.eval(&[], &mut errors);
    if errors.0 == 0 { Expr::Literal(value) } else { expr }
}

/// Returns what is left of `x AND y` or `x OR y`.
fn connective(op: LogicalConnective, x: Expr, y: Expr) -> Expr {
    let (operator, deciding) = match op {
        LogicalConnective::And => (BinaryOperator::And, Value::Bool(false)),
        LogicalConnective::Or => (BinaryOperator::Or, Value::Bool(true)),
    };
    let neutral = match op {
        LogicalConnective::And => Value::Bool(true),
        LogicalConnective::Or => Value::Bool(false),
    };

    if x.literal() == Some(&deciding) || y.literal() == Some(&deciding) {
        return Expr::Literal(deciding);
    }
    // Another operand that is no truth value is an error, which the connective has to make of it.
    if x.literal() == Some(&neutral) && y.is_truth() {
        return y;
    }
    if y.literal() == Some(&neutral) && x.is_truth() {
        return x;
    }
    evaluated(Expr::binary(operator, x, y))
}

/// Returns what is left of a CASE: arms that are never chosen are gone, and so are those behind one that always is.
fn case(arms: &[(Expr, Expr)], otherwise: Option<&Expr>, known: &[Option<Value>]) -> Expr {
    let mut left = Vec::new();
    let mut last = otherwise;

    for (when, then) in arms {
        let when = when.with_known(known);
        match when.literal() {
            Some(Value::Bool(true)) => {
                last = Some(then);
                break;
            }
            Some(_) => {}
            None => left.push((when, then.with_known(known))),
        }
    }

    let last = last.map(|last| last.with_known(known));
    if left.is_empty() {
        return last.unwrap_or(Expr::Literal(Value::Null));
    }
    Expr::Case(left, last.map(Box::new))
}

/// Returns what is left of `if(condition, then, otherwise)`.
fn choice(condition: &Expr, then: &Expr, otherwise: &Expr, known: &[Option<Value>]) -> Expr {
    let condition = condition.with_known(known);
    match condition.literal() {
        Some(Value::Bool(true)) => then.with_known(known),
        Some(_) => otherwise.with_known(known),
        None => {
            Expr::Call(Function::If, vec![condition, then.with_known(known), otherwise.with_known(known)])
        }
    }
}

/// Returns what is left of `coalesce(..)`: nulls are gone, and so is what stands behind a value.
fn coalesce(arguments: &[Expr], known: &[Option<Value>]) -> Expr {
    let mut left = Vec::new();
    for argument in arguments {
        let argument = argument.with_known(known);
        match argument.literal() {
            Some(Value::Null) => {}
            Some(_) => {
                left.push(argument);
                break;
            }
            None => left.push(argument),
        }
    }

    match left.len() {
        0 => Expr::Literal(Value::Null),
        1 => left.swap_remove(0),
        _ => Expr::Call(Function::Coalesce, left),
    }
}

/// Returns what is left of `x IN (..)`: true if a known item equals a known `x`.
fn is_in(x: &Expr, list: &[Expr], known: &[Option<Value>]) -> Expr {
    let (x, list) = (x.with_known(known), all(list, known));

    if let Some(value) = x.literal() {
        let known_items = list.iter().filter_map(Expr::literal);
        let mut uncounted = EvalErrors::default();
        let mut results = known_items.map(|item| binary(BinaryOperator::Equal, value, item, &mut uncounted));
        if results.any(|result| result == Value::Bool(true)) {
            return Expr::Literal(Value::Bool(true));
        }
    }
    evaluated(Expr::In(Box::new(x), list))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Pattern;
    use crate::expr_text::write_expr;

    fn text(text: &str) -> Expr {
        Expr::Literal(Value::str(text))
    }

    fn int(x: i64) -> Expr {
        Expr::Literal(Value::I64(x))
    }

    fn equal(x: Expr, y: Expr) -> Expr {
        Expr::binary(BinaryOperator::Equal, x, y)
    }

    fn and(x: Expr, y: Expr) -> Expr {
        Expr::binary(BinaryOperator::And, x, y)
    }

    fn or(x: Expr, y: Expr) -> Expr {
        Expr::binary(BinaryOperator::Or, x, y)
    }

    /// `process = ..`, which is known to be `api`.
    fn process(name: &str) -> Expr {
        equal(Expr::Column(0), text(name))
    }

    /// `n = 1`, which is not known.
    fn open() -> Expr {
        equal(Expr::Column(1), int(1))
    }

    fn check(expr: &Expr, expected: &str) {
        let left = expr.with_known(&[Some(Value::str("api")), None]);
        let mut found = String::new();
        let names = ["process", "n"];
        write_expr(&mut found, &left, &|column| names[usize::from(column)].to_owned(), 0).unwrap_or_default();
        assert_eq!(found, expected, "{expr:?}");
    }

    #[test]
    fn a_connective_is_decided_by_one_known_operand() {
        check(&and(process("api"), open()), "n = 1");
        check(&and(open(), process("api")), "n = 1");
        check(&and(process("web"), open()), "false");
        check(&and(open(), process("web")), "false");
        check(&or(process("api"), open()), "true");
        check(&or(open(), process("web")), "n = 1");
        check(&or(and(process("web"), open()), and(process("api"), open())), "n = 1");
        check(&Expr::Unary(UnaryOperator::Not, Box::new(process("web"))), "true");
    }

    #[test]
    fn unknown_is_neither_true_nor_false() {
        let unknown = || equal(Expr::Column(0), Expr::Literal(Value::Null));
        check(&unknown(), "null");
        check(&and(unknown(), process("web")), "false");
        check(&or(unknown(), process("api")), "true");
        check(&Expr::Unary(UnaryOperator::Not, Box::new(unknown())), "null");
        // Null or false, by the event: it cannot be true, but what NOT makes of it can.
        let either = and(unknown(), open());
        check(&either, "null AND n = 1");
        assert!(!either.with_known(&[Some(Value::Null)]).can_hold());
        assert!(!or(and(Expr::Literal(Value::Null), open()), Expr::Literal(Value::Null)).can_hold());
        assert!(Expr::Unary(UnaryOperator::Not, Box::new(either)).can_hold());
    }

    #[test]
    fn choices_keep_what_may_be_chosen() {
        let case = |arms, otherwise: Option<Expr>| Expr::Case(arms, otherwise.map(Box::new));
        check(&case(vec![(process("web"), int(1)), (process("api"), int(2))], Some(int(3))), "2");
        check(&case(vec![(process("web"), int(1))], None), "null");
        check(
            &case(vec![(open(), int(1)), (process("api"), int(2)), (open(), int(3))], None),
            "CASE WHEN n = 1 THEN 1 ELSE 2 END",
        );
        check(&Expr::Call(Function::If, vec![process("api"), Expr::Column(1), int(2)]), "n");
        check(&Expr::Call(Function::If, vec![process("web"), Expr::Column(1), int(2)]), "2");
        let nothing = Expr::Literal(Value::Null);
        check(&Expr::Call(Function::Coalesce, vec![nothing, Expr::Column(0), Expr::Column(1)]), "'api'");
    }

    #[test]
    fn patterns_and_lists_are_decided() {
        let like = |pattern: &str| Expr::Matches(Box::new(Expr::Column(0)), Pattern::Like(pattern.into()));
        check(&like("a%"), "true");
        check(&like("w%"), "false");
        let among = |items: Vec<Expr>| Expr::In(Box::new(Expr::Column(0)), items);
        check(&among(vec![text("web"), text("api")]), "true");
        check(&among(vec![text("web"), text("worker")]), "false");
        check(&among(vec![Expr::Column(1), text("api")]), "true");
        check(&among(vec![Expr::Column(1), text("web")]), "'api' IN (n, 'web')");
    }

    #[test]
    fn what_has_no_value_stays_to_be_counted() {
        let without_value = equal(Expr::binary(BinaryOperator::Divide, int(1), int(0)), int(1));
        check(&without_value, "1 / 0 = 1");
        check(&and(process("api"), without_value.clone()), "1 / 0 = 1");
        check(&and(without_value, process("web")), "false");
        // No truth value, which is an error of AND alone.
        check(&and(process("api"), Expr::Column(1)), "true AND n");
    }
}
