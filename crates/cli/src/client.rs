//! The connection to a frontend, through the public service alone.

use crate::error::CliError;
use crate::params::Params;
use crate::result_frame::{FrameColumn, ResultFrame, columns};
use futures::{Stream, StreamExt};
use pivot_advice::Type;
use pivot_protocol::wire::frontend_client::FrontendClient;
use pivot_protocol::wire::results_request::Wanted;
use pivot_protocol::{MAX_MESSAGE_BYTES, from_wire, to_wire, wire};
use pivot_query::{Diagnostic, Diagnostics, Severity};
use std::collections::HashMap;
use std::time::Duration;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct FrontendConnection {
    client: FrontendClient<Channel>,
}

/// The answer to an install.
#[derive(Debug)]
pub(crate) struct InstallReply {
    /// The query's number; none if it did not compile.
    pub(crate) query: Option<u32>,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) columns: Vec<FrameColumn>,
}

/// A tracepoint of the merged catalogue.
#[derive(Debug, Clone)]
pub(crate) struct ListedTracepoint {
    pub(crate) name: String,
    pub(crate) fields: Vec<ListedField>,
    pub(crate) agents: u32,
    pub(crate) places: Vec<String>,
}

/// A field of a tracepoint, and how many agents export it.
#[derive(Debug, Clone)]
pub(crate) struct ListedField {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) agents: u32,
}

fn wire_params(params: &Params) -> HashMap<String, wire::Value> {
    params.iter().map(|(name, value)| (name.clone(), to_wire::value(value))).collect()
}

impl FrontendConnection {
    /// Connects, or says within seconds that nobody answers.
    pub(crate) async fn open(address: &str) -> Result<FrontendConnection, CliError> {
        let wrong = |_| CliError::Address(address.to_owned());
        let endpoint = Endpoint::from_shared(address.to_owned()).map_err(wrong)?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).keep_alive_while_idle(true);
        let endpoint = endpoint.http2_keep_alive_interval(Duration::from_secs(10));
        let channel = endpoint.connect().await.map_err(|error| CliError::Unreachable {
            address: address.to_owned(),
            reason: root_cause(&error),
        })?;
        let client = FrontendClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(FrontendConnection { client })
    }

    /// Compiles and installs; a query that does not compile is an answer.
    pub(crate) async fn install(
        &self,
        text: &str,
        name: &str,
        params: &Params,
    ) -> Result<InstallReply, CliError> {
        let (text, name, params) = (text.to_owned(), name.to_owned(), wire_params(params));
        let request = wire::InstallRequest { text, name, params };
        let answer =
            self.client.clone().install(request).await.map_err(failed("install the query"))?.into_inner();
        let mut diagnostics = Diagnostics::default();
        answer.diagnostics.into_iter().for_each(|found| diagnostics.push(diagnostic(found)));
        Ok(InstallReply { query: answer.query, diagnostics, columns: columns(answer.columns) })
    }

    /// What a query is compiled to, and what it costs if it is to be run for so long; no text if it does
    /// not compile.
    pub(crate) async fn explain(
        &self,
        text: &str,
        params: &Params,
        analyze: Option<Duration>,
    ) -> Result<(Diagnostics, String), CliError> {
        let analyze_ns = analyze.map_or(0, |length| i64::try_from(length.as_nanos()).unwrap_or(i64::MAX));
        let (text, params) = (text.to_owned(), wire_params(params));
        let request = wire::ExplainRequest { text, params, analyze_ns, fraction: 1.0 };
        let answer =
            self.client.clone().explain(request).await.map_err(failed("explain the query"))?.into_inner();
        let mut diagnostics = Diagnostics::default();
        answer.diagnostics.into_iter().for_each(|found| diagnostics.push(diagnostic(found)));
        Ok((diagnostics, answer.explanation))
    }

    /// Unweaves a query everywhere. Its last frames still come.
    pub(crate) async fn uninstall(&self, query: u32) -> Result<(), CliError> {
        let request = wire::UninstallRequest { query };
        self.client.clone().uninstall(request).await.map_err(failed("uninstall the query"))?;
        Ok(())
    }

    /// The frames of a query that are kept, then those that come, until the last one; as much as is wanted.
    pub(crate) async fn results(
        &self,
        query: u32,
        wanted: Wanted,
    ) -> Result<impl Stream<Item = Result<ResultFrame, CliError>> + Send + Unpin + 'static, CliError> {
        let request = wire::ResultsRequest { query, after_sequence: 0, wanted: wanted.into() };
        let stream = self.client.clone().results(request).await.map_err(failed("read results"))?.into_inner();
        Ok(stream.map(|frame| Ok(ResultFrame::from_wire(frame.map_err(failed("read results"))?)?)))
    }

    /// All tracepoints, by name.
    pub(crate) async fn tracepoints(&self) -> Result<Vec<ListedTracepoint>, CliError> {
        let request = wire::ListTracepointsRequest {};
        let answer = self.client.clone().list_tracepoints(request).await;
        let found = answer.map_err(failed("list tracepoints"))?.into_inner().tracepoints;
        let mut found: Vec<ListedTracepoint> = found.into_iter().map(tracepoint).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Installed queries, by number.
    pub(crate) async fn queries(&self) -> Result<Vec<wire::Query>, CliError> {
        let answer = self.client.clone().list_queries(wire::ListQueriesRequest {}).await;
        let mut found = answer.map_err(failed("list queries"))?.into_inner().queries;
        found.sort_by_key(|query| query.number);
        Ok(found)
    }

    /// One installed query.
    pub(crate) async fn query(&self, number: u32) -> Result<Option<wire::Query>, CliError> {
        Ok(self.queries().await?.into_iter().find(|query| query.number == number))
    }

    /// Agents that are connected or were, by host and process.
    pub(crate) async fn agents(&self) -> Result<Vec<wire::Agent>, CliError> {
        let answer = self.client.clone().list_agents(wire::ListAgentsRequest {}).await;
        let mut found = answer.map_err(failed("list agents"))?.into_inner().agents;
        found.sort_by(|a, b| (&a.host, &a.process, a.pid).cmp(&(&b.host, &b.process, b.pid)));
        Ok(found)
    }

    /// How many agents are connected now.
    pub(crate) async fn connected(&self) -> Result<usize, CliError> {
        let agents = self.agents().await?;
        Ok(agents.iter().filter(|agent| agent.state() == wire::agent::State::Connected).count())
    }
}

fn failed(action: &'static str) -> impl Fn(Status) -> CliError {
    move |status| CliError::Frontend { action, reason: status.message().to_owned() }
}

/// Transport errors say only `transport error`; what happened is at the end of their chain.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn diagnostic(found: wire::Diagnostic) -> Diagnostic {
    let severity = match found.severity() {
        wire::diagnostic::Severity::Warning => Severity::Warning,
        _ => Severity::Error,
    };
    let hint = Some(found.hint).filter(|hint| !hint.is_empty());
    let span = found.start as usize..found.end as usize;
    Diagnostic { severity, span, message: found.message, detail: found.detail, hint }
}

fn tracepoint(found: wire::Tracepoint) -> ListedTracepoint {
    let field = |field: wire::TracepointField| ListedField {
        name: field.name,
        ty: from_wire::ty(field.r#type),
        agents: field.agents,
    };
    ListedTracepoint {
        name: found.name,
        fields: found.fields.into_iter().map(field).collect(),
        agents: found.agents,
        places: found.places,
    }
}
