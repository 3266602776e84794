//! Joins: which stage comes before which, and where a condition decides.
//!
//! Conditions of an inner join hold for the rows of the whole query. Those of a LEFT or ANTI join, and
//! of joins below it, decide whether there is a match; so they must be known where the match is made:
//! at the event of the alias that it is joined to.

use super::name_scope::{AliasBinding, NameScope, SourceContext, SourceRole, StepDestination, VisibleGroups};
use super::resolver::Resolver;
use crate::diagnostic::Diagnostic;
use crate::plan::{
    PlanColumn, StageEnd, StageJoin, StageSource, StageStep, UnitedGroups, columns_of, conjuncts,
};
use crate::suggest::nearest;
use crate::syntax::ast::{JoinClause, TextSpan};
use pivot_advice::{Expr, JoinKind, Type, UnaryOperator};

/// The alias behind the arrow of `ON child -> parent`, whose events the joined tuples happen before.
struct JoinParent {
    /// The stage of its events, where the join is made.
    stage: usize,
    /// Whether the alias is anti-joined, or joined to one that is.
    hidden: bool,
}

impl Resolver<'_> {
    /// Resolves a join: adds a stage for the joined alias, a step that joins it at the parent's events, and the
    /// alias to the scope. `target` is where the steps of the query around the join go.
    pub(super) fn join(&mut self, join: &JoinClause, target: &StepDestination, scope: &mut NameScope) {
        self.check_free(&join.alias, scope);
        self.check_arrow(join);

        let parent = self.join_parent(join, target, scope);
        let Some(child) = self.stage(&join.alias.text, parent.stage, join.source_span()) else {
            scope.add(&join.alias.text, AliasBinding::Unknown);
            return;
        };

        let site = SourceContext { alias: join.alias.text.clone(), stage: child, role: SourceRole::Joined };
        let binding = match join.sources.as_slice() {
            [source] => self.source(source, &site),
            union => self.sources(union, &SourceContext { role: SourceRole::United, ..site }),
        };
        if self.plan.stages[child].members.is_empty() && binding.united().is_empty() {
            // The source did not resolve, which was reported. What follows still finds a stage with a source.
            self.plan.stages[child].members.push(StageSource::default());
        }

        // A join to the query's own event is one of its steps, one further down is a step of that stage.
        let own = target.stage() == parent.stage;
        let list = if own { target.clone() } else { StepDestination::Stage(parent.stage) };
        let distinct = match &binding {
            AliasBinding::Groups(groups) => groups.distinct_columns(),
            _ => vec![],
        };
        let united = binding.united().iter().map(united_groups).collect();
        let step = StageJoin { child, matching: join.matching, on: vec![], distinct, united };
        self.push(&list, StageStep::Join(step));

        // A group that HAVING rejects is no match: a LEFT JOIN then gives nulls, and an ANTI JOIN keeps the row.
        if let AliasBinding::Groups(VisibleGroups { having: Some(having), .. }) = &binding {
            self.decide_match(child, &conjuncts(having.clone()));
        }
        if parent.hidden || join.matching == JoinKind::Anti {
            scope.add_hidden(&join.alias.text, binding);
        } else {
            scope.add(&join.alias.text, binding);
        }

        if let Some(condition) = &join.condition {
            let inside = NameScope { sees_hidden: true, ..scope.clone() };
            let typed = self.expression_of(condition, &inside, Type::Bool, "the condition of a join");
            self.match_condition(typed.expr, child, target, condition.span);
        }
        if join.matching != JoinKind::Anti {
            self.name_groups(join, child, &list, scope);
        }
    }

    /// Gives columns that an aggregating query computes names of their own behind the join: there they
    /// are null where nothing matched, whatever the expression.
    fn name_groups(
        &mut self,
        join: &JoinClause,
        child: usize,
        target: &StepDestination,
        scope: &mut NameScope,
    ) {
        let StageEnd::Groups(groups) = &self.plan.stages[child].end else { return };
        let rows = groups.unpacked.get(groups.keys.len()).copied();
        let Some(alias) = scope.aliases.last_mut() else { return };
        let AliasBinding::Groups(visible) = &mut alias.binding else { return };

        for (name, typed) in &mut visible.columns {
            // A column that is passed on as it is has a name already, and is null by itself.
            if let Expr::Column(_) = typed.expr {
                continue;
            }
            let expr = match (join.matching, rows) {
                (JoinKind::Left, Some(rows)) => if_matched(rows, typed.expr.clone()),
                _ => typed.expr.clone(),
            };
            let column = PlanColumn { alias: join.alias.text.clone(), name: name.clone(), ty: typed.ty };
            *typed = self.assign(column, expr, target);
        }
    }

    /// Reports an arrow that does not lead from the joined alias to another.
    fn check_arrow(&mut self, join: &JoinClause) {
        if join.before.text != join.alias.text {
            let wrong = Diagnostic::error(join.before.span, "the joined alias stands before the arrow");
            let (before, alias, after) = (&join.before.text, &join.alias.text, &join.after.text);
            self.report(match after == alias {
                // A turned arrow is meant as it stands, so it is not turned back.
                true => wrong.hint(format!(
                    "`{before} -> {after}` says that {before} came first: the event in FROM is the last one, \
                     and what is joined came before it"
                )),
                false => {
                    let hint = format!("write `ON {alias} -> {after}`");
                    wrong.hint(hint).edit(join.before.span, alias.clone())
                }
            });
        } else if join.after.text == join.alias.text {
            let wrong = Diagnostic::error(join.after.span, "an event never happens before itself");
            self.report(wrong.detail("this is the joined alias"));
        }
    }

    /// Returns what the join happens before. Where that is not known the join is resolved for its own
    /// mistakes; the query does not compile anyway.
    fn join_parent(&mut self, join: &JoinClause, target: &StepDestination, scope: &NameScope) -> JoinParent {
        let own = target.stage();
        let Some(after) = scope.alias(&join.after.text) else {
            if !scope.broken && join.after.text != join.alias.text {
                let known = scope.aliases.iter().map(|alias| alias.name.as_str());
                let found = nearest(&join.after.text, known);
                let wrong = format!("unknown alias `{}`", join.after.text);
                let wrong = Diagnostic::error(join.after.span, wrong);
                let wrong = wrong.detail("an alias introduced before this join");
                self.report(wrong.suggest_at(join.after.span, found));
            }
            return JoinParent { stage: own, hidden: false };
        };

        // A group has no place among the events of a request.
        let detail = match &after.binding {
            AliasBinding::Groups(_) => Some("an aggregating query"),
            union if !union.united().is_empty() => Some("one of its sources is an aggregating query"),
            _ => None,
        };
        if let Some(detail) = detail {
            let wrong = format!("nothing can happen before `{}`", join.after.text);
            let wrong = Diagnostic::error(join.after.span, wrong).detail(detail);
            self.report(wrong.hint("an aggregate is no event: join to the events inside the query"));
        }
        JoinParent { stage: after.binding.stage().unwrap_or(own), hidden: after.hidden }
    }

    /// Puts a condition of a join where it decides: about the match of the LEFT or ANTI join that it belongs
    /// to, or about the rows of the query.
    fn match_condition(&mut self, condition: Expr, child: usize, target: &StepDestination, span: TextSpan) {
        let Some(head) = self.optional_join(child, target.stage()) else {
            self.filter(target, condition);
            return;
        };

        // Whether there is a match is decided once, where it is made: everything must be known there.
        let conditions = conjuncts(condition);
        let late = conditions.iter().flat_map(columns_of).find(|column| !self.is_known(*column, head));
        if let Some(late) = late {
            let name = self.plan.columns[usize::from(late)].shown();
            let joined = self.plan.stages[head].alias.clone();
            let wrong = format!("`{name}` is not known where `{joined}` is joined");
            let wrong = Diagnostic::error(span, wrong).detail("it decides about the match");
            self.report(wrong.hint("compare aliases that are joined before, or use WHERE"));
            return;
        }
        self.decide_match(head, &conditions);
    }

    /// Adds conditions to what a match with a stage must satisfy.
    fn decide_match(&mut self, child: usize, conditions: &[Expr]) {
        let Some(parent) = self.plan.stages[child].parent else { return };
        for step in self.plan.stages[parent].lists_mut().flatten() {
            if let StageStep::Join(join) = step
                && join.child == child
            {
                join.on.extend(conditions.iter().cloned());
            }
        }
    }

    /// Returns the nearest LEFT or ANTI join at a stage or above it, below the stage of the query, or `None`
    /// if all are inner joins.
    fn optional_join(&self, child: usize, own: usize) -> Option<usize> {
        let way = std::iter::successors(Some(child), |stage| self.plan.stages[*stage].parent);
        let mut way = way.take_while(|stage| *stage != own);
        way.find(|stage| self.plan.joined(*stage).is_some_and(|join| join.matching != JoinKind::Inner))
    }

    /// Returns whether a column is there when the rows of a stage are joined: it comes with them, or was
    /// there before.
    fn is_known(&self, column: u16, head: usize) -> bool {
        let Some(home) = self.plan.home(column) else { return true };
        if self.plan.is_below(home, head) || self.plan.appended(head).contains(&column) {
            return true;
        }
        let Some(parent) = self.plan.stages[head].parent else { return true };
        if !self.plan.is_below(home, parent) {
            return false;
        }

        // Behind the join in the list of its stage are those that were written later.
        let stage = &self.plan.stages[parent];
        let before =
            stage.all_steps().take_while(|step| !matches!(step, StageStep::Join(j) if j.child == head));
        let mut joined = before.filter_map(|step| match step {
            StageStep::Join(join) => Some(join.child),
            _ => None,
        });
        home == parent || joined.any(|child| self.plan.is_below(home, child))
    }
}

/// Returns the groups of a query in a union. Which of its columns have a place in the union shows when they are asked for.
fn united_groups(groups: &VisibleGroups) -> UnitedGroups {
    UnitedGroups {
        stage: groups.stage,
        values: vec![],
        having: groups.having.clone().map_or(vec![], conjuncts),
        distinct: groups.distinct_columns(),
    }
}

/// Returns an expression that is null in rows for which a LEFT JOIN found no group, and `expr` in all others.
/// `rows` is the column with the group's number of rows: every group has one, so null means that there was none.
fn if_matched(rows: u16, expr: Expr) -> Expr {
    let missing = Expr::Unary(UnaryOperator::IsNull, Box::new(Expr::Column(rows)));
    Expr::Case(vec![(Expr::Unary(UnaryOperator::Not, Box::new(missing)), expr)], None)
}
