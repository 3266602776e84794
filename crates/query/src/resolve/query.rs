//! Queries: FROM, joins, LET and WHERE in order, and queries inside queries.
//!
//! A query without aggregates that is a source dissolves: its FROM becomes the stage of the alias, and
//! everything else joins the block around it. An aggregating one keeps a block of its own.

use super::condition::conjuncts;
use super::scope::{Binding, Block, Column, Finish, Resolved, Scope, Step, Typed};
use crate::catalog::Catalog;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::ast::{self, Expr as Written, ExprKind, Query, Span};
use pivot_advice::program::MAX_INSTRUCTIONS;
use pivot_advice::{Aggregate, Expr, Keep, Type};
use std::collections::{HashMap, HashSet};

/// The most joins, LETs, conditions, keys or columns of one query; more fit no advice anyway.
const MAX_CLAUSES: usize = 4 * MAX_INSTRUCTIONS;

/// Resolves the query of one statement.
pub(crate) fn resolve<'a>(
    query: &Query,
    text: &'a str,
    catalog: &'a Catalog,
    diagnostics: &mut Diagnostics,
) -> Resolved {
    let mut resolver = Resolver {
        text,
        catalog,
        out: Resolved::default(),
        diagnostics: std::mem::take(diagnostics),
        with: Vec::new(),
        naming: Vec::new(),
        place: None,
        observed: HashMap::new(),
        aggregates: None,
        depth: 0,
    };
    resolver.whole(query);
    *diagnostics = resolver.diagnostics;
    resolver.out
}

pub(super) struct Resolver<'a> {
    text: &'a str,
    pub(super) catalog: &'a Catalog,
    pub(super) out: Resolved,
    diagnostics: Diagnostics,
    pub(super) with: Vec<(String, Query)>,
    /// The named queries that are being resolved, outermost first.
    naming: Vec<String>,
    /// Where a query of the catalogue is used: its own spans mean nothing in this text.
    place: Option<Span>,
    pub(super) observed: HashMap<(usize, String), u16>,
    /// The aggregates of the SELECT that is being resolved.
    pub(super) aggregates: Option<super::select::Collected>,
    /// How many queries there are around the one that is being resolved.
    depth: usize,
}

/// Where a source stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) alias: String,
    pub(super) parent: Option<usize>,
    pub(super) block: usize,
    pub(super) keep: Keep,
}

/// What a source is to the query around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    From,
    Joined,
    /// Inside First or MostRecent.
    Kept,
}

impl Resolver<'_> {
    pub(super) fn report(&mut self, mut diagnostic: Diagnostic) {
        if let (Some(place), Some(name)) = (&self.place, self.naming.last()) {
            diagnostic.span = place.clone();
            diagnostic.message = format!("in query `{name}`: {}", diagnostic.message);
        }
        self.diagnostics.push(diagnostic);
    }

    /// What was written there, on one line.
    pub(super) fn written(&self, span: &Span) -> String {
        let written = self.text.get(span.clone()).unwrap_or_default();
        written.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Whether the query that is being resolved is a source of another.
    pub(super) fn is_inside(&self) -> bool {
        self.depth > 0
    }

    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.has_errors()
    }

    fn whole(&mut self, query: &Query) {
        if !self.fits(query) {
            return;
        }
        self.with(query);
        self.out.blocks.push(Block { sink: 0, steps: vec![], finish: Finish::Rows { values: vec![] } });
        let place = Place { alias: from_alias(query), parent: None, block: 0, keep: Keep::All };
        let (scope, _) = self.rows(query, &place, Role::From);
        let finish = match aggregating(query) {
            true => self.groups(query, &scope),
            false => Finish::Rows { values: self.values(query, &scope) },
        };
        self.out.blocks[0].finish = finish;
    }

    /// Makes the queries of WITH known; each sees those before it.
    fn with(&mut self, query: &Query) {
        for with in &query.with {
            if self.with.iter().any(|(name, _)| *name == with.name.text) {
                let wrong = format!("query `{}` is defined twice", with.name.text);
                self.report(Diagnostic::error(with.name.span.clone(), wrong));
            }
            self.with.push((with.name.text.clone(), with.query.clone()));
        }
    }

    /// Whether a query is of a size that can be resolved.
    fn fits(&mut self, query: &Query) -> bool {
        let keys = query.group.as_ref().map_or(0, Vec::len);
        let longest = query.joins.len().max(query.steps.len()).max(keys).max(query.select.len());
        if longest > MAX_CLAUSES {
            let wrong = format!("the query has {longest} clauses or columns of one kind");
            let wrong = Diagnostic::error(query.span.clone(), wrong);
            self.report(wrong.detail(format!("at most {MAX_CLAUSES} are allowed")));
        }
        longest <= MAX_CLAUSES
    }

    /// FROM, joins, LET and WHERE; gives the names that may be used after them, and the stage of FROM.
    fn rows(&mut self, query: &Query, place: &Place, role: Role) -> (Scope, Option<usize>) {
        let mut scope = Scope { broken: query.broken, ..Scope::default() };
        let from = match &query.from {
            Some(from) => {
                let binding = self.sources(&from.sources, place, Role::From);
                scope.aliases.push((from.alias.text.clone(), binding.clone()));
                binding
            }
            None => Binding::Unknown,
        };
        if self.out.stages.is_empty() {
            // Something to join to, so that the joins are resolved for their own mistakes.
            self.unknown_stage(place);
        }
        if role == Role::Kept && !query.joins.is_empty() {
            let wrong =
                Diagnostic::error(query.span.clone(), "a temporal source over a join is not supported yet");
            self.report(wrong.hint("join inside, and keep with First or MostRecent there"));
            scope.broken = true;
        } else {
            query.joins.iter().for_each(|join| self.join(join, place, &mut scope));
        }
        let stage = stage_of(&from);
        for step in &query.steps {
            match step {
                ast::Step::Let(name, expr) => self.assignment(name, expr, place, &mut scope),
                ast::Step::Where(condition) => self.condition(condition, place, stage, &scope),
            }
        }
        (scope, stage)
    }

    fn join(&mut self, join: &ast::Join, place: &Place, scope: &mut Scope) {
        self.check_free(&join.alias, scope);
        if join.before.text != join.alias.text {
            let wrong =
                Diagnostic::error(join.before.span.clone(), "the joined alias stands before the arrow");
            let turned = join.after.text == join.alias.text;
            let other = if turned { &join.before.text } else { &join.after.text };
            self.report(wrong.hint(format!("write `ON {} -> {other}`", join.alias.text)));
        }
        let after = match scope.alias(&join.after.text) {
            Some(binding) => binding.clone(),
            None => {
                if !scope.broken && join.after.text != join.alias.text {
                    let known = scope.aliases.iter().map(|(alias, _)| alias.as_str());
                    let found = crate::suggest::nearest(&join.after.text, known);
                    let wrong = format!("unknown alias `{}`", join.after.text);
                    let wrong = Diagnostic::error(join.after.span.clone(), wrong);
                    self.report(wrong.detail("an alias introduced before this join").suggest(found));
                } else if join.after.text == join.alias.text && join.before.text == join.alias.text {
                    let wrong =
                        Diagnostic::error(join.after.span.clone(), "an event never happens before itself");
                    self.report(wrong.detail("this is the joined alias"));
                }
                Binding::Unknown
            }
        };
        let parent = match (&after, stage_of(&after)) {
            (_, Some(stage)) => stage,
            (Binding::Columns { .. }, None) => {
                let wrong = format!("nothing can happen before `{}`", join.after.text);
                let wrong = Diagnostic::error(join.after.span.clone(), wrong).detail("an aggregating query");
                self.report(wrong.hint("an aggregate is no event: join to the events inside the query"));
                0
            }
            // The join is resolved for its own mistakes; the query does not compile anyway.
            _ => 0,
        };
        let inner = Place {
            alias: join.alias.text.clone(),
            parent: Some(parent),
            block: place.block,
            keep: Keep::All,
        };
        let binding = self.source(&join.source, &inner, Role::Joined);
        scope.aliases.push((join.alias.text.clone(), binding));
        if let Some(condition) = &join.condition {
            self.condition(condition, place, None, scope);
        }
    }

    fn check_free(&mut self, name: &ast::Name, scope: &Scope) {
        if scope.alias(&name.text).is_some() || scope.assigned(&name.text).is_some() {
            let wrong = Diagnostic::error(name.span.clone(), format!("`{}` is defined twice", name.text));
            self.report(wrong.detail("the second definition").hint("choose another name"));
        }
    }

    fn assignment(&mut self, name: &ast::Name, written: &Written, place: &Place, scope: &mut Scope) {
        self.check_free(name, scope);
        let typed = self.expression(written, scope);
        // Under a temporal source everything must come from the tuple's own fields.
        let typed = match place.keep {
            Keep::All => {
                let column = Column { alias: String::new(), name: name.text.clone(), ty: typed.ty };
                self.assign(column, typed.expr, place.block)
            }
            _ => typed,
        };
        scope.lets.push((name.text.clone(), typed));
    }

    /// A column for the value of an expression.
    pub(super) fn assign(&mut self, column: Column, expr: Expr, block: usize) -> Typed {
        let ty = column.ty;
        let span = self.out.stages.len()..self.out.stages.len();
        let Some(number) = self.column(column, &span) else { return Typed::unknown() };
        self.out.blocks[block].steps.push(Step::Let(number, expr));
        Typed { expr: Expr::Column(number), ty }
    }

    fn condition(&mut self, written: &Written, place: &Place, stage: Option<usize>, scope: &Scope) {
        let condition = self.wanted(written, scope, Type::Bool, "WHERE");
        let conditions = conjuncts(condition.expr);
        match (place.keep, stage) {
            (Keep::All, _) => {
                self.out.blocks[place.block].steps.extend(conditions.into_iter().map(Step::Filter))
            }
            (_, Some(stage)) => self.out.stages[stage].choice.extend(conditions),
            _ => {}
        }
    }

    /// Whether a name means a query: of WITH, or of the catalogue.
    pub(super) fn is_query(&self, name: &str) -> bool {
        self.with.iter().any(|(known, _)| known == name)
            || self.naming.iter().any(|known| known == name)
            || self.catalog.query(name).is_some()
    }

    pub(super) fn inline_named(&mut self, name: &str, place: &Place, role: Role, span: &Span) -> Binding {
        if self.naming.iter().any(|known| known == name) {
            let wrong = Diagnostic::error(span.clone(), format!("query `{name}` uses itself"));
            self.report(wrong.detail("used inside its own definition"));
            return Binding::Unknown;
        }
        if let Some(at) = self.with.iter().rposition(|(known, _)| known == name) {
            // A definition sees only those before it.
            let hidden = self.with.split_off(at);
            let query = hidden[0].1.clone();
            self.naming.push(name.to_owned());
            let binding = self.inline(&query, place, role, span);
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
        let query = crate::syntax::parse(self.catalog.query(name).unwrap_or_default(), &mut found);
        found.iter().for_each(|wrong| self.report(wrong.clone()));
        let binding = match query {
            Some(query) => self.inline(&query, place, role, span),
            None => Binding::Unknown,
        };
        self.naming.pop();
        self.place = outer;
        self.with = hidden;
        binding
    }

    /// A query as a source.
    pub(super) fn inline(&mut self, query: &Query, place: &Place, role: Role, span: &Span) -> Binding {
        if !self.fits(query) {
            return Binding::Unknown;
        }
        if aggregating(query) && role != Role::Joined {
            let (wrong, hint) = match role {
                Role::Kept => (
                    "an aggregating query cannot be kept by First or MostRecent",
                    "aggregate over First(..) or MostRecent(..) inside the query",
                ),
                _ => ("an aggregating query cannot stand in FROM", "join it: JOIN x IN (..) ON x -> y"),
            };
            self.report(Diagnostic::error(span.clone(), wrong).detail("this query aggregates").hint(hint));
            return Binding::Unknown;
        }
        let known = self.with.len();
        self.depth += 1;
        self.with(query);
        let binding = match aggregating(query) {
            true => self.inline_groups(query, place),
            false => {
                let (scope, stage) = self.rows(query, place, role);
                let values = self.values(query, &scope).into_iter();
                let columns = values.map(|(name, expr, ty)| (name, Typed { expr, ty })).collect();
                let binding = Binding::Columns { columns, stage };
                // What is computed from a kept tuple is computed after the choice.
                if place.keep == Keep::All { self.as_columns(binding, place) } else { binding }
            }
        };
        self.with.truncate(known);
        self.depth -= 1;
        match binding {
            Binding::Columns { stage: None, .. } if !aggregating(query) => Binding::Unknown,
            other => other,
        }
    }

    fn inline_groups(&mut self, query: &Query, place: &Place) -> Binding {
        let block = self.out.blocks.len();
        let sink = self.out.stages.len();
        self.out.blocks.push(Block { sink, steps: vec![], finish: Finish::Rows { values: vec![] } });
        let (scope, stage) = self.rows(query, &Place { block, ..place.clone() }, Role::From);
        let mut finish = self.groups(query, &scope);
        let columns = self.unpacked(&mut finish, &place.alias, &query.span);
        self.out.blocks[block].finish = finish;
        if stage.is_none() {
            return Binding::Unknown;
        }
        self.as_columns(Binding::Columns { columns, stage: None }, place)
    }
}

/// The stage whose event a binding is.
fn stage_of(binding: &Binding) -> Option<usize> {
    match binding {
        Binding::Fields(stage) => Some(*stage),
        Binding::Columns { stage, .. } => *stage,
        Binding::Unknown => None,
    }
}

fn from_alias(query: &Query) -> String {
    query.from.as_ref().map(|from| from.alias.text.clone()).unwrap_or_default()
}

/// Whether a query has GROUP BY or an aggregate.
fn aggregating(query: &Query) -> bool {
    query.group.is_some() || query.select.iter().any(|item| has_aggregate(&item.expr))
}

pub(super) fn has_aggregate(expr: &Written) -> bool {
    match &expr.kind {
        ExprKind::CountRows => true,
        ExprKind::Call(name, _) if Aggregate::by_name(&name.text).is_some() => true,
        _ => expr.children().into_iter().any(has_aggregate),
    }
}

/// Names that occur twice, for results whose columns must differ.
pub(super) fn unique(name: String, taken: &mut HashSet<String>) -> String {
    let mut candidate = name.clone();
    let mut number = 2;
    while !taken.insert(candidate.clone()) {
        candidate = format!("{name}_{number}");
        number += 1;
    }
    candidate
}
