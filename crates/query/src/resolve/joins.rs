//! Joins: which stage comes before which, and where a condition decides.
//!
//! Conditions of an inner join hold for the rows of the whole query. Those of a LEFT or ANTI join, and
//! of joins below it, decide whether there is a match; so they must be known where the match is made:
//! at the event of the alias that it is joined to.

use super::name_scope::{AliasBinding, NameScope, SourceRole, SourceSite, StepTarget};
use super::resolver::Resolver;
use crate::diagnostic::Diagnostic;
use crate::plan::{PlanColumn, StageEnd, StageJoin, StageStep, columns_of};
use crate::suggest::nearest;
use crate::syntax::ast::{self, Span};
use pivot_advice::{Binary, Expr, Match, Type, Unary};

impl Resolver<'_> {
    pub(super) fn join(&mut self, join: &ast::JoinClause, target: &StepTarget, scope: &mut NameScope) {
        self.check_free(&join.alias, scope);
        self.check_arrow(join);
        let (parent, hidden) = self.after(join, target, scope);
        let Some(child) = self.stage(&join.alias.text, parent, &join.source.span) else {
            scope.add(&join.alias.text, AliasBinding::Unknown, false);
            return;
        };
        let place = SourceSite { alias: join.alias.text.clone(), stage: child, role: SourceRole::Joined };
        let binding = self.source(&join.source, &place);
        if self.plan.stages[child].members.is_empty() {
            // It did not resolve; the plan is well formed all the same.
            self.plan.stages[child].members.push(crate::plan::StageMember::default());
        }
        let step = StageStep::Join(StageJoin {
            child,
            matching: join.matching,
            on: vec![],
            distinct: distinct(&binding),
        });
        let own =
            matches!(target, StepTarget::Members(stage, _) | StepTarget::Stage(stage) if *stage == parent);
        let list = if own { target.clone() } else { StepTarget::Stage(parent) };
        self.push(&list, &step);
        if let AliasBinding::Groups { having: Some(having), .. } = &binding {
            self.decide(child, &conjuncts(having.clone()));
        }
        scope.add(&join.alias.text, binding, hidden || join.matching == Match::Anti);
        if let Some(condition) = &join.condition {
            let inside = NameScope { sees_hidden: true, ..scope.clone() };
            let condition = self.wanted(condition, &inside, Type::Bool, "the condition of a join");
            self.match_condition(condition.expr, child, target, &condition_span(join));
        }
        if join.matching != Match::Anti {
            self.name_groups(join, child, &list, scope);
        }
    }

    /// Columns that an aggregating query computes get names of their own behind the join: there they
    /// are null where nothing matched, whatever the expression.
    fn name_groups(
        &mut self,
        join: &ast::JoinClause,
        child: usize,
        target: &StepTarget,
        scope: &mut NameScope,
    ) {
        let StageEnd::Groups(groups) = &self.plan.stages[child].end else { return };
        let rows = groups.unpacked.get(groups.keys.len()).copied();
        let Some(alias) = scope.aliases.last_mut() else { return };
        let AliasBinding::Groups { columns, .. } = &mut alias.binding else { return };
        for (name, typed) in columns {
            if let Expr::Column(_) = typed.expr {
                continue;
            }
            let expr = match (join.matching, rows) {
                (Match::Left, Some(rows)) => if_matched(rows, typed.expr.clone()),
                _ => typed.expr.clone(),
            };
            let column = PlanColumn { alias: join.alias.text.clone(), name: name.clone(), ty: typed.ty };
            *typed = self.assign(column, expr, target);
        }
    }

    fn check_arrow(&mut self, join: &ast::JoinClause) {
        if join.before.text != join.alias.text {
            let wrong =
                Diagnostic::error(join.before.span.clone(), "the joined alias stands before the arrow");
            let turned = join.after.text == join.alias.text;
            let other = if turned { &join.before.text } else { &join.after.text };
            self.report(wrong.hint(format!("write `ON {} -> {other}`", join.alias.text)));
        } else if join.after.text == join.alias.text {
            let wrong = Diagnostic::error(join.after.span.clone(), "an event never happens before itself");
            self.report(wrong.detail("this is the joined alias"));
        }
    }

    /// The stage that the join happens before, and whether its alias is hidden. Where that is not
    /// known the join is resolved for its own mistakes; the query does not compile anyway.
    fn after(&mut self, join: &ast::JoinClause, target: &StepTarget, scope: &NameScope) -> (usize, bool) {
        let (StepTarget::Stage(own) | StepTarget::Members(own, _)) = *target;
        let Some(after) = scope.alias(&join.after.text) else {
            if !scope.broken && join.after.text != join.alias.text {
                let known = scope.aliases.iter().map(|alias| alias.name.as_str());
                let found = nearest(&join.after.text, known);
                let wrong = format!("unknown alias `{}`", join.after.text);
                let wrong = Diagnostic::error(join.after.span.clone(), wrong);
                self.report(wrong.detail("an alias introduced before this join").suggest(found));
            }
            return (own, false);
        };
        if let AliasBinding::Groups { .. } = after.binding {
            let wrong = format!("nothing can happen before `{}`", join.after.text);
            let wrong = Diagnostic::error(join.after.span.clone(), wrong).detail("an aggregating query");
            self.report(wrong.hint("an aggregate is no event: join to the events inside the query"));
        }
        (after.binding.stage().unwrap_or(own), after.hidden)
    }

    /// Where a condition of a join decides: about the match of the LEFT or ANTI join that it belongs to,
    /// or about the rows of the query.
    fn match_condition(&mut self, condition: Expr, child: usize, target: &StepTarget, span: &Span) {
        let (StepTarget::Stage(own) | StepTarget::Members(own, _)) = *target;
        let Some(head) = self.optional(child, own) else {
            self.filter(target, condition);
            return;
        };
        let conditions = conjuncts(condition);
        let late = conditions.iter().flat_map(columns_of).find(|column| !self.is_known(*column, head));
        if let Some(late) = late {
            let name = self.plan.columns[usize::from(late)].shown();
            let joined = self.plan.stages[head].alias.clone();
            let wrong = format!("`{name}` is not known where `{joined}` is joined");
            let wrong = Diagnostic::error(span.clone(), wrong).detail("it decides about the match");
            self.report(wrong.hint("compare aliases that are joined before, or use WHERE"));
            return;
        }
        self.decide(head, &conditions);
    }

    /// Adds to what a match with a stage must satisfy.
    fn decide(&mut self, child: usize, conditions: &[Expr]) {
        let Some(parent) = self.plan.stages[child].parent else { return };
        for step in self.plan.stages[parent].lists_mut().flatten() {
            if let StageStep::Join(join) = step
                && join.child == child
            {
                join.on.extend(conditions.iter().cloned());
            }
        }
    }

    /// The nearest LEFT or ANTI join at a stage or above it, below the stage of the query.
    fn optional(&self, child: usize, own: usize) -> Option<usize> {
        let way = std::iter::successors(Some(child), |stage| self.plan.stages[*stage].parent);
        let mut way = way.take_while(|stage| *stage != own);
        way.find(|stage| self.plan.joined(*stage).is_some_and(|join| join.matching != Match::Inner))
    }

    /// Whether a column is there when the rows of a stage are joined: it comes with them, or was there.
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

/// What the rows of a source differ in, if it is an aggregating query that says DISTINCT.
fn distinct(binding: &AliasBinding) -> Vec<Expr> {
    match binding {
        AliasBinding::Groups { columns, distinct: true, .. } => {
            columns.iter().map(|(_, typed)| typed.expr.clone()).collect()
        }
        _ => vec![],
    }
}

/// The expression, or null in a row that nothing matched: a group has always a number of rows.
fn if_matched(rows: u16, expr: Expr) -> Expr {
    let missing = Expr::Unary(Unary::IsNull, Box::new(Expr::Column(rows)));
    Expr::Case(vec![(Expr::Unary(Unary::Not, Box::new(missing)), expr)], None)
}

fn condition_span(join: &ast::JoinClause) -> Span {
    join.condition.as_ref().map_or(join.after.span.clone(), |condition| condition.span.clone())
}

/// The operands of the ANDs at the top of a condition.
pub(super) fn conjuncts(condition: Expr) -> Vec<Expr> {
    match condition {
        Expr::Binary(Binary::And, left, right) => {
            let mut list = conjuncts(*left);
            list.extend(conjuncts(*right));
            list
        }
        other => vec![other],
    }
}
