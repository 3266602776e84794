//! Expressions over the columns of a row.
//!
//! `latency > 5ms AND host LIKE 'dn-%'` over the columns (host, latency) is this tree; [`crate::eval`]
//! evaluates it and [`crate::expr_text`] writes it as text.
//!
//! ```text
//! Binary(And) ─┬─ Binary(Greater) ─┬─ Column(1)
//!              │                   └─ Literal(5ms)
//!              └─ Matches(Like "dn-%") ── Column(0)
//! ```
//!
//! Trees come from other processes, so they are at most [`MAX_DEPTH`] deep: recursion over them is safe.

use crate::value::{Type, Value};
use std::sync::Arc;

/// The deepest nesting an expression may have; compiler and verifier both hold to it.
pub const MAX_DEPTH: usize = 64;

/// An expression. Columns are positions in the row of the advice that holds it.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// The value of a column.
    Column(u16),
    /// A constant.
    Literal(Value),
    /// One operand.
    Unary(UnaryOperator, Box<Expr>),
    /// Two operands.
    Binary(BinaryOperator, Box<Expr>, Box<Expr>),
    /// A scalar function.
    Call(Function, Vec<Expr>),
    /// `CASE WHEN .. THEN .. ELSE .. END`; the first arm whose condition is true.
    Case(Vec<(Expr, Expr)>, Option<Box<Expr>>),
    /// `x IN (..)`, with SQL's three truth values.
    In(Box<Expr>, Vec<Expr>),
    /// `x LIKE '..'` or `x ~ '..'`.
    Matches(Box<Expr>, Pattern),
    /// `CAST(x AS type)`.
    Cast(Box<Expr>, Type),
    /// `regexp_extract(x, '..', group)`: the text that the group matched, 0 for the whole; null if nothing
    /// did.
    Extract(Box<Expr>, Pattern, u16),
}

/// Operators with one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOperator {
    /// Logical negation.
    Not,
    /// Arithmetic negation.
    Negate,
    /// `IS NULL`.
    IsNull,
}

/// Operators with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOperator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`; of integers, truncating
    Divide,
    /// `%`
    Remainder,
    /// `||`
    Concat,
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `AND`
    And,
    /// `OR`
    Or,
}

/// Scalar functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// `lower(text)`
    Lower,
    /// `upper(text)`
    Upper,
    /// `length(text | bytes | list)`
    Length,
    /// `substr(text, start from 1, length)`
    Substr,
    /// `split_part(text, separator, n from 1, or from the end if negative)`
    SplitPart,
    /// `starts_with(text, prefix)`
    StartsWith,
    /// `contains(text, part)`
    Contains,
    /// `abs(number)`
    Abs,
    /// `floor(number)`
    Floor,
    /// `ceil(number)`
    Ceil,
    /// `round(number)`
    Round,
    /// `ln(number)`
    Ln,
    /// `log2(number)`
    Log2,
    /// `pow(base, exponent)`
    Pow,
    /// `bucket(x, width)`: the largest multiple of width not above x
    Bucket,
    /// `truncate(time, unit)`: the start of its second, minute, hour, day or week (from Monday), in UTC
    Truncate,
    /// `width_bucket(x, least, most, count)`: which of count buckets of one width, 0 below, count + 1 above
    WidthBucket,
    /// `coalesce(x, ..)`: the first that is not null
    Coalesce,
    /// `if(condition, then, else)`
    If,
    /// `hash(x, ..)`: stable 64 bits
    Hash,
    /// `size(x, ..)`: bytes that the values take in baggage
    Size,
}

impl Function {
    /// All functions, each with its name and the fewest and the most arguments that it takes.
    pub const ALL: [(Function, &'static str, usize, usize); 21] = [
        (Function::Lower, "lower", 1, 1),
        (Function::Upper, "upper", 1, 1),
        (Function::Length, "length", 1, 1),
        (Function::Substr, "substr", 2, 3),
        (Function::SplitPart, "split_part", 3, 3),
        (Function::StartsWith, "starts_with", 2, 2),
        (Function::Contains, "contains", 2, 2),
        (Function::Abs, "abs", 1, 1),
        (Function::Floor, "floor", 1, 1),
        (Function::Ceil, "ceil", 1, 1),
        (Function::Round, "round", 1, 1),
        (Function::Ln, "ln", 1, 1),
        (Function::Log2, "log2", 1, 1),
        (Function::Pow, "pow", 2, 2),
        (Function::Bucket, "bucket", 2, 2),
        (Function::Truncate, "truncate", 2, 2),
        (Function::WidthBucket, "width_bucket", 4, 4),
        (Function::Coalesce, "coalesce", 1, 64),
        (Function::If, "if", 3, 3),
        (Function::Hash, "hash", 1, 64),
        (Function::Size, "size", 0, 64),
    ];

    /// Returns the name in query text.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// Returns the fewest and the most arguments.
    pub fn arity(self) -> (usize, usize) {
        let (_, _, least, most) = self.entry();
        (least, most)
    }

    /// Returns the function of that name, in upper or lower case.
    pub fn by_name(name: &str) -> Option<Function> {
        let found = Self::ALL.iter().find(|entry| entry.1.eq_ignore_ascii_case(name));
        found.map(|entry| entry.0)
    }

    fn entry(self) -> (Function, &'static str, usize, usize) {
        let found = Self::ALL.iter().find(|entry| entry.0 == self);
        found.copied().unwrap_or(Self::ALL[0])
    }
}

/// A text pattern, ready to match.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// SQL's LIKE: `%` any text, `_` one character, `\` takes the next literally.
    Like(Arc<str>),
    /// A regular expression, matched anywhere in the text in linear time.
    Regex(Arc<regex_lite::Regex>),
}

impl Pattern {
    /// Compiles a regular expression; the error says what is wrong with it. Its compiled size is limited,
    /// because patterns come from other processes.
    pub fn regex(source: &str) -> Result<Pattern, String> {
        let built = regex_lite::RegexBuilder::new(source).size_limit(1 << 16).build();
        built.map(|regex| Pattern::Regex(Arc::new(regex))).map_err(|error| error.to_string())
    }

    /// Returns the text that the pattern was made of.
    pub fn source(&self) -> &str {
        match self {
            Pattern::Like(source) => source,
            Pattern::Regex(regex) => regex.as_str(),
        }
    }

    /// Returns the text that a group of a regular expression matched; group 0 is the whole match.
    pub fn extract<'t>(&self, text: &'t str, group: u16) -> Option<&'t str> {
        let Pattern::Regex(regex) = self else { return None };
        regex.captures(text)?.get(usize::from(group)).map(|found| found.as_str())
    }

    /// Returns the number of groups of a regular expression, without group 0.
    pub fn groups(&self) -> usize {
        match self {
            Pattern::Like(_) => 0,
            Pattern::Regex(regex) => regex.captures_len().saturating_sub(1),
        }
    }

    /// Whether the text matches.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Like(pattern) => like(pattern, text),
            Pattern::Regex(regex) => regex.is_match(text),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.source() == other.source()
    }
}

/// Matches a LIKE pattern. Each `%` first matches nothing; where the rest does not fit, the last `%` takes
/// one character more. Earlier ones need not be tried again. Linear in practice, quadratic at worst.
fn like(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // The pattern behind the last `%`, and the text from which on it was tried.
    let mut fallback: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        // `ahead` may read a character that the pattern keeps if it does not match.
        let mut ahead = pattern.clone();
        let matched = match ahead.next() {
            Some('%') => {
                fallback = Some((ahead.clone(), text.clone()));
                pattern = ahead;
                continue;
            }
            None if text.as_str().is_empty() => return true,
            None => false,
            Some('_') => text.next().is_some(),
            Some('\\') => ahead.next().is_some_and(|c| text.next() == Some(c)),
            Some(c) => text.next() == Some(c),
        };

        if matched {
            pattern = ahead;
            continue;
        }

        let Some((after, from)) = &mut fallback else { return false };
        if from.next().is_none() {
            return false;
        }
        (pattern, text) = (after.clone(), from.clone());
    }
}

impl Expr {
    /// Returns a binary expression.
    pub fn binary(op: BinaryOperator, left: Expr, right: Expr) -> Expr {
        Expr::Binary(op, Box::new(left), Box::new(right))
    }

    /// Returns the expressions directly inside this one, in the order of the text.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Column(_) | Expr::Literal(_) => vec![],
            Expr::Unary(_, x) | Expr::Matches(x, _) | Expr::Cast(x, _) | Expr::Extract(x, ..) => vec![x],
            Expr::Binary(_, x, y) => vec![x, y],
            Expr::Call(_, arguments) => arguments.iter().collect(),
            Expr::In(x, list) => std::iter::once(&**x).chain(list).collect(),

            Expr::Case(arms, otherwise) => {
                let arms = arms.iter().flat_map(|(when, then)| [when, then]);
                arms.chain(otherwise.as_deref()).collect()
            }
        }
    }

    /// Returns how deeply expressions nest, 1 for a leaf.
    pub fn depth(&self) -> usize {
        1 + self.children().into_iter().map(Expr::depth).max().unwrap_or(0)
    }

    /// Returns the number of expressions in the tree, this one included.
    pub fn size(&self) -> usize {
        1 + self.children().into_iter().map(Expr::size).sum::<usize>()
    }

    /// Calls `visit` with every column that this expression reads.
    pub fn columns(&self, visit: &mut dyn FnMut(u16)) {
        if let Expr::Column(index) = self {
            visit(*index);
        }
        self.children().into_iter().for_each(|child| child.columns(visit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_matches_as_sql_does() {
        let like = |pattern: &str, text: &str| Pattern::Like(pattern.into()).matches(text);
        assert!(like("a%c", "abbbc"));
        assert!(like("%", ""));
        assert!(like("_b_", "abc"));
        assert!(like("100\\%", "100%"));
        assert!(like("%ab%ab", "xxabyabzab"));
        assert!(!like("a%c", "abbb"));
        assert!(!like("_", ""));
        assert!(!like("100\\%", "1000"));
    }

    #[test]
    fn functions_are_found_by_name() {
        for (function, name, ..) in Function::ALL {
            assert_eq!(Function::by_name(&name.to_uppercase()), Some(function));
        }
    }
}
