//! Values of `$name` in queries.

use crate::text;
use pivot_advice::Value;
use pivot_query::CompileOptions;
use std::collections::BTreeMap;

/// Values by name, without the `$`.
pub(crate) type Params = BTreeMap<String, Value>;

/// Reads `name=value`.
pub(crate) fn pair(text: &str) -> Result<(String, Value), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form name=value"))?;
    Ok((name_of(name)?, value_of(value)))
}

/// A name as it stands behind `$`.
pub(crate) fn name_of(text: &str) -> Result<String, String> {
    let name = text.strip_prefix('$').unwrap_or(text);
    let first = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let fits = first && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if fits { Ok(name.to_owned()) } else { Err(format!("`{text}` is not a name of letters, digits and _")) }
}

/// A value as people write it: `true`, `12`, `0.5`, `100ms`, `64KiB`; anything else is text, and in
/// quotes always.
pub(crate) fn value_of(text: &str) -> Value {
    let text = text.trim();
    let quoted = |quote| text.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    if let Some(inner) = quoted('\'').or_else(|| quoted('"')) {
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
    let starts = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.'));
    match text.parse::<f64>() {
        Ok(number) if starts => Value::F64(number),
        _ => with_unit(text).unwrap_or_else(|| Value::str(text)),
    }
}

fn with_unit(text: &str) -> Option<Value> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '.')?);
    let number: f64 = number.parse().ok()?;
    let whole = |factor: f64| {
        let product = (number * factor).round();
        (product.abs() < 9e18).then_some(product as i64)
    };
    let duration = |factor| whole(factor).map(Value::Duration);
    let bytes = |factor| whole(factor).map(Value::I64);
    match unit {
        "ns" => duration(1.0),
        "us" | "µs" => duration(1e3),
        "ms" => duration(1e6),
        "s" => duration(1e9),
        "m" | "min" => duration(60e9),
        "h" => duration(3_600e9),
        "B" => bytes(1.0),
        "KB" => bytes(1e3),
        "MB" => bytes(1e6),
        "GB" => bytes(1e9),
        "KiB" => bytes(1024.0),
        "MiB" => bytes(1024.0 * 1024.0),
        "GiB" => bytes(1024.0 * 1024.0 * 1024.0),
        _ => None,
    }
}

/// What a compiler is told of the values.
pub(crate) fn options(params: &Params) -> CompileOptions {
    let options = CompileOptions::default();
    params.iter().fold(options, |options, (name, value)| options.param(name, value.clone()))
}

/// How a value is listed: text in quotes, so that it is told apart from a number.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Str(inner) => format!("'{}'", text::escaped(inner)),
        other => text::value(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_type_that_they_look_like() {
        let check = |text: &str, expected: Value| assert_eq!(value_of(text), expected, "{text}");
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
        assert_eq!(pair("$app=get"), Ok(("app".into(), Value::str("get"))));
        assert_eq!(pair("q=a=b"), Ok(("q".into(), Value::str("a=b"))));
        for wrong in ["app", "=1", "1a=2", "a b=2"] {
            assert!(pair(wrong).is_err(), "{wrong}");
        }
    }
}
