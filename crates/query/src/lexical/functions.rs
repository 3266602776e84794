//! The one table of functions: for the parser, the resolver, the formatter, colours, completion and help.
//!
//! Names and arities of scalar functions are those of [`Function`], since advice carries them; what they
//! are for stands here, beside the aggregates and the words that look like functions.

use pivot_advice::{AggregateKind, FinalFunction, Function};

/// A function, or a word that is written like one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FunctionEntry {
    /// The name in its usual spelling; names are found in any case.
    pub name: &'static str,
    /// A call of it, with the names of its arguments.
    pub usage: &'static str,
    /// The result in a few words.
    pub about: &'static str,
    /// The place where it may stand.
    pub kind: FunctionKind,
    pub(crate) meaning: FunctionMeaning,
}

/// The places where a function may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionKind {
    /// In SELECT, HAVING and ORDER BY: it is over all rows of a group.
    Aggregate,
    /// In any expression: it is over the values of one row.
    Scalar,
    /// Behind IN: it gives rows.
    Source,
    /// Behind IN, as a second spelling that is not offered.
    SourceAlias,
}

/// The meaning of a function: what it is compiled to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum FunctionMeaning {
    /// An aggregate state over one argument, and the value that is wanted of it.
    Fold(AggregateKind, FinalFunction),
    /// An aggregate with rules of its own.
    SpecialAggregate(SpecialAggregate),
    /// A scalar function of the advice.
    Scalar(Function),
    /// `regexp_extract`, whose pattern is a constant.
    RegexpExtract,
    /// `now()`, a constant of the compiled query.
    Now,
    /// Grammar of its own.
    Syntax,
}

/// Aggregates that are no state over one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpecialAggregate {
    Quantile,
    LinearHistogram,
    TopK,
    Rate,
}

const fn aggregate(
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    aggregate: AggregateKind,
    finish: FinalFunction,
) -> FunctionEntry {
    let meaning = FunctionMeaning::Fold(aggregate, finish);
    FunctionEntry { name, usage, about, kind: FunctionKind::Aggregate, meaning }
}

const fn special(
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    fold: SpecialAggregate,
) -> FunctionEntry {
    let meaning = FunctionMeaning::SpecialAggregate(fold);
    FunctionEntry { name, usage, about, kind: FunctionKind::Aggregate, meaning }
}

const fn syntax(
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    kind: FunctionKind,
) -> FunctionEntry {
    FunctionEntry { name, usage, about, kind, meaning: FunctionMeaning::Syntax }
}

const DIFFERENT: FunctionEntry = aggregate(
    "DISTINCT",
    "COUNT(DISTINCT x)",
    "how many different values",
    AggregateKind::Distinct,
    FinalFunction::Plain,
);

const QUANTILE: &str = "the value that a share of all values does not exceed";

/// Aggregates, and what only looks like a function.
const FUNCTIONS: [FunctionEntry; 29] = [
    aggregate(
        "COUNT",
        "COUNT, COUNT(x), COUNT(DISTINCT x)",
        "how many rows",
        AggregateKind::Count,
        FinalFunction::Plain,
    ),
    aggregate("SUM", "SUM(x)", "the sum of all values", AggregateKind::Sum, FinalFunction::Plain),
    aggregate("MIN", "MIN(x)", "the least value", AggregateKind::Min, FinalFunction::Plain),
    aggregate("MAX", "MAX(x)", "the greatest value", AggregateKind::Max, FinalFunction::Plain),
    aggregate("AVERAGE", "AVERAGE(x)", "the mean", AggregateKind::Average, FinalFunction::Plain),
    aggregate("AVG", "AVG(x)", "the mean", AggregateKind::Average, FinalFunction::Plain),
    aggregate(
        "STDDEV",
        "STDDEV(x)",
        "the standard deviation of a sample",
        AggregateKind::Moments,
        FinalFunction::SampleDeviation,
    ),
    aggregate(
        "STDDEV_SAMP",
        "STDDEV_SAMP(x)",
        "the standard deviation of a sample",
        AggregateKind::Moments,
        FinalFunction::SampleDeviation,
    ),
    aggregate(
        "STDDEV_POP",
        "STDDEV_POP(x)",
        "the standard deviation of the population",
        AggregateKind::Moments,
        FinalFunction::Deviation,
    ),
    aggregate(
        "VARIANCE",
        "VARIANCE(x)",
        "the variance of a sample",
        AggregateKind::Moments,
        FinalFunction::SampleVariance,
    ),
    aggregate(
        "VAR_SAMP",
        "VAR_SAMP(x)",
        "the variance of a sample",
        AggregateKind::Moments,
        FinalFunction::SampleVariance,
    ),
    aggregate(
        "VAR_POP",
        "VAR_POP(x)",
        "the variance of the population",
        AggregateKind::Moments,
        FinalFunction::Plain,
    ),
    special("QUANTILE", "QUANTILE(x, q)", QUANTILE, SpecialAggregate::Quantile),
    aggregate("P50", "P50(x)", "the median", AggregateKind::Histogram, FinalFunction::Quantile(0.5)),
    aggregate("P90", "P90(x)", QUANTILE, AggregateKind::Histogram, FinalFunction::Quantile(0.9)),
    aggregate("P95", "P95(x)", QUANTILE, AggregateKind::Histogram, FinalFunction::Quantile(0.95)),
    aggregate("P99", "P99(x)", QUANTILE, AggregateKind::Histogram, FinalFunction::Quantile(0.99)),
    aggregate("P999", "P999(x)", QUANTILE, AggregateKind::Histogram, FinalFunction::Quantile(0.999)),
    aggregate(
        "HIST",
        "HIST(x)",
        "how values are distributed",
        AggregateKind::Histogram,
        FinalFunction::Plain,
    ),
    special(
        "LHIST",
        "LHIST(x, min, max, step)",
        "how values are distributed, in equal steps",
        SpecialAggregate::LinearHistogram,
    ),
    special("TOPK", "TOPK(x, k)", "the k most frequent values", SpecialAggregate::TopK),
    special("RATE", "RATE(aggregate)", "per second of the window", SpecialAggregate::Rate),
    aggregate("ANY", "ANY(x)", "some value of the group", AggregateKind::Any, FinalFunction::Plain),
    syntax("CAST", "CAST(x AS type)", "the value as another type", FunctionKind::Scalar),
    syntax("First", "First(source)", "the earliest tuple that happened before", FunctionKind::Source),
    syntax("MostRecent", "MostRecent(source)", "the latest tuple that happened before", FunctionKind::Source),
    syntax("UNNEST", "UNNEST(source, field)", "one tuple for each element", FunctionKind::Source),
    syntax("FirstN", "FirstN(n, source)", "the n earliest tuples", FunctionKind::SourceAlias),
    syntax("MostRecentN", "MostRecentN(n, source)", "the n latest tuples", FunctionKind::SourceAlias),
];

/// Scalar functions of the advice, with their usage and what they give.
const SCALARS: [(Function, &str, &str); 21] = [
    (Function::Coalesce, "coalesce(x, y)", "the first that is not null"),
    (Function::If, "if(c, x, y)", "x where c is true, else y"),
    (Function::Lower, "lower(s)", "in small letters"),
    (Function::Upper, "upper(s)", "in capitals"),
    (Function::Length, "length(s)", "how many characters, bytes or elements"),
    (
        Function::Substr,
        "substr(s, from, length)",
        "a part of a text, from 1; as in PostgreSQL, places before 1 are empty",
    ),
    (
        Function::SplitPart,
        "split_part(s, by, n)",
        "the n-th part between separators, from the end if n is negative",
    ),
    (Function::StartsWith, "starts_with(s, t)", "whether s begins with t"),
    (Function::Contains, "contains(s, t)", "whether t is a part of s"),
    (Function::Abs, "abs(x)", "without its sign"),
    (Function::Floor, "floor(x)", "rounded down"),
    (Function::Ceil, "ceil(x)", "rounded up"),
    (Function::Round, "round(x)", "rounded"),
    (Function::Ln, "ln(x)", "natural logarithm"),
    (Function::Log2, "log2(x)", "logarithm to base 2"),
    (Function::Pow, "pow(x, y)", "x to the power of y"),
    (Function::Bucket, "bucket(x, width)", "the lower end of the step that x is in"),
    (Function::Truncate, "truncate(time, unit)", "the beginning of the unit"),
    (Function::Hash, "hash(x, ...)", "stable 64 bits"),
    (Function::WidthBucket, "width_bucket(x, min, max, count)", "which of count buckets of one width"),
    (Function::Size, "size(x, ...)", "how many bytes values take in baggage"),
];

const NOW: FunctionEntry = FunctionEntry {
    name: "now",
    usage: "now()",
    about: "when the query was installed; one instant in all processes",
    kind: FunctionKind::Scalar,
    meaning: FunctionMeaning::Now,
};

const REGEXP_EXTRACT: FunctionEntry = FunctionEntry {
    name: "regexp_extract",
    usage: "regexp_extract(s, regex)",
    about: "what a group of a regular expression matched",
    kind: FunctionKind::Scalar,
    meaning: FunctionMeaning::RegexpExtract,
};

/// Returns all functions: aggregates, sources, then scalar functions.
pub fn functions() -> impl Iterator<Item = FunctionEntry> {
    let scalars = SCALARS.iter().map(|&(function, usage, about)| FunctionEntry {
        name: function.name(),
        usage,
        about,
        kind: FunctionKind::Scalar,
        meaning: FunctionMeaning::Scalar(function),
    });
    FUNCTIONS.into_iter().chain(scalars).chain([REGEXP_EXTRACT, NOW])
}

/// Returns the function of a name in any case, or `None` if there is none.
///
/// Besides the percentiles of the table any `P` with two to four digits is one: `P75` is 0.75.
pub(crate) fn function(name: &str) -> Option<FunctionEntry> {
    functions().find(|function| function.name.eq_ignore_ascii_case(name)).or_else(|| percentile(name))
}

/// Returns the aggregate of a name, or `None` if no aggregate has it.
pub(crate) fn aggregate_function(name: &str) -> Option<FunctionEntry> {
    function(name).filter(|function| function.kind == FunctionKind::Aggregate)
}

/// Returns the aggregate of `COUNT(DISTINCT x)`.
pub(crate) fn count_distinct() -> FunctionEntry {
    DIFFERENT
}

fn percentile(name: &str) -> Option<FunctionEntry> {
    let digits = name.strip_prefix(['P', 'p'])?;
    let is_percentile = (2..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let quantile = is_percentile.then(|| format!("0.{digits}").parse().ok()).flatten()?;
    Some(aggregate("P..", "P75(x)", QUANTILE, AggregateKind::Histogram, FinalFunction::Quantile(quantile)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_the_advice_is_described() {
        for (known, name, ..) in Function::ALL {
            let found = function(&name.to_uppercase());
            assert_eq!(found.map(|found| found.meaning), Some(FunctionMeaning::Scalar(known)), "{name}");
        }
    }

    #[test]
    fn any_percentile_is_an_aggregate() {
        let finish = |name: &str| match function(name).map(|found| found.meaning) {
            Some(FunctionMeaning::Fold(_, FinalFunction::Quantile(q))) => Some(q),
            _ => None,
        };
        assert_eq!(finish("p75"), Some(0.75));
        assert_eq!(finish("P999"), Some(0.999));
        assert_eq!(finish("P5"), None);
        assert_eq!(finish("Port"), None);
    }
}
