//! The query as it was written, with the place of everything.

use crate::lexical::aggregate_function;
use crate::sort_order::SortOrder;
use pivot_advice::{BinaryOperator, JoinKind, Type, Value};
use std::rc::Rc;

pub(crate) use crate::lexical::TextSpan;

/// A name and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NameAt {
    pub(crate) text: String,
    pub(crate) span: TextSpan,
}

/// A whole query. Clauses that did not parse are missing, and `broken` says so.
#[derive(Debug, Clone, Default)]
pub(crate) struct AstQuery {
    /// Definitions of queries that this one uses.
    pub(crate) with: Vec<NamedSubquery>,
    pub(crate) from: Option<FromClause>,
    pub(crate) joins: Vec<JoinClause>,
    /// LET and WHERE, in the order of the text.
    pub(crate) steps: Vec<RowClause>,
    /// The keys of GROUP BY; `None` without that clause.
    pub(crate) group: Option<Vec<AstExpr>>,
    /// The columns of SELECT.
    pub(crate) select: Vec<SelectItem>,
    /// The place of DISTINCT.
    pub(crate) distinct: Option<TextSpan>,
    /// The clauses that come after SELECT.
    pub(crate) result: TrailingClauses,
    pub(crate) span: TextSpan,
    /// Whether the query has GROUP BY or an aggregate, so that its result is groups and no events.
    pub(crate) is_aggregating: bool,
    /// Some clause did not parse: what it would have bound is not known.
    pub(crate) broken: bool,
}

/// All the clauses that may come after SELECT, HAVING to INTO, each with the place of its keyword.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrailingClauses {
    pub(crate) having: Option<PlacedClause<AstExpr>>,
    pub(crate) order: Option<PlacedClause<Vec<OrderItem>>>,
    pub(crate) limit: Option<PlacedClause<u64>>,
    /// The fraction of requests.
    pub(crate) sample: Option<PlacedClause<f64>>,
    /// The length of a window, in nanoseconds.
    pub(crate) every: Option<PlacedClause<i64>>,
    /// FOR: how long the query runs, in nanoseconds.
    pub(crate) duration: Option<PlacedClause<i64>>,
    /// The budgets that the query asks for.
    pub(crate) within: Option<PlacedClause<Vec<BudgetItem>>>,
    /// How long windows are kept after they have closed, in nanoseconds.
    pub(crate) keep: Option<PlacedClause<i64>>,
    /// Where each closed window is written.
    pub(crate) into: Option<PlacedClause<SinkClause>>,
}

/// A clause and the place of its keyword.
#[derive(Debug, Clone)]
pub(crate) struct PlacedClause<T> {
    pub(crate) span: TextSpan,
    pub(crate) body: T,
}

/// `expr [ASC | DESC] [NULLS FIRST | NULLS LAST]`
#[derive(Debug, Clone)]
pub(crate) struct OrderItem {
    pub(crate) expr: AstExpr,
    pub(crate) order: SortOrder,
}

/// `groups 1000`: its name, and a number, or a fraction if it was written with `%`.
#[derive(Debug, Clone)]
pub(crate) struct BudgetItem {
    pub(crate) name: NameAt,
    pub(crate) amount: f64,
    pub(crate) percent: bool,
}

/// `name (key = value, ..)`
#[derive(Debug, Clone)]
pub(crate) struct SinkClause {
    pub(crate) name: NameAt,
    pub(crate) options: Vec<(NameAt, Value)>,
}

/// `name AS (query)`
#[derive(Debug, Clone)]
pub(crate) struct NamedSubquery {
    pub(crate) name: NameAt,
    /// Shared by all places that it is written out in.
    pub(crate) query: Rc<AstQuery>,
}

/// `FROM alias IN source, ..`
#[derive(Debug, Clone)]
pub(crate) struct FromClause {
    pub(crate) alias: NameAt,
    pub(crate) sources: Vec<SourceClause>,
}

/// `JOIN alias IN source, .. ON before -> after AND condition`
#[derive(Debug, Clone)]
pub(crate) struct JoinClause {
    pub(crate) matching: JoinKind,
    pub(crate) alias: NameAt,
    /// Several are a union.
    pub(crate) sources: Vec<SourceClause>,
    /// The alias left of the arrow, which should be that of the join.
    pub(crate) before: NameAt,
    /// The alias right of the arrow.
    pub(crate) after: NameAt,
    pub(crate) condition: Option<AstExpr>,
}

/// A source of tuples.
#[derive(Debug, Clone)]
pub(crate) struct SourceClause {
    pub(crate) kind: SourceKind,
    pub(crate) span: TextSpan,
}

/// The kinds of sources.
#[derive(Debug, Clone)]
pub(crate) enum SourceKind {
    /// A tracepoint or a named query.
    Named(String),
    /// `First n (source WHERE condition)`
    Temporal { which: TemporalChoice, n: u32, source: Box<SourceClause>, condition: Option<AstExpr> },
    /// `(query)`
    Query(Box<AstQuery>),
    /// `UNNEST(source, field)`
    Unnest(Box<SourceClause>, NameAt),
    /// Names with wildcards, or a regular expression.
    Pattern(TracepointPattern),
}

/// A pattern of tracepoint names, with what their fields must equal.
#[derive(Debug, Clone)]
pub(crate) struct TracepointPattern {
    pub(crate) text: String,
    pub(crate) is_regex: bool,
    pub(crate) fields: Vec<(NameAt, Value)>,
}

/// The end of the past that a temporal source keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TemporalChoice {
    First,
    MostRecent,
}

/// LET and WHERE, in the order of the text.
#[derive(Debug, Clone)]
pub(crate) enum RowClause {
    Let(NameAt, AstExpr),
    Where(AstExpr),
}

/// One column of the result.
#[derive(Debug, Clone)]
pub(crate) struct SelectItem {
    pub(crate) expr: AstExpr,
    pub(crate) name: Option<NameAt>,
}

/// An expression and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct AstExpr {
    pub(crate) kind: AstExprKind,
    pub(crate) span: TextSpan,
}

/// The kinds of expressions. Chains of operators are lists, so that their length costs no depth.
#[derive(Debug, Clone)]
pub(crate) enum AstExprKind {
    Path(Vec<String>),
    Literal(Value),
    Not(Box<AstExpr>),
    Negate(Box<AstExpr>),
    /// AND and OR over all operands of one level.
    Connective(BinaryOperator, Vec<AstExpr>),
    /// Operators of one strength, from the left.
    Chain(Box<AstExpr>, Vec<(BinaryOperator, AstExpr)>),
    Compare(BinaryOperator, Box<AstExpr>, Box<AstExpr>),
    In(Box<AstExpr>, Vec<AstExpr>),
    Between(Box<AstExpr>, Box<AstExpr>, Box<AstExpr>),
    Like(Box<AstExpr>, NameAt),
    Regex(Box<AstExpr>, NameAt),
    IsNull(Box<AstExpr>),
    Case {
        operand: Option<Box<AstExpr>>,
        arms: Vec<(AstExpr, AstExpr)>,
        otherwise: Option<Box<AstExpr>>,
    },
    Cast(Box<AstExpr>, Type),
    Call(NameAt, Vec<AstExpr>),
    /// `COUNT(DISTINCT x)`
    CountDistinct(NameAt, Box<AstExpr>),
    /// `COUNT` and `COUNT(*)`
    CountRows,
}

impl AstQuery {
    /// Returns the alias of FROM; empty if that is missing.
    pub(crate) fn alias(&self) -> &str {
        self.from.as_ref().map_or("", |from| &from.alias.text)
    }

    /// Returns whether the query has GROUP BY or an aggregate. It looks at every expression of SELECT: the
    /// parser asks once, and keeps the answer.
    pub(crate) fn has_groups(&self) -> bool {
        self.group.is_some() || self.select.iter().any(|item| item.expr.has_aggregate())
    }
}

impl JoinClause {
    /// Returns the place of all its sources.
    pub(crate) fn source_span(&self) -> TextSpan {
        let first = self.sources.first().map_or(self.alias.span, |source| source.span);
        let last = self.sources.last().map_or(first, |source| source.span);
        TextSpan::new(first.start, last.end)
    }
}

impl AstExpr {
    /// Returns whether an aggregate function is called anywhere in the expression.
    pub(crate) fn has_aggregate(&self) -> bool {
        match &self.kind {
            AstExprKind::CountRows | AstExprKind::CountDistinct(..) => true,
            AstExprKind::Call(name, _) if aggregate_function(&name.text).is_some() => true,
            _ => self.children().into_iter().any(AstExpr::has_aggregate),
        }
    }

    /// Returns the expressions directly inside of this one.
    pub(crate) fn children(&self) -> Vec<&AstExpr> {
        use AstExprKind::*;
        match &self.kind {
            Path(_) | Literal(_) | CountRows => vec![],

            // One operand, two, and three.
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
