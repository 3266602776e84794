//! The connection to a frontend, through the public Frontend service alone. Messages are converted here, once.

use crate::client_session::{ClientSession, QueryStay};
use crate::error::CliError;
use crate::frame_reader::{FrameNews, FrameReader, refused};
use crate::frontend_lists::{AgentPresence, ListedAgent, ListedCarriers, ListedHistory, ListedQuery};
use crate::params::QueryParams;
use crate::result_frame::{FrameColumn, ResultFrame, columns_from_wire};
use crate::sql::{SqlAnswer, SqlOutcome};
use futures::stream::{BoxStream, StreamExt, unfold};
use pivot_advice::{CarrierGlob, Type};
use pivot_protocol::wire::frontend_client::FrontendClient;
use pivot_protocol::wire::results_request::Wanted;
use pivot_protocol::{
    FrontendAddressError, MAX_MESSAGE_BYTES, check_frontend_address, from_wire, to_wire, wire,
};
use pivot_query::{Diagnostic, Diagnostics, Severity};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// How long an address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How often an idle connection is probed, so that a frontend that vanished is noticed.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// A connection to a frontend. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct FrontendConnection {
    client: FrontendClient<Channel>,
    session: Arc<ClientSession>,
}

/// The answer to an install.
#[derive(Debug)]
pub(crate) struct InstallReply {
    /// The query's number; `None` if it did not compile.
    pub(crate) query: Option<u32>,
    pub(crate) diagnostics: Diagnostics,
    /// The columns of the result; empty if the query did not compile.
    pub(crate) columns: Vec<FrameColumn>,
}

/// The answer to EXPLAIN.
#[derive(Debug)]
pub(crate) struct ExplainReply {
    pub(crate) diagnostics: Diagnostics,
    /// Plan and advice as text; empty if the query did not compile.
    pub(crate) explanation: String,
}

/// A tracepoint of the catalogue that the frontend merges from all agents.
#[derive(Debug, Clone)]
pub(crate) struct ListedTracepoint {
    pub(crate) name: String,
    pub(crate) fields: Vec<ListedField>,
    /// How many connected agents export it.
    pub(crate) agents: u32,
    /// `file:line` of each distinct place in source code.
    pub(crate) places: Vec<String>,
}

/// A field that a tracepoint exports.
#[derive(Debug, Clone)]
pub(crate) struct ListedField {
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// How many connected agents export it.
    pub(crate) agents: u32,
}

impl FrontendConnection {
    /// Connects a client, which is described in a word or two, to the frontend at a URI, or fails within seconds if nobody
    /// answers.
    pub(crate) async fn open(address: &str, what: &str) -> Result<FrontendConnection, CliError> {
        let refuse = |reason| CliError::InvalidAddress { address: address.to_owned(), reason };
        check_frontend_address(address).map_err(refuse)?;
        let endpoint = Endpoint::from_shared(address.to_owned())
            .map_err(|_| refuse(FrontendAddressError::NotAnHttpUrl))?
            .connect_timeout(CONNECT_TIMEOUT)
            .keep_alive_while_idle(true)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL);

        let channel = endpoint.connect().await.map_err(|error| CliError::Unreachable {
            address: address.to_owned(),
            reason: root_cause(&error),
        })?;
        let client = FrontendClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(FrontendConnection { client, session: Arc::new(ClientSession::new(what)) })
    }

    /// Has a query compiled and installed. A query that does not compile is a reply and no error.
    pub(crate) async fn install(
        &self,
        text: &str,
        name: &str,
        params: &QueryParams,
        stay: QueryStay,
    ) -> Result<InstallReply, CliError> {
        self.session.begin(&self.client);
        let request = wire::InstallRequest {
            text: text.to_owned(),
            name: name.to_owned(),
            params: params_to_wire(params),
            owner: Some(self.session.owner(stay)),
        };
        let reply = self.client.clone().install(request).await;
        let reply = reply.map_err(|status| refused("install the query", &status))?.into_inner();

        Ok(InstallReply {
            query: reply.query,
            diagnostics: diagnostics_from_wire(reply.diagnostics),
            columns: columns_from_wire(reply.columns),
        })
    }

    /// Has a query explained. With a duration the frontend runs the query for that long and adds what it cost.
    pub(crate) async fn explain(
        &self,
        text: &str,
        params: &QueryParams,
        analyze: Option<Duration>,
    ) -> Result<ExplainReply, CliError> {
        // On the wire, 0 means that the query is not run.
        let analyze_ns = analyze.map_or(0, |length| i64::try_from(length.as_nanos()).unwrap_or(i64::MAX));
        let request = wire::ExplainRequest {
            text: text.to_owned(),
            params: params_to_wire(params),
            analyze_ns,
            fraction: 1.0,
        };
        let reply = self.client.clone().explain(request).await;
        let reply = reply.map_err(|status| refused("explain the query", &status))?.into_inner();

        Ok(ExplainReply {
            diagnostics: diagnostics_from_wire(reply.diagnostics),
            explanation: reply.explanation,
        })
    }

    /// Uninstalls a query. Its last frames still come.
    pub(crate) async fn uninstall(&self, query: u32) -> Result<(), CliError> {
        let reply = self.client.clone().uninstall(wire::UninstallRequest { query }).await;
        reply.map_err(|status| refused("uninstall the query", &status))?;
        Ok(())
    }

    /// Has a query stay installed when its client has gone.
    pub(crate) async fn keep(&self, query: u32) -> Result<(), CliError> {
        let reply = self.client.clone().keep(wire::KeepRequest { query }).await;
        reply.map_err(|status| refused("keep the query", &status))?;
        Ok(())
    }

    /// Returns the frames of a query that the frontend has kept, then those to come, up to the last one; and whether the
    /// frontend is away meanwhile, which the stream waits for.
    pub(crate) async fn results(
        &self,
        query: u32,
        wanted: Wanted,
    ) -> Result<BoxStream<'static, Result<FrameNews, CliError>>, CliError> {
        let reader = FrameReader::open(self.client.clone(), query, wanted).await?;
        Ok(unfold(reader, |mut reader| async { Some((reader.next().await?, reader)) }).boxed())
    }

    /// Asks a statement of SQL for at most so many rows; 0 leaves their number to the frontend.
    pub(crate) async fn sql(&self, text: &str, rows: u64) -> Result<SqlOutcome, CliError> {
        let request =
            wire::SqlRequest { text: text.to_owned(), rows, form: wire::sql_request::Form::Values.into() };
        let reply = self.client.clone().sql(request).await;
        let parts = reply.map_err(|status| refused("answer the statement", &status))?.into_inner();
        SqlAnswer::read(parts, diagnostics_from_wire).await
    }

    /// Returns a copy of what the frontend has stored, part by part.
    pub(crate) async fn backup(&self) -> Result<BackupParts, CliError> {
        let reply = self.client.clone().backup(wire::BackupRequest {}).await;
        let parts = reply.map_err(|status| refused("make a backup", &status))?.into_inner();
        Ok(BackupParts { parts })
    }

    /// Returns the queries of which windows are kept.
    pub(crate) async fn history(&self) -> Result<ListedHistory, CliError> {
        let reply = self.client.clone().list_history(wire::ListHistoryRequest {}).await;
        let reply = reply.map_err(|status| refused("list history", &status))?;
        Ok(ListedHistory::from_wire(reply.into_inner()))
    }

    /// Adds up the windows of a query that begin from a time on: all of them, or those of each step.
    pub(crate) async fn read_history(
        &self,
        query: u32,
        from_ns: i64,
        step: Option<Duration>,
    ) -> Result<HistoryFrames, CliError> {
        let step_ns = step.map_or(0, |step| i64::try_from(step.as_nanos()).unwrap_or(i64::MAX));
        let request = wire::ReadHistoryRequest { query, from_ns, to_ns: 0, step_ns };
        let reply = self.client.clone().read_history(request).await;
        let frames = reply.map_err(|status| refused("read history", &status))?.into_inner();
        Ok(HistoryFrames { frames })
    }

    /// Forgets the windows of a query until now.
    pub(crate) async fn drop_history(&self, query: u32) -> Result<(), CliError> {
        let reply = self.client.clone().drop_history(wire::DropHistoryRequest { query }).await;
        reply.map_err(|status| refused("drop history", &status))?;
        Ok(())
    }

    /// Returns all tracepoints by name.
    pub(crate) async fn tracepoints(&self) -> Result<Vec<ListedTracepoint>, CliError> {
        let reply = self.client.clone().list_tracepoints(wire::ListTracepointsRequest {}).await;
        let reply = reply.map_err(|status| refused("list tracepoints", &status))?.into_inner();

        let mut found: Vec<ListedTracepoint> =
            reply.tracepoints.into_iter().map(tracepoint_from_wire).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Returns all installed queries by number.
    pub(crate) async fn queries(&self) -> Result<Vec<ListedQuery>, CliError> {
        let reply = self.client.clone().list_queries(wire::ListQueriesRequest {}).await;
        let reply = reply.map_err(|status| refused("list queries", &status))?.into_inner();

        let mut found: Vec<ListedQuery> =
            reply.queries.into_iter().map(|query| ListedQuery::from_wire(query, reply.now_ns)).collect();
        found.sort_by_key(|query| query.number);
        Ok(found)
    }

    /// Returns an installed query, or `None` if no query has the number.
    pub(crate) async fn query(&self, number: u32) -> Result<Option<ListedQuery>, CliError> {
        Ok(self.queries().await?.into_iter().find(|query| query.number == number))
    }

    /// Returns all agents that are or were connected, by host and process.
    pub(crate) async fn agents(&self) -> Result<Vec<ListedAgent>, CliError> {
        Ok(self.agents_and_store().await?.agents)
    }

    /// Returns all agents, and whether the frontend can store its state.
    pub(crate) async fn agents_and_store(&self) -> Result<AgentsAndStore, CliError> {
        let reply = self.client.clone().list_agents(wire::ListAgentsRequest {}).await;
        let reply = reply.map_err(|status| refused("list agents", &status))?.into_inner();

        let mut found: Vec<ListedAgent> =
            reply.agents.into_iter().map(|agent| ListedAgent::from_wire(agent, reply.now_ns)).collect();
        found.sort_by(|a, b| (&a.host, &a.process, a.pid).cmp(&(&b.host, &b.process, b.pid)));
        let store_problem = Some(reply.store_problem).filter(|problem| !problem.is_empty());
        Ok(AgentsAndStore { agents: found, store_problem })
    }

    /// Names the spans that carry a request in all processes, and returns those named before.
    pub(crate) async fn set_carriers(&self, globs: &[CarrierGlob]) -> Result<Vec<String>, CliError> {
        let globs = globs.iter().map(ToString::to_string).collect();
        let reply = self.client.clone().set_carriers(wire::SetCarriersRequest { globs }).await;
        Ok(reply.map_err(|status| refused("name carriers", &status))?.into_inner().before)
    }

    /// Returns the spans that are named so.
    pub(crate) async fn carriers(&self) -> Result<ListedCarriers, CliError> {
        let reply = self.client.clone().list_carriers(wire::ListCarriersRequest {}).await;
        let reply = reply.map_err(|status| refused("list carriers", &status))?;
        Ok(ListedCarriers::from_wire(reply.into_inner()))
    }

    /// Returns how many agents are connected now.
    pub(crate) async fn connected_agents(&self) -> Result<usize, CliError> {
        let agents = self.agents().await?;
        Ok(agents.iter().filter(|agent| agent.presence == AgentPresence::Connected).count())
    }
}

/// Sums of windows on their way.
#[derive(Debug)]
pub(crate) struct HistoryFrames {
    frames: Streaming<wire::Frame>,
}

impl HistoryFrames {
    /// Returns the next sum, or `None` behind the last.
    pub(crate) async fn next(&mut self) -> Result<Option<ResultFrame>, CliError> {
        let frame = self.frames.message().await.map_err(|status| refused("read history", &status))?;
        Ok(frame.map(ResultFrame::from_wire).transpose()?)
    }
}

/// A backup on its way.
#[derive(Debug)]
pub(crate) struct BackupParts {
    parts: Streaming<wire::BackupPart>,
}

impl BackupParts {
    /// Returns the next part, or `None` behind the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, CliError> {
        let part = self.parts.message().await.map_err(|status| refused("read the backup", &status))?;
        Ok(part.map(|part| part.data))
    }
}

/// The agents of a frontend, and how it stores its state.
#[derive(Debug)]
pub(crate) struct AgentsAndStore {
    pub(crate) agents: Vec<ListedAgent>,
    /// Why it cannot, if it cannot.
    pub(crate) store_problem: Option<String>,
}

/// Returns the last error of a chain: transport errors themselves say only `transport error`.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn params_to_wire(params: &QueryParams) -> HashMap<String, wire::Value> {
    params.iter().map(|(name, value)| (name.clone(), to_wire::value(value))).collect()
}

fn diagnostics_from_wire(found: Vec<wire::Diagnostic>) -> Diagnostics {
    let mut diagnostics = Diagnostics::default();
    for diagnostic in found {
        // A severity of a newer frontend is taken for an error, as that is what must not be missed.
        let severity = match diagnostic.severity() {
            wire::diagnostic::Severity::Warning => Severity::Warning,
            _ => Severity::Error,
        };

        diagnostics.push(Diagnostic {
            severity,
            span: diagnostic.start as usize..diagnostic.end as usize,
            message: diagnostic.message,
            detail: diagnostic.detail,
            hint: Some(diagnostic.hint).filter(|hint| !hint.is_empty()),
            edits: Vec::new(),
            corrected: Some(diagnostic.corrected).filter(|text| !text.is_empty()),
        });
    }
    diagnostics
}

fn tracepoint_from_wire(found: wire::Tracepoint) -> ListedTracepoint {
    let fields = found.fields.into_iter().map(|field| ListedField {
        name: field.name,
        ty: from_wire::ty(field.r#type),
        agents: field.agents,
    });

    ListedTracepoint {
        name: found.name,
        fields: fields.collect(),
        agents: found.agents,
        places: found.places,
    }
}
