//! Decides conditions over constants when advice is woven, instead of at each event.
//!
//! The name of the process, of its host, of the tracepoint, and the level or target of a log record are the same at
//! every event of a call site. With `process` being `api` and `level` being `INFO` there:
//!
//! ```text
//! OBSERVE process
//! OBSERVE size
//! FILTER  process = 'api'         true here: gone
//! FILTER  size > 5 OR level = 'WARN'   ─▶  size > 5
//! EMIT    ..
//!
//! FILTER  level = 'ERROR'         cannot be true here: nothing is woven, and the tracepoint stays idle
//! ```
//!
//! Only a FILTER before a CHOOSE rules advice out: a tuple that was chosen holds its slot, whatever becomes of its rows.

use crate::weave::name_linker::{FieldSource, LinkedAdvice};
use pivot_advice::advice_text::ColumnNames;
use pivot_advice::{BinaryOperator, Expr, Instruction, JoinKind, Value};

/// The result of deciding the conditions of an advice over constants of one call site.
#[derive(Debug, Clone, PartialEq)]
pub enum ConstantVerdict {
    /// The advice to weave, without the conditions that are always true.
    Remaining(LinkedAdvice),
    /// Nothing: a condition is never true.
    RuledOut(FalseCondition),
}

/// A condition that is never true at a call site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FalseCondition {
    /// The condition as query text: `process = 'nobody'`.
    pub condition: String,
    /// The values that it reads there: `api` if it is one, `target = 'db', level = 'INFO'` if there are several.
    pub values: String,
}

/// The columns of a row of which the values are known when advice is woven.
#[derive(Default)]
struct KnownColumns {
    values: Vec<Option<Value>>,
    names: ColumnNames,
}

impl LinkedAdvice {
    /// Decides the conditions over fields of which `constant` knows the values at a call site.
    pub fn decide_constants(mut self, constant: impl Fn(FieldSource) -> Option<Value>) -> ConstantVerdict {
        let mut sources = self.sources.iter();
        let mut known = KnownColumns::default();
        let mut has_chosen = false;
        let mut remaining = Vec::with_capacity(self.advice.instructions.len());

        for step in std::mem::take(&mut self.advice.instructions) {
            let left = match step {
                Instruction::Filter { expr } => {
                    let left = expr.with_known(&known.values);
                    if !has_chosen && !left.can_hold() {
                        return ConstantVerdict::RuledOut(known.never_true(&expr));
                    }
                    if left.literal() == Some(&Value::Bool(true)) {
                        continue;
                    }
                    Instruction::Filter { expr: left }
                }
                step => step,
            };

            has_chosen |= left == Instruction::Choose;
            known.append(&left, sources_of(&left, &mut sources).and_then(&constant));
            remaining.push(left);
        }

        self.advice.instructions = remaining;
        ConstantVerdict::Remaining(self)
    }
}

/// Takes the source of an Observe; `None` for any other instruction.
fn sources_of<'a>(
    step: &Instruction,
    sources: &mut impl Iterator<Item = &'a FieldSource>,
) -> Option<FieldSource> {
    if matches!(step, Instruction::Observe { .. }) { sources.next().copied() } else { None }
}

impl KnownColumns {
    /// Adds the columns that an instruction appends; `observed` is the value of an Observe, if that is constant.
    fn append(&mut self, step: &Instruction, observed: Option<Value>) {
        match step {
            Instruction::Observe { .. } => self.values.push(observed),
            Instruction::Let { expr, .. } => {
                let value = expr.with_known(&self.values).literal().cloned();
                self.values.push(value);
            }
            Instruction::Unnest { .. } => self.values.push(None),
            // Only the condition of an anti join sees the columns of its bag.
            Instruction::Unpack { matching: JoinKind::Anti, .. }
            | Instruction::UnpackUnion { matching: JoinKind::Anti, .. } => {}
            Instruction::Unpack { columns, .. } | Instruction::UnpackUnion { columns, .. } => {
                self.values.resize(self.values.len() + columns.len(), None);
            }
            Instruction::Filter { .. }
            | Instruction::Distinct { .. }
            | Instruction::Order { .. }
            | Instruction::Choose
            | Instruction::Pack { .. }
            | Instruction::Emit { .. } => {}
        }
        self.names.append(step);
    }

    /// Describes why a condition is never true: by the smallest part of it that decides.
    fn never_true(&self, condition: &Expr) -> FalseCondition {
        let mut part = condition;
        while let Expr::Binary(BinaryOperator::And, x, y) = part {
            part = match (self.is_never_true(x), self.is_never_true(y)) {
                (true, _) => x,
                (false, true) => y,
                (false, false) => break,
            };
        }

        let mut columns = Vec::new();
        part.columns(&mut |column| columns.push(column));
        columns.sort_unstable();
        columns.dedup();
        FalseCondition { condition: self.names.expr(part), values: self.values_of(&columns) }
    }

    fn is_never_true(&self, expr: &Expr) -> bool {
        !expr.with_known(&self.values).can_hold()
    }

    /// Returns the known values of columns, with the names of the columns if there are several.
    fn values_of(&self, columns: &[u16]) -> String {
        let known = columns.iter().filter_map(|column| {
            let value = self.values.get(usize::from(*column))?.clone()?;
            Some((*column, value))
        });

        let known: Vec<(u16, Value)> = known.collect();
        match &known[..] {
            [(_, value)] => value.to_string(),
            several => {
                let texts = several.iter().map(|(column, value)| {
                    let equal = [Expr::Column(*column), Expr::Literal(value.clone())];
                    let [column, value] = equal;
                    self.names.expr(&Expr::binary(BinaryOperator::Equal, column, value))
                });
                texts.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::default_field::DefaultField;
    use pivot_advice::{Advice, EmitMode, QueryId, UnaryOperator};

    fn equals(column: u16, text: &str) -> Expr {
        Expr::binary(BinaryOperator::Equal, Expr::Column(column), Expr::Literal(Value::str(text)))
    }

    fn and(x: Expr, y: Expr) -> Expr {
        Expr::binary(BinaryOperator::And, x, y)
    }

    fn filter(expr: Expr) -> Instruction {
        Instruction::Filter { expr }
    }

    /// Decides steps after observing `user` and `process`, where the process is `api`.
    fn decided(steps: Vec<Instruction>) -> ConstantVerdict {
        let observe = |field: &str| Instruction::Observe { field: field.into() };
        let mut instructions = vec![observe("user"), observe("process")];
        instructions.extend(steps);
        instructions.push(Instruction::Emit { keys: vec![], folds: vec![], form: EmitMode::Groups });

        let advice = Advice { query: QueryId::new(1, 1), stage: 0, tracepoint: "T".into(), instructions };
        let sources = vec![FieldSource::Exported(0), FieldSource::Default(DefaultField::Process)];
        let constant = |source| match source {
            FieldSource::Default(DefaultField::Process) => Some(Value::str("api")),
            _ => None,
        };
        LinkedAdvice { advice, sources }.decide_constants(constant)
    }

    fn remaining(steps: Vec<Instruction>) -> Vec<Instruction> {
        match decided(steps) {
            ConstantVerdict::Remaining(linked) => linked.advice.instructions[2..].to_vec(),
            ConstantVerdict::RuledOut(why) => panic!("{why:?}"),
        }
    }

    fn why(steps: Vec<Instruction>) -> (String, String) {
        match decided(steps) {
            ConstantVerdict::Remaining(linked) => panic!("{}", linked.advice),
            ConstantVerdict::RuledOut(why) => (why.condition, why.values),
        }
    }

    #[test]
    fn a_condition_that_is_always_true_is_gone() {
        assert_eq!(remaining(vec![filter(equals(1, "api"))]).len(), 1);
        let left = remaining(vec![filter(and(equals(1, "api"), equals(0, "ann")))]);
        assert_eq!(left[0], filter(equals(0, "ann")));
    }

    #[test]
    fn a_condition_that_is_never_true_is_named_with_what_there_is() {
        let expected = |condition: &str| (condition.to_owned(), "api".to_owned());
        assert_eq!(why(vec![filter(equals(1, "web"))]), expected("process = 'web'"));
        let within = and(equals(0, "ann"), and(equals(1, "web"), equals(0, "bob")));
        assert_eq!(why(vec![filter(within)]), expected("process = 'web'"));
        let not = Expr::Unary(UnaryOperator::Not, Box::new(equals(1, "api")));
        assert_eq!(why(vec![filter(equals(0, "ann")), filter(not)]), expected("NOT process = 'api'"));
        let named = Instruction::Let { name: "p".into(), expr: Expr::Column(1) };
        assert_eq!(why(vec![named, filter(equals(2, "web"))]), expected("p = 'web'"));
    }

    #[test]
    fn what_was_chosen_is_not_ruled_out_by_what_follows() {
        let left = remaining(vec![Instruction::Choose, filter(equals(1, "web"))]);
        assert_eq!(left[1], filter(Expr::Literal(Value::Bool(false))));
        assert_eq!(why(vec![filter(equals(1, "web")), Instruction::Choose]).0, "process = 'web'");
    }
}
