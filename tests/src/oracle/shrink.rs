//! Smaller cases that are wrong in the same way, until none is left to try.

use crate::oracle::case::{Case, CaseOutcome, Disagreement};
use crate::oracle::language::query::{JoinKind, Query, QueryExpr, RowClause, Source, TemporalKeep};
use crate::oracle::run::event_dag::{BranchId, RunStep};
use pivot_advice::Value;
use std::time::{Duration, Instant};

/// How long smaller cases are looked for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the smallest case found that is wrong in the way of this one.
pub fn shrunk(case: &Case, wrong: &Disagreement) -> (Case, Disagreement) {
    let (mut case, mut wrong) = (case.clone(), wrong.clone());
    let begun = Instant::now();

    'again: loop {
        for smaller in smaller_cases(&case) {
            if begun.elapsed() > PATIENCE {
                return (case, wrong);
            }
            // What depends on the clock is wrong only sometimes.
            let found = (0..2).find_map(|_| match smaller.check() {
                CaseOutcome::Wrong(found) if found.kind == wrong.kind => Some(found),
                _ => None,
            });
            if let Some(found) = found {
                (case, wrong) = (smaller, found);
                continue 'again;
            }
        }
        return (case, wrong);
    }
}

fn smaller_cases(case: &Case) -> Vec<Case> {
    let mut cases = Vec::new();
    // Steps go first: with fewer of them everything else is tried faster.
    cases.extend(smaller_runs(&case.steps).into_iter().map(|steps| Case { steps, ..case.clone() }));
    cases.extend(smaller_queries(&case.query).into_iter().map(|query| Case { query, ..case.clone() }));
    cases.push(Case { rules: vec![], ..case.clone() });
    cases.push(Case { budget_bytes: usize::MAX, ..case.clone() });

    for at in 0..case.tracepoints.len() {
        let mut smaller = case.clone();
        let removed = smaller.tracepoints.remove(at);
        smaller.steps.retain(|step| match step {
            RunStep::Event(_, event) | RunStep::Outside(event) => event.tracepoint != removed.name,
            _ => true,
        });
        cases.push(smaller);
    }

    for at in 0..case.tracepoints.len() {
        for field in 0..case.tracepoints[at].fields.len() {
            let mut smaller = case.clone();
            let (removed, _) = smaller.tracepoints[at].fields.remove(field);
            let name = smaller.tracepoints[at].name.clone();
            for step in &mut smaller.steps {
                if let RunStep::Event(_, event) | RunStep::Outside(event) = step
                    && event.tracepoint == name
                {
                    event.values.retain(|(field, _)| *field != removed);
                }
            }
            cases.push(smaller);
        }
    }

    cases.retain(|smaller| smaller != case && smaller.is_run());
    cases
}

fn smaller_runs(steps: &[RunStep]) -> Vec<Vec<RunStep>> {
    let mut runs = Vec::new();
    // Large pieces first, as in delta debugging.
    let mut length = steps.len() / 2;
    while length > 0 {
        for start in (0..steps.len()).step_by(length) {
            let end = (start + length).min(steps.len());
            runs.push([&steps[..start], &steps[end..]].concat());
        }
        length /= 2;
    }

    for (at, step) in steps.iter().enumerate() {
        match step {
            RunStep::Fork(from, to) | RunStep::Detach(from, to) => {
                // A branch goes with all that it did, or what it did moves to the branch it came from.
                runs.push(without_branch(steps, at, *to));
                runs.push(on_one_branch(steps, at, *from, *to));
            }
            RunStep::Event(_, event) | RunStep::Outside(event) => {
                for value in 0..event.values.len() {
                    let mut smaller = steps.to_vec();
                    if let RunStep::Event(_, event) | RunStep::Outside(event) = &mut smaller[at] {
                        event.values.remove(value);
                    }
                    runs.push(smaller);
                }
            }
            RunStep::Skew(branch, seconds) if *seconds > 0 => {
                let mut smaller = steps.to_vec();
                smaller[at] = RunStep::Hop(*branch);
                runs.push(smaller);
            }
            _ => {}
        }
    }

    runs
}

/// Whether a step is one of a branch.
fn is_of(step: &RunStep, branch: BranchId) -> bool {
    match step {
        RunStep::Request | RunStep::Outside(_) => false,
        RunStep::Event(on, _) | RunStep::Hop(on) | RunStep::Skew(on, _) | RunStep::Cancel(on) => {
            *on == branch
        }
        RunStep::Fork(a, b)
        | RunStep::Detach(a, b)
        | RunStep::Join(a, b)
        | RunStep::Bare(a, b)
        | RunStep::Lost(a, b) => *a == branch || *b == branch,
    }
}

/// The steps from one on up to the next request.
fn request_end(steps: &[RunStep], from: usize) -> usize {
    let next = steps[from..].iter().position(|step| *step == RunStep::Request);
    next.map_or(steps.len(), |next| from + next)
}

fn without_branch(steps: &[RunStep], at: usize, branch: BranchId) -> Vec<RunStep> {
    let end = request_end(steps, at);
    let kept = steps.iter().enumerate().filter(|(i, step)| *i < at || *i >= end || !is_of(step, branch));
    kept.map(|(_, step)| step.clone()).collect()
}

/// Returns the steps in which what a branch did is done by the branch that it came from.
fn on_one_branch(steps: &[RunStep], at: usize, from: BranchId, to: BranchId) -> Vec<RunStep> {
    let end = request_end(steps, at);
    let mut run = steps[..at].to_vec();
    let renamed = |branch: BranchId| if branch == to { from } else { branch };

    for step in &steps[at + 1..end] {
        run.push(match step {
            RunStep::Join(a, b) | RunStep::Bare(a, b) | RunStep::Lost(a, b) if renamed(*a) == renamed(*b) => {
                continue;
            }
            RunStep::Bare(a, b) => RunStep::Bare(renamed(*a), renamed(*b)),
            RunStep::Lost(a, b) => RunStep::Lost(renamed(*a), renamed(*b)),
            RunStep::Cancel(branch) => RunStep::Cancel(renamed(*branch)),
            RunStep::Join(a, b) => RunStep::Join(renamed(*a), renamed(*b)),
            RunStep::Fork(a, b) => RunStep::Fork(renamed(*a), renamed(*b)),
            RunStep::Detach(a, b) => RunStep::Detach(renamed(*a), renamed(*b)),
            RunStep::Event(branch, event) => RunStep::Event(renamed(*branch), event.clone()),
            RunStep::Hop(branch) => RunStep::Hop(renamed(*branch)),
            RunStep::Skew(branch, seconds) => RunStep::Skew(renamed(*branch), *seconds),
            RunStep::Request | RunStep::Outside(_) => step.clone(),
        });
    }

    run.extend_from_slice(&steps[end..]);
    run
}

fn smaller_queries(query: &Query) -> Vec<Query> {
    let mut queries = [smaller_sources_and_steps(query), smaller_results(query)].concat();
    if !query.with.is_empty() {
        queries.push(query.written_out(&[]));
    }

    for (at, source) in sources(query).into_iter().enumerate() {
        for smaller in smaller_sources(source) {
            queries.push(changed(query, |query| *sources_mut(query)[at] = smaller));
        }
    }

    for (at, expr) in query.expressions().into_iter().enumerate() {
        for smaller in smaller_expressions(expr) {
            queries.push(changed(query, |query| *expressions_mut(query)[at] = smaller));
        }
    }

    for at in 0..query.with.len() {
        for smaller in smaller_queries(&query.with[at].1) {
            queries.push(changed(query, |query| query.with[at].1 = smaller));
        }
    }

    queries.retain(|smaller| smaller != query && !smaller.select.is_empty() && !smaller.from.is_empty());
    queries
}

/// Returns a query with one change.
fn changed(query: &Query, change: impl FnOnce(&mut Query)) -> Query {
    let mut smaller = query.clone();
    change(&mut smaller);
    smaller
}

/// Returns queries without one of the joins, steps or sources of FROM, or with a simpler join.
fn smaller_sources_and_steps(query: &Query) -> Vec<Query> {
    let mut queries = Vec::new();

    for at in 0..query.joins.len() {
        queries.push(changed(query, |query| remove_join(query, at)));
        queries.push(changed(query, |query| query.joins[at].condition = None));
        queries.push(changed(query, |query| query.joins[at].kind = JoinKind::Inner));
        let sources = query.joins[at].sources.len();
        for place in (0..sources).filter(|_| sources > 1) {
            queries.push(changed(query, |query| drop(query.joins[at].sources.remove(place))));
        }
    }

    for at in 0..query.steps.len() {
        queries.push(changed(query, |query| {
            // What used the name is null from now on.
            if let RowClause::Let(name, _) = query.steps.remove(at) {
                forget(query, &|expr| matches!(expr, QueryExpr::Name(known) if *known == name));
            }
        }));
    }

    for at in 0..query.from.len() {
        queries.push(changed(query, |query| drop(query.from.remove(at))));
    }

    queries
}

/// Returns queries without one of the keys, columns or clauses that make results of rows.
fn smaller_results(query: &Query) -> Vec<Query> {
    let mut queries = Vec::new();

    for at in 0..query.group.as_ref().map_or(0, Vec::len) {
        queries.push(changed(query, |query| remove_key(query, at)));
    }

    for at in 0..query.select.len() {
        queries.push(changed(query, |query| {
            let removed = query.select.remove(at);
            query.order.retain(|order| match &order.expr {
                QueryExpr::Name(name) => Some(name) != removed.name.as_ref(),
                _ => false,
            });
        }));
    }

    for at in 0..query.order.len() {
        queries.push(changed(query, |query| query.order[at].descending = false));
        queries.push(changed(query, |query| query.order[at].nulls_first = None));
    }

    queries.push(changed(query, |query| query.having = None));
    queries.push(changed(query, |query| query.sample = None));
    queries.push(changed(query, |query| query.select_first = false));
    queries.push(changed(query, |query| query.distinct = false));
    queries.push(changed(query, |query| query.limit = None));
    queries.push(changed(query, |query| {
        query.order.clear();
        query.limit = None;
    }));
    queries
}

/// Removes a key of GROUP BY, and the columns that show it.
fn remove_key(query: &mut Query, at: usize) {
    let Some(keys) = &mut query.group else { return };
    let removed = keys.remove(at);

    // Without keys a query that aggregates is one group, and one that does not has no GROUP BY.
    if keys.is_empty() && query.select.iter().any(|item| item.expr != removed && item.expr.aggregates()) {
        query.group = None;
    }
    query.select.retain(|item| item.expr != removed);
}

/// Removes a join and all below it; what their columns were is null.
fn remove_join(query: &mut Query, at: usize) {
    let mut removed = vec![query.joins[at].alias.clone()];
    query.joins.retain(|join| {
        let goes = removed.contains(&join.alias) || removed.contains(&join.after);
        if goes {
            removed.push(join.alias.clone());
        }
        !goes
    });
    forget(query, &|expr| matches!(expr, QueryExpr::Column(alias, _) if removed.contains(alias)));
}

fn forget(query: &mut Query, gone: &dyn Fn(&QueryExpr) -> bool) {
    fn replace(expr: &mut QueryExpr, gone: &dyn Fn(&QueryExpr) -> bool) {
        if gone(expr) {
            *expr = QueryExpr::Literal(Value::Null);
        }
        expr.children_mut().into_iter().for_each(|child| replace(child, gone));
    }
    expressions_mut(query).into_iter().for_each(|expr| replace(expr, gone));
}

fn sources(query: &Query) -> Vec<&Source> {
    query.sources().collect()
}

fn sources_mut(query: &mut Query) -> Vec<&mut Source> {
    query.from.iter_mut().chain(query.joins.iter_mut().flat_map(|join| &mut join.sources)).collect()
}

/// Returns a choice of the first or most recent tuples of a source.
fn temporal(keep: TemporalKeep, n: usize, source: &Source, condition: Option<QueryExpr>) -> Source {
    Source::Temporal { keep, n, source: Box::new(source.clone()), condition }
}

fn smaller_sources(source: &Source) -> Vec<Source> {
    match source {
        Source::Tracepoint(_) | Source::Named(_) | Source::Pattern(_) => vec![],
        Source::Query(query) => {
            let smaller = smaller_queries(query).into_iter().map(|query| Source::Query(Box::new(query)));
            query.from.iter().cloned().chain(smaller).collect()
        }
        Source::Unnest(inner, field) => {
            let smaller = smaller_sources(inner).into_iter();
            let smaller = smaller.map(|inner| Source::Unnest(Box::new(inner), field.clone()));
            std::iter::once((**inner).clone()).chain(smaller).collect()
        }
        Source::Temporal { keep, n, source: inner, condition } => {
            let mut smaller = vec![(**inner).clone(), temporal(*keep, *n, inner, None)];
            if *n > 1 {
                smaller.push(temporal(*keep, *n - 1, inner, condition.clone()));
            }

            let conditions = condition.iter().flat_map(smaller_expressions);
            smaller.extend(conditions.map(|condition| temporal(*keep, *n, inner, Some(condition))));
            let sources = smaller_sources(inner).into_iter();
            smaller.extend(sources.map(|inner| temporal(*keep, *n, &inner, condition.clone())));
            smaller.retain(|smaller| smaller != source);
            smaller
        }
    }
}

fn expressions_mut(query: &mut Query) -> Vec<&mut QueryExpr> {
    let joins = query.joins.iter_mut().filter_map(|join| join.condition.as_mut());
    let steps = query.steps.iter_mut().map(|step| match step {
        RowClause::Let(_, expr) | RowClause::Where(expr) => expr,
    });
    let selected = query.select.iter_mut().map(|item| &mut item.expr);

    joins
        .chain(steps)
        .chain(query.group.iter_mut().flatten())
        .chain(selected)
        .chain(&mut query.having)
        .chain(query.order.iter_mut().map(|order| &mut order.expr))
        .collect()
}

fn smaller_expressions(expr: &QueryExpr) -> Vec<QueryExpr> {
    if let QueryExpr::Param(_, value) = expr {
        return vec![QueryExpr::Literal(value.clone())];
    }

    let mut smaller: Vec<QueryExpr> = expr.children().into_iter().cloned().collect();
    if expr.size() > 1 {
        // Constants of several types: one of them compiles.
        smaller.push(QueryExpr::Literal(Value::Null));
        smaller.push(QueryExpr::Literal(Value::Bool(true)));
        smaller.push(QueryExpr::Literal(Value::I64(1)));
    }

    for at in 0..expr.children().len() {
        for child in smaller_expressions(expr.children()[at]) {
            let mut changed = expr.clone();
            *changed.children_mut()[at] = child;
            smaller.push(changed);
        }
    }

    smaller
}
