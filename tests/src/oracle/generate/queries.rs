//! Random queries over a catalogue, well-formed by construction.

use crate::oracle::generate::expressions::{FloatPrecision, TypedExpr};
use crate::oracle::generate::generator::{GeneratedColumn, Generator, SourceRelation};
use crate::oracle::generate::scenarios::some_value;
use crate::oracle::generate::select_clauses::GeneratedSelect;
use crate::oracle::language::query::{
    Join, JoinKind, Query, QueryExpr, RowClause, Source, TemporalKeep, TracepointPattern,
};
use crate::oracle::run::event_dag::{DEFAULT_FIELDS, TracepointSpec};
use crate::random::Random;
use pivot_advice::{Type, Value};

/// The most joins of one query.
const MAX_JOINS: usize = 4;
/// The most aliases of a whole query, those of queries inside included.
const MAX_STAGES: usize = 7;
/// How deep queries nest.
const MAX_DEPTH: usize = 2;

/// Default fields in the original's spelling, and the one that is not recorded.
const OTHER_FIELDS: [(&str, Type); 4] = [
    ("tracepoint", Type::String),
    ("procName", Type::String),
    ("procId", Type::I64),
    ("timestamp", Type::Timestamp),
];

/// Where a source stands in its query: in FROM, in a JOIN, or inside First or MostRecent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SourcePlace {
    From,
    Joined,
    /// Inside First or MostRecent.
    Kept,
}

/// An alias while its query is made.
#[derive(Debug, Clone)]
struct KnownAlias {
    alias: String,
    after: Option<String>,
    leaves: Vec<TypedExpr>,
    events: bool,
    /// The LEFT and ANTI joins that it is below of, outermost first; itself included.
    guards: Vec<String>,
    /// The guards that are ANTI joins.
    antis: Vec<String>,
}

/// A query over these tracepoints.
pub(crate) fn query(random: &mut Random, tracepoints: &[TracepointSpec]) -> Query {
    let (with, plain, stages) = (vec![], vec![], MAX_STAGES);
    let mut generator = Generator { random, tracepoints, with, plain, stages, names: 0 };
    // First, because everything behind may use it.
    let with = generator.with();
    let aggregating = generator.random.percent(60);
    let (query, relation) = generator.query(SourcePlace::From, aggregating, 0);
    let mut query = Query { with, ..query };
    generator.finish(&mut query, &relation.columns);
    query
}

impl Generator<'_> {
    /// Queries of WITH, of which each may use those before it.
    fn with(&mut self) -> Vec<(String, Query)> {
        let mut with = Vec::new();
        while self.random.percent(15) && with.len() < 2 {
            let name = self.name("q");
            let aggregating = self.random.percent(40);
            let before = self.stages;
            let (query, relation) = self.query(SourcePlace::Joined, aggregating, 1);
            // They count where they are used.
            self.stages = before;
            self.with.push((name.clone(), relation, aggregating));
            with.push((name, query));
        }

        with
    }

    fn query(&mut self, role: SourcePlace, aggregating: bool, depth: usize) -> (Query, SourceRelation) {
        let before = self.stages;
        let alias = self.name("e");
        let (from, relation) = self.from(role, depth);
        let (mut joined, mixed) = (relation.joins, relation.mixed);

        let mut known = vec![KnownAlias {
            leaves: leaves(&alias, &relation.columns),
            alias: alias.clone(),
            after: None,
            events: true,
            guards: vec![],
            antis: vec![],
        }];

        let mut joins = Vec::new();
        while joins.len() < MAX_JOINS && self.stages > 0 && self.random.percent(60) {
            joins.push(self.join(&mut known, depth));
            joined = true;
        }

        // What an ANTI JOIN rules out has no columns.
        let visible = known.iter().filter(|known| known.antis.is_empty());
        let mut leaves: Vec<TypedExpr> = visible.flat_map(|known| known.leaves.clone()).collect();
        let steps = self.steps(&mut leaves);
        let GeneratedSelect { group, distinct, select, having, columns } =
            self.select(&leaves, aggregating, depth == 0);
        // A query that is used twice counts twice, so its price is kept with it.
        let stages = before - self.stages;
        let select_first = self.random.percent(10);

        let query = Query {
            alias,
            from,
            joins,
            steps,
            group,
            distinct,
            select,
            having,
            select_first,
            ..Query::default()
        };

        (query, SourceRelation { columns, events: !aggregating, joins: joined, mixed, stages })
    }

    fn from(&mut self, role: SourcePlace, depth: usize) -> (Vec<Source>, SourceRelation) {
        if self.random.percent(80) || depth >= MAX_DEPTH {
            return self.union();
        }

        // Under First and MostRecent a query must not be a union, or the order of its tuples is open.
        let role = if role == SourcePlace::Kept { role } else { SourcePlace::From };
        let (source, mut relation) = self.source(role, depth);

        let mut sources = vec![source];
        while role != SourcePlace::Kept && sources.len() < 3 && self.random.percent(30) {
            relation.mixed = true;
            let (mut source, other) = self.source(role, depth);
            relation.unite(&mut source, other);
            sources.push(source);
        }

        (sources, relation)
    }

    /// One tracepoint or several.
    fn union(&mut self) -> (Vec<Source>, SourceRelation) {
        let mut sources = Vec::new();
        let mut exported = Vec::new();
        loop {
            let tracepoint = self.random.pick(self.tracepoints);
            sources.push(Source::Tracepoint(self.written(&tracepoint.name)));
            exported.push(tracepoint);
            if sources.len() == 3 || !self.random.percent(25) {
                break;
            }
        }

        (sources, self.tracepoint_relation(&exported))
    }

    /// A function alone means its entry.
    fn written(&mut self, name: &str) -> String {
        match name.strip_suffix("@enter") {
            Some(function) if self.random.percent(50) => function.to_owned(),
            _ => name.to_owned(),
        }
    }

    fn tracepoint_relation(&mut self, exported: &[&TracepointSpec]) -> SourceRelation {
        self.stages = self.stages.saturating_sub(1);
        let mut columns: Vec<GeneratedColumn> = Vec::new();
        for (name, ty) in exported.iter().flat_map(|tracepoint| &tracepoint.fields) {
            match columns.iter_mut().find(|column| column.name == *name) {
                // One name with two types in a union is of any type.
                Some(column) if column.ty != *ty => column.ty = Type::Any,
                Some(_) => {}
                None => columns.push(GeneratedColumn {
                    name: name.clone(),
                    ty: *ty,
                    precision: FloatPrecision::Dyadic,
                }),
            }
        }

        for (name, ty) in DEFAULT_FIELDS {
            if self.random.percent(18) {
                columns.push(GeneratedColumn {
                    name: name.to_owned(),
                    ty,
                    precision: FloatPrecision::Dyadic,
                });
            }
        }

        for (name, ty) in OTHER_FIELDS {
            if self.random.percent(6) {
                columns.push(GeneratedColumn {
                    name: name.to_owned(),
                    ty,
                    precision: FloatPrecision::Dyadic,
                });
            }
        }

        SourceRelation { columns, events: true, joins: false, mixed: false, stages: 1 }
    }

    fn source(&mut self, role: SourcePlace, depth: usize) -> (Source, SourceRelation) {
        let deeper = depth < MAX_DEPTH;

        match self.random.below(100) {
            // A choice needs an event that it happened before, which only a join has.
            0..=19 if role == SourcePlace::Joined => self.temporal(depth),
            20..=29 => self.unnest(role, depth),
            30..=34 => self.pattern(),
            35..=49 if deeper && self.stages > 0 => {
                let aggregating = role == SourcePlace::Joined && self.random.percent(50);
                let (query, relation) = self.query(role, aggregating, depth + 1);
                (Source::Query(Box::new(query)), relation)
            }
            50..=64 if !self.with.is_empty() => {
                let (name, relation, aggregating) = self.random.pick(&self.with).clone();
                // Where a query of WITH stands decides whether it may aggregate.
                let fits = match role {
                    SourcePlace::Joined => true,
                    SourcePlace::From => !aggregating,
                    SourcePlace::Kept => !aggregating && !relation.mixed,
                };
                if !fits || relation.stages > self.stages {
                    return self.tracepoint();
                }
                self.stages -= relation.stages;
                (Source::Named(name), relation)
            }
            _ => self.tracepoint(),
        }
    }

    fn tracepoint(&mut self) -> (Source, SourceRelation) {
        let tracepoint = self.random.pick(self.tracepoints);
        let name = self.written(&tracepoint.name);
        (Source::Tracepoint(name), self.tracepoint_relation(&[tracepoint]))
    }

    fn temporal(&mut self, depth: usize) -> (Source, SourceRelation) {
        let keep = *self.random.pick(&[TemporalKeep::First, TemporalKeep::MostRecent]);
        let n = *self.random.pick(&[1, 1, 1, 2, 3]);
        let (source, relation) = self.source(SourcePlace::Kept, depth);

        let condition = self.random.percent(35).then(|| {
            // Inside, the columns stand alone.
            let name = |column: &GeneratedColumn| TypedExpr {
                expr: QueryExpr::Name(column.name.clone()),
                ty: column.ty,
                precision: column.precision,
            };
            let leaves: Vec<TypedExpr> = relation.columns.iter().map(name).collect();
            self.expressions(&leaves, FloatPrecision::Exact).condition(2)
        });

        (Source::Temporal { keep, n, source: Box::new(source), condition }, relation)
    }

    fn unnest(&mut self, role: SourcePlace, depth: usize) -> (Source, SourceRelation) {
        let (source, mut relation) = match self.random.percent(70) || depth >= MAX_DEPTH {
            true => self.tracepoint(),
            // Not the elements of a choice inside another choice.
            false if role == SourcePlace::Joined && self.random.percent(30) => self.temporal(depth + 1),
            false => self.source(if role == SourcePlace::Kept { role } else { SourcePlace::From }, depth + 1),
        };

        let lists = relation.columns.iter_mut().filter(|column| matches!(column.ty, Type::List(_)));
        let mut lists: Vec<&mut GeneratedColumn> = lists.collect();
        if lists.is_empty() {
            return (source, relation);
        }

        let at = self.random.below(lists.len());
        let column = &mut lists[at];

        if let Type::List(element) = column.ty {
            column.ty = *element;
        }

        let field = column.name.clone();
        (Source::Unnest(Box::new(source), field), SourceRelation { joins: true, ..relation })
    }

    /// A pattern that fits some tracepoints at least.
    fn pattern(&mut self) -> (Source, SourceRelation) {
        let named = self.random.pick(self.tracepoints).name.clone();
        let name = named.strip_suffix("@enter").unwrap_or(&named);
        let start = self.random.below(name.len());
        let end = start + 1 + self.random.below(name.len() - start);
        let (base, location) =
            name.split_once('@').map_or((name, String::new()), |(base, at)| (base, format!("@{at}")));
        // Some part of the name is left open; separators are not split.
        let start = base[..start.min(base.len())].trim_end_matches(':').len();
        let end = base.len() - base[end.min(base.len())..].trim_start_matches(':').len();
        let star = if base[start..end].contains(['.', ':']) || self.random.percent(20) { "**" } else { "*" };
        let glob = format!("{}{star}{}{location}", &base[..start], &base[end..]);
        let mut pattern = TracepointPattern { glob, field: None };
        let mut fit: Vec<&TracepointSpec> =
            self.tracepoints.iter().filter(|tracepoint| pattern.matches(&tracepoint.name)).collect();
        let fields = fit.iter().flat_map(|tracepoint| &tracepoint.fields);
        let fields = fields.filter(|(_, ty)| matches!(ty, Type::I64 | Type::String));
        let fields: Vec<(String, Type)> = fields.cloned().collect();

        if !fields.is_empty() && self.random.percent(30) {
            let (field, ty) = self.random.pick(&fields).clone();
            let value = some_value(self.random, ty);
            // A sign is no part of a literal.
            if !matches!(value, Value::I64(x) if x < 0) {
                fit.retain(|tracepoint| tracepoint.fields.iter().any(|(known, _)| *known == field));
                pattern.field = Some((field, value));
            }
        }

        let relation = self.tracepoint_relation(&fit);
        (Source::Pattern(pattern), relation)
    }

    fn join(&mut self, known: &mut Vec<KnownAlias>, depth: usize) -> Join {
        let joinable: Vec<usize> = (0..known.len()).filter(|i| known[*i].events).collect();
        // Often below the one before, so that chains get deep.
        let last = joinable[joinable.len() - 1];
        let at = if self.random.percent(50) { last } else { *self.random.pick(&joinable) };
        let after = known[at].clone();

        let kind = match self.random.below(10) {
            0 | 1 => JoinKind::Left,
            2 => JoinKind::Anti,
            _ => JoinKind::Inner,
        };

        let alias = self.name("j");
        let (sources, relation) = match self.random.below(100) {
            0..=9 => self.from(SourcePlace::From, depth),
            10..=24 => self.joined_union(depth),
            _ => {
                let (source, relation) = self.joined(depth);
                (vec![source], relation)
            }
        };

        let (mut guards, mut antis) = (after.guards.clone(), after.antis.clone());
        if kind != JoinKind::Inner {
            guards.push(alias.clone());
        }

        if kind == JoinKind::Anti {
            antis.push(alias.clone());
        }

        let leaves = leaves(&alias, &relation.columns);
        let joined = KnownAlias {
            alias: alias.clone(),
            after: Some(after.alias.clone()),
            leaves,
            events: relation.events,
            guards,
            antis,
        };

        known.push(joined.clone());
        let condition = self.random.percent(25).then(|| {
            let usable = known.iter().filter(|other| is_usable(known, &joined, other));
            let leaves: Vec<TypedExpr> = usable.flat_map(|known| known.leaves.clone()).collect();
            self.expressions(&leaves, FloatPrecision::Exact).condition(2)
        });

        Join { kind, alias, sources, after: after.alias, condition }
    }

    /// The source of a join, now and then the same as of another.
    fn joined(&mut self, depth: usize) -> (Source, SourceRelation) {
        if !self.plain.is_empty() && self.random.percent(20) {
            let (source, relation) = self.random.pick(&self.plain).clone();
            self.stages = self.stages.saturating_sub(relation.stages);
            return (source, relation);
        }

        let (source, relation) = self.source(SourcePlace::Joined, depth);
        // Equal sources share a stage in the plan, which is worth a case.
        let is_plain = match &source {
            Source::Temporal { source, .. } => matches!(**source, Source::Tracepoint(_)),
            other => matches!(other, Source::Tracepoint(_)),
        };

        if is_plain {
            self.plain.push((source.clone(), relation.clone()));
        }

        (source, relation)
    }

    /// Two or three sources of a join, of which each may choose or aggregate on its own.
    fn joined_union(&mut self, depth: usize) -> (Vec<Source>, SourceRelation) {
        let (source, mut relation) = self.united(depth);
        let mut sources = vec![source];

        while sources.len() < 2 || sources.len() < 3 && self.random.percent(35) {
            let (mut source, other) = self.united(depth);
            relation.unite(&mut source, other);
            sources.push(source);
        }
        (sources, relation)
    }

    fn united(&mut self, depth: usize) -> (Source, SourceRelation) {
        match self.random.below(10) {
            0..=2 => self.temporal(depth),
            3..=4 if depth < MAX_DEPTH && self.stages > 0 => {
                let (query, relation) = self.query(SourcePlace::Joined, true, depth + 1);
                (Source::Query(Box::new(query)), relation)
            }
            _ => self.source(SourcePlace::Joined, depth),
        }
    }

    fn steps(&mut self, leaves: &mut Vec<TypedExpr>) -> Vec<RowClause> {
        let mut steps = Vec::new();
        while self.random.percent(40) && steps.len() < 4 {
            if self.random.percent(50) {
                let condition = self.expressions(leaves, FloatPrecision::Exact).condition(3);
                // A condition adds no name, so the leaves stay.
                steps.push(RowClause::Where(condition));
                continue;
            }
            let name = self.name("v");
            let ty = self.expressions(leaves, FloatPrecision::Exact).some_type();
            let expr = self.expressions(leaves, FloatPrecision::Exact).of(ty, 2);
            steps.push(RowClause::Let(name.clone(), expr));
            leaves.push(TypedExpr { expr: QueryExpr::Name(name), ty, precision: FloatPrecision::Exact });
        }

        steps
    }
}

/// Whether the condition of a join may use an alias. Below LEFT and ANTI it decides at the event of its
/// right-hand alias, so only that and what was joined below it before are known.
fn is_usable(known: &[KnownAlias], join: &KnownAlias, other: &KnownAlias) -> bool {
    if other.alias == join.alias {
        return true;
    }
    let hidden = other.antis.iter().any(|anti| !join.antis.contains(anti));
    let Some(after) = known.iter().find(|known| Some(&known.alias) == join.after.as_ref()) else {
        return false;
    };
    let at_root = join.guards.is_empty() || after.after.is_none();
    !hidden && (at_root || other.alias == after.alias || is_below(known, other, &after.alias))
}

fn is_below(known: &[KnownAlias], alias: &KnownAlias, above: &str) -> bool {
    let parent = alias.after.as_ref().and_then(|after| known.iter().find(|known| known.alias == *after));
    parent.is_some_and(|parent| parent.alias == above || is_below(known, parent, above))
}

fn leaves(alias: &str, columns: &[GeneratedColumn]) -> Vec<TypedExpr> {
    let leaf = |column: &GeneratedColumn| TypedExpr {
        expr: QueryExpr::column(alias, &column.name),
        ty: column.ty,
        precision: column.precision,
    };
    columns.iter().map(leaf).collect()
}
