//! What a frontend measures about itself, as Prometheus reads it.

use crate::agent_session::AgentPresence;
use crate::commit_figures::{BOUNDS, CommitFigures};
use crate::process_figures::ProcessFigures;
use crate::prometheus_text::MetricKind::{Counter, Gauge, Histogram};
use crate::prometheus_text::PrometheusText;
use crate::report_figures::ReportFigures;
use crate::shared_state::SharedState;

/// The figures of the state, copied so that its lock is held for a moment only.
#[derive(Debug, Default)]
struct StateFigures {
    agents_connected: usize,
    agents_left: usize,
    agents_lost: usize,
    tracepoints: usize,
    queries_active: usize,
    queries_finished: usize,
    open_windows: usize,
    staged_groups: usize,
    kept_frames: usize,
    groups: usize,
    readers: u64,
    generation: u64,
    reports: ReportFigures,
}

impl StateFigures {
    fn read(shared: &SharedState) -> StateFigures {
        let state = shared.lock();
        let mut figures = StateFigures {
            tracepoints: state.registry.exports.catalog().tracepoints().count(),
            generation: state.generation(),
            reports: state.reports,
            ..StateFigures::default()
        };

        for (_, agent) in state.registry.iter() {
            match agent.presence {
                AgentPresence::Connected => figures.agents_connected += 1,
                AgentPresence::Left => figures.agents_left += 1,
                AgentPresence::Lost(_) => figures.agents_lost += 1,
            }
        }
        for query in state.queries.iter() {
            match query.is_active() {
                true => figures.queries_active += 1,
                false => figures.queries_finished += 1,
            }
            figures.open_windows += query.windows.open_count();
            figures.staged_groups += query.windows.staged_groups();
            figures.kept_frames += query.frames.len();
            figures.groups += query.cumulative().groups.len();
            figures.readers += u64::from(query.readers);
        }
        figures
    }
}

/// Returns all figures of a frontend.
pub(crate) fn frontend_metrics(shared: &SharedState) -> String {
    let mut text = PrometheusText::default();
    text.family("pivot_build_info", Gauge, "The version that runs.");
    text.sample("pivot_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);

    add_state(&mut text, &StateFigures::read(shared));
    add_clients(&mut text, shared);
    add_store(&mut text, shared);
    add_process(&mut text);
    text.into_text()
}

fn add_state(text: &mut PrometheusText, figures: &StateFigures) {
    text.family("pivot_agents", Gauge, "Agents that are known, by whether they are connected.");
    for (state, agents) in [
        ("connected", figures.agents_connected),
        ("left", figures.agents_left),
        ("lost", figures.agents_lost),
    ] {
        text.sample("pivot_agents", &[("state", state)], agents as f64);
    }
    let help = "Tracepoints that any known agent has.";
    text.single("pivot_tracepoints", Gauge, help, figures.tracepoints as f64);

    text.family(
        "pivot_queries",
        Gauge,
        "Queries that are installed, and those that have ended and are kept.",
    );
    text.sample("pivot_queries", &[("state", "active")], figures.queries_active as f64);
    text.sample("pivot_queries", &[("state", "finished")], figures.queries_finished as f64);
    let help = "The number of the set of advice that agents should weave.";
    text.single("pivot_generation", Gauge, help, figures.generation as f64);

    let reports = figures.reports;
    text.family("pivot_reports_total", Counter, "Reports of agents, by what became of them.");
    for (outcome, count) in
        [("merged", reports.merged), ("duplicate", reports.duplicate), ("refused", reports.refused)]
    {
        text.sample("pivot_reports_total", &[("outcome", outcome)], count as f64);
    }
    text.single("pivot_rows_total", Counter, "Rows of merged reports.", reports.rows as f64);

    let help = "Windows that are not shown yet, of all queries.";
    text.single("pivot_windows_open", Gauge, help, figures.open_windows as f64);
    let help = "Groups that were reported since the last commit.";
    text.single("pivot_groups_staged", Gauge, help, figures.staged_groups as f64);
    let help = "Groups of the results since install, of all queries.";
    text.single("pivot_groups", Gauge, help, figures.groups as f64);
    let help = "Frames that are kept for readers.";
    text.single("pivot_frames_kept", Gauge, help, figures.kept_frames as f64);
    let help = "Open streams of results.";
    text.single("pivot_results_streams", Gauge, help, figures.readers as f64);
}

fn add_clients(text: &mut PrometheusText, shared: &SharedState) {
    let (frames, bytes) = shared.frame_room.sent();
    text.single("pivot_frames_sent_total", Counter, "Frames that were sent to clients.", frames as f64);
    text.single("pivot_frame_bytes_sent_total", Counter, "Bytes of frames sent to clients.", bytes as f64);
    let help = "Bytes of frames that are on their way to clients.";
    text.single("pivot_frame_bytes_sending", Gauge, help, shared.frame_room.sending() as f64);

    let connections = &shared.connections;
    text.family(
        "pivot_connections",
        Gauge,
        "Open connections, and those that are told that there are too many.",
    );
    text.sample("pivot_connections", &[("state", "served")], connections.served() as f64);
    text.sample("pivot_connections", &[("state", "refused")], connections.refused() as f64);
}

fn add_store(text: &mut PrometheusText, shared: &SharedState) {
    let CommitFigures { buckets, time, failed, .. } = shared.commit_figures();
    let name = "pivot_commit_duration_seconds";
    text.family(name, Histogram, "How long commits took that succeeded.");
    let mut commits = 0;
    let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(buckets) {
        commits += count;
        text.sample(&format!("{name}_bucket"), &[("le", &bound)], commits as f64);
    }
    text.sample(&format!("{name}_sum"), &[], time.as_secs_f64());
    text.sample(&format!("{name}_count"), &[], commits as f64);
    text.single("pivot_commits_failed_total", Counter, "Commits that failed.", failed as f64);

    let is_failing = f64::from(u8::from(shared.store_problem().is_some()));
    let help = "Whether the frontend cannot store its state, and so shows nothing new.";
    text.single("pivot_store_failing", Gauge, help, is_failing);
    if let Some(bytes) = shared.store_bytes() {
        text.single("pivot_store_bytes", Gauge, "Size of the file of the store.", bytes as f64);
    }
}

fn add_process(text: &mut PrometheusText) {
    let Some(figures) = ProcessFigures::read() else { return };
    let ProcessFigures { resident_bytes, busy_seconds, open_files } = figures;
    text.single("process_resident_memory_bytes", Gauge, "Resident memory.", resident_bytes);
    text.single(
        "process_cpu_seconds_total",
        Counter,
        "Processor time in user and system mode.",
        busy_seconds,
    );
    text.single("process_open_fds", Gauge, "Open files.", open_files);
}
