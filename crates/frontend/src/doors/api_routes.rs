//! The routes of the HTTP API, and what each does: the call of the public service that a client would make over gRPC.

use super::api_document::document as api_document;
use super::api_formats::{RowFormat, csv_line, csv_text, line};
use super::api_json::{FrameScope, columns, frame as frame_json, wire_value};
use super::api_lists::{agent, carrier, kept_query, query as query_json, sql_column, sql_row, tracepoint};
use super::api_problem::{ApiProblem, diagnostic, is_error};
use super::api_requests::{
    CarriersBody, InstallBody, PathText, QueryString, SqlBody, TextBody, json_body, params,
};
use super::api_stream::{EventId, document, download, events};
use crate::allowed_hosts::AllowedHosts;
use crate::clients_service::ClientsService;
use crate::frame_stream::{FrameStream, compute};
use crate::guarded_connection::{ConnectionRoom, RequestConnection};
use crate::kept_frames::FrameSelection;
use crate::shared_state::SharedState;
use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures::stream::{StreamExt, once};
use pivot_protocol::wire::{self, frontend_server::Frontend};
use serde_json::{Value as Json, json};
use tonic::Status;

/// The beginning of all paths of the API.
pub(crate) const API: &str = "/api/v1/";

type Service = State<ClientsService>;
type Answer = Result<Response, ApiProblem>;

/// Returns the routes of the API.
pub(crate) fn api_routes(service: ClientsService) -> Router {
    Router::new()
        .route("/api/v1/openapi.json", get(openapi))
        .route("/api/v1/queries", get(list_queries).post(install))
        .route("/api/v1/queries/{query}", get(one_query).delete(uninstall))
        .route("/api/v1/queries/{query}/keep", post(keep))
        .route("/api/v1/queries/{query}/result", get(result))
        .route("/api/v1/queries/{query}/results", get(results))
        .route("/api/v1/sessions/{session}/keep-alive", post(keep_alive))
        .route("/api/v1/check", post(check))
        .route("/api/v1/explain", post(explain))
        .route("/api/v1/format", post(format))
        .route("/api/v1/sql", post(sql))
        .route("/api/v1/agents", get(list_agents))
        .route("/api/v1/tracepoints", get(list_tracepoints))
        .route("/api/v1/carriers", get(list_carriers).put(set_carriers))
        .route("/api/v1/history", get(list_history))
        .route("/api/v1/history/{query}", get(read_history).delete(drop_history))
        .route("/api/v1/{*path}", any(no_such_path))
        .method_not_allowed_fallback(no_such_method)
        .with_state(service)
}

/// Returns the answer to a request that does not reach the API, or `None` to one that does. A page in somebody's browser may
/// not ask, unless it has the origin of the frontend.
pub(crate) fn refuse_api_request(request: &Request, hosts: AllowedHosts) -> Option<Response> {
    if hosts != AllowedHosts::Local {
        let detail = "the HTTP API is served on loopback alone, as it knows neither TLS nor who asks: listen at 127.0.0.1";
        return Some(ApiProblem::new(StatusCode::FORBIDDEN, detail).into_response());
    }

    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let host = header(HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    if let Some(origin) = header(ORIGIN) {
        let own = host
            .is_some_and(|host| origin == format!("http://{host}") || origin == format!("https://{host}"));
        if !own {
            let detail = format!("pages of {origin} may not ask this frontend");
            return Some(ApiProblem::new(StatusCode::FORBIDDEN, detail).into_response());
        }
    }

    if let Some(connection) = request.extensions().get::<RequestConnection>() {
        if connection.room == ConnectionRoom::Refused {
            let detail =
                "the frontend has as many connections as it takes: see its limit of open files (ulimit -n)";
            return Some(ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response());
        }
        connection.engage();
    }
    None
}

async fn no_such_path(request: Request) -> ApiProblem {
    let detail = format!("there is no {}: /api/v1/openapi.json lists all paths", request.uri().path());
    ApiProblem::new(StatusCode::NOT_FOUND, detail)
}

async fn no_such_method(request: Request) -> ApiProblem {
    let detail = format!("{} is not answered here: /api/v1/openapi.json lists what is", request.method());
    ApiProblem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

async fn openapi() -> Response {
    document(StatusCode::OK, &api_document())
}

/// Returns the number of an installed query that a path names, by number or by name.
fn installed(shared: &SharedState, path: &str) -> Result<u32, ApiProblem> {
    let text = path;
    let state = shared.lock();
    let by_name = state.queries.iter().filter(|query| query.definition.name == text);
    let by_name = by_name.map(|query| query.definition.id.number).max();
    let number = text.parse().ok().filter(|number| state.query(*number).is_some());

    number.or(by_name).ok_or_else(|| {
        let detail = format!("no query `{text}` is installed: GET /api/v1/queries lists all");
        ApiProblem::new(StatusCode::NOT_FOUND, detail)
    })
}

async fn list_queries(State(service): Service) -> Answer {
    let found = service.list_queries(tonic::Request::new(wire::ListQueriesRequest {})).await?.into_inner();
    let queries: Vec<Json> = found.queries.iter().map(query_json).collect();
    Ok(document(StatusCode::OK, &json!({ "queries": queries, "now_ns": found.now_ns })))
}

async fn one_query(State(service): Service, PathText(path): PathText) -> Answer {
    let number = installed(&service.shared, &path)?;
    let found = service.list_queries(tonic::Request::new(wire::ListQueriesRequest {})).await?.into_inner();
    let query = found.queries.iter().find(|query| query.number == number);
    let query = query.ok_or_else(|| {
        ApiProblem::new(
            StatusCode::NOT_FOUND,
            format!("query {number} is uninstalled; its last results are kept for a while"),
        )
    })?;
    Ok(document(StatusCode::OK, &query_json(query)))
}

async fn install(State(service): Service, request: Request) -> Answer {
    let InstallBody { text, name, params: values, session, owner, stays } = json_body(request).await?;
    let owner = wire::QueryOwner { session, name: owner, stays };
    let request = wire::InstallRequest { text, name, params: params(values)?, owner: Some(owner) };

    let reply = service.install(tonic::Request::new(request)).await?.into_inner();
    let Some(number) = reply.query else { return Err(ApiProblem::does_not_compile(&reply.diagnostics)) };
    let answer = json!({
        "number": number,
        "columns": columns(&reply.columns),
        "warnings": reply.diagnostics.iter().map(diagnostic).collect::<Vec<Json>>(),
        "agents_expected": reply.agents_expected,
    });
    Ok(document(StatusCode::CREATED, &answer))
}

async fn uninstall(State(service): Service, PathText(path): PathText) -> Answer {
    let query = installed(&service.shared, &path)?;
    service.uninstall(tonic::Request::new(wire::UninstallRequest { query })).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn keep(State(service): Service, PathText(path): PathText, request: Request) -> Answer {
    let Nothing {} = json_body(request).await?;
    let query = installed(&service.shared, &path)?;
    service.keep(tonic::Request::new(wire::KeepRequest { query })).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The body of calls that need none.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn keep_alive(State(service): Service, PathText(path): PathText, request: Request) -> Answer {
    let Nothing {} = json_body(request).await?;
    let session = path;
    let reply = service.keep_alive(tonic::Request::new(wire::KeepAliveRequest { session })).await?;
    Ok(document(StatusCode::OK, &json!({ "grace_ns": reply.into_inner().grace_ns })))
}

/// Reads the format of rows and the part of frames that are wanted.
fn wanted_rows(found: &QueryString) -> Result<(RowFormat, FrameScope), ApiProblem> {
    let format = found.text("format").unwrap_or("json");
    let format = RowFormat::named(format).ok_or_else(|| {
        ApiProblem::new(
            StatusCode::BAD_REQUEST,
            format!("`format` is json, ndjson or csv, and not `{format}`"),
        )
    })?;

    let scope = match found.text("scope") {
        None | Some("total") => FrameScope::Total,
        Some("window") => FrameScope::Window,
        Some(other) => {
            let detail = format!("`scope` is total or window, and not `{other}`");
            return Err(ApiProblem::new(StatusCode::BAD_REQUEST, detail));
        }
    };
    Ok((format, scope))
}

/// Answers with the newest result of a query.
async fn result(State(service): Service, PathText(path): PathText, RawQuery(query): RawQuery) -> Answer {
    let (format, scope) = wanted_rows(&QueryString::read(query.as_deref(), &["format", "scope"])?)?;
    let number = installed(&service.shared, &path)?;
    let newest = {
        let state = service.shared.lock();
        state.query(number).and_then(|query| query.frames.published().last().cloned())
    };
    let newest = newest.ok_or_else(|| {
        let detail = format!("query {number} has no window yet that has closed: ask again in a second");
        ApiProblem::new(StatusCode::NOT_FOUND, detail)
    })?;

    let slot = service.shared.frame_slot().await;
    let frame = compute(&service.shared, newest).await?;
    drop(slot);
    match format {
        RowFormat::Json => Ok(document(StatusCode::OK, &frame_json(&frame))),
        _ => download(once(async { Ok(frame) }).boxed(), format, scope).await,
    }
}

/// Streams the results of a query as server-sent events.
async fn results(
    State(service): Service,
    PathText(path): PathText,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let found = QueryString::read(query.as_deref(), &["wanted", "after"])?;
    let number = installed(&service.shared, &path)?;
    let selection = match found.text("wanted") {
        None | Some("all") => FrameSelection::All,
        Some("windows") => FrameSelection::Windows,
        Some("newest") => FrameSelection::Newest,
        Some(other) => {
            let detail = format!("`wanted` is all, windows or newest, and not `{other}`");
            return Err(ApiProblem::new(StatusCode::BAD_REQUEST, detail));
        }
    };

    // The header is of a reader that comes back by itself, and newer than what its address says.
    let last_read = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default());
    let last_read = last_read.filter(|id| !id.is_empty()).or(found.text("after"));
    let frontend = service.shared.lock().queries.frontend;
    let after = last_read.map(EventId::read).transpose()?.filter(|id| id.frontend == frontend);
    let after = after.unwrap_or(EventId { frontend, sequence: 0 });
    let reader = FrameStream::open(&service.shared, number, after.sequence, selection);
    let reader = reader
        .ok_or_else(|| ApiProblem::new(StatusCode::NOT_FOUND, format!("query {number} is not installed")))?;
    Ok(events(reader, after, selection))
}

async fn explain_text(service: &ClientsService, body: TextBody) -> Result<wire::ExplainResponse, ApiProblem> {
    let TextBody { text, params: values, analyze_ns } = body;
    let request = wire::ExplainRequest { text, params: params(values)?, analyze_ns, fraction: 1.0 };
    Ok(service.explain(tonic::Request::new(request)).await?.into_inner())
}

/// Answers with what is wrong with a query, and never with an error because of that.
async fn check(State(service): Service, request: Request) -> Answer {
    let body: TextBody = json_body(request).await?;
    let reply = explain_text(&service, TextBody { analyze_ns: 0, ..body }).await?;
    let answer = json!({
        "compiles": !reply.diagnostics.iter().any(is_error),
        "diagnostics": reply.diagnostics.iter().map(diagnostic).collect::<Vec<Json>>(),
    });
    Ok(document(StatusCode::OK, &answer))
}

async fn explain(State(service): Service, request: Request) -> Answer {
    let reply = explain_text(&service, json_body(request).await?).await?;
    if reply.diagnostics.iter().any(is_error) {
        return Err(ApiProblem::does_not_compile(&reply.diagnostics));
    }
    let warnings: Vec<Json> = reply.diagnostics.iter().map(diagnostic).collect();
    Ok(document(StatusCode::OK, &json!({ "explanation": reply.explanation, "warnings": warnings })))
}

/// Answers with a text as `pivot fmt` lays it out.
async fn format(request: Request) -> Answer {
    let TextBody { text, .. } = json_body(request).await?;
    let formatted = pivot_query::format(&text);
    let formatted =
        formatted.map_err(|wrong| ApiProblem::new(StatusCode::UNPROCESSABLE_ENTITY, wrong.to_string()))?;
    Ok(document(StatusCode::OK, &json!({ "text": formatted })))
}

/// Answers a question in SQL; all of it is there before anything is sent.
async fn sql(State(service): Service, RawQuery(query): RawQuery, request: Request) -> Answer {
    let (format, _) = wanted_rows(&QueryString::read(query.as_deref(), &["format"])?)?;
    let SqlBody { text, rows } = json_body(request).await?;
    let request = wire::SqlRequest { text, rows, ..wire::SqlRequest::default() };
    let mut parts = service.sql(tonic::Request::new(request)).await?.into_inner();

    let (mut columns, mut rows, mut end) = (Vec::new(), Vec::new(), None);
    while let Some(part) = parts.next().await.transpose()? {
        if !part.diagnostics.is_empty() {
            return Err(ApiProblem::does_not_compile(&part.diagnostics));
        }
        columns.extend(part.columns);
        rows.extend(part.rows);
        end = part.end.or(end);
    }
    let end = end.ok_or_else(|| Status::internal("the answer has no end"))?;
    Ok(sql_answer(format, &columns, &rows, &end))
}

fn sql_answer(
    format: RowFormat,
    columns: &[wire::SqlColumn],
    rows: &[wire::Row],
    end: &wire::SqlEnd,
) -> Response {
    let end = json!({ "rows": end.rows, "cut": end.cut, "notice": end.notice });
    let columns_json: Vec<Json> = columns.iter().map(sql_column).collect();
    let text = match format {
        RowFormat::Json => {
            let rows: Vec<Json> = rows.iter().map(sql_row).collect();
            line(&json!({ "columns": columns_json, "rows": rows, "end": end }))
        }

        RowFormat::Ndjson => {
            let mut text = line(&json!({ "columns": columns_json }));
            rows.iter().for_each(|row| text.push_str(&line(&json!({ "row": sql_row(row) }))));
            text + &line(&json!({ "end": end }))
        }

        RowFormat::Csv => {
            let mut text = csv_line(columns.iter().map(|column| column.name.clone()));
            for row in rows {
                text.push_str(&csv_line(row.values.iter().map(|value| csv_text(&wire_value(value)))));
            }
            text
        }
    };
    ([(CONTENT_TYPE, format.content_type()), (CACHE_CONTROL, "no-store")], text).into_response()
}

async fn list_agents(State(service): Service) -> Answer {
    let found = service.list_agents(tonic::Request::new(wire::ListAgentsRequest {})).await?.into_inner();
    let problem = (!found.store_problem.is_empty()).then_some(found.store_problem);
    let agents: Vec<Json> = found.agents.iter().map(agent).collect();
    Ok(document(
        StatusCode::OK,
        &json!({ "agents": agents, "store_problem": problem, "now_ns": found.now_ns }),
    ))
}

async fn list_tracepoints(State(service): Service) -> Answer {
    let request = tonic::Request::new(wire::ListTracepointsRequest {});
    let found = service.list_tracepoints(request).await?.into_inner();
    let tracepoints: Vec<Json> = found.tracepoints.iter().map(tracepoint).collect();
    Ok(document(StatusCode::OK, &json!({ "tracepoints": tracepoints, "agents": found.agents })))
}

async fn list_carriers(State(service): Service) -> Answer {
    let request = tonic::Request::new(wire::ListCarriersRequest {});
    let found = service.list_carriers(request).await?.into_inner();
    let carriers: Vec<Json> = found.carriers.iter().map(carrier).collect();
    Ok(document(StatusCode::OK, &json!({ "carriers": carriers, "agents": found.agents })))
}

async fn set_carriers(State(service): Service, request: Request) -> Answer {
    let CarriersBody { globs } = json_body(request).await?;
    let request = tonic::Request::new(wire::SetCarriersRequest { globs });
    let before = service.set_carriers(request).await?.into_inner().before;
    Ok(document(StatusCode::OK, &json!({ "before": before })))
}

async fn list_history(State(service): Service) -> Answer {
    let found = service.list_history(tonic::Request::new(wire::ListHistoryRequest {})).await?.into_inner();
    let answer = json!({
        "queries": found.queries.iter().map(kept_query).collect::<Vec<Json>>(),
        "location": found.location,
        "problem": (!found.problem.is_empty()).then_some(found.problem),
        "keep_ns": found.keep_ns,
        "now_ns": found.now_ns,
    });
    Ok(document(StatusCode::OK, &answer))
}

/// Returns the number of a query of which windows are kept, by number or by name.
async fn kept(service: &ClientsService, path: &str) -> Result<u32, ApiProblem> {
    let text = path;
    let found = service.list_history(tonic::Request::new(wire::ListHistoryRequest {})).await?.into_inner();
    let by_number = found.queries.iter().find(|query| text.parse() == Ok(query.number));
    let query = by_number.or_else(|| found.queries.iter().rfind(|query| query.name == text));
    query.map(|query| query.number).ok_or_else(|| {
        let detail = format!(
            "no window of a query `{text}` is kept: GET /api/v1/history lists those of which there are"
        );
        ApiProblem::new(StatusCode::NOT_FOUND, detail)
    })
}

async fn read_history(
    State(service): Service,
    PathText(path): PathText,
    RawQuery(query): RawQuery,
) -> Answer {
    let found = QueryString::read(query.as_deref(), &["from", "to", "step", "format"])?;
    let (format, _) = wanted_rows(&found)?;
    let request = wire::ReadHistoryRequest {
        query: kept(&service, &path).await?,
        from_ns: found.time_ns("from")?.unwrap_or(i64::MIN),
        to_ns: found.time_ns("to")?.unwrap_or(0),
        step_ns: found.nanoseconds("step")?,
    };

    let frames = service.read_history(tonic::Request::new(request)).await?.into_inner();
    download(frames, format, FrameScope::Window).await
}

async fn drop_history(State(service): Service, PathText(path): PathText) -> Answer {
    let query = kept(&service, &path).await?;
    service.drop_history(tonic::Request::new(wire::DropHistoryRequest { query })).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
