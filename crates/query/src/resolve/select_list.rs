//! GROUP BY and SELECT: rows as they are, or groups with their aggregates.

use super::aggregates::is_aggregate;
use super::name_scope::{
    AliasBinding, BoundMember, CollectedAggregates, NameScope, Placeholder, ResolvedGroups, ResolvedResult,
    SECONDS, SourceRole, SourceSite, StepTarget, TypedExpr, VisibleColumns,
};
use super::resolver::Resolver;
use super::run_settings::ResultShape;
use crate::diagnostic::Diagnostic;
use crate::plan::{FoldResult, PlanColumn, StageEnd, StageFold, StageFoldInput, StageStep, SubqueryGroups};
use crate::syntax::ast::{AstExpr, AstExprKind, AstQuery, SelectItem, Span};
use pivot_advice::text::write_expr;
use pivot_advice::{Expr, Type, Value};
use std::collections::{HashMap, HashSet};

/// A column of a SELECT.
type Selected = (String, Expr, Type);

impl Resolver<'_> {
    /// What the whole query gives, and in which shape.
    pub(super) fn finish(&mut self, query: &AstQuery, scope: &NameScope) -> (ResolvedResult, ResultShape) {
        let mut shape = self.shape(query);
        if aggregating(query) {
            let grouped = self.groups(query, scope);
            shape.distinct = query.distinct.is_some();
            return (ResolvedResult::Groups(grouped), shape);
        }
        if let Some(having) = &query.result.having {
            let wrong = Diagnostic::error(having.span.clone(), "HAVING is misplaced");
            self.report(wrong.detail("this query does not aggregate").hint("use WHERE"));
        }
        let values = self.values(query, scope);
        let (order, hidden) = self.order_of_rows(query, scope, &values);
        shape.order = order;
        let shown = values.len();
        let all = values.into_iter().chain(hidden);
        let target = StepTarget::Stage(0);
        let values: Vec<(String, u16, Type)> = all.map(|value| self.as_column(value, "", &target)).collect();
        if query.distinct.is_none() {
            return (ResolvedResult::Rows { values, shown }, shape);
        }
        let place = |i: usize| Expr::Column(narrow(i));
        let keys = values.iter().map(|(name, column, ty)| (name.clone(), Expr::Column(*column), *ty));
        let columns =
            values.iter().take(shown).enumerate().map(|(i, (name, _, ty))| (name.clone(), place(i), *ty));
        let order = std::mem::take(&mut shape.order);
        let grouped = ResolvedGroups {
            keys: keys.collect(),
            columns: columns.collect(),
            order,
            ..ResolvedGroups::default()
        };
        (ResolvedResult::Groups(grouped), shape)
    }

    /// The values of a SELECT without aggregates.
    fn values(&mut self, query: &AstQuery, scope: &NameScope) -> Vec<Selected> {
        let mut taken = HashSet::new();
        let mut values = Vec::new();
        for item in &query.select {
            let typed = self.expression(&item.expr, scope);
            values.push((self.item_name(item, &typed.expr, &mut taken), typed.expr, typed.ty));
        }
        values
    }

    /// A value as a column, computed where steps go unless it is one.
    fn as_column(
        &mut self,
        (name, expr, ty): Selected,
        alias: &str,
        target: &StepTarget,
    ) -> (String, u16, Type) {
        if let Expr::Column(column) = expr {
            return (name, column, ty);
        }
        let column = PlanColumn { alias: alias.to_owned(), name: name.clone(), ty };
        match self.assign(column, expr, target).expr {
            Expr::Column(column) => (name, column, ty),
            // Too many columns, which was reported.
            _ => (name, 0, ty),
        }
    }

    /// The binding of a query without aggregates that is a source.
    pub(super) fn inline_rows(
        &mut self,
        query: &AstQuery,
        scope: &NameScope,
        target: &StepTarget,
        place: &SourceSite,
    ) -> AliasBinding {
        let values = self.values(query, scope);
        if query.result.having.is_some() {
            let span = query.result.having.as_ref().map_or(query.span.clone(), |having| having.span.clone());
            let wrong = Diagnostic::error(span, "HAVING is misplaced");
            self.report(wrong.detail("this query does not aggregate").hint("use WHERE"));
        }
        let from = scope.aliases.first().map(|alias| alias.binding.clone());
        let Some(AliasBinding::Tuples { stage, parts }) = from else { return AliasBinding::Unknown };
        let mut columns = Vec::new();
        for value in values {
            let (name, column, _) = self.as_column(value, &place.alias, target);
            columns.push((name, column));
        }
        let all: Vec<u16> = columns.iter().map(|(_, column)| *column).collect();
        if query.distinct.is_some() {
            self.push(target, &StageStep::Distinct(all.clone()));
        }
        // Rows of one event that a choice counts need an order.
        if place.role == SourceRole::Kept && !query.joins.is_empty() {
            self.push(target, &StageStep::Order(all));
        }
        let see =
            |part: BoundMember| BoundMember { columns: VisibleColumns::Columns(columns.clone()), ..part };
        AliasBinding::Tuples { stage, parts: parts.into_iter().map(see).collect() }
    }

    /// The binding of an aggregating query that is a source. Its columns are expressions over those
    /// that its consumer unpacks.
    pub(super) fn inline_groups(
        &mut self,
        query: &AstQuery,
        scope: &NameScope,
        place: &SourceSite,
    ) -> AliasBinding {
        let grouped = self.groups(query, scope);
        let target = StepTarget::Stage(place.stage);
        let keys: Vec<u16> =
            grouped.keys.iter().map(|key| self.as_column(key.clone(), &place.alias, &target).1).collect();
        let folds = grouped.folds.iter().map(|(aggregate, argument)| {
            // The arguments of sketches travel as columns.
            let argument = match aggregate.is_sketch() {
                true => {
                    let value = (self.text(argument), argument.clone(), Type::Any);
                    Expr::Column(self.as_column(value, "", &target).1)
                }
                false => argument.clone(),
            };
            StageFold { number: 0, aggregate: *aggregate, input: StageFoldInput::Expr(argument) }
        });
        let folds: Vec<StageFold> = folds.collect();
        let finished: Vec<FoldResult> = grouped
            .finished
            .iter()
            .map(|wanted| FoldResult { fold: wanted.fold, finish: wanted.finish })
            .collect();
        let unpacked = self.unpacked(&grouped, &place.alias, &query.span);
        let over = |expr: &Expr| {
            let place = |index: u16| unpacked.get(usize::from(index)).copied().unwrap_or(index);
            crate::plan::renamed(expr, &mut |index| Expr::Column(place(index)))
        };
        let columns = grouped.columns.iter();
        let columns =
            columns.map(|(name, expr, ty)| (name.clone(), TypedExpr { expr: over(expr), ty: *ty })).collect();
        let having = grouped.having.as_ref().map(over);
        self.plan.stages[place.stage].end =
            StageEnd::Groups(SubqueryGroups { keys, folds, finished, unpacked });
        AliasBinding::Groups { columns, having, distinct: query.distinct.is_some() }
    }

    /// The columns that an aggregating query's group has in its consumer.
    fn unpacked(&mut self, grouped: &ResolvedGroups, alias: &str, span: &Span) -> Vec<u16> {
        let keys = grouped.keys.iter().map(|(name, expr, ty)| (self.own_name(name, expr, alias), *ty));
        let rows = [("COUNT".to_owned(), Type::U64)];
        let finished = grouped.finished.iter().map(|wanted| (wanted.name.clone(), wanted.ty));
        let mut all: Vec<(String, Type)> = keys.chain(rows).chain(finished).collect();
        for (name, expr, _) in &grouped.columns {
            if let Expr::Column(index) = expr
                && let Some(column) = all.get_mut(usize::from(*index))
            {
                column.0.clone_from(name);
            }
        }
        let column = |(name, ty)| self.column(PlanColumn { alias: alias.to_owned(), name, ty }, span);
        all.into_iter().filter_map(column).collect()
    }

    /// The name of a key below an alias: a column of that alias goes by its own name.
    fn own_name(&self, name: &str, expr: &Expr, alias: &str) -> String {
        let column = match expr {
            Expr::Column(column) => self.plan.columns.get(usize::from(*column)),
            _ => None,
        };
        column.filter(|column| column.alias == alias).map_or(name, |column| column.name.as_str()).to_owned()
    }

    /// The groups of an aggregating query.
    fn groups(&mut self, query: &AstQuery, scope: &NameScope) -> ResolvedGroups {
        let mut keys: Vec<(Expr, Type)> = Vec::new();
        for written in query.group.iter().flatten() {
            let typed = self.expression(written, scope);
            if !keys.iter().any(|(key, _)| *key == typed.expr) {
                keys.push((typed.expr, typed.ty));
            }
        }
        let mut taken = HashSet::new();
        let mut grouped = ResolvedGroups::default();
        let mut names: HashMap<usize, String> = HashMap::new();
        let mut selected: Vec<(String, TypedExpr)> = Vec::new();
        let outer = self.aggregates.replace(CollectedAggregates::default());
        for item in &query.select {
            let typed = self.expression(&item.expr, scope);
            let name = self.item_name(item, &typed.expr, &mut taken);
            if let Some(key) = keys.iter().position(|(key, _)| *key == typed.expr) {
                names.entry(key).or_insert_with(|| name.clone());
            }
            if let Some(expr) = self.over_groups(&typed.expr, &keys, query, &item.expr.span) {
                grouped.columns.push((name.clone(), expr, typed.ty));
            }
            selected.push((name, typed));
        }
        self.groups_tail(query, scope, &keys, &selected, &mut grouped);
        let collected = std::mem::replace(&mut self.aggregates, outer).unwrap_or_default();
        let mut taken = HashSet::new();
        let keys = keys.into_iter().enumerate().map(|(i, (expr, ty))| {
            let name = names.remove(&i).unwrap_or_else(|| self.text(&expr));
            (unique(name, &mut taken), expr, ty)
        });
        ResolvedGroups {
            keys: keys.collect(),
            folds: collected.folds,
            finished: collected.finished,
            ..grouped
        }
    }

    /// HAVING and ORDER BY, which may use what SELECT has named.
    fn groups_tail(
        &mut self,
        query: &AstQuery,
        scope: &NameScope,
        keys: &[(Expr, Type)],
        selected: &[(String, TypedExpr)],
        grouped: &mut ResolvedGroups,
    ) {
        let named = with_names(scope, query, selected);
        if let Some(having) = &query.result.having {
            let typed = self.wanted(&having.body, &named, Type::Bool, "HAVING");
            grouped.having = self.over_groups(&typed.expr, keys, query, &having.body.span);
        }
        for order in query.result.order.iter().flat_map(|order| &order.body) {
            let typed = match ordinal(&order.expr, selected) {
                Some((_, typed)) => typed.clone(),
                None => self.expression(&order.expr, &named),
            };
            let expr = self.over_groups(&typed.expr, keys, query, &order.expr.span);
            grouped.order.extend(expr.map(|expr| (expr, order.descending)));
        }
    }

    /// ORDER BY over rows: places of the values, and those that are not selected.
    fn order_of_rows(
        &mut self,
        query: &AstQuery,
        scope: &NameScope,
        values: &[Selected],
    ) -> (Vec<(Expr, bool)>, Vec<Selected>) {
        let typed =
            values.iter().map(|(name, expr, ty)| (name.clone(), TypedExpr { expr: expr.clone(), ty: *ty }));
        let selected: Vec<(String, TypedExpr)> = typed.collect();
        let named = with_names(scope, query, &selected);
        let mut hidden: Vec<Selected> = Vec::new();
        let mut order = Vec::new();
        for written in query.result.order.iter().flat_map(|order| &order.body) {
            let typed = match ordinal(&written.expr, &selected) {
                Some((_, typed)) => typed.clone(),
                None => self.expression(&written.expr, &named),
            };
            let all = values.iter().chain(&hidden).position(|(_, expr, _)| *expr == typed.expr);
            let place = all.unwrap_or_else(|| {
                hidden.push((self.text(&typed.expr), typed.expr.clone(), typed.ty));
                values.len() + hidden.len() - 1
            });
            if query.distinct.is_some() && place >= values.len() {
                let wrong = Diagnostic::error(written.expr.span.clone(), "ORDER BY of what is not selected");
                self.report(wrong.detail("rows that differ in it only are one").hint("add it to SELECT"));
            }
            order.push((Expr::Column(narrow(place)), written.descending));
        }
        (order, hidden)
    }

    /// An expression over the columns of a group: keys, n, finished aggregates, seconds.
    fn over_groups(
        &mut self,
        expr: &Expr,
        keys: &[(Expr, Type)],
        query: &AstQuery,
        span: &Span,
    ) -> Option<Expr> {
        let placeholders =
            self.aggregates.as_ref().map(|found| found.placeholders.clone()).unwrap_or_default();
        match over_groups(expr, keys, &placeholders) {
            Ok(expr) => Some(expr),
            Err(column) => {
                self.ungrouped(column, span, query.group.is_some());
                None
            }
        }
    }

    fn ungrouped(&mut self, column: u16, span: &Span, grouped: bool) {
        // A column alone is named as it was written: inside a query it has the alias of the query.
        let written = self.written(span);
        let path = written.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
        let name = if path && !written.is_empty() { written } else { self.text(&Expr::Column(column)) };
        let wrong = Diagnostic::error(span.clone(), format!("`{name}` is neither grouped nor aggregated"));
        let hint = match grouped {
            true => format!("add `{name}` to GROUP BY, or aggregate it"),
            false => format!("add GROUP BY {name}, or aggregate it"),
        };
        self.report(wrong.hint(hint));
    }

    /// The name of a column of the result: given, or as the expression reads.
    fn item_name(&mut self, item: &SelectItem, expr: &Expr, taken: &mut HashSet<String>) -> String {
        let Some(name) = &item.name else {
            let name = match &item.expr.kind {
                // Inside another query a column goes by its last name; the whole result shows what was written.
                AstExprKind::Path(path) if self.is_inside() => path.last().cloned().unwrap_or_default(),
                _ if !self.is_inside() => self.written(&item.expr.span),
                _ if has_aggregate(&item.expr) => self.text(expr),
                _ => "value".into(),
            };
            return unique(name, taken);
        };
        if !taken.insert(name.text.clone()) {
            let wrong =
                Diagnostic::error(name.span.clone(), format!("column `{}` is defined twice", name.text));
            self.report(wrong.hint("choose another name"));
        }
        name.text.clone()
    }

    /// An expression as it is shown.
    pub(super) fn text(&self, expr: &Expr) -> String {
        if let Expr::Literal(Value::Str(text)) = expr {
            return text.to_string();
        }
        let mut out = String::new();
        let name =
            |index: u16| self.plan.columns.get(usize::from(index)).map(PlanColumn::shown).unwrap_or_default();
        // Writing to a String does not fail.
        let _ = write_expr(&mut out, expr, &name, 0);
        out
    }
}

/// The count of rows comes right behind the keys, then the finished aggregates.
fn over_groups(
    expr: &Expr,
    keys: &[(Expr, Type)],
    placeholders: &HashMap<u16, Placeholder>,
) -> Result<Expr, u16> {
    if let Some(key) = keys.iter().position(|(key, _)| key == expr) {
        return Ok(Expr::Column(narrow(key)));
    }
    if let Expr::Column(index) = expr {
        let behind = match placeholders.get(index) {
            Some(Placeholder::Rows) => 0,
            Some(Placeholder::Finished(place)) => 1 + place,
            Some(Placeholder::Seconds) => return Ok(Expr::Column(SECONDS)),
            None => return Err(*index),
        };
        return Ok(Expr::Column(narrow(keys.len() + behind)));
    }
    crate::plan::rebuilt(expr, &mut |child| over_groups(child, keys, placeholders))
}

/// The scope with the names of SELECT, which win over nothing that has its name already.
fn with_names(scope: &NameScope, query: &AstQuery, selected: &[(String, TypedExpr)]) -> NameScope {
    let mut named = scope.clone();
    let given = query.select.iter().zip(selected).filter(|(item, _)| item.name.is_some());
    let free: Vec<_> = given
        .filter(|(_, (name, _))| scope.assigned(name).is_none() && scope.alias(name).is_none())
        .map(|(_, selected)| selected.clone())
        .collect();
    named.lets.extend(free);
    named
}

/// `ORDER BY 2` means the second column.
fn ordinal<'s>(expr: &AstExpr, selected: &'s [(String, TypedExpr)]) -> Option<&'s (String, TypedExpr)> {
    let AstExprKind::Literal(value) = &expr.kind else { return None };
    let place = usize::try_from(value.as_integer()?).ok()?.checked_sub(1)?;
    selected.get(place)
}

/// Whether a query has GROUP BY or an aggregate.
pub(super) fn aggregating(query: &AstQuery) -> bool {
    query.group.is_some() || query.select.iter().any(|item| has_aggregate(&item.expr))
}

pub(super) fn has_aggregate(expr: &AstExpr) -> bool {
    match &expr.kind {
        AstExprKind::CountRows | AstExprKind::CountDistinct(..) => true,
        AstExprKind::Call(name, _) if is_aggregate(&name.text) => true,
        _ => expr.children().into_iter().any(has_aggregate),
    }
}

/// Names that occur twice, for results whose columns must differ.
fn unique(name: String, taken: &mut HashSet<String>) -> String {
    let mut candidate = name.clone();
    let mut number = 2;
    while !taken.insert(candidate.clone()) {
        candidate = format!("{name}_{number}");
        number += 1;
    }
    candidate
}

fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
