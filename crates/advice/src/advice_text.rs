//! The text form of advice, as `EXPLAIN` shows it: stable enough for golden tests.
//!
//! ```text
//! A0 at DataNodeMetrics.incrBytesRead               stage 0, its tracepoint
//!   OBSERVE delta
//!   UNPACK  bag 7.1 as cl (process)                 the bag of query 7, stage 1
//!   EMIT    query 7 GROUP (cl.process) AGG (SUM(delta))
//! ```
//!
//! Instructions refer to columns by number and the text names them, so [`ColumnNames`] goes along with the
//! instructions and learns what each appends.

use crate::advice::{
    Advice, AggregateCall, CallArgument, EmitMode, FinalColumn, Instruction, JoinKind, TemporalFilter,
    UnitedBag, UnpackedForm,
};
use crate::aggregate::{AggregateKind, FinalFunction};
use crate::expr::Expr;
use crate::expr_text::write_expr;
use std::fmt;

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A{} at {}", self.stage, self.tracepoint)?;
        let mut names = ColumnNames::default();
        for instruction in &self.instructions {
            f.write_str("\n  ")?;
            write_instruction(f, self, instruction, &names)?;
            names.append(instruction);
        }
        Ok(())
    }
}

/// The names of the columns and states that a row has after some instructions.
#[derive(Debug, Default, Clone)]
pub struct ColumnNames {
    columns: Vec<String>,
    states: Vec<String>,
}

impl ColumnNames {
    /// Adds the columns and states that an instruction appends to every row.
    pub fn append(&mut self, instruction: &Instruction) {
        match instruction {
            Instruction::Observe { field } => self.columns.push(field.clone()),
            Instruction::Let { name, .. } => self.columns.push(name.clone()),
            Instruction::Unnest { name, .. } => self.columns.push(name.clone()),

            // Only the condition of an anti join sees the bag's columns.
            Instruction::Unpack { matching: JoinKind::Anti, .. }
            | Instruction::UnpackUnion { matching: JoinKind::Anti, .. } => {}
            Instruction::UnpackUnion { alias, columns, .. } => self.unpacked(alias, columns),
            Instruction::Unpack { alias, columns, aggregates, rows, .. } => {
                self.unpacked(alias, columns);
                // Groups of a subquery are finished: their states do not carry on.
                if *rows == UnpackedForm::Rows {
                    self.states.extend(aggregates.iter().map(|aggregate| format!("{aggregate} of {alias}")));
                }
            }

            Instruction::Filter { .. }
            | Instruction::Distinct { .. }
            | Instruction::Order { .. }
            | Instruction::Choose
            | Instruction::Pack { .. }
            | Instruction::Emit { .. } => {}
        }
    }

    fn unpacked(&mut self, alias: &str, columns: &[String]) {
        self.columns.extend(columns.iter().map(|column| format!("{alias}.{column}")));
    }

    fn column(&self, index: u16) -> String {
        self.columns.get(usize::from(index)).cloned().unwrap_or_else(|| format!("#{index}"))
    }

    fn list(&self, columns: &[u16]) -> String {
        columns.iter().map(|index| self.column(*index)).collect::<Vec<_>>().join(", ")
    }

    fn fold(&self, fold: &AggregateCall) -> String {
        match &fold.input {
            CallArgument::Expr(expr) => format!("{}({})", fold.aggregate, self.expr(expr)),
            CallArgument::State(index) => {
                let state = self.states.get(usize::from(*index)).cloned();
                state.unwrap_or_else(|| format!("{} of #{index}", fold.aggregate))
            }
        }
    }

    fn folds(&self, folds: &[AggregateCall]) -> String {
        folds.iter().map(|fold| self.fold(fold)).collect::<Vec<_>>().join(", ")
    }

    /// Returns the text of an expression over these columns.
    pub fn expr(&self, expr: &Expr) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = write_expr(&mut text, expr, &|index| self.column(index), 0);
        text
    }
}

/// Writes one instruction on one line.
fn write_instruction(
    f: &mut fmt::Formatter<'_>,
    advice: &Advice,
    step: &Instruction,
    names: &ColumnNames,
) -> fmt::Result {
    match step {
        Instruction::Observe { field } => write!(f, "OBSERVE {field}"),
        Instruction::Let { name, expr } => write!(f, "LET     {name} = {}", names.expr(expr)),
        Instruction::Filter { expr } => write!(f, "FILTER  {}", names.expr(expr)),
        Instruction::Unnest { list, name } => write!(f, "UNNEST  {name} in {}", names.column(*list)),
        Instruction::Distinct { columns } => write!(f, "DISTINCT ({})", names.list(columns)),
        Instruction::Order { columns } => write!(f, "ORDER   ({})", names.list(columns)),
        Instruction::Choose => write!(f, "CHOOSE"),

        Instruction::Unpack { .. } => write_unpack(f, step, names),
        Instruction::UnpackUnion { .. } => write_union(f, step, names),

        Instruction::Pack { bag, keep, keys, folds } => {
            let keep = match keep {
                TemporalFilter::All => String::new(),
                TemporalFilter::First(n) => format!("FIRST {n} "),
                TemporalFilter::MostRecent(n) => format!("MOSTRECENT {n} "),
            };
            write!(f, "PACK    bag {bag} {keep}({})", names.list(keys))?;
            match folds.is_empty() {
                true => Ok(()),
                false => write!(f, " AGG ({})", names.folds(folds)),
            }
        }
        Instruction::Emit { keys, form: EmitMode::Rows, .. } => {
            write!(f, "EMIT    query {} ROWS ({})", advice.query, names.list(keys))
        }
        Instruction::Emit { keys, folds, form: EmitMode::Groups } => {
            // Without aggregates the groups are counted: that needs no state.
            let aggregates = if folds.is_empty() { "COUNT".into() } else { names.folds(folds) };
            write!(f, "EMIT    query {} GROUP ({}) AGG ({aggregates})", advice.query, names.list(keys))
        }
    }
}

/// Writes `UNPACK  bag 7.1 as cl LEFT (columns) .. ON condition DISTINCT (values)`.
fn write_unpack(f: &mut fmt::Formatter<'_>, step: &Instruction, names: &ColumnNames) -> fmt::Result {
    let Instruction::Unpack { bag, alias, columns, aggregates, rows, matching, on } = step else {
        return Ok(());
    };
    write!(f, "UNPACK  bag {bag} as {alias}{}", kind_text(*matching))?;
    match rows {
        UnpackedForm::Rows => write_columns(f, columns, aggregates)?,
        UnpackedForm::Groups { .. } => write_groups(f, columns, rows)?,
    }

    // The condition is over the columns so far and those of the bag.
    let mut joined = names.clone();
    joined.unpacked(alias, columns);
    if let Some(on) = on {
        write!(f, " ON {}", joined.expr(on))?;
    }
    match rows.distinct() {
        [] => Ok(()),
        values => {
            let values: Vec<String> = values.iter().map(|value| joined.expr(value)).collect();
            write!(f, " DISTINCT ({})", values.join(", "))
        }
    }
}

/// Writes `UNPACK  union as cl LEFT (columns) ON condition`, and a line for each bag.
fn write_union(f: &mut fmt::Formatter<'_>, step: &Instruction, names: &ColumnNames) -> fmt::Result {
    let Instruction::UnpackUnion { alias, columns, bags, matching, on } = step else { return Ok(()) };
    write!(f, "UNPACK  union as {alias}{} ({})", kind_text(*matching), columns.join(", "))?;

    let mut joined = names.clone();
    joined.unpacked(alias, columns);
    if let Some(on) = on {
        write!(f, " ON {}", joined.expr(on))?;
    }
    bags.iter().try_for_each(|united| write_united(f, united))
}

/// Writes `of bag 7.1 (values)`, with what an aggregating subquery makes of the bag. Its columns have no names here, so
/// they go by number.
fn write_united(f: &mut fmt::Formatter<'_>, united: &UnitedBag) -> fmt::Result {
    let bag = ColumnNames::default();
    let list = |values: &[Expr]| values.iter().map(|value| bag.expr(value)).collect::<Vec<_>>().join(", ");
    write!(f, "\n          of bag {}", united.bag)?;
    if let UnpackedForm::Groups { keys, folds, finished, .. } = &united.rows {
        let finished: Vec<String> = finished.iter().map(|value| final_value(value, folds, &bag)).collect();
        write!(f, " GROUPS BY ({}) AGG ({})", bag.list(keys), finished.join(", "))?;
    }

    write!(f, " ({})", list(&united.values))?;
    if let Some(having) = &united.having {
        write!(f, " HAVING {}", bag.expr(having))?;
    }
    match united.rows.distinct() {
        [] => Ok(()),
        values => write!(f, " DISTINCT ({})", list(values)),
    }
}

fn kind_text(matching: JoinKind) -> &'static str {
    match matching {
        JoinKind::Inner => "",
        JoinKind::Left => " LEFT",
        JoinKind::Anti => " ANTI",
    }
}

/// Writes the columns of a bag whose rows are unpacked, and its aggregates.
fn write_columns(
    f: &mut fmt::Formatter<'_>,
    columns: &[String],
    aggregates: &[AggregateKind],
) -> fmt::Result {
    write!(f, " ({})", columns.join(", "))?;
    if aggregates.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = aggregates.iter().map(|aggregate| aggregate.name()).collect();
    write!(f, " AGG ({})", names.join(", "))
}

/// Writes the groups of a subquery over a bag. The bag's own columns have no names, so they go by number.
fn write_groups(f: &mut fmt::Formatter<'_>, columns: &[String], rows: &UnpackedForm) -> fmt::Result {
    let UnpackedForm::Groups { keys, folds, finished, .. } = rows else { return Ok(()) };
    write!(f, " GROUPS ({})", columns.join(", "))?;
    let bag = ColumnNames::default();
    let values: Vec<String> = finished.iter().map(|value| final_value(value, folds, &bag)).collect();
    write!(f, " BY ({}) AGG ({})", bag.list(keys), values.join(", "))
}

fn final_value(value: &FinalColumn, folds: &[AggregateCall], bag: &ColumnNames) -> String {
    let call = folds.get(usize::from(value.state)).map(|fold| bag.fold(fold)).unwrap_or_default();
    match value.finish {
        FinalFunction::Plain => call,
        FinalFunction::Deviation => format!("DEVIATION {call}"),
        FinalFunction::SampleVariance => format!("SAMPLE VARIANCE {call}"),
        FinalFunction::SampleDeviation => format!("SAMPLE DEVIATION {call}"),
        FinalFunction::Quantile(q) => format!("QUANTILE {q} {call}"),
        FinalFunction::Top(k) => format!("TOP {k} {call}"),
        FinalFunction::IntegerBuckets => format!("INTEGERS {call}"),
        FinalFunction::Linear { .. } => format!("LINEAR {call}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::{BagKey, QueryId};
    use crate::expr::{BinaryOperator, UnaryOperator};
    use crate::value::Value;

    fn shown(expr: &Expr) -> String {
        ColumnNames { columns: vec!["a".into(), "b".into()], states: vec![] }.expr(expr)
    }

    fn column(index: u16) -> Expr {
        Expr::Column(index)
    }

    #[test]
    fn parentheses_stand_only_where_they_are_needed() {
        let sum = Expr::binary(BinaryOperator::Add, column(0), column(1));
        let product = Expr::binary(BinaryOperator::Multiply, sum.clone(), Expr::Literal(Value::I64(2)));
        assert_eq!(shown(&product), "(a + b) * 2");
        let nested = Expr::binary(BinaryOperator::Subtract, column(0), sum);
        assert_eq!(shown(&nested), "a - (a + b)");
        let negated = Expr::Unary(
            UnaryOperator::Not,
            Box::new(Expr::Unary(UnaryOperator::IsNull, Box::new(column(0)))),
        );
        assert_eq!(shown(&negated), "NOT a IS NULL");
    }

    #[test]
    fn advice_reads_like_the_paper() {
        let query = QueryId::new(0, 7);
        let advice = Advice {
            query,
            stage: 0,
            tracepoint: "DataNodeMetrics.incrBytesRead".into(),
            instructions: vec![
                Instruction::Observe { field: "delta".into() },
                Instruction::Unpack {
                    bag: BagKey { query, stage: 1 },
                    alias: "cl".into(),
                    columns: vec!["process".into()],
                    aggregates: vec![],
                    rows: UnpackedForm::Rows,
                    matching: JoinKind::Inner,
                    on: None,
                },
                Instruction::Emit {
                    keys: vec![1],
                    folds: vec![AggregateCall {
                        aggregate: crate::AggregateKind::Sum,
                        input: CallArgument::Expr(column(0)),
                    }],
                    form: EmitMode::Groups,
                },
            ],
        };
        let expected = "A0 at DataNodeMetrics.incrBytesRead\n  OBSERVE delta\n  \
                        UNPACK  bag 7.1 as cl (process)\n  EMIT    query 7 GROUP (cl.process) AGG (SUM(delta))";
        assert_eq!(advice.to_string(), expected);
    }
}
