//! Sources to the members of a stage: tracepoints, patterns, unions, queries, lists, and choices.

use super::query::Resolver;
use super::scope::{Binding, Part, Place, Role, Scope, Seen, Target, Typed};
use super::typing;
use crate::diagnostic::Diagnostic;
use crate::plan::{Column, Member, Step, Tracepoint};
use crate::suggest::nearest;
use crate::syntax::ast::{Expr as Written, Name, NamePattern, Source, SourceKind, Span, Which};
use pivot_advice::{Binary, Expr, Keep, Type};

/// Why a name may be right that nobody knows.
const UNREACHED: &str =
    "a callsite of `tracing` is known once it was reached, and not at all if its level was compiled out";

/// The most tracepoints that a pattern may match.
const MAX_MATCHES: usize = 1_000;

impl Resolver<'_> {
    /// What a list of sources means; several are a union.
    pub(super) fn sources(&mut self, sources: &[Source], place: &Place) -> Binding {
        let mut parts: Vec<Part> = Vec::new();
        let mut names: Vec<(&String, &Span)> = Vec::new();
        let mut known = true;
        for source in sources {
            match &source.kind {
                // Tracepoints of a union are one member: they do the same.
                SourceKind::Named(name) if !self.is_query(name) => names.push((name, &source.span)),
                _ => match self.source(source, place) {
                    Binding::Tuples { parts: more, .. } => parts.extend(more),
                    _ => known = false,
                },
            }
        }
        if !names.is_empty() {
            let tracepoints = names.iter().map(|(name, span)| self.tracepoint(name, span)).collect();
            let part = self.member(place.stage, tracepoints);
            parts.insert(0, part);
        }
        if known { Binding::Tuples { stage: place.stage, parts } } else { Binding::Unknown }
    }

    pub(super) fn source(&mut self, source: &Source, place: &Place) -> Binding {
        match &source.kind {
            SourceKind::Query(query) => self.inline(query, place, &source.span),
            SourceKind::Named(name) if self.is_query(name) => self.inline_named(name, place, &source.span),
            SourceKind::Named(name) => {
                let tracepoint = self.tracepoint(name, &source.span);
                let part = self.member(place.stage, vec![tracepoint]);
                Binding::Tuples { stage: place.stage, parts: vec![part] }
            }
            SourceKind::Pattern(pattern) => self.pattern(pattern, place, &source.span),
            SourceKind::Unnest(inner, field) => self.unnest(inner, field, place),
            SourceKind::Temporal { which, n, source: inner, condition } => {
                self.temporal(*which, *n, (inner, condition.as_ref()), place, &source.span)
            }
        }
    }

    fn member(&mut self, stage: usize, tracepoints: Vec<Tracepoint>) -> Part {
        let members = &mut self.plan.stages[stage].members;
        members.push(Member { tracepoints, ..Member::default() });
        Part { member: members.len() - 1, seen: Seen::Fields { elements: vec![] } }
    }

    fn temporal(
        &mut self,
        which: Which,
        n: u32,
        (inner, condition): (&Source, Option<&Written>),
        place: &Place,
        span: &Span,
    ) -> Binding {
        if place.role != Role::Joined {
            let wrong = Diagnostic::error(span.clone(), "a temporal source is misplaced");
            let detail = "First and MostRecent keep what happened before another event";
            self.report(wrong.detail(detail).hint("join it: JOIN x IN First(..) ON x -> y"));
            return Binding::Unknown;
        }
        self.plan.stages[place.stage].keep = match which {
            Which::First => Keep::First(n),
            Which::MostRecent => Keep::MostRecent(n),
        };
        let binding = self.source(inner, &Place { role: Role::Kept, ..place.clone() });
        if let Some(condition) = condition {
            self.choice(condition, &binding, place);
        }
        binding
    }

    /// The temporal source's own WHERE: it sees the source alone.
    fn choice(&mut self, condition: &Written, binding: &Binding, place: &Place) {
        let mut scope = Scope { bare: Some(binding.clone()), ..Scope::default() };
        scope.add(&place.alias, binding.clone(), false);
        let condition = self.wanted(condition, &scope, Type::Bool, "WHERE");
        self.filter(&Target::Members(place.stage, binding.members()), condition.expr);
    }

    fn unnest(&mut self, inner: &Source, field: &Name, place: &Place) -> Binding {
        let binding = self.source(inner, place);
        let Binding::Tuples { stage, parts } = &binding else {
            if let Binding::Groups { .. } = binding {
                let wrong = "an aggregating query cannot be unnested";
                self.report(Diagnostic::error(inner.span.clone(), wrong).detail("this query aggregates"));
            }
            return Binding::Unknown;
        };
        let list = self.member_of(&binding, &place.alias, &field.text, &field.span);
        let item = match list.ty {
            Type::List(item) => *item,
            ty if typing::open(ty) => Type::Any,
            ty => {
                let wrong = Diagnostic::error(field.span.clone(), format!("`{}` is not a list", field.text));
                self.report(wrong.detail(format!("this is {ty}")));
                Type::Any
            }
        };
        let Expr::Column(list) = list.expr else { return Binding::Unknown };
        let column = Column { alias: place.alias.clone(), name: field.text.clone(), ty: item };
        let Some(element) = self.column(column, &field.span) else { return Binding::Unknown };
        // Elements of a chosen tuple do not choose again.
        let chosen = matches!(inner.kind, SourceKind::Temporal { .. });
        let target = if chosen { Target::Stage(*stage) } else { Target::Members(*stage, binding.members()) };
        self.push(&target, &Step::Unnest { list, element });
        let parts = parts.iter().cloned().map(|part| part.with(&field.text, element)).collect();
        Binding::Tuples { stage: *stage, parts }
    }

    fn pattern(&mut self, pattern: &NamePattern, place: &Place, span: &Span) -> Binding {
        let catalog = self.catalog;
        let matched = match catalog.matching(pattern) {
            Ok(matched) => matched,
            Err(why) => {
                self.report(Diagnostic::error(span.clone(), "the pattern is wrong").detail(why));
                return Binding::Unknown;
            }
        };
        let has_fields = |name: &&str| {
            let known = catalog.tracepoint(name);
            pattern
                .fields
                .iter()
                .all(|(field, _)| known.is_none_or(|known| known.field(&field.text).is_some()))
        };
        let names: Vec<&str> = matched.into_iter().filter(has_fields).collect();
        if names.len() > MAX_MATCHES {
            let wrong = format!("the pattern matches {} tracepoints", names.len());
            let wrong = Diagnostic::error(span.clone(), wrong).detail("too many");
            self.report(wrong.hint(format!("narrow it down to {MAX_MATCHES} at most")));
            return Binding::Unknown;
        }
        if names.is_empty() {
            let warning = Diagnostic::warning(span.clone(), "no tracepoint matches this pattern yet");
            self.report(warning.detail("the query stays pending here"));
            self.pending.push(self.written(span));
        }
        let tracepoints = names.iter().map(|name| Tracepoint { name: (*name).to_owned(), pending: false });
        let part = self.member(place.stage, tracepoints.collect());
        let binding = Binding::Tuples { stage: place.stage, parts: vec![part] };
        for (field, value) in &pattern.fields {
            let typed = self.member_of(&binding, &place.alias, &field.text, &field.span);
            let wanted = Typed { expr: Expr::Literal(value.clone()), ty: value.type_of() };
            let condition = self.compare(Binary::Equal, typed, wanted, &field.span);
            self.filter(&Target::Members(place.stage, binding.members()), condition.expr);
        }
        binding
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
        let warning = warning.detail("the query stays pending here");
        self.report(match found {
            // A path is most often that of a callsite of `tracing`.
            None if name.contains("::") => warning.hint(UNREACHED),
            found => warning.suggest(found),
        });
        if !self.pending.iter().any(|pending| pending == name) {
            self.pending.push(name.to_owned());
        }
        Tracepoint { name: name.to_owned(), pending: true }
    }
}

impl Part {
    /// The same with one field or column replaced by its elements.
    fn with(mut self, name: &str, element: u16) -> Part {
        let (Seen::Fields { elements: columns } | Seen::Columns(columns)) = &mut self.seen;
        columns.retain(|(known, _)| known != name);
        columns.push((name.to_owned(), element));
        self
    }
}
