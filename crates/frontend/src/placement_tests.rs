//! Tests of the frontend's state by reports about times that cannot be, beside those of an honest agent.
#![allow(clippy::unwrap_used)]

use crate::FrontendOptions;
use crate::agent_identity::AgentIdentity;
use crate::agent_registry::AgentConnectionId;
use crate::agent_report::WovenNotice;
use crate::agent_session::SequenceCheck;
use crate::agent_wire::agent_report;
use crate::client_wire;
use crate::compilation::CompiledQuery;
use crate::kept_frames::FrameSelection;
use crate::report_placement::PlacingClock;
use crate::select::SelectEngine;
use crate::state::FrontendState;
use crate::time_range::TimeRange;
use crate::wanted_advice::AgentCommand;
use pivot_advice::{Exports, FieldDescriptor, Groups, Type, Value};
use pivot_protocol::{from_wire, to_wire, wire};
use pivot_query::{CompileOptions, compile_with};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;
/// When the query is installed.
const BEGIN: i64 = 1_000_000 * SECOND;

/// An agent that a test plays.
struct Played {
    connection: AgentConnectionId,
    inbox: mpsc::Receiver<Result<AgentCommand, tonic::Status>>,
    sequence: u64,
}

/// A frontend with agents of these clocks, which have all woven one query.
struct Scene {
    state: FrontendState,
    query: u32,
    agents: Vec<Played>,
    read: u64,
    engine: SelectEngine,
}

const FOLLOWING: PlacingClock = PlacingClock::Frontend { uncertainty_ns: 1_000_000 };

impl Scene {
    fn new(text: &str, clocks: &[PlacingClock]) -> Scene {
        let mut state = FrontendState::new(&FrontendOptions::default(), BEGIN - SECOND);
        let connected = (1..).zip(clocks).map(|(incarnation, clock)| {
            let (outbox, inbox) = mpsc::channel(10_000);
            let (clock, lease_ns) = (*clock, 600 * SECOND);
            let identity = AgentIdentity { lease_ns, clock, ..AgentIdentity::default() };
            let connection = state.connect(incarnation, identity, exports().into(), outbox, BEGIN - SECOND);
            Played { connection, inbox, sequence: 0 }
        });
        let agents: Vec<Played> = connected.collect();

        let snapshot = state.compile_snapshot();
        let options = CompileOptions::default();
        let program = compile_with(text, &snapshot.catalog, &options).unwrap();
        let compiled = CompiledQuery::new(snapshot.next_id, program, options, snapshot.exports_version);
        let query = state.install("", compiled, BEGIN).number;
        for agent in &agents {
            let woven = WovenNotice { generation: state.generation(), ..WovenNotice::default() };
            state.note_woven(agent.connection, woven, BEGIN);
        }
        Scene { state, query, agents, read: 0, engine: SelectEngine::new() }
    }

    /// Has an agent report rows of a window.
    fn report(&mut self, agent: usize, window: TimeRange, rows: u64, now_ns: i64) {
        let report = wire::Report { watermark_ns: window.end_ns, cut_ns: window.end_ns, ..self.part(rows) };
        self.send(agent, window, report, now_ns);
    }

    /// Returns a report of these rows, apart from its times.
    fn part(&self, rows: u64) -> wire::Report {
        let id = self.state.query(self.query).unwrap().definition.id;
        let mut groups = Groups::new(1, &[]);
        groups.entry(&[Value::str("a")]).n = rows;
        let part = wire::Part {
            query: Some(to_wire::query_id(id)),
            groups: to_wire::groups(&groups),
            emitted: rows,
            ..wire::Part::default()
        };
        wire::Report { parts: vec![part], ..wire::Report::default() }
    }

    fn send(&mut self, agent: usize, window: TimeRange, report: wire::Report, now_ns: i64) {
        let played = &mut self.agents[agent];
        played.sequence += 1;
        let TimeRange { start_ns: window_start_ns, end_ns: window_end_ns } = window;
        let report = wire::Report { sequence: played.sequence, window_start_ns, window_end_ns, ..report };
        let check = self.state.merge_report(played.connection, agent_report(report), now_ns);
        assert_eq!(check, SequenceCheck::Next);
    }

    async fn frames(&mut self, now_ns: i64) -> Vec<wire::Frame> {
        self.state.tick(now_ns);
        let mut frames = Vec::new();
        loop {
            let kept = &self.state.query(self.query).unwrap().frames;
            let Some(frame) = kept.next_after(self.read, FrameSelection::All) else { return frames };
            self.read = frame.sequence;
            frames.push(client_wire::frame(&frame.compute(&self.engine).await.unwrap()));
        }
    }

    /// Ends the query, and returns its last frame.
    async fn finish(&mut self, now_ns: i64) -> wire::Frame {
        self.state.uninstall(self.query, now_ns);
        let generation = self.state.generation();
        for agent in &self.agents {
            let woven = WovenNotice { generation, ..WovenNotice::default() };
            self.state.note_woven(agent.connection, woven, now_ns);
        }
        self.frames(now_ns).await.pop().unwrap()
    }

    fn acknowledged(&mut self, agent: usize) -> u64 {
        let mut newest = 0;
        while let Ok(Ok(command)) = self.agents[agent].inbox.try_recv() {
            if let AgentCommand::Acknowledge(sequence) = command {
                newest = sequence;
            }
        }
        newest
    }

    fn listed(&mut self, agent: usize) -> wire::Agent {
        let incarnation = self.agents[agent].connection.incarnation;
        client_wire::agent(self.state.registry.get(incarnation).unwrap(), &self.state)
    }
}

fn exports() -> Vec<Exports> {
    let fields = vec![FieldDescriptor { name: "x".into(), ty: Type::I64 }];
    vec![Exports { tracepoint: "T".into(), fields, file: "a.rs".into(), line: 1, module: "a".into() }]
}

fn window(start_ns: i64) -> TimeRange {
    TimeRange { start_ns, end_ns: start_ns + SECOND }
}

fn count(rows: &[wire::Row]) -> u64 {
    match rows.first().map(|row| from_wire::value(row.values[1].clone()).unwrap()) {
        Some(Value::U64(count)) => count,
        None => 0,
        other => panic!("a count, and not {other:?}"),
    }
}

const TEXT: &str = "FROM t IN T GROUP BY t.host SELECT t.host, COUNT";

/// The windows that an honest agent beside a liar shows each second.
async fn honest_seconds(scene: &mut Scene, seconds: std::ops::Range<i64>) -> BTreeMap<i64, wire::Frame> {
    let mut shown = BTreeMap::new();
    for second in seconds {
        let start_ns = BEGIN + second * SECOND;
        scene.report(0, window(start_ns), 10, start_ns + SECOND);
        for frame in scene.frames(start_ns + SECOND + 1).await {
            shown.insert((frame.window_start_ns - BEGIN) / SECOND, frame);
        }
    }
    shown
}

#[tokio::test]
async fn windows_of_a_liar_in_the_future_close_none_of_others() {
    for clock in [FOLLOWING, PlacingClock::Own] {
        let mut scene = Scene::new(TEXT, &[FOLLOWING, clock]);
        // As far as is believed, and farther.
        for i in 0..1_300 {
            scene.report(1, window(BEGIN + (i + 2) * SECOND), 1, BEGIN + 1);
        }

        let shown = honest_seconds(&mut scene, 0..30).await;
        assert_eq!(scene.acknowledged(1), 1_300, "or they would be sent again for ever");
        assert_eq!(shown.keys().copied().collect::<Vec<_>>(), (0..30).collect::<Vec<_>>(), "each in time");
        for (second, frame) in &shown {
            assert_eq!(count(&frame.rows), if *second < 2 { 10 } else { 11 }, "window {second}");
            assert_eq!(frame.completeness.unwrap().agents_expected, 2);
        }

        let misplaced = scene.listed(1).misplaced_rows;
        assert!((690..710).contains(&misplaced), "{misplaced}");
        assert_eq!(scene.listed(0).misplaced_rows, 0);
        let last = scene.finish(BEGIN + 31 * SECOND).await;
        let lacks = last.cumulative_completeness.unwrap();
        assert_eq!((lacks.loss.unwrap().dropped, lacks.partial), (misplaced, true));
        assert_eq!(count(&last.cumulative) + misplaced, 300 + 1_300);
    }
}

#[tokio::test]
async fn impossible_windows_are_acknowledged_and_their_rows_are_lost() {
    let extremes = [
        TimeRange { start_ns: i64::MIN, end_ns: i64::MAX },
        TimeRange { start_ns: i64::MIN, end_ns: i64::MIN + SECOND },
        TimeRange { start_ns: i64::MAX - SECOND, end_ns: i64::MAX },
        TimeRange { start_ns: i64::MAX, end_ns: i64::MIN },
        TimeRange { start_ns: BEGIN, end_ns: BEGIN },
        TimeRange { start_ns: BEGIN + SECOND, end_ns: BEGIN },
        TimeRange { start_ns: BEGIN + 1, end_ns: BEGIN + SECOND },
        TimeRange { start_ns: BEGIN, end_ns: BEGIN + SECOND / 7 },
        window(BEGIN + HOUR),
        window(BEGIN - HOUR),
        window(0),
    ];
    let mut scene = Scene::new(TEXT, &[FOLLOWING, FOLLOWING]);
    for window in extremes {
        scene.report(1, window, 7, BEGIN + 1);
    }

    let shown = honest_seconds(&mut scene, 0..5).await;
    assert_eq!(scene.acknowledged(1), extremes.len() as u64);
    assert!(shown.values().all(|frame| count(&frame.rows) == 10));
    // The liar has not said what happened in these seconds: they wait for it, and then go without.
    let frames = scene.frames(BEGIN + 9 * SECOND).await;
    assert_eq!(shown.len() + frames.len(), 5);
    assert!(frames.iter().all(|frame| frame.completeness.unwrap().agents_reporting == 1));

    let last = scene.finish(BEGIN + 10 * SECOND).await;
    let lacks = last.cumulative_completeness.unwrap();
    assert_eq!((count(&last.cumulative), lacks.loss.unwrap().dropped, lacks.partial), (50, 77, true));
    assert_eq!(scene.listed(1).misplaced_rows, 77);
}

#[tokio::test]
async fn other_times_of_a_report_may_be_anything() {
    for ns in [i64::MIN, -1, 0, i64::MAX] {
        let mut scene = Scene::new(TEXT, &[FOLLOWING, FOLLOWING]);
        let mut report = scene.part(5);
        report.parts[0].woven = Some(wire::WovenTime { since_ns: ns, until_ns: Some(ns) });
        let report = wire::Report { watermark_ns: ns, cut_ns: ns, delay_ns: ns, ..report };
        scene.send(1, window(BEGIN), report, BEGIN + SECOND);

        honest_seconds(&mut scene, 0..5).await;
        scene.frames(BEGIN + 20 * SECOND).await;
        let last = scene.finish(BEGIN + 20 * SECOND).await;
        assert_eq!(count(&last.cumulative), 55, "{ns}");
        let length_ns = last.cumulative_completeness.unwrap().length_ns;
        assert!(length_ns <= 700 * SECOND, "{ns}: rates would be nothing: {length_ns}");
    }
}

#[tokio::test]
async fn an_agent_that_does_not_ask_for_the_time_is_placed_by_its_own_clock() {
    // Of a version before, behind by an hour.
    let mut scene = Scene::new(TEXT, &[FOLLOWING, PlacingClock::Own]);
    for second in 0..3 {
        scene.report(1, window(BEGIN - HOUR + second * SECOND), 1, BEGIN + second * SECOND);
    }
    honest_seconds(&mut scene, 0..3).await;
    let last = scene.finish(BEGIN + 4 * SECOND).await;
    assert_eq!(count(&last.cumulative), 33);
    assert_eq!((scene.listed(1).misplaced_rows, scene.listed(1).clock_uncertainty_ns), (0, None));
    assert_eq!(scene.listed(0).clock_uncertainty_ns, Some(1_000_000));
}

#[tokio::test]
async fn an_agent_is_late_however_long_it_was_away() {
    let mut scene = Scene::new(TEXT, &[FOLLOWING, FOLLOWING]);
    honest_seconds(&mut scene, 0..30).await;
    // A day later it sends what happened in the first seconds.
    let later_ns = BEGIN + 24 * HOUR;
    for second in 0..30 {
        scene.report(1, window(BEGIN + second * SECOND), 1, later_ns);
    }
    let last = scene.finish(later_ns + SECOND).await;
    assert_eq!((count(&last.cumulative), scene.listed(1).misplaced_rows), (330, 0));
}

#[tokio::test]
async fn rows_that_an_agent_had_lost_already_are_not_lost_once_more_when_they_are_refused() {
    let mut scene = Scene::new(TEXT, &[FOLLOWING, FOLLOWING]);
    // Seven were emitted, for three of which the agent had no room.
    let mut report = scene.part(4);
    report.parts[0].emitted = 7;
    report.parts[0].loss = Some(wire::Loss { dropped: 3, ..wire::Loss::default() });
    scene.send(1, window(BEGIN - HOUR), report, BEGIN + 1);

    let last = scene.finish(BEGIN + 10 * SECOND).await;
    let lacks = last.cumulative_completeness.unwrap();
    assert_eq!((lacks.loss.unwrap().dropped, lacks.partial), (7, true));
    assert_eq!(scene.listed(1).misplaced_rows, 4);
}

#[tokio::test]
async fn numbers_of_rows_may_be_anything() {
    let mut scene = Scene::new(TEXT, &[FOLLOWING, FOLLOWING]);
    let mut report = scene.part(u64::MAX);
    // Of a shape that the query has not, which is dropped.
    let mut other = Groups::new(3, &[]);
    other.entry(&[Value::str("a"), Value::str("b"), Value::str("c")]).n = u64::MAX;
    (report.parts[0].other, report.parts[0].sampled) = (to_wire::groups(&other), to_wire::groups(&other));
    report.parts.push(report.parts[0].clone());

    for window in [window(BEGIN), window(BEGIN - HOUR)] {
        scene.send(1, window, report.clone(), BEGIN + SECOND);
    }
    let last = scene.finish(BEGIN + 10 * SECOND).await;
    assert!(last.cumulative_completeness.unwrap().partial);
    assert_eq!(scene.state.reports.rows, u64::MAX);
}
