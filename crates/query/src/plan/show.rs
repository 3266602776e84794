//! The plan as text.

use super::tree::{End, Fold, Input, Plan, Stage};
use crate::resolve::{Column, Step};
use pivot_advice::text::write_expr;
use pivot_advice::{Expr, Form, Keep};
use std::fmt::{self, Display, Write};

/// An expression over the columns of a plan.
pub(crate) fn expr_text(expr: &Expr, columns: &[Column]) -> String {
    let mut out = String::new();
    let name = |index: u16| columns.get(usize::from(index)).map(Column::shown).unwrap_or_default();
    // Writing to a String does not fail.
    let _ = write_expr(&mut out, expr, &name, 0);
    out
}

impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_stage(f, 0, 0)
    }
}

impl Plan {
    fn write_stage(&self, f: &mut fmt::Formatter<'_>, index: usize, depth: usize) -> fmt::Result {
        let Some(stage) = self.stages.get(index) else { return Ok(()) };
        let margin = "  ".repeat(depth);
        let names: Vec<&str> = stage.tracepoints.iter().map(|tracepoint| tracepoint.name.as_str()).collect();
        let keep = match stage.keep {
            Keep::All => String::new(),
            Keep::First(n) => format!(", first {n}"),
            Keep::MostRecent(n) => format!(", most recent {n}"),
        };
        writeln!(f, "{margin}stage {index}: {} in {}{keep}", stage.alias, names.join(", "))?;
        let margin = format!("{margin}  ");
        if !stage.observed.is_empty() {
            let fields: Vec<&str> = stage.observed.iter().map(|observed| observed.field.as_str()).collect();
            writeln!(f, "{margin}observe {}", fields.join(", "))?;
        }
        for condition in &stage.before {
            writeln!(f, "{margin}filter {}", expr_text(condition, &self.columns))?;
        }
        for child in &stage.children {
            writeln!(f, "{margin}join {} -> {}", self.stages[*child].alias, stage.alias)?;
            self.write_stage(f, *child, depth + 2)?;
        }
        self.write_steps(f, stage, &margin)?;
        writeln!(f, "{margin}{}", self.end_text(index, stage))
    }

    fn write_steps(&self, f: &mut fmt::Formatter<'_>, stage: &Stage, margin: &str) -> fmt::Result {
        for step in &stage.steps {
            match step {
                Step::Filter(expr) => writeln!(f, "{margin}filter {}", expr_text(expr, &self.columns))?,
                Step::Let(column, expr) => {
                    let name = self.columns[usize::from(*column)].shown();
                    writeln!(f, "{margin}let {name} = {}", expr_text(expr, &self.columns))?;
                }
            }
        }
        Ok(())
    }

    fn end_text(&self, index: usize, stage: &Stage) -> String {
        let keys: Vec<String> =
            stage.end.keys().iter().map(|key| self.columns[usize::from(*key)].shown()).collect();
        let mut out = match &stage.end {
            End::Rows { .. } if stage.bag != index => return format!("share the bag of stage {}", stage.bag),
            End::Rows { .. } => "pack".to_owned(),
            End::Groups { .. } => "pack groups".to_owned(),
            End::Emit { form: Form::Rows, .. } => "emit rows".to_owned(),
            End::Emit { form: Form::Groups, .. } => "emit groups".to_owned(),
        };
        // Writing to a String does not fail.
        let _ = write!(out, " ({})", keys.join(", "));
        if !stage.end.folds().is_empty() {
            let folds: Vec<String> = stage.end.folds().iter().map(|fold| self.fold_text(fold)).collect();
            let _ = write!(out, " aggregate ({})", folds.join(", "));
        }
        out
    }

    fn fold_text(&self, fold: &Fold) -> String {
        match &fold.input {
            Input::Expr(expr) => format!("{}({})", fold.aggregate, expr_text(expr, &self.columns)),
            Input::State => format!("combine {}", fold.aggregate),
        }
    }
}
