//! GROUP BY and SELECT: rows as they are, or groups with their aggregates.
//!
//! ```text
//! GROUP BY e.k SELECT e.k, SUM(e.v) / COUNT AS mean
//!   keys      k
//!   states    Sum(v)
//!   group     k, n, sum, seconds               what HAVING, ORDER BY and columns are over
//!   columns   k = #0, mean = #2 / #1
//! ```

use super::name_scope::{
    AliasBinding, CollectedAggregates, MemberColumns, NameScope, SelectPlaceholder, SourceContext,
    SourceRole, StepDestination, TypedExpr, VisibleGroups, VisibleMember,
};
use super::resolved_query::{
    NamedExpr, ResolvedGroups, ResolvedResult, ResultClauses, RowValue, SECONDS, SortKey,
};
use super::resolver::Resolver;
use crate::diagnostic::Diagnostic;
use crate::plan::{
    PlanColumn, StageAggregate, StageAggregateInput, StageAggregateResult, StageEnd, StageStep,
    SubqueryGroups,
};
use crate::plan::{children_mut, map_columns, narrow};
use crate::syntax::ast::{AstExpr, AstExprKind, AstQuery, SelectItem, TextSpan};
use pivot_advice::{Expr, Type};
use std::collections::{HashMap, HashSet};

/// A key of GROUP BY, over the rows.
#[derive(Debug, Clone)]
struct GroupKey {
    expr: Expr,
    ty: Type,
}

/// The names of SELECT with what they stand for, in their order.
type Selected = Vec<(String, TypedExpr)>;

impl Resolver<'_> {
    /// Resolves what the query of a statement gives, and in which shape.
    pub(super) fn finish(&mut self, query: &AstQuery, scope: &NameScope) -> (ResolvedResult, ResultClauses) {
        let mut shape = self.shape(query);
        if query.is_aggregating {
            shape.distinct = query.distinct.is_some();
            return (ResolvedResult::Groups(self.groups(query, scope)), shape);
        }

        self.refuse_having(query);
        let selected = self.values(query, scope);
        let shown = selected.len();
        let sorted = self.order_of_rows(query, scope, &selected);

        let target = StepDestination::Stage(0);
        let mut values = Vec::with_capacity(shown + sorted.hidden.len());
        for value in selected.into_iter().chain(sorted.hidden) {
            values.push(self.as_column(value, "", &target));
        }
        if query.distinct.is_none() {
            shape.order = sorted.order;
            return (ResolvedResult::Rows { values, shown }, shape);
        }

        // DISTINCT rows are the groups of all their values.
        let mut grouped = ResolvedGroups { order: sorted.order, ..ResolvedGroups::default() };
        for (i, RowValue { name, column, ty }) in values.into_iter().enumerate() {
            if i < shown {
                let expr = Expr::Column(narrow(i));
                grouped.columns.push(NamedExpr { name: name.clone(), expr, ty });
            }
            grouped.keys.push(NamedExpr { name, expr: Expr::Column(column), ty });
        }
        (ResolvedResult::Groups(grouped), shape)
    }

    /// Reports HAVING in a query that does not aggregate.
    fn refuse_having(&mut self, query: &AstQuery) {
        if let Some(having) = &query.result.having {
            let wrong = Diagnostic::error(having.span, "HAVING is misplaced");
            self.report(wrong.detail("this query does not aggregate").hint("use WHERE"));
        }
    }

    /// Resolves the values of a SELECT without aggregates.
    fn values(&mut self, query: &AstQuery, scope: &NameScope) -> Vec<NamedExpr> {
        let mut taken = UniqueNames::default();
        let mut values = Vec::with_capacity(query.select.len());
        for item in &query.select {
            let typed = self.expression(&item.expr, scope);
            let name = self.item_name(item, &typed.expr, &mut taken);
            values.push(NamedExpr { name, expr: typed.expr, ty: typed.ty });
        }
        values
    }

    /// Returns a value as a column, computed where steps go unless it is one already.
    fn as_column(&mut self, value: NamedExpr, alias: &str, target: &StepDestination) -> RowValue {
        let NamedExpr { name, expr, ty } = value;
        if let Expr::Column(column) = expr {
            return RowValue { name, column, ty };
        }

        let column = PlanColumn { alias: alias.to_owned(), name: name.clone(), ty };
        match self.assign(column, expr, target).expr {
            Expr::Column(column) => RowValue { name, column, ty },
            // Too many columns, which was reported.
            _ => RowValue { name, column: 0, ty },
        }
    }

    /// Resolves the SELECT of a query without aggregates that is a source.
    pub(super) fn inline_rows(
        &mut self,
        query: &AstQuery,
        scope: &NameScope,
        target: &StepDestination,
        site: &SourceContext,
    ) -> AliasBinding {
        let values = self.values(query, scope);
        self.refuse_having(query);
        let from = scope.aliases.first().map(|alias| alias.binding.clone());
        let Some(AliasBinding::Tuples { stage, members, groups }) = from else {
            return AliasBinding::Unknown;
        };

        let mut columns = Vec::with_capacity(values.len());
        for value in values {
            let value = self.as_column(value, &site.alias, target);
            columns.push((value.name, value.column));
        }
        let numbers: Vec<u16> = columns.iter().map(|(_, column)| *column).collect();

        if query.distinct.is_some() {
            self.push(target, StageStep::Distinct(numbers.clone()));
        }
        // Rows of one event that a choice counts need an order.
        if site.role == SourceRole::Kept && !query.joins.is_empty() {
            self.push(target, StageStep::Order(numbers));
        }

        // From outside the columns of SELECT are all that can be seen.
        let members = members
            .into_iter()
            .map(|member| VisibleMember { columns: MemberColumns::Columns(columns.clone()), ..member });
        AliasBinding::Tuples { stage, members: members.collect(), groups }
    }

    /// Resolves the SELECT of an aggregating query that is a source. Its columns are expressions over those
    /// that its consumer unpacks.
    pub(super) fn inline_groups(
        &mut self,
        query: &AstQuery,
        scope: &NameScope,
        site: &SourceContext,
    ) -> AliasBinding {
        let grouped = self.groups(query, scope);
        let unpacked_names = self.unpacked_names(&grouped, &site.alias);
        let target = StepDestination::Stage(site.stage);

        let mut keys = Vec::with_capacity(grouped.keys.len());
        for key in grouped.keys {
            keys.push(self.as_column(key, &site.alias, &target).column);
        }
        let mut folds = Vec::with_capacity(grouped.folds.len());
        for (aggregate, mut argument) in grouped.folds {
            // The arguments of sketches travel as columns.
            if aggregate.is_sketch() {
                let value = NamedExpr { name: self.text(&argument), expr: argument, ty: Type::Any };
                argument = Expr::Column(self.as_column(value, "", &target).column);
            }
            folds.push(StageAggregate { number: 0, aggregate, input: StageAggregateInput::Expr(argument) });
        }
        let finished = grouped.finished.iter();
        let finished =
            finished.map(|value| StageAggregateResult { fold: value.fold, finish: value.finish }).collect();

        let mut unpacked = Vec::with_capacity(unpacked_names.len());
        for (name, ty) in unpacked_names {
            let column = PlanColumn { alias: site.alias.clone(), name, ty };
            unpacked.extend(self.column(column, query.span));
        }

        // Columns and HAVING are over places in the group: from here on over what the consumer unpacks.
        let mut columns = Vec::with_capacity(grouped.columns.len());
        for NamedExpr { name, expr, ty } in grouped.columns {
            columns.push((name, TypedExpr { expr: over_unpacked(expr, &unpacked), ty }));
        }
        let having = grouped.having.map(|having| over_unpacked(having, &unpacked));

        self.plan.stages[site.stage].end =
            StageEnd::Groups(SubqueryGroups { keys, folds, finished, unpacked });
        AliasBinding::Groups(VisibleGroups {
            stage: site.stage,
            columns,
            having,
            distinct: query.distinct.is_some(),
        })
    }

    /// Returns the names that the columns of an aggregating query's group have in its consumer.
    fn unpacked_names(&self, grouped: &ResolvedGroups, alias: &str) -> Vec<(String, Type)> {
        let keys = grouped.keys.iter().map(|key| (self.key_name(key, alias), key.ty));
        let rows = [("COUNT".to_owned(), Type::U64)];
        let finished = grouped.finished.iter().map(|value| (value.name.clone(), value.ty));
        let mut names: Vec<(String, Type)> = keys.chain(rows).chain(finished).collect();

        // What is selected as it is has the name of SELECT.
        for column in &grouped.columns {
            if let Expr::Column(place) = column.expr
                && let Some(named) = names.get_mut(usize::from(place))
            {
                named.0.clone_from(&column.name);
            }
        }
        names
    }

    /// Returns the name of a key below an alias: a column of that alias goes by its own name.
    fn key_name(&self, key: &NamedExpr, alias: &str) -> String {
        let column = match key.expr {
            Expr::Column(column) => self.plan.columns.get(usize::from(column)),
            _ => None,
        };
        match column {
            Some(column) if column.alias == alias => column.name.clone(),
            _ => key.name.clone(),
        }
    }

    /// Resolves GROUP BY, SELECT, HAVING and ORDER BY of an aggregating query.
    fn groups(&mut self, query: &AstQuery, scope: &NameScope) -> ResolvedGroups {
        let keys = self.group_keys(query, scope);
        let mut taken = UniqueNames::default();
        let mut grouped = ResolvedGroups::default();
        let mut key_names: HashMap<usize, String> = HashMap::new();
        let mut selected: Selected = Vec::with_capacity(query.select.len());

        // From here on aggregates are collected, and columns stand for them.
        let outer = self.aggregates.replace(CollectedAggregates::default());
        for item in &query.select {
            let typed = self.expression(&item.expr, scope);
            let name = self.item_name(item, &typed.expr, &mut taken);
            if let Some(key) = keys.iter().position(|key| key.expr == typed.expr) {
                key_names.entry(key).or_insert_with(|| name.clone());
            }
            if let Some(expr) = self.over_group(&typed.expr, &keys, query, item.expr.span) {
                grouped.columns.push(NamedExpr { name: name.clone(), expr, ty: typed.ty });
            }
            selected.push((name, typed));
        }
        self.having_and_order(query, scope, &keys, &selected, &mut grouped);
        let collected = std::mem::replace(&mut self.aggregates, outer).unwrap_or_default();

        // A key that is not selected is called by its text.
        let mut taken = UniqueNames::default();
        for (i, GroupKey { expr, ty }) in keys.into_iter().enumerate() {
            let name = key_names.remove(&i).unwrap_or_else(|| self.text(&expr));
            grouped.keys.push(NamedExpr { name: taken.unique(name), expr, ty });
        }
        ResolvedGroups { folds: collected.folds, finished: collected.finished, ..grouped }
    }

    /// Resolves the keys of GROUP BY; equal ones are one.
    fn group_keys(&mut self, query: &AstQuery, scope: &NameScope) -> Vec<GroupKey> {
        let mut keys: Vec<GroupKey> = Vec::new();
        for written in query.group.iter().flatten() {
            let typed = self.expression(written, scope);
            if !keys.iter().any(|key| key.expr == typed.expr) {
                keys.push(GroupKey { expr: typed.expr, ty: typed.ty });
            }
        }
        keys
    }

    /// Resolves HAVING and ORDER BY, which may use what SELECT has named.
    fn having_and_order(
        &mut self,
        query: &AstQuery,
        scope: &NameScope,
        keys: &[GroupKey],
        selected: &Selected,
        grouped: &mut ResolvedGroups,
    ) {
        // Both are over the same group as SELECT, and may add aggregates to it.
        let named = with_names(scope, query, selected);
        if let Some(having) = &query.result.having {
            let typed = self.expression_of(&having.body, &named, Type::Bool, "HAVING");
            grouped.having = self.over_group(&typed.expr, keys, query, having.body.span);
        }

        for order in query.result.order.iter().flat_map(|order| &order.body) {
            let typed = self.sort_expression(&order.expr, &named, selected);
            if let Some(expr) = self.over_group(&typed.expr, keys, query, order.expr.span) {
                grouped.order.push(SortKey { expr, order: order.order });
            }
        }
    }

    /// Resolves an expression of ORDER BY; a number is the place of a column.
    fn sort_expression(&mut self, written: &AstExpr, named: &NameScope, selected: &Selected) -> TypedExpr {
        match selected_by_place(written, selected) {
            Some(typed) => typed.clone(),
            None => self.expression(written, named),
        }
    }

    /// Resolves ORDER BY over rows.
    fn order_of_rows(&mut self, query: &AstQuery, scope: &NameScope, values: &[NamedExpr]) -> RowOrder {
        let selected: Selected = values
            .iter()
            .map(|value| (value.name.clone(), TypedExpr { expr: value.expr.clone(), ty: value.ty }))
            .collect();
        let named = with_names(scope, query, &selected);
        let mut hidden: Vec<NamedExpr> = Vec::new();
        let mut order = Vec::new();

        for written in query.result.order.iter().flat_map(|order| &order.body) {
            let typed = self.sort_expression(&written.expr, &named, &selected);

            // What is not selected is computed beside the values and not shown.
            let known = values.iter().chain(&hidden).position(|value| value.expr == typed.expr);
            let place = known.unwrap_or(values.len() + hidden.len());
            if query.distinct.is_some() && place >= values.len() {
                let wrong = Diagnostic::error(written.expr.span, "ORDER BY of what is not selected");
                self.report(wrong.detail("rows that differ in it only are one").hint("add it to SELECT"));
            }
            if known.is_none() {
                hidden.push(NamedExpr { name: self.text(&typed.expr), expr: typed.expr, ty: typed.ty });
            }
            order.push(SortKey { expr: Expr::Column(narrow(place)), order: written.order });
        }
        RowOrder { order, hidden }
    }

    /// Returns an expression over the columns of a group: keys, n, finished aggregates, seconds. Returns
    /// `None`, which was reported, if it uses a column that is none of these.
    fn over_group(
        &mut self,
        expr: &Expr,
        keys: &[GroupKey],
        query: &AstQuery,
        span: TextSpan,
    ) -> Option<Expr> {
        // Outside of SELECT there are no placeholders, and only keys are left.
        let no_placeholders = HashMap::new();
        let placeholders = self.aggregates.as_ref().map_or(&no_placeholders, |found| &found.placeholders);
        let mut expr = expr.clone();
        match move_over_group(&mut expr, keys, placeholders) {
            Ok(()) => Some(expr),
            Err(column) => {
                self.ungrouped(column, query, span);
                None
            }
        }
    }

    fn ungrouped(&mut self, column: u16, query: &AstQuery, span: TextSpan) {
        // A column alone is named as it was written: inside a query it has the alias of the query.
        let written = self.written(span);
        let is_path = written.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
        let name = if is_path && !written.is_empty() { written } else { self.text(&Expr::Column(column)) };

        let wrong = Diagnostic::error(span, format!("`{name}` is neither grouped nor aggregated"));
        let hint = match query.group {
            Some(_) => format!("add `{name}` to GROUP BY, or aggregate it"),
            None => format!("add GROUP BY {name}, or aggregate it"),
        };
        self.report(wrong.hint(hint));
    }

    /// Returns the name of a column of the result: given, or as the expression reads.
    fn item_name(&mut self, item: &SelectItem, expr: &Expr, taken: &mut UniqueNames) -> String {
        if let Some(name) = &item.name {
            if !taken.take(&name.text) {
                let wrong = format!("column `{}` is defined twice", name.text);
                self.report(Diagnostic::error(name.span, wrong).hint("choose another name"));
            }
            return name.text.clone();
        }

        // The result of a statement shows what was written; inside of another query a column goes by its
        // last name, since that is how the query around it can ask for it.
        let name = match &item.expr.kind {
            _ if !self.is_inside() => self.written(item.expr.span),
            AstExprKind::Path(path) => path.last().cloned().unwrap_or_default(),
            _ if item.expr.has_aggregate() => self.text(expr),
            _ => "value".into(),
        };
        taken.unique(name)
    }
}

/// ORDER BY of a result of rows.
struct RowOrder {
    /// Over the values, then the hidden ones.
    order: Vec<SortKey>,
    /// Values that rows are sorted by and that are not selected.
    hidden: Vec<NamedExpr>,
}

/// Returns an expression over places in a group as one over the columns that a consumer unpacks.
fn over_unpacked(mut expr: Expr, unpacked: &[u16]) -> Expr {
    map_columns(&mut expr, &mut |place| {
        Expr::Column(unpacked.get(usize::from(place)).copied().unwrap_or(place))
    });
    expr
}

/// Replaces keys and placeholders by places in the group; the error is a column that is neither. The count
/// of rows comes right behind the keys, then the finished aggregates.
fn move_over_group(
    expr: &mut Expr,
    keys: &[GroupKey],
    placeholders: &HashMap<u16, SelectPlaceholder>,
) -> Result<(), u16> {
    if let Some(key) = keys.iter().position(|key| key.expr == *expr) {
        *expr = Expr::Column(narrow(key));
        return Ok(());
    }

    // A column of the rows that is no key has many values in a group.
    if let Expr::Column(index) = expr {
        *index = match placeholders.get(index) {
            Some(SelectPlaceholder::Rows) => narrow(keys.len()),
            Some(SelectPlaceholder::Finished(place)) => narrow(keys.len() + 1 + place),
            Some(SelectPlaceholder::Seconds) => SECONDS,
            None => return Err(*index),
        };
        return Ok(());
    }

    for child in children_mut(expr) {
        move_over_group(child, keys, placeholders)?;
    }
    Ok(())
}

/// Returns the scope with the names of SELECT, which win over nothing that has its name already.
fn with_names(scope: &NameScope, query: &AstQuery, selected: &Selected) -> NameScope {
    let mut named = scope.clone();
    for (item, (name, typed)) in query.select.iter().zip(selected) {
        let is_free = scope.assigned(name).is_none() && scope.alias(name).is_none();
        if item.name.is_some() && is_free {
            named.lets.push((name.clone(), typed.clone()));
        }
    }
    named
}

/// Returns the column that `ORDER BY 2` means, or `None` if the expression is no place of a column.
fn selected_by_place<'s>(expr: &AstExpr, selected: &'s Selected) -> Option<&'s TypedExpr> {
    let AstExprKind::Literal(value) = &expr.kind else { return None };
    let place = usize::try_from(value.as_integer()?).ok()?.checked_sub(1)?;
    selected.get(place).map(|(_, typed)| typed)
}

/// The names of the columns of a result, which must differ.
#[derive(Default)]
struct UniqueNames {
    taken: HashSet<String>,
    /// The last number that was put behind a name: thousands of columns may be called `value`.
    numbers: HashMap<String, usize>,
}

impl UniqueNames {
    /// Takes a name. Returns false if it is taken already.
    fn take(&mut self, name: &str) -> bool {
        self.taken.insert(name.to_owned())
    }

    /// Returns the name, with a number behind it if it is taken.
    fn unique(&mut self, name: String) -> String {
        if self.take(&name) {
            return name;
        }
        loop {
            let number = self.numbers.entry(name.clone()).or_insert(1);
            *number += 1;
            let numbered = format!("{name}_{number}");
            if self.take(&numbered) {
                return numbered;
            }
        }
    }
}
