//! Random expressions, well-typed by construction.

use crate::oracle::generate::scenarios::{OPEN, some_value};
use crate::oracle::language::calendar;
use crate::oracle::language::query::{BinaryOp, OperatorNegation, QueryExpr, ScalarFunction};
use crate::oracle::language::regex::Regex;
use crate::random::Random;
use pivot_advice::{Type, Value};

/// How far a double can be trusted to be the same in every order of evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FloatPrecision {
    /// A fraction of which sums are exact.
    Dyadic,
    /// A number that is equal wherever it is computed.
    Exact,
    /// A number that depends on the order of additions: nothing may be decided by it.
    Rough,
}

/// Something that an expression may use as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TypedExpr {
    pub expr: QueryExpr,
    pub ty: Type,
    pub precision: FloatPrecision,
}

/// Types of which expressions are made.
pub(crate) const TYPES: [Type; 7] =
    [Type::I64, Type::U64, Type::F64, Type::Bool, Type::String, Type::Duration, Type::Timestamp];

const NUMBERS: [Type; 3] = [Type::I64, Type::U64, Type::F64];

/// Makes expressions over some leaves.
pub(crate) struct ExpressionGenerator<'a> {
    pub random: &'a mut Random,
    pub leaves: &'a [TypedExpr],
    /// The worst precision of leaves that may be used.
    pub worst: FloatPrecision,
}

fn boxed(expr: QueryExpr) -> Box<QueryExpr> {
    Box::new(expr)
}

/// Returns a literal of a whole number.
fn whole_number(x: i64) -> QueryExpr {
    QueryExpr::Literal(Value::I64(x))
}

impl ExpressionGenerator<'_> {
    /// An expression of a type.
    pub(crate) fn of(&mut self, ty: Type, depth: usize) -> QueryExpr {
        if depth == 0 || self.random.percent(35) {
            return self.leaf(ty);
        }

        let depth = depth - 1;
        match self.random.below(10) {
            // These make a value of any type.
            0 => self.case(ty, depth),
            1 => {
                let arguments = vec![self.of(ty, depth), self.of(ty, depth)];
                QueryExpr::Call(ScalarFunction::Coalesce, arguments)
            }
            2 => {
                let arguments = vec![self.condition(depth), self.of(ty, depth), self.of(ty, depth)];
                QueryExpr::Call(ScalarFunction::If, arguments)
            }
            _ => match ty {
                Type::Bool => self.truth(depth),
                Type::I64 => self.signed(depth),
                Type::U64 => self.unsigned(depth),
                Type::F64 => self.double(depth),
                Type::String => self.text(depth),
                Type::Duration => self.duration(depth),
                Type::Timestamp => self.timestamp(depth),
                other => self.leaf(other),
            },
        }
    }

    /// A condition, over what decisions may be taken on.
    pub(crate) fn condition(&mut self, depth: usize) -> QueryExpr {
        self.exact(|this| this.of(Type::Bool, depth))
    }

    fn exact(&mut self, make: impl FnOnce(&mut Self) -> QueryExpr) -> QueryExpr {
        let worst = self.worst;
        self.worst = worst.min(FloatPrecision::Exact);
        let made = make(self);
        self.worst = worst;
        made
    }

    /// An expression of which the value decides something: a comparison, a cast.
    fn decisive(&mut self, ty: Type, depth: usize) -> QueryExpr {
        self.exact(|this| this.of(ty, depth))
    }

    /// A leaf, of any type if none is asked for.
    pub(crate) fn column(&mut self, wanted: impl Fn(Type) -> bool) -> Option<TypedExpr> {
        let leaves = self.leaves.iter();
        let usable: Vec<&TypedExpr> =
            leaves.filter(|leaf| wanted(leaf.ty) && leaf.precision <= self.worst).collect();
        (!usable.is_empty()).then(|| (*self.random.pick(&usable)).clone())
    }

    fn leaf(&mut self, ty: Type) -> QueryExpr {
        if self.random.percent(75)
            && let Some(found) = self.column(|other| other == ty)
        {
            return found.expr;
        }
        self.literal(ty)
    }

    pub(crate) fn literal(&mut self, ty: Type) -> QueryExpr {
        if self.random.percent(4) {
            return QueryExpr::Literal(Value::Null);
        }

        let value = some_value(self.random, ty);
        if self.random.percent(4) {
            return QueryExpr::Param(format!("p{}", self.random.below(1 << 40)), value);
        }

        let cast = |value: Value, ty: Type| QueryExpr::Cast(boxed(QueryExpr::Literal(value)), ty);
        match value {
            // Small literals are signed, and times have none.
            Value::U64(x) => match i64::try_from(x) {
                Ok(x) => cast(Value::I64(x), Type::U64),
                Err(_) => QueryExpr::Literal(Value::U64(x)),
            },
            Value::Timestamp(ns) if self.random.percent(40) => cast(Value::I64(ns), Type::Timestamp),
            Value::F64(x) if !x.is_finite() => cast(Value::str(format!("{x:?}")), Type::F64),
            Value::Duration(i64::MIN) => QueryExpr::Literal(Value::Duration(-1)),
            value => QueryExpr::Literal(value),
        }
    }

    fn case(&mut self, ty: Type, depth: usize) -> QueryExpr {
        let by_value = self.random.percent(30).then(|| self.some_type());
        let operand = by_value.map(|ty| boxed(self.decisive(ty, depth)));

        let mut arms = Vec::new();
        for _ in 0..1 + self.random.below(2) {
            let when = match by_value {
                Some(ty) => self.decisive(ty, 0),
                None => self.condition(depth),
            };
            arms.push((when, self.of(ty, depth)));
        }

        let otherwise = self.random.percent(70).then(|| boxed(self.of(ty, depth)));
        QueryExpr::Case { operand, arms, otherwise }
    }

    fn negation(&mut self) -> OperatorNegation {
        if self.random.percent(30) { OperatorNegation::Yes } else { OperatorNegation::No }
    }

    /// Mostly a type that some leaf has, so that expressions are about something.
    pub(crate) fn some_type(&mut self) -> Type {
        if self.random.percent(80)
            && let Some(leaf) = self.column(|ty| TYPES.contains(&ty))
        {
            return leaf.ty;
        }
        *self.random.pick(&TYPES)
    }

    /// A field of which nobody knows the type. Where several tracepoints only differ in it, the compiler
    /// may know more.
    fn open(&mut self) -> Option<TypedExpr> {
        let open = self.column(|ty| ty == Type::Any);
        open.filter(|leaf| matches!(&leaf.expr, QueryExpr::Column(_, name) if OPEN.contains(&&**name)))
    }

    /// Returns an expression of the type, or now and then a value of which the type shows as it runs.
    fn loose(&mut self, ty: Type, depth: usize) -> QueryExpr {
        if self.random.percent(12)
            && let Some(leaf) = self.open()
        {
            return leaf.expr;
        }
        self.decisive(ty, depth)
    }

    /// Two types of which values can be compared.
    fn comparable(&mut self) -> (Type, Type) {
        let ty = self.some_type();
        match ty {
            Type::I64 | Type::U64 | Type::F64 => (ty, *self.random.pick(&NUMBERS)),
            _ => (ty, ty),
        }
    }

    fn truth(&mut self, depth: usize) -> QueryExpr {
        let negated = self.negation();

        match self.random.below(16) {
            0..=5 => {
                let op = *self.random.pick(&[
                    BinaryOp::Equal,
                    BinaryOp::NotEqual,
                    BinaryOp::Less,
                    BinaryOp::LessEqual,
                    BinaryOp::Greater,
                    BinaryOp::GreaterEqual,
                ]);
                let (left, right) = self.comparable();
                QueryExpr::binary(op, self.loose(left, depth), self.loose(right, depth))
            }
            6 | 7 => {
                // Both operands decide, so neither may be rough.
                let op = *self.random.pick(&[BinaryOp::And, BinaryOp::Or]);
                QueryExpr::binary(op, self.condition(depth), self.condition(depth))
            }
            8 => QueryExpr::Not(boxed(self.condition(depth))),
            9 => {
                let (left, right) = self.comparable();
                let x = boxed(self.loose(left, depth));
                let count = 1 + self.random.below(3);
                QueryExpr::In(
                    negated,
                    x,
                    std::iter::repeat_with(|| self.decisive(right, 0)).take(count).collect(),
                )
            }
            10 => {
                let (x, bound) = self.comparable();
                let x = boxed(self.loose(x, depth));
                QueryExpr::Between(negated, x, boxed(self.decisive(bound, 0)), boxed(self.decisive(bound, 0)))
            }
            11 => {
                let pattern =
                    *self.random.pick(&["a%", "%b", "%", "_b", "a\\_b%", "", "%-%", "x_", "%é%", "_a_"]);
                QueryExpr::Like(negated, boxed(self.loose(Type::String, depth)), pattern.to_owned())
            }
            12 => {
                let regex = Regex::random(self.random);
                QueryExpr::Regex(negated, boxed(self.loose(Type::String, depth)), regex)
            }
            13 => {
                let function = *self.random.pick(&[ScalarFunction::StartsWith, ScalarFunction::Contains]);
                QueryExpr::Call(
                    function,
                    vec![self.decisive(Type::String, depth), self.decisive(Type::String, 0)],
                )
            }
            _ => match self.column(|_| true) {
                Some(leaf) => QueryExpr::IsNull(negated, boxed(leaf.expr)),
                None => self.leaf(Type::Bool),
            },
        }
    }

    fn arithmetic(&mut self, ops: &[BinaryOp], left: Type, right: Type, depth: usize) -> QueryExpr {
        let op = *self.random.pick(ops);
        // A duration is scaled in doubles and rounded back: the factor decides the result, as a divisor
        // does.
        let scales = [left, right].contains(&Type::Duration) && [left, right].contains(&Type::F64);
        let x = match op == BinaryOp::Remainder || scales {
            true => self.decisive(left, depth),
            false => self.of(left, depth),
        };
        let decides = op == BinaryOp::Divide || op == BinaryOp::Remainder || scales;
        let y = if decides { self.decisive(right, depth) } else { self.of(right, depth) };
        QueryExpr::binary(op, x, y)
    }

    fn signed(&mut self, depth: usize) -> QueryExpr {
        const ALL: [BinaryOp; 5] =
            [BinaryOp::Add, BinaryOp::Subtract, BinaryOp::Multiply, BinaryOp::Divide, BinaryOp::Remainder];

        match self.random.below(10) {
            0..=3 => self.arithmetic(&ALL, Type::I64, Type::I64, depth),
            4 => self.arithmetic(&ALL, Type::U64, Type::I64, depth),
            // Unsigned numbers may have a signed difference.
            5 => self.arithmetic(&[BinaryOp::Subtract], Type::U64, Type::U64, depth),
            6 => QueryExpr::Negate(boxed(self.of(Type::I64, depth))),
            // What has no type before it runs gets one by a cast.
            7 => match self.open() {
                Some(leaf) if self.random.percent(50) => {
                    let op = *self.random.pick(&ALL);
                    let computed = QueryExpr::binary(op, leaf.expr, self.decisive(Type::I64, depth));
                    QueryExpr::Cast(boxed(computed), Type::I64)
                }
                Some(leaf) if self.random.percent(50) => QueryExpr::Cast(boxed(leaf.expr), Type::I64),
                _ => {
                    let ty = self.some_type();
                    QueryExpr::Cast(boxed(self.decisive(ty, depth)), Type::I64)
                }
            },
            8 => match self.column(|ty| matches!(ty, Type::List(_) | Type::Bytes | Type::String)) {
                Some(leaf) => QueryExpr::Call(ScalarFunction::Length, vec![leaf.expr]),
                None => QueryExpr::Call(ScalarFunction::Abs, vec![self.of(Type::I64, depth)]),
            },
            _ => {
                let width = QueryExpr::Literal(Value::I64(self.random.within(0, 4)));
                QueryExpr::Call(ScalarFunction::Bucket, vec![self.of(Type::I64, depth), width])
            }
        }
    }

    fn unsigned(&mut self, depth: usize) -> QueryExpr {
        const ALL: [BinaryOp; 4] = [BinaryOp::Add, BinaryOp::Multiply, BinaryOp::Divide, BinaryOp::Remainder];
        match self.random.below(6) {
            0..=2 => self.arithmetic(&ALL, Type::U64, Type::U64, depth),
            3 => QueryExpr::Cast(boxed(self.decisive(Type::I64, depth)), Type::U64),
            4 => {
                let width = QueryExpr::Literal(Value::I64(self.random.within(1, 4)));
                QueryExpr::Call(ScalarFunction::Bucket, vec![self.of(Type::U64, depth), width])
            }
            _ => self.leaf(Type::U64),
        }
    }

    fn double(&mut self, depth: usize) -> QueryExpr {
        const ALL: [BinaryOp; 5] =
            [BinaryOp::Add, BinaryOp::Subtract, BinaryOp::Multiply, BinaryOp::Divide, BinaryOp::Remainder];
        let number = *self.random.pick(&NUMBERS);

        match self.random.below(10) {
            0..=3 => self.arithmetic(&ALL, Type::F64, number, depth),
            4 => self.arithmetic(&ALL, number, Type::F64, depth),
            5 => QueryExpr::Negate(boxed(self.of(Type::F64, depth))),
            6 => {
                let ty = *self.random.pick(&[Type::I64, Type::U64, Type::String, Type::Duration]);
                QueryExpr::Cast(boxed(self.decisive(ty, depth)), Type::F64)
            }
            // Rounding is a decision: 0.5 in another order of additions may be 0.4999.
            7 if self.random.percent(30) => {
                let width = QueryExpr::Literal(Value::F64(*self.random.pick(&[0.5, 2.0, 0.0, 0.1])));
                QueryExpr::Call(ScalarFunction::Bucket, vec![self.decisive(Type::F64, depth), width])
            }
            7 => {
                let function =
                    *self.random.pick(&[ScalarFunction::Floor, ScalarFunction::Ceil, ScalarFunction::Round]);
                QueryExpr::Call(function, vec![self.decisive(Type::F64, depth)])
            }
            8 => {
                let function =
                    *self.random.pick(&[ScalarFunction::Ln, ScalarFunction::Log2, ScalarFunction::Pow]);
                let exponent = (function == ScalarFunction::Pow).then(|| self.decisive(number, 0));
                let arguments = std::iter::once(self.decisive(number, depth)).chain(exponent);
                QueryExpr::Call(function, arguments.collect())
            }
            _ => self.arithmetic(&[BinaryOp::Divide], Type::Duration, Type::Duration, depth),
        }
    }

    fn text(&mut self, depth: usize) -> QueryExpr {
        match self.random.below(7) {
            6 => {
                let regex = Regex::random(self.random);
                let group = match self.random.below(3) {
                    0 => Some(0),
                    1 if regex.has_group() => Some(1),
                    _ => None,
                };
                QueryExpr::Extract(boxed(self.of(Type::String, depth)), regex, group)
            }
            0 => QueryExpr::Call(ScalarFunction::Lower, vec![self.of(Type::String, depth)]),
            1 => QueryExpr::Call(ScalarFunction::Upper, vec![self.of(Type::String, depth)]),
            2 => {
                let ty = *self.random.pick(&[Type::String, Type::I64, Type::U64, Type::Bool]);
                QueryExpr::binary(BinaryOp::Concat, self.of(Type::String, depth), self.of(ty, depth))
            }
            3 => {
                let ty = *self.random.pick(&[Type::I64, Type::U64, Type::F64, Type::Bool]);
                QueryExpr::Cast(boxed(self.decisive(ty, depth)), Type::String)
            }
            4 => {
                let mut arguments = vec![self.of(Type::String, depth), self.number_of_part(-2)];
                if self.random.percent(60) {
                    arguments.push(self.number_of_part(0));
                }
                QueryExpr::Call(ScalarFunction::Substr, arguments)
            }
            _ => {
                // An empty separator separates nothing.
                let separator = QueryExpr::Literal(Value::str(self.random.pick(&["a", "_", "b", "é", ""])));
                QueryExpr::Call(
                    ScalarFunction::SplitPart,
                    vec![self.of(Type::String, depth), separator, self.number_of_part(1)],
                )
            }
        }
    }

    /// A small number, from `least` on. Computed it may be below: then it is an error where it is evaluated, and not
    /// one of the text.
    fn number_of_part(&mut self, least: i64) -> QueryExpr {
        match self.random.percent(70) {
            true => whole_number(self.random.within(least, 3)),
            false => {
                let (x, y) = (self.random.within(0, 3), self.random.within(0, 5));
                QueryExpr::binary(BinaryOp::Subtract, whole_number(x), whole_number(y))
            }
        }
    }

    fn duration(&mut self, depth: usize) -> QueryExpr {
        let number = *self.random.pick(&NUMBERS);

        match self.random.below(9) {
            7 => QueryExpr::Call(ScalarFunction::Abs, vec![self.of(Type::Duration, depth)]),
            8 => {
                // A width that is not positive has no buckets.
                let width = QueryExpr::Literal(Value::Duration(*self.random.pick(&[1000, 250, 0, -1])));
                QueryExpr::Call(ScalarFunction::Bucket, vec![self.of(Type::Duration, depth), width])
            }
            0 | 1 => {
                let ops = [BinaryOp::Add, BinaryOp::Subtract, BinaryOp::Remainder];
                self.arithmetic(&ops, Type::Duration, Type::Duration, depth)
            }
            2 => self.arithmetic(&[BinaryOp::Subtract], Type::Timestamp, Type::Timestamp, depth),
            3 => self.arithmetic(&[BinaryOp::Multiply, BinaryOp::Divide], Type::Duration, number, depth),
            4 => self.arithmetic(&[BinaryOp::Multiply], number, Type::Duration, depth),
            5 => QueryExpr::Cast(boxed(self.of(Type::I64, depth)), Type::Duration),
            _ => QueryExpr::Negate(boxed(self.of(Type::Duration, depth))),
        }
    }

    fn timestamp(&mut self, depth: usize) -> QueryExpr {
        match self.random.below(5) {
            4 => {
                // Text that is not a constant is read where it is evaluated, and may be no point in time.
                let ns = self.random.within(-2_000_000_000, 2_000_000_000) * 1_000_000_007;
                let text = QueryExpr::Literal(Value::str(calendar::written(ns)));
                let other = self.of(Type::String, depth);
                let condition = self.condition(1);
                let chosen = QueryExpr::Call(ScalarFunction::If, vec![condition, text, other]);
                QueryExpr::Cast(boxed(chosen), Type::Timestamp)
            }
            3 => {
                // There is no truncation to a year: null, and counted.
                let unit = *self.random.pick(&["second", "minute", "HOUR", "day", "week", "year"]);
                let unit = QueryExpr::Literal(Value::str(unit));
                QueryExpr::Call(ScalarFunction::Truncate, vec![self.of(Type::Timestamp, depth), unit])
            }

            0 => {
                self.arithmetic(&[BinaryOp::Add, BinaryOp::Subtract], Type::Timestamp, Type::Duration, depth)
            }
            1 => self.arithmetic(&[BinaryOp::Add], Type::Duration, Type::Timestamp, depth),
            _ => {
                let width = QueryExpr::Literal(Value::Duration(*self.random.pick(&[1000, 250, 0])));
                QueryExpr::Call(ScalarFunction::Bucket, vec![self.of(Type::Timestamp, depth), width])
            }
        }
    }
}
