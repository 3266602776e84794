//! Queries: FROM, joins, LET and WHERE in order, and queries inside queries.
//!
//! A query without aggregates that is a source dissolves: its FROM becomes the stage of the alias, and
//! its steps those of the members of that stage. An aggregating one keeps a stage of its own.

use super::name_scope::{
    AliasBinding, CollectedAggregates, NameScope, ResolvedResult, SourceRole, SourceSite, StepTarget,
    TypedExpr,
};
use crate::catalog::Catalog;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::formatter::format_expression;
use crate::plan::{Plan, PlanColumn, Stage, StageStep};
use crate::syntax::Params;
use crate::syntax::ast::{self, AstExpr, AstQuery, Span};
use pivot_advice::program::MAX_INSTRUCTIONS;
use pivot_advice::{Expr, Type};
use std::collections::HashMap;

/// The most joins, LETs, conditions, keys or columns of one query; more fit no advice anyway.
const MAX_CLAUSES: usize = 4 * MAX_INSTRUCTIONS;
/// A query that needs more has gone wrong, or its named queries multiply.
const MAX_STAGES: usize = 64;

/// A query whose names and types are known.
#[derive(Debug)]
pub(crate) struct ResolvedQuery {
    pub(crate) plan: Plan,
    pub(crate) result: ResolvedResult,
    pub(crate) shape: super::run_settings::ResultShape,
    /// Tracepoints and patterns that nobody exports yet.
    pub(crate) pending: Vec<String>,
}

/// Resolves the query of one statement.
pub(crate) fn resolve<'a>(
    query: &AstQuery,
    text: &'a str,
    catalog: &'a Catalog,
    params: &'a Params,
    diagnostics: &mut Diagnostics,
) -> ResolvedQuery {
    let mut resolver = Resolver {
        text,
        catalog,
        params,
        plan: Plan::default(),
        pending: Vec::new(),
        diagnostics: std::mem::take(diagnostics),
        with: Vec::new(),
        naming: Vec::new(),
        place: None,
        observed: HashMap::new(),
        aggregates: None,
        depth: 0,
    };
    let (result, shape) = resolver.whole(query);
    *diagnostics = resolver.diagnostics;
    ResolvedQuery { plan: resolver.plan, result, shape, pending: resolver.pending }
}

/// A field of some members of a stage.
type FieldKey = (usize, Vec<usize>, String);

pub(super) struct Resolver<'a> {
    pub(super) text: &'a str,
    pub(super) catalog: &'a Catalog,
    params: &'a Params,
    pub(super) plan: Plan,
    pub(super) pending: Vec<String>,
    diagnostics: Diagnostics,
    pub(super) with: Vec<(String, AstQuery)>,
    /// The named queries that are being resolved, outermost first.
    naming: Vec<String>,
    /// Where a query of the catalogue is used: its own spans mean nothing in this text.
    place: Option<Span>,
    pub(super) observed: HashMap<FieldKey, u16>,
    /// The aggregates of the SELECT that is being resolved.
    pub(super) aggregates: Option<CollectedAggregates>,
    /// How many queries there are around the one that is being resolved.
    depth: usize,
}

impl Resolver<'_> {
    pub(super) fn report(&mut self, mut diagnostic: Diagnostic) {
        if let (Some(place), Some(name)) = (&self.place, self.naming.last()) {
            diagnostic.span = place.clone();
            diagnostic.message = format!("in query `{name}`: {}", diagnostic.message);
        }
        self.diagnostics.push(diagnostic);
    }

    /// What was written there, on one line, whatever its layout was.
    pub(super) fn written(&self, span: &Span) -> String {
        format_expression(self.text.get(span.clone()).unwrap_or_default())
    }

    /// Whether the query that is being resolved is a source of another.
    pub(super) fn is_inside(&self) -> bool {
        self.depth > 0
    }

    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.has_errors()
    }

    fn whole(&mut self, query: &AstQuery) -> (ResolvedResult, super::run_settings::ResultShape) {
        let nothing = ResolvedResult::Rows { values: vec![], shown: 0 };
        if !self.fits(query) {
            return (nothing, super::run_settings::ResultShape::default());
        }
        self.with(query);
        let alias = from_alias(query);
        self.plan.stages.push(Stage::new(&alias, None, 0));
        let place = SourceSite { alias, stage: 0, role: SourceRole::From };
        let (scope, _) = self.rows(query, &place);
        self.finish(query, &scope)
    }

    /// Makes the queries of WITH known; each sees those before it.
    fn with(&mut self, query: &AstQuery) {
        for with in &query.with {
            if self.with.iter().any(|(name, _)| *name == with.name.text) {
                let wrong = format!("query `{}` is defined twice", with.name.text);
                self.report(Diagnostic::error(with.name.span.clone(), wrong));
            }
            self.with.push((with.name.text.clone(), with.query.clone()));
        }
    }

    /// Whether a query is of a size that can be resolved.
    fn fits(&mut self, query: &AstQuery) -> bool {
        let keys = query.group.as_ref().map_or(0, Vec::len);
        let longest = query.joins.len().max(query.steps.len()).max(keys).max(query.select.len());
        if longest > MAX_CLAUSES {
            let wrong = format!("the query has {longest} clauses or columns of one kind");
            let wrong = Diagnostic::error(query.span.clone(), wrong);
            self.report(wrong.detail(format!("at most {MAX_CLAUSES} are allowed")));
        }
        longest <= MAX_CLAUSES
    }

    /// FROM, joins, LET and WHERE; gives the names that may be used after them, and where steps go.
    fn rows(&mut self, query: &AstQuery, place: &SourceSite) -> (NameScope, StepTarget) {
        let mut scope = NameScope { broken: query.broken, ..NameScope::default() };
        let mut target = StepTarget::Stage(place.stage);
        if let Some(from) = &query.from {
            let role = if place.role == SourceRole::Kept { SourceRole::Kept } else { SourceRole::From };
            let binding = self.sources(&from.sources, &SourceSite { role, ..place.clone() });
            if self.is_inside() && !super::select_list::aggregating(query) {
                target = StepTarget::Members(place.stage, binding.members());
            }
            scope.add(&from.alias.text, binding, false);
        }
        query.joins.iter().for_each(|join| self.join(join, &target, &mut scope));
        for step in &query.steps {
            match step {
                ast::RowClause::Let(name, expr) => self.assignment(name, expr, &target, &mut scope),
                ast::RowClause::Where(condition) => {
                    let condition = self.wanted(condition, &scope, Type::Bool, "WHERE");
                    self.filter(&target, condition.expr);
                }
            }
        }
        (scope, target)
    }

    /// Appends a step; a union has it in each member.
    pub(super) fn push(&mut self, target: &StepTarget, step: &StageStep) {
        match target {
            StepTarget::Stage(stage) => self.plan.stages[*stage].steps.push(step.clone()),
            StepTarget::Members(stage, members) => {
                for member in members {
                    self.plan.stages[*stage].members[*member].steps.push(step.clone());
                }
            }
        }
    }

    pub(super) fn filter(&mut self, target: &StepTarget, condition: Expr) {
        for condition in super::joins::conjuncts(condition) {
            self.push(target, &StageStep::Filter(condition));
        }
    }

    /// A stage for a joined alias.
    pub(super) fn stage(&mut self, alias: &str, parent: usize, span: &Span) -> Option<usize> {
        let number = self.plan.stages.len();
        if number >= MAX_STAGES {
            let wrong = format!("the query has more than {MAX_STAGES} stages");
            self.report(Diagnostic::error(span.clone(), wrong));
            return None;
        }
        self.plan.stages.push(Stage::new(alias, Some(parent), number));
        Some(number)
    }

    pub(super) fn check_free(&mut self, name: &ast::Name, scope: &NameScope) {
        if scope.alias(&name.text).is_some() || scope.assigned(&name.text).is_some() {
            let wrong = Diagnostic::error(name.span.clone(), format!("`{}` is defined twice", name.text));
            self.report(wrong.detail("the second definition").hint("choose another name"));
        }
    }

    fn assignment(
        &mut self,
        name: &ast::Name,
        written: &AstExpr,
        target: &StepTarget,
        scope: &mut NameScope,
    ) {
        self.check_free(name, scope);
        let typed = self.expression(written, scope);
        let column = PlanColumn { alias: String::new(), name: name.text.clone(), ty: typed.ty };
        let typed = self.assign(column, typed.expr, target);
        scope.lets.push((name.text.clone(), typed));
    }

    /// A column for the value of an expression.
    pub(super) fn assign(&mut self, column: PlanColumn, expr: Expr, target: &StepTarget) -> TypedExpr {
        let ty = column.ty;
        let span = self.text.len()..self.text.len();
        let Some(number) = self.column(column, &span) else { return TypedExpr::unknown() };
        self.push(target, &StageStep::Let(number, expr));
        TypedExpr { expr: Expr::Column(number), ty }
    }

    /// Whether a name means a query: of WITH, or of the catalogue.
    pub(super) fn is_query(&self, name: &str) -> bool {
        self.with.iter().any(|(known, _)| known == name)
            || self.naming.iter().any(|known| known == name)
            || self.catalog.query(name).is_some()
    }

    pub(super) fn inline_named(&mut self, name: &str, place: &SourceSite, span: &Span) -> AliasBinding {
        if self.naming.iter().any(|known| known == name) {
            let wrong = Diagnostic::error(span.clone(), format!("query `{name}` uses itself"));
            self.report(wrong.detail("used inside its own definition"));
            return AliasBinding::Unknown;
        }
        if let Some(at) = self.with.iter().rposition(|(known, _)| known == name) {
            // A definition sees only those before it.
            let hidden = self.with.split_off(at);
            let query = hidden[0].1.clone();
            self.naming.push(name.to_owned());
            let binding = self.inline(&query, place, span);
            self.naming.pop();
            self.with.truncate(at);
            self.with.extend(hidden);
            return binding;
        }
        let hidden = std::mem::take(&mut self.with);
        let outer = self.place.clone();
        self.place = outer.clone().or(Some(span.clone()));
        self.naming.push(name.to_owned());
        let mut found = Diagnostics::default();
        let text = self.catalog.query(name).unwrap_or_default();
        let query = crate::syntax::parse(text, self.params, &mut found);
        found.iter().for_each(|wrong| self.report(wrong.clone()));
        let binding = match query {
            Some(query) => self.inline(&query, place, span),
            None => AliasBinding::Unknown,
        };
        self.naming.pop();
        self.place = outer;
        self.with = hidden;
        binding
    }

    /// A query as a source.
    pub(super) fn inline(&mut self, query: &AstQuery, place: &SourceSite, span: &Span) -> AliasBinding {
        if !self.fits(query) {
            return AliasBinding::Unknown;
        }
        let aggregating = super::select_list::aggregating(query);
        if aggregating && place.role != SourceRole::Joined {
            let (wrong, hint) = match place.role {
                SourceRole::Kept => (
                    "an aggregating query cannot be kept by First or MostRecent",
                    "aggregate over First(..) or MostRecent(..) inside the query",
                ),
                _ => ("an aggregating query cannot stand in FROM", "join it: JOIN x IN (..) ON x -> y"),
            };
            self.report(Diagnostic::error(span.clone(), wrong).detail("this query aggregates").hint(hint));
            return AliasBinding::Unknown;
        }
        let known = self.with.len();
        self.depth += 1;
        self.with(query);
        self.check_tail(query);
        let (scope, target) = self.rows(query, place);
        let binding = match aggregating {
            true => self.inline_groups(query, &scope, place),
            false => self.inline_rows(query, &scope, &target, place),
        };
        self.with.truncate(known);
        self.depth -= 1;
        binding
    }
}

pub(super) fn from_alias(query: &AstQuery) -> String {
    query.from.as_ref().map(|from| from.alias.text.clone()).unwrap_or_default()
}
