//! Aggregate functions: which state each keeps, and which value is wanted of it.
//!
//! ```text
//! SELECT AVG(e.v), P99(e.v), STDDEV(e.v) / COUNT
//! states    Average(v)  Histogram(v)  Moments(v)          what agents keep and merge
//! finished  plain       quantile 0.99 deviation   rows    what the frontend makes of them
//! ```

use super::name_scope::{NameScope, SelectPlaceholder, TypedExpr};
use super::resolved_query::FinishedAggregate;
use super::resolver::Resolver;
use super::typing;
use crate::diagnostic::Diagnostic;
use crate::lexical::{FunctionMeaning, SpecialAggregate, aggregate_function, count_distinct};
use crate::plan::PlanColumn;
use crate::syntax::ast::{AstExpr, AstExprKind, NameAt, TextSpan};
use pivot_advice::{
    AggregateKind, BinaryOperator, Expr, FinalFunction, Function, Type, Value, bucket_count, bucket_edge,
    finished_type,
};

/// The most values that TOPK gives.
const MAX_TOP: i128 = 64;
/// The most buckets of LHIST.
const MAX_BUCKETS: f64 = 900.0;

/// An aggregate state, and the value that is wanted of it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct WantedAggregate {
    aggregate: AggregateKind,
    finish: FinalFunction,
}

impl Resolver<'_> {
    pub(super) fn count_rows(&mut self, span: TextSpan) -> TypedExpr {
        self.placeholder("COUNT".into(), Type::U64, SelectPlaceholder::Rows, span)
    }

    pub(super) fn count_distinct(&mut self, name: &NameAt, x: &AstExpr, scope: &NameScope) -> TypedExpr {
        let function = count_distinct();
        let name = NameAt { text: function.name.into(), span: name.span };
        self.meant_aggregate(function.meaning, &name, std::slice::from_ref(x), scope)
    }

    /// Resolves a call of an aggregate function.
    pub(super) fn aggregate(&mut self, name: &NameAt, arguments: &[AstExpr], scope: &NameScope) -> TypedExpr {
        match aggregate_function(&name.text) {
            Some(function) => self.meant_aggregate(function.meaning, name, arguments, scope),
            None => TypedExpr::unknown(),
        }
    }

    fn meant_aggregate(
        &mut self,
        meaning: FunctionMeaning,
        name: &NameAt,
        arguments: &[AstExpr],
        scope: &NameScope,
    ) -> TypedExpr {
        match meaning {
            FunctionMeaning::Fold(aggregate, finish) => {
                let Some([argument]) = self.arguments(name, arguments) else { return TypedExpr::unknown() };
                let Some(typed) = self.argument(argument, name, scope) else { return TypedExpr::unknown() };
                self.fold(WantedAggregate { aggregate, finish }, typed, name, argument.span)
            }

            FunctionMeaning::SpecialAggregate(SpecialAggregate::Quantile) => {
                self.quantile(name, arguments, scope)
            }
            FunctionMeaning::SpecialAggregate(SpecialAggregate::TopK) => self.top(name, arguments, scope),
            FunctionMeaning::SpecialAggregate(SpecialAggregate::LinearHistogram) => {
                self.linear_histogram(name, arguments, scope)
            }
            FunctionMeaning::SpecialAggregate(SpecialAggregate::Rate) => self.rate(name, arguments, scope),

            // Only aggregates come here.
            FunctionMeaning::Scalar(_)
            | FunctionMeaning::RegexpExtract
            | FunctionMeaning::Now
            | FunctionMeaning::Syntax => TypedExpr::unknown(),
        }
    }

    /// Returns the arguments if there are as many as the pattern wants; reports it otherwise.
    fn arguments<'w, const N: usize>(
        &mut self,
        name: &NameAt,
        arguments: &'w [AstExpr],
    ) -> Option<&'w [AstExpr; N]> {
        if let Ok(arguments) = arguments.try_into() {
            return Some(arguments);
        }

        let plural = if N == 1 { "" } else { "s" };
        let wrong = format!("`{}` takes {N} argument{plural}", name.text.to_ascii_uppercase());
        let wrong = Diagnostic::error(name.span, wrong);
        self.report(wrong.detail(format!("here are {}", arguments.len())));
        None
    }

    /// Resolves the argument of an aggregate, in which there are no others.
    fn argument(&mut self, written: &AstExpr, name: &NameAt, scope: &NameScope) -> Option<TypedExpr> {
        let outer = self.aggregates.take();
        if outer.is_none() {
            self.misplaced_aggregate(name.span);
            return None;
        }
        let typed = self.expression(written, scope);
        self.aggregates = outer;
        Some(typed)
    }

    /// Returns a placeholder for the value of an aggregate; equal ones are computed once.
    fn fold(
        &mut self,
        wanted: WantedAggregate,
        typed: TypedExpr,
        name: &NameAt,
        span: TextSpan,
    ) -> TypedExpr {
        let WantedAggregate { aggregate, mut finish } = wanted;
        // Of integers the bounds of buckets are integers.
        if aggregate == AggregateKind::Histogram && finish == FinalFunction::Plain && typed.ty.is_integer() {
            finish = FinalFunction::IntegerBuckets;
        }
        let Some(ty) = finished_type(aggregate, finish, typed.ty) else {
            self.meaningless(wanted, typed.ty, name, span);
            return TypedExpr::unknown();
        };

        let text = format!("{}({})", name.text.to_ascii_uppercase(), self.text(&typed.expr));
        let collected = self.aggregates.get_or_insert_default();

        // Several values may be wanted of one state, as P50 and P99 of one histogram.
        let is_fold = |(known, expr): &(AggregateKind, Expr)| *known == aggregate && *expr == typed.expr;
        let fold = collected.folds.iter().position(is_fold).unwrap_or(collected.folds.len());
        if fold == collected.folds.len() {
            collected.folds.push((aggregate, typed.expr));
        }

        let is_value = |known: &FinishedAggregate| known.fold == fold && known.finish == finish;
        let value = collected.finished.iter().position(is_value).unwrap_or(collected.finished.len());
        if value == collected.finished.len() {
            collected.finished.push(FinishedAggregate { name: text.clone(), fold, finish, ty });
        }
        self.placeholder(text, ty, SelectPlaceholder::Finished(value), name.span)
    }

    fn meaningless(&mut self, wanted: WantedAggregate, ty: Type, name: &NameAt, span: TextSpan) {
        let wrong = format!("{} of {ty} has no meaning", name.text.to_ascii_uppercase());
        let wrong = Diagnostic::error(span, wrong).detail(format!("this is {ty}"));
        let is_variance = wanted.aggregate == AggregateKind::Moments && ty == Type::Duration;
        self.report(match is_variance {
            true => wrong.hint("use STDDEV or STDDEV_POP, which are durations too"),
            false => wrong.hint("use a number, or COUNT, MIN, MAX, ANY or TOPK"),
        });
    }

    fn quantile(&mut self, name: &NameAt, arguments: &[AstExpr], scope: &NameScope) -> TypedExpr {
        let Some([argument, q]) = self.arguments(name, arguments) else { return TypedExpr::unknown() };
        let Some(typed) = self.argument(argument, name, scope) else { return TypedExpr::unknown() };

        match constant(q).and_then(|q| q.as_f64()).filter(|q| (0.0..=1.0).contains(q)) {
            Some(q) => {
                let wanted = WantedAggregate {
                    aggregate: AggregateKind::Histogram,
                    finish: FinalFunction::Quantile(q),
                };
                self.fold(wanted, typed, name, argument.span)
            }
            None => self.not_constant(q, "a number from 0 to 1"),
        }
    }

    fn top(&mut self, name: &NameAt, arguments: &[AstExpr], scope: &NameScope) -> TypedExpr {
        let Some([argument, k]) = self.arguments(name, arguments) else { return TypedExpr::unknown() };
        let Some(typed) = self.argument(argument, name, scope) else { return TypedExpr::unknown() };

        match constant(k).and_then(|k| k.as_integer()).filter(|k| (1..=MAX_TOP).contains(k)) {
            Some(k) => {
                let wanted =
                    WantedAggregate { aggregate: AggregateKind::Top, finish: FinalFunction::Top(k as u16) };
                self.fold(wanted, typed, name, argument.span)
            }
            None => self.not_constant(k, "a number from 1 to 64"),
        }
    }

    /// Resolves LHIST, which counts the numbers of buckets that an expression computes.
    fn linear_histogram(&mut self, name: &NameAt, arguments: &[AstExpr], scope: &NameScope) -> TypedExpr {
        let Some([argument, least, most, step]) = self.arguments(name, arguments) else {
            return TypedExpr::unknown();
        };
        let Some(typed) = self.argument(argument, name, scope) else { return TypedExpr::unknown() };

        let mut bounds = [0.0; 3];
        for (bound, written) in bounds.iter_mut().zip([least, most, step]) {
            match self.bucket_bound(written, typed.ty) {
                Some(x) => *bound = x,
                None => return TypedExpr::unknown(),
            }
        }

        // The last bucket may reach above the highest bound: all of them are of one width.
        let [lowest, highest, width] = bounds;
        let count = bucket_count(lowest, highest, width);
        if !(width > 0.0 && (1.0..=MAX_BUCKETS).contains(&count)) {
            return self.not_constant(step, "a width that makes 1 to 900 buckets");
        }

        let durations = typed.ty == Type::Duration;
        if !(typed.ty.is_number() || durations || typing::open(typed.ty)) {
            let wrong = format!("LHIST of {} has no meaning", typed.ty);
            let wrong = Diagnostic::error(argument.span, wrong).detail(format!("this is {}", typed.ty));
            self.report(wrong.hint("use a number or a duration"));
            return TypedExpr::unknown();
        }

        let top = bucket_edge(lowest, width, count as i64);
        let bucket_count = Expr::Literal(Value::I64(count as i64));
        let inputs =
            vec![typed.expr, bound_literal(lowest, typed.ty), bound_literal(top, typed.ty), bucket_count];
        let bucket = TypedExpr { expr: Expr::Call(Function::WidthBucket, inputs), ty: Type::I64 };

        let finish = FinalFunction::Linear { least: lowest, step: width, count: count as u16, durations };
        self.fold(WantedAggregate { aggregate: AggregateKind::Tally, finish }, bucket, name, argument.span)
    }

    /// Returns a bound of LHIST, which must be a constant of the kind of its argument.
    fn bucket_bound(&mut self, written: &AstExpr, argument: Type) -> Option<f64> {
        // Buckets of durations are bounded by durations; of a type that is not known, by either.
        let durations = argument == Type::Duration;
        let value = constant(written)
            .filter(|value| (value.type_of() == Type::Duration) == durations || typing::open(argument));
        let bound = value.and_then(|value| match value {
            Value::Duration(ns) => Some(ns as f64),
            other => other.as_f64(),
        });

        if bound.is_none() {
            self.not_constant(written, if durations { "a duration" } else { "a number" });
        }
        bound
    }

    fn not_constant(&mut self, written: &AstExpr, what: &str) -> TypedExpr {
        let wrong = Diagnostic::error(written.span, format!("expected {what}"));
        self.report(wrong.detail("written as a constant"));
        TypedExpr::unknown()
    }

    /// Resolves RATE: per second of the window, of rows, of an aggregate, or of the sum of a value.
    fn rate(&mut self, name: &NameAt, arguments: &[AstExpr], scope: &NameScope) -> TypedExpr {
        if self.is_inside() {
            let wrong = Diagnostic::error(name.span, "RATE is misplaced");
            self.report(wrong.detail("it is per second of a window, and a joined query has none"));
            return TypedExpr::unknown();
        }

        // Of a value that is no aggregate the rate of its sum is meant.
        let counted = match arguments {
            [] => self.count_rows(name.span),
            [argument] if argument.has_aggregate() => self.expression(argument, scope),
            [argument] => {
                let sum = NameAt { text: "SUM".into(), span: name.span };
                self.aggregate(&sum, std::slice::from_ref(argument), scope)
            }
            _ => {
                let _reported: Option<&[AstExpr; 1]> = self.arguments(name, arguments);
                return TypedExpr::unknown();
            }
        };

        let seconds = self.placeholder("seconds".into(), Type::F64, SelectPlaceholder::Seconds, name.span);
        let Some(ty) = typing::binary(BinaryOperator::Divide, counted.ty, Type::F64) else {
            let wrong = Diagnostic::error(name.span, format!("RATE of {} has no meaning", counted.ty));
            self.report(wrong.detail(format!("this is {}", counted.ty)));
            return TypedExpr::unknown();
        };
        TypedExpr { expr: Expr::binary(BinaryOperator::Divide, counted.expr, seconds.expr), ty }
    }

    /// Returns the column that stands for something of the group.
    fn placeholder(
        &mut self,
        name: String,
        ty: Type,
        placeholder: SelectPlaceholder,
        span: TextSpan,
    ) -> TypedExpr {
        let Some(collected) = &self.aggregates else {
            self.misplaced_aggregate(span);
            return TypedExpr::unknown();
        };
        // Equal placeholders are one column, so that equal expressions stay equal.
        if let Some((column, _)) = collected.placeholders.iter().find(|(_, known)| **known == placeholder) {
            return TypedExpr { expr: Expr::Column(*column), ty };
        }

        let Some(column) = self.column(PlanColumn { alias: String::new(), name, ty }, span) else {
            return TypedExpr::unknown();
        };
        self.aggregates.get_or_insert_default().placeholders.insert(column, placeholder);
        TypedExpr { expr: Expr::Column(column), ty }
    }

    fn misplaced_aggregate(&mut self, span: TextSpan) {
        let wrong = Diagnostic::error(span, "an aggregate is misplaced");
        self.report(
            wrong.detail("aggregates stand in SELECT, HAVING and ORDER BY, outside of other aggregates"),
        );
    }
}

/// Returns the value of a literal, possibly negated, or `None` if the expression is something else.
fn constant(written: &AstExpr) -> Option<Value> {
    match &written.kind {
        AstExprKind::Literal(value) => Some(value.clone()),
        AstExprKind::Negate(x) => match constant(x)? {
            Value::I64(x) => x.checked_neg().map(Value::I64),
            Value::F64(x) => Some(Value::F64(-x)),
            Value::Duration(x) => x.checked_neg().map(Value::Duration),
            _ => None,
        },
        _ => None,
    }
}

/// Returns a bound as a literal of the kind of what is counted.
fn bound_literal(bound: f64, counted: Type) -> Expr {
    Expr::Literal(match counted {
        Type::Duration => Value::Duration(bound as i64),
        _ => Value::F64(bound),
    })
}
