//! Conversions from the wire to Pivot's types, checking everything.
//!
//! What is checked is form: a message says one thing, numbers are in range, expressions are trees of bounded depth.
//! Whether an advice makes sense is for the agent's verifier.

use crate::error::ProtocolError;
use crate::wire;
use pivot_advice::columns::ColumnBlock;
use pivot_advice::expr::MAX_DEPTH;
use pivot_advice::{
    Advice, AggregateCall, AggregateKind, BagKey, BinaryOperator, CallArgument, EmitMode, Exports, Expr,
    FieldDescriptor, FinalColumn, FinalFunction, Function, Groups, Instruction, JoinKind, JoinSide,
    LossCounts, MAX_CARRIER_SPANS, MAX_RULED_OUT, MAX_RULED_OUT_NAMES, NamedCarrier, OutsidePlaces, Pattern,
    PeerReplies, QueryBudget, QueryCost, QueryId, QueryState, QueryStatus, RuledOutTracepoints,
    TemporalFilter, Type, UnaryOperator, UnitedBag, UnpackedForm, Value, WeaveProblem, WithheldMessages,
    WithheldReason, WovenTime, codec,
};

type Result<T> = std::result::Result<T, ProtocolError>;

/// Returns a value. Lists of lists are refused.
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
        // Other encoders may send a NaN or a zero that is not the canonical one.
        Some(Kind::F64(x)) => Value::double(x),
        Some(Kind::String(x)) => Value::Str(x.into()),
        Some(Kind::Bytes(x)) => Value::Bytes(x.into()),
        Some(Kind::TimestampNs(x)) => Value::Timestamp(x),
        Some(Kind::DurationNs(x)) => Value::Duration(x),
    })
}

/// Returns the id of a query.
pub fn query_id(id: Option<wire::QueryId>) -> Result<QueryId> {
    let id = id.ok_or(ProtocolError::Missing("query id"))?;
    Ok(QueryId::new(id.frontend, id.number))
}

/// Returns an entry of a catalogue.
pub fn exports(exports: wire::Exports) -> Exports {
    Exports {
        tracepoint: exports.tracepoint,
        fields: exports.fields.into_iter().map(field_descriptor).collect(),
        file: exports.file,
        line: exports.line,
        module: exports.module,
    }
}

fn field_descriptor(field: wire::Field) -> FieldDescriptor {
    FieldDescriptor { name: field.name, ty: ty(field.r#type) }
}

/// Returns the type of a code; codes of a later version are [`Type::Any`].
pub fn ty(code: u32) -> Type {
    u8::try_from(code).map_or(Type::Any, Type::from_code)
}

/// Returns the groups of a report that are in columns.
pub fn group_columns(bytes: Vec<u8>) -> Result<ColumnBlock> {
    Ok(ColumnBlock::decode(bytes)?)
}

/// Returns the groups of a report.
pub fn groups(bytes: &[u8]) -> Result<Groups> {
    Ok(codec::ByteReader::new(bytes).groups()?)
}

// The table of kinds gives the fields, so that a new kind of loss needs no edit here.
macro_rules! define_loss_from_wire {
    ($($(#[$doc:meta])* $kind:ident: $unit:ident $words:tt,)*) => {
        /// Returns what is missing from a result; no message means nothing is.
        pub fn loss(loss: Option<wire::Loss>) -> LossCounts {
            let wire::Loss { $($kind,)* } = loss.unwrap_or_default();
            LossCounts { $($kind,)* ..LossCounts::default() }
        }
    };
}

pivot_advice::for_loss_kinds!(define_loss_from_wire);

/// Returns the places where events of a query ran outside any request; not more of them than an agent should have sent.
/// Places on a side of a later version are left out.
pub fn outside_places(found: Vec<wire::OutsidePlace>) -> OutsidePlaces {
    use wire::outside_place::Side;
    let mut places = OutsidePlaces::default();

    for place in found {
        let side = match place.side() {
            Side::Packs => JoinSide::Packs,
            Side::Unpacks => JoinSide::Unpacks,
            Side::Unspecified => continue,
        };
        places.count(side, &place.tracepoint, &place.span, &place.thread, place.events);
    }
    places
}

/// Returns what a query costs; no message means nothing.
pub fn cost(cost: Option<wire::Cost>) -> QueryCost {
    let wire::Cost { events, busy_ns, packed, packed_bytes } = cost.unwrap_or_default();
    QueryCost { events, busy_ns, longest_ns: 0, packed, packed_bytes }
}

/// Returns how a query stands in a process; a state of a later version is refused.
pub fn query_status(status: wire::QueryStatus) -> Result<QueryStatus> {
    use wire::query_status::State as Wire;
    let state = match status.state() {
        Wire::Active => QueryState::Active,
        Wire::Pending => QueryState::Pending,
        Wire::Throttled => QueryState::Throttled,
        Wire::Quarantined => QueryState::Quarantined,
        Wire::Problem => QueryState::Problem,
        Wire::Disabled => QueryState::Disabled,
        Wire::RuledOut => QueryState::RuledOut,
        Wire::Unspecified => return Err(unknown("state of a query", status.state)),
    };

    Ok(QueryStatus {
        query: query_id(status.query)?,
        state,
        keep: status.keep,
        detail: status.detail,
        granted: status.granted.as_ref().map(query_budget),
        ruled_out: status.ruled_out.into_iter().take(MAX_RULED_OUT).map(ruled_out).collect(),
    })
}

/// Returns a glob over the names of spans in a process, with not more of its spans than an agent should have sent; `None`
/// if the glob cannot be read.
pub fn named_carrier(found: wire::NamedCarrier) -> Option<NamedCarrier> {
    let mut carrier = NamedCarrier::new(found.glob.parse().ok()?);
    found.spans.into_iter().take(MAX_CARRIER_SPANS).for_each(|span| carrier.add_span(span));
    Some(carrier)
}

/// Returns when a query was woven in a process.
pub fn woven_time(woven: wire::WovenTime) -> WovenTime {
    let wire::WovenTime { since_ns, until_ns } = woven;
    WovenTime { since_ns, until_ns }
}

/// Returns what a condition rules out; not more of it than an agent should have sent.
fn ruled_out(mut found: wire::RuledOut) -> RuledOutTracepoints {
    found.tracepoints.truncate(MAX_RULED_OUT_NAMES);
    found.values.truncate(MAX_RULED_OUT_NAMES);
    RuledOutTracepoints {
        condition: found.condition,
        tracepoints: found.tracepoints,
        call_sites: found.call_sites,
        values: found.values,
    }
}

/// Returns what a query asks for or is granted. A share of the processor that is no positive number limits nothing.
pub fn query_budget(budget: &wire::QueryBudget) -> QueryBudget {
    let cpu = budget.cpu.filter(|cpu| *cpu > 0.0 && cpu.is_finite());
    QueryBudget { bytes: budget.bytes, groups: budget.groups, cpu }
}

/// Returns why an advice is not woven.
pub fn weave_problem(problem: wire::Problem) -> Result<WeaveProblem> {
    Ok(WeaveProblem {
        query: query_id(problem.query)?,
        tracepoint: problem.tracepoint,
        message: problem.message,
    })
}

/// Returns how the replies of a peer came.
pub fn peer_replies(replies: wire::PeerReplies) -> PeerReplies {
    let wire::PeerReplies { peer, returned, bare } = replies;
    PeerReplies { peer, returned, bare }
}

/// Returns the messages to one host that went without baggage. A reason of a later version becomes
/// [`WithheldReason::NotAllowed`], so that the messages stay counted.
pub fn withheld_messages(withheld: wire::HeldBack) -> WithheldMessages {
    use wire::held_back::Reason as Wire;
    let reason = match withheld.reason() {
        Wire::NoRoom => WithheldReason::NoRoom,
        Wire::NotAllowed | Wire::Unspecified => WithheldReason::NotAllowed,
    };
    WithheldMessages { host: withheld.host, reason, messages: withheld.messages }
}

fn unknown(what: &'static str, number: i32) -> ProtocolError {
    ProtocolError::Unknown { what, number: number as u64 }
}

/// Returns the advice of a stage at a tracepoint.
pub fn advice(advice: wire::Advice) -> Result<Advice> {
    Ok(Advice {
        query: query_id(advice.query)?,
        stage: narrow("stage", advice.stage)?,
        tracepoint: advice.tracepoint,
        instructions: advice.instructions.into_iter().map(instruction).collect::<Result<_>>()?,
    })
}

/// Returns a number that has to fit 16 bits, as positions of columns, states and stages do.
fn narrow(what: &'static str, number: u32) -> Result<u16> {
    u16::try_from(number).map_err(|_| ProtocolError::Unknown { what, number: number.into() })
}

fn bag(query: Option<wire::QueryId>, stage: u32) -> Result<BagKey> {
    Ok(BagKey { query: query_id(query)?, stage: narrow("stage", stage)? })
}

fn aggregate(code: u32) -> Result<AggregateKind> {
    let known = u8::try_from(code).ok().and_then(AggregateKind::from_code);
    known.ok_or(ProtocolError::Unknown { what: "aggregate", number: code.into() })
}

fn instruction(instruction: wire::Instruction) -> Result<Instruction> {
    use wire::instruction::Kind;
    Ok(match instruction.kind.ok_or(ProtocolError::Missing("an instruction that this version knows"))? {
        Kind::Observe(field) => Instruction::Observe { field },
        Kind::Let(step) => Instruction::Let { expr: required(step.expr)?, name: step.name },
        Kind::Filter(condition) => Instruction::Filter { expr: expr(condition)? },

        Kind::Unpack(step) => Instruction::Unpack {
            bag: bag(step.query, step.stage)?,
            alias: step.alias,
            columns: step.columns,
            aggregates: step.aggregates.into_iter().map(aggregate).collect::<Result<_>>()?,
            // A message without a subquery stands for the bag's rows.
            rows: step.groups.map_or(Ok(UnpackedForm::Rows), unpacked)?,
            matching: matching(step.r#match)?,
            on: step.on.map(expr).transpose()?,
        },

        Kind::UnpackUnion(step) => Instruction::UnpackUnion {
            alias: step.alias,
            columns: step.columns,
            bags: step.bags.into_iter().map(united_bag).collect::<Result<_>>()?,
            matching: matching(step.r#match)?,
            on: step.on.map(expr).transpose()?,
        },

        Kind::Unnest(step) => Instruction::Unnest { list: narrow("column", step.list)?, name: step.name },
        Kind::Distinct(columns) => Instruction::Distinct { columns: keys(columns.columns)? },
        Kind::Order(columns) => Instruction::Order { columns: keys(columns.columns)? },
        Kind::Choose(wire::Choose {}) => Instruction::Choose,

        Kind::Pack(step) => Instruction::Pack {
            bag: bag(step.query, step.stage)?,
            // No temporal filter keeps all tuples.
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

fn united_bag(united: wire::UnitedBag) -> Result<UnitedBag> {
    Ok(UnitedBag {
        bag: bag(united.query, united.stage)?,
        width: narrow("column", united.width)?,
        aggregates: united.aggregates.into_iter().map(aggregate).collect::<Result<_>>()?,
        rows: united.groups.map_or(Ok(UnpackedForm::Rows), unpacked)?,
        having: united.having.map(expr).transpose()?,
        values: united.values.into_iter().map(expr).collect::<Result<_>>()?,
    })
}

/// Returns an expression that a message must have.
fn required(expr: Option<wire::Expr>) -> Result<Expr> {
    self::expr(expr.ok_or(ProtocolError::Missing("expression"))?)
}

fn matching(number: i32) -> Result<JoinKind> {
    Ok(match wire::Match::try_from(number) {
        Ok(wire::Match::Inner) => JoinKind::Inner,
        Ok(wire::Match::Left) => JoinKind::Left,
        Ok(wire::Match::Anti) => JoinKind::Anti,
        Err(_) => return Err(ProtocolError::Unknown { what: "match", number: number as u64 }),
    })
}

/// Returns how a bag is unpacked whose rows an aggregating subquery groups.
fn unpacked(groups: wire::Groups) -> Result<UnpackedForm> {
    Ok(UnpackedForm::Groups {
        width: narrow("column", groups.width)?,
        keys: keys(groups.keys)?,
        folds: groups.folds.into_iter().map(fold).collect::<Result<_>>()?,
        finished: groups.finished.into_iter().map(finished).collect::<Result<_>>()?,
        distinct: groups.distinct.into_iter().map(expr).collect::<Result<_>>()?,
    })
}

/// Returns a value that is wanted of a state.
pub fn finished(finished: wire::Finished) -> Result<FinalColumn> {
    use wire::finished::Finish as Wire;
    let finish = match finished.finish {
        // Most aggregates have one value alone, so that one is not written.
        None => FinalFunction::Plain,
        Some(Wire::Deviation(_)) => FinalFunction::Deviation,
        Some(Wire::SampleVariance(_)) => FinalFunction::SampleVariance,
        Some(Wire::SampleDeviation(_)) => FinalFunction::SampleDeviation,
        Some(Wire::Quantile(q)) => FinalFunction::Quantile(q),
        Some(Wire::Top(k)) => FinalFunction::Top(narrow("count", k)?),
        Some(Wire::IntegerBuckets(_)) => FinalFunction::IntegerBuckets,

        Some(Wire::Linear(wire::Linear { least, step, count, durations })) => {
            FinalFunction::Linear { least, step, count: narrow("count", count)?, durations }
        }
    };

    Ok(FinalColumn { state: narrow("state", finished.state)?, finish })
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

/// Returns an expression, no deeper than [`MAX_DEPTH`].
///
/// It arrives in postfix order, for a stack machine, so decoding needs no recursion: `a + 1 > b` is
/// `a 1 + b >`, and the stack holds `a`, then `a 1`, then `(a + 1)`, then `(a + 1) b`, then the whole.
pub fn expr(expr: wire::Expr) -> Result<Expr> {
    let mut stack = PartialExprStack::default();
    for step in expr.steps {
        stack.apply(step.kind.ok_or(ProtocolError::Missing("step of an expression"))?)?;
    }
    match (stack.values.pop(), stack.values.is_empty()) {
        (Some((expr, _)), true) => Ok(expr),
        _ => Err(ProtocolError::Expression("it does not leave one value")),
    }
}

/// The stack of partial expressions, each with its depth, so that depth is known without walking them again.
#[derive(Default)]
struct PartialExprStack {
    values: Vec<(Expr, usize)>,
}

impl PartialExprStack {
    /// Takes the last `count` expressions off the stack, and returns how deep an expression around them is.
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

    /// Takes one expression off the stack and makes another one around it.
    fn one(&mut self, make: impl FnOnce(Box<Expr>) -> Expr) -> Result<(Expr, usize)> {
        let (mut operands, depth) = self.take(1)?;
        let operand = operands.pop().ok_or(ProtocolError::Expression("a step lacks operands"))?;
        Ok((make(Box::new(operand)), depth))
    }

    /// Carries out one step: takes its operands off the stack and puts its expression there.
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
            // One more operand than list elements: the item that is looked for.
            Kind::In(count) => {
                let (mut list, depth) = self.take((count as usize).saturating_add(1))?;
                let item = list.remove(0);
                (Expr::In(Box::new(item), list), depth)
            }

            Kind::Like(pattern) => self.one(|x| Expr::Matches(x, Pattern::Like(pattern.into())))?,
            Kind::Regex(source) => {
                let pattern = regex(source)?;
                self.one(|x| Expr::Matches(x, pattern))?
            }
            Kind::Extract(wire::Extract { regex, group }) => {
                let pattern = self::regex(regex)?;
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

/// Compiles a regular expression. It fails here and not at an event.
fn regex(source: String) -> Result<Pattern> {
    Pattern::regex(&source).map_err(|reason| ProtocolError::Pattern { pattern: source, reason })
}

fn unary(op: i32) -> Result<UnaryOperator> {
    Ok(match wire::Unary::try_from(op) {
        Ok(wire::Unary::Not) => UnaryOperator::Not,
        Ok(wire::Unary::Negate) => UnaryOperator::Negate,
        Ok(wire::Unary::IsNull) => UnaryOperator::IsNull,
        _ => return Err(ProtocolError::Unknown { what: "operator", number: op as u64 }),
    })
}

fn binary(op: i32) -> Result<BinaryOperator> {
    Ok(match wire::Binary::try_from(op) {
        Ok(wire::Binary::Add) => BinaryOperator::Add,
        Ok(wire::Binary::Subtract) => BinaryOperator::Subtract,
        Ok(wire::Binary::Multiply) => BinaryOperator::Multiply,
        Ok(wire::Binary::Divide) => BinaryOperator::Divide,
        Ok(wire::Binary::Remainder) => BinaryOperator::Remainder,
        Ok(wire::Binary::Concat) => BinaryOperator::Concat,

        Ok(wire::Binary::Equal) => BinaryOperator::Equal,
        Ok(wire::Binary::NotEqual) => BinaryOperator::NotEqual,
        Ok(wire::Binary::Less) => BinaryOperator::Less,
        Ok(wire::Binary::LessEqual) => BinaryOperator::LessEqual,
        Ok(wire::Binary::Greater) => BinaryOperator::Greater,
        Ok(wire::Binary::GreaterEqual) => BinaryOperator::GreaterEqual,

        Ok(wire::Binary::And) => BinaryOperator::And,
        Ok(wire::Binary::Or) => BinaryOperator::Or,
        _ => return Err(ProtocolError::Unknown { what: "operator", number: op as u64 }),
    })
}
