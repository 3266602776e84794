//! The short way of advice that observes, computes, filters and emits, and has no business with the
//! baggage: one row, whose text is not copied unless a new group keeps it.
//!
//! What it does is what [`interpret`](crate::interpret) does; a test holds them to that.

use crate::emit::Part;
use crate::fire::show_default;
use crate::interpret::table;
use crate::link::{Linked, Source};
use crate::rows::{Rows, encode, encode_str};
use crate::view::{See, View};
use pivot_advice::{Aggregate, Binary, Errors, Expr, Fold, Input, Instruction, Value};

/// An advice in this form.
#[derive(Debug)]
pub(crate) struct Lean {
    /// Each condition comes as soon as what it reads is there, so little is observed in vain.
    steps: Vec<Step>,
    columns: usize,
    keys: Vec<u16>,
    folds: Vec<Fold>,
    aggregates: Vec<Aggregate>,
}

#[derive(Debug)]
enum Step {
    /// Sets a column to a field.
    Observe(usize, Source, Use),
    /// Sets a column to a value.
    Let(usize, Expr),
    Filter(Expr),
    /// A column compared with a whole number.
    Compare(usize, Binary, i64),
}

/// What becomes of a field that is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It is a part of the key.
    Key,
    /// An expression reads it.
    Value,
}

/// Space that events of one thread use one after the other.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    columns: Vec<Value>,
    /// Where the text of a column lies that has none in `columns`.
    texts: Vec<Option<(u32, u32)>>,
    text: String,
    key: Vec<u8>,
}

/// The fields of one event.
pub(crate) type Fields<'a> = &'a dyn Fn(usize, See<'_>);

/// Puts steps in an order in which each finds what it reads.
struct Schedule<'a> {
    observes: Vec<(usize, Source)>,
    /// The columns that expressions read.
    read: &'a [u16],
    steps: Vec<Step>,
}

impl Schedule<'_> {
    /// Observes what is needed for the first time.
    fn need(&mut self, column: u16) {
        let column = usize::from(column);
        if let Some(at) = self.observes.iter().position(|(observed, _)| *observed == column) {
            let (column, source) = self.observes.remove(at);
            let read = self.read.iter().any(|read| usize::from(*read) == column);
            self.steps.push(Step::Observe(column, source, if read { Use::Value } else { Use::Key }));
        }
    }

    fn need_all(&mut self, expr: &Expr) {
        expr.columns(&mut |column| self.need(column));
    }
}

impl Lean {
    /// None if the advice needs more than this.
    pub(crate) fn of(linked: &Linked) -> Option<Lean> {
        let (last, steps) = linked.advice.instructions.split_last()?;
        let Instruction::Emit { keys, folds, .. } = last else { return None };
        if linked.sources.contains(&Source::Lacking) {
            return None;
        }
        let mut read = Vec::new();
        for expr in steps.iter().filter_map(expression).chain(folds.iter().filter_map(input)) {
            expr.columns(&mut |column| read.push(column));
        }
        let mut schedule = Schedule { observes: Vec::new(), read: &read, steps: Vec::new() };
        let (mut sources, mut columns) = (linked.sources.iter(), 0);
        for step in steps {
            match step {
                Instruction::Observe { .. } => schedule.observes.push((columns, *sources.next()?)),
                Instruction::Let { expr, .. } => {
                    schedule.need_all(expr);
                    schedule.steps.push(Step::Let(columns, expr.clone()));
                }
                Instruction::Filter { expr } => {
                    schedule.need_all(expr);
                    schedule.steps.push(filter(expr));
                    continue;
                }
                _ => return None,
            }
            columns += 1;
        }
        keys.iter().for_each(|key| schedule.need(*key));
        for fold in folds {
            schedule.need_all(input(fold)?);
        }
        Some(Lean {
            steps: schedule.steps,
            columns,
            keys: keys.clone(),
            folds: folds.clone(),
            aggregates: folds.iter().map(|fold| fold.aggregate).collect(),
        })
    }

    /// Runs over one event.
    pub(crate) fn run(
        &self,
        tracepoint: &'static str,
        fields: Fields<'_>,
        scratch: &mut Scratch,
        rows: &mut Option<Rows>,
        part: &mut Part,
    ) {
        let mut errors = Errors::default();
        scratch.begin(self.columns);
        if self.reaches_the_end(tracepoint, fields, scratch, &mut errors) {
            self.emit(scratch, rows, part, &mut errors);
        }
        if errors.0 > 0 {
            part.loss.errors = part.loss.errors.saturating_add(errors.0);
        }
    }

    fn reaches_the_end(
        &self,
        tracepoint: &'static str,
        fields: Fields<'_>,
        scratch: &mut Scratch,
        errors: &mut Errors,
    ) -> bool {
        self.steps.iter().all(|step| match step {
            Step::Observe(column, Source::Exported(index), used) => {
                fields(*index, &mut |view| scratch.set(*column, view, *used));
                true
            }
            Step::Observe(column, Source::Default(field), used) => {
                show_default(*field, tracepoint, &mut |view| scratch.set(*column, view, *used));
                true
            }
            Step::Observe(_, Source::Lacking, _) => true,
            Step::Let(column, expr) => {
                let value = expr.eval(&scratch.columns, errors);
                scratch.set(*column, View::Value(value), Use::Value);
                true
            }
            Step::Filter(expr) => expr.holds(&scratch.columns, errors),
            Step::Compare(column, op, limit) => match scratch.columns.get(*column) {
                Some(Value::I64(x)) => compares(*x, *op, *limit),
                Some(Value::U64(x)) => compares(i128::from(*x), *op, i128::from(*limit)),
                value => {
                    let value = Expr::Literal(value.cloned().unwrap_or_default());
                    Expr::binary(*op, value, Expr::Literal(Value::I64(*limit))).holds(&[], errors)
                }
            },
        })
    }

    fn emit(&self, scratch: &mut Scratch, rows: &mut Option<Rows>, part: &mut Part, errors: &mut Errors) {
        part.emitted = part.emitted.saturating_add(1);
        scratch.write_key(&self.keys);
        let rows = rows.get_or_insert_with(|| Rows::new(self.keys.len(), &self.aggregates));
        if !rows.has_shape(self.keys.len(), &self.aggregates) {
            part.loss.dropped = part.loss.dropped.saturating_add(1);
            return;
        }
        let room = Part::has_room(rows.len(), rows.bytes());
        let (n, states) = match rows.group(&scratch.key, room) {
            Some(group) => (group.n, group.states),
            None => {
                let other = part.other.get_or_insert_with(|| table(0, &self.folds)).entry(&[]);
                (&mut other.n, &mut other.states[..])
            }
        };
        *n = n.saturating_add(1);
        for (state, fold) in states.iter_mut().zip(&self.folds) {
            match &fold.input {
                Input::Expr(Expr::Column(column)) => {
                    if let Some(value) = scratch.columns.get(usize::from(*column)) {
                        state.update(value, 1, errors);
                    }
                }
                Input::Expr(expr) => state.update(&expr.eval(&scratch.columns, errors), 1, errors),
                Input::State(_) => {}
            }
        }
    }
}

fn expression(step: &Instruction) -> Option<&Expr> {
    match step {
        Instruction::Let { expr, .. } | Instruction::Filter { expr } => Some(expr),
        _ => None,
    }
}

fn input(fold: &Fold) -> Option<&Expr> {
    match &fold.input {
        Input::Expr(expr) => Some(expr),
        Input::State(_) => None,
    }
}

fn filter(expr: &Expr) -> Step {
    if let Expr::Binary(op, left, right) = expr
        && let (Expr::Column(column), Expr::Literal(limit)) = (&**left, &**right)
        && let Some(limit) = limit.as_integer().and_then(|limit| i64::try_from(limit).ok())
        && is_comparison(*op)
    {
        return Step::Compare(usize::from(*column), *op, limit);
    }
    Step::Filter(expr.clone())
}

fn is_comparison(op: Binary) -> bool {
    use Binary::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
    matches!(op, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
}

#[inline]
fn compares<T: Ord>(x: T, op: Binary, limit: T) -> bool {
    match op {
        Binary::Equal => x == limit,
        Binary::NotEqual => x != limit,
        Binary::Less => x < limit,
        Binary::LessEqual => x <= limit,
        Binary::Greater => x > limit,
        Binary::GreaterEqual => x >= limit,
        _ => false,
    }
}

impl Scratch {
    /// Makes room. What an event before has left is never read: steps set what later ones read.
    #[inline]
    fn begin(&mut self, columns: usize) {
        self.text.clear();
        if self.columns.len() < columns {
            self.columns.resize(columns, Value::Null);
            self.texts.resize(columns, None);
        }
    }

    #[inline]
    fn set(&mut self, column: usize, view: View<'_>, used: Use) {
        let (Some(value), Some(place)) = (self.columns.get_mut(column), self.texts.get_mut(column)) else {
            return;
        };
        match view {
            View::Str(text) if used == Use::Key => {
                let start = self.text.len() as u32;
                self.text.push_str(text);
                *place = Some((start, self.text.len() as u32));
            }
            view => {
                *place = None;
                *value = view.into_value();
            }
        }
    }

    fn write_key(&mut self, keys: &[u16]) {
        self.key.clear();
        for key in keys {
            let column = usize::from(*key);
            let text = self.texts.get(column).copied().flatten();
            match text.and_then(|(start, end)| self.text.get(start as usize..end as usize)) {
                Some(text) => encode_str(&mut self.key, text),
                None => encode(&mut self.key, self.columns.get(column).unwrap_or(&Value::Null)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpret::{Effect, run};
    use pivot_advice::{Advice, Form, Loss, QueryId};

    fn column(i: u16) -> Expr {
        Expr::Column(i)
    }

    fn literal(value: Value) -> Expr {
        Expr::Literal(value)
    }

    /// Both ways give the same part, for every event.
    fn check(fields: usize, steps: Vec<Instruction>, events: &[Vec<Value>]) {
        let observe = |i| Instruction::Observe { field: format!("f{i}") };
        let instructions = (0..fields).map(observe).chain(steps).collect();
        let advice = Advice { query: QueryId::new(1, 1), stage: 0, tracepoint: "T".into(), instructions };
        crate::verify(&advice).expect("a sound advice");
        let linked = Linked { sources: (0..fields).map(Source::Exported).collect(), advice };
        let lean = Lean::of(&linked).expect("an advice in the short form");
        let (mut short, mut long, mut rows) = (Part::empty(), Part::empty(), None);
        let mut scratch = Scratch::default();
        for event in events {
            let fields = |i: usize, see: See<'_>| match &event[i] {
                Value::Str(text) => see(View::Str(text)),
                value => see(View::Value(value.clone())),
            };
            lean.run("T", &fields, &mut scratch, &mut rows, &mut short);
            let mut loss = Loss::default();
            if let Some(Effect::Emit(emission)) = run(&linked, event.clone(), None, 0, &mut loss) {
                long.add(&emission, crate::sample::Look::ALL);
            }
            long.loss.merge(&loss);
        }
        assert_eq!((short.emitted, short.loss), (long.emitted, long.loss));
        assert_eq!(rows.map(Rows::into_groups), long.groups);
        assert_eq!(short.other, long.other);
    }

    fn events() -> Vec<Vec<Value>> {
        let values = [
            Value::Null,
            Value::I64(-3),
            Value::I64(7),
            Value::U64(7),
            Value::U64(u64::MAX),
            Value::F64(7.0),
            Value::F64(f64::NAN),
            Value::str("seven"),
            Value::str(""),
            Value::Bool(true),
            Value::Duration(7),
            Value::Timestamp(7),
            Value::List(vec![Value::I64(7), Value::str("x")].into()),
        ];
        let pairs = values.iter().flat_map(|a| values.iter().map(move |b| vec![a.clone(), b.clone()]));
        pairs.collect()
    }

    fn emit(keys: &[u16], folds: Vec<(Aggregate, Expr)>) -> Instruction {
        let fold = |(aggregate, expr)| Fold { aggregate, input: Input::Expr(expr) };
        Instruction::Emit {
            keys: keys.to_vec(),
            folds: folds.into_iter().map(fold).collect(),
            form: Form::Groups,
        }
    }

    #[test]
    fn every_aggregate_over_every_value_is_the_same() {
        // A state that has met NaN does not equal itself.
        let mut numbers = events();
        numbers.retain(|event| !matches!(event[1], Value::F64(x) if x.is_nan()));
        for aggregate in Aggregate::ALL {
            check(2, vec![emit(&[0], vec![(aggregate, column(1))])], &numbers);
        }
        check(2, vec![emit(&[1, 0], vec![])], &events());
        check(
            2,
            vec![emit(&[], vec![(Aggregate::Count, column(0)), (Aggregate::Sum, column(1))])],
            &events(),
        );
    }

    #[test]
    fn every_comparison_with_every_value_is_the_same() {
        use Binary::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        for op in [Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual] {
            for limit in [Value::I64(7), Value::U64(7), Value::I64(-3), Value::F64(7.0), Value::str("seven")]
            {
                let expr = Expr::binary(op, column(1), literal(limit));
                check(2, vec![Instruction::Filter { expr }, emit(&[0], vec![])], &events());
            }
        }
    }

    #[test]
    fn columns_that_are_computed_are_the_same() {
        let sum = Expr::binary(Binary::Add, column(0), column(1));
        let larger = Expr::binary(Binary::Greater, column(2), literal(Value::I64(3)));
        let steps = vec![
            Instruction::Let { name: "sum".into(), expr: sum.clone() },
            Instruction::Filter { expr: larger },
            emit(&[2], vec![(Aggregate::Max, sum)]),
        ];
        check(2, steps, &events());
    }

    #[test]
    fn groups_beyond_the_budget_are_the_same() {
        let events: Vec<_> = (0..2_500_u64).map(|i| vec![Value::U64(i), Value::U64(1)]).collect();
        check(2, vec![emit(&[0], vec![(Aggregate::Sum, column(1))])], &events);
    }

    #[test]
    fn advice_that_reads_or_writes_baggage_goes_the_long_way() {
        let instructions = vec![Instruction::Pack {
            bag: pivot_advice::BagKey { query: QueryId::new(1, 1), stage: 0 },
            keep: pivot_advice::Keep::All,
            keys: vec![],
            folds: vec![],
        }];
        let advice = Advice { query: QueryId::new(1, 1), stage: 0, tracepoint: "T".into(), instructions };
        assert!(Lean::of(&Linked { advice, sources: vec![] }).is_none());
    }
}
