//! Sources to stages, and fields to columns.

use super::condition::conjuncts;
use super::query::{Place, Resolver, Role};
use super::scope::{Binding, Column, Observed, Scope, Stage, Tracepoint, Typed};
use crate::catalog::default_field;
use crate::diagnostic::Diagnostic;
use crate::suggest::nearest;
use crate::syntax::ast::{Source, SourceKind, Span, Which};
use pivot_advice::{Expr, Keep, Type, canonical_field, default_fields};

/// A query that needs more has gone wrong, or its named queries multiply.
const MAX_STAGES: usize = 64;
/// Keeps room for the columns that plans add.
const MAX_COLUMNS: usize = 1 << 15;
/// Fields that a function has when it returns, and not before.
const AT_EXIT: [&str; 3] = ["elapsed", "result", "outcome"];

impl Resolver<'_> {
    /// The stage or query that a list of sources means; several are a union.
    pub(super) fn sources(&mut self, sources: &[Source], place: &Place, role: Role) -> Binding {
        if let [only] = sources {
            return self.source(only, place, role);
        }
        let mut names = Vec::new();
        for source in sources {
            match &source.kind {
                SourceKind::Named(name) if !self.is_query(name) => names.push((name, &source.span)),
                _ => {
                    let wrong = Diagnostic::error(source.span.clone(), "only tracepoints can be united");
                    self.report(wrong.detail("this is not a tracepoint"));
                }
            }
        }
        self.stage(&names, place).map_or(Binding::Unknown, Binding::Fields)
    }

    pub(super) fn source(&mut self, source: &Source, place: &Place, role: Role) -> Binding {
        match &source.kind {
            SourceKind::Query(query) => self.inline(query, place, role, &source.span),
            SourceKind::Named(name) if self.is_query(name) => {
                self.inline_named(name, place, role, &source.span)
            }
            SourceKind::Named(name) => {
                self.stage(&[(name, &source.span)], place).map_or(Binding::Unknown, Binding::Fields)
            }
            SourceKind::Temporal { which, n, source: inner, condition } => {
                if role != Role::Joined {
                    let wrong = Diagnostic::error(source.span.clone(), "a temporal source is misplaced");
                    let detail = "First and MostRecent keep what happened before another event";
                    self.report(wrong.detail(detail).hint("join it: JOIN x IN First(..) ON x -> y"));
                    return Binding::Unknown;
                }
                let keep = match which {
                    Which::First => Keep::First(*n),
                    Which::MostRecent => Keep::MostRecent(*n),
                };
                let binding = self.source(inner, &Place { keep, ..place.clone() }, Role::Kept);
                if let Some(condition) = condition {
                    self.choice(condition, &binding, place);
                }
                self.as_columns(binding, place)
            }
        }
    }

    /// The temporal source's own WHERE: it sees the source alone.
    fn choice(&mut self, condition: &crate::syntax::ast::Expr, binding: &Binding, place: &Place) {
        let aliases = vec![(place.alias.clone(), binding.clone())];
        let scope = Scope { aliases, bare: Some(binding.clone()), ..Scope::default() };
        let condition = self.wanted(condition, &scope, Type::Bool, "WHERE");
        let stage = match binding {
            Binding::Fields(stage) | Binding::Columns { stage: Some(stage), .. } => *stage,
            _ => return,
        };
        self.out.stages[stage].choice.extend(conjuncts(condition.expr));
    }

    /// Names the computed columns of a query, so that they are computed once.
    pub(super) fn as_columns(&mut self, binding: Binding, place: &Place) -> Binding {
        let Binding::Columns { columns, stage } = binding else { return binding };
        let named = columns.into_iter().map(|(name, typed)| match typed.expr {
            Expr::Column(_) => (name, typed),
            expr => {
                let column = Column { alias: place.alias.clone(), name: name.clone(), ty: typed.ty };
                let typed = self.assign(column, expr, place.block);
                (name, typed)
            }
        });
        Binding::Columns { columns: named.collect(), stage }
    }

    fn stage(&mut self, names: &[(&String, &Span)], place: &Place) -> Option<usize> {
        let (_, span) = names.first()?;
        if self.out.stages.len() >= MAX_STAGES {
            let wrong = format!("the query has more than {MAX_STAGES} stages");
            self.report(Diagnostic::error((*span).clone(), wrong));
            return None;
        }
        let mut tracepoints: Vec<Tracepoint> = Vec::new();
        for (name, span) in names {
            let tracepoint = self.tracepoint(name, span);
            tracepoints.push(tracepoint);
        }
        Some(self.add_stage(tracepoints, place))
    }

    /// Stands for a FROM that did not resolve; the query does not compile.
    pub(super) fn unknown_stage(&mut self, place: &Place) {
        self.add_stage(vec![], place);
    }

    fn add_stage(&mut self, tracepoints: Vec<Tracepoint>, place: &Place) -> usize {
        self.out.stages.push(Stage {
            alias: place.alias.clone(),
            parent: place.parent,
            tracepoints,
            keep: place.keep,
            observed: Vec::new(),
            choice: Vec::new(),
        });
        self.out.stages.len() - 1
    }

    fn tracepoint(&mut self, name: &str, span: &Span) -> Tracepoint {
        if let Some(found) = self.catalog.meant_by(name) {
            return Tracepoint { name: found.name.clone(), pending: false };
        }
        let known = || self.catalog.tracepoints().map(|known| known.name.as_str());
        let functions = known().filter_map(|name| name.split_once('@')).map(|(function, _)| function);
        let queries = self.catalog.queries().map(|(name, _)| name);
        let with = self.with.iter().map(|(name, _)| name.as_str());
        let found = nearest(name, functions.chain(known()).chain(queries).chain(with));
        let warning = Diagnostic::warning(span.clone(), format!("nobody exports `{name}` yet"));
        self.report(warning.detail("the query stays pending here").suggest(found));
        if !self.out.pending.iter().any(|pending| pending == name) {
            self.out.pending.push(name.to_owned());
        }
        Tracepoint { name: name.to_owned(), pending: true }
    }

    /// A field of a stage in any accepted spelling, as a column.
    pub(super) fn field(&mut self, stage: usize, name: &str, span: &Span) -> Typed {
        let catalog = self.catalog;
        let tracepoints = &self.out.stages[stage].tracepoints;
        let found: Vec<Option<(&str, Type)>> = tracepoints
            .iter()
            .map(|tracepoint| match catalog.tracepoint(&tracepoint.name) {
                Some(known) => known.field(name),
                None => default_field(name).or(Some((name, Type::Any))),
            })
            .collect();
        let Some((field, first)) = found.iter().flatten().next().copied() else {
            self.unknown_field(stage, name, span);
            return Typed::unknown();
        };
        let ty = if found.iter().flatten().all(|(_, ty)| *ty == first) { first } else { Type::Any };
        let lacking = found.iter().map(Option::is_none).collect();
        self.observe(stage, field.to_owned(), ty, lacking, span)
    }

    fn observe(&mut self, stage: usize, field: String, ty: Type, lacking: Vec<bool>, span: &Span) -> Typed {
        let known = self.observed.get(&(stage, field.clone()));
        if let Some(column) = known {
            return Typed { expr: Expr::Column(*column), ty };
        }
        let alias = self.out.stages[stage].alias.clone();
        let Some(column) = self.column(Column { alias, name: field.clone(), ty }, span) else {
            return Typed::unknown();
        };
        self.observed.insert((stage, field.clone()), column);
        self.out.stages[stage].observed.push(Observed { field, column, lacking });
        Typed { expr: Expr::Column(column), ty }
    }

    /// A new column, unless there are too many.
    pub(super) fn column(&mut self, column: Column, span: &Span) -> Option<u16> {
        let number = u16::try_from(self.out.columns.len()).ok().filter(|n| usize::from(*n) < MAX_COLUMNS);
        match number {
            Some(number) => {
                self.out.columns.push(column);
                Some(number)
            }
            None => {
                self.report(Diagnostic::error(span.clone(), "the query has too many columns"));
                None
            }
        }
    }

    fn unknown_field(&mut self, stage: usize, name: &str, span: &Span) {
        let tracepoints: Vec<String> =
            self.out.stages[stage].tracepoints.iter().map(|tracepoint| tracepoint.name.clone()).collect();
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
        let detail = format!("`{}` does not export it", tracepoints.join("`, `"));
        self.report(wrong.detail(detail).suggest(found));
    }

    /// The exported field of a stage, if there is exactly one.
    pub(super) fn only_field(&self, stage: usize) -> Option<String> {
        let mut tracepoints = self.out.stages[stage].tracepoints.iter();
        let known = self.catalog.tracepoint(&tracepoints.next()?.name)?;
        match (known.fields.as_slice(), tracepoints.next()) {
            ([only], None) => Some(only.name.clone()),
            _ => None,
        }
    }

    /// Whether a binding has a column of that name, for hints.
    pub(super) fn has(&self, binding: &Binding, name: &str) -> bool {
        match binding {
            Binding::Unknown => false,
            Binding::Columns { columns, .. } => columns.iter().any(|(column, _)| column == name),
            Binding::Fields(stage) => self.out.stages[*stage].tracepoints.iter().any(|tracepoint| {
                self.catalog.tracepoint(&tracepoint.name).is_some_and(|known| known.field(name).is_some())
            }),
        }
    }
}
