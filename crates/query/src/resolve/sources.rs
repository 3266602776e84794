//! Sources to the members of a stage: tracepoints, patterns, unions, queries, lists, and choices.
//!
//! ```text
//! FROM e IN A, B, rpc::*, (FROM x IN X ..)     stage e
//!                                                member in A, B       tracepoints do the same
//!                                                member in rpc::*     a pattern has conditions of its own
//!                                                member in X          a query has steps of its own
//! ```

use super::name_scope::{
    AliasBinding, MemberColumns, NameScope, SourceContext, SourceRole, StepDestination, TypedExpr,
    VisibleGroups, VisibleMember,
};
use super::resolver::Resolver;
use super::typing;
use super::work_budget::ResolverWork;
use crate::diagnostic::Diagnostic;
use crate::plan::{PlanColumn, StageChoice, StageSource, StageStep, StageTracepoint};
use crate::suggest::nearest;
use crate::syntax::ast::{
    AstExpr, NameAt, SourceClause, SourceKind, TemporalChoice, TextSpan, TracepointPattern,
};
use pivot_advice::{BinaryOperator, Expr, TemporalFilter, Type};

/// Why a name may be right that nobody knows.
const UNREACHED: &str =
    "a callsite of `tracing` is known once it was reached, and not at all if its level was compiled out";

/// The most tracepoints that a pattern may match.
const MAX_MATCHES: usize = 1_000;

impl Resolver<'_> {
    /// Resolves a list of sources; several are a union.
    pub(super) fn sources(&mut self, sources: &[SourceClause], site: &SourceContext) -> AliasBinding {
        let mut members: Vec<VisibleMember> = Vec::new();
        let mut groups: Vec<VisibleGroups> = Vec::new();
        let mut names: Vec<(&str, TextSpan)> = Vec::new();
        let mut known = true;

        for source in sources {
            match &source.kind {
                // Tracepoints of a union are one member: they do the same.
                SourceKind::Named(name) if !self.is_query(name) => {
                    if !self.spend(ResolverWork::Tracepoint, 1, source.span) {
                        return AliasBinding::Unknown;
                    }
                    names.push((name, source.span));
                }
                _ => match self.source(source, site) {
                    AliasBinding::Tuples { members: more, .. } => members.extend(more),
                    AliasBinding::Groups(more) => groups.push(more),
                    AliasBinding::Unknown => known = false,
                },
            }
        }

        if !names.is_empty() {
            let tracepoints = names.iter().map(|(name, span)| self.tracepoint(name, *span)).collect();
            members.insert(0, self.member(site.stage, tracepoints));
        }
        match known {
            true => AliasBinding::Tuples { stage: site.stage, members, groups },
            false => AliasBinding::Unknown,
        }
    }

    pub(super) fn source(&mut self, source: &SourceClause, site: &SourceContext) -> AliasBinding {
        if !self.spend(ResolverWork::Member, 1, source.span) {
            return AliasBinding::Unknown;
        }

        match &source.kind {
            SourceKind::Query(query) => self.inline(query, site, source.span),
            SourceKind::Named(name) if self.is_query(name) => self.inline_named(name, site, source.span),
            SourceKind::Named(name) => {
                let tracepoint = self.tracepoint(name, source.span);
                let member = self.member(site.stage, vec![tracepoint]);
                AliasBinding::Tuples { stage: site.stage, members: vec![member], groups: vec![] }
            }

            SourceKind::Pattern(pattern) => self.pattern(pattern, site, source.span),
            SourceKind::Unnest(inner, field) => self.unnest(inner, field, site),
            SourceKind::Temporal { which, n, source: inner, condition } => {
                let keep = match which {
                    TemporalChoice::First => TemporalFilter::First(*n),
                    TemporalChoice::MostRecent => TemporalFilter::MostRecent(*n),
                };
                let binding = self.temporal(keep, inner, site, source.span);
                if let Some(condition) = condition {
                    self.choice(condition, &binding, site);
                }
                if site.role == SourceRole::United {
                    self.choose_apart(keep, &binding, source.span);
                }
                binding
            }
        }
    }

    fn member(&mut self, stage: usize, tracepoints: Vec<StageTracepoint>) -> VisibleMember {
        let members = &mut self.plan.stages[stage].members;
        members.push(StageSource { tracepoints, ..StageSource::default() });
        VisibleMember { member: members.len() - 1, columns: MemberColumns::Fields { elements: vec![] } }
    }

    /// Resolves First and MostRecent: the stage keeps some of its tuples.
    fn temporal(
        &mut self,
        keep: TemporalFilter,
        inner: &SourceClause,
        site: &SourceContext,
        span: TextSpan,
    ) -> AliasBinding {
        match site.role {
            // The stage chooses; which of its members a tuple is from makes no difference.
            SourceRole::Joined => self.plan.stages[site.stage].keep = keep,
            // Its members choose, once they are there.
            SourceRole::United => {}
            SourceRole::From | SourceRole::Kept => {
                let wrong = Diagnostic::error(span, "a temporal source is misplaced");
                let wrong = wrong.detail("First and MostRecent keep what happened before another event");
                self.report(wrong.hint("join it: JOIN x IN First(..) ON x -> y"));
                return AliasBinding::Unknown;
            }
        }
        self.source(inner, &SourceContext { role: SourceRole::Kept, ..site.clone() })
    }

    /// Resolves the temporal source's own WHERE: it sees the source alone, and comes before the choice.
    fn choice(&mut self, condition: &AstExpr, binding: &AliasBinding, site: &SourceContext) {
        if !matches!(site.role, SourceRole::Joined | SourceRole::United) {
            return;
        }
        let mut scope = NameScope { bare: Some(binding.clone()), ..NameScope::default() };
        scope.add(&site.alias, binding.clone());
        let condition = self.expression_of(condition, &scope, Type::Bool, "WHERE");
        self.filter(&StepDestination::Members(site.stage, binding.members()), condition.expr);
    }

    /// Has the members of a temporal source choose apart from other sources of its union, where their steps have got to.
    fn choose_apart(&mut self, keep: TemporalFilter, binding: &AliasBinding, span: TextSpan) {
        let AliasBinding::Tuples { stage, members, .. } = binding else { return };
        if !self.has_room_for_bag(span) {
            return;
        }

        let stage = *stage;
        let choices = &mut self.plan.stages[stage].choices;
        let choice = choices.len();
        choices.push(StageChoice { keep, bag: 0 });
        for member in members {
            self.plan.stages[stage].members[member.member].choice = Some(choice);
        }
        self.push(&StepDestination::Members(stage, binding.members()), StageStep::Choose);
    }

    /// Resolves UNNEST: behind it the field is one element of the list.
    fn unnest(&mut self, inner: &SourceClause, field: &NameAt, site: &SourceContext) -> AliasBinding {
        let binding = self.source(inner, site);
        let AliasBinding::Tuples { stage, members, .. } = &binding else {
            if let AliasBinding::Groups(_) = binding {
                let wrong = "an aggregating query cannot be unnested";
                self.report(Diagnostic::error(inner.span, wrong).detail("this query aggregates"));
            }
            return AliasBinding::Unknown;
        };

        let list = self.member_of(&binding, &site.alias, &field.text, field.span);
        let item = match list.ty {
            Type::List(item) => *item,
            ty if typing::open(ty) => Type::Any,
            ty => {
                let wrong = Diagnostic::error(field.span, format!("`{}` is not a list", field.text));
                self.report(wrong.detail(format!("this is {ty}")));
                Type::Any
            }
        };

        let Expr::Column(list) = list.expr else { return AliasBinding::Unknown };
        let column = PlanColumn { alias: site.alias.clone(), name: field.text.clone(), ty: item };
        let Some(element) = self.column(column, field.span) else { return AliasBinding::Unknown };

        // Elements of a chosen tuple do not choose again. Members that choose apart have chosen by now.
        let target = match site.role == SourceRole::Joined && is_chosen(inner) {
            true => StepDestination::Stage(*stage),
            false => StepDestination::Members(*stage, binding.members()),
        };
        self.push(&target, StageStep::Unnest { list, element });

        let members = members.iter().cloned().map(|member| member.with_element(&field.text, element));
        AliasBinding::Tuples { stage: *stage, members: members.collect(), groups: vec![] }
    }

    fn pattern(&mut self, pattern: &TracepointPattern, site: &SourceContext, span: TextSpan) -> AliasBinding {
        let catalog = self.catalog;
        let matched = match catalog.matching(pattern) {
            Ok(matched) => matched,
            Err(why) => {
                self.report(Diagnostic::error(span, "the pattern is wrong").detail(why));
                return AliasBinding::Unknown;
            }
        };

        // A tracepoint without a field that must equal something can be left out at once.
        let has_fields = |name: &&str| {
            let Some(known) = catalog.tracepoint(name) else { return true };
            pattern.fields.iter().all(|(field, _)| known.field(&field.text).is_some())
        };
        let names: Vec<&str> = matched.into_iter().filter(has_fields).collect();

        if names.len() > MAX_MATCHES {
            let wrong = format!("the pattern matches {} tracepoints", names.len());
            let wrong = Diagnostic::error(span, wrong).detail("too many");
            self.report(wrong.hint(format!("narrow it down to {MAX_MATCHES} at most")));
            return AliasBinding::Unknown;
        }
        if !self.spend(ResolverWork::Tracepoint, names.len(), span) {
            return AliasBinding::Unknown;
        }
        if names.is_empty() {
            let warning = Diagnostic::warning(span, "no tracepoint matches this pattern yet");
            self.report(warning.detail("the query stays pending here"));
            self.note_pending(self.written(span));
        }

        self.warn_of_locations(pattern, &names, span);
        let tracepoints =
            names.iter().map(|name| StageTracepoint { name: (*name).to_owned(), pending: false });
        let member = self.member(site.stage, tracepoints.collect());
        let binding = AliasBinding::Tuples { stage: site.stage, members: vec![member], groups: vec![] };

        for (field, value) in &pattern.fields {
            let typed = self.member_of(&binding, &site.alias, &field.text, field.span);
            let wanted = TypedExpr { expr: Expr::Literal(value.clone()), ty: value.type_of() };
            let condition = self.compare(BinaryOperator::Equal, typed, wanted, field.span);
            self.filter(&StepDestination::Members(site.stage, binding.members()), condition.expr);
        }
        binding
    }

    /// Warns of functions that a pattern matches at several locations: each call is then several rows.
    fn warn_of_locations(&mut self, pattern: &TracepointPattern, names: &[&str], span: TextSpan) {
        // The names are sorted, so the locations of one function follow each other.
        let functions: Vec<&str> = names.iter().filter_map(|name| Some(name.split_once('@')?.0)).collect();
        let mut several: Vec<&str> =
            functions.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        several.dedup();
        let Some(first) = several.first() else { return };

        let others = match several.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let warning = format!("the pattern matches `{first}`{others} at several locations");
        let warning = Diagnostic::warning(span, warning);
        let warning = warning.detail("a call is a row at each: `@enter`, then `@exit` or `@error`");
        self.report(warning.hint(match pattern.is_regex {
            true => "match the location too for one row, as in `/^Client.*@exit/`".to_owned(),
            false => format!("write `{}@exit` for one row", pattern.text),
        }));
    }

    /// Resolves the name of a tracepoint. One that nobody exports is pending: an agent may come that does.
    fn tracepoint(&mut self, name: &str, span: TextSpan) -> StageTracepoint {
        if let Some(found) = self.catalog.meant_by(name) {
            return StageTracepoint { name: found.name.clone(), pending: false };
        }

        let warning = Diagnostic::warning(span, format!("nobody exports `{name}` yet"));
        let warning = warning.detail("the query stays pending here");
        // Among many unknown names the first few warnings are kept: those behind need no suggestion.
        let found = if self.diagnostics.is_full() { None } else { self.nearest_source(name) };
        self.report(match found {
            // A path is most often that of a callsite of `tracing`.
            None if name.contains("::") => warning.hint(UNREACHED),
            found if self.text.get(span.range()) == Some(name) => warning.suggest_at(span, found),
            found => warning.suggest(found),
        });

        self.note_pending(name.to_owned());
        StageTracepoint { name: name.to_owned(), pending: true }
    }

    /// Returns the tracepoint, function or query whose name is nearest, or `None` if none is near.
    fn nearest_source(&self, name: &str) -> Option<String> {
        // A function is named without its location, so both spellings are candidates.
        let tracepoints = self.catalog.tracepoints().map(|known| known.name.as_str());
        let locations = self.catalog.tracepoints().filter_map(|known| known.name.split_once('@'));
        let functions = locations.map(|(function, _)| function);
        let queries = self.catalog.queries().map(|(name, _)| name);
        let with = self.with.iter().map(|known| known.name.as_str());
        nearest(name, functions.chain(tracepoints).chain(queries).chain(with))
    }
}

/// Returns whether the tuples of a source were chosen, whatever was taken apart since.
fn is_chosen(source: &SourceClause) -> bool {
    match &source.kind {
        SourceKind::Temporal { .. } => true,
        SourceKind::Unnest(inner, _) => is_chosen(inner),
        _ => false,
    }
}
