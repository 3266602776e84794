//! Conversions from Pivot's types to the wire. They always succeed.

use crate::wire;
use pivot_advice::columns::ColumnBlock;
use pivot_advice::{
    Advice, AggregateCall, BinaryOperator, CallArgument, EmitMode, Exports, Expr, FieldDescriptor,
    FinalColumn, FinalFunction, Groups, Instruction, JoinKind, JoinSide, LossCounts, NamedCarrier,
    OutsidePlace, OutsidePlaces, Pattern, PeerReplies, QueryBudget, QueryCost, QueryId, QueryState,
    QueryStatus, RuledOutTracepoints, TemporalFilter, UnaryOperator, UnitedBag, UnpackedForm, Value,
    WeaveProblem, WithheldMessages, WithheldReason, WovenTime, codec,
};

/// Returns the message of a value.
pub fn value(value: &Value) -> wire::Value {
    use wire::value::Kind;
    let kind = match value {
        // A message without a kind is null.
        Value::Null => None,
        Value::Bool(x) => Some(Kind::Bool(*x)),
        Value::I64(x) => Some(Kind::I64(*x)),
        Value::U64(x) => Some(Kind::U64(*x)),
        Value::F64(x) => Some(Kind::F64(*x)),
        Value::Str(x) => Some(Kind::String(x.to_string())),
        Value::Bytes(x) => Some(Kind::Bytes(x.to_vec())),
        Value::Timestamp(x) => Some(Kind::TimestampNs(*x)),
        Value::Duration(x) => Some(Kind::DurationNs(*x)),
        Value::List(items) => Some(Kind::List(wire::List { items: items.iter().map(self::value).collect() })),
    };

    wire::Value { kind }
}

/// Returns the message of a query's id.
pub fn query_id(id: QueryId) -> wire::QueryId {
    wire::QueryId { frontend: id.frontend, number: id.number }
}

/// Returns the message of an entry of a catalogue.
pub fn exports(exports: &Exports) -> wire::Exports {
    wire::Exports {
        tracepoint: exports.tracepoint.clone(),
        fields: exports.fields.iter().map(field).collect(),
        file: exports.file.clone(),
        line: exports.line,
        module: exports.module.clone(),
    }
}

fn field(field: &FieldDescriptor) -> wire::Field {
    wire::Field { name: field.name.clone(), r#type: field.ty.code().into() }
}

/// Returns groups as the bytes of a report in columns.
pub fn group_columns(groups: &Groups) -> Vec<u8> {
    ColumnBlock::encode(groups)
}

/// Returns groups as the bytes of a report.
pub fn groups(groups: &Groups) -> Vec<u8> {
    let mut writer = codec::ByteWriter::new();
    writer.groups(groups);
    writer.into_bytes()
}

// The table of kinds gives the fields, so that a new kind of loss needs no edit here.
macro_rules! define_loss_to_wire {
    ($($(#[$doc:meta])* $kind:ident: $unit:ident $words:tt,)*) => {
        /// Returns the message that says what is missing from a result.
        pub fn loss(loss: &LossCounts) -> wire::Loss {
            wire::Loss { $($kind: loss.$kind,)* }
        }
    };
}

pivot_advice::for_loss_kinds!(define_loss_to_wire);

/// Returns the messages about the places where events of a query ran outside any request.
pub fn outside_places(places: &OutsidePlaces) -> Vec<wire::OutsidePlace> {
    use wire::outside_place::Side;
    let message = |place: &OutsidePlace| wire::OutsidePlace {
        side: match place.side {
            JoinSide::Packs => Side::Packs.into(),
            JoinSide::Unpacks => Side::Unpacks.into(),
        },
        tracepoint: place.tracepoint.clone(),
        span: place.span.clone(),
        thread: place.thread.clone(),
        events: place.events,
    };

    places.iter().map(message).collect()
}

/// Returns the message that says what a query costs.
pub fn cost(cost: &QueryCost) -> wire::Cost {
    let QueryCost { events, busy_ns, longest_ns: _, packed, packed_bytes } = *cost;
    wire::Cost { events, busy_ns, packed, packed_bytes }
}

/// Returns the message that says how a query stands in a process.
pub fn query_status(status: &QueryStatus) -> wire::QueryStatus {
    use wire::query_status::State as Wire;
    let state = match status.state {
        QueryState::Active => Wire::Active,
        QueryState::Pending => Wire::Pending,
        QueryState::Throttled => Wire::Throttled,
        QueryState::Quarantined => Wire::Quarantined,
        QueryState::Problem => Wire::Problem,
        QueryState::Disabled => Wire::Disabled,
        QueryState::RuledOut => Wire::RuledOut,
    };

    wire::QueryStatus {
        query: Some(query_id(status.query)),
        state: state.into(),
        keep: status.keep,
        detail: status.detail.clone(),
        granted: status.granted.as_ref().map(query_budget),
        ruled_out: status.ruled_out.iter().map(ruled_out).collect(),
    }
}

/// Returns the message about a glob over the names of spans in a process.
pub fn named_carrier(carrier: &NamedCarrier) -> wire::NamedCarrier {
    let NamedCarrier { glob, spans } = carrier;
    wire::NamedCarrier { glob: glob.to_string(), spans: spans.iter().cloned().collect() }
}

/// Returns the message about when a query was woven in a process.
pub fn woven_time(woven: &WovenTime) -> wire::WovenTime {
    let WovenTime { since_ns, until_ns } = *woven;
    wire::WovenTime { since_ns, until_ns }
}

fn ruled_out(found: &RuledOutTracepoints) -> wire::RuledOut {
    wire::RuledOut {
        condition: found.condition.clone(),
        tracepoints: found.tracepoints.clone(),
        call_sites: found.call_sites,
        values: found.values.clone(),
    }
}

/// Returns the message of what a query asks for or is granted.
pub fn query_budget(budget: &QueryBudget) -> wire::QueryBudget {
    let QueryBudget { bytes, groups, cpu } = *budget;
    wire::QueryBudget { bytes, groups, cpu }
}

/// Returns the message that says why an advice is not woven.
pub fn weave_problem(problem: &WeaveProblem) -> wire::Problem {
    wire::Problem {
        query: Some(query_id(problem.query)),
        tracepoint: problem.tracepoint.clone(),
        message: problem.message.clone(),
    }
}

/// Returns the message that says how the replies of a peer came.
pub fn peer_replies(replies: &PeerReplies) -> wire::PeerReplies {
    wire::PeerReplies { peer: replies.peer.clone(), returned: replies.returned, bare: replies.bare }
}

/// Returns the message about messages to one host that went without baggage.
pub fn withheld_messages(withheld: &WithheldMessages) -> wire::HeldBack {
    use wire::held_back::Reason as Wire;
    let reason = match withheld.reason {
        WithheldReason::NotAllowed => Wire::NotAllowed,
        WithheldReason::NoRoom => Wire::NoRoom,
        _ => Wire::Unspecified,
    };
    wire::HeldBack { host: withheld.host.clone(), reason: reason.into(), messages: withheld.messages }
}

/// Returns the message of the advice of a stage at a tracepoint.
pub fn advice(advice: &Advice) -> wire::Advice {
    wire::Advice {
        query: Some(query_id(advice.query)),
        stage: advice.stage.into(),
        tracepoint: advice.tracepoint.clone(),
        instructions: advice.instructions.iter().map(instruction).collect(),
    }
}

fn instruction(instruction: &Instruction) -> wire::Instruction {
    use wire::instruction::Kind;
    let kind = match instruction {
        Instruction::Observe { field } => Kind::Observe(field.clone()),
        Instruction::Let { name, expr } => {
            Kind::Let(wire::Let { name: name.clone(), expr: Some(self::expr(expr)) })
        }
        Instruction::Filter { expr } => Kind::Filter(self::expr(expr)),

        Instruction::Unpack { bag, alias, columns, aggregates, rows, matching, on } => {
            Kind::Unpack(wire::Unpack {
                query: Some(query_id(bag.query)),
                stage: bag.stage.into(),
                alias: alias.clone(),
                columns: columns.clone(),
                aggregates: aggregates.iter().map(|aggregate| *aggregate as u32).collect(),
                // Absent if the bag's rows are unpacked as they are.
                groups: unpacked(rows),
                r#match: self::matching(*matching).into(),
                on: on.as_ref().map(self::expr),
            })
        }

        Instruction::UnpackUnion { alias, columns, bags, matching, on } => {
            Kind::UnpackUnion(wire::UnpackUnion {
                alias: alias.clone(),
                columns: columns.clone(),
                bags: bags.iter().map(united_bag).collect(),
                r#match: self::matching(*matching).into(),
                on: on.as_ref().map(self::expr),
            })
        }

        Instruction::Unnest { list, name } => {
            Kind::Unnest(wire::Unnest { list: (*list).into(), name: name.clone() })
        }
        Instruction::Distinct { columns } => Kind::Distinct(self::columns(columns)),
        Instruction::Order { columns } => Kind::Order(self::columns(columns)),
        Instruction::Choose => Kind::Choose(wire::Choose {}),

        Instruction::Pack { bag, keep, keys, folds } => Kind::Pack(wire::Pack {
            query: Some(query_id(bag.query)),
            stage: bag.stage.into(),
            keep: match keep {
                TemporalFilter::All => None,
                TemporalFilter::First(n) => Some(wire::pack::Keep::First(*n)),
                TemporalFilter::MostRecent(n) => Some(wire::pack::Keep::MostRecent(*n)),
            },
            keys: columns(keys).columns,
            folds: folds.iter().map(fold).collect(),
        }),
        Instruction::Emit { keys, folds, form } => Kind::Emit(wire::Emit {
            keys: columns(keys).columns,
            folds: folds.iter().map(fold).collect(),
            rows: *form == EmitMode::Rows,
        }),
    };

    wire::Instruction { kind: Some(kind) }
}

fn united_bag(united: &UnitedBag) -> wire::UnitedBag {
    wire::UnitedBag {
        query: Some(query_id(united.bag.query)),
        stage: united.bag.stage.into(),
        width: united.width.into(),
        aggregates: united.aggregates.iter().map(|aggregate| *aggregate as u32).collect(),
        // Absent if the bag's rows are unpacked as they are.
        groups: unpacked(&united.rows),
        having: united.having.as_ref().map(expr),
        values: united.values.iter().map(expr).collect(),
    }
}

fn columns(columns: &[u16]) -> wire::Columns {
    wire::Columns { columns: columns.iter().map(|column| u32::from(*column)).collect() }
}

fn matching(matching: JoinKind) -> wire::Match {
    match matching {
        JoinKind::Inner => wire::Match::Inner,
        JoinKind::Left => wire::Match::Left,
        JoinKind::Anti => wire::Match::Anti,
    }
}

fn unpacked(rows: &UnpackedForm) -> Option<wire::Groups> {
    let UnpackedForm::Groups { width, keys, folds, finished, distinct } = rows else { return None };
    Some(wire::Groups {
        width: (*width).into(),
        keys: columns(keys).columns,
        folds: folds.iter().map(fold).collect(),
        finished: finished.iter().map(self::finished).collect(),
        distinct: distinct.iter().map(expr).collect(),
    })
}

/// Returns the message of a value that is wanted of a state.
pub fn finished(finished: &FinalColumn) -> wire::Finished {
    use wire::finished::Finish as Wire;
    let finish = match finished.finish {
        FinalFunction::Plain => None,
        FinalFunction::Deviation => Some(Wire::Deviation(wire::Deviation {})),
        FinalFunction::SampleVariance => Some(Wire::SampleVariance(wire::SampleVariance {})),
        FinalFunction::SampleDeviation => Some(Wire::SampleDeviation(wire::SampleDeviation {})),
        FinalFunction::Quantile(q) => Some(Wire::Quantile(q)),
        FinalFunction::Top(k) => Some(Wire::Top(k.into())),
        FinalFunction::IntegerBuckets => Some(Wire::IntegerBuckets(wire::IntegerBuckets {})),
        FinalFunction::Linear { least, step, count, durations } => {
            Some(Wire::Linear(wire::Linear { least, step, count: count.into(), durations }))
        }
    };

    wire::Finished { state: finished.state.into(), finish }
}

fn fold(fold: &AggregateCall) -> wire::Fold {
    let input = match &fold.input {
        CallArgument::Expr(expr) => wire::fold::Input::Expr(self::expr(expr)),
        CallArgument::State(index) => wire::fold::Input::State((*index).into()),
    };
    wire::Fold { aggregate: fold.aggregate as u32, input: Some(input) }
}

/// Returns the message of an expression: its steps in postfix order.
pub fn expr(expr: &Expr) -> wire::Expr {
    let mut steps = Vec::with_capacity(expr.size());
    push(&mut steps, expr);
    wire::Expr { steps }
}

/// Appends the steps of an expression: those of its operands, then its own.
fn push(steps: &mut Vec<wire::Step>, expr: &Expr) {
    use wire::step::Kind;
    expr.children().into_iter().for_each(|child| push(steps, child));

    let kind = match expr {
        Expr::Column(index) => Kind::Column((*index).into()),
        Expr::Literal(literal) => Kind::Literal(value(literal)),
        Expr::Unary(op, _) => Kind::Unary(unary(*op).into()),
        Expr::Binary(op, ..) => Kind::Binary(binary(*op).into()),
        // By name, so that a receiver that lacks a function can say which.
        Expr::Call(function, arguments) => Kind::Call(wire::Call {
            function: function.name().into(),
            arguments: u32::try_from(arguments.len()).unwrap_or(u32::MAX),
        }),
        Expr::Case(arms, otherwise) => Kind::Case(wire::Case {
            arms: u32::try_from(arms.len()).unwrap_or(u32::MAX),
            otherwise: otherwise.is_some(),
        }),
        // The item that is looked for stands before the elements and is not counted.
        Expr::In(_, list) => Kind::In(u32::try_from(list.len()).unwrap_or(u32::MAX)),
        Expr::Matches(_, pattern @ Pattern::Like(_)) => Kind::Like(pattern.source().into()),
        Expr::Matches(_, pattern @ Pattern::Regex(_)) => Kind::Regex(pattern.source().into()),
        Expr::Extract(_, pattern, group) => {
            Kind::Extract(wire::Extract { regex: pattern.source().into(), group: (*group).into() })
        }
        Expr::Cast(_, ty) => Kind::Cast(ty.code().into()),
    };

    steps.push(wire::Step { kind: Some(kind) });
}

fn unary(op: UnaryOperator) -> wire::Unary {
    match op {
        UnaryOperator::Not => wire::Unary::Not,
        UnaryOperator::Negate => wire::Unary::Negate,
        UnaryOperator::IsNull => wire::Unary::IsNull,
    }
}

fn binary(op: BinaryOperator) -> wire::Binary {
    match op {
        BinaryOperator::Add => wire::Binary::Add,
        BinaryOperator::Subtract => wire::Binary::Subtract,
        BinaryOperator::Multiply => wire::Binary::Multiply,
        BinaryOperator::Divide => wire::Binary::Divide,
        BinaryOperator::Remainder => wire::Binary::Remainder,
        BinaryOperator::Concat => wire::Binary::Concat,

        BinaryOperator::Equal => wire::Binary::Equal,
        BinaryOperator::NotEqual => wire::Binary::NotEqual,
        BinaryOperator::Less => wire::Binary::Less,
        BinaryOperator::LessEqual => wire::Binary::LessEqual,
        BinaryOperator::Greater => wire::Binary::Greater,
        BinaryOperator::GreaterEqual => wire::Binary::GreaterEqual,

        BinaryOperator::And => wire::Binary::And,
        BinaryOperator::Or => wire::Binary::Or,
    }
}
