//! The OpenAPI document of the HTTP API, made of one table of all operations.

use serde_json::{Map, Value as Json, json};

/// One operation of the API.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// The parameters behind the `?` of the path.
    query: &'static [QueryParameter],
    /// The schema of the body, if there is one.
    body: Option<fn() -> Json>,
    success: Success,
}

struct QueryParameter {
    name: &'static str,
    schema: fn() -> Json,
    description: &'static str,
}

/// The answer of an operation that succeeds.
enum Success {
    /// A document of JSON, with this status.
    Document(u16),
    /// Nothing.
    Nothing,
    /// Rows as JSON, NDJSON or CSV.
    Rows,
    /// Server-sent events.
    Events,
}

const FORMAT: QueryParameter = QueryParameter {
    name: "format",
    schema: || json!({ "type": "string", "enum": ["json", "ndjson", "csv"] }),
    description: "The form of rows; json unless another is named.",
};

const OPERATIONS: [Operation; 20] = [
    Operation::get("/openapi.json", "This document."),
    Operation::get("/queries", "Lists installed queries."),
    Operation {
        body: Some(install_body),
        success: Success::Document(201),
        ..Operation::post("/queries", "Installs a query.")
    },
    Operation::get("/queries/{query}", "Describes an installed query."),
    Operation {
        method: "delete",
        success: Success::Nothing,
        ..Operation::get("/queries/{query}", "Uninstalls a query; its last windows still come.")
    },
    Operation {
        success: Success::Nothing,
        ..Operation::post("/queries/{query}/keep", "Has a query stay when its client has gone.")
    },
    Operation {
        query: &[
            FORMAT,
            QueryParameter {
                name: "scope",
                schema: || json!({ "type": "string", "enum": ["total", "window"] }),
                description: "The rows of NDJSON and CSV: since install, or of the newest window. JSON has both.",
            },
        ],
        success: Success::Rows,
        ..Operation::get("/queries/{query}/result", "Returns the newest result of a query.")
    },
    Operation {
        query: &[
            QueryParameter {
                name: "wanted",
                schema: || json!({ "type": "string", "enum": ["all", "windows", "newest"] }),
                description: "Every window, the newest with the result since install; windows alone; or the newest alone.",
            },
            QueryParameter {
                name: "after",
                schema: || json!({ "type": "string", "pattern": "^[0-9a-f]{8}\\.[0-9]{1,19}$" }),
                description: "The id of the event that was read last; the header Last-Event-ID says the same.",
            },
        ],
        success: Success::Events,
        ..Operation::get(
            "/queries/{query}/results",
            "Streams the results of a query: events frame, skipped, problem and end.",
        )
    },
    Operation::post(
        "/sessions/{session}/keep-alive",
        "Says that a client session lives, so that its queries stay.",
    ),
    Operation { body: Some(text_body), ..Operation::post("/check", "Says what is wrong with a query.") },
    Operation {
        body: Some(text_body),
        ..Operation::post("/explain", "Returns the plan and the advice of a query.")
    },
    Operation { body: Some(text_body), ..Operation::post("/format", "Lays out the text of a query.") },
    Operation {
        query: &[FORMAT],
        body: Some(sql_body),
        success: Success::Rows,
        ..Operation::post("/sql", "Answers a question in SQL.")
    },
    Operation::get("/agents", "Lists agents that are connected, or were a few minutes ago."),
    Operation::get("/tracepoints", "Lists the tracepoints of all agents together."),
    Operation::get("/carriers", "Lists the spans that carry requests because somebody has named them."),
    Operation {
        method: "put",
        body: Some(carriers_body),
        ..Operation::post("/carriers", "Names spans that carry requests, in the place of those named before.")
    },
    Operation::get("/history", "Lists the queries of which windows are kept."),
    Operation {
        query: &[
            QueryParameter {
                name: "from",
                schema: time_schema,
                description: "Windows that begin from here on: RFC 3339, or nanoseconds since 1970.",
            },
            QueryParameter {
                name: "to",
                schema: time_schema,
                description: "Windows that begin before this; now unless given.",
            },
            QueryParameter {
                name: "step",
                schema: || json!({ "type": "integer", "format": "int64", "minimum": 0 }),
                description: "The length of a step in nanoseconds; 0 adds all windows up to one result.",
            },
            FORMAT,
        ],
        success: Success::Rows,
        ..Operation::get(
            "/history/{query}",
            "Adds up windows that have closed, as if each step had been one window.",
        )
    },
    Operation {
        method: "delete",
        success: Success::Nothing,
        ..Operation::get("/history/{query}", "Forgets the windows of a query until now.")
    },
];

impl Operation {
    const fn get(path: &'static str, summary: &'static str) -> Operation {
        Operation { method: "get", path, summary, query: &[], body: None, success: Success::Document(200) }
    }

    const fn post(path: &'static str, summary: &'static str) -> Operation {
        Operation { method: "post", body: Some(no_body), ..Operation::get(path, summary) }
    }

    fn document(&self) -> Json {
        let in_path =
            ["query", "session"].into_iter().filter(|name| self.path.contains(&format!("{{{name}}}")));
        let in_path = in_path.map(|name| json!({
            "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 },
            "description": if name == "query" { "The number or the name of a query." } else { "What the client calls itself." },
        }));
        let behind = self.query.iter().map(|parameter| {
            json!({
                "name": parameter.name, "in": "query", "required": false, "schema": (parameter.schema)(),
                "description": parameter.description,
            })
        });

        let mut operation = json!({
            "summary": self.summary,
            "parameters": in_path.chain(behind).collect::<Vec<Json>>(),
            "responses": self.responses(),
        });
        if let Some(schema) = self.body {
            operation["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": schema() } } });
        }
        operation
    }

    fn responses(&self) -> Json {
        let object = json!({ "schema": { "type": "object" } });
        let (status, content) = match self.success {
            Success::Document(status) => (status, Some(json!({ "application/json": object }))),
            Success::Nothing => (204, None),
            Success::Rows => {
                let text = json!({ "schema": { "type": "string" } });
                let rows = json!({
                    "application/json": { "schema": { "type": ["object", "array"] } },
                    "application/x-ndjson": text,
                    "text/csv": text,
                });
                (200, Some(rows))
            }
            Success::Events => {
                (200, Some(json!({ "text/event-stream": { "schema": { "type": "string" } } })))
            }
        };

        let mut responses = Map::new();
        let mut success = json!({ "description": "It worked." });
        if let Some(content) = content {
            success["content"] = content;
        }
        responses.insert(status.to_string(), success);
        let problem = json!({
            "description": "What is wrong, where, and what to do.",
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
        responses.insert("4XX".to_owned(), problem.clone());
        responses.insert("5XX".to_owned(), problem);
        Json::Object(responses)
    }
}

fn time_schema() -> Json {
    json!({ "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "integer", "format": "int64" }] })
}

fn object(properties: Json, required: &[&str]) -> Json {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn no_body() -> Json {
    object(json!({}), &[])
}

fn text_body() -> Json {
    object(
        json!({
            "text": { "type": "string" },
            "params": params_schema(),
            "analyze_ns": { "type": "integer", "format": "int64", "minimum": 0, "maximum": 100_000_000_i64 },
        }),
        &["text"],
    )
}

fn params_schema() -> Json {
    let value = json!({ "type": ["string", "number", "boolean", "null"] });
    json!({ "type": "object", "additionalProperties": value, "description": "The values that `$name` in the text stands for." })
}

fn install_body() -> Json {
    object(
        json!({
            "text": { "type": "string" },
            "name": { "type": "string" },
            "params": params_schema(),

            "session": { "type": "string", "maxLength": 128, "description": "The client session that the query goes with; without one it stays." },
            "owner": { "type": "string", "description": "Who the client is, for people." },
            "stays": { "type": "boolean", "description": "Whether the query stays when its client has gone." },
        }),
        &["text"],
    )
}

fn sql_body() -> Json {
    let rows = json!({ "type": "integer", "format": "int64", "minimum": 0 });
    object(json!({ "text": { "type": "string" }, "rows": rows }), &["text"])
}

fn carriers_body() -> Json {
    object(json!({ "globs": { "type": "array", "items": { "type": "string" } } }), &["globs"])
}

/// Returns the document.
pub(super) fn document() -> Json {
    let mut paths: Map<String, Json> = Map::new();
    for operation in &OPERATIONS {
        let path = paths.entry(format!("/api/v1{}", operation.path)).or_insert_with(|| json!({}));
        path[operation.method] = operation.document();
    }

    let diagnostic = object(
        json!({
            "severity": { "type": "string", "enum": ["error", "warning"] },
            "start": { "type": "integer" }, "end": { "type": "integer" },
            "message": { "type": "string" }, "detail": { "type": "string" },
            "hint": { "type": "string" }, "corrected": { "type": "string" },
        }),
        &["severity", "start", "end", "message"],
    );
    let problem = json!({
        "type": "object",
        "required": ["title", "status", "detail"],
        "properties": {
            "type": { "type": "string" }, "title": { "type": "string" }, "status": { "type": "integer" },
            "detail": { "type": "string" }, "diagnostics": { "type": "array", "items": diagnostic },
        },
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pivot",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Integers have all their digits, also beyond 2^53. Durations are nanoseconds, points in time RFC 3339 in \
                            UTC, bytes hexadecimal text; NaN and infinities are texts. Buckets of HIST and LHIST are objects \
                            with their bounds.",
        },
        "paths": paths,
        "components": { "schemas": { "Problem": problem } },
    })
}
