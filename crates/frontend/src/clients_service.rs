//! The gRPC service that clients talk to: the REPL, the page, programs.

use crate::client_wire;
use crate::compilation::CompiledQuery;
use crate::frame_stream::FrameStream;
use crate::history_calls;
use crate::installed_queries::InstallRefusal;
use crate::kept_frames::FrameSelection;
use crate::shared_state::{CompileFailure, SharedState};
use crate::sql::{self, SqlEngine};
use crate::store::MeasuredRecord;
use crate::wanted_set::MAX_WANTED_BYTES;
use futures::stream::{BoxStream, StreamExt, unfold};
use pivot_advice::CarrierGlob;
use pivot_protocol::wire::{self, frontend_server::Frontend};
use pivot_protocol::{ProtocolError, from_wire};
use pivot_query::{CompileOptions, Diagnostics};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// The longest time that a query is run for to measure it.
const LONGEST_ANALYSIS_NS: i64 = 60_000_000_000;

/// How much longer a measurement stays installed if its client has gone.
const LEFT_BEHIND_NS: i64 = 5_000_000_000;

/// The bytes of a backup in one message.
const BACKUP_PART: usize = 256 << 10;

/// The service that clients talk to.
#[derive(Debug, Clone)]
pub(crate) struct ClientsService {
    pub(crate) shared: Arc<SharedState>,
    sql: Arc<SqlEngine>,
}

type Reply<T> = Result<Response<T>, Status>;

impl ClientsService {
    /// Makes a service over a frontend's state.
    pub(crate) fn new(shared: Arc<SharedState>, sql: Arc<SqlEngine>) -> ClientsService {
        ClientsService { shared, sql }
    }

    /// Runs a query on a fraction of all requests for a time, and explains it with what its stages cost.
    async fn analyze(
        &self,
        compiled: CompiledQuery,
        length_ns: i64,
        fraction: f64,
    ) -> Result<String, Status> {
        let fraction = if fraction > 0.0 && fraction <= 1.0 { fraction } else { 1.0 };
        let measured = MeasuredRecord { fraction, duration_ns: length_ns.saturating_add(LEFT_BEHIND_NS) };

        let installed = {
            let mut state = self.shared.lock();
            state.check_installable("").map_err(refused)?;
            let id = state.compile_snapshot().next_id;
            let measured = compiled.measured(id, measured);
            state.check_room(&measured).map_err(refused)?;
            state.install("", measured, self.shared.now_ns())
        };
        let number = self.shared.store_install(installed).await.map_err(not_installed)?.number;
        let length = Duration::from_nanos(length_ns.unsigned_abs());
        tokio::time::sleep(length).await;
        self.shared.uninstall(number).await?;

        // The last frame has everything, so those before it are read and discarded.
        let reader = FrameStream::open(&self.shared, number, 0, FrameSelection::Newest);
        let mut reader = reader.ok_or_else(|| unknown(number))?;
        let mut last = wire::Frame::default();
        while let Some(frame) = reader.next().await {
            last = frame?;
        }
        // Weaving takes its time, and an agent may come or go meanwhile.
        let covered_ns = last.cumulative_completeness.unwrap_or_default().covered_ns;
        let covered_ns = if covered_ns > 0 { covered_ns } else { length_ns };
        let rows =
            last.cumulative.into_iter().map(|row| row.values.into_iter().map(from_wire::value).collect());
        let rows: Result<Vec<Vec<_>>, ProtocolError> = rows.collect();
        let rows = rows.map_err(|wrong| Status::internal(wrong.to_string()))?;

        let measured = compiled.program.measured(fraction, measured.duration_ns);
        let measurements = measured.explain_measured(&rows, covered_ns as f64 / 1e9);
        Ok(format!("{}\n{measurements}", compiled.program.explain()))
    }
}

#[tonic::async_trait]
impl Frontend for ClientsService {
    async fn install(&self, request: Request<wire::InstallRequest>) -> Reply<wire::InstallResponse> {
        let wire::InstallRequest { text, name, params, owner } = request.into_inner();
        let owner = client_wire::query_owner(owner);
        let owner = owner.map_err(|wrong| Status::invalid_argument(wrong.to_string()))?;
        let options = compile_options(params, self.shared.wall_ns())?;

        match self.shared.install(&name, &text, &options, &owner).await {
            Ok(installed) => Ok(Response::new(wire::InstallResponse {
                query: Some(installed.number),
                diagnostics: client_wire::diagnostics(&installed.warnings),
                columns: client_wire::columns(&installed.columns),
                agents_expected: installed.agents_expected as u32,
            })),
            // A query that does not compile is an answer, and not a failed call.
            Err(failure) => {
                let diagnostics = client_wire::diagnostics(&invalid(failure)?);
                Ok(Response::new(wire::InstallResponse { diagnostics, ..Default::default() }))
            }
        }
    }

    async fn explain(&self, request: Request<wire::ExplainRequest>) -> Reply<wire::ExplainResponse> {
        let wire::ExplainRequest { text, params, analyze_ns, fraction } = request.into_inner();
        let options = compile_options(params, self.shared.wall_ns())?;

        let compiled = match self.shared.compile(&text, &options).await {
            Ok(compiled) => compiled,
            Err(failure) => {
                let diagnostics = client_wire::diagnostics(&invalid(failure)?);
                return Ok(Response::new(wire::ExplainResponse { diagnostics, explanation: String::new() }));
            }
        };

        let diagnostics = client_wire::diagnostics(&compiled.program.warnings);
        // Measuring takes as long as the client asks for, within bounds; nothing is locked meanwhile.
        let explanation = if analyze_ns > 0 {
            self.analyze(compiled, analyze_ns.min(LONGEST_ANALYSIS_NS), fraction).await?
        } else {
            compiled.program.explain()
        };
        Ok(Response::new(wire::ExplainResponse { diagnostics, explanation }))
    }

    async fn uninstall(&self, request: Request<wire::UninstallRequest>) -> Reply<wire::UninstallResponse> {
        let number = request.into_inner().query;
        match self.shared.uninstall(number).await? {
            true => Ok(Response::new(wire::UninstallResponse {})),
            false => Err(unknown(number)),
        }
    }

    async fn keep_alive(&self, request: Request<wire::KeepAliveRequest>) -> Reply<wire::KeepAliveResponse> {
        let mut state = self.shared.lock();
        state.keep_alive(&request.into_inner().session);
        let grace_ns = client_wire::nanoseconds(state.lease_clock.grace());
        Ok(Response::new(wire::KeepAliveResponse { grace_ns }))
    }

    async fn keep(&self, request: Request<wire::KeepRequest>) -> Reply<wire::KeepResponse> {
        let number = request.into_inner().query;
        match self.shared.keep(number).await? {
            true => Ok(Response::new(wire::KeepResponse {})),
            false => Err(unknown(number)),
        }
    }

    async fn list_queries(&self, _: Request<wire::ListQueriesRequest>) -> Reply<wire::ListQueriesResponse> {
        let state = self.shared.lock();
        let queries = state.active().map(|query| client_wire::query(query, &state));
        let (queries, now_ns) = (queries.collect(), self.shared.now_ns());
        Ok(Response::new(wire::ListQueriesResponse { queries, now_ns }))
    }

    async fn list_agents(&self, _: Request<wire::ListAgentsRequest>) -> Reply<wire::ListAgentsResponse> {
        let state = self.shared.lock();
        let agents = state.registry.iter();
        let agents = agents.map(|(_, agent)| client_wire::agent(agent, &state));
        let store_problem = self.shared.store_problem().unwrap_or_default();
        let (agents, now_ns) = (agents.collect(), self.shared.now_ns());
        Ok(Response::new(wire::ListAgentsResponse { agents, store_problem, now_ns }))
    }

    async fn list_tracepoints(
        &self,
        _: Request<wire::ListTracepointsRequest>,
    ) -> Reply<wire::ListTracepointsResponse> {
        let state = self.shared.lock();
        let tracepoints = client_wire::tracepoints(&state.registry.exports);
        let agents = state.registry.connected().count() as u32;
        Ok(Response::new(wire::ListTracepointsResponse { tracepoints, agents }))
    }

    async fn set_carriers(
        &self,
        request: Request<wire::SetCarriersRequest>,
    ) -> Reply<wire::SetCarriersResponse> {
        let globs = request.into_inner().globs;
        let globs = CarrierGlob::all(globs.iter().map(String::as_str));
        let globs = globs.map_err(|invalid| Status::invalid_argument(invalid.to_string()))?;

        let before = self.shared.set_carriers(globs).await?;
        let before = before.iter().map(ToString::to_string).collect();
        Ok(Response::new(wire::SetCarriersResponse { before }))
    }

    async fn list_carriers(
        &self,
        _: Request<wire::ListCarriersRequest>,
    ) -> Reply<wire::ListCarriersResponse> {
        let state = self.shared.lock();
        let carriers = client_wire::carriers(state.carriers(), &state.registry);
        let agents = u32::try_from(state.registry.connected().count()).unwrap_or(u32::MAX);
        Ok(Response::new(wire::ListCarriersResponse { carriers, agents }))
    }

    async fn list_history(&self, _: Request<wire::ListHistoryRequest>) -> Reply<wire::ListHistoryResponse> {
        Ok(Response::new(history_calls::list(&self.shared).await?))
    }

    type ReadHistoryStream = BoxStream<'static, Result<wire::Frame, Status>>;

    async fn read_history(
        &self,
        request: Request<wire::ReadHistoryRequest>,
    ) -> Reply<Self::ReadHistoryStream> {
        Ok(Response::new(history_calls::read(&self.shared, request.into_inner()).await?))
    }

    async fn drop_history(
        &self,
        request: Request<wire::DropHistoryRequest>,
    ) -> Reply<wire::DropHistoryResponse> {
        history_calls::forget(&self.shared, request.into_inner().query).await?;
        Ok(Response::new(wire::DropHistoryResponse {}))
    }

    type SqlStream = BoxStream<'static, Result<wire::SqlReply, Status>>;

    async fn sql(&self, request: Request<wire::SqlRequest>) -> Reply<Self::SqlStream> {
        Ok(Response::new(sql::answer(&self.sql, &self.shared, request.into_inner())))
    }

    type BackupStream = BoxStream<'static, Result<wire::BackupPart, Status>>;

    async fn backup(&self, _: Request<wire::BackupRequest>) -> Reply<Self::BackupStream> {
        let Some((file, slot)) = self.shared.backup().await? else {
            return Err(Status::resource_exhausted("another backup is being made"));
        };

        let (sender, parts) = mpsc::channel(1);
        tokio::task::spawn_blocking(move || {
            send_file(file, &sender);
            drop(slot);
        });
        Ok(Response::new(ReceiverStream::new(parts).boxed()))
    }

    type ResultsStream = BoxStream<'static, Result<wire::Frame, Status>>;

    async fn results(&self, request: Request<wire::ResultsRequest>) -> Reply<Self::ResultsStream> {
        let request = request.into_inner();
        let selection = client_wire::frame_selection(request.wanted());
        let reader = FrameStream::open(&self.shared, request.query, request.after_sequence, selection);
        let reader = reader.ok_or_else(|| unknown(request.query))?;

        let frames = unfold(reader, |mut reader| async { Some((reader.next().await?, reader)) });
        Ok(Response::new(frames.boxed()))
    }
}

/// Sends a file in parts, until it ends or nobody receives any more.
fn send_file(mut file: File, sender: &mpsc::Sender<Result<wire::BackupPart, Status>>) {
    loop {
        let mut data = vec![0; BACKUP_PART];
        let part = match file.read(&mut data) {
            Ok(0) => return,
            Ok(length) => {
                data.truncate(length);
                Ok(wire::BackupPart { data })
            }
            Err(error) => Err(Status::unavailable(format!("the copy cannot be read: {error}"))),
        };

        let is_last = part.is_err();
        if sender.blocking_send(part).is_err() || is_last {
            return;
        }
    }
}

/// Returns the options of a query that is installed now.
fn compile_options(params: HashMap<String, wire::Value>, wall_ns: i64) -> Result<CompileOptions, Status> {
    let options = client_wire::compile_options(params);
    let options = options.map_err(|wrong| Status::invalid_argument(wrong.to_string()))?;
    // What a query compares with it is the time of day in processes.
    Ok(options.installed_at(wall_ns))
}

/// Returns what is wrong with a text, which is an answer, or the status of any other failure.
fn invalid(failure: CompileFailure) -> Result<Diagnostics, Status> {
    match failure {
        CompileFailure::Invalid(diagnostics) => Ok(diagnostics),
        other => Err(not_installed(other)),
    }
}

/// Returns the status of a failure that is not about the text.
fn not_installed(failure: CompileFailure) -> Status {
    match failure {
        CompileFailure::Invalid(diagnostics) => Status::invalid_argument(diagnostics.to_string()),
        CompileFailure::Refused(refusal) => refused(refusal),
        CompileFailure::NotStored(error) => error.into(),
        CompileFailure::Panicked => Status::internal("the compiler panicked"),
    }
}

fn refused(refusal: InstallRefusal) -> Status {
    match refusal {
        InstallRefusal::TooMany => Status::resource_exhausted("too many queries are installed"),
        InstallRefusal::NameTaken(name) => {
            Status::already_exists(format!("a query named `{name}` is installed"))
        }
        InstallRefusal::AdviceTooLarge(bytes) => Status::resource_exhausted(format!(
            "what agents would be sent of the query takes {} MiB, and that of all queries may take {}: match fewer \
             tracepoints, shorten its texts, or uninstall others",
            bytes.div_ceil(1 << 20),
            MAX_WANTED_BYTES >> 20,
        )),
    }
}

fn unknown(number: u32) -> Status {
    Status::not_found(format!("query {number} is not installed"))
}
