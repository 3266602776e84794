//! GROUP BY and SELECT: rows as they are, or groups with their aggregates.

use super::query::{Resolver, has_aggregate, unique};
use super::scope::{Column, Finish, Scope, Typed};
use super::typing;
use crate::diagnostic::Diagnostic;
use crate::syntax::ast::{Expr as Written, ExprKind, Item, Name, Query, Span};
use pivot_advice::text::write_expr;
use pivot_advice::{Aggregate, Expr, Type, Value};
use std::collections::{HashMap, HashSet};

/// The aggregates of a SELECT, each with the column that stands for it while expressions are resolved.
#[derive(Debug, Default)]
pub(super) struct Collected {
    aggregates: Vec<(Aggregate, Expr, Type)>,
    /// Stand-in columns: none for COUNT of rows, else the place among the aggregates.
    columns: HashMap<u16, Option<usize>>,
}

impl Resolver<'_> {
    /// The values of a SELECT without aggregates.
    pub(super) fn values(&mut self, query: &Query, scope: &Scope) -> Vec<(String, Expr, Type)> {
        let mut taken = HashSet::new();
        let mut values = Vec::new();
        for item in &query.select {
            let typed = self.expression(&item.expr, scope);
            values.push((self.item_name(item, &typed.expr, &mut taken), typed.expr, typed.ty));
        }
        values
    }

    /// The groups of an aggregating query.
    pub(super) fn groups(&mut self, query: &Query, scope: &Scope) -> Finish {
        let mut keys: Vec<(Expr, Type)> = Vec::new();
        for written in query.group.iter().flatten() {
            let typed = self.expression(written, scope);
            if !keys.iter().any(|(key, _)| *key == typed.expr) {
                keys.push((typed.expr, typed.ty));
            }
        }
        let mut taken = HashSet::new();
        let mut columns = Vec::new();
        let mut names: HashMap<usize, String> = HashMap::new();
        let mut collected = Collected::default();
        for item in &query.select {
            self.aggregates = Some(collected);
            let typed = self.expression(&item.expr, scope);
            collected = self.aggregates.take().unwrap_or_default();
            let name = self.item_name(item, &typed.expr, &mut taken);
            if let Some(key) = keys.iter().position(|(key, _)| *key == typed.expr) {
                names.entry(key).or_insert_with(|| name.clone());
            }
            let grouped = self.over_groups(&typed.expr, &keys, &collected);
            match grouped {
                Ok(expr) => columns.push((name, expr, typed.ty)),
                Err(column) => self.ungrouped(column, &item.expr.span, query.group.is_some()),
            }
        }
        let mut taken = HashSet::new();
        let keys = keys.into_iter().enumerate().map(|(i, (expr, ty))| {
            let name = names.remove(&i).unwrap_or_else(|| self.text(&expr));
            (unique(name, &mut taken), expr, ty)
        });
        Finish::Groups { keys: keys.collect(), aggregates: collected.aggregates, unpacked: vec![], columns }
    }

    /// Gives an aggregating subquery's group the columns of its consumer; returns SELECT over them.
    pub(super) fn unpacked(&mut self, finish: &mut Finish, alias: &str, span: &Span) -> Vec<(String, Typed)> {
        let Finish::Groups { keys, aggregates, unpacked, columns } = finish else { return vec![] };
        let keys = keys.iter().map(|(name, _, ty)| (name.clone(), *ty));
        let rows = [("COUNT".to_owned(), Type::U64)];
        let aggregates =
            aggregates.iter().map(|(aggregate, expr, ty)| (self.aggregate_text(*aggregate, expr), *ty));
        let mut all: Vec<(String, Type)> = keys.chain(rows).chain(aggregates).collect();
        for (name, expr, _) in columns.iter() {
            if let Expr::Column(index) = expr {
                all[usize::from(*index)].0.clone_from(name);
            }
        }
        for (name, ty) in all {
            unpacked.extend(self.column(Column { alias: alias.to_owned(), name, ty }, span));
        }
        let place = |index: u16| unpacked.get(usize::from(index)).copied().unwrap_or(index);
        let columns = columns.iter().map(|(name, expr, ty)| {
            let expr = crate::plan::renamed(expr, &mut |index| Expr::Column(place(index)));
            (name.clone(), Typed { expr, ty: *ty })
        });
        columns.collect()
    }

    /// An expression over the columns of a group: keys, n, aggregates. Fails with a column that is neither.
    fn over_groups(&self, expr: &Expr, keys: &[(Expr, Type)], collected: &Collected) -> Result<Expr, u16> {
        if let Some(key) = keys.iter().position(|(key, _)| key == expr) {
            return Ok(Expr::Column(narrow(key)));
        }
        if let Expr::Column(index) = expr {
            return match collected.columns.get(index) {
                Some(None) => Ok(Expr::Column(narrow(keys.len()))),
                Some(Some(place)) => Ok(Expr::Column(narrow(keys.len() + 1 + place))),
                None => Err(*index),
            };
        }
        crate::plan::rebuilt(expr, &mut |child| self.over_groups(child, keys, collected))
    }

    fn ungrouped(&mut self, column: u16, span: &Span, grouped: bool) {
        let name = self.text(&Expr::Column(column));
        let wrong = Diagnostic::error(span.clone(), format!("`{name}` is neither grouped nor aggregated"));
        let hint = match grouped {
            true => format!("add `{name}` to GROUP BY, or aggregate it"),
            false => format!("add GROUP BY {name}, or aggregate it"),
        };
        self.report(wrong.hint(hint));
    }

    pub(super) fn count_rows(&mut self, span: &Span) -> Typed {
        self.stand_in("COUNT".into(), Type::U64, None, span)
    }

    pub(super) fn aggregate(
        &mut self,
        aggregate: Aggregate,
        name: &Name,
        arguments: &[Written],
        scope: &Scope,
    ) -> Typed {
        let [argument] = arguments else {
            let wrong = Diagnostic::error(name.span.clone(), format!("`{aggregate}` takes 1 argument"));
            self.report(wrong.detail(format!("here are {}", arguments.len())));
            return Typed::unknown();
        };
        let outer = self.aggregates.take();
        if outer.is_none() {
            self.misplaced(&name.span);
            return Typed::unknown();
        }
        let typed = self.expression(argument, scope);
        self.aggregates = outer;
        let Some(ty) = typing::aggregate(aggregate, typed.ty) else {
            let wrong = format!("{aggregate} of {} has no meaning", typed.ty);
            let wrong =
                Diagnostic::error(argument.span.clone(), wrong).detail(format!("this is {}", typed.ty));
            self.report(wrong.hint("use a number, or COUNT, MIN or MAX"));
            return Typed::unknown();
        };
        let collected = self.aggregates.get_or_insert_default();
        let same = |(known, expr, _): &(Aggregate, Expr, Type)| *known == aggregate && *expr == typed.expr;
        let place = collected.aggregates.iter().position(same).unwrap_or_else(|| {
            collected.aggregates.push((aggregate, typed.expr.clone(), ty));
            collected.aggregates.len() - 1
        });
        let text = self.aggregate_text(aggregate, &typed.expr);
        self.stand_in(text, ty, Some(place), &name.span)
    }

    fn stand_in(&mut self, name: String, ty: Type, place: Option<usize>, span: &Span) -> Typed {
        if self.aggregates.is_none() {
            self.misplaced(span);
            return Typed::unknown();
        }
        let Some(column) = self.column(Column { alias: String::new(), name, ty }, span) else {
            return Typed::unknown();
        };
        self.aggregates.get_or_insert_default().columns.insert(column, place);
        Typed { expr: Expr::Column(column), ty }
    }

    fn misplaced(&mut self, span: &Span) {
        let wrong = Diagnostic::error(span.clone(), "an aggregate is misplaced");
        self.report(wrong.detail("aggregates stand in SELECT, outside of other aggregates"));
    }

    /// The name of a column of the result: given, or as the expression reads.
    fn item_name(&mut self, item: &Item, expr: &Expr, taken: &mut HashSet<String>) -> String {
        let Some(name) = &item.name else {
            let name = match &item.expr.kind {
                // Inside another query a column goes by its last name; the whole result shows what was written.
                ExprKind::Path(path) if self.is_inside() => path.last().cloned().unwrap_or_default(),
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
    fn text(&self, expr: &Expr) -> String {
        if let Expr::Literal(Value::Str(text)) = expr {
            return text.to_string();
        }
        let mut out = String::new();
        let name =
            |index: u16| self.out.columns.get(usize::from(index)).map(Column::shown).unwrap_or_default();
        // Writing to a String does not fail.
        let _ = write_expr(&mut out, expr, &name, 0);
        out
    }

    fn aggregate_text(&self, aggregate: Aggregate, argument: &Expr) -> String {
        format!("{aggregate}({})", self.text(argument))
    }
}

fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
