//! Aggregate functions: which state each keeps, and which value is wanted of it.

use super::name_scope::{CollectedAggregates, FinishedAggregate, NameScope, Placeholder, TypedExpr};
use super::resolver::Resolver;
use super::typing;
use crate::diagnostic::Diagnostic;
use crate::plan::PlanColumn;
use crate::syntax::ast::{AstExpr, AstExprKind, Name, Span};
use pivot_advice::{Aggregate, Binary, Expr, Finish, Function, Type, Value, finished_type};

/// The most values that TOPK gives.
const MAX_TOP: i128 = 64;
/// The most buckets of LHIST.
const MAX_BUCKETS: f64 = 900.0;

/// Aggregates of one argument, with the value that is wanted of their state.
const SIMPLE: [(&str, Aggregate, Finish); 11] = [
    ("COUNT", Aggregate::Count, Finish::Plain),
    ("SUM", Aggregate::Sum, Finish::Plain),
    ("MIN", Aggregate::Min, Finish::Plain),
    ("MAX", Aggregate::Max, Finish::Plain),
    ("AVERAGE", Aggregate::Average, Finish::Plain),
    ("AVG", Aggregate::Average, Finish::Plain),
    ("STDDEV", Aggregate::Moments, Finish::Deviation),
    ("VARIANCE", Aggregate::Moments, Finish::Plain),
    ("HIST", Aggregate::Histogram, Finish::Plain),
    ("ANY", Aggregate::Any, Finish::Plain),
    ("DISTINCT", Aggregate::Distinct, Finish::Plain),
];

/// Aggregates with more arguments, or of another kind.
const OTHERS: [&str; 4] = ["QUANTILE", "LHIST", "TOPK", "RATE"];

/// Quantiles that have names.
const NAMED: [&str; 5] = ["P50", "P90", "P95", "P99", "P999"];

/// Whether a function aggregates.
pub(crate) fn is_aggregate(name: &str) -> bool {
    names().any(|known| known.eq_ignore_ascii_case(name)) || percentile(name).is_some()
}

/// The names of all aggregate functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let simple = SIMPLE.iter().map(|entry| entry.0).filter(|name| *name != "DISTINCT");
    simple.chain(OTHERS).chain(NAMED)
}

/// `P99` is 0.99, `P999` is 0.999.
fn percentile(name: &str) -> Option<f64> {
    let digits = name.strip_prefix(['P', 'p'])?;
    let short = (2..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    short.then(|| format!("0.{digits}").parse().ok()).flatten()
}

impl Resolver<'_> {
    pub(super) fn count_rows(&mut self, span: &Span) -> TypedExpr {
        self.placeholder("COUNT".into(), Type::U64, Placeholder::Rows, span)
    }

    pub(super) fn aggregate(&mut self, name: &Name, arguments: &[AstExpr], scope: &NameScope) -> TypedExpr {
        let upper = name.text.to_ascii_uppercase();
        if upper == "RATE" {
            return self.rate(name, arguments, scope);
        }
        let simple = SIMPLE.iter().find(|entry| entry.0 == upper).map(|entry| (entry.1, entry.2));
        let quantile = percentile(&upper).map(|q| (Aggregate::Histogram, Finish::Quantile(q)));
        if let Some((aggregate, finish)) = simple.or(quantile) {
            let Some([argument]) = self.arguments(name, arguments, 1) else { return TypedExpr::unknown() };
            let Some(typed) = self.argument(argument, name, scope) else { return TypedExpr::unknown() };
            return self.fold((aggregate, finish), typed, name, &argument.span);
        }
        match upper.as_str() {
            "QUANTILE" => self.quantile(name, arguments, scope),
            "TOPK" => self.top(name, arguments, scope),
            _ => self.linear(name, arguments, scope),
        }
    }

    fn arguments<'w, const N: usize>(
        &mut self,
        name: &Name,
        arguments: &'w [AstExpr],
        count: usize,
    ) -> Option<&'w [AstExpr; N]> {
        if let Ok(arguments) = arguments.try_into() {
            return Some(arguments);
        }
        let plural = if count == 1 { "" } else { "s" };
        let wrong = format!("`{}` takes {count} argument{plural}", name.text.to_ascii_uppercase());
        let wrong = Diagnostic::error(name.span.clone(), wrong);
        self.report(wrong.detail(format!("here are {}", arguments.len())));
        None
    }

    /// The argument of an aggregate, in which there are no others.
    fn argument(&mut self, written: &AstExpr, name: &Name, scope: &NameScope) -> Option<TypedExpr> {
        let outer = self.aggregates.take();
        if outer.is_none() {
            self.misplaced(&name.span);
            return None;
        }
        let typed = self.expression(written, scope);
        self.aggregates = outer;
        Some(typed)
    }

    /// A stand-in for the value of an aggregate; equal ones are computed once.
    fn fold(
        &mut self,
        (aggregate, finish): (Aggregate, Finish),
        typed: TypedExpr,
        name: &Name,
        span: &Span,
    ) -> TypedExpr {
        let Some(ty) = finished_type(aggregate, finish, typed.ty) else {
            let wrong = format!("{} of {} has no meaning", name.text.to_ascii_uppercase(), typed.ty);
            let wrong = Diagnostic::error(span.clone(), wrong).detail(format!("this is {}", typed.ty));
            let deviation = aggregate == Aggregate::Moments && typed.ty == Type::Duration;
            self.report(match deviation {
                true => wrong.hint("use STDDEV, which is a duration too"),
                false => wrong.hint("use a number, or COUNT, MIN, MAX, ANY or TOPK"),
            });
            return TypedExpr::unknown();
        };
        let text = format!("{}({})", name.text.to_ascii_uppercase(), self.text(&typed.expr));
        let collected = self.aggregates.get_or_insert_default();
        let same = |(known, expr): &(Aggregate, Expr)| *known == aggregate && *expr == typed.expr;
        let fold = collected.folds.iter().position(same).unwrap_or_else(|| {
            collected.folds.push((aggregate, typed.expr.clone()));
            collected.folds.len() - 1
        });
        let same = |wanted: &FinishedAggregate| wanted.fold == fold && wanted.finish == finish;
        let place = collected.finished.iter().position(same).unwrap_or_else(|| {
            collected.finished.push(FinishedAggregate { name: text.clone(), fold, finish, ty });
            collected.finished.len() - 1
        });
        self.placeholder(text, ty, Placeholder::Finished(place), &name.span)
    }

    fn quantile(&mut self, name: &Name, arguments: &[AstExpr], scope: &NameScope) -> TypedExpr {
        let Some([argument, q]) = self.arguments(name, arguments, 2) else { return TypedExpr::unknown() };
        let Some(typed) = self.argument(argument, name, scope) else { return TypedExpr::unknown() };
        match constant(q).and_then(|q| q.as_f64()).filter(|q| (0.0..=1.0).contains(q)) {
            Some(q) => self.fold((Aggregate::Histogram, Finish::Quantile(q)), typed, name, &argument.span),
            None => self.not_constant(q, "a number from 0 to 1"),
        }
    }

    fn top(&mut self, name: &Name, arguments: &[AstExpr], scope: &NameScope) -> TypedExpr {
        let Some([argument, k]) = self.arguments(name, arguments, 2) else { return TypedExpr::unknown() };
        let Some(typed) = self.argument(argument, name, scope) else { return TypedExpr::unknown() };
        match constant(k).and_then(|k| k.as_integer()).filter(|k| (1..=MAX_TOP).contains(k)) {
            Some(k) => self.fold((Aggregate::Top, Finish::Top(k as u16)), typed, name, &argument.span),
            None => self.not_constant(k, "a number from 1 to 64"),
        }
    }

    /// LHIST counts the numbers of buckets, which an expression computes.
    fn linear(&mut self, name: &Name, arguments: &[AstExpr], scope: &NameScope) -> TypedExpr {
        let Some([argument, least, most, step]) = self.arguments(name, arguments, 4) else {
            return TypedExpr::unknown();
        };
        let Some(typed) = self.argument(argument, name, scope) else { return TypedExpr::unknown() };
        let durations = typed.ty == Type::Duration;
        let mut bounds = [0.0; 3];
        for (bound, written) in bounds.iter_mut().zip([least, most, step]) {
            let fits =
                |value: &Value| (value.type_of() == Type::Duration) == durations || typing::open(typed.ty);
            match constant(written).filter(fits).and_then(|value| double(&value)) {
                Some(x) => *bound = x,
                None if durations => return self.not_constant(written, "a duration"),
                None => return self.not_constant(written, "a number"),
            }
        }
        let [lowest, highest, width] = bounds;
        let count = ((highest - lowest) / width).ceil();
        if !(width > 0.0 && (1.0..=MAX_BUCKETS).contains(&count)) {
            return self.not_constant(step, "a width that makes 1 to 900 buckets");
        }
        let literal = |x: f64| match durations {
            true => Expr::Literal(Value::Duration(x as i64)),
            false => Expr::Literal(Value::F64(x)),
        };
        let buckets = Expr::Literal(Value::I64(count as i64));
        let inputs = vec![typed.expr, literal(lowest), literal(lowest + width * count), buckets];
        let place = TypedExpr { expr: Expr::Call(Function::WidthBucket, inputs), ty: Type::I64 };
        if !(typed.ty.is_number() || durations || typing::open(typed.ty)) {
            let wrong = format!("LHIST of {} has no meaning", typed.ty);
            let wrong =
                Diagnostic::error(argument.span.clone(), wrong).detail(format!("this is {}", typed.ty));
            self.report(wrong.hint("use a number or a duration"));
            return TypedExpr::unknown();
        }
        let finish = Finish::Linear { least: lowest, step: width, count: count as u16, durations };
        self.fold((Aggregate::Tally, finish), place, name, &argument.span)
    }

    fn not_constant(&mut self, written: &AstExpr, what: &str) -> TypedExpr {
        let wrong = Diagnostic::error(written.span.clone(), format!("expected {what}"));
        self.report(wrong.detail("written as a constant"));
        TypedExpr::unknown()
    }

    /// RATE is per second of the window: of rows, of an aggregate, or of the sum of a value.
    fn rate(&mut self, name: &Name, arguments: &[AstExpr], scope: &NameScope) -> TypedExpr {
        if self.is_inside() {
            let wrong = Diagnostic::error(name.span.clone(), "RATE is misplaced");
            self.report(wrong.detail("it is per second of a window, and a joined query has none"));
            return TypedExpr::unknown();
        }
        let counted = match arguments {
            [] => self.count_rows(&name.span),
            [argument] if super::select_list::has_aggregate(argument) => self.expression(argument, scope),
            [argument] => {
                let sum = Name { text: "SUM".into(), span: name.span.clone() };
                self.aggregate(&sum, std::slice::from_ref(argument), scope)
            }
            _ => {
                let _wrong: Option<&[AstExpr; 1]> = self.arguments(name, arguments, 1);
                return TypedExpr::unknown();
            }
        };
        let seconds = self.placeholder("seconds".into(), Type::F64, Placeholder::Seconds, &name.span);
        match typing::binary(Binary::Divide, counted.ty, Type::F64) {
            Some(ty) => TypedExpr { expr: Expr::binary(Binary::Divide, counted.expr, seconds.expr), ty },
            None => {
                let wrong = format!("RATE of {} has no meaning", counted.ty);
                self.report(
                    Diagnostic::error(name.span.clone(), wrong).detail(format!("this is {}", counted.ty)),
                );
                TypedExpr::unknown()
            }
        }
    }

    fn placeholder(&mut self, name: String, ty: Type, placeholder: Placeholder, span: &Span) -> TypedExpr {
        let Some(collected) = &self.aggregates else {
            self.misplaced(span);
            return TypedExpr::unknown();
        };
        if let Some((column, _)) = collected.placeholders.iter().find(|(_, known)| **known == placeholder) {
            return TypedExpr { expr: Expr::Column(*column), ty };
        }
        let Some(column) = self.column(PlanColumn { alias: String::new(), name, ty }, span) else {
            return TypedExpr::unknown();
        };
        let collected: &mut CollectedAggregates = self.aggregates.get_or_insert_default();
        collected.placeholders.insert(column, placeholder);
        TypedExpr { expr: Expr::Column(column), ty }
    }

    fn misplaced(&mut self, span: &Span) {
        let wrong = Diagnostic::error(span.clone(), "an aggregate is misplaced");
        self.report(
            wrong.detail("aggregates stand in SELECT, HAVING and ORDER BY, outside of other aggregates"),
        );
    }
}

/// The value of a literal, possibly negated.
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

fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Duration(ns) => Some(*ns as f64),
        other => other.as_f64(),
    }
}
