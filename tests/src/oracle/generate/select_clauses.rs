//! The second half of a random query: GROUP BY, SELECT, and what follows.

use crate::oracle::generate::expressions::{FloatPrecision, TypedExpr};
use crate::oracle::generate::generator::{GeneratedColumn, Generator, named};
use crate::oracle::language::query::{AggregateFunction, OrderByKey, Query, QueryExpr, SelectItem};
use pivot_advice::{Type, Value};

/// The aggregates of how far numbers are from their mean.
const DEVIATIONS: [AggregateFunction; 4] = [
    AggregateFunction::StdDev,
    AggregateFunction::Variance,
    AggregateFunction::StdDevPop,
    AggregateFunction::VariancePop,
];

/// GROUP BY, DISTINCT, SELECT and HAVING of a random query, and the columns that they make.
pub(crate) struct GeneratedSelect {
    pub group: Option<Vec<QueryExpr>>,
    pub distinct: bool,
    pub select: Vec<SelectItem>,
    pub having: Option<QueryExpr>,
    pub columns: Vec<GeneratedColumn>,
}

impl Generator<'_> {
    /// SELECT over leaves. Only of the whole query may values be what no other query can count on.
    pub(crate) fn select(&mut self, leaves: &[TypedExpr], aggregating: bool, whole: bool) -> GeneratedSelect {
        let mut selected = if aggregating { self.groups(leaves, whole) } else { self.values(leaves) };
        let exact = selected.columns.iter().all(|column| column.precision != FloatPrecision::Rough);
        selected.distinct = exact && self.random.percent(15);
        selected
    }

    /// Rows as they are.
    fn values(&mut self, leaves: &[TypedExpr]) -> GeneratedSelect {
        let mut items = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let column = self.expressions(leaves, FloatPrecision::Rough).column(|_| true);
            // Mostly columns as they are: few queries compute.
            let plain = self.random.percent(65);
            let leaf = match column {
                Some(leaf) if plain => leaf,
                _ => self.computed(leaves, 2),
            };
            items.push(self.item(leaf));
        }

        let (select, columns) = items.into_iter().unzip();
        GeneratedSelect { group: None, distinct: false, select, having: None, columns }
    }

    fn computed(&mut self, leaves: &[TypedExpr], depth: usize) -> TypedExpr {
        let ty = self.expressions(leaves, FloatPrecision::Exact).some_type();
        let expr = self.expressions(leaves, FloatPrecision::Exact).of(ty, depth);
        TypedExpr { expr, ty, precision: FloatPrecision::Exact }
    }

    fn item(&mut self, leaf: TypedExpr) -> (SelectItem, GeneratedColumn) {
        let name = self.name("c");
        let column = GeneratedColumn { name: name.clone(), ty: leaf.ty, precision: leaf.precision };
        (named(leaf.expr, name), column)
    }

    /// Groups with aggregates.
    fn groups(&mut self, leaves: &[TypedExpr], whole: bool) -> GeneratedSelect {
        let mut keys: Vec<TypedExpr> = Vec::new();
        while self.random.percent(55) && keys.len() < 3 {
            let column = self.expressions(leaves, FloatPrecision::Exact).column(|_| true);
            let plain = self.random.percent(75);
            keys.push(match column {
                Some(leaf) if plain => leaf,
                _ => self.computed(leaves, 1),
            });
        }

        let count = 1 + self.random.below(3);
        let aggregates: Vec<TypedExpr> = (0..count).map(|_| self.aggregate(leaves, whole)).collect();
        // Whole columns: keys and aggregates, some of them sketches that nothing is computed from.
        let mut items = Vec::new();

        for key in &keys {
            if self.random.percent(80) {
                items.push(self.item(key.clone()));
            }
        }

        for aggregate in &aggregates {
            items.push(self.item(aggregate.clone()));
        }

        let exact = aggregates.into_iter().filter(|leaf| !is_sketch(&leaf.expr));
        // A key that is computed is one only as a whole.
        let usable: Vec<TypedExpr> = exact.chain(keys.iter().cloned()).collect();

        if self.random.percent(30) {
            let ty = *self.random.pick(&[Type::I64, Type::F64, Type::Bool, Type::U64]);
            let expr = self.expressions(&usable, FloatPrecision::Rough).of(ty, 2);
            let item = self.item(TypedExpr { expr, ty, precision: FloatPrecision::Rough });
            items.push(item);
        }

        if self.random.percent(10) && self.random.percent(50) {
            let leaf =
                TypedExpr { expr: QueryExpr::CountRows, ty: Type::U64, precision: FloatPrecision::Exact };
            items = vec![self.item(leaf)];
        }

        let having =
            self.random.percent(25).then(|| self.expressions(&usable, FloatPrecision::Exact).condition(2));
        let (select, columns): (Vec<SelectItem>, Vec<GeneratedColumn>) = items.into_iter().unzip();
        let grouped = !keys.is_empty() || !select.iter().any(|item| item.expr.aggregates());
        let keys: Vec<QueryExpr> = keys.into_iter().map(|key| key.expr).collect();

        GeneratedSelect {
            group: (grouped && !keys.is_empty()).then_some(keys),
            distinct: false,
            select,
            having,
            columns,
        }
    }

    fn aggregate(&mut self, leaves: &[TypedExpr], whole: bool) -> TypedExpr {
        let counted = |leaf: &TypedExpr| TypedExpr {
            expr: QueryExpr::Aggregate(AggregateFunction::Count, Box::new(leaf.expr.clone())),
            ty: Type::U64,
            precision: FloatPrecision::Exact,
        };

        let rows = TypedExpr { expr: QueryExpr::CountRows, ty: Type::U64, precision: FloatPrecision::Exact };
        match self.random.below(14) {
            0 => rows,
            1 => self
                .expressions(leaves, FloatPrecision::Rough)
                .column(|_| true)
                .map_or(rows, |leaf| counted(&leaf)),
            2..=5 => self.sum(leaves),
            6 | 7 => self.sketch(leaves, whole).unwrap_or(rows),
            // RATE depends on the window, so no query inside another may count on it.
            8 if whole => self.rate(leaves),
            _ => {
                let aggregate = self.random.pick(&[AggregateFunction::Min, AggregateFunction::Max]).clone();
                let column = self.expressions(leaves, FloatPrecision::Rough).column(|_| true);
                let leaf = match column {
                    Some(leaf) if self.random.percent(70) => leaf,
                    _ => self.computed(leaves, 2),
                };
                TypedExpr { expr: QueryExpr::Aggregate(aggregate, Box::new(leaf.expr)), ..leaf }
            }
        }
    }

    /// SUM, AVERAGE and their like, over what adds up.
    fn sum(&mut self, leaves: &[TypedExpr]) -> TypedExpr {
        let mut expressions = self.expressions(leaves, FloatPrecision::Rough);
        let column =
            expressions.column(|ty| matches!(ty, Type::I64 | Type::U64 | Type::F64 | Type::Duration));

        let argument = match column {
            Some(leaf) if self.random.percent(70) => leaf,
            _ => {
                let types = [Type::I64, Type::U64, Type::F64, Type::Duration];
                let ty = self.expressions(leaves, FloatPrecision::Exact).some_type();
                let ty = if types.contains(&ty) { ty } else { *self.random.pick(&types) };
                let expr = self.expressions(leaves, FloatPrecision::Exact).of(ty, 2);
                TypedExpr { expr, ty, precision: FloatPrecision::Exact }
            }
        };

        // Of dyadic fractions sums are exact in any order, so only these may deviate.
        let exact = argument.ty == Type::F64 && argument.precision == FloatPrecision::Dyadic;
        let deviates = exact && self.random.percent(40);

        let aggregate = match self.random.percent(60) {
            _ if deviates => self.random.pick(&DEVIATIONS).clone(),
            true => AggregateFunction::Sum,
            false => AggregateFunction::Average,
        };

        let ty = match (&aggregate, argument.ty) {
            (AggregateFunction::Sum, Type::I64 | Type::U64) => Type::I64,
            (_, Type::Duration) => Type::Duration,
            _ => Type::F64,
        };

        let order_matters = argument.ty == Type::F64 && argument.precision != FloatPrecision::Dyadic;
        let precision = if deviates || order_matters { FloatPrecision::Rough } else { FloatPrecision::Exact };
        TypedExpr { expr: QueryExpr::Aggregate(aggregate, Box::new(argument.expr)), ty, precision }
    }

    /// RATE of rows, of an aggregate or of the sum of a value.
    fn rate(&mut self, leaves: &[TypedExpr]) -> TypedExpr {
        let rate = |of: Option<Box<QueryExpr>>| QueryExpr::Rate(of);

        match self.random.below(3) {
            0 => TypedExpr { expr: rate(None), ty: Type::F64, precision: FloatPrecision::Exact },
            1 => {
                let rows = Some(Box::new(QueryExpr::CountRows));
                TypedExpr { expr: rate(rows), ty: Type::F64, precision: FloatPrecision::Exact }
            }
            _ => {
                let summed = self.sum(leaves);
                let of = match summed.expr {
                    // Of a value RATE takes the sum.
                    QueryExpr::Aggregate(AggregateFunction::Sum, value) if self.random.percent(50) => value,
                    aggregate => Box::new(aggregate),
                };
                let ty = if summed.ty == Type::Duration { Type::Duration } else { Type::F64 };
                TypedExpr { expr: rate(Some(of)), ty, precision: summed.precision }
            }
        }
    }

    /// An aggregate that may be a sketch. Inside another query it has to have one value.
    fn sketch(&mut self, leaves: &[TypedExpr], whole: bool) -> Option<TypedExpr> {
        let mut kinds = vec![
            AggregateFunction::CountDistinct,
            AggregateFunction::Top(1 + self.random.below(3)),
            linear(None),
        ];
        if whole {
            kinds.extend([AggregateFunction::Any, AggregateFunction::Hist]);
            kinds.extend(DEVIATIONS);
            kinds.extend([0.5, 0.9, 0.95, 0.99, 0.999, 0.25, 0.0, 1.0].map(AggregateFunction::Quantile));
        }

        let mut kind = self.random.pick(&kinds).clone();
        let fits = |ty: Type| match kind {
            AggregateFunction::Quantile(_) | AggregateFunction::Hist | AggregateFunction::Linear(_) => {
                matches!(ty, Type::I64 | Type::U64 | Type::F64 | Type::Duration)
            }
            _ if DEVIATIONS.contains(&kind) => {
                matches!(ty, Type::I64 | Type::U64 | Type::F64)
            }
            _ => true,
        };

        // What a sketch is asked about has to be exact: near a bound it would fall into another bucket.
        let leaf = self.expressions(leaves, FloatPrecision::Exact).column(fits)?;
        if let AggregateFunction::Linear(_) = kind {
            kind = linear(Some(leaf.ty));
        }

        let ty = match kind {
            AggregateFunction::CountDistinct => Type::U64,
            AggregateFunction::Quantile(_) => Type::F64,
            _ if DEVIATIONS.contains(&kind) => Type::F64,
            AggregateFunction::Top(_) | AggregateFunction::Linear(_) | AggregateFunction::Hist => {
                Type::List(&Type::String)
            }
            _ => leaf.ty,
        };

        let exact = matches!(
            kind,
            AggregateFunction::CountDistinct | AggregateFunction::Top(_) | AggregateFunction::Linear(_)
        );
        let precision = if exact && !whole { FloatPrecision::Exact } else { FloatPrecision::Rough };
        Some(TypedExpr { expr: QueryExpr::Aggregate(kind, Box::new(leaf.expr)), ty, precision })
    }

    /// ORDER BY and LIMIT, over everything that is shown, so that the order is total.
    pub(crate) fn finish(&mut self, query: &mut Query, columns: &[GeneratedColumn]) {
        let rough = columns.iter().any(|column| column.precision == FloatPrecision::Rough);
        // A sample is one of requests: which are in it is known by the hash of their ids.
        query.sample = self.random.percent(6).then(|| *self.random.pick(&[0.5, 0.75]));

        if rough || !self.random.percent(25) {
            return;
        }

        if self.random.percent(25) {
            let place = QueryExpr::Place(1 + self.random.below(columns.len()));
            let key = self.order_by(place);
            query.order.push(key);
        }

        // All columns are keys of the order, or rows that are equal in some would come in any order.
        let mut names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        while !names.is_empty() {
            let name = names.swap_remove(self.random.below(names.len()));
            let key = self.order_by(QueryExpr::Name(name));
            query.order.push(key);
        }

        query.limit = self.random.percent(60).then(|| 1 + self.random.below(5));
    }

    fn order_by(&mut self, expr: QueryExpr) -> OrderByKey {
        let descending = self.random.percent(40);
        let nulls_first = self.random.percent(30).then(|| self.random.percent(50));
        OrderByKey { expr, descending, nulls_first }
    }
}

/// Whether nothing can be computed from an aggregate, because it is known within bounds only.
fn is_sketch(expr: &QueryExpr) -> bool {
    let QueryExpr::Aggregate(aggregate, _) = expr else { return expr.children().into_iter().any(is_sketch) };
    use AggregateFunction::{Any, CountDistinct, Hist, Linear, Quantile, Top};
    DEVIATIONS.contains(aggregate)
        || matches!(aggregate, Any | CountDistinct | Quantile(_) | Hist | Linear(_) | Top(_))
}

/// LHIST with bounds of a type, which are exact as doubles.
fn linear(ty: Option<Type>) -> AggregateFunction {
    AggregateFunction::Linear(Box::new(match ty {
        Some(Type::Duration) => [-250, 1500, 500].map(Value::Duration),
        Some(Type::F64) => [-1.0, 2.0, 0.1].map(Value::F64),
        _ => [0, 5, 2].map(Value::I64),
    }))
}
