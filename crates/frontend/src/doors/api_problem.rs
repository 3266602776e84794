//! What is wrong with a request, as a JSON document by RFC 9457: what, where, and what to do.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use pivot_protocol::wire;
use serde_json::{Value as Json, json};
use tonic::{Code, Status};

/// Why a request is not answered.
#[derive(Debug)]
pub(super) struct ApiProblem {
    status: StatusCode,
    detail: String,
    /// Mistakes in the text of a query or a statement.
    diagnostics: Vec<Json>,
}

impl ApiProblem {
    /// Makes a problem with a sentence for people.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> ApiProblem {
        ApiProblem { status, detail: detail.into(), diagnostics: Vec::new() }
    }

    /// Makes the problem of a text that does not compile.
    pub(super) fn does_not_compile(found: &[wire::Diagnostic]) -> ApiProblem {
        let first = found.iter().find(|diagnostic| is_error(diagnostic)).or(found.first());
        let detail =
            first.map_or_else(|| "the text does not compile".to_owned(), |first| first.message.clone());
        let diagnostics = found.iter().map(diagnostic).collect();
        ApiProblem { status: StatusCode::UNPROCESSABLE_ENTITY, detail, diagnostics }
    }

    /// Returns the document.
    pub(super) fn document(&self) -> Json {
        let mut document = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("problem"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if !self.diagnostics.is_empty() {
            document["diagnostics"] = Json::Array(self.diagnostics.clone());
        }
        document
    }
}

/// Whether a diagnostic keeps a text from compiling.
pub(super) fn is_error(diagnostic: &wire::Diagnostic) -> bool {
    diagnostic.severity() != wire::diagnostic::Severity::Warning
}

/// Returns a diagnostic as JSON: `start` and `end` are bytes of the text.
pub(super) fn diagnostic(found: &wire::Diagnostic) -> Json {
    json!({
        "severity": if is_error(found) { "error" } else { "warning" },
        "start": found.start,
        "end": found.end,
        "message": found.message,
        "detail": found.detail,
        "hint": found.hint,
        "corrected": found.corrected,
    })
}

impl From<Status> for ApiProblem {
    fn from(status: Status) -> ApiProblem {
        let code = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => StatusCode::CONFLICT,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,

            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Code::DataLoss => StatusCode::GONE,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        ApiProblem::new(code, status.message())
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let content = HeaderValue::from_static("application/problem+json");
        let store = HeaderValue::from_static("no-store");
        let headers = [(CONTENT_TYPE, content), (CACHE_CONTROL, store)];
        (self.status, headers, format!("{}\n", self.document())).into_response()
    }
}
