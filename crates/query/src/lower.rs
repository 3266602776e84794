//! Plan to advice: columns get their positions in the row, aggregates theirs among the states.
//!
//! ```text
//! stage 1: cl in ClientProtocols, first 1      A1 at ClientProtocols
//!   observe process as #2                        OBSERVE process
//!   pack (#2)                                    PACK    bag 7.1 FIRST 1 (process)
//! stage 0: e in DataNode.read                  A2 at DataNode.read
//!   observe delta as #0                          OBSERVE delta              row: delta
//!   join cl -> e                                 UNPACK  bag 7.1            row: delta, process
//!   emit groups (#2) aggregate (SUM(#0))         EMIT    GROUP (1) AGG (SUM(0))
//! ```
//!
//! Advice comes out in the order of stages, consumers before producers: where both are woven into one
//! tracepoint, an event must not see what it packs itself.

use crate::plan::{
    Plan, Stage, StageAggregate, StageAggregateInput, StageEnd, StageJoin, StageSource, StageStep,
    UnitedGroups,
};
use crate::plan::{SubqueryGroups, narrow, with_columns};
use pivot_advice::{
    Advice, AggregateKind, BagKey, BinaryOperator, EmitMode, Expr, FinalColumn, Function, Instruction,
    JoinKind, QueryId, SAMPLE_STRATA, TemporalFilter, Type, UnitedBag, UnpackedForm, Value,
};
use std::collections::HashMap;

/// Returns the advice of every stage at every of its tracepoints.
pub(crate) fn lower(plan: &Plan, query: QueryId) -> Vec<Advice> {
    lower_as(plan, query, LoweredStage::Tuples)
}

/// Returns the advice of every inner stage, and beside that of every stage one that emits, for each row,
/// which stage it is of, how many bytes it takes, and which request it belongs to.
pub(crate) fn lower_measured(plan: &Plan, query: QueryId) -> Vec<Advice> {
    let mut advice: Vec<Advice> = lower(plan, query).into_iter().filter(|advice| advice.stage > 0).collect();
    advice.extend(lower_as(plan, query, LoweredStage::Costs));
    advice
}

/// The output of advice for the rows of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LoweredStage {
    /// The rows, packed or emitted as the plan says.
    Tuples,
    /// The costs of the rows.
    Costs,
}

/// Returns the advice of all stages that have a bag of their own, with one kind of output.
fn lower_as(plan: &Plan, query: QueryId, output: LoweredStage) -> Vec<Advice> {
    let mut advice = Vec::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        // A stage that shares the bag of another has nothing to pack.
        if stage.bag != index {
            continue;
        }
        for member in &stage.members {
            for tracepoint in 0..member.tracepoints.len() {
                advice.push(AdviceBuilder::new(plan, query, index, output).advice(member, tracepoint));
            }
        }
    }
    advice
}

/// The row of a stage at one tracepoint, while instructions append columns to it.
struct AdviceBuilder<'a> {
    plan: &'a Plan,
    query: QueryId,
    index: usize,
    stage: &'a Stage,
    output: LoweredStage,
    /// Positions in the row, by the number of the column in the plan.
    columns: HashMap<u16, u16>,
    /// How many columns the row has.
    width: usize,
    /// Positions of states, by the number of their aggregate.
    states: HashMap<usize, u16>,
    /// The position of the request's id, if it is observed; its time stands behind it.
    request: u16,
    /// The position of the part of the sampled requests.
    part: Option<u16>,
    instructions: Vec<Instruction>,
}

impl<'a> AdviceBuilder<'a> {
    fn new(plan: &'a Plan, query: QueryId, index: usize, output: LoweredStage) -> AdviceBuilder<'a> {
        AdviceBuilder {
            plan,
            query,
            index,
            stage: &plan.stages[index],
            output,
            columns: HashMap::new(),
            width: 0,
            states: HashMap::new(),
            request: 0,
            part: None,
            instructions: vec![],
        }
    }

    fn advice(mut self, member: &StageSource, tracepoint: usize) -> Advice {
        self.observe(member, tracepoint);
        self.sample();

        // What follows a choice belongs to a tuple that was chosen; without it Pack chooses.
        let measures = self.output == LoweredStage::Costs;
        let chooses = self.stage.keep != TemporalFilter::All;
        let choice = chooses.then_some(&StageStep::Choose);
        for step in member.steps.iter().chain(choice).chain(&self.stage.steps) {
            self.step(step);
        }
        if self.instructions.last() == Some(&Instruction::Choose) {
            self.instructions.pop();
        }

        let end = if measures { self.measure() } else { self.end(member) };
        self.instructions.push(end);
        Advice {
            query: self.query,
            stage: narrow(self.index),
            tracepoint: member.tracepoints[tracepoint].name.clone(),
            instructions: self.instructions,
        }
    }

    /// Observes the fields of a member; what this tracepoint of a union lacks is null.
    fn observe(&mut self, member: &StageSource, tracepoint: usize) {
        let (lacked, exported): (Vec<_>, Vec<_>) =
            member.observed.iter().partition(|observed| observed.is_lacking(tracepoint));
        for observed in exported {
            self.instructions.push(Instruction::Observe { field: observed.field.clone() });
            self.append(observed.column);
        }

        if self.plan.sample.is_some() || self.output == LoweredStage::Costs {
            self.request = narrow(self.width);
            for field in ["$request", "$time"] {
                self.instructions.push(Instruction::Observe { field: field.into() });
                self.width += 1;
            }
        }

        // Observations come before everything else in advice.
        for observed in lacked {
            let expr = Expr::Literal(Value::Null);
            self.instructions.push(Instruction::Let { name: observed.field.clone(), expr });
            self.append(observed.column);
        }
    }

    /// Drops the requests that are not in the sample: all stages decide alike, by a hash of the id.
    /// Outside a request every event decides for itself.
    fn sample(&mut self) {
        let Some(fraction) = self.plan.sample else { return };
        let time = Expr::Cast(Box::new(Expr::Column(self.request + 1)), Type::String);
        let id = Expr::Call(Function::Coalesce, vec![Expr::Column(self.request), time]);
        let hash = |salt: u64| Expr::Call(Function::Hash, vec![id.clone(), Expr::Literal(Value::U64(salt))]);

        // The largest double below 2^64 is the nearest to all of them.
        let limit = Expr::Literal(Value::U64((fraction * u64::MAX as f64) as u64));
        let expr = Expr::binary(BinaryOperator::Less, hash(0), limit);
        self.instructions.push(Instruction::Filter { expr });

        // Sums of parts of the requests tell how far the scaled sum may be off.
        let emits_groups = matches!(self.stage.end, StageEnd::Emit { form: EmitMode::Groups, .. });
        if emits_groups && self.output == LoweredStage::Tuples {
            let expr = Expr::binary(
                BinaryOperator::Remainder,
                hash(1),
                Expr::Literal(Value::U64(SAMPLE_STRATA.into())),
            );
            self.instructions.push(Instruction::Let { name: "part".into(), expr });
            self.part = Some(narrow(self.width));
            self.width += 1;
        }
    }

    fn step(&mut self, step: &StageStep) {
        match step {
            StageStep::Filter(condition) => {
                let expr = self.positioned(condition);
                self.instructions.push(Instruction::Filter { expr });
            }
            StageStep::Let(column, value) => {
                let expr = self.positioned(value);
                let name = self.name(*column, self.stage);
                self.instructions.push(Instruction::Let { name, expr });
                self.append(*column);
            }
            StageStep::Join(join)
                if join.united.is_empty() && self.plan.stages[join.child].choices.is_empty() =>
            {
                self.unpack(join);
            }
            StageStep::Join(join) => self.unpack_union(join),

            StageStep::Unnest { list, element } => {
                let (list, name) = (self.position(*list), self.name(*element, self.stage));
                self.instructions.push(Instruction::Unnest { list, name });
                self.append(*element);
            }

            // These change which rows there are and in which order, and no column.
            StageStep::Distinct(columns) => {
                let columns = self.positions(columns);
                self.instructions.push(Instruction::Distinct { columns });
            }
            StageStep::Order(columns) => {
                let columns = self.positions(columns);
                self.instructions.push(Instruction::Order { columns });
            }

            // What is measured are all tuples that could be chosen.
            StageStep::Choose if self.output == LoweredStage::Costs => {}
            StageStep::Choose => self.instructions.push(Instruction::Choose),
        }
    }

    /// Unpacks the bag of a child: its columns and states become those of the row.
    fn unpack(&mut self, join: &StageJoin) {
        let packed = &self.plan.stages[join.child];
        let appended = self.plan.appended(join.child);
        let states: Vec<&StageAggregate> = match &packed.end {
            StageEnd::Groups(groups) => groups.packed_folds().collect(),
            other => other.folds().iter().collect(),
        };

        // Conditions of the match see the columns of both sides.
        let outside = (join.matching == JoinKind::Anti).then(|| (self.columns.clone(), self.width));
        for column in appended {
            self.append(*column);
        }
        let on = self.all_of(&join.on);
        let distinct = join.distinct.iter().map(|value| self.positioned(value)).collect();
        let rows = match &packed.end {
            StageEnd::Groups(groups) => regrouped(groups, distinct),
            _ => UnpackedForm::Rows,
        };

        if let Some((columns, width)) = outside {
            // An ANTI join leaves nothing of the child.
            self.columns = columns;
            self.width = width;
        } else if rows == UnpackedForm::Rows {
            for fold in packed.end.folds() {
                let position = narrow(self.states.len());
                self.states.insert(fold.number, position);
            }
        }

        self.instructions.push(Instruction::Unpack {
            bag: BagKey { query: self.query, stage: narrow(packed.bag) },
            alias: packed.alias.clone(),
            columns: appended.iter().map(|column| self.name(*column, packed)).collect(),
            aggregates: states.iter().map(|fold| fold.aggregate).collect(),
            rows,
            matching: join.matching,
            on,
        });
    }

    /// Unpacks the bags of a union as one relation: its columns become those of the row. It has no states.
    fn unpack_union(&mut self, join: &StageJoin) {
        let child = &self.plan.stages[join.child];
        let appended = self.plan.appended(join.child);
        let (columns, width) = (self.columns.clone(), self.width);
        for column in appended {
            self.append(*column);
        }
        let on = self.all_of(&join.on);
        if join.matching == JoinKind::Anti {
            // An ANTI join leaves nothing of the union.
            self.columns = columns;
            self.width = width;
        }

        let query = self.query;
        let rows = child.bags().map(|packed| UnitedBag {
            bag: BagKey { query, stage: narrow(packed.bag) },
            width: narrow(appended.len()),
            aggregates: vec![],
            rows: UnpackedForm::Rows,
            having: None,
            values: (0..narrow(appended.len())).map(Expr::Column).collect(),
        });
        let groups = join.united.iter().filter_map(|united| self.united(united, appended));
        self.instructions.push(Instruction::UnpackUnion {
            alias: child.alias.clone(),
            columns: appended.iter().map(|column| self.name(*column, child)).collect(),
            bags: rows.chain(groups).collect(),
            matching: join.matching,
            on,
        });
    }

    /// Returns the bag of an aggregating query in a union with these columns.
    fn united(&self, united: &UnitedGroups, appended: &[u16]) -> Option<UnitedBag> {
        let StageEnd::Groups(groups) = &self.plan.stages[united.stage].end else { return None };
        let place = |column: u16| groups.unpacked.iter().position(|known| *known == column);
        let over_groups = |expr: &Expr| {
            with_columns(expr, &mut |column| Expr::Column(place(column).map_or(u16::MAX, narrow)))
        };

        let value = |column: &u16| match united.values.iter().find(|(known, _)| known == column) {
            Some((_, value)) => over_groups(value),
            None => Expr::Literal(Value::Null),
        };
        Some(UnitedBag {
            bag: BagKey { query: self.query, stage: narrow(united.stage) },
            width: narrow(groups.unpacked.len()),
            aggregates: groups.packed_folds().map(|fold| fold.aggregate).collect(),
            rows: regrouped(groups, united.distinct.iter().map(over_groups).collect()),
            having: united.having.iter().map(over_groups).reduce(and),
            values: appended.iter().map(value).collect(),
        })
    }

    /// Returns one condition over the row that holds where all of these hold, or `None` if there are none.
    fn all_of(&self, conditions: &[Expr]) -> Option<Expr> {
        conditions.iter().map(|condition| self.positioned(condition)).reduce(and)
    }

    /// Returns the instruction that emits how many rows there are, of how many bytes, of which requests.
    fn measure(&mut self) -> Instruction {
        let (columns, states) = match &self.stage.end {
            StageEnd::Groups(groups) => (groups.packed(), groups.packed_folds().count()),
            other => (other.keys().to_vec(), other.folds().len()),
        };
        let columns = self.positions(&columns).into_iter().map(Expr::Column).collect();

        // Numbers of rows and partial aggregates take a few bytes each.
        let rest = Expr::Literal(Value::U64(1 + 4 * states as u64));
        let bytes = Expr::binary(BinaryOperator::Add, Expr::Call(Function::Size, columns), rest);

        let stage = Expr::Literal(Value::U64(self.index as u64));
        self.instructions.push(Instruction::Let { name: "stage".into(), expr: stage });
        self.width += 1;

        let request = Expr::Column(self.request);
        let folds = vec![call(AggregateKind::Sum, bytes), call(AggregateKind::Distinct, request)];
        Instruction::Emit { keys: vec![narrow(self.width - 1)], folds, form: EmitMode::Groups }
    }

    fn end(&self, member: &StageSource) -> Instruction {
        let bag = BagKey { query: self.query, stage: narrow(self.stage.bag_of(member)) };
        match &self.stage.end {
            StageEnd::Rows { keys, folds } => Instruction::Pack {
                bag,
                keep: self.stage.keep_of(member),
                keys: self.positions(keys),
                folds: folds.iter().map(|fold| self.fold(fold)).collect(),
            },

            // A choice among groups would be one among events: the consumer regroups all of them.
            StageEnd::Groups(groups) => Instruction::Pack {
                bag,
                keep: TemporalFilter::All,
                keys: self.positions(&groups.packed()),
                folds: groups.packed_folds().map(|fold| self.fold(fold)).collect(),
            },

            StageEnd::Emit { keys, folds, form } => {
                let mut keys = self.positions(keys);
                keys.extend(self.part);
                let folds = folds.iter().map(|fold| self.fold(fold)).collect();
                Instruction::Emit { keys, folds, form: *form }
            }
        }
    }

    fn fold(&self, fold: &StageAggregate) -> pivot_advice::AggregateCall {
        let input = match &fold.input {
            StageAggregateInput::Expr(expr) => pivot_advice::CallArgument::Expr(self.positioned(expr)),
            StageAggregateInput::State => {
                let position = self.states.get(&fold.number).copied();
                pivot_advice::CallArgument::State(position.unwrap_or(u16::MAX))
            }
        };
        pivot_advice::AggregateCall { aggregate: fold.aggregate, input }
    }

    fn append(&mut self, column: u16) {
        self.columns.insert(column, narrow(self.width));
        self.width += 1;
    }

    fn position(&self, column: u16) -> u16 {
        self.columns.get(&column).copied().unwrap_or(u16::MAX)
    }

    fn positions(&self, columns: &[u16]) -> Vec<u16> {
        columns.iter().map(|column| self.position(*column)).collect()
    }

    fn positioned(&self, expr: &Expr) -> Expr {
        with_columns(expr, &mut |column| Expr::Column(self.position(column)))
    }

    /// Returns the name of a column; a stage's own columns go without its alias.
    fn name(&self, column: u16, stage: &Stage) -> String {
        let column = &self.plan.columns[usize::from(column)];
        if column.alias == stage.alias { column.name.clone() } else { column.shown() }
    }
}

fn and(a: Expr, b: Expr) -> Expr {
    Expr::binary(BinaryOperator::And, a, b)
}

fn call(aggregate: AggregateKind, argument: Expr) -> pivot_advice::AggregateCall {
    pivot_advice::AggregateCall { aggregate, input: pivot_advice::CallArgument::Expr(argument) }
}

/// Returns how the consumer makes groups of the bag: its columns are keys and arguments of sketches, its
/// states are those of the other aggregates.
fn regrouped(groups: &SubqueryGroups, distinct: Vec<Expr>) -> UnpackedForm {
    let packed = groups.packed();
    let in_bag = |column: u16| packed.iter().position(|known| *known == column).map_or(u16::MAX, narrow);

    // Sketches are built here of columns, the states of other aggregates are those of the bag in order.
    let mut states = 0..;
    let mut folds = Vec::with_capacity(groups.folds.len());
    for fold in &groups.folds {
        let input = match &fold.input {
            StageAggregateInput::Expr(expr) if fold.aggregate.is_sketch() => {
                let over_bag = with_columns(expr, &mut |column| Expr::Column(in_bag(column)));
                pivot_advice::CallArgument::Expr(over_bag)
            }
            _ => pivot_advice::CallArgument::State(states.next().unwrap_or(u16::MAX)),
        };
        folds.push(pivot_advice::AggregateCall { aggregate: fold.aggregate, input });
    }

    let finished =
        groups.finished.iter().map(|value| FinalColumn { state: narrow(value.fold), finish: value.finish });
    UnpackedForm::Groups {
        width: narrow(packed.len()),
        keys: (0..narrow(groups.keys.len())).collect(),
        folds,
        finished: finished.collect(),
        distinct,
    }
}
