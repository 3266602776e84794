//! Plan to advice: columns get their positions in the row, aggregates theirs among the states.
//!
//! Advice comes out in the order of stages, consumers before producers: where both are woven into one
//! tracepoint, an event must not see what it packs itself.

use crate::plan::{End, Fold, Input, Plan, Stage, renamed};
use crate::resolve::Step;
use pivot_advice::{Advice, BagKey, Expr, Instruction, Keep, QueryId, Unpacked, Value};
use std::collections::HashMap;

/// The advice of every stage at every of its tracepoints.
pub(crate) fn lower(plan: &Plan, query: QueryId) -> Vec<Advice> {
    let packing = plan.stages.iter().enumerate().filter(|(i, stage)| stage.bag == *i);
    let places = packing.flat_map(|(i, stage)| (0..stage.tracepoints.len()).map(move |place| (i, place)));
    places.map(|(stage, place)| Row::new(plan, query, stage).advice(place)).collect()
}

/// The row while instructions append to it.
struct Row<'a> {
    plan: &'a Plan,
    query: QueryId,
    index: usize,
    stage: &'a Stage,
    /// Positions of columns.
    columns: HashMap<u16, u16>,
    width: usize,
    /// Positions of states, by the number of their aggregate.
    states: HashMap<usize, u16>,
    instructions: Vec<Instruction>,
}

impl<'a> Row<'a> {
    fn new(plan: &'a Plan, query: QueryId, index: usize) -> Row<'a> {
        let stage = &plan.stages[index];
        let (columns, states) = (HashMap::new(), HashMap::new());
        Row { plan, query, index, stage, columns, width: 0, states, instructions: vec![] }
    }

    fn advice(mut self, place: usize) -> Advice {
        self.observe(place);
        for condition in &self.stage.before {
            let expr = self.positioned(condition);
            self.instructions.push(Instruction::Filter { expr });
        }
        self.stage.children.iter().for_each(|child| self.unpack(*child));
        for step in &self.stage.steps {
            self.step(step);
        }
        let end = self.end();
        self.instructions.push(end);
        Advice {
            query: self.query,
            stage: narrow(self.index),
            tracepoint: self.stage.tracepoints[place].name.clone(),
            instructions: self.instructions,
        }
    }

    /// What this tracepoint of a union lacks is null.
    fn observe(&mut self, place: usize) {
        let lacks = |lacking: &[bool]| lacking.get(place).copied().unwrap_or(false);
        for observed in self.stage.observed.iter().filter(|observed| !lacks(&observed.lacking)) {
            self.instructions.push(Instruction::Observe { field: observed.field.clone() });
            self.append(observed.column);
        }
        for observed in self.stage.observed.iter().filter(|observed| lacks(&observed.lacking)) {
            let expr = Expr::Literal(Value::Null);
            self.instructions.push(Instruction::Let { name: observed.field.clone(), expr });
            self.append(observed.column);
        }
    }

    fn unpack(&mut self, child: usize) {
        let packed = &self.plan.stages[child];
        let (appended, rows) = match &packed.end {
            End::Groups { unpacked, .. } => (unpacked.as_slice(), Unpacked::Groups),
            other => (other.keys(), Unpacked::Rows),
        };
        let bag = BagKey { query: self.query, stage: narrow(packed.bag) };
        self.instructions.push(Instruction::Unpack {
            bag,
            alias: packed.alias.clone(),
            columns: appended.iter().map(|column| self.name(*column, packed)).collect(),
            aggregates: packed.end.folds().iter().map(|fold| fold.aggregate).collect(),
            rows,
        });
        appended.iter().for_each(|column| self.append(*column));
        if rows == Unpacked::Rows {
            for fold in packed.end.folds() {
                let position = narrow(self.states.len());
                self.states.insert(fold.number, position);
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Filter(condition) => {
                let expr = self.positioned(condition);
                self.instructions.push(Instruction::Filter { expr });
            }
            Step::Let(column, value) => {
                let expr = self.positioned(value);
                let name = self.name(*column, self.stage);
                self.instructions.push(Instruction::Let { name, expr });
                self.append(*column);
            }
        }
    }

    fn end(&self) -> Instruction {
        let keys = self.stage.end.keys().iter().map(|key| self.position(*key)).collect();
        let folds = self.stage.end.folds().iter().map(|fold| self.fold(fold)).collect();
        let bag = BagKey { query: self.query, stage: narrow(self.index) };
        match &self.stage.end {
            End::Rows { .. } => Instruction::Pack { bag, keep: self.stage.keep, keys, folds },
            End::Groups { .. } => Instruction::Pack { bag, keep: Keep::All, keys, folds },
            End::Emit { form, .. } => Instruction::Emit { keys, folds, form: *form },
        }
    }

    fn fold(&self, fold: &Fold) -> pivot_advice::Fold {
        let input = match &fold.input {
            Input::Expr(expr) => pivot_advice::Input::Expr(self.positioned(expr)),
            Input::State => {
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

    fn positioned(&self, expr: &Expr) -> Expr {
        renamed(expr, &mut |column| Expr::Column(self.position(column)))
    }

    /// A stage's own columns go without its alias.
    fn name(&self, column: u16, stage: &Stage) -> String {
        let column = &self.plan.columns[usize::from(column)];
        if column.alias == stage.alias { column.name.clone() } else { column.shown() }
    }
}

fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
