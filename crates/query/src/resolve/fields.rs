//! Fields of aliases to columns. A field is observed once it is asked for.
//!
//! Members of a union may have a name each in its own way: one exports the field, one computes a column
//! of that name, one has neither. They become one column of the plan:
//!
//! ```text
//! FROM e IN A, (FROM x IN X SELECT x.n * 2 AS v) .. e.v      #3 = e.v
//!   member in A    observe v as #3
//!   member in X    observe n as #1, let #2 = #1 * 2, let #3 = #2
//! ```

use super::name_scope::{AliasBinding, MemberColumns, TypedExpr, VisibleGroups, VisibleMember};
use super::resolver::{FieldKey, Resolver};
use super::typing;
use super::work_budget::{ResolverWork, lookup_cost};
use crate::catalog::default_field;
use crate::diagnostic::Diagnostic;
use crate::plan::{ObservedField, PlanColumn, StageStep};
use crate::suggest::nearest;
use crate::syntax::ast::TextSpan;
use pivot_advice::{Expr, Type, Value, canonical_field, default_fields};

/// Fields that a function has when it returns, and not before.
const AT_EXIT: [&str; 3] = ["elapsed", "result", "outcome"];

/// The thing that one member has under a name.
enum FieldLookup {
    /// A column that it computes.
    Column(u16),
    /// A field of its tracepoints; for each of them, whether it lacks the field.
    Field {
        field: String,
        ty: Type,
        lacking: Vec<bool>,
    },
    Nothing,
}

/// A field as it is asked for.
#[derive(Clone, Copy)]
struct WantedField<'w> {
    /// Empty for the source of a condition inside First or MostRecent.
    alias: &'w str,
    name: &'w str,
    span: TextSpan,
}

impl Resolver<'_> {
    /// Resolves `alias.name`; an empty alias means the source of a condition inside First or MostRecent.
    pub(super) fn member_of(
        &mut self,
        binding: &AliasBinding,
        alias: &str,
        name: &str,
        span: TextSpan,
    ) -> TypedExpr {
        let wanted = WantedField { alias, name, span };

        match binding {
            AliasBinding::Unknown => TypedExpr::unknown(),
            AliasBinding::Tuples { .. } => self.field(binding, wanted),

            // Groups have the columns of their SELECT and nothing else.
            AliasBinding::Groups(groups) => match groups.column(name) {
                Some(typed) => typed.clone(),
                None => {
                    let names: Vec<&str> = groups.columns.iter().map(|(name, _)| name.as_str()).collect();
                    self.unknown_column(&names, wanted);
                    TypedExpr::unknown()
                }
            },
        }
    }

    fn field(&mut self, binding: &AliasBinding, wanted: WantedField<'_>) -> TypedExpr {
        let AliasBinding::Tuples { stage, members, groups } = binding else { return TypedExpr::unknown() };
        let stage = *stage;
        let columns: usize = members.iter().map(|member| lookup_cost(member.columns.len())).sum();
        let of_groups: usize = groups.iter().map(|groups| lookup_cost(groups.columns.len())).sum();
        if !self.spend(ResolverWork::Expression, columns + of_groups, wanted.span) {
            return TypedExpr::unknown();
        }
        let key = FieldKey {
            stage,
            members: binding.members(),
            groups: groups.iter().map(|groups| groups.stage).collect(),
            name: wanted.name.to_owned(),
        };

        // Most fields are asked for again and again. A column of the name would hide the field.
        let are_fields = members.iter().all(|member| {
            matches!(member.columns, MemberColumns::Fields { .. })
                && member.columns.column(wanted.name).is_none()
        });
        if are_fields && let Some(column) = self.observed.get(&key) {
            return self.typed(*column);
        }

        let mut found = Vec::with_capacity(members.len());
        for member in members {
            found.push(self.find(stage, member, wanted.name));
        }
        let is_unknown = found.iter().all(|found| matches!(found, FieldLookup::Nothing));
        if is_unknown && groups.iter().all(|groups| groups.column(wanted.name).is_none()) {
            self.unknown_field(binding, wanted);
            return TypedExpr::unknown();
        }
        if let Some(column) = same_column(&found).filter(|_| groups.is_empty()) {
            return self.typed(column);
        }
        if let Some(column) = self.observed.get(&key) {
            return self.typed(*column);
        }

        let united = self.united(binding, found, wanted);
        if let Some(column) = united {
            self.observed.insert(key, column);
        }
        united.map_or_else(TypedExpr::unknown, |column| self.typed(column))
    }

    fn find(&self, stage: usize, member: &VisibleMember, name: &str) -> FieldLookup {
        if let Some(column) = member.columns.column(name) {
            return FieldLookup::Column(column);
        }
        if let MemberColumns::Columns(_) = member.columns {
            return FieldLookup::Nothing;
        }

        // A pattern that nothing matches yet has any field, and so has a tracepoint that nobody exports.
        let tracepoints = &self.plan.stages[stage].members[member.member].tracepoints;
        let any_field = default_field(name).unwrap_or((name, Type::Any));
        if tracepoints.is_empty() {
            return FieldLookup::Field { field: any_field.0.to_owned(), ty: any_field.1, lacking: vec![] };
        }
        let mut common: Option<(&str, Type)> = None;
        let mut lacking = Vec::with_capacity(tracepoints.len());
        for tracepoint in tracepoints {
            let field = match self.catalog.tracepoint(&tracepoint.name) {
                Some(known) => known.field(name),
                None => Some(any_field),
            };
            lacking.push(field.is_none());
            let Some((field, ty)) = field else { continue };
            common = match common {
                Some((first, known)) if known != ty => Some((first, Type::Any)),
                Some(known) => Some(known),
                None => Some((field, ty)),
            };
        }
        match common {
            Some((field, ty)) => FieldLookup::Field { field: field.to_owned(), ty, lacking },
            None => FieldLookup::Nothing,
        }
    }

    /// Makes one column for what all members have under a name; what one lacks is null there. Returns
    /// `None`, which was reported, if there are too many columns.
    fn united(
        &mut self,
        binding: &AliasBinding,
        found: Vec<FieldLookup>,
        wanted: WantedField<'_>,
    ) -> Option<u16> {
        let AliasBinding::Tuples { stage, members, groups } = binding else { return None };
        let stage = *stage;
        let types = found.iter().filter_map(|found| match found {
            FieldLookup::Column(column) => Some(self.plan.columns[usize::from(*column)].ty),
            FieldLookup::Field { ty, .. } => Some(*ty),
            FieldLookup::Nothing => None,
        });
        let of_groups = groups.iter().filter_map(|groups| groups.column(wanted.name)).map(|typed| typed.ty);
        let ty = types
            .chain(of_groups)
            .reduce(|a, b| typing::united(a, b).unwrap_or(Type::Any))
            .unwrap_or(Type::Any);

        // An alias of a default field, as `procName`, is shown under the name of the field.
        let canonical = found.iter().find_map(|found| match found {
            FieldLookup::Field { field, .. } => Some(field.clone()),
            _ => None,
        });
        let alias = self.plan.stages[stage].alias.clone();
        let name = canonical.unwrap_or_else(|| wanted.name.to_owned());
        let column = self.column(PlanColumn { alias, name, ty }, wanted.span)?;

        for (member, found) in members.iter().zip(found) {
            match found {
                FieldLookup::Field { field, lacking, .. } => {
                    self.check_exporters(stage, member.member, &field, wanted.span);
                    let observed = ObservedField { field, column, lacking };
                    self.plan.stages[stage].members[member.member].observed.push(observed);
                }
                FieldLookup::Column(of) => self.copy(stage, member.member, column, of),
                FieldLookup::Nothing => {
                    let missing = StageStep::Let(column, Expr::Literal(Value::Null));
                    let steps = &mut self.plan.stages[stage].members[member.member].steps;
                    steps.insert(behind_distinct(steps), missing);
                }
            }
        }
        if !groups.is_empty() {
            self.unite_groups(stage, groups, column, wanted);
        }
        Some(column)
    }

    /// Gives the groups in a union their values in a column of it; null where they have none.
    fn unite_groups(&mut self, stage: usize, groups: &[VisibleGroups], column: u16, wanted: WantedField<'_>) {
        let values: Vec<Expr> = groups
            .iter()
            .map(|groups| match groups.column(wanted.name) {
                Some(typed) => typed.expr.clone(),
                None => Expr::Literal(Value::Null),
            })
            .collect();
        let Some(parent) = self.plan.stages[stage].parent else { return };

        // The members of a stage above may each have the join; the copies are counted before they are made.
        let joins = self.plan.stages[parent].joins().filter(|join| join.child == stage).count();
        let size: usize = values.iter().map(Expr::size).sum();
        if !self.spend(ResolverWork::Expression, joins * size, wanted.span) {
            return;
        }
        for step in self.plan.stages[parent].lists_mut().flatten() {
            let StageStep::Join(join) = step else { continue };
            if join.child == stage {
                let united = join.united.iter_mut().zip(&values);
                united.for_each(|(united, value)| united.values.push((column, value.clone())));
            }
        }
    }

    /// Copies a column as soon as it is there: a step that is there already may read the copy.
    fn copy(&mut self, stage: usize, member: usize, column: u16, of: u16) {
        // The column is there behind the step that computes it, or behind the join that brings it.
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
        let at = bound.max(behind_distinct(steps));

        let steps = &mut self.plan.stages[stage].members[member].steps;
        steps.insert(at, StageStep::Let(column, Expr::Column(of)));
    }

    /// Warns of a field that only some agents export, or with different types.
    fn check_exporters(&mut self, stage: usize, member: usize, field: &str, span: TextSpan) {
        // Reporting needs the resolver, which lends the tracepoints until then.
        let catalog = self.catalog;
        let tracepoints = &self.plan.stages[stage].members[member].tracepoints;
        let mut warnings = Vec::new();

        for known in tracepoints.iter().filter_map(|tracepoint| catalog.tracepoint(&tracepoint.name)) {
            let Some(exported) = known.fields.iter().find(|known| known.name == field) else { continue };
            if known.is_partial(exported) {
                let (some, all) = (exported.exporters.get(), known.exporters.get());
                let wrong = format!("`{}` exports `{field}` on {some} of {all} agents", known.name);
                let warning = Diagnostic::warning(span, wrong);
                warnings.push(warning.detail("the query does not run on the others"));
            }
            if exported.differs {
                let wrong = format!("agents export `{field}` of `{}` with different types", known.name);
                let warning = Diagnostic::warning(span, wrong).detail("its type is checked as it runs");
                warnings.push(warning.hint(format!("say which one is meant: `CAST({field} AS ..)`")));
            }
        }
        for warning in warnings {
            self.report(warning);
        }
    }

    fn unknown_column(&mut self, names: &[&str], wanted: WantedField<'_>) {
        let found = nearest(wanted.name, names.iter().copied());
        let wrong = Diagnostic::error(wanted.span, format!("unknown column `{}`", wanted.name));
        let whose = match wanted.alias {
            "" => "the query".to_owned(),
            alias => format!("`{alias}`"),
        };
        let place = self.name_within(wanted);
        self.report(wrong.detail(format!("{whose} has {}", names.join(", "))).suggest_at(place, found));
    }

    fn unknown_field(&mut self, binding: &AliasBinding, wanted: WantedField<'_>) {
        let AliasBinding::Tuples { stage, members, groups } = binding else { return };
        let of_members = members.iter().find_map(|member| match &member.columns {
            MemberColumns::Columns(columns) => Some(columns.iter().map(|(name, _)| name.as_str()).collect()),
            MemberColumns::Fields { .. } => None,
        });
        let of_groups =
            || groups.first().map(|groups| groups.columns.iter().map(|(name, _)| name.as_str()).collect());
        let names: Option<Vec<&str>> = of_members.or_else(of_groups);
        if let Some(names) = names {
            self.unknown_column(&names, wanted);
            return;
        }

        let stage = &self.plan.stages[*stage];
        let tracepoints: Vec<String> = stage.tracepoints().map(|known| known.name.clone()).collect();
        let wrong = Diagnostic::error(wanted.span, format!("unknown field `{}`", wanted.name));

        // What only exists at the end of a function is most often meant to be asked for there.
        let mut functions = tracepoints
            .iter()
            .filter_map(|name| name.strip_suffix("@enter").or_else(|| name.strip_suffix("@error")));
        if AT_EXIT.contains(&wanted.name)
            && let Some(function) = functions.next()
        {
            let detail = format!("`{}` exists at @exit only", wanted.name);
            self.report(wrong.detail(detail).hint(format!("write `{function}@exit`")));
            return;
        }

        let known = tracepoints.iter().filter_map(|name| self.catalog.tracepoint(name));
        let exported = known.flat_map(|known| known.fields.iter().map(|field| field.name.as_str()));
        let default = default_fields().iter().map(|(field, _)| *field);
        let found = nearest(canonical_field(wanted.name), exported.chain(default));
        let detail = format!("`{}` does not export it", shortened(&tracepoints).join("`, `"));
        let place = self.name_within(wanted);
        self.report(wrong.detail(detail).suggest_at(place, found));
    }

    /// Returns the place of the field's name in what is asked for, which may begin with an alias.
    fn name_within(&self, wanted: WantedField<'_>) -> TextSpan {
        let written = self.text.get(wanted.span.range()).unwrap_or_default();
        match written.rfind(wanted.name) {
            Some(at) => {
                let start = wanted.span.start + at;
                TextSpan::new(start, start + wanted.name.len())
            }
            None => wanted.span,
        }
    }

    /// Returns the exported field of a source, or `None` if there is not exactly one.
    pub(super) fn only_field(&self, binding: &AliasBinding) -> Option<String> {
        let AliasBinding::Tuples { stage, members, groups } = binding else { return None };
        if !groups.is_empty() {
            return None;
        }
        let [VisibleMember { member, columns }] = members.as_slice() else { return None };
        if let MemberColumns::Columns(columns) = columns {
            return if let [(only, _)] = columns.as_slice() { Some(only.clone()) } else { None };
        }

        let tracepoints = &self.plan.stages[*stage].members[*member].tracepoints;
        let [tracepoint] = tracepoints.as_slice() else { return None };
        match self.catalog.tracepoint(&tracepoint.name)?.fields.as_slice() {
            [only] => Some(only.name.clone()),
            _ => None,
        }
    }

    /// Returns whether a binding has a column of that name, for hints.
    pub(super) fn has(&self, binding: &AliasBinding, name: &str) -> bool {
        match binding {
            AliasBinding::Unknown => false,
            AliasBinding::Groups(groups) => groups.column(name).is_some(),
            AliasBinding::Tuples { stage, members, groups } => {
                let of_groups = groups.iter().any(|groups| groups.column(name).is_some());
                of_groups || members.iter().any(|member| self.member_has(*stage, member, name))
            }
        }
    }

    fn member_has(&self, stage: usize, member: &VisibleMember, name: &str) -> bool {
        let MemberColumns::Fields { .. } = member.columns else {
            return member.columns.column(name).is_some();
        };
        let tracepoints = &self.plan.stages[stage].members[member.member].tracepoints;
        let mut known = tracepoints.iter().filter_map(|tracepoint| self.catalog.tracepoint(&tracepoint.name));
        known.any(|known| known.field(name).is_some())
    }
}

/// Returns the column that all members have under a name, or `None` if they differ.
fn same_column(found: &[FieldLookup]) -> Option<u16> {
    let mut columns = found.iter().map(|found| match found {
        FieldLookup::Column(column) => Some(*column),
        _ => None,
    });
    let first = columns.next()??;
    columns.all(|column| column == Some(first)).then_some(first)
}

/// Returns the first few of many names.
fn shortened(names: &[String]) -> Vec<&str> {
    let mut shown: Vec<&str> = names.iter().map(String::as_str).take(4).collect();
    if names.len() > shown.len() {
        shown.push("..");
    }
    shown
}

/// Returns the first place among steps where a column may be added: DISTINCT passes on its own columns only.
fn behind_distinct(steps: &[StageStep]) -> usize {
    steps.iter().rposition(|step| matches!(step, StageStep::Distinct(_))).map_or(0, |last| last + 1)
}
