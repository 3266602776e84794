//! The plan as text.

use super::stage_tree::{
    Plan, PlanColumn, Stage, StageAggregate, StageAggregateInput, StageEnd, StageJoin, StageSource,
    StageStep, UnitedGroups,
};
use pivot_advice::expr_text::write_expr;
use pivot_advice::{EmitMode, Expr, JoinKind, TemporalFilter};
use std::fmt::{self, Display, Write};

/// The most tracepoints of a stage that are named.
const NAMED: usize = 8;

/// Returns an expression over the columns of a plan as text.
pub(crate) fn expr_text(expr: &Expr, columns: &[PlanColumn]) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write_expr(&mut out, expr, &|index| column_name(columns, index), 0);
    out
}

fn column_name(columns: &[PlanColumn], column: u16) -> String {
    columns.get(usize::from(column)).map(PlanColumn::shown).unwrap_or_default()
}

impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fraction) = self.sample {
            writeln!(f, "sample {fraction} of all requests")?;
        }
        self.write_stage(f, 0, 0)
    }
}

impl Plan {
    fn write_stage(&self, f: &mut fmt::Formatter<'_>, index: usize, depth: usize) -> fmt::Result {
        let Some(stage) = self.stages.get(index) else { return Ok(()) };
        let margin = "  ".repeat(depth);
        let keep = keep_text(stage.keep);
        let inside = format!("{margin}  ");

        // A stage with one member reads like a list of steps, a union like a list of such lists.
        match stage.members.as_slice() {
            // Nothing is packed here: the groups of other stages have the columns.
            [] => {
                return writeln!(
                    f,
                    "{margin}stage {index}: {}, groups alone ({})",
                    stage.alias,
                    self.list(stage.end.keys())
                );
            }
            [only] => {
                let keep = keep_text(stage.keep_of(only));
                writeln!(f, "{margin}stage {index}: {} in {}{keep}", stage.alias, names(only))?;
                self.write_member(f, only, depth)?;
            }
            members => {
                writeln!(f, "{margin}stage {index}: {}, a union{keep}", stage.alias)?;
                for member in members {
                    let chosen = member.choice.map(|_| keep_text(stage.keep_of(member))).unwrap_or_default();
                    writeln!(f, "{inside}in {}{chosen}", names(member))?;
                    self.write_member(f, member, depth + 1)?;
                }
            }
        }

        self.write_steps(f, &stage.steps, depth)?;
        writeln!(f, "{inside}{}", self.end_text(index, stage))
    }

    fn write_member(&self, f: &mut fmt::Formatter<'_>, member: &StageSource, depth: usize) -> fmt::Result {
        if !member.observed.is_empty() {
            let fields: Vec<&str> = member.observed.iter().map(|observed| observed.field.as_str()).collect();
            writeln!(f, "{}observe {}", "  ".repeat(depth + 1), fields.join(", "))?;
        }
        self.write_steps(f, &member.steps, depth)
    }

    fn write_steps(&self, f: &mut fmt::Formatter<'_>, steps: &[StageStep], depth: usize) -> fmt::Result {
        let margin = "  ".repeat(depth + 1);
        for step in steps {
            match step {
                StageStep::Filter(expr) => writeln!(f, "{margin}filter {}", expr_text(expr, &self.columns))?,
                StageStep::Let(column, expr) => {
                    writeln!(f, "{margin}let {} = {}", self.name(*column), expr_text(expr, &self.columns))?;
                }
                StageStep::Unnest { list, element } => {
                    writeln!(f, "{margin}unnest {} as {}", self.name(*list), self.name(*element))?;
                }

                // These and a join are about rows as a whole.
                StageStep::Distinct(columns) => writeln!(f, "{margin}distinct ({})", self.list(columns))?,
                StageStep::Order(columns) => writeln!(f, "{margin}order ({})", self.list(columns))?,
                StageStep::Choose => writeln!(f, "{margin}choose")?,
                StageStep::Join(join) => self.write_join(f, join, depth)?,
            }
        }
        Ok(())
    }

    fn write_join(&self, f: &mut fmt::Formatter<'_>, join: &StageJoin, depth: usize) -> fmt::Result {
        let kind = match join.matching {
            JoinKind::Inner => "join",
            JoinKind::Left => "left join",
            JoinKind::Anti => "anti join",
        };

        let child = &self.stages[join.child];
        let parent = child.parent.map_or("", |parent| &self.stages[parent].alias);
        write!(f, "{}{kind} {} -> {parent}", "  ".repeat(depth + 1), child.alias)?;
        for condition in &join.on {
            write!(f, " and {}", expr_text(condition, &self.columns))?;
        }
        if !join.distinct.is_empty() {
            let values = join.distinct.iter().map(|value| expr_text(value, &self.columns));
            write!(f, " distinct ({})", values.collect::<Vec<_>>().join(", "))?;
        }

        // The child stands below its join, and its own joins below it.
        f.write_str("\n")?;
        self.write_stage(f, join.child, depth + 2)?;
        join.united.iter().try_for_each(|united| self.write_united(f, united, depth + 1))
    }

    /// Writes which columns the groups of an aggregating query have in a union, and its stage below.
    fn write_united(&self, f: &mut fmt::Formatter<'_>, united: &UnitedGroups, depth: usize) -> fmt::Result {
        let values = united.values.iter();
        let values = values
            .map(|(column, value)| format!("{} = {}", self.name(*column), expr_text(value, &self.columns)));
        write!(f, "{}and groups ({})", "  ".repeat(depth), values.collect::<Vec<_>>().join(", "))?;

        for condition in &united.having {
            write!(f, " having {}", expr_text(condition, &self.columns))?;
        }
        if !united.distinct.is_empty() {
            let values = united.distinct.iter().map(|value| expr_text(value, &self.columns));
            write!(f, " distinct ({})", values.collect::<Vec<_>>().join(", "))?;
        }
        f.write_str("\n")?;
        self.write_stage(f, united.stage, depth + 1)
    }

    fn name(&self, column: u16) -> String {
        column_name(&self.columns, column)
    }

    fn list(&self, columns: &[u16]) -> String {
        columns.iter().map(|column| self.name(*column)).collect::<Vec<_>>().join(", ")
    }

    fn end_text(&self, index: usize, stage: &Stage) -> String {
        let mut out = match &stage.end {
            StageEnd::Rows { .. } if stage.bag != index => {
                return format!("share the bag of stage {}", stage.bag);
            }
            StageEnd::Rows { .. } => "pack".to_owned(),
            StageEnd::Groups(_) => "pack groups".to_owned(),
            StageEnd::Emit { form: EmitMode::Rows, .. } => "emit rows".to_owned(),
            StageEnd::Emit { form: EmitMode::Groups, .. } => "emit groups".to_owned(),
        };

        // Writing to a String does not fail.
        let _ = write!(out, " ({})", self.list(stage.end.keys()));
        if !stage.end.folds().is_empty() {
            let folds: Vec<String> = stage.end.folds().iter().map(|fold| self.fold_text(fold)).collect();
            let _ = write!(out, " aggregate ({})", folds.join(", "));
        }
        out
    }

    fn fold_text(&self, fold: &StageAggregate) -> String {
        match &fold.input {
            StageAggregateInput::Expr(expr) => {
                format!("{}({})", fold.aggregate, expr_text(expr, &self.columns))
            }
            StageAggregateInput::State => format!("combine {}", fold.aggregate),
        }
    }
}

fn keep_text(keep: TemporalFilter) -> String {
    match keep {
        TemporalFilter::All => String::new(),
        TemporalFilter::First(n) => format!(", first {n}"),
        TemporalFilter::MostRecent(n) => format!(", most recent {n}"),
    }
}

/// Returns the tracepoints of a member, the first few of many.
fn names(member: &StageSource) -> String {
    let mut names: Vec<&str> = member.tracepoints.iter().map(|t| t.name.as_str()).take(NAMED).collect();
    let more = member.tracepoints.len().saturating_sub(NAMED);
    let rest = format!("{more} more");
    if more > 0 {
        names.push(&rest);
    }
    if names.is_empty() { "nothing yet".into() } else { names.join(", ") }
}
