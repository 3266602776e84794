//! Numbers with their units: durations become nanoseconds, sizes bytes.

use super::token::{LexicalError, TokenKind};
use pivot_advice::Value;

/// A unit of numbers.
struct NumberUnit {
    name: &'static str,
    /// How many nanoseconds or bytes one of it is.
    size: i64,
    /// The value of a number of nanoseconds or bytes.
    value: fn(i64) -> Value,
}

const fn duration(name: &'static str, nanoseconds: i64) -> NumberUnit {
    NumberUnit { name, size: nanoseconds, value: Value::Duration }
}

const fn size(name: &'static str, bytes: i64) -> NumberUnit {
    NumberUnit { name, size: bytes, value: Value::I64 }
}

const UNITS: [NumberUnit; 19] = [
    duration("ns", 1),
    duration("us", 1_000),
    // The micro sign and the Greek letter look alike.
    duration("µs", 1_000),
    duration("μs", 1_000),
    duration("ms", 1_000_000),
    duration("s", 1_000_000_000),
    duration("m", 60_000_000_000),
    duration("h", 3_600_000_000_000),
    duration("d", 86_400_000_000_000),
    size("B", 1),
    size("KiB", 1 << 10),
    size("MiB", 1 << 20),
    size("GiB", 1 << 30),
    size("TiB", 1 << 40),
    size("kB", 1_000),
    size("KB", 1_000),
    size("MB", 1_000_000),
    size("GB", 1_000_000_000),
    size("TB", 1_000_000_000_000),
];

/// Reads the number that a text begins with, `digits [. digits] [e [+-] digits] [unit]`; returns it with
/// its length in bytes.
pub(super) fn number(text: &str) -> (TokenKind<'static>, usize) {
    let whole = digits(text);
    let mut length = whole;

    // A dot without a digit behind it is the dot of a name.
    let fraction = text[length..].strip_prefix('.').map_or(0, digits);
    if fraction > 0 {
        length += 1 + fraction;
    }

    let exponent = exponent(&text[length..]);
    length += exponent;

    // Letters that touch the digits are a unit, known or not: `5q` is no number beside a name.
    let behind = &text[length..];
    let end_of_unit = behind.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(behind.len());
    let unit = &behind[..end_of_unit];

    let is_integer = fraction == 0 && exponent == 0;
    let amount = &text[..length];
    let value = match unit {
        "" if is_integer => integer(amount),
        "" => amount.parse().ok().filter(|x: &f64| x.is_finite()).map(Value::F64),
        _ => match UNITS.iter().find(|known| known.name == unit) {
            Some(known) => scaled(amount, known.size).map(known.value),
            None => return (TokenKind::Malformed(LexicalError::UnknownUnit), length + unit.len()),
        },
    };
    let kind = value.map_or(TokenKind::Malformed(LexicalError::NumberTooLarge), TokenKind::Literal);
    (kind, length + unit.len())
}

/// Returns how many ASCII digits a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Returns the length of the exponent that a text begins with, or 0 if it begins with none.
fn exponent(text: &str) -> usize {
    let Some(behind) = text.strip_prefix(['e', 'E']) else { return 0 };
    let unsigned = behind.strip_prefix(['+', '-']).unwrap_or(behind);
    match digits(unsigned) {
        0 => 0,
        count => text.len() - unsigned.len() + count,
    }
}

/// The type of an integer is i64 where it fits, else u64.
fn integer(digits: &str) -> Option<Value> {
    let signed = digits.parse().map(Value::I64);
    signed.or_else(|_| digits.parse().map(Value::U64)).ok()
}

/// Returns a number in the smaller unit, or `None` if it does not fit. Integers are scaled exactly.
fn scaled(amount: &str, factor: i64) -> Option<i64> {
    if let Ok(integer) = amount.parse::<i64>() {
        return integer.checked_mul(factor);
    }
    // What is no integer for i64 may be one that is too large, which is checked below.
    let scaled = (amount.parse::<f64>().ok()? * factor as f64).round();
    // Doubles near i64::MAX do not convert exactly.
    (scaled.abs() < 9.0e18).then_some(scaled as i64)
}
