//! Queries: FROM, joins, LET and WHERE in order, and queries inside queries.
//!
//! A query without aggregates that is a source dissolves: its FROM becomes the stage of the alias, and
//! its steps those of the members of that stage. An aggregating one keeps a stage of its own.
//!
//! ```text
//! JOIN a IN (FROM x IN X WHERE x.n > 1 SELECT x.k) ON ..     stage a: in X, filter n > 1, pack (k)
//! JOIN b IN (FROM x IN X GROUP BY x.k SELECT COUNT) ON ..    stage b: in X, pack groups (k)
//! ```

use super::name_scope::{AliasBinding, NameScope, SourceContext, SourceRole, StepDestination};
use super::resolved_query::{ResolvedQuery, ResolvedResult, ResultClauses};
use super::resolver::{NamedQuery, Resolver};
use super::work_budget::ResolverWork;
use crate::catalog::Catalog;
use crate::compile_options::CompileOptions;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::{PlanColumn, Stage};
use crate::syntax::ast::{AstExpr, AstQuery, NameAt, RowClause, TextSpan};
use pivot_advice::Type;
use pivot_advice::advice::MAX_INSTRUCTIONS;
use std::rc::Rc;

/// The most joins, LETs, conditions, keys or columns of one query; more fit no advice anyway.
const MAX_CLAUSES: usize = 4 * MAX_INSTRUCTIONS;

/// Resolves the query of one statement. What is wrong is in the diagnostics; the result is meaningful only
/// if they hold no error.
pub(crate) fn resolve(
    query: &AstQuery,
    text: &str,
    catalog: &Catalog,
    options: &CompileOptions,
    diagnostics: &mut Diagnostics,
) -> ResolvedQuery {
    let mut resolver = Resolver::new(text, catalog, options.params_by_name(), options.now_ns());
    resolver.diagnostics = std::mem::take(diagnostics);

    let (result, shape) = resolver.statement(query);
    *diagnostics = resolver.diagnostics;
    ResolvedQuery { plan: resolver.plan, result, shape, pending: resolver.pending }
}

/// The result of the row clauses of a query.
struct ResolvedRowClauses {
    /// The names that may be used after them.
    scope: NameScope,
    /// The list that further steps go to.
    target: StepDestination,
}

impl Resolver<'_> {
    fn statement(&mut self, query: &AstQuery) -> (ResolvedResult, ResultClauses) {
        if !self.fits(query) {
            return (ResolvedResult::Rows { values: vec![], shown: 0 }, ResultClauses::default());
        }

        self.define(query);
        let alias = query.alias().to_owned();
        self.plan.stages.push(Stage::new(&alias, None, 0));
        let site = SourceContext { alias, stage: 0, role: SourceRole::From };

        let rows = self.rows(query, &site);
        self.finish(query, &rows.scope)
    }

    /// Makes the queries of WITH known; each sees those before it.
    fn define(&mut self, query: &AstQuery) {
        for with in &query.with {
            if self.with.iter().any(|known| known.name == with.name.text) {
                let wrong = format!("query `{}` is defined twice", with.name.text);
                self.report(Diagnostic::error(with.name.span, wrong));
            }
            self.with.push(NamedQuery { name: with.name.text.clone(), query: Rc::clone(&with.query) });
        }
    }

    /// Returns whether a query is of a size that can be resolved.
    fn fits(&mut self, query: &AstQuery) -> bool {
        let keys = query.group.as_ref().map_or(0, Vec::len);
        let longest = query.joins.len().max(query.steps.len()).max(keys).max(query.select.len());
        if longest > MAX_CLAUSES {
            let wrong = format!("the query has {longest} clauses or columns of one kind");
            let wrong = Diagnostic::error(query.span, wrong);
            self.report(wrong.detail(format!("at most {MAX_CLAUSES} are allowed")));
        }
        longest <= MAX_CLAUSES
    }

    /// Resolves FROM, joins, LET and WHERE.
    fn rows(&mut self, query: &AstQuery, site: &SourceContext) -> ResolvedRowClauses {
        let mut scope = NameScope { broken: query.broken, ..NameScope::default() };
        let mut target = StepDestination::Stage(site.stage);

        if let Some(from) = &query.from {
            let role = if site.role == SourceRole::Kept { SourceRole::Kept } else { SourceRole::From };
            let binding = self.sources(&from.sources, &SourceContext { role, ..site.clone() });
            // A query that dissolves shares the stage with others of a union: its steps are its members'.
            if self.is_inside() && !query.is_aggregating {
                target = StepDestination::Members(site.stage, binding.members());
            }
            scope.add(&from.alias.text, binding);
        }

        for join in &query.joins {
            self.join(join, &target, &mut scope);
        }
        for step in &query.steps {
            match step {
                RowClause::Let(name, expr) => self.assignment(name, expr, &target, &mut scope),
                RowClause::Where(condition) => {
                    let condition = self.expression_of(condition, &scope, Type::Bool, "WHERE");
                    self.filter(&target, condition.expr);
                }
            }
        }
        ResolvedRowClauses { scope, target }
    }

    /// Reports a name that an alias or a LET has already.
    pub(super) fn check_free(&mut self, name: &NameAt, scope: &NameScope) {
        if scope.alias(&name.text).is_some() || scope.assigned(&name.text).is_some() {
            let wrong = Diagnostic::error(name.span, format!("`{}` is defined twice", name.text));
            self.report(wrong.detail("the second definition").hint("choose another name"));
        }
    }

    fn assignment(
        &mut self,
        name: &NameAt,
        written: &AstExpr,
        target: &StepDestination,
        scope: &mut NameScope,
    ) {
        self.check_free(name, scope);
        let typed = self.expression(written, scope);
        let column = PlanColumn { alias: String::new(), name: name.text.clone(), ty: typed.ty };
        let typed = self.assign(column, typed.expr, target);
        scope.lets.push((name.text.clone(), typed));
    }

    /// Returns whether a name means a query: of WITH, or of the catalogue.
    pub(super) fn is_query(&self, name: &str) -> bool {
        self.with.iter().any(|known| known.name == name)
            || self.naming.iter().any(|known| known == name)
            || self.catalog.query(name).is_some()
    }

    /// Writes out the query of a name as a source. A query of WITH hides one of the catalogue.
    pub(super) fn inline_named(&mut self, name: &str, site: &SourceContext, span: TextSpan) -> AliasBinding {
        if self.naming.iter().any(|known| known == name) {
            let wrong = Diagnostic::error(span, format!("query `{name}` uses itself"));
            self.report(wrong.detail("used inside its own definition"));
            return AliasBinding::Unknown;
        }

        // While the name is on the list, whoever uses it uses itself.
        self.naming.push(name.to_owned());
        let binding = match self.with.iter().rposition(|known| known.name == name) {
            Some(at) => self.inline_definition(at, site, span),
            None => self.inline_from_catalog(name, site, span),
        };
        self.naming.pop();
        binding
    }

    fn inline_definition(&mut self, at: usize, site: &SourceContext, span: TextSpan) -> AliasBinding {
        // A definition sees only those before it.
        let hidden = self.with.split_off(at);
        let query = Rc::clone(&hidden[0].query);
        let binding = self.inline(&query, site, span);

        self.with.truncate(at);
        self.with.extend(hidden);
        binding
    }

    fn inline_from_catalog(&mut self, name: &str, site: &SourceContext, span: TextSpan) -> AliasBinding {
        // The definitions of this statement mean nothing in another, nor do its spans here.
        let hidden = std::mem::take(&mut self.with);
        let outer = self.used_at;
        self.used_at = Some(outer.unwrap_or(span));

        let binding = match self.parsed_query(name) {
            Some(query) => self.inline(&query, site, span),
            None => AliasBinding::Unknown,
        };
        self.used_at = outer;
        self.with = hidden;
        binding
    }

    /// Parses a query of the catalogue, once however often it is used.
    fn parsed_query(&mut self, name: &str) -> Option<Rc<AstQuery>> {
        if let Some(parsed) = self.parsed.get(name) {
            return parsed.clone();
        }

        // Its mistakes are reported where it is first used.
        let mut found = Diagnostics::default();
        let text = self.catalog.query(name).unwrap_or_default();
        let query = crate::syntax::parse(text, self.params, &mut found).map(Rc::new);
        for wrong in &found {
            self.report(wrong.clone());
        }
        self.parsed.insert(name.to_owned(), query.clone());
        query
    }

    /// Writes out a query as a source.
    pub(super) fn inline(&mut self, query: &AstQuery, site: &SourceContext, span: TextSpan) -> AliasBinding {
        if !self.spend(ResolverWork::Query, 1, span) || !self.fits(query) {
            return AliasBinding::Unknown;
        }
        let aggregating = query.is_aggregating;
        let united = match site.role {
            // Beside other sources it packs apart from them: its tuples are regrouped where they are unpacked.
            SourceRole::United if aggregating => self.stage_beside(site, span),
            _ => None,
        };
        let site = united.as_ref().unwrap_or(site);
        if aggregating && site.role != SourceRole::Joined {
            self.misplaced_aggregation(site.role, span);
            return AliasBinding::Unknown;
        }

        // Findings that concern the whole are shown at the outermost source.
        let known = self.with.len();
        let outermost = self.inlined_at.is_none();
        if outermost {
            self.inlined_at = Some(span);
        }
        self.depth += 1;
        self.define(query);
        self.refuse_result_clauses(query);

        let rows = self.rows(query, site);
        let binding = match aggregating {
            true => self.inline_groups(query, &rows.scope, site),
            false => self.inline_rows(query, &rows.scope, &rows.target, site),
        };

        self.depth -= 1;
        if outermost {
            self.inlined_at = None;
        }
        self.with.truncate(known);
        binding
    }

    /// Returns the site of an aggregating query in a union: a stage of its own, for the same parent. Returns `None`, which was
    /// reported, if there are too many stages.
    fn stage_beside(&mut self, site: &SourceContext, span: TextSpan) -> Option<SourceContext> {
        let parent = self.plan.stages[site.stage].parent?;
        let stage = self.stage(&site.alias, parent, span)?;
        Some(SourceContext { stage, role: SourceRole::Joined, alias: site.alias.clone() })
    }

    /// Groups are no events: they cannot be rows of a FROM, nor be first or last.
    fn misplaced_aggregation(&mut self, role: SourceRole, span: TextSpan) {
        let (wrong, hint) = match role {
            SourceRole::Kept => (
                "an aggregating query cannot be kept by First or MostRecent",
                "aggregate over First(..) or MostRecent(..) inside the query",
            ),
            _ => ("an aggregating query cannot stand in FROM", "join it: JOIN x IN (..) ON x -> y"),
        };

        self.report(Diagnostic::error(span, wrong).detail("this query aggregates").hint(hint));
    }
}
