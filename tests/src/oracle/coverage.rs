//! Which parts of the language a case uses, and how often each is used in a run of many cases.

use crate::oracle::case::{Agreement, Case, has_choice};
use crate::oracle::language::query::{
    AggregateFunction, BinaryOp, Join, JoinKind, Query, QueryExpr, RowClause, Source, TemporalKeep,
};
use crate::oracle::run::event_dag::RunStep;
use pivot_advice::{Type, Value};
use pivot_query::CompileOptions;
use std::collections::BTreeMap;
use std::fmt;

/// The parts, but for operators, functions and aggregates, which have their own names.
const PARTS: [&str; 59] = [
    "JOIN",
    "LEFT JOIN",
    "ANTI JOIN",
    "JOIN AND",
    "JOIN below LEFT or ANTI",
    "JOIN on a joined alias",
    "JOIN on a temporal alias",
    "two JOINs on one alias",
    "union",
    "union of queries",
    "union in JOIN with a choice",
    "union in JOIN with an aggregating query",
    "union in JOIN of aggregating queries alone",
    "union in JOIN with a choice, LEFT or ANTI",
    "JOIN on a union with a choice",
    "pattern",
    "pattern with a field",
    "First",
    "MostRecent",
    "First or MostRecent of several",
    "First or MostRecent WHERE",
    "First or MostRecent of joins",
    "UNNEST",
    "UNNEST below First or MostRecent",
    "query in FROM",
    "query in JOIN",
    "aggregating query in JOIN",
    "query in a query",
    "WITH",
    "WHERE",
    "LET",
    "LET after LET",
    "GROUP BY",
    "DISTINCT",
    "HAVING",
    "ORDER BY",
    "ORDER BY a number",
    "LIMIT",
    "SAMPLE",
    "SELECT first",
    "$param",
    "quoted name",
    "field of any type",
    "event outside of a request",
    "constant of a process",
    "test of a constant of a process",
    "hop to another process",
    "message without a reply",
    "cancelled call",
    "reply without baggage",
    "reply that lost its baggage",
    "LEFT or ANTI JOIN, replies lose baggage",
    "First or MostRecent, replies lose baggage",
    "LEFT or ANTI JOIN, baggage is cut",
    "uncertain rows",
    "result is partial",
    "evaluation without a value",
    "ruled out by constants",
    "condition decided by constants",
];

/// How often something was used.
#[derive(Debug, Default, Clone, Copy)]
struct CoverageCounts {
    cases: u64,
    with_rows: u64,
}

/// How often each part of the language was used, and each rule has fired.
#[derive(Debug, Default)]
pub struct Coverage {
    uses: BTreeMap<String, CoverageCounts>,
    cases: u64,
}

impl Coverage {
    /// Adds a case that agrees.
    pub fn add(&mut self, case: &Case, agreement: &Agreement) {
        self.cases += 1;
        let mut parts = parts_of(case);
        parts.extend(agreement.fired.iter().map(|rule| format!("rule {rule}")));
        // Some parts of a case are seen only as it runs.
        let found = [
            (agreement.partial, "result is partial"),
            (agreement.uncertain, "uncertain rows"),
            (agreement.errors, "evaluation without a value"),
            (agreement.constants.ruled_out, "ruled out by constants"),
            (agreement.constants.reduced, "condition decided by constants"),
        ];
        parts.extend(found.into_iter().filter(|(is, _)| *is).map(|(_, part)| part.to_owned()));
        // A part that a case uses twice is used by one case.
        parts.sort();
        parts.dedup();

        for part in parts {
            let uses = self.uses.entry(part).or_default();
            uses.cases += 1;
            uses.with_rows += u64::from(agreement.rows > 0);
        }
    }

    /// Adds what others have counted.
    pub fn merge(&mut self, other: Coverage) {
        self.cases += other.cases;
        for (part, more) in other.uses {
            let uses = self.uses.entry(part).or_default();
            uses.cases += more.cases;
            uses.with_rows += more.with_rows;
        }
    }

    /// Parts of the language, and rules, that no case used and had rows.
    pub fn unused(&self) -> Vec<String> {
        let mut due: Vec<String> = PARTS.iter().map(|part| (*part).to_owned()).collect();
        due.extend(CompileOptions::rules().map(|rule| format!("rule {rule}")));
        due.extend(FUNCTIONS.iter().chain(&AGGREGATES).map(|name| format!("{name}(..)")));
        due.extend(OPERATORS.iter().map(|name| (*name).to_owned()));
        due.retain(|part| self.uses.get(part).is_none_or(|uses| uses.with_rows == 0));
        due
    }
}

/// The fields that are constants of a process, or of a call site in it.
const CONSTANTS: [&str; 6] = ["host", "process", "pid", "tracepoint", "procName", "procId"];

const FUNCTIONS: [&str; 19] = [
    "lower",
    "upper",
    "length",
    "substr",
    "split_part",
    "starts_with",
    "contains",
    "regexp_extract",
    "abs",
    "floor",
    "ceil",
    "round",
    "ln",
    "log2",
    "pow",
    "bucket",
    "truncate",
    "coalesce",
    "if",
];

const AGGREGATES: [&str; 14] = [
    "COUNT",
    "COUNT(DISTINCT)",
    "SUM",
    "MIN",
    "MAX",
    "AVERAGE",
    "STDDEV",
    "VARIANCE",
    "ANY",
    "QUANTILE",
    "HIST",
    "LHIST",
    "TOPK",
    "RATE",
];

const OPERATORS: [&str; 9] =
    ["AND or OR", "NOT", "comparison", "arithmetic", "||", "IN", "BETWEEN", "LIKE", "~"];

fn parts_of(case: &Case) -> Vec<String> {
    let mut parts: Vec<&str> = Vec::new();
    let query = &case.query;
    let text = query.to_string();
    // What can only be said of the case as a whole.
    let outside = case.steps.iter().any(|step| matches!(step, RunStep::Outside(_)));
    let mut fields = case.tracepoints.iter().flat_map(|tracepoint| &tracepoint.fields);
    let any = fields.any(|(name, ty)| *ty == Type::Any && text.contains(&format!(".{name}")));

    let happens = |is: fn(&RunStep) -> bool| case.steps.iter().any(is);
    let loses_replies = happens(RunStep::loses_reply);
    let mut outer = false;
    query.each_query(&mut |query| outer |= query.joins.iter().any(|join| join.kind != JoinKind::Inner));
    let is_cut = case.budget_bytes < usize::MAX;

    for (is, part) in [
        (happens(|step| matches!(step, RunStep::Hop(_) | RunStep::Skew(..))), "hop to another process"),
        (happens(|step| matches!(step, RunStep::Detach(..))), "message without a reply"),
        (happens(|step| matches!(step, RunStep::Cancel(_))), "cancelled call"),
        (happens(|step| matches!(step, RunStep::Bare(..))), "reply without baggage"),
        (happens(|step| matches!(step, RunStep::Lost(..))), "reply that lost its baggage"),
        (loses_replies && outer, "LEFT or ANTI JOIN, replies lose baggage"),
        (loses_replies && has_choice(query), "First or MostRecent, replies lose baggage"),
        (is_cut && outer, "LEFT or ANTI JOIN, baggage is cut"),
        (outside, "event outside of a request"),
        (any, "field of any type"),
        (text.contains('"'), "quoted name"),
        (!query.with.is_empty(), "WITH"),
        (query.limit.is_some(), "LIMIT"),
        (query.sample.is_some(), "SAMPLE"),
        (query.order.iter().any(|order| matches!(order.expr, QueryExpr::Name(_))), "ORDER BY"),
        (query.order.iter().any(|order| matches!(order.expr, QueryExpr::Place(_))), "ORDER BY a number"),
        (query.order.iter().any(|order| order.nulls_first.is_some()), "NULLS FIRST"),
    ] {
        parts.extend(is.then_some(part));
    }

    // Parts of queries inside count as well, wherever they stand.
    query.each_query(&mut |query| parts.extend(parts_of_query(query)));
    let mut owned: Vec<String> = parts.into_iter().map(str::to_owned).collect();
    query.each_expression(&mut |expr| owned.extend(part_of_expression(expr)));
    // Where a constant is compared, agents may decide the condition when they weave.
    query.each_expression(&mut |expr| {
        let mut has_constant = false;
        expr.each(&mut |part| has_constant |= is_constant(part));
        if has_constant {
            let part =
                if is_test(expr) { "test of a constant of a process" } else { "constant of a process" };
            owned.push(part.to_owned());
        }
    });
    owned
}

/// Whether an expression compares or matches something.
fn is_test(expr: &QueryExpr) -> bool {
    match expr {
        QueryExpr::Binary(op, ..) => !matches!(
            op,
            BinaryOp::Add
                | BinaryOp::Subtract
                | BinaryOp::Multiply
                | BinaryOp::Divide
                | BinaryOp::Remainder
                | BinaryOp::Concat
        ),
        QueryExpr::In(..) | QueryExpr::Between(..) | QueryExpr::Like(..) | QueryExpr::Regex(..) => true,
        _ => false,
    }
}

/// Whether an expression is a field that is the same at every event of a call site in a process.
fn is_constant(expr: &QueryExpr) -> bool {
    let (QueryExpr::Column(_, name) | QueryExpr::Name(name)) = expr else { return false };
    CONSTANTS.contains(&name.as_str())
}

fn parts_of_query(query: &Query) -> Vec<&'static str> {
    let queries = |source: &Source| matches!(source, Source::Query(_) | Source::Named(_));
    let lets = query.steps.iter().filter(|step| matches!(step, RowClause::Let(..))).count();

    let mut parts = Vec::new();
    for (is, part) in [
        (query.from.len() > 1, "union"),
        (query.from.len() > 1 && query.from.iter().any(queries), "union of queries"),
        (query.from.iter().any(queries), "query in FROM"),
        (query.steps.len() > lets, "WHERE"),
        (lets > 0, "LET"),
        (lets > 1, "LET after LET"),
        (query.group.is_some(), "GROUP BY"),
        (query.distinct, "DISTINCT"),
        (query.having.is_some(), "HAVING"),
        (query.select_first, "SELECT first"),
    ] {
        parts.extend(is.then_some(part));
    }

    query.joins.iter().for_each(|join| {
        parts.push(match join.kind {
            JoinKind::Inner => "JOIN",
            JoinKind::Left => "LEFT JOIN",
            JoinKind::Anti => "ANTI JOIN",
        });
        // Where a join hangs decides by which way its tuples travel, so each place is a part of its own.
        let after = query.joins.iter().find(|other| other.alias == join.after);
        let beside = query.joins.iter().filter(|other| other.after == join.after).count();
        for (is, part) in [
            (join.condition.is_some(), "JOIN AND"),
            (beside > 1, "two JOINs on one alias"),
            (after.is_some(), "JOIN on a joined alias"),
            (after.is_some_and(|after| after.kind != JoinKind::Inner), "JOIN below LEFT or ANTI"),
            (after.is_some_and(|after| after.sources.iter().any(is_temporal)), "JOIN on a temporal alias"),
            (join.sources.iter().any(queries), "query in JOIN"),
            (join.sources.len() > 1, "union in JOIN"),
        ] {
            parts.extend(is.then_some(part));
        }
        parts.extend(after.is_some_and(chooses_in_union).then_some("JOIN on a union with a choice"));
        parts.extend(parts_of_union(join));
        for query in join.sources.iter().filter_map(Source::query) {
            parts.extend(query.aggregates().then_some("aggregating query in JOIN"));
        }
    });

    query.sources().for_each(|source| parts.extend(parts_of_source(source)));
    parts
}

/// Returns the parts of a join with several sources that choose or aggregate on their own.
fn parts_of_union(join: &Join) -> Vec<&'static str> {
    let is_united = join.sources.len() > 1;
    let aggregating = join.sources.iter().filter(|source| source.aggregates()).count();

    let mut parts = Vec::new();
    for (is, part) in [
        (chooses_in_union(join), "union in JOIN with a choice"),
        (chooses_in_union(join) && join.kind != JoinKind::Inner, "union in JOIN with a choice, LEFT or ANTI"),
        (is_united && aggregating > 0, "union in JOIN with an aggregating query"),
        (is_united && aggregating == join.sources.len(), "union in JOIN of aggregating queries alone"),
    ] {
        parts.extend(is.then_some(part));
    }
    parts
}

fn chooses_in_union(join: &Join) -> bool {
    join.sources.len() > 1 && join.sources.iter().any(|source| source.choice().is_some())
}

fn is_temporal(source: &Source) -> bool {
    matches!(source, Source::Temporal { .. })
}

fn parts_of_source(source: &Source) -> Vec<&'static str> {
    match source {
        Source::Pattern(pattern) if pattern.field.is_some() => vec!["pattern", "pattern with a field"],
        Source::Pattern(_) => vec!["pattern"],
        Source::Query(query) => {
            let nested = query.sources().any(|source| matches!(source, Source::Query(_)));
            nested.then_some("query in a query").into_iter().collect()
        }
        Source::Unnest(source, _) => [vec!["UNNEST"], parts_of_source(source)].concat(),

        // A choice is another thing for the plan by what it chooses from.
        Source::Temporal { keep, n, source, condition } => {
            let joins = matches!(&**source, Source::Query(query) if !query.joins.is_empty());
            let mut parts = vec![if *keep == TemporalKeep::First { "First" } else { "MostRecent" }];
            parts.extend((*n > 1).then_some("First or MostRecent of several"));
            parts.extend(condition.is_some().then_some("First or MostRecent WHERE"));
            parts.extend(joins.then_some("First or MostRecent of joins"));
            let unnested = matches!(**source, Source::Unnest(..));
            parts.extend(unnested.then_some("UNNEST below First or MostRecent"));
            [parts, parts_of_source(source)].concat()
        }
        Source::Tracepoint(_) | Source::Named(_) => vec![],
    }
}

fn part_of_expression(expr: &QueryExpr) -> Option<String> {
    let part = match expr {
        QueryExpr::Param(..) => "$param",
        QueryExpr::Not(_) => "NOT",
        QueryExpr::Binary(BinaryOp::And | BinaryOp::Or, ..) => "AND or OR",
        QueryExpr::Binary(BinaryOp::Concat, ..) => "||",
        QueryExpr::Binary(
            BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Remainder,
            ..,
        ) => "arithmetic",
        QueryExpr::Binary(..) => "comparison",
        QueryExpr::Negate(_) => "negation",
        QueryExpr::In(..) => "IN",
        QueryExpr::Between(..) => "BETWEEN",
        QueryExpr::Like(..) => "LIKE",
        QueryExpr::Regex(..) => "~",
        QueryExpr::IsNull(..) => "IS NULL",
        QueryExpr::Case { .. } => "CASE",
        QueryExpr::Cast(..) => "CAST",
        QueryExpr::Literal(Value::Null) => "NULL",
        QueryExpr::CountRows => "COUNT",
        QueryExpr::Aggregate(AggregateFunction::CountDistinct, _) => "COUNT(DISTINCT)(..)",
        QueryExpr::Extract(..) => "regexp_extract(..)",
        QueryExpr::Rate(_) => "RATE(..)",
        QueryExpr::Aggregate(aggregate, _) => {
            return Some(format!("{}(..)", crate::oracle::language::aggregate_name(aggregate)));
        }
        QueryExpr::Call(function, _) => return Some(format!("{function}(..)")),
        QueryExpr::Literal(_) | QueryExpr::Column(..) | QueryExpr::Name(_) | QueryExpr::Place(_) => {
            return None;
        }
    };

    Some(part.to_owned())
}

/// A line for each part: in how many cases it was used, in how many of a hundred, and how many had rows.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:44} {:>9} {:>7} {:>9}", "used", "cases", "share", "with rows")?;
        self.uses.iter().try_for_each(|(part, uses)| {
            let share = 100.0 * uses.cases as f64 / self.cases.max(1) as f64;
            writeln!(f, "{part:44} {:>9} {share:>6.2}% {:>9}", uses.cases, uses.with_rows)
        })
    }
}
