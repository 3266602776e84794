//! The query as it was written, with the place of everything.

use pivot_advice::{Binary, Match, Type, Value};
use std::ops::Range;

/// Bytes of the query text.
pub(crate) type Span = Range<usize>;

/// A name and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// A whole query. Clauses that did not parse are missing, and `broken` says so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) with: Vec<With>,
    pub(crate) from: Option<From>,
    pub(crate) joins: Vec<Join>,
    pub(crate) steps: Vec<Step>,
    pub(crate) group: Option<Vec<Expr>>,
    pub(crate) select: Vec<Item>,
    /// Where DISTINCT stands.
    pub(crate) distinct: Option<Span>,
    pub(crate) tail: Tail,
    pub(crate) span: Span,
    /// Some clause did not parse: what it would have bound is not known.
    pub(crate) broken: bool,
}

/// What may follow SELECT, each with the place of its keyword.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail {
    pub(crate) having: Option<Clause<Expr>>,
    pub(crate) order: Option<Clause<Vec<Order>>>,
    pub(crate) limit: Option<Clause<u64>>,
    /// The fraction of requests.
    pub(crate) sample: Option<Clause<f64>>,
    /// Nanoseconds.
    pub(crate) every: Option<Clause<i64>>,
    /// Nanoseconds.
    pub(crate) duration: Option<Clause<i64>>,
    pub(crate) within: Option<Clause<Vec<Budget>>>,
    pub(crate) into: Option<Clause<Sink>>,
}

/// A clause and the place of its keyword.
#[derive(Debug, Clone)]
pub(crate) struct Clause<T> {
    pub(crate) span: Span,
    pub(crate) body: T,
}

/// `expr [ASC | DESC]`
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) expr: Expr,
    pub(crate) descending: bool,
}

/// `groups 1000`: its name, and a number, or a fraction if it was written with `%`.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pub(crate) name: Name,
    pub(crate) amount: f64,
    pub(crate) percent: bool,
}

/// `name (key = value, ..)`
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    pub(crate) name: Name,
    pub(crate) options: Vec<(Name, Value)>,
}

/// `name AS (query)`
#[derive(Debug, Clone)]
pub(crate) struct With {
    pub(crate) name: Name,
    pub(crate) query: Query,
}

/// `FROM alias IN source, ..`
#[derive(Debug, Clone)]
pub(crate) struct From {
    pub(crate) alias: Name,
    pub(crate) sources: Vec<Source>,
}

/// `JOIN alias IN source ON before -> after AND condition`
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) matching: Match,
    pub(crate) alias: Name,
    pub(crate) source: Source,
    pub(crate) before: Name,
    pub(crate) after: Name,
    pub(crate) condition: Option<Expr>,
}

/// Where tuples come from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) kind: SourceKind,
    pub(crate) span: Span,
}

/// The kinds of sources.
#[derive(Debug, Clone)]
pub(crate) enum SourceKind {
    /// A tracepoint or a named query.
    Named(String),
    /// `First n (source WHERE condition)`
    Temporal { which: Which, n: u32, source: Box<Source>, condition: Option<Expr> },
    /// `(query)`
    Query(Box<Query>),
    /// `UNNEST(source, field)`
    Unnest(Box<Source>, Name),
    /// Names with wildcards, or a regular expression.
    Pattern(NamePattern),
}

/// A pattern of tracepoint names, with what their fields must equal.
#[derive(Debug, Clone)]
pub(crate) struct NamePattern {
    pub(crate) text: String,
    pub(crate) is_regex: bool,
    pub(crate) fields: Vec<(Name, Value)>,
}

/// Which end of the past a temporal source keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    First,
    MostRecent,
}

/// LET and WHERE, in the order of the text.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Let(Name, Expr),
    Where(Expr),
}

/// One column of the result.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) expr: Expr,
    pub(crate) name: Option<Name>,
}

/// An expression and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) span: Span,
}

/// The kinds of expressions. Chains of operators are lists, so that their length costs no depth.
#[derive(Debug, Clone)]
pub(crate) enum ExprKind {
    Path(Vec<String>),
    Literal(Value),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    /// AND and OR over all operands of one level.
    Connective(Binary, Vec<Expr>),
    /// Operators of one strength, from the left.
    Chain(Box<Expr>, Vec<(Binary, Expr)>),
    Compare(Binary, Box<Expr>, Box<Expr>),
    In(Box<Expr>, Vec<Expr>),
    Between(Box<Expr>, Box<Expr>, Box<Expr>),
    Like(Box<Expr>, String),
    Regex(Box<Expr>, Name),
    IsNull(Box<Expr>),
    Case {
        operand: Option<Box<Expr>>,
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast(Box<Expr>, Type),
    Call(Name, Vec<Expr>),
    /// `COUNT(DISTINCT x)`
    CountDistinct(Name, Box<Expr>),
    /// `COUNT` and `COUNT(*)`
    CountRows,
}

impl Expr {
    /// The expressions directly inside this one.
    pub(crate) fn children(&self) -> Vec<&Expr> {
        use ExprKind::*;
        match &self.kind {
            Path(_) | Literal(_) | CountRows => vec![],
            CountDistinct(_, x) => vec![x],
            Not(x) | Negate(x) | Like(x, _) | Regex(x, _) | IsNull(x) | Cast(x, _) => vec![x],
            Compare(_, x, y) => vec![x, y],
            Between(x, low, high) => vec![x, low, high],
            Connective(_, list) | Call(_, list) => list.iter().collect(),
            In(x, list) => std::iter::once(&**x).chain(list).collect(),
            Chain(x, rest) => std::iter::once(&**x).chain(rest.iter().map(|(_, y)| y)).collect(),
            Case { operand, arms, otherwise } => {
                let arms = arms.iter().flat_map(|(when, then)| [when, then]);
                operand.as_deref().into_iter().chain(arms).chain(otherwise.as_deref()).collect()
            }
        }
    }
}
