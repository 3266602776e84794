//! The text form of advice, stable enough for golden tests.

use crate::advice::{
    Advice, AggregateCall, CallArgument, EmitMode, FinalValue, Instruction, JoinKind, TemporalFilter,
    UnpackMode,
};
use crate::aggregate::{Aggregate, FinalFunction};
use crate::expr::{Binary, Expr, Pattern, Unary};
use crate::value::Value;
use std::fmt::{self, Write};

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

/// Names of the columns and states that a row has so far.
#[derive(Debug, Default, Clone)]
pub struct ColumnNames {
    columns: Vec<String>,
    states: Vec<String>,
}

impl ColumnNames {
    /// Adds what an instruction appends to every row.
    pub fn append(&mut self, instruction: &Instruction) {
        match instruction {
            Instruction::Observe { field } => self.columns.push(field.clone()),
            Instruction::Let { name, .. } => self.columns.push(name.clone()),
            Instruction::Unnest { name, .. } => self.columns.push(name.clone()),
            Instruction::Unpack { matching: JoinKind::Anti, .. } => {}
            Instruction::Unpack { alias, columns, aggregates, rows, .. } => {
                self.unpacked(alias, columns);
                if *rows == UnpackMode::Rows {
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

    /// An expression over these columns.
    pub fn expr(&self, expr: &Expr) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = write_expr(&mut text, expr, &|index| self.column(index), 0);
        text
    }
}

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
        Instruction::Unpack { bag, alias, columns, aggregates, rows, matching, on } => {
            let kind = match matching {
                JoinKind::Inner => "",
                JoinKind::Left => " LEFT",
                JoinKind::Anti => " ANTI",
            };
            write!(f, "UNPACK  bag {bag} as {alias}{kind}")?;
            match rows {
                UnpackMode::Rows => write_columns(f, columns, aggregates)?,
                UnpackMode::Groups { .. } => write_groups(f, columns, rows)?,
            }
            let mut inside = names.clone();
            inside.unpacked(alias, columns);
            if let Some(on) = on {
                write!(f, " ON {}", inside.expr(on))?;
            }
            match rows.distinct() {
                [] => Ok(()),
                values => {
                    let values: Vec<String> = values.iter().map(|value| inside.expr(value)).collect();
                    write!(f, " DISTINCT ({})", values.join(", "))
                }
            }
        }
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
            let aggregates = if folds.is_empty() { "COUNT".into() } else { names.folds(folds) };
            write!(f, "EMIT    query {} GROUP ({}) AGG ({aggregates})", advice.query, names.list(keys))
        }
    }
}

fn write_columns(f: &mut fmt::Formatter<'_>, columns: &[String], aggregates: &[Aggregate]) -> fmt::Result {
    write!(f, " ({})", columns.join(", "))?;
    if aggregates.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = aggregates.iter().map(|aggregate| aggregate.name()).collect();
    write!(f, " AGG ({})", names.join(", "))
}

/// The groups of a subquery; columns of the bag go by their number.
fn write_groups(f: &mut fmt::Formatter<'_>, columns: &[String], rows: &UnpackMode) -> fmt::Result {
    let UnpackMode::Groups { keys, folds, finished, .. } = rows else { return Ok(()) };
    write!(f, " GROUPS ({})", columns.join(", "))?;
    let bag = ColumnNames::default();
    let fold = |finished: &FinalValue| {
        let inner = folds.get(usize::from(finished.state)).map(|fold| bag.fold(fold)).unwrap_or_default();
        match finished.finish {
            FinalFunction::Plain => inner,
            FinalFunction::Deviation => format!("DEVIATION {inner}"),
            FinalFunction::Quantile(q) => format!("QUANTILE {q} {inner}"),
            FinalFunction::Top(k) => format!("TOP {k} {inner}"),
            FinalFunction::Linear { .. } => format!("LINEAR {inner}"),
        }
    };
    let folds: Vec<String> = finished.iter().map(fold).collect();
    write!(f, " BY ({}) AGG ({})", bag.list(keys), folds.join(", "))
}

fn symbol(op: Binary) -> (&'static str, u8) {
    match op {
        Binary::Or => ("OR", 1),
        Binary::And => ("AND", 2),
        Binary::Equal => ("=", 4),
        Binary::NotEqual => ("!=", 4),
        Binary::Less => ("<", 4),
        Binary::LessEqual => ("<=", 4),
        Binary::Greater => (">", 4),
        Binary::GreaterEqual => (">=", 4),
        Binary::Concat => ("||", 5),
        Binary::Add => ("+", 6),
        Binary::Subtract => ("-", 6),
        Binary::Multiply => ("*", 7),
        Binary::Divide => ("/", 7),
        Binary::Remainder => ("%", 7),
    }
}

/// Writes an expression as query text, with parentheses only where they are needed. `name` names a column.
pub fn write_expr(out: &mut dyn Write, expr: &Expr, name: &dyn Fn(u16) -> String, outer: u8) -> fmt::Result {
    let list = |out: &mut dyn Write, items: &[Expr]| -> fmt::Result {
        for (i, item) in items.iter().enumerate() {
            out.write_str(if i == 0 { "" } else { ", " })?;
            write_expr(out, item, name, 0)?;
        }
        Ok(())
    };
    match expr {
        Expr::Column(index) => out.write_str(&name(*index)),
        Expr::Literal(value) => write_literal(out, value),
        Expr::Binary(op, x, y) => {
            let (symbol, strength) = symbol(*op);
            // Comparisons do not chain: both operands bind tighter. Others associate to the left.
            let left = if strength == 4 { 5 } else { strength };
            parenthesised(out, strength < outer, |out| {
                write_expr(out, x, name, left)?;
                write!(out, " {symbol} ")?;
                write_expr(out, y, name, strength + 1)
            })
        }
        Expr::Unary(Unary::Not, x) => parenthesised(out, outer > 3, |out| {
            out.write_str("NOT ")?;
            write_expr(out, x, name, 4)
        }),
        Expr::Unary(Unary::Negate, x) => {
            out.write_str("-")?;
            write_expr(out, x, name, 9)
        }
        Expr::Unary(Unary::IsNull, x) => parenthesised(out, outer > 4, |out| {
            write_expr(out, x, name, 5)?;
            out.write_str(" IS NULL")
        }),
        Expr::Call(function, arguments) => {
            write!(out, "{}(", function.name())?;
            list(out, arguments)?;
            out.write_str(")")
        }
        Expr::In(x, items) => parenthesised(out, outer > 4, |out| {
            write_expr(out, x, name, 5)?;
            out.write_str(" IN (")?;
            list(out, items)?;
            out.write_str(")")
        }),
        Expr::Matches(x, pattern) => parenthesised(out, outer > 4, |out| {
            write_expr(out, x, name, 5)?;
            let operator = if matches!(pattern, Pattern::Like(_)) { "LIKE" } else { "~" };
            write!(out, " {operator} ")?;
            write_literal(out, &Value::str(pattern.source()))
        }),
        Expr::Extract(x, pattern, group) => {
            out.write_str("regexp_extract(")?;
            write_expr(out, x, name, 0)?;
            out.write_str(", ")?;
            write_literal(out, &Value::str(pattern.source()))?;
            if *group == 0 { out.write_str(")") } else { write!(out, ", {group})") }
        }
        Expr::Cast(x, ty) => {
            out.write_str("CAST(")?;
            write_expr(out, x, name, 0)?;
            write!(out, " AS {ty})")
        }
        Expr::Case(arms, otherwise) => {
            out.write_str("CASE")?;
            for (when, then) in arms {
                out.write_str(" WHEN ")?;
                write_expr(out, when, name, 0)?;
                out.write_str(" THEN ")?;
                write_expr(out, then, name, 0)?;
            }
            if let Some(otherwise) = otherwise {
                out.write_str(" ELSE ")?;
                write_expr(out, otherwise, name, 0)?;
            }
            out.write_str(" END")
        }
    }
}

fn parenthesised(
    out: &mut dyn Write,
    needed: bool,
    write: impl FnOnce(&mut dyn Write) -> fmt::Result,
) -> fmt::Result {
    if !needed {
        return write(out);
    }
    out.write_str("(")?;
    write(out)?;
    out.write_str(")")
}

fn write_literal(out: &mut dyn Write, value: &Value) -> fmt::Result {
    match value {
        Value::Str(text) => write!(out, "'{}'", text.replace('\'', "''")),
        other => write!(out, "{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::{BagKey, QueryId};

    fn shown(expr: &Expr) -> String {
        ColumnNames { columns: vec!["a".into(), "b".into()], states: vec![] }.expr(expr)
    }

    fn column(index: u16) -> Expr {
        Expr::Column(index)
    }

    #[test]
    fn parentheses_stand_only_where_they_are_needed() {
        let sum = Expr::binary(Binary::Add, column(0), column(1));
        let product = Expr::binary(Binary::Multiply, sum.clone(), Expr::Literal(Value::I64(2)));
        assert_eq!(shown(&product), "(a + b) * 2");
        let nested = Expr::binary(Binary::Subtract, column(0), sum);
        assert_eq!(shown(&nested), "a - (a + b)");
        let negated = Expr::Unary(Unary::Not, Box::new(Expr::Unary(Unary::IsNull, Box::new(column(0)))));
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
                    rows: UnpackMode::Rows,
                    matching: JoinKind::Inner,
                    on: None,
                },
                Instruction::Emit {
                    keys: vec![1],
                    folds: vec![AggregateCall {
                        aggregate: crate::Aggregate::Sum,
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
