//! Reading requests: bodies of JSON, and what stands behind the `?` of a path.

use super::api_problem::ApiProblem;
use axum::body::to_bytes;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use pivot_advice::{Value, parse_timestamp};
use pivot_protocol::{to_wire, wire};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::time::timeout;

/// The most bytes of a body.
const MAX_BODY: usize = 1 << 20;

/// How long a body may take to come.
const LONGEST_BODY: Duration = Duration::from_secs(10);

/// The body of an install.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InstallBody {
    pub(super) text: String,
    #[serde(default)]
    pub(super) name: String,
    /// The values that `$name` in the text stands for.
    #[serde(default)]
    pub(super) params: BTreeMap<String, Json>,
    /// The client session that the query goes with; without one it stays.
    #[serde(default)]
    pub(super) session: String,
    /// The name of the client, for people.
    #[serde(default)]
    pub(super) owner: String,
    /// Whether the query stays when its client has gone.
    #[serde(default)]
    pub(super) stays: bool,
}

/// The body of calls about a text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TextBody {
    pub(super) text: String,
    #[serde(default)]
    pub(super) params: BTreeMap<String, Json>,
    /// How long the query is run to measure it; 0 does not run it.
    #[serde(default)]
    pub(super) analyze_ns: i64,
}

/// The body of a question in SQL.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlBody {
    pub(super) text: String,
    /// The most rows; 0 leaves it to the frontend.
    #[serde(default)]
    pub(super) rows: u64,
}

/// The body that names carriers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CarriersBody {
    pub(super) globs: Vec<String>,
}

/// Reads a body of JSON. It has to say that it is: no form of another page can, so that no page in somebody's browser can
/// send one.
pub(super) async fn json_body<B: DeserializeOwned>(request: Request) -> Result<B, ApiProblem> {
    let content = request.headers().get(CONTENT_TYPE).map(|content| content.to_str().unwrap_or_default());
    let content = content.map(|content| content.split(';').next().unwrap_or_default().trim());
    if !content.is_some_and(|content| content.eq_ignore_ascii_case("application/json")) {
        let detail = "the body is JSON: send `Content-Type: application/json`";
        return Err(ApiProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }

    let bytes = timeout(LONGEST_BODY, to_bytes(request.into_body(), MAX_BODY)).await.map_err(|_| {
        let detail = format!("the body did not come within {} s", LONGEST_BODY.as_secs());
        ApiProblem::new(StatusCode::REQUEST_TIMEOUT, detail)
    })?;
    let bytes = bytes.map_err(|_| {
        let detail = format!("the body is broken, or has more than {MAX_BODY} bytes");
        ApiProblem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiProblem::new(StatusCode::BAD_REQUEST, format!("the body: {error}")))
}

/// The part of a path that stands for a name.
#[derive(Debug)]
pub(super) struct PathText(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<PathText, ApiProblem> {
        let path = RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|wrong| ApiProblem::new(StatusCode::BAD_REQUEST, wrong.to_string()))?;
        Ok(PathText(path.iter().next().map(|(_, text)| text.to_owned()).unwrap_or_default()))
    }
}

/// Returns parameters of a query as they travel.
pub(super) fn params(params: BTreeMap<String, Json>) -> Result<HashMap<String, wire::Value>, ApiProblem> {
    let mut values = HashMap::new();
    for (name, json) in params {
        let Some(value) = value(&json) else {
            let detail =
                format!("the parameter `{name}` is a text, a number, a truth value, null, or a list of them");
            return Err(ApiProblem::new(StatusCode::BAD_REQUEST, detail));
        };
        values.insert(name, to_wire::value(&value));
    }
    Ok(values)
}

fn value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(x) => Value::Bool(*x),
        Json::String(text) => Value::str(text),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(x), _) => Value::I64(x),
            (None, Some(x)) => Value::U64(x),
            (None, None) => Value::double(number.as_f64()?),
        },

        Json::Array(items) => {
            let items: Option<Vec<Value>> = items.iter().map(value).collect();
            let items = items?;
            if items.iter().any(|item| matches!(item, Value::List(_))) {
                return None;
            }
            Value::List(items.into())
        }
        Json::Object(_) => return None,
    })
}

/// The parameters behind the `?` of a path, by name.
#[derive(Debug, Default)]
pub(super) struct QueryString(BTreeMap<String, String>);

impl QueryString {
    /// Reads it. Names that are not among the known ones, and those that are repeated, are a problem.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<QueryString, ApiProblem> {
        let mut found = BTreeMap::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);

            if !known.contains(&name.as_str()) {
                let detail = format!("there is no parameter `{name}` here; there are {}", known.join(", "));
                return Err(ApiProblem::new(StatusCode::BAD_REQUEST, detail));
            }
            if found.insert(name.clone(), value).is_some() {
                return Err(ApiProblem::new(StatusCode::BAD_REQUEST, format!("`{name}` is repeated")));
            }
        }
        Ok(QueryString(found))
    }

    /// Returns a text, or `None` if it is not there.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns a point in time in nanoseconds: RFC 3339, or a number of nanoseconds.
    pub(super) fn time_ns(&self, name: &str) -> Result<Option<i64>, ApiProblem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let time = text.parse().ok().or_else(|| parse_timestamp(text).ok());
        time.map(Some).ok_or_else(|| {
            let detail =
                format!("`{name}` is a time such as 2026-11-30T12:00:00Z, or nanoseconds since 1970");
            ApiProblem::new(StatusCode::BAD_REQUEST, detail)
        })
    }

    /// Returns a length in nanoseconds.
    pub(super) fn nanoseconds(&self, name: &str) -> Result<i64, ApiProblem> {
        let number = self.text(name).map_or(Ok(0), str::parse);
        number.ok().filter(|ns| *ns >= 0).ok_or_else(|| {
            ApiProblem::new(StatusCode::BAD_REQUEST, format!("`{name}` is a number of nanoseconds"))
        })
    }
}

/// Returns a text without its percent signs.
fn decoded(text: &str) -> Result<String, ApiProblem> {
    let broken = || ApiProblem::new(StatusCode::BAD_REQUEST, format!("`{text}` is not encoded as a URL is"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();

    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let pair = [rest.next().ok_or_else(broken)?, rest.next().ok_or_else(broken)?];
                let digits = pair.map(|digit| char::from(digit).to_digit(16));
                let [Some(high), Some(low)] = digits else { return Err(broken()) };
                (high * 16 + low) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_stands_behind_a_path_is_read_or_refused() {
        let read = |text: &str| QueryString::read(Some(text), &["from", "to"]);
        let found = read("from=2026-11-30T12%3A00%3A00Z&to=7").unwrap();
        assert_eq!(found.time_ns("from").unwrap(), Some(1_796_040_000_000_000_000));
        assert_eq!((found.time_ns("to").unwrap(), found.nanoseconds("to").unwrap()), (Some(7), 7));
        assert!(read("").unwrap().time_ns("from").unwrap().is_none());
        for wrong in ["form=1", "from=1&from=2", "from=%", "from=%zz", "from=%ff", "from=%+1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read("from=yesterday").unwrap().time_ns("from").is_err());
        assert!(read("from=-1").unwrap().nanoseconds("from").is_err());
    }

    #[test]
    fn parameters_are_values_or_lists_of_them() {
        let read = |text: &str| value(&serde_json::from_str(text).unwrap());
        assert_eq!(read("18446744073709551615"), Some(Value::U64(u64::MAX)));
        assert_eq!(read("-1"), Some(Value::I64(-1)));
        assert_eq!(read("0.5"), Some(Value::F64(0.5)));
        assert_eq!(read("[\"a\", null]"), Some(Value::List(vec![Value::str("a"), Value::Null].into())));
        assert_eq!((read("[[1]]"), read("{}")), (None, None));
    }
}
