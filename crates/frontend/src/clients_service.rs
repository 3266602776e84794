//! The service that clients talk to.

use crate::frames::Frame;
use crate::registry::Presence;
use crate::select::declared_columns;
use crate::state::{SharedState, now_ns};
use futures::stream::{BoxStream, StreamExt, unfold};
use pivot_protocol::from_wire;
use pivot_protocol::wire::{self, frontend_server::Frontend, results_request::Wanted};
use pivot_query::{CompileOptions, Diagnostics, Program, Severity};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// The service.
#[derive(Debug)]
pub(crate) struct ClientsService {
    shared: Arc<SharedState>,
}

impl ClientsService {
    /// A service over a frontend's state.
    pub(crate) fn new(shared: Arc<SharedState>) -> ClientsService {
        ClientsService { shared }
    }
}

/// How long a query is run at most to measure it.
const LONGEST_ANALYSIS_NS: i64 = 60_000_000_000;
/// How much longer a measurement stays installed whose client has gone.
const LEFT_BEHIND_NS: i64 = 5_000_000_000;

impl ClientsService {
    /// Runs a query on a fraction of all requests, and tells what its stages cost.
    async fn analyze(&self, program: &Program, length_ns: i64, fraction: f64) -> Result<String, Status> {
        let fraction = if fraction > 0.0 && fraction <= 1.0 { fraction } else { 1.0 };
        let measured = program.measured(fraction, length_ns.saturating_add(LEFT_BEHIND_NS));
        let number = {
            let mut state = self.shared.lock();
            if !state.has_room() {
                return Err(Status::resource_exhausted("too many queries are installed"));
            }
            let installed = (measured.clone(), CompileOptions::default());
            state.install(String::new(), installed, now_ns()).id.number
        };
        let length = Duration::from_nanos(length_ns.unsigned_abs());
        tokio::time::sleep(length).await;
        self.shared.lock().uninstall(number, now_ns());
        let mut reader =
            FrameReader::open(&self.shared, (number, 0), Wanted::Newest).ok_or_else(|| unknown(number))?;
        let mut last = Vec::new();
        while let Some(frame) = reader.next().await {
            last = frame?.cumulative;
        }
        let row =
            |row: wire::Row| row.values.into_iter().map(from_wire::value).collect::<Result<Vec<_>, _>>();
        let rows: Result<Vec<_>, _> = last.into_iter().map(row).collect();
        let rows = rows.map_err(|wrong| Status::internal(wrong.to_string()))?;
        Ok(format!("{}\n{}", program.explain(), measured.explain_measured(&rows, length.as_secs_f64())))
    }
}

/// What parameters stand for.
fn options(params: HashMap<String, wire::Value>) -> Result<CompileOptions, Status> {
    let mut options = CompileOptions::default();
    for (name, value) in params {
        let value = from_wire::value(value);
        let value =
            value.map_err(|wrong| Status::invalid_argument(format!("parameter `${name}`: {wrong}")))?;
        options = options.param(name, value);
    }
    Ok(options)
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Frontend for ClientsService {
    async fn install(&self, request: Request<wire::InstallRequest>) -> Reply<wire::InstallResponse> {
        let wire::InstallRequest { text, name, params } = request.into_inner();
        let options = options(params)?;
        let mut state = self.shared.lock();
        if !state.has_room() {
            return Err(Status::resource_exhausted("too many queries are installed"));
        }
        if !name.is_empty() && state.active().any(|query| query.name == name) {
            return Err(Status::already_exists(format!("a query named `{name}` is installed")));
        }
        let program = match state.compile(&text, &options) {
            Ok(program) => program,
            Err(wrong) => {
                let diagnostics = diagnostics(&wrong);
                return Ok(Response::new(wire::InstallResponse { diagnostics, ..Default::default() }));
            }
        };
        let diagnostics = diagnostics(&program.warnings);
        let tracepoints = program.tracepoints.clone();
        let columns = declared_columns(&program.output);
        let number = state.install(name, (program, options), now_ns()).id.number;
        let expected = state
            .registry
            .connected()
            .filter(|agent| agent.exports.iter().any(|exports| tracepoints.contains(&exports.tracepoint)));
        let agents_expected = expected.count() as u32;
        Ok(Response::new(wire::InstallResponse {
            query: Some(number),
            diagnostics,
            columns,
            agents_expected,
        }))
    }

    async fn explain(&self, request: Request<wire::ExplainRequest>) -> Reply<wire::ExplainResponse> {
        let wire::ExplainRequest { text, params, analyze_ns, fraction } = request.into_inner();
        let compiled = self.shared.lock().compile(&text, &options(params)?);
        Ok(Response::new(match compiled {
            Ok(program) => wire::ExplainResponse {
                diagnostics: diagnostics(&program.warnings),
                explanation: match analyze_ns {
                    1.. => self.analyze(&program, analyze_ns.min(LONGEST_ANALYSIS_NS), fraction).await?,
                    _ => program.explain(),
                },
            },
            Err(wrong) => {
                wire::ExplainResponse { diagnostics: diagnostics(&wrong), explanation: String::new() }
            }
        }))
    }

    async fn uninstall(&self, request: Request<wire::UninstallRequest>) -> Reply<wire::UninstallResponse> {
        let number = request.into_inner().query;
        match self.shared.lock().uninstall(number, now_ns()) {
            true => Ok(Response::new(wire::UninstallResponse {})),
            false => Err(unknown(number)),
        }
    }

    async fn list_queries(&self, _: Request<wire::ListQueriesRequest>) -> Reply<wire::ListQueriesResponse> {
        let state = self.shared.lock();
        let queries = state.active().map(|query| query.describe(&state.registry, now_ns())).collect();
        Ok(Response::new(wire::ListQueriesResponse { queries }))
    }

    async fn list_agents(&self, _: Request<wire::ListAgentsRequest>) -> Reply<wire::ListAgentsResponse> {
        let state = self.shared.lock();
        let agents = state.registry.iter().map(|(_, agent)| wire::Agent {
            state: match agent.presence {
                Presence::Connected => wire::agent::State::Connected,
                Presence::Left => wire::agent::State::Left,
                Presence::Lost(_) => wire::agent::State::Lost,
            }
            .into(),
            process: agent.process.clone(),
            host: agent.host.clone(),
            pid: agent.pid,
            build: agent.build.clone(),
            labels: agent.labels.clone(),
            tracepoints: agent.exports.len() as u32,
            connected_ns: agent.connected_ns,
            last_heard_ns: agent.last_heard_ns,
            converged: agent.is_connected() && agent.woven >= state.generation(),
            held_back: agent.held_back.clone(),
            lost: Some(agent.lost),
        });
        Ok(Response::new(wire::ListAgentsResponse { agents: agents.collect() }))
    }

    async fn list_tracepoints(
        &self,
        _: Request<wire::ListTracepointsRequest>,
    ) -> Reply<wire::ListTracepointsResponse> {
        let state = self.shared.lock();
        let mut seen: BTreeMap<&str, TracepointExporters<'_>> = BTreeMap::new();
        for agent in state.registry.connected() {
            let mut names = BTreeSet::new();
            let mut fields = BTreeSet::new();
            for exports in &agent.exports {
                let found = seen.entry(&exports.tracepoint).or_default();
                found.places.insert(format!("{}:{}", exports.file, exports.line));
                found.agents += u32::from(names.insert(&exports.tracepoint));
                for field in &exports.fields {
                    let first = fields.insert((&exports.tracepoint, &field.name));
                    *found.fields.entry(&field.name).or_default() += u32::from(first);
                }
            }
        }
        let tracepoints = state.catalog.tracepoints().map(|tracepoint| {
            let found = seen.remove(tracepoint.name.as_str()).unwrap_or_default();
            let field = |field: &pivot_query::CatalogField| wire::TracepointField {
                name: field.name.clone(),
                r#type: field.ty.code().into(),
                agents: found.fields.get(field.name.as_str()).copied().unwrap_or(0),
            };
            wire::Tracepoint {
                name: tracepoint.name.clone(),
                fields: tracepoint.fields.iter().map(field).collect(),
                agents: found.agents,
                places: found.places.into_iter().collect(),
            }
        });
        let tracepoints = tracepoints.collect();
        let agents = state.registry.iter().count() as u32;
        Ok(Response::new(wire::ListTracepointsResponse { tracepoints, agents }))
    }

    type ResultsStream = BoxStream<'static, Result<wire::Frame, Status>>;

    async fn results(&self, request: Request<wire::ResultsRequest>) -> Reply<Self::ResultsStream> {
        let request = request.into_inner();
        let (place, wanted) = ((request.query, request.after_sequence), request.wanted());
        let reader = FrameReader::open(&self.shared, place, wanted).ok_or_else(|| unknown(request.query))?;
        let frames = unfold(reader, |mut reader| async { Some((reader.next().await?, reader)) });
        Ok(Response::new(frames.boxed()))
    }
}

/// What connected agents say of one tracepoint.
#[derive(Default)]
struct TracepointExporters<'a> {
    agents: u32,
    fields: BTreeMap<&'a str, u32>,
    places: BTreeSet<String>,
}

fn unknown(number: u32) -> Status {
    Status::not_found(format!("query {number} is not installed"))
}

fn forgotten(number: u32) -> Status {
    Status::data_loss(format!("query {number} is gone, and its last frames are no longer kept"))
}

fn diagnostics(found: &Diagnostics) -> Vec<wire::Diagnostic> {
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let convert = |found: &pivot_query::Diagnostic| wire::Diagnostic {
        severity: match found.severity {
            Severity::Error => wire::diagnostic::Severity::Error,
            Severity::Warning => wire::diagnostic::Severity::Warning,
        }
        .into(),
        start: offset(found.span.start),
        end: offset(found.span.end),
        message: found.message.clone(),
        detail: found.detail.clone(),
        hint: found.hint.clone().unwrap_or_default(),
    };
    found.iter().map(convert).collect()
}

/// One client's place in a query's frames. It reads kept frames by sequence, so a slow client waits
/// in front of them and not in a buffer of its own; and nothing is computed that nobody reads.
struct FrameReader {
    shared: Arc<SharedState>,
    query: u32,
    after: u64,
    wanted: Wanted,
    changed: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    ended: bool,
}

impl FrameReader {
    fn open(shared: &Arc<SharedState>, (query, after): (u32, u64), wanted: Wanted) -> Option<FrameReader> {
        let mut state = shared.lock();
        let found = state.query_mut(query)?;
        found.readers += 1;
        let (changed, stopping) = (found.frames.subscribe(), shared.stopping());
        Some(FrameReader { shared: shared.clone(), query, after, wanted, changed, stopping, ended: false })
    }

    async fn next(&mut self) -> Option<Result<wire::Frame, Status>> {
        while !self.ended {
            let frame = {
                let state = self.shared.lock();
                let Some(query) = state.query(self.query) else {
                    self.ended = true;
                    return Some(Err(forgotten(self.query)));
                };
                match query.frames.after(self.after, self.wanted) {
                    None if query.finished_ns.is_some() => return None,
                    frame => frame,
                }
            };
            if let Some(frame) = frame {
                self.after = frame.sequence;
                self.ended = frame.last;
                let computed = self.compute(frame).await;
                self.ended |= computed.is_err();
                return Some(computed);
            }
            tokio::select! {
                changed = self.changed.changed() => changed.ok()?,
                _ = self.stopping.wait_for(|stop| *stop) => return None,
            }
        }
        None
    }

    /// Computes a frame where other streams need not wait for it.
    async fn compute(&self, frame: Frame) -> Result<wire::Frame, Status> {
        let (engine, runtime) = (self.shared.engine(), tokio::runtime::Handle::current());
        let (query, sequence) = (frame.query, frame.sequence);
        let computation = tokio::task::spawn_blocking(move || runtime.block_on(frame.compute(&engine)));

        let why = match computation.await {
            Ok(Ok(frame)) => return Ok(frame),
            Ok(Err(error)) => error.to_string(),
            Err(stopped) => stopped.to_string(),
        };
        Err(Status::internal(format!("frame {sequence} of query {query} cannot be computed: {why}")))
    }
}

impl Drop for FrameReader {
    fn drop(&mut self) {
        if let Some(query) = self.shared.lock().query_mut(self.query) {
            query.readers = query.readers.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::select::SelectEngine;
    use crate::state::FrontendState;
    use crate::window_groups::WindowGroups;
    use pivot_advice::Value;
    use pivot_query::Catalog;

    #[tokio::test]
    async fn a_frame_that_cannot_be_computed_is_an_error_that_the_reader_sees() {
        let shared = SharedState::new(FrontendState::new(&crate::FrontendOptions::default()));
        let shared = Arc::new(shared.with_engine(SelectEngine::without_memory()));
        let program =
            pivot_query::compile("FROM t IN T GROUP BY t.x SELECT t.x ORDER BY COUNT", &Catalog::default())
                .unwrap();
        let query = shared.lock().install(String::new(), (program, CompileOptions::default()), 1).id.number;
        let mut state = shared.lock();
        let found = state.query_mut(query).unwrap();
        let mut groups = WindowGroups::new(&found.cumulative.groups);
        groups.groups.entry(&[Value::U64(1)]).n = 1;
        found.report(0, 1_000_000_000, groups);
        state.tick(i64::MAX);
        drop(state);

        let mut reader = FrameReader::open(&shared, (query, 0), Wanted::All).unwrap();
        let error = reader.next().await.unwrap().unwrap_err();
        assert_eq!(error.code(), tonic::Code::Internal);
        assert!(error.message().contains("frame 1 of query 1 cannot be computed"), "{error}");
        assert!(reader.next().await.is_none());
    }

    #[tokio::test]
    async fn who_comes_too_late_for_the_last_frames_is_told() {
        const HOUR: i64 = 3_600_000_000_000;
        let shared = Arc::new(SharedState::new(FrontendState::new(&crate::FrontendOptions::default())));
        let program = pivot_query::compile("FROM t IN T SELECT COUNT", &Catalog::default()).unwrap();
        let query = shared.lock().install(String::new(), (program, CompileOptions::default()), 1).id.number;
        let mut reader = FrameReader::open(&shared, (query, 0), Wanted::All).unwrap();
        assert!(shared.lock().uninstall(query, HOUR));
        [HOUR + HOUR, HOUR + HOUR + HOUR].into_iter().for_each(|now_ns| shared.lock().tick(now_ns));
        assert_eq!(reader.next().await.unwrap().unwrap_err().code(), tonic::Code::DataLoss);
        assert!(reader.next().await.is_none());
    }
}
