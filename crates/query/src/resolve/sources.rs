//! Sources to the members of a stage: tracepoints, patterns, unions, queries, lists, and choices.

use super::name_scope::{
    AliasBinding, BoundMember, NameScope, SourceRole, SourceSite, StepTarget, TypedExpr, VisibleColumns,
};
use super::resolver::Resolver;
use super::typing;
use crate::diagnostic::Diagnostic;
use crate::plan::{PlanColumn, StageMember, StageStep, StageTracepoint};
use crate::suggest::nearest;
use crate::syntax::ast::{AstExpr, AstSource, AstSourceKind, Name, NamePattern, Span, TemporalChoice};
use pivot_advice::{Binary, Expr, Keep, Type};

/// Why a name may be right that nobody knows.
const UNREACHED: &str =
    "a callsite of `tracing` is known once it was reached, and not at all if its level was compiled out";

/// The most tracepoints that a pattern may match.
const MAX_MATCHES: usize = 1_000;

impl Resolver<'_> {
    /// What a list of sources means; several are a union.
    pub(super) fn sources(&mut self, sources: &[AstSource], place: &SourceSite) -> AliasBinding {
        let mut parts: Vec<BoundMember> = Vec::new();
        let mut names: Vec<(&String, &Span)> = Vec::new();
        let mut known = true;
        for source in sources {
            match &source.kind {
                // Tracepoints of a union are one member: they do the same.
                AstSourceKind::Named(name) if !self.is_query(name) => names.push((name, &source.span)),
                _ => match self.source(source, place) {
                    AliasBinding::Tuples { parts: more, .. } => parts.extend(more),
                    _ => known = false,
                },
            }
        }
        if !names.is_empty() {
            let tracepoints = names.iter().map(|(name, span)| self.tracepoint(name, span)).collect();
            let part = self.member(place.stage, tracepoints);
            parts.insert(0, part);
        }
        if known { AliasBinding::Tuples { stage: place.stage, parts } } else { AliasBinding::Unknown }
    }

    pub(super) fn source(&mut self, source: &AstSource, place: &SourceSite) -> AliasBinding {
        match &source.kind {
            AstSourceKind::Query(query) => self.inline(query, place, &source.span),
            AstSourceKind::Named(name) if self.is_query(name) => self.inline_named(name, place, &source.span),
            AstSourceKind::Named(name) => {
                let tracepoint = self.tracepoint(name, &source.span);
                let part = self.member(place.stage, vec![tracepoint]);
                AliasBinding::Tuples { stage: place.stage, parts: vec![part] }
            }
            AstSourceKind::Pattern(pattern) => self.pattern(pattern, place, &source.span),
            AstSourceKind::Unnest(inner, field) => self.unnest(inner, field, place),
            AstSourceKind::Temporal { which, n, source: inner, condition } => {
                self.temporal(*which, *n, (inner, condition.as_ref()), place, &source.span)
            }
        }
    }

    fn member(&mut self, stage: usize, tracepoints: Vec<StageTracepoint>) -> BoundMember {
        let members = &mut self.plan.stages[stage].members;
        members.push(StageMember { tracepoints, ..StageMember::default() });
        BoundMember { member: members.len() - 1, columns: VisibleColumns::Fields { elements: vec![] } }
    }

    fn temporal(
        &mut self,
        which: TemporalChoice,
        n: u32,
        (inner, condition): (&AstSource, Option<&AstExpr>),
        place: &SourceSite,
        span: &Span,
    ) -> AliasBinding {
        if place.role != SourceRole::Joined {
            let wrong = Diagnostic::error(span.clone(), "a temporal source is misplaced");
            let detail = "First and MostRecent keep what happened before another event";
            self.report(wrong.detail(detail).hint("join it: JOIN x IN First(..) ON x -> y"));
            return AliasBinding::Unknown;
        }
        self.plan.stages[place.stage].keep = match which {
            TemporalChoice::First => Keep::First(n),
            TemporalChoice::MostRecent => Keep::MostRecent(n),
        };
        let binding = self.source(inner, &SourceSite { role: SourceRole::Kept, ..place.clone() });
        if let Some(condition) = condition {
            self.choice(condition, &binding, place);
        }
        binding
    }

    /// The temporal source's own WHERE: it sees the source alone.
    fn choice(&mut self, condition: &AstExpr, binding: &AliasBinding, place: &SourceSite) {
        let mut scope = NameScope { bare: Some(binding.clone()), ..NameScope::default() };
        scope.add(&place.alias, binding.clone(), false);
        let condition = self.wanted(condition, &scope, Type::Bool, "WHERE");
        self.filter(&StepTarget::Members(place.stage, binding.members()), condition.expr);
    }

    fn unnest(&mut self, inner: &AstSource, field: &Name, place: &SourceSite) -> AliasBinding {
        let binding = self.source(inner, place);
        let AliasBinding::Tuples { stage, parts } = &binding else {
            if let AliasBinding::Groups { .. } = binding {
                let wrong = "an aggregating query cannot be unnested";
                self.report(Diagnostic::error(inner.span.clone(), wrong).detail("this query aggregates"));
            }
            return AliasBinding::Unknown;
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
        let Expr::Column(list) = list.expr else { return AliasBinding::Unknown };
        let column = PlanColumn { alias: place.alias.clone(), name: field.text.clone(), ty: item };
        let Some(element) = self.column(column, &field.span) else { return AliasBinding::Unknown };
        // Elements of a chosen tuple do not choose again.
        let chosen = matches!(inner.kind, AstSourceKind::Temporal { .. });
        let target =
            if chosen { StepTarget::Stage(*stage) } else { StepTarget::Members(*stage, binding.members()) };
        self.push(&target, &StageStep::Unnest { list, element });
        let parts = parts.iter().cloned().map(|part| part.with(&field.text, element)).collect();
        AliasBinding::Tuples { stage: *stage, parts }
    }

    fn pattern(&mut self, pattern: &NamePattern, place: &SourceSite, span: &Span) -> AliasBinding {
        let catalog = self.catalog;
        let matched = match catalog.matching(pattern) {
            Ok(matched) => matched,
            Err(why) => {
                self.report(Diagnostic::error(span.clone(), "the pattern is wrong").detail(why));
                return AliasBinding::Unknown;
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
            return AliasBinding::Unknown;
        }
        if names.is_empty() {
            let warning = Diagnostic::warning(span.clone(), "no tracepoint matches this pattern yet");
            self.report(warning.detail("the query stays pending here"));
            self.pending.push(self.written(span));
        }
        let tracepoints =
            names.iter().map(|name| StageTracepoint { name: (*name).to_owned(), pending: false });
        let part = self.member(place.stage, tracepoints.collect());
        let binding = AliasBinding::Tuples { stage: place.stage, parts: vec![part] };
        for (field, value) in &pattern.fields {
            let typed = self.member_of(&binding, &place.alias, &field.text, &field.span);
            let wanted = TypedExpr { expr: Expr::Literal(value.clone()), ty: value.type_of() };
            let condition = self.compare(Binary::Equal, typed, wanted, &field.span);
            self.filter(&StepTarget::Members(place.stage, binding.members()), condition.expr);
        }
        binding
    }

    fn tracepoint(&mut self, name: &str, span: &Span) -> StageTracepoint {
        if let Some(found) = self.catalog.meant_by(name) {
            return StageTracepoint { name: found.name.clone(), pending: false };
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
        StageTracepoint { name: name.to_owned(), pending: true }
    }
}

impl BoundMember {
    /// The same with one field or column replaced by its elements.
    fn with(mut self, name: &str, element: u16) -> BoundMember {
        let (VisibleColumns::Fields { elements: columns } | VisibleColumns::Columns(columns)) =
            &mut self.columns;
        columns.retain(|(known, _)| known != name);
        columns.push((name.to_owned(), element));
        self
    }
}
