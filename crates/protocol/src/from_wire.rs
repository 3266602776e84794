//! From the wire to Pivot's types, checking everything.
//!
//! What is checked here is form: that a message says one thing. Whether an advice makes sense is for
//! the agent's verifier.

use crate::error::ProtocolError;
use crate::wire;
use pivot_advice::expr::MAX_DEPTH;
use pivot_advice::{
    Advice, Aggregate, AggregateCall, BagKey, Binary, CallArgument, EmitMode, Exports, Expr, FieldDescriptor,
    FinalFunction, FinalValue, Function, Groups, Instruction, JoinKind, LossCounts, Pattern, QueryId,
    TemporalFilter, Type, Unary, UnpackMode, Value, codec,
};

type Result<T> = std::result::Result<T, ProtocolError>;

/// A value. Lists of lists are refused.
pub fn value(value: wire::Value) -> Result<Value> {
    use wire::value::Kind;
    Ok(match value.kind {
        Some(Kind::List(list)) => {
            let items = list.items.into_iter().map(|item| match item.kind {
                Some(Kind::List(_)) => Err(ProtocolError::Unknown { what: "list of lists", number: 0 }),
                _ => self::value(item),
            });
            Value::List(items.collect::<Result<_>>()?)
        }
        None => Value::Null,
        Some(Kind::Bool(x)) => Value::Bool(x),
        Some(Kind::I64(x)) => Value::I64(x),
        Some(Kind::U64(x)) => Value::U64(x),
        Some(Kind::F64(x)) => Value::double(x),
        Some(Kind::String(x)) => Value::Str(x.into()),
        Some(Kind::Bytes(x)) => Value::Bytes(x.into()),
        Some(Kind::TimestampNs(x)) => Value::Timestamp(x),
        Some(Kind::DurationNs(x)) => Value::Duration(x),
    })
}

/// A query's id.
pub fn query_id(id: Option<wire::QueryId>) -> Result<QueryId> {
    let id = id.ok_or(ProtocolError::Missing("query id"))?;
    Ok(QueryId::new(id.frontend, id.number))
}

/// What a tracepoint exports.
pub fn exports(exports: wire::Exports) -> Exports {
    let field = |field: wire::Field| FieldDescriptor { name: field.name, ty: ty(field.r#type) };
    Exports {
        tracepoint: exports.tracepoint,
        fields: exports.fields.into_iter().map(field).collect(),
        file: exports.file,
        line: exports.line,
        module: exports.module,
    }
}

/// A type; codes of a later version are [`Type::Any`].
pub fn ty(code: u32) -> Type {
    u8::try_from(code).map_or(Type::Any, Type::from_code)
}

/// The groups of a report.
pub fn groups(bytes: &[u8]) -> Result<Groups> {
    Ok(codec::ByteReader::new(bytes).groups()?)
}

/// What is missing; no message means nothing is.
pub fn loss(loss: Option<wire::Loss>) -> LossCounts {
    let wire::Loss { dropped, errors, truncated, outside_request, uncertain, throttled, away_ns, held_back } =
        loss.unwrap_or_default();
    LossCounts { dropped, errors, truncated, uncertain, outside_request, throttled, away_ns, held_back }
}

/// The program of a stage.
pub fn advice(advice: wire::Advice) -> Result<Advice> {
    Ok(Advice {
        query: query_id(advice.query)?,
        stage: narrow("stage", advice.stage)?,
        tracepoint: advice.tracepoint,
        instructions: advice.instructions.into_iter().map(instruction).collect::<Result<_>>()?,
    })
}

fn narrow(what: &'static str, number: u32) -> Result<u16> {
    u16::try_from(number).map_err(|_| ProtocolError::Unknown { what, number: number.into() })
}

fn bag(query: Option<wire::QueryId>, stage: u32) -> Result<BagKey> {
    Ok(BagKey { query: query_id(query)?, stage: narrow("stage", stage)? })
}

fn aggregate(code: u32) -> Result<Aggregate> {
    let known = u8::try_from(code).ok().and_then(Aggregate::from_code);
    known.ok_or(ProtocolError::Unknown { what: "aggregate", number: code.into() })
}

fn instruction(instruction: wire::Instruction) -> Result<Instruction> {
    use wire::instruction::Kind;
    let expr = |expr: Option<wire::Expr>| self::expr(expr.ok_or(ProtocolError::Missing("expression"))?);
    Ok(match instruction.kind.ok_or(ProtocolError::Missing("instruction"))? {
        Kind::Observe(field) => Instruction::Observe { field },
        Kind::Let(step) => Instruction::Let { expr: expr(step.expr)?, name: step.name },
        Kind::Filter(condition) => Instruction::Filter { expr: self::expr(condition)? },
        Kind::Unpack(step) => Instruction::Unpack {
            bag: bag(step.query, step.stage)?,
            alias: step.alias,
            columns: step.columns,
            aggregates: step.aggregates.into_iter().map(aggregate).collect::<Result<_>>()?,
            rows: step.groups.map_or(Ok(UnpackMode::Rows), unpacked)?,
            matching: matching(step.r#match)?,
            on: step.on.map(self::expr).transpose()?,
        },
        Kind::Unnest(step) => Instruction::Unnest { list: narrow("column", step.list)?, name: step.name },
        Kind::Distinct(columns) => Instruction::Distinct { columns: keys(columns.columns)? },
        Kind::Order(columns) => Instruction::Order { columns: keys(columns.columns)? },
        Kind::Choose(wire::Choose {}) => Instruction::Choose,
        Kind::Pack(step) => Instruction::Pack {
            bag: bag(step.query, step.stage)?,
            keep: match step.keep {
                None => TemporalFilter::All,
                Some(wire::pack::Keep::First(n)) => TemporalFilter::First(n),
                Some(wire::pack::Keep::MostRecent(n)) => TemporalFilter::MostRecent(n),
            },
            keys: keys(step.keys)?,
            folds: step.folds.into_iter().map(fold).collect::<Result<_>>()?,
        },
        Kind::Emit(step) => Instruction::Emit {
            keys: keys(step.keys)?,
            folds: step.folds.into_iter().map(fold).collect::<Result<_>>()?,
            form: if step.rows { EmitMode::Rows } else { EmitMode::Groups },
        },
    })
}

fn matching(number: i32) -> Result<JoinKind> {
    Ok(match wire::Match::try_from(number) {
        Ok(wire::Match::Inner) => JoinKind::Inner,
        Ok(wire::Match::Left) => JoinKind::Left,
        Ok(wire::Match::Anti) => JoinKind::Anti,
        Err(_) => return Err(ProtocolError::Unknown { what: "match", number: number as u64 }),
    })
}

fn unpacked(groups: wire::Groups) -> Result<UnpackMode> {
    Ok(UnpackMode::Groups {
        width: narrow("column", groups.width)?,
        keys: keys(groups.keys)?,
        folds: groups.folds.into_iter().map(fold).collect::<Result<_>>()?,
        finished: groups.finished.into_iter().map(finished).collect::<Result<_>>()?,
        distinct: groups.distinct.into_iter().map(expr).collect::<Result<_>>()?,
    })
}

fn finished(finished: wire::Finished) -> Result<FinalValue> {
    use wire::finished::Finish as Wire;
    let finish = match finished.finish {
        None => FinalFunction::Plain,
        Some(Wire::Deviation(_)) => FinalFunction::Deviation,
        Some(Wire::Quantile(q)) => FinalFunction::Quantile(q),
        Some(Wire::Top(k)) => FinalFunction::Top(narrow("count", k)?),
        Some(Wire::Linear(wire::Linear { least, step, count, durations })) => {
            FinalFunction::Linear { least, step, count: narrow("count", count)?, durations }
        }
    };
    Ok(FinalValue { state: narrow("state", finished.state)?, finish })
}

fn keys(keys: Vec<u32>) -> Result<Vec<u16>> {
    keys.into_iter().map(|key| narrow("column", key)).collect()
}

fn fold(fold: wire::Fold) -> Result<AggregateCall> {
    let input = match fold.input.ok_or(ProtocolError::Missing("input of an aggregate"))? {
        wire::fold::Input::Expr(expr) => CallArgument::Expr(self::expr(expr)?),
        wire::fold::Input::State(index) => CallArgument::State(narrow("state", index)?),
    };
    Ok(AggregateCall { aggregate: aggregate(fold.aggregate)?, input })
}

/// An expression, no deeper than [`MAX_DEPTH`].
pub fn expr(expr: wire::Expr) -> Result<Expr> {
    let mut stack = Stack::default();
    for step in expr.steps {
        stack.apply(step.kind.ok_or(ProtocolError::Missing("step of an expression"))?)?;
    }
    match (stack.values.pop(), stack.values.is_empty()) {
        (Some((expr, _)), true) => Ok(expr),
        _ => Err(ProtocolError::Expression("it does not leave one value")),
    }
}

/// Partial expressions with their depths, so that depth is known without walking them again.
#[derive(Default)]
struct Stack {
    values: Vec<(Expr, usize)>,
}

impl Stack {
    /// Takes the last `count` expressions, and says how deep one around them is.
    fn take(&mut self, count: usize) -> Result<(Vec<Expr>, usize)> {
        let from = self.values.len().checked_sub(count);
        let from = from.ok_or(ProtocolError::Expression("a step lacks operands"))?;
        let taken = self.values.split_off(from);
        let depth = 1 + taken.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
        if depth > MAX_DEPTH {
            return Err(ProtocolError::Expression("it nests too deeply"));
        }
        Ok((taken.into_iter().map(|(expr, _)| expr).collect(), depth))
    }

    fn one(&mut self, make: impl FnOnce(Box<Expr>) -> Expr) -> Result<(Expr, usize)> {
        let (mut operands, depth) = self.take(1)?;
        let operand = operands.pop().ok_or(ProtocolError::Expression("a step lacks operands"))?;
        Ok((make(Box::new(operand)), depth))
    }

    fn apply(&mut self, step: wire::step::Kind) -> Result<()> {
        use wire::step::Kind;
        let made = match step {
            Kind::Column(index) => (Expr::Column(narrow("column", index)?), 1),
            Kind::Literal(literal) => (Expr::Literal(value(literal)?), 1),
            Kind::Unary(op) => {
                let op = unary(op)?;
                self.one(|x| Expr::Unary(op, x))?
            }
            Kind::Binary(op) => self.binary(op)?,
            Kind::Call(call) => self.call(call)?,
            Kind::Case(case) => self.case(case)?,
            Kind::In(count) => {
                let (mut list, depth) = self.take((count as usize).saturating_add(1))?;
                let item = list.remove(0);
                (Expr::In(Box::new(item), list), depth)
            }
            Kind::Like(pattern) => self.one(|x| Expr::Matches(x, Pattern::Like(pattern.into())))?,
            Kind::Regex(source) => {
                let compiled = Pattern::regex(&source);
                let pattern =
                    compiled.map_err(|reason| ProtocolError::Pattern { pattern: source, reason })?;
                self.one(|x| Expr::Matches(x, pattern))?
            }
            Kind::Extract(wire::Extract { regex, group }) => {
                let compiled = Pattern::regex(&regex);
                let pattern = compiled.map_err(|reason| ProtocolError::Pattern { pattern: regex, reason })?;
                let group = narrow("group", group)?;
                self.one(|x| Expr::Extract(x, pattern, group))?
            }
            Kind::Cast(code) => self.one(|x| Expr::Cast(x, ty(code)))?,
        };
        self.values.push(made);
        Ok(())
    }

    fn binary(&mut self, op: i32) -> Result<(Expr, usize)> {
        let op = binary(op)?;
        let (mut operands, depth) = self.take(2)?;
        match (operands.pop(), operands.pop()) {
            (Some(right), Some(left)) => Ok((Expr::binary(op, left, right), depth)),
            _ => Err(ProtocolError::Expression("a step lacks operands")),
        }
    }

    fn call(&mut self, call: wire::Call) -> Result<(Expr, usize)> {
        let Some(function) = Function::by_name(&call.function) else {
            return Err(ProtocolError::UnknownName { what: "function", name: call.function });
        };
        let (arguments, depth) = self.take(call.arguments as usize)?;
        let (least, most) = function.arity();
        if arguments.len() < least || arguments.len() > most {
            return Err(ProtocolError::Expression("a function has the wrong number of arguments"));
        }
        Ok((Expr::Call(function, arguments), depth))
    }

    fn case(&mut self, case: wire::Case) -> Result<(Expr, usize)> {
        let count = (case.arms as usize).saturating_mul(2).saturating_add(usize::from(case.otherwise));
        let (mut operands, depth) = self.take(count)?;
        let otherwise = if case.otherwise { operands.pop().map(Box::new) } else { None };
        let mut operands = operands.into_iter();
        let mut arms = Vec::new();
        while let (Some(when), Some(then)) = (operands.next(), operands.next()) {
            arms.push((when, then));
        }
        Ok((Expr::Case(arms, otherwise), depth))
    }
}

fn unary(op: i32) -> Result<Unary> {
    Ok(match wire::Unary::try_from(op) {
        Ok(wire::Unary::Not) => Unary::Not,
        Ok(wire::Unary::Negate) => Unary::Negate,
        Ok(wire::Unary::IsNull) => Unary::IsNull,
        _ => return Err(ProtocolError::Unknown { what: "operator", number: op as u64 }),
    })
}

fn binary(op: i32) -> Result<Binary> {
    Ok(match wire::Binary::try_from(op) {
        Ok(wire::Binary::Add) => Binary::Add,
        Ok(wire::Binary::Subtract) => Binary::Subtract,
        Ok(wire::Binary::Multiply) => Binary::Multiply,
        Ok(wire::Binary::Divide) => Binary::Divide,
        Ok(wire::Binary::Remainder) => Binary::Remainder,
        Ok(wire::Binary::Concat) => Binary::Concat,
        Ok(wire::Binary::Equal) => Binary::Equal,
        Ok(wire::Binary::NotEqual) => Binary::NotEqual,
        Ok(wire::Binary::Less) => Binary::Less,
        Ok(wire::Binary::LessEqual) => Binary::LessEqual,
        Ok(wire::Binary::Greater) => Binary::Greater,
        Ok(wire::Binary::GreaterEqual) => Binary::GreaterEqual,
        Ok(wire::Binary::And) => Binary::And,
        Ok(wire::Binary::Or) => Binary::Or,
        _ => return Err(ProtocolError::Unknown { what: "operator", number: op as u64 }),
    })
}
