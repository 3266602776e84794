//! Messages of clients decoded, and answers to them encoded.

use crate::agent_coverage::AgentCoverage;
use crate::agent_registry::AgentRegistry;
use crate::agent_report::AgentLosses;
use crate::agent_session::{AgentPresence, AgentSession};
use crate::column_role::ColumnRole;
use crate::cost_ledger::AgentCost;
use crate::estimate::SampledMeaning;
use crate::installed_query::InstalledQuery;
use crate::kept_frames::{ComputedFrame, FrameSelection, ResultWithTable};
use crate::known_exports::KnownExports;
use crate::query_end::QueryEnd;
use crate::query_owner::QueryOwner;
use crate::report_placement::PlacingClock;
use crate::select::{ResultColumn, ResultRow, other_row};
use crate::state::FrontendState;
use pivot_advice::{CarrierGlob, NamedCarrier, QueryBudget, QueryId, WithheldReason};
use pivot_protocol::wire::{self, results_request::Wanted};
use pivot_protocol::{ProtocolError, from_wire, to_wire};
use pivot_query::{CompileOptions, Diagnostic, Diagnostics, ExporterCount, OutputPlan, Severity};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// The most hosts that are named whose baggage was held back.
const MAX_HELD_BACK_HOSTS: usize = 8;

/// The longest id of a client session.
const MAX_SESSION_BYTES: usize = 128;

/// The longest name of an owner; what is longer is cut.
const MAX_OWNER_BYTES: usize = 256;

/// A client session with an id that is too long.
#[derive(Debug, thiserror::Error)]
#[error("the id of a session has at most {MAX_SESSION_BYTES} bytes")]
pub(crate) struct SessionTooLong;

/// A parameter of a query whose value cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("parameter `${name}`: {source}")]
pub(crate) struct InvalidParameter {
    name: String,
    source: ProtocolError,
}

/// Decodes what the parameters of a query stand for.
pub(crate) fn compile_options(
    params: HashMap<String, wire::Value>,
) -> Result<CompileOptions, InvalidParameter> {
    let mut options = CompileOptions::default();
    for (name, value) in params {
        match from_wire::value(value) {
            Ok(value) => options = options.param(name, value),
            Err(source) => return Err(InvalidParameter { name, source }),
        }
    }
    Ok(options)
}

/// Decodes which frames a client wants.
pub(crate) fn frame_selection(wanted: Wanted) -> FrameSelection {
    match wanted {
        Wanted::All => FrameSelection::All,
        Wanted::Windows => FrameSelection::Windows,
        Wanted::Newest => FrameSelection::Newest,
    }
}

/// Encodes what is wrong with a query.
pub(crate) fn diagnostics(found: &Diagnostics) -> Vec<wire::Diagnostic> {
    found.iter().map(diagnostic).collect()
}

fn diagnostic(found: &Diagnostic) -> wire::Diagnostic {
    let severity = match found.severity {
        Severity::Error => wire::diagnostic::Severity::Error,
        Severity::Warning => wire::diagnostic::Severity::Warning,
    };

    wire::Diagnostic {
        severity: severity.into(),
        start: u32::try_from(found.span.start).unwrap_or(u32::MAX),
        end: u32::try_from(found.span.end).unwrap_or(u32::MAX),
        message: found.message.clone(),
        detail: found.detail.clone(),
        hint: found.hint.clone().unwrap_or_default(),
        corrected: found.corrected.clone().unwrap_or_default(),
    }
}

/// Encodes the columns of a result.
pub(crate) fn columns(columns: &[ResultColumn]) -> Vec<wire::Column> {
    columns.iter().map(column).collect()
}

fn column(column: &ResultColumn) -> wire::Column {
    use wire::column::{Estimate, Role};
    let estimate = match column.estimate {
        SampledMeaning::None => Estimate::None,
        SampledMeaning::Scaled => Estimate::Scaled,
        SampledMeaning::Approximate => Estimate::Approximate,
        SampledMeaning::OfSample => Estimate::OfSample,
    };

    let role = match column.role {
        ColumnRole::Key => Role::Key,
        ColumnRole::Measure => Role::Measure,
        ColumnRole::Value => Role::Value,
    };

    wire::Column {
        name: column.name.clone(),
        r#type: column.ty.code().into(),
        relative_error: column.relative_error,
        estimate: estimate.into(),
        role: role.into(),
        order_position: column.order_position,
        buckets: column.has_buckets,
    }
}

/// Encodes a frame.
pub(crate) fn frame(computed: &ComputedFrame<'_>) -> wire::Frame {
    let ComputedFrame { frame, window, cumulative } = computed;
    let output = &*frame.output;

    wire::Frame {
        query: frame.query,
        sequence: frame.sequence,
        window_start_ns: frame.window.start_ns,
        window_end_ns: frame.window.end_ns,
        revision: frame.revision,
        columns: columns(&computed.columns()),
        rows: rows(*window),
        cumulative: cumulative.map(rows).unwrap_or_default(),
        completeness: Some(completeness(*window, frame.coverage)),
        cumulative_completeness: cumulative.map(|result| completeness(result, frame.coverage)),
        last: frame.end.is_some(),
        end: frame.end.map_or(wire::frame::End::Unspecified, QueryEnd::to_wire).into(),
        other: other(*window, output),
        cumulative_other: cumulative.and_then(|result| other(result, output)),
        without_cumulative: cumulative.is_none(),
        ordered: !output.order.is_empty(),
        outside: outside(*window),
        cumulative_outside: cumulative.map(outside).unwrap_or_default(),
    }
}

fn rows(computed: ResultWithTable<'_>) -> Vec<wire::Row> {
    computed.table.rows.iter().map(row).collect()
}

fn row(row: &ResultRow) -> wire::Row {
    wire::Row {
        values: row.values.iter().map(to_wire::value).collect(),
        standard_errors: row.standard_errors.clone(),
    }
}

fn outside(computed: ResultWithTable<'_>) -> Vec<wire::OutsidePlace> {
    to_wire::outside_places(&computed.result.groups.outside)
}

fn other(computed: ResultWithTable<'_>, output: &OutputPlan) -> Option<wire::Row> {
    let result = computed.result;
    other_row(&result.groups, output, result.seconds()).as_ref().map(row)
}

fn completeness(computed: ResultWithTable<'_>, coverage: AgentCoverage) -> wire::Completeness {
    let ResultWithTable { result, table } = computed;

    wire::Completeness {
        emitted: result.groups.emitted,
        loss: Some(to_wire::loss(&table.loss)),
        agents_reporting: coverage.reporting,
        agents_expected: coverage.expected,
        partial: result.is_partial(table),
        other: result.groups.rows_in_other(),
        covered_ns: result.scope.time.covered_ns,
        length_ns: result.scope.time.length_ns,
        agents_late: result.scope.time.agents_late,
        incomplete_windows: result.scope.incomplete_windows,
        rows_left_out: 0,
    }
}

/// Encodes a query as it is listed.
pub(crate) fn query(query: &InstalledQuery, state: &FrontendState) -> wire::Query {
    let (definition, registry) = (&query.definition, &state.registry);
    let cumulative = query.cumulative();
    let agents = agent_statuses(query, registry);

    wire::Query {
        number: definition.id.number,
        name: definition.name.clone(),
        text: definition.program.text.clone(),
        installed_ns: definition.installed_ns,
        pending: pending(&definition.program.tracepoints, registry),
        agents_woven: count_woven(query, registry),
        problems: problems(definition.id, registry),
        rows_emitted: cumulative.emitted,
        groups: cumulative.groups.len() as u64,
        loss: Some(to_wire::loss(&cumulative.loss)),
        readers: query.readers,
        cost: Some(to_wire::cost(&query.costs.total)),
        recent_ns: agents.iter().map(|agent| agent.recent_ns).max().unwrap_or_default(),
        agents,
        asked: asked_budget(definition.program.settings.budget),
        unreturned_from: query.unreturned.peers().into_iter().map(str::to_owned).collect(),
        held_back_for: if cumulative.loss.held_back > 0 { held_back_hosts(registry) } else { Vec::new() },
        outside: to_wire::outside_places(&cumulative.outside),
        owner: definition.owner.name.clone(),
        lease: client_lease(query, state),
    }
}

fn client_lease(query: &InstalledQuery, state: &FrontendState) -> Option<wire::ClientLease> {
    let unheard = state.unheard(query)?;
    Some(wire::ClientLease {
        grace_ns: nanoseconds(state.lease_clock.grace()),
        unheard_ns: nanoseconds(unheard),
    })
}

/// Returns a time in nanoseconds, or the longest that can be written.
pub(crate) fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Decodes who a query belongs to.
pub(crate) fn query_owner(owner: Option<wire::QueryOwner>) -> Result<QueryOwner, SessionTooLong> {
    let wire::QueryOwner { session, mut name, stays } = owner.unwrap_or_default();
    if session.len() > MAX_SESSION_BYTES {
        return Err(SessionTooLong);
    }
    name.truncate(name.floor_char_boundary(MAX_OWNER_BYTES));
    Ok(QueryOwner { name, session, stays })
}

/// Returns the hosts to which agents must not send baggage and would have, in order.
fn held_back_hosts(registry: &AgentRegistry) -> Vec<String> {
    let withheld = registry.iter().flat_map(|(_, agent)| &agent.withheld);
    let not_allowed =
        withheld.filter(|held| held.reason == WithheldReason::NotAllowed && !held.host.is_empty());
    let hosts: BTreeSet<&str> = not_allowed.map(|held| held.host.as_str()).collect();
    hosts.into_iter().take(MAX_HELD_BACK_HOSTS).map(str::to_owned).collect()
}

/// Encodes what a query asks for with `WITHIN`, or returns `None` if it asks for nothing.
fn asked_budget(budget: QueryBudget) -> Option<wire::QueryBudget> {
    (!budget.is_empty()).then(|| to_wire::query_budget(&budget))
}

/// Returns the tracepoints that no connected agent exports.
fn pending(tracepoints: &[String], registry: &AgentRegistry) -> Vec<String> {
    let catalog = registry.exports.catalog();
    let exporters = |name: &str| catalog.tracepoint(name).map_or(0, |known| known.exporters.get());
    tracepoints.iter().filter(|name| exporters(name) == 0).cloned().collect()
}

/// Returns the number of connected agents that have woven a query somewhere.
fn count_woven(query: &InstalledQuery, registry: &AgentRegistry) -> u32 {
    let definition = &query.definition;
    let woven = registry.connected().filter(|agent| {
        agent.woven >= definition.generation && agent.exports_any(&definition.program.tracepoints)
    });
    woven.count() as u32
}

fn problems(id: QueryId, registry: &AgentRegistry) -> Vec<wire::AgentProblem> {
    let mut problems = Vec::new();

    for agent in registry.connected() {
        for problem in agent.problems.iter().filter(|problem| problem.query == id) {
            problems.push(wire::AgentProblem {
                agent: agent.name(),
                tracepoint: problem.tracepoint.clone(),
                message: problem.message.clone(),
            });
        }
    }
    problems
}

/// Returns how a query fares in each connected agent that has said so.
fn agent_statuses(query: &InstalledQuery, registry: &AgentRegistry) -> Vec<wire::AgentStatus> {
    let nothing = AgentCost::default();
    let mut statuses = Vec::new();
    for (incarnation, agent) in registry.iter().filter(|(_, agent)| agent.is_connected()) {
        let id = query.definition.id;
        // An agent that has not answered yet since the query was installed is not listed.
        let found = agent.status_of(id);
        let Some(agent_status) = found else { continue };
        let agent_cost = query.costs.of_agent(incarnation).unwrap_or(&nothing);
        let recent = query.recent_cost(incarnation, agent);

        statuses.push(wire::AgentStatus {
            agent: agent.name(),
            status: Some(to_wire::query_status(agent_status)),
            cost: Some(to_wire::cost(&agent_cost.total)),
            recent: Some(to_wire::cost(&recent.cost)),
            recent_ns: recent.covered_ns,
            loss: Some(to_wire::loss(&agent_cost.loss)),
            groups: agent_cost.groups,
            other: agent_cost.other,
        });
    }
    statuses
}

/// Encodes the spans that carry a request, as connected agents know them.
pub(crate) fn carriers(globs: &[CarrierGlob], registry: &AgentRegistry) -> Vec<wire::Carrier> {
    let mut carriers = Vec::with_capacity(globs.len());

    for glob in globs {
        let known =
            registry.connected().flat_map(|agent| &agent.carriers).filter(|known| known.glob == *glob);
        let mut all = NamedCarrier::new(glob.clone());
        let mut agents = 0;
        for known in known {
            agents += 1;
            known.spans.iter().cloned().for_each(|span| all.add_span(span));
        }
        let spans = all.spans.into_iter().collect();
        carriers.push(wire::Carrier { glob: glob.to_string(), agents, spans });
    }
    carriers
}

/// Encodes an agent as it is listed.
pub(crate) fn agent(agent: &AgentSession, state: &FrontendState) -> wire::Agent {
    let identity = &agent.identity;
    let presence = match agent.presence {
        AgentPresence::Connected => wire::agent::State::Connected,
        AgentPresence::Left => wire::agent::State::Left,
        AgentPresence::Lost(_) => wire::agent::State::Lost,
    };

    wire::Agent {
        state: presence.into(),
        process: identity.process.clone(),
        host: identity.host.clone(),
        pid: identity.pid,
        build: identity.build.clone(),
        labels: identity.labels.clone(),
        tracepoints: agent.exports.len() as u32,
        left_out: agent.exports.left_out,
        connected_ns: agent.connected_ns,
        last_heard_ns: agent.last_heard_ns,
        // An agent that has gone weaves nothing, whatever it said last.
        converged: agent.is_connected() && state.has_converged(agent.woven),
        held_back: agent.withheld.iter().map(to_wire::withheld_messages).collect(),
        peers: agent.peers.iter().map(to_wire::peer_replies).collect(),
        lost: Some(losses(agent.losses)),
        clock_uncertainty_ns: match identity.clock {
            PlacingClock::Own => None,
            PlacingClock::Frontend { uncertainty_ns } => Some(uncertainty_ns),
        },
        misplaced_rows: agent.misplaced_rows,
    }
}

fn losses(losses: AgentLosses) -> wire::Lost {
    let AgentLosses { skipped, duplicate, foreign, mismatched, overflowed, .. } = losses;
    let AgentLosses { malformed, unsigned, outside, unanswered, .. } = losses;

    wire::Lost {
        skipped,
        duplicate,
        foreign,
        mismatched,
        overflowed,
        malformed,
        unsigned,
        outside,
        unanswered,
    }
}

/// Encodes all tracepoints of the catalogue, with the connected agents that export them.
pub(crate) fn tracepoints(exports: &KnownExports) -> Vec<wire::Tracepoint> {
    // One that is kept for a query alone is nobody's.
    let declared = exports.catalog().tracepoints().filter(|known| exports.is_declared(&known.name));
    let mut tracepoints = Vec::new();

    for tracepoint in declared {
        let fields = tracepoint.fields.iter().map(|field| wire::TracepointField {
            name: field.name.clone(),
            r#type: field.ty.code().into(),
            agents: number(&field.exporters),
        });
        tracepoints.push(wire::Tracepoint {
            name: tracepoint.name.clone(),
            fields: fields.collect(),
            agents: number(&tracepoint.exporters),
            places: exports.places(&tracepoint.name).map(|place| place.to_string()).collect(),
        });
    }
    tracepoints
}

fn number(exporters: &ExporterCount) -> u32 {
    u32::try_from(exporters.get()).unwrap_or(u32::MAX)
}
