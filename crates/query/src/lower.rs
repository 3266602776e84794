//! Plan to advice: columns get their positions in the row, aggregates theirs among the states.
//!
//! Advice comes out in the order of stages, consumers before producers: where both are woven into one
//! tracepoint, an event must not see what it packs itself.

use crate::plan::{
    Plan, Stage, StageEnd, StageFold, StageFoldInput, StageJoin, StageMember, StageStep, SubqueryGroups,
    renamed,
};
use pivot_advice::{
    Advice, Aggregate, BagKey, Binary, Expr, Finished, Form, Function, Instruction, Keep, Match, QueryId,
    Type, Unpacked, Value,
};
use std::collections::HashMap;

/// Into how many parts the requests of a sample are divided.
const PARTS: u64 = 16;

/// The advice of every stage at every of its tracepoints.
pub(crate) fn lower(plan: &Plan, query: QueryId) -> Vec<Advice> {
    let mut advice = Vec::new();
    for (index, stage) in plan.stages.iter().enumerate().filter(|(i, stage)| stage.bag == *i) {
        for member in &stage.members {
            for place in 0..member.tracepoints.len() {
                advice.push(AdviceBuilder::new(plan, query, index).advice(member, place));
            }
        }
    }
    advice
}

/// The advice of every inner stage, and beside that of every stage one that emits, for each row, which
/// stage it is of, how many bytes it takes, and which request it belongs to.
pub(crate) fn lower_measured(plan: &Plan, query: QueryId) -> Vec<Advice> {
    let mut advice: Vec<Advice> = lower(plan, query).into_iter().filter(|advice| advice.stage > 0).collect();
    for (index, stage) in plan.stages.iter().enumerate().filter(|(i, stage)| stage.bag == *i) {
        for member in &stage.members {
            for place in 0..member.tracepoints.len() {
                advice.push(
                    AdviceBuilder { measured: true, ..AdviceBuilder::new(plan, query, index) }
                        .advice(member, place),
                );
            }
        }
    }
    advice
}

/// The row while instructions append to it.
struct AdviceBuilder<'a> {
    plan: &'a Plan,
    query: QueryId,
    index: usize,
    stage: &'a Stage,
    /// Positions of columns.
    columns: HashMap<u16, u16>,
    width: usize,
    /// Positions of states, by the number of their aggregate.
    states: HashMap<usize, u16>,
    /// The position of the part of the requests.
    part: Option<u16>,
    /// Emits what the rows cost, instead of packing or emitting them.
    measured: bool,
    /// The position of the request's id, if it is observed.
    request: u16,
    instructions: Vec<Instruction>,
}

impl<'a> AdviceBuilder<'a> {
    fn new(plan: &'a Plan, query: QueryId, index: usize) -> AdviceBuilder<'a> {
        let stage = &plan.stages[index];
        let (columns, states) = (HashMap::new(), HashMap::new());
        let (part, measured, instructions) = (None, false, vec![]);
        AdviceBuilder {
            plan,
            query,
            index,
            stage,
            columns,
            width: 0,
            states,
            part,
            measured,
            request: 0,
            instructions,
        }
    }

    fn advice(mut self, member: &StageMember, place: usize) -> Advice {
        self.observe(member, place);
        self.sample();
        let steps = member.steps.iter().chain(&self.stage.steps);
        let own = member.steps.len();
        // What follows a choice belongs to a tuple that was chosen; without it Pack chooses.
        let chooses = self.stage.is_temporal() && !self.stage.steps.is_empty() && !self.measured;
        for (i, step) in steps.enumerate() {
            if chooses && i == own {
                self.instructions.push(Instruction::Choose);
            }
            self.step(step);
        }
        let end = if self.measured { self.measure() } else { self.end() };
        self.instructions.push(end);
        Advice {
            query: self.query,
            stage: narrow(self.index),
            tracepoint: member.tracepoints[place].name.clone(),
            instructions: self.instructions,
        }
    }

    /// What this tracepoint of a union lacks is null.
    fn observe(&mut self, member: &StageMember, place: usize) {
        let lacks = |lacking: &[bool]| lacking.get(place).copied().unwrap_or(false);
        for observed in member.observed.iter().filter(|observed| !lacks(&observed.lacking)) {
            self.instructions.push(Instruction::Observe { field: observed.field.clone() });
            self.append(observed.column);
        }
        if self.plan.sample.is_some() || self.measured {
            self.request = narrow(self.width);
            for field in ["$request", "$time"] {
                self.instructions.push(Instruction::Observe { field: field.into() });
                self.width += 1;
            }
        }
        for observed in member.observed.iter().filter(|observed| lacks(&observed.lacking)) {
            let expr = Expr::Literal(Value::Null);
            self.instructions.push(Instruction::Let { name: observed.field.clone(), expr });
            self.append(observed.column);
        }
    }

    /// Drops the requests that are not in the sample: all stages decide alike, by a hash of the id.
    /// Outside a request every event decides for itself.
    fn sample(&mut self) {
        let Some(fraction) = self.plan.sample else { return };
        let (request, time) = (Expr::Column(self.request), Expr::Column(self.request + 1));
        let time = Expr::Cast(Box::new(time), Type::String);
        let id = Expr::Call(Function::Coalesce, vec![request, time]);
        let hash = |salt: u64| Expr::Call(Function::Hash, vec![id.clone(), Expr::Literal(Value::U64(salt))]);
        // The largest double below 2^64 is the nearest to all of them.
        let limit = Expr::Literal(Value::U64((fraction * u64::MAX as f64) as u64));
        let expr = Expr::binary(Binary::Less, hash(0), limit);
        self.instructions.push(Instruction::Filter { expr });
        if let (StageEnd::Emit { form: Form::Groups, .. }, false) = (&self.stage.end, self.measured) {
            let expr = Expr::binary(Binary::Remainder, hash(1), Expr::Literal(Value::U64(PARTS)));
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
            StageStep::Join(join) => self.unpack(join),
            StageStep::Unnest { list, element } => {
                let (list, name) = (self.position(*list), self.name(*element, self.stage));
                self.instructions.push(Instruction::Unnest { list, name });
                self.append(*element);
            }
            StageStep::Distinct(columns) => {
                let columns = self.positions(columns);
                self.instructions.push(Instruction::Distinct { columns });
            }
            StageStep::Order(columns) => {
                let columns = self.positions(columns);
                self.instructions.push(Instruction::Order { columns });
            }
        }
    }

    fn unpack(&mut self, join: &StageJoin) {
        let packed = &self.plan.stages[join.child];
        let appended = self.plan.appended(join.child);
        let states: Vec<&StageFold> = match &packed.end {
            StageEnd::Groups(groups) => {
                groups.folds.iter().filter(|fold| !fold.aggregate.is_sketch()).collect()
            }
            other => other.folds().iter().collect(),
        };
        let (outside, width) = (self.columns.clone(), self.width);
        appended.iter().for_each(|column| self.append(*column));
        let on = join
            .on
            .iter()
            .map(|condition| self.positioned(condition))
            .reduce(|a, b| Expr::binary(Binary::And, a, b));
        let distinct = join.distinct.iter().map(|value| self.positioned(value)).collect();
        let rows = match &packed.end {
            StageEnd::Groups(groups) => regrouped(groups, distinct),
            _ => Unpacked::Rows,
        };
        if join.matching == Match::Anti {
            (self.columns, self.width) = (outside, width);
        } else if rows == Unpacked::Rows {
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

    /// How many rows, of how many bytes, of which requests.
    fn measure(&mut self) -> Instruction {
        let packed = |fold: &&StageFold| !fold.aggregate.is_sketch();
        let (columns, states) = match &self.stage.end {
            StageEnd::Groups(groups) => (groups.packed(), groups.folds.iter().filter(packed).count()),
            other => (other.keys().to_vec(), other.folds().len()),
        };
        let columns = self.positions(&columns).into_iter().map(Expr::Column).collect();
        // Numbers of rows and partial aggregates take a few bytes each.
        let rest = Expr::Literal(Value::U64(1 + 4 * states as u64));
        let bytes = Expr::binary(Binary::Add, Expr::Call(Function::Size, columns), rest);
        let stage = Expr::Literal(Value::U64(self.index as u64));
        self.instructions.push(Instruction::Let { name: "stage".into(), expr: stage });
        self.width += 1;
        let fold = |aggregate, expr| pivot_advice::Fold { aggregate, input: pivot_advice::Input::Expr(expr) };
        let request = fold(Aggregate::Distinct, Expr::Column(self.request));
        let folds = vec![fold(Aggregate::Sum, bytes), request];
        Instruction::Emit { keys: vec![narrow(self.width - 1)], folds, form: Form::Groups }
    }

    fn end(&self) -> Instruction {
        let mut keys = self.positions(self.stage.end.keys());
        let folds = self.stage.end.folds().iter();
        let bag = BagKey { query: self.query, stage: narrow(self.index) };
        match &self.stage.end {
            StageEnd::Rows { .. } => {
                let folds = folds.map(|fold| self.fold(fold)).collect();
                Instruction::Pack { bag, keep: self.stage.keep, keys, folds }
            }
            StageEnd::Groups(groups) => {
                let states = folds.filter(|fold| !fold.aggregate.is_sketch());
                let folds = states.map(|fold| self.fold(fold)).collect();
                Instruction::Pack { bag, keep: Keep::All, keys: self.positions(&groups.packed()), folds }
            }
            StageEnd::Emit { form, .. } => {
                keys.extend(self.part);
                let folds = folds.map(|fold| self.fold(fold)).collect();
                Instruction::Emit { keys, folds, form: *form }
            }
        }
    }

    fn fold(&self, fold: &StageFold) -> pivot_advice::Fold {
        let input = match &fold.input {
            StageFoldInput::Expr(expr) => pivot_advice::Input::Expr(self.positioned(expr)),
            StageFoldInput::State => {
                let position = self.states.get(&fold.number).copied();
                pivot_advice::Input::State(position.unwrap_or(u16::MAX))
            }
        };
        pivot_advice::Fold { aggregate: fold.aggregate, input }
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
        renamed(expr, &mut |column| Expr::Column(self.position(column)))
    }

    /// A stage's own columns go without its alias.
    fn name(&self, column: u16, stage: &Stage) -> String {
        let column = &self.plan.columns[usize::from(column)];
        if column.alias == stage.alias { column.name.clone() } else { column.shown() }
    }
}

/// How the consumer makes groups of the bag: its columns are keys and arguments of sketches, its states
/// are those of the other aggregates.
fn regrouped(groups: &SubqueryGroups, distinct: Vec<Expr>) -> Unpacked {
    let packed = groups.packed();
    let place = |column: u16| packed.iter().position(|known| *known == column).map_or(u16::MAX, narrow);
    let mut states = 0..;
    let folds = groups.folds.iter().map(|fold| {
        let input = match &fold.input {
            StageFoldInput::Expr(expr) if fold.aggregate.is_sketch() => {
                pivot_advice::Input::Expr(renamed(expr, &mut |column| Expr::Column(place(column))))
            }
            _ => pivot_advice::Input::State(states.next().unwrap_or(u16::MAX)),
        };
        pivot_advice::Fold { aggregate: fold.aggregate, input }
    });
    let folds = folds.collect();
    let finished = groups.finished.iter();
    Unpacked::Groups {
        width: narrow(packed.len()),
        keys: (0..narrow(groups.keys.len())).collect(),
        folds,
        finished: finished.map(|f| Finished { state: narrow(f.fold), finish: f.finish }).collect(),
        distinct,
    }
}

fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
