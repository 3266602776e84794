//! The front door: all stages one after the other.

use crate::advice_limits::{check_advice, check_plan};
use crate::catalog::Catalog;
use crate::compile_options::CompileOptions;
use crate::compiled::{OutputPlan, QueryProgram};
use crate::diagnostic::Diagnostics;
use crate::lower::lower;
use crate::optimize::optimize;
use crate::plan::{Plan, StageAggregate, StageAggregateInput, StageEnd, complete};
use crate::quick_fix::mend;
use crate::resolve::{ResolvedQuery, ResolvedResult, resolve};
use crate::syntax::parse;
use pivot_advice::{EmitMode, QueryId};
use std::collections::HashSet;

/// Compiles exactly one statement with all optimiser rules. Fails with everything that is wrong.
pub fn compile(text: &str, catalog: &Catalog) -> Result<QueryProgram, Diagnostics> {
    compile_with(text, catalog, &CompileOptions::default())
}

/// Compiles exactly one statement with the optimiser rules of the options.
pub fn compile_with(
    text: &str,
    catalog: &Catalog,
    options: &CompileOptions,
) -> Result<QueryProgram, Diagnostics> {
    match compile_once(text, catalog, options) {
        Ok(mut program) => {
            program.warnings = mended(text, program.warnings, catalog, options);
            Ok(program)
        }
        Err(found) => Err(mended(text, found, catalog, options)),
    }
}

/// Returns what was found in a text, with what is known to be meant instead.
fn mended(text: &str, found: Diagnostics, catalog: &Catalog, options: &CompileOptions) -> Diagnostics {
    mend(text, found, catalog, |corrected| {
        compile_once(corrected, catalog, options).map(|program| program.warnings)
    })
}

/// Compiles a statement as it is, without a look at what may be meant instead.
fn compile_once(
    text: &str,
    catalog: &Catalog,
    options: &CompileOptions,
) -> Result<QueryProgram, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let Some(query) = parse(text, options.params_by_name(), &mut diagnostics) else {
        return Err(diagnostics.sorted());
    };

    // A query with errors is resolved all the same, so that all of them are known at once.
    let resolved = resolve(&query, text, catalog, options, &mut diagnostics);
    if !diagnostics.has_errors() {
        check_plan(&resolved.plan, text, &mut diagnostics);
    }
    if diagnostics.has_errors() {
        return Err(diagnostics.sorted());
    }

    let naive = naive_plan(&resolved);
    let mut plan = naive.clone();
    let fired = optimize(&mut plan, |rule| options.is_on(rule));

    for advice in lower(&plan, QueryId::default()) {
        check_advice(&advice, text, &mut diagnostics);
    }
    if diagnostics.has_errors() {
        return Err(diagnostics.sorted());
    }

    Ok(QueryProgram {
        text: text.to_owned(),
        output: OutputPlan::of(&resolved),
        settings: resolved.shape.settings.clone(),
        warnings: diagnostics.sorted(),
        tracepoints: tracepoints(&resolved.plan),
        pending: resolved.pending,
        naive,
        plan,
        fired,
        measured: false,
    })
}

/// Returns the plan as the language defines it, with the end of its root.
fn naive_plan(resolved: &ResolvedQuery) -> Plan {
    let mut plan = resolved.plan.clone();
    plan.sample = resolved.shape.sample;

    // Keys of groups may be computed: they become columns of the root, behind everything else.
    let end = match &resolved.result {
        ResolvedResult::Rows { values, .. } => {
            let keys = values.iter().map(|value| value.column).collect();
            StageEnd::Emit { keys, folds: vec![], form: EmitMode::Rows }
        }
        ResolvedResult::Groups(grouped) => {
            let keys =
                grouped.keys.iter().map(|key| plan.root_column(&key.name, &key.expr, key.ty)).collect();
            let folds = grouped.folds.iter().map(|(aggregate, expr)| StageAggregate {
                number: 0,
                aggregate: *aggregate,
                input: StageAggregateInput::Expr(expr.clone()),
            });
            StageEnd::Emit { keys, folds: folds.collect(), form: EmitMode::Groups }
        }
    };
    if let Some(root) = plan.stages.first_mut() {
        root.end = end;
    }
    complete(&mut plan);
    plan
}

/// Returns the names of all tracepoints, each once, in the order of the stages.
fn tracepoints(plan: &Plan) -> Vec<String> {
    let mut known = HashSet::new();
    let all = plan.stages.iter().flat_map(|stage| stage.tracepoints());
    all.filter(|tracepoint| known.insert(&tracepoint.name))
        .map(|tracepoint| tracepoint.name.clone())
        .collect()
}
