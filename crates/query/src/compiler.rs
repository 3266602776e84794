//! The front door: all stages one after the other.

use crate::catalog::Catalog;
use crate::compiled::{OutputSchema, Program};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lower::lower;
use crate::optimize::{RULES, optimize};
use crate::plan::{Plan, StageEnd, StageFold, StageFoldInput, complete};
use crate::resolve::{ResolvedQuery, ResolvedResult, resolve};
use crate::syntax::{Params, parse};
use pivot_advice::codec::MAX_COLUMNS;
use pivot_advice::expr::MAX_DEPTH;
use pivot_advice::program::MAX_INSTRUCTIONS;
use pivot_advice::{Advice, Aggregate, Expr, Form, Instruction, QueryId, Value};

/// Which optimiser rules run, all by default: each changes cost and nothing else. And what parameters
/// stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompileOptions {
    off: Vec<String>,
    params: Params,
}

impl CompileOptions {
    /// No rule at all: the plan as the language defines it.
    pub fn naive() -> CompileOptions {
        CompileOptions {
            off: CompileOptions::rules().map(str::to_owned).collect(),
            ..CompileOptions::default()
        }
    }

    /// The same with a value for `$name`.
    pub fn param(mut self, name: impl Into<String>, value: Value) -> CompileOptions {
        self.params.insert(name.into(), value);
        self
    }

    /// The same with one rule off; a name that is no rule changes nothing.
    pub fn without(mut self, rule: &str) -> CompileOptions {
        self.off.push(rule.to_owned());
        self
    }

    /// The same with one rule on.
    pub fn with(mut self, rule: &str) -> CompileOptions {
        self.off.retain(|off| off != rule);
        self
    }

    pub(crate) fn is_on(&self, rule: &str) -> bool {
        !self.off.iter().any(|off| off == rule)
    }

    /// The names of all rules, in the order in which they run.
    pub fn rules() -> impl Iterator<Item = &'static str> {
        RULES.iter().map(|rule| rule.name())
    }
}

/// Compiles exactly one statement with all optimiser rules. Fails with everything that is wrong.
pub fn compile(text: &str, catalog: &Catalog) -> Result<Program, Diagnostics> {
    compile_with(text, catalog, &CompileOptions::default())
}

/// Compiles exactly one statement with the optimiser rules of the options.
pub fn compile_with(text: &str, catalog: &Catalog, options: &CompileOptions) -> Result<Program, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let Some(query) = parse(text, &options.params, &mut diagnostics) else {
        return Err(diagnostics.sorted());
    };
    let resolved = resolve(&query, text, catalog, &options.params, &mut diagnostics);
    if !diagnostics.has_errors() {
        check_size(&resolved, text, &mut diagnostics);
    }
    if diagnostics.has_errors() {
        return Err(diagnostics.sorted());
    }
    let naive = naive(&resolved);
    let mut plan = naive.clone();
    let fired = optimize(&mut plan, |rule| options.is_on(rule));
    for advice in lower(&plan, QueryId::default()) {
        check_advice(&advice, text, &mut diagnostics);
    }
    if diagnostics.has_errors() {
        return Err(diagnostics.sorted());
    }
    let mut tracepoints: Vec<String> = Vec::new();
    for tracepoint in resolved.plan.stages.iter().flat_map(|stage| stage.tracepoints()) {
        if !tracepoints.contains(&tracepoint.name) {
            tracepoints.push(tracepoint.name.clone());
        }
    }
    Ok(Program {
        text: text.to_owned(),
        output: OutputSchema::of(&resolved),
        settings: resolved.shape.settings.clone(),
        warnings: diagnostics.sorted(),
        tracepoints,
        pending: resolved.pending,
        naive,
        plan,
        fired,
        measured: false,
    })
}

/// Cheap bounds before any work that grows with the query.
fn check_size(resolved: &ResolvedQuery, text: &str, diagnostics: &mut Diagnostics) {
    let members = resolved.plan.stages.iter().flat_map(|stage| {
        stage.members.iter().map(|member| member.observed.len() + member.steps.len() + stage.steps.len())
    });
    let longest = members.max().unwrap_or(0);
    if longest > MAX_INSTRUCTIONS {
        diagnostics.push(too_long(text, longest));
    }
}

/// The plan as the language defines it, with the end of its root.
fn naive(resolved: &ResolvedQuery) -> Plan {
    let mut plan = resolved.plan.clone();
    plan.sample = resolved.shape.sample;
    let end = match &resolved.result {
        ResolvedResult::Rows { values, .. } => {
            let keys = values.iter().map(|(_, column, _)| *column).collect();
            StageEnd::Emit { keys, folds: vec![], form: Form::Rows }
        }
        ResolvedResult::Groups(grouped) => {
            let keys =
                grouped.keys.iter().map(|(name, expr, ty)| plan.root_column(name, expr, *ty)).collect();
            let fold = |(aggregate, expr): &(Aggregate, Expr)| StageFold {
                number: 0,
                aggregate: *aggregate,
                input: StageFoldInput::Expr(expr.clone()),
            };
            StageEnd::Emit { keys, folds: grouped.folds.iter().map(fold).collect(), form: Form::Groups }
        }
    };
    if let Some(root) = plan.stages.first_mut() {
        root.end = end;
    }
    complete(&mut plan);
    plan
}

fn too_long(text: &str, length: usize) -> Diagnostic {
    let wrong = format!("the query needs {length} instructions at one tracepoint");
    Diagnostic::error(0..text.len(), wrong).detail(format!("at most {MAX_INSTRUCTIONS} are allowed"))
}

fn check_advice(advice: &Advice, text: &str, diagnostics: &mut Diagnostics) {
    if advice.instructions.len() > MAX_INSTRUCTIONS {
        diagnostics.push(too_long(text, advice.instructions.len()));
    }
    for instruction in &advice.instructions {
        if widest(instruction) > MAX_COLUMNS {
            let wrong = format!("more than {MAX_COLUMNS} columns or aggregates in one tuple");
            diagnostics.push(Diagnostic::error(0..text.len(), wrong));
        }
        if expressions(instruction).iter().any(|expr| expr.depth() > MAX_DEPTH) {
            let wrong = format!("an expression is nested deeper than {MAX_DEPTH}");
            diagnostics.push(Diagnostic::error(0..text.len(), wrong));
        }
    }
}

fn widest(instruction: &Instruction) -> usize {
    match instruction {
        Instruction::Pack { keys, folds, .. } | Instruction::Emit { keys, folds, .. } => {
            keys.len().max(folds.len())
        }
        _ => 0,
    }
}

fn expressions(instruction: &Instruction) -> Vec<&Expr> {
    match instruction {
        Instruction::Let { expr, .. } | Instruction::Filter { expr } => vec![expr],
        Instruction::Pack { folds, .. } | Instruction::Emit { folds, .. } => {
            let inputs = folds.iter().filter_map(|fold| match &fold.input {
                pivot_advice::Input::Expr(expr) => Some(expr),
                pivot_advice::Input::State(_) => None,
            });
            inputs.collect()
        }
        Instruction::Unpack { rows, on, .. } => on.iter().chain(rows.distinct()).collect(),
        _ => vec![],
    }
}
