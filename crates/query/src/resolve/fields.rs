//! Fields of aliases to columns. A field is observed once it is asked for.

use super::name_scope::{AliasBinding, BoundMember, TypedExpr, VisibleColumns};
use super::resolver::Resolver;
use super::typing;
use crate::catalog::default_field;
use crate::diagnostic::Diagnostic;
use crate::plan::{ObservedField, PlanColumn, StageStep};
use crate::suggest::nearest;
use crate::syntax::ast::Span;
use pivot_advice::{Expr, Type, Value, canonical_field, default_fields};

/// Keeps room for the columns that plans add.
const MAX_COLUMNS: usize = 1 << 15;
/// Fields that a function has when it returns, and not before.
const AT_EXIT: [&str; 3] = ["elapsed", "result", "outcome"];

/// What one member has under a name.
enum FieldLookup {
    Column(u16),
    Field { field: String, ty: Type, lacking: Vec<bool> },
    Nothing,
}

impl Resolver<'_> {
    /// `alias.name`; an empty alias means the source of a condition inside First or MostRecent.
    pub(super) fn member_of(
        &mut self,
        binding: &AliasBinding,
        alias: &str,
        name: &str,
        span: &Span,
    ) -> TypedExpr {
        match binding {
            AliasBinding::Unknown => TypedExpr::unknown(),
            AliasBinding::Groups { columns, .. } => match columns.iter().find(|(column, _)| column == name) {
                Some((_, typed)) => typed.clone(),
                None => {
                    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
                    self.unknown_column(&names, alias, name, span);
                    TypedExpr::unknown()
                }
            },
            AliasBinding::Tuples { stage, parts } => self.field(*stage, parts, (alias, name), span),
        }
    }

    pub(super) fn typed(&self, column: u16) -> TypedExpr {
        TypedExpr { expr: Expr::Column(column), ty: self.plan.columns[usize::from(column)].ty }
    }

    fn field(
        &mut self,
        stage: usize,
        parts: &[BoundMember],
        (alias, name): (&str, &str),
        span: &Span,
    ) -> TypedExpr {
        let found: Vec<FieldLookup> = parts.iter().map(|part| self.find(stage, part, name)).collect();
        if found.iter().all(|found| matches!(found, FieldLookup::Nothing)) {
            self.unknown(stage, parts, (alias, name), span);
            return TypedExpr::unknown();
        }
        match found.as_slice() {
            [FieldLookup::Column(first), rest @ ..]
                if rest
                    .iter()
                    .all(|other| matches!(other, FieldLookup::Column(column) if column == first)) =>
            {
                self.typed(*first)
            }
            _ => self.united(stage, parts, found, (name, span)),
        }
    }

    fn find(&self, stage: usize, part: &BoundMember, name: &str) -> FieldLookup {
        let columns = match &part.columns {
            VisibleColumns::Columns(columns) => columns,
            VisibleColumns::Fields { elements } => elements,
        };
        if let Some((_, column)) = columns.iter().find(|(known, _)| known == name) {
            return FieldLookup::Column(*column);
        }
        if let VisibleColumns::Columns(_) = part.columns {
            return FieldLookup::Nothing;
        }
        let tracepoints = &self.plan.stages[stage].members[part.member].tracepoints;
        let fields: Vec<Option<(&str, Type)>> = tracepoints
            .iter()
            .map(|tracepoint| match self.catalog.tracepoint(&tracepoint.name) {
                Some(known) => known.field(name),
                None => default_field(name).or(Some((name, Type::Any))),
            })
            .collect();
        let lacking = fields.iter().map(Option::is_none).collect();
        let mut known = fields.into_iter().flatten();
        match known.next() {
            Some((field, first)) => {
                let ty = if known.all(|(_, ty)| ty == first) { first } else { Type::Any };
                FieldLookup::Field { field: field.to_owned(), ty, lacking }
            }
            // A pattern that nothing matches yet has any field.
            None if tracepoints.is_empty() => {
                let (field, ty) = default_field(name).unwrap_or((name, Type::Any));
                FieldLookup::Field { field: field.to_owned(), ty, lacking }
            }
            None => FieldLookup::Nothing,
        }
    }

    /// One column for what all members have under a name; what one lacks is null there.
    fn united(
        &mut self,
        stage: usize,
        parts: &[BoundMember],
        found: Vec<FieldLookup>,
        (name, span): (&str, &Span),
    ) -> TypedExpr {
        let key = (stage, parts.iter().map(|part| part.member).collect::<Vec<_>>(), name.to_owned());
        if let Some(column) = self.observed.get(&key) {
            return self.typed(*column);
        }
        let types = found.iter().filter_map(|found| match found {
            FieldLookup::Column(column) => Some(self.plan.columns[usize::from(*column)].ty),
            FieldLookup::Field { ty, .. } => Some(*ty),
            FieldLookup::Nothing => None,
        });
        let ty = types.reduce(|a, b| typing::united(a, b).unwrap_or(Type::Any)).unwrap_or(Type::Any);
        let canonical = found.iter().find_map(|found| match found {
            FieldLookup::Field { field, .. } => Some(field.clone()),
            _ => None,
        });
        let alias = self.plan.stages[stage].alias.clone();
        let column = PlanColumn { alias, name: canonical.unwrap_or_else(|| name.to_owned()), ty };
        let Some(column) = self.column(column, span) else { return TypedExpr::unknown() };
        for (part, found) in parts.iter().zip(found) {
            match found {
                FieldLookup::Field { field, lacking, .. } => {
                    let observed = ObservedField { field: field.clone(), column, lacking };
                    self.plan.stages[stage].members[part.member].observed.push(observed);
                    self.is_everywhere(stage, part.member, &field, span);
                }
                FieldLookup::Column(of) => self.copy(stage, part.member, column, of),
                FieldLookup::Nothing => {
                    let missing = StageStep::Let(column, Expr::Literal(Value::Null));
                    let steps = &mut self.plan.stages[stage].members[part.member].steps;
                    steps.insert(behind_distinct(steps), missing);
                }
            }
        }
        self.observed.insert(key, column);
        self.typed(column)
    }

    /// Copies a column as soon as it is there: a step that is there already may read the copy.
    fn copy(&mut self, stage: usize, member: usize, column: u16, of: u16) {
        let home = self.plan.home(of);
        let binds = |step: &StageStep| match step {
            StageStep::Join(join) => {
                let below = home.is_some_and(|home| self.plan.is_below(home, join.child));
                below || self.plan.appended(join.child).contains(&of)
            }
            other => other.computes() == Some(of),
        };
        let steps = &self.plan.stages[stage].members[member].steps;
        let bound = steps.iter().rposition(binds).map_or(0, |last| last + 1);
        let place = bound.max(behind_distinct(steps));
        let steps = &mut self.plan.stages[stage].members[member].steps;
        steps.insert(place, StageStep::Let(column, Expr::Column(of)));
    }

    /// Warns of a field that only some agents export, or with different types.
    fn is_everywhere(&mut self, stage: usize, member: usize, field: &str, span: &Span) {
        let catalog = self.catalog;
        let tracepoints = self.plan.stages[stage].members[member].tracepoints.clone();
        for known in tracepoints.iter().filter_map(|tracepoint| catalog.tracepoint(&tracepoint.name)) {
            let Some(exported) = known.fields.iter().find(|known| known.name == field) else { continue };
            if known.is_partial(exported) {
                let (some, all) = (exported.exporters, known.exporters);
                let wrong = format!("`{}` exports `{field}` on {some} of {all} agents", known.name);
                let warning = Diagnostic::warning(span.clone(), wrong);
                self.report(warning.detail("the query does not run on the others"));
            }
            if exported.differs {
                let wrong = format!("agents export `{field}` of `{}` with different types", known.name);
                let warning =
                    Diagnostic::warning(span.clone(), wrong).detail("its type is checked as it runs");
                self.report(warning.hint(format!("say which one is meant: `CAST({field} AS ..)`")));
            }
        }
    }

    /// A new column, unless there are too many.
    pub(super) fn column(&mut self, column: PlanColumn, span: &Span) -> Option<u16> {
        let number = u16::try_from(self.plan.columns.len()).ok().filter(|n| usize::from(*n) < MAX_COLUMNS);
        match number {
            Some(_) => self.plan.columns.push(column),
            None => self.report(Diagnostic::error(span.clone(), "the query has too many columns")),
        }
        number
    }

    fn unknown_column(&mut self, names: &[&str], alias: &str, name: &str, span: &Span) {
        let found = nearest(name, names.iter().copied());
        let wrong = Diagnostic::error(span.clone(), format!("unknown column `{name}`"));
        let whose = if alias.is_empty() { "the query".into() } else { format!("`{alias}`") };
        self.report(wrong.detail(format!("{whose} has {}", names.join(", "))).suggest(found));
    }

    fn unknown(&mut self, stage: usize, parts: &[BoundMember], (alias, name): (&str, &str), span: &Span) {
        let columns = parts.iter().find_map(|part| match &part.columns {
            VisibleColumns::Columns(columns) => Some(columns.clone()),
            VisibleColumns::Fields { .. } => None,
        });
        if let Some(columns) = columns {
            let names: Vec<&str> = columns.iter().map(|(column, _)| column.as_str()).collect();
            self.unknown_column(&names, alias, name, span);
            return;
        }
        let tracepoints: Vec<String> =
            self.plan.stages[stage].tracepoints().map(|tracepoint| tracepoint.name.clone()).collect();
        let wrong = Diagnostic::error(span.clone(), format!("unknown field `{name}`"));
        let function = tracepoints
            .iter()
            .find_map(|name| name.strip_suffix("@enter").or_else(|| name.strip_suffix("@error")));
        if let (Some(function), true) = (function, AT_EXIT.contains(&name)) {
            let detail = format!("`{name}` exists at @exit only");
            self.report(wrong.detail(detail).hint(format!("write `{function}@exit`")));
            return;
        }
        let catalog = self.catalog;
        let known = tracepoints.iter().filter_map(|name| catalog.tracepoint(name));
        let exported = known.flat_map(|known| known.fields.iter().map(|field| field.name.as_str()));
        let default = default_fields().iter().map(|(field, _)| *field);
        let found = nearest(canonical_field(name), exported.chain(default));
        let detail = format!("`{}` does not export it", shortened(&tracepoints).join("`, `"));
        self.report(wrong.detail(detail).suggest(found));
    }

    /// The exported field of a source, if there is exactly one.
    pub(super) fn only_field(&self, binding: &AliasBinding) -> Option<String> {
        let AliasBinding::Tuples { stage, parts } = binding else { return None };
        let [BoundMember { member, columns: visible }] = parts.as_slice() else { return None };
        if let VisibleColumns::Columns(columns) = visible {
            return if let [(only, _)] = columns.as_slice() { Some(only.clone()) } else { None };
        }
        let mut tracepoints = self.plan.stages[*stage].members[*member].tracepoints.iter();
        let known = self.catalog.tracepoint(&tracepoints.next()?.name)?;
        match (known.fields.as_slice(), tracepoints.next()) {
            ([only], None) => Some(only.name.clone()),
            _ => None,
        }
    }

    /// Whether a binding has a column of that name, for hints.
    pub(super) fn has(&self, binding: &AliasBinding, name: &str) -> bool {
        match binding {
            AliasBinding::Unknown => false,
            AliasBinding::Groups { columns, .. } => columns.iter().any(|(column, _)| column == name),
            AliasBinding::Tuples { stage, parts } => parts.iter().any(|part| match &part.columns {
                VisibleColumns::Columns(columns) => columns.iter().any(|(column, _)| column == name),
                VisibleColumns::Fields { .. } => self.plan.stages[*stage].members[part.member]
                    .tracepoints
                    .iter()
                    .filter_map(|tracepoint| self.catalog.tracepoint(&tracepoint.name))
                    .any(|known| known.field(name).is_some()),
            }),
        }
    }
}

/// The first few of many names.
fn shortened(names: &[String]) -> Vec<&str> {
    let mut shown: Vec<&str> = names.iter().map(String::as_str).take(4).collect();
    if names.len() > shown.len() {
        shown.push("..");
    }
    shown
}

/// The first place among steps where a column may be added: DISTINCT passes on its own columns only.
fn behind_distinct(steps: &[StageStep]) -> usize {
    steps.iter().rposition(|step| matches!(step, StageStep::Distinct(_))).map_or(0, |last| last + 1)
}
