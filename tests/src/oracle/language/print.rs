//! Queries as text for the compiler, with parentheses only where they are needed.

use crate::oracle::language::calendar;
use crate::oracle::language::query::{
    AggregateFunction, BinaryOp, Join, JoinKind, OperatorNegation, OrderByKey, Query, QueryExpr, RowClause,
    ScalarFunction, SelectItem, Source, TemporalKeep, TracepointPattern,
};
use pivot_advice::Value;
use std::fmt::{self, Display, Formatter};

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Of a query inside another everything stands on one line.
        let gap = if f.alternate() { " " } else { "\n" };
        for (i, (name, query)) in self.with.iter().enumerate() {
            write!(f, "{}{} AS ({query:#})", if i == 0 { "WITH " } else { ", " }, Ident(name))?;
            f.write_str(if i + 1 == self.with.len() { gap } else { "" })?;
        }

        let select = format!("SELECT {}{}", if self.distinct { "DISTINCT " } else { "" }, list(&self.select));
        if self.select_first {
            write!(f, "{select}{gap}")?;
        }

        write!(f, "FROM {} IN {}", Ident(&self.alias), list(&self.from))?;
        self.joins.iter().try_for_each(|join| write!(f, "{gap}{join}"))?;

        for step in &self.steps {
            match step {
                RowClause::Let(name, expr) => write!(f, "{gap}LET {} = {expr}", Ident(name))?,
                RowClause::Where(condition) => write!(f, "{gap}WHERE {condition}")?,
            }
        }

        if let Some(group) = &self.group {
            // The original's spelling is the same.
            let group_by = if group.len() == 2 { "GroupBy" } else { "GROUP BY" };
            write!(f, "{gap}{group_by} {}", list(group))?;
        }

        if !self.select_first {
            write!(f, "{gap}{select}")?;
        }

        if let Some(having) = &self.having {
            write!(f, "{gap}HAVING {having}")?;
        }

        let orders = self.order.iter().map(|OrderByKey { expr, descending, nulls_first }| {
            let direction = if *descending { " DESC" } else { "" };
            let nulls = nulls_first.map_or("", |first| if first { " NULLS FIRST" } else { " NULLS LAST" });
            format!("{expr}{direction}{nulls}")
        });
        let orders: Vec<String> = orders.collect();

        if !orders.is_empty() {
            write!(f, "{gap}ORDER BY {}", orders.join(", "))?;
        }

        self.limit.map_or(Ok(()), |limit| write!(f, "{gap}LIMIT {limit}"))?;
        self.sample.map_or(Ok(()), |fraction| write!(f, "{gap}SAMPLE {fraction:?}"))
    }
}

/// A name, in quotes where it would mean something else without.
struct Ident<'a>(&'a str);

impl Display for Ident<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let reserved = ["from", "select", "group", "end"].contains(&self.0);
        let plain = self.0.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if plain && !reserved {
            f.write_str(self.0)
        } else {
            write!(f, "\"{}\"", self.0.replace('"', "\"\""))
        }
    }
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Display for Join {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            JoinKind::Inner => "",
            JoinKind::Left => "LEFT ",
            JoinKind::Anti => "ANTI ",
        })?;
        let Join { alias, sources, after, .. } = self;
        let (alias, after) = (Ident(alias), Ident(after));
        write!(f, "JOIN {alias} IN {} ON {alias} -> {after}", list(sources))?;
        self.condition.as_ref().map_or(Ok(()), |condition| write!(f, " AND {condition}"))
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Source::Tracepoint(name) => f.write_str(name),
            Source::Named(name) => Ident(name).fmt(f),
            Source::Pattern(TracepointPattern { glob, field }) => {
                f.write_str(glob)?;
                let Some((field, value)) = field else { return Ok(()) };
                write!(f, "[{}={}]", Ident(field), QueryExpr::Literal(value.clone()))
            }
            Source::Query(query) => write!(f, "({query:#})"),
            Source::Unnest(source, field) => write!(f, "UNNEST({source}, {})", Ident(field)),

            // The three spellings of the number of tuples mean one thing, and each is to be read.
            Source::Temporal { keep, n, source, condition } => {
                let name = if *keep == TemporalKeep::First { "First" } else { "MostRecent" };
                match n {
                    1 => write!(f, "{name}({source}")?,
                    3 => write!(f, "{name}N(3, {source}")?,
                    n => write!(f, "{name} {n} ({source}")?,
                }
                condition.as_ref().map_or(Ok(()), |condition| write!(f, " WHERE {condition}"))?;
                f.write_str(")")
            }
        }
    }
}

impl Display for SelectItem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " AS {}", Ident(name)))
    }
}

/// How strongly an expression holds together; operands that hold less need parentheses.
fn strength(expr: &QueryExpr) -> u8 {
    match expr {
        QueryExpr::Binary(op, ..) => symbol(*op).1,
        QueryExpr::Not(_) => 3,
        QueryExpr::In(..)
        | QueryExpr::Between(..)
        | QueryExpr::Like(..)
        | QueryExpr::Regex(..)
        | QueryExpr::IsNull(..) => 4,

        QueryExpr::Negate(_) => 8,
        QueryExpr::Literal(value) if is_negative(value) => 8,
        _ => 9,
    }
}

fn is_negative(value: &Value) -> bool {
    match value {
        Value::I64(x) | Value::Duration(x) => *x < 0,
        Value::F64(x) => x.is_sign_negative(),
        _ => false,
    }
}

fn symbol(op: BinaryOp) -> (&'static str, u8) {
    match op {
        BinaryOp::Or => ("OR", 1),
        BinaryOp::And => ("AND", 2),

        BinaryOp::Equal => ("=", 4),
        BinaryOp::NotEqual => ("!=", 4),
        BinaryOp::Less => ("<", 4),
        BinaryOp::LessEqual => ("<=", 4),
        BinaryOp::Greater => (">", 4),
        BinaryOp::GreaterEqual => (">=", 4),

        BinaryOp::Concat => ("||", 5),
        BinaryOp::Add => ("+", 6),
        BinaryOp::Subtract => ("-", 6),
        BinaryOp::Multiply => ("*", 7),
        BinaryOp::Divide => ("/", 7),
        BinaryOp::Remainder => ("%", 7),
    }
}

/// An operand in a place that asks for some strength.
fn operand(expr: &QueryExpr, least: u8) -> String {
    if strength(expr) < least { format!("({expr})") } else { expr.to_string() }
}

fn not(negated: OperatorNegation) -> &'static str {
    if negated == OperatorNegation::Yes { "NOT " } else { "" }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Display for QueryExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            QueryExpr::Literal(value) => write_literal(f, value),
            QueryExpr::Param(name, _) => write!(f, "${name}"),
            QueryExpr::Column(alias, field) => write!(f, "{}.{}", Ident(alias), Ident(field)),
            QueryExpr::Name(name) => Ident(name).fmt(f),
            QueryExpr::Place(number) => number.fmt(f),
            QueryExpr::Extract(x, regex, group) => {
                write!(f, "regexp_extract({x}, {}", quoted(&regex.to_string()))?;
                group.map_or(Ok(()), |group| write!(f, ", {group}"))?;
                f.write_str(")")
            }
            QueryExpr::Rate(None) => f.write_str("RATE(*)"),
            QueryExpr::Rate(Some(x)) => write!(f, "RATE({x})"),

            QueryExpr::Not(x) => write!(f, "NOT {}", operand(x, 4)),
            QueryExpr::Negate(x) => write!(f, "-{}", operand(x, 9)),
            QueryExpr::Binary(op, x, y) => {
                let (symbol, strength) = symbol(*op);
                // Comparisons do not chain, connectives show how they nest, the others associate to the left.
                let left = if strength <= 4 { strength + 1 } else { strength };
                write!(f, "{} {symbol} {}", operand(x, left), operand(y, strength + 1))
            }

            // What is asked of a value: the operand has to hold together more than a comparison.
            QueryExpr::In(negated, x, items) => {
                write!(f, "{} {}IN ({})", operand(x, 5), not(*negated), list(items))
            }
            QueryExpr::Between(negated, x, low, high) => {
                let (x, low, high) = (operand(x, 5), operand(low, 5), operand(high, 5));
                write!(f, "{x} {}BETWEEN {low} AND {high}", not(*negated))
            }
            QueryExpr::Like(negated, x, pattern) => {
                write!(f, "{} {}LIKE {}", operand(x, 5), not(*negated), quoted(pattern))
            }
            QueryExpr::Regex(negated, x, regex) => {
                let symbol = if *negated == OperatorNegation::Yes { "!~" } else { "~" };
                write!(f, "{} {symbol} {}", operand(x, 5), quoted(&regex.to_string()))
            }
            QueryExpr::IsNull(negated, x) => write!(f, "{} IS {}NULL", operand(x, 5), not(*negated)),

            QueryExpr::Case { operand, arms, otherwise } => {
                f.write_str("CASE")?;
                operand.as_ref().map_or(Ok(()), |operand| write!(f, " {operand}"))?;
                arms.iter().try_for_each(|(when, then)| write!(f, " WHEN {when} THEN {then}"))?;
                otherwise.as_ref().map_or(Ok(()), |otherwise| write!(f, " ELSE {otherwise}"))?;
                f.write_str(" END")
            }
            QueryExpr::Cast(x, ty) => write!(f, "CAST({x} AS {ty})"),
            QueryExpr::Call(function, arguments) => write!(f, "{function}({})", list(arguments)),

            QueryExpr::CountRows => f.write_str("COUNT"),
            QueryExpr::Aggregate(aggregate, x) => write_aggregate(f, aggregate, x),
        }
    }
}

fn write_aggregate(f: &mut Formatter<'_>, aggregate: &AggregateFunction, x: &QueryExpr) -> fmt::Result {
    match aggregate {
        AggregateFunction::CountDistinct => write!(f, "COUNT(DISTINCT {x})"),
        AggregateFunction::Quantile(q) => match named_quantile(*q) {
            Some(name) => write!(f, "{name}({x})"),
            None => write!(f, "QUANTILE({x}, {q:?})"),
        },

        AggregateFunction::Linear(bounds) => {
            let bounds = bounds.each_ref().map(|bound| QueryExpr::Literal(bound.clone()));
            write!(f, "LHIST({x}, {})", list(&bounds))
        }
        AggregateFunction::Top(k) => write!(f, "TOPK({x}, {k})"),
        _ => write!(f, "{}({x})", aggregate_name(aggregate)),
    }
}

fn named_quantile(q: f64) -> Option<&'static str> {
    let named = [(0.5, "P50"), (0.9, "P90"), (0.95, "P95"), (0.99, "P99"), (0.999, "P999")];
    named.into_iter().find(|(known, _)| *known == q).map(|(_, name)| name)
}

pub(crate) fn aggregate_name(aggregate: &AggregateFunction) -> &'static str {
    match aggregate {
        AggregateFunction::Count | AggregateFunction::CountDistinct => "COUNT",
        AggregateFunction::Sum => "SUM",
        AggregateFunction::Min => "MIN",
        AggregateFunction::Max => "MAX",
        AggregateFunction::Average => "AVERAGE",
        AggregateFunction::StdDev => "STDDEV",
        AggregateFunction::Variance => "VARIANCE",
        AggregateFunction::StdDevPop => "STDDEV_POP",
        AggregateFunction::VariancePop => "VAR_POP",

        // Sketches, and what may be any of several values.
        AggregateFunction::Any => "ANY",
        AggregateFunction::Quantile(_) => "QUANTILE",
        AggregateFunction::Hist => "HIST",
        AggregateFunction::Linear(_) => "LHIST",
        AggregateFunction::Top(_) => "TOPK",
    }
}

fn write_literal(f: &mut Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Str(text) => f.write_str(&quoted(text)),
        Value::Duration(ns) => write!(f, "{ns}ns"),
        Value::Timestamp(ns) => write!(f, "timestamp {}", quoted(&calendar::written(*ns))),
        other => other.fmt(f),
    }
}

impl Display for ScalarFunction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScalarFunction::Lower => "lower",
            ScalarFunction::Upper => "upper",
            ScalarFunction::Length => "length",
            ScalarFunction::Substr => "substr",
            ScalarFunction::SplitPart => "split_part",
            ScalarFunction::StartsWith => "starts_with",
            ScalarFunction::Contains => "contains",

            ScalarFunction::Abs => "abs",
            ScalarFunction::Floor => "floor",
            ScalarFunction::Ceil => "ceil",
            ScalarFunction::Round => "round",
            ScalarFunction::Ln => "ln",
            ScalarFunction::Log2 => "log2",
            ScalarFunction::Pow => "pow",
            ScalarFunction::Bucket => "bucket",
            ScalarFunction::Truncate => "truncate",

            ScalarFunction::Coalesce => "coalesce",
            ScalarFunction::If => "if",
        })
    }
}
