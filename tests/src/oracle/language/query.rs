//! Queries as the language defines them, apart from the compiler's own syntax tree.

use crate::oracle::language::regex::Regex;
use pivot_advice::{Type, Value};

/// A query. WITH, FROM, joins, LET and WHERE, GROUP BY, SELECT, HAVING, ORDER BY, LIMIT.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// WITH: queries by name, of which each may use those before it.
    pub with: Vec<(String, Query)>,
    /// The alias of FROM.
    pub alias: String,
    /// The sources of FROM; several are a union.
    pub from: Vec<Source>,
    /// JOIN, LEFT JOIN and ANTI JOIN.
    pub joins: Vec<Join>,
    /// LET and WHERE, in the order of the text.
    pub steps: Vec<RowClause>,
    /// GROUP BY.
    pub group: Option<Vec<QueryExpr>>,
    /// Whether SELECT says DISTINCT.
    pub distinct: bool,
    /// The columns of SELECT.
    pub select: Vec<SelectItem>,
    /// HAVING.
    pub having: Option<QueryExpr>,
    /// ORDER BY.
    pub order: Vec<OrderByKey>,
    /// LIMIT.
    pub limit: Option<usize>,
    /// SAMPLE: the fraction of requests that take part.
    pub sample: Option<f64>,
    /// Whether SELECT is written first.
    pub select_first: bool,
}

/// `JOIN alias IN source, .. ON alias -> after AND condition`
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    pub kind: JoinKind,
    pub alias: String,
    /// Several are a union.
    pub sources: Vec<Source>,
    pub after: String,
    pub condition: Option<QueryExpr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Anti,
}

/// Where tuples come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Tracepoint(String),
    Pattern(TracepointPattern),
    /// A query of WITH.
    Named(String),
    Query(Box<Query>),
    /// `First n (source WHERE condition)`
    Temporal {
        keep: TemporalKeep,
        n: usize,
        source: Box<Source>,
        condition: Option<QueryExpr>,
    },
    /// `UNNEST(source, field)`
    Unnest(Box<Source>, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemporalKeep {
    First,
    MostRecent,
}

/// A pattern of tracepoints: `*` is a part of a segment, `**` any text. It may ask for a field's value.
#[derive(Debug, Clone, PartialEq)]
pub struct TracepointPattern {
    pub glob: String,
    pub field: Option<(String, Value)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RowClause {
    Let(String, QueryExpr),
    Where(QueryExpr),
}

/// `expr AS name`
#[derive(Debug, Clone, PartialEq)]
pub struct SelectItem {
    pub expr: QueryExpr,
    pub name: Option<String>,
}

/// `expr [DESC] [NULLS FIRST | NULLS LAST]`
#[derive(Debug, Clone, PartialEq)]
pub struct OrderByKey {
    pub expr: QueryExpr,
    pub descending: bool,
    /// Whether null comes first or, if it is not said, counts as the largest value.
    pub nulls_first: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum QueryExpr {
    Literal(Value),
    /// `$name`, which stands for a value.
    Param(String, Value),
    /// `alias.field`
    Column(String, String),
    /// A LET, a column of the result, or a field inside a temporal source.
    Name(String),
    /// In ORDER BY, a column of the result by its number from 1.
    Place(usize),
    Not(Box<QueryExpr>),
    Negate(Box<QueryExpr>),
    /// Any operator with two operands, AND and OR included.
    Binary(BinaryOp, Box<QueryExpr>, Box<QueryExpr>),
    /// `x [NOT] IN (..)`
    In(OperatorNegation, Box<QueryExpr>, Vec<QueryExpr>),
    Between(OperatorNegation, Box<QueryExpr>, Box<QueryExpr>, Box<QueryExpr>),
    Like(OperatorNegation, Box<QueryExpr>, String),
    Regex(OperatorNegation, Box<QueryExpr>, Regex),
    /// `regexp_extract(x, '..' [, group])`
    Extract(Box<QueryExpr>, Regex, Option<usize>),
    IsNull(OperatorNegation, Box<QueryExpr>),
    Case {
        operand: Option<Box<QueryExpr>>,
        arms: Vec<(QueryExpr, QueryExpr)>,
        otherwise: Option<Box<QueryExpr>>,
    },
    Cast(Box<QueryExpr>, Type),
    Call(ScalarFunction, Vec<QueryExpr>),
    /// `COUNT` and `COUNT(*)`
    CountRows,
    Aggregate(AggregateFunction, Box<QueryExpr>),
    /// `RATE(..)` of an aggregate, or of the sum of a value; of nothing it is of rows.
    Rate(Option<Box<QueryExpr>>),
}

/// Whether NOT stands inside the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorNegation {
    No,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Concat,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarFunction {
    Lower,
    Upper,
    Length,
    Substr,
    SplitPart,
    StartsWith,
    Contains,
    Abs,
    Floor,
    Ceil,
    Round,
    Ln,
    Log2,
    Pow,
    Bucket,
    Truncate,
    Coalesce,
    If,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AggregateFunction {
    Count,
    CountDistinct,
    Sum,
    Min,
    Max,
    Average,
    StdDev,
    Variance,
    StdDevPop,
    VariancePop,
    Any,
    /// `QUANTILE(x, q)`, or `Pxx(x)` for those that have a name.
    Quantile(f64),
    Hist,
    /// `LHIST(x, least, most, step)`
    Linear(Box<[Value; 3]>),
    /// `TOPK(x, k)`
    Top(usize),
}

impl Query {
    /// Whether it has GROUP BY or an aggregate.
    pub fn aggregates(&self) -> bool {
        self.group.is_some() || self.select.iter().any(|item| item.expr.aggregates())
    }

    /// All sources, those inside others not.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.from.iter().chain(self.joins.iter().flat_map(|join| &join.sources))
    }

    /// Visits all queries, the ones inside and this one.
    pub fn each_query(&self, visit: &mut dyn FnMut(&Query)) {
        self.with.iter().for_each(|(_, query)| query.each_query(visit));
        self.each_source(&mut |source| {
            if let Source::Query(query) = source {
                visit(query);
            }
        });
        visit(self);
    }

    /// Visits all sources of the query and of those inside, but for WITH.
    pub fn each_source(&self, visit: &mut dyn FnMut(&Source)) {
        self.sources().for_each(|source| source.each(visit));
    }

    /// Visits all expressions, those inside others and inside queries too.
    pub fn each_expression(&self, visit: &mut dyn FnMut(&QueryExpr)) {
        self.each_query(&mut |query| {
            query.expressions().into_iter().for_each(|expr| expr.each(visit));
            query.each_source_of_its_own(&mut |source| {
                if let Source::Temporal { condition: Some(condition), .. } = source {
                    condition.each(visit);
                }
            });
        });
    }

    fn each_source_of_its_own(&self, visit: &mut dyn FnMut(&Source)) {
        self.sources().for_each(|source| {
            let mut source = source;
            loop {
                visit(source);
                match source {
                    Source::Temporal { source: inner, .. } | Source::Unnest(inner, _) => source = inner,
                    _ => return,
                }
            }
        });
    }

    /// The expressions of the clauses of the query, not of the queries in it.
    pub fn expressions(&self) -> Vec<&QueryExpr> {
        let joins = self.joins.iter().filter_map(|join| join.condition.as_ref());
        let steps = self.steps.iter().map(|step| match step {
            RowClause::Let(_, expr) | RowClause::Where(expr) => expr,
        });
        let selected = self.select.iter().map(|item| &item.expr);
        let ordered = self.order.iter().map(|order| &order.expr);
        let shown = selected.chain(&self.having).chain(ordered);
        joins.chain(steps).chain(self.group.iter().flatten()).chain(shown).collect()
    }

    /// The names of the columns of SELECT, as another query names them.
    pub fn columns(&self) -> Vec<String> {
        let name = |item: &SelectItem| match (&item.name, &item.expr) {
            (Some(name), _) | (None, QueryExpr::Name(name) | QueryExpr::Column(_, name)) => name.clone(),
            _ => "value".to_owned(),
        };
        self.select.iter().map(name).collect()
    }

    /// The query with the queries of WITH written out where they are used.
    pub fn written_out(&self, known: &[(String, Query)]) -> Query {
        let mut known = known.to_vec();
        for (name, query) in &self.with {
            let query = query.written_out(&known);
            known.insert(0, (name.clone(), query));
        }
        let mut whole = Query { with: vec![], ..self.clone() };
        whole.from.iter_mut().for_each(|source| source.write_out(&known));
        let joined = whole.joins.iter_mut().flat_map(|join| &mut join.sources);
        joined.for_each(|source| source.write_out(&known));
        whole
    }
}

impl Source {
    /// The query that it is, if it is one.
    pub fn query(&self) -> Option<&Query> {
        if let Source::Query(query) = self { Some(query) } else { None }
    }

    /// The First or MostRecent that it is, or whose tuples it takes apart.
    pub fn choice(&self) -> Option<&Source> {
        match self {
            Source::Temporal { .. } => Some(self),
            Source::Unnest(source, _) => source.choice(),
            Source::Tracepoint(_) | Source::Pattern(_) | Source::Named(_) | Source::Query(_) => None,
        }
    }

    /// Whether it is a query that aggregates.
    pub fn aggregates(&self) -> bool {
        self.query().is_some_and(Query::aggregates)
    }

    fn each(&self, visit: &mut dyn FnMut(&Source)) {
        visit(self);
        match self {
            Source::Query(query) => query.each_source(visit),
            Source::Temporal { source, .. } | Source::Unnest(source, _) => source.each(visit),
            Source::Tracepoint(_) | Source::Pattern(_) | Source::Named(_) => {}
        }
    }

    fn write_out(&mut self, known: &[(String, Query)]) {
        match self {
            Source::Named(name) => {
                let found = known.iter().find(|(known, _)| known == name);
                let (_, query) = found.unwrap_or_else(|| panic!("no query {name}"));
                *self = Source::Query(Box::new(query.clone()));
            }
            Source::Query(query) => **query = query.written_out(known),
            Source::Temporal { source, .. } | Source::Unnest(source, _) => source.write_out(known),
            Source::Tracepoint(_) | Source::Pattern(_) => {}
        }
    }
}

impl TracepointPattern {
    /// Whether a tracepoint has a name like this; without a location it may be at any.
    pub fn matches(&self, tracepoint: &str) -> bool {
        let split = |text: &'_ str| match text.split_once('@') {
            Some((name, location)) => (name.to_owned(), Some(location.to_owned())),
            None => (text.to_owned(), None),
        };
        let ((wanted, location), (name, at)) = (split(&self.glob), split(tracepoint));
        let placed = match location {
            Some(_) => at == location,
            None => true,
        };
        placed && fits(&wanted, &name)
    }
}

fn fits(glob: &str, name: &str) -> bool {
    let mut ends = (0..=name.len()).filter(|end| name.is_char_boundary(*end));
    if let Some(rest) = glob.strip_prefix("**") {
        return ends.any(|end| fits(rest, &name[end..]));
    }

    if let Some(rest) = glob.strip_prefix('*') {
        return ends.any(|end| !name[..end].contains(['.', ':']) && fits(rest, &name[end..]));
    }

    match glob.chars().next() {
        None => name.is_empty(),
        Some(first) => name.strip_prefix(first).is_some_and(|rest| fits(&glob[first.len_utf8()..], rest)),
    }
}

impl QueryExpr {
    pub fn column(alias: &str, field: &str) -> QueryExpr {
        QueryExpr::Column(alias.to_owned(), field.to_owned())
    }

    pub fn binary(op: BinaryOp, x: QueryExpr, y: QueryExpr) -> QueryExpr {
        QueryExpr::Binary(op, Box::new(x), Box::new(y))
    }

    /// The expressions directly inside this one.
    pub fn children(&self) -> Vec<&QueryExpr> {
        match self {
            QueryExpr::Literal(_) | QueryExpr::Param(..) | QueryExpr::Column(..) => vec![],
            QueryExpr::Name(_) | QueryExpr::Place(_) | QueryExpr::CountRows | QueryExpr::Rate(None) => vec![],

            QueryExpr::Not(x) | QueryExpr::Negate(x) | QueryExpr::Cast(x, _) | QueryExpr::Aggregate(_, x) => {
                vec![x]
            }
            QueryExpr::Like(_, x, _) | QueryExpr::Regex(_, x, _) | QueryExpr::IsNull(_, x) => vec![x],
            QueryExpr::Extract(x, ..) | QueryExpr::Rate(Some(x)) => vec![x],

            QueryExpr::Binary(_, x, y) => vec![x, y],
            QueryExpr::Between(_, x, low, high) => vec![x, low, high],
            QueryExpr::In(_, x, list) => std::iter::once(&**x).chain(list).collect(),
            QueryExpr::Call(_, arguments) => arguments.iter().collect(),
            QueryExpr::Case { operand, arms, otherwise } => {
                let arms = arms.iter().flat_map(|(when, then)| [when, then]);
                operand.as_deref().into_iter().chain(arms).chain(otherwise.as_deref()).collect()
            }
        }
    }

    /// Returns the expressions inside this one, to be changed.
    pub fn children_mut(&mut self) -> Vec<&mut QueryExpr> {
        match self {
            QueryExpr::Literal(_) | QueryExpr::Param(..) | QueryExpr::Column(..) => vec![],
            QueryExpr::Name(_) | QueryExpr::Place(_) | QueryExpr::CountRows | QueryExpr::Rate(None) => vec![],

            QueryExpr::Not(x) | QueryExpr::Negate(x) | QueryExpr::Cast(x, _) | QueryExpr::Aggregate(_, x) => {
                vec![x]
            }
            QueryExpr::Like(_, x, _) | QueryExpr::Regex(_, x, _) | QueryExpr::IsNull(_, x) => vec![x],
            QueryExpr::Extract(x, ..) | QueryExpr::Rate(Some(x)) => vec![x],

            QueryExpr::Binary(_, x, y) => vec![x, y],
            QueryExpr::Between(_, x, low, high) => vec![x, low, high],
            QueryExpr::In(_, x, list) => std::iter::once(&mut **x).chain(list).collect(),
            QueryExpr::Call(_, arguments) => arguments.iter_mut().collect(),
            QueryExpr::Case { operand, arms, otherwise } => {
                let arms = arms.iter_mut().flat_map(|(when, then)| [when, then]);
                operand.as_deref_mut().into_iter().chain(arms).chain(otherwise.as_deref_mut()).collect()
            }
        }
    }

    /// Visits this expression and all inside.
    pub fn each(&self, visit: &mut dyn FnMut(&QueryExpr)) {
        visit(self);
        self.children().into_iter().for_each(|child| child.each(visit));
    }

    /// Whether an aggregate stands in it.
    pub fn aggregates(&self) -> bool {
        matches!(self, QueryExpr::CountRows | QueryExpr::Aggregate(..) | QueryExpr::Rate(_))
            || self.children().into_iter().any(QueryExpr::aggregates)
    }

    /// How many expressions there are in this one, itself included.
    pub fn size(&self) -> usize {
        1 + self.children().into_iter().map(QueryExpr::size).sum::<usize>()
    }
}
