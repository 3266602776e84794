//! Values of `$name` in queries, as people write them on the command line and at the prompt.

use crate::humanize;
use crate::terminal_text::escaped;
use pivot_advice::Value;
use pivot_query::CompileOptions;
use std::collections::BTreeMap;

/// Values by name, without the `$`.
pub(crate) type QueryParams = BTreeMap<String, Value>;

/// Reads `name=value`. The error is a sentence for the user.
pub(crate) fn parse_pair(text: &str) -> Result<(String, Value), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form name=value"))?;
    Ok((parse_name(name)?, parse_value(value)))
}

/// Reads a name, with or without the `$`. The error is a sentence for the user.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    let name = text.strip_prefix('$').unwrap_or(text);
    let begins_well = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if begins_well && name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        Ok(name.to_owned())
    } else {
        Err(format!("`{text}` is not a name of letters, digits and _"))
    }
}

/// Reads a value: `true`, `null`, `12`, `0.5`, `100ms`, `64KiB`. Anything else is text, and so is everything in
/// quotes.
pub(crate) fn parse_value(text: &str) -> Value {
    let text = text.trim();
    if let Some(inner) = unquoted(text, '\'').or_else(|| unquoted(text, '"')) {
        return Value::str(inner);
    }

    match text.to_ascii_lowercase().as_str() {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        "null" => return Value::Null,
        _ => {}
    }

    if let Ok(number) = text.parse() {
        return Value::I64(number);
    }
    // Rust also reads `inf` and `nan` as numbers, which people mean as text.
    let looks_like_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.'));
    match text.parse::<f64>() {
        Ok(number) if looks_like_number => Value::F64(number),
        _ => parse_with_unit(text).unwrap_or_else(|| Value::str(text)),
    }
}

fn unquoted(text: &str, quote: char) -> Option<&str> {
    text.strip_prefix(quote)?.strip_suffix(quote)
}

/// Reads a duration or a number of bytes. `None` if it is neither, or does not fit.
fn parse_with_unit(text: &str) -> Option<Value> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '.')?);
    let number: f64 = number.parse().ok()?;

    let (factor, make): (f64, fn(i64) -> Value) = match unit {
        "ns" => (1.0, Value::Duration),
        "us" | "µs" => (1e3, Value::Duration),
        "ms" => (1e6, Value::Duration),
        "s" => (1e9, Value::Duration),
        "m" | "min" => (60e9, Value::Duration),
        "h" => (3_600e9, Value::Duration),
        "B" => (1.0, Value::I64),
        "KB" => (1e3, Value::I64),
        "MB" => (1e6, Value::I64),
        "GB" => (1e9, Value::I64),
        "KiB" => (1024.0, Value::I64),
        "MiB" => (1024.0 * 1024.0, Value::I64),
        "GiB" => (1024.0 * 1024.0 * 1024.0, Value::I64),
        _ => return None,
    };

    // A double near the end of i64 may round beyond it; text is better than a clamped number.
    let product = (number * factor).round();
    (product.abs() < 9e18).then(|| make(product as i64))
}

/// Returns the options of a compiler that knows the values.
pub(crate) fn compile_options(params: &QueryParams) -> CompileOptions {
    params.iter().fold(CompileOptions::default(), |options, (name, value)| options.param(name, value.clone()))
}

/// Returns a value as `\set` lists it: text in quotes, so that it is told apart from a number.
pub(crate) fn listed_value(value: &Value) -> String {
    match value {
        Value::Str(inner) => format!("'{}'", escaped(inner)),
        other => humanize::value(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_type_that_they_look_like() {
        let check = |text: &str, expected: Value| assert_eq!(parse_value(text), expected, "{text}");
        check("12", Value::I64(12));
        check("-0.5", Value::F64(-0.5));
        check("true", Value::Bool(true));
        check("100ms", Value::Duration(100_000_000));
        check("64KiB", Value::I64(65_536));
        check("get", Value::str("get"));
        check("'12'", Value::str("12"));
        check("inf", Value::str("inf"));
        check("9e99h", Value::str("9e99h"));
        check("", Value::str(""));
        check("'", Value::str("'"));
    }

    #[test]
    fn a_pair_has_a_name_and_a_value() {
        assert_eq!(parse_pair("$app=get"), Ok(("app".into(), Value::str("get"))));
        assert_eq!(parse_pair("q=a=b"), Ok(("q".into(), Value::str("a=b"))));
        for wrong in ["app", "=1", "1a=2", "a b=2"] {
            assert!(parse_pair(wrong).is_err(), "{wrong}");
        }
    }
}
