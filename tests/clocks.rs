//! Clocks that are wrong, and clocks that jump, of agents and of the frontend: as processes whose time of day a library shifts.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_protocol::wire::{from_agent::Kind as FromAgent, to_agent::Kind as ToAgent};
use pivot_protocol::{steady_ns, wire};
use pivot_tests::{
    CountedAgent, PATIENCE, PlayedAgent, ReportWindow, SECOND_NS, ServerProcess, ShiftedClock, now_ns,
};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

const AGENT: &str = env!("CARGO_BIN_EXE_counted_agent");
const QUERY: &str =
    "FROM h IN Counted.hit GROUP BY h.process SELECT h.process, COUNT, SUM(h.n), MIN(h.at), MAX(h.at)";
const HOUR: i64 = 3_600 * SECOND_NS;
const TEN_MINUTES: i64 = 600 * SECOND_NS;

/// How far an event may be outside its window, because threads of a busy machine wake up late.
const LATE_NS: i64 = 1_500_000_000;

/// A frontend with a query, and agents that have woven it.
struct Scene {
    server: ServerProcess,
    query: u32,
    agents: Vec<CountedAgent>,
    /// The time of day less the steady clock when the frontend started.
    offset_ns: i64,
}

impl Scene {
    /// Starts a frontend, with its time of day as a clock has it, and agents likewise.
    async fn start(frontend: Option<&ShiftedClock>, agents: &[Option<&ShiftedClock>]) -> Scene {
        let variables = frontend.map(ShiftedClock::variables).into_iter().flatten();
        let wrapper: Vec<String> = frontend.map(|_| "env".to_owned()).into_iter().chain(variables).collect();
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let server = ServerProcess::start_wrapped(&wrapper, &[]).await;
        let offset_ns = now_ns() - steady_ns();

        let request = wire::InstallRequest { text: QUERY.into(), ..Default::default() };
        let installed = server.client().await.install(request).await.unwrap().into_inner();
        let mut scene = Scene { server, query: installed.query.unwrap(), agents: Vec::new(), offset_ns };
        for (number, clock) in agents.iter().enumerate() {
            let variables = clock.map(ShiftedClock::variables).into_iter().flatten().collect::<Vec<_>>();
            let name = format!("agent-{number}");
            scene.agents.push(CountedAgent::start(AGENT, &scene.server.url(), &name, &variables));
        }
        scene.wait_until_woven(agents.len()).await;
        scene
    }

    async fn wait_until_woven(&self, agents: usize) {
        let until = Instant::now() + PATIENCE;
        loop {
            let request = wire::ListQueriesRequest {};
            let listed = self.server.client().await.list_queries(request).await.unwrap().into_inner();
            if listed.queries[0].agents_woven as usize == agents {
                return;
            }
            assert!(Instant::now() < until, "all have woven within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn go(&mut self) {
        self.agents.iter_mut().for_each(CountedAgent::go);
    }

    /// Reads frames until there are so many new ones.
    async fn wait_for_frames(&self, count: usize) -> Vec<wire::Frame> {
        let mut stream = self.results(self.newest_sequence().await).await;
        let mut frames = Vec::new();
        while frames.len() < count {
            let frame = tokio::time::timeout(PATIENCE, stream.message()).await.expect("frames keep coming");
            frames.push(frame.unwrap().unwrap());
        }
        frames
    }

    async fn newest_sequence(&self) -> u64 {
        let request = wire::ResultsRequest {
            query: self.query,
            wanted: wire::results_request::Wanted::Newest.into(),
            ..Default::default()
        };
        let mut stream = self.server.client().await.results(request).await.unwrap().into_inner();
        let frame = tokio::time::timeout(PATIENCE, stream.message()).await.expect("a frame");
        frame.unwrap().unwrap().sequence
    }

    async fn results(&self, after_sequence: u64) -> tonic::Streaming<wire::Frame> {
        let request = wire::ResultsRequest { query: self.query, after_sequence, ..Default::default() };
        self.server.client().await.results(request).await.unwrap().into_inner()
    }

    /// Stops all agents, ends the query, and returns the newest frame of each window and the last one.
    async fn finish(&mut self) -> (BTreeMap<i64, wire::Frame>, wire::Frame) {
        self.agents.iter_mut().for_each(CountedAgent::pause);
        let request = wire::UninstallRequest { query: self.query };
        self.server.client().await.uninstall(request).await.unwrap();

        let mut windows = BTreeMap::new();
        let mut stream = self.results(0).await;
        while let Some(frame) = stream.message().await.unwrap() {
            if frame.last {
                return (windows, frame);
            }
            windows.insert(frame.window_start_ns, frame);
        }
        panic!("the stream of an uninstalled query ends with its last frame");
    }

    /// Ends the query, and checks that every event is counted, once and in its window, and that nothing is partial.
    async fn check(&mut self) {
        let windows = self.check_sums().await;
        for (start_ns, frame) in &windows {
            for row in &frame.rows {
                let found = numbers(row);
                let (first_ns, last_ns) = (found[2] + self.offset_ns, found[3] + self.offset_ns);
                let name = text(row, 0);
                assert!(first_ns > start_ns - LATE_NS, "{name}: {} too early", start_ns - first_ns);
                let end_ns = frame.window_end_ns;
                assert!(last_ns < end_ns + LATE_NS, "{name}: {} too late", last_ns - end_ns);
            }
        }
    }

    /// Ends the query, and checks that every event is counted once, that nothing is partial, and that windows follow each
    /// other. Returns their newest frames.
    async fn check_sums(&mut self) -> BTreeMap<i64, wire::Frame> {
        let (windows, last) = self.finish().await;
        for (number, agent) in self.agents.iter().enumerate() {
            let name = format!("agent-{number}");
            let counted = last.cumulative.iter().find(|row| text(row, 0) == name).map(numbers);
            let counted = counted.unwrap_or_default();
            assert_eq!((counted[0], counted[1]), (agent.hits() as i64, 2 * agent.hits() as i64), "{name}");
        }
        let lacks = last.cumulative_completeness.unwrap();
        assert!(!lacks.partial, "{lacks:?}");

        for (start_ns, frame) in &windows {
            let lacks = frame.completeness.unwrap();
            assert!(!lacks.partial, "{lacks:?}");
            assert_eq!(lacks.agents_expected, self.agents.len() as u32);
            assert_eq!(frame.window_end_ns - start_ns, SECOND_NS);
        }
        let starts: Vec<i64> = windows.keys().copied().collect();
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == SECOND_NS), "{starts:?}");
        windows
    }
}

fn text(row: &wire::Row, column: usize) -> &str {
    match &row.values[column].kind {
        Some(wire::value::Kind::String(text)) => text,
        other => panic!("a text, and not {other:?}"),
    }
}

/// The columns behind the first.
fn numbers(row: &wire::Row) -> Vec<i64> {
    let number = |value: &wire::Value| match value.kind {
        Some(wire::value::Kind::U64(number)) => number.try_into().unwrap(),
        Some(wire::value::Kind::I64(number)) => number,
        ref other => panic!("a number, and not {other:?}"),
    };
    row.values[1..].iter().map(number).collect()
}

async fn pause(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[test]
fn the_time_of_day_of_a_process_is_what_the_test_sets() {
    let clock = ShiftedClock::ahead_by(HOUR);
    for shift in [HOUR, -TEN_MINUTES] {
        clock.jump_to(shift);
        let mut date = Command::new("env");
        let date = date.args(clock.variables()).args(["date", "+%s"]).output().unwrap();
        let shown: i64 = String::from_utf8(date.stdout).unwrap().trim().parse().unwrap();
        let expected = (now_ns() + shift) / SECOND_NS;
        assert!((expected - 60..=expected).contains(&shown), "{shown} and not {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_whose_clocks_are_an_hour_wrong_are_in_the_windows_of_all_others() {
    let (ahead, behind) = (ShiftedClock::ahead_by(HOUR), ShiftedClock::ahead_by(-HOUR));
    let mut scene = Scene::start(None, &[None, Some(&ahead), Some(&behind)]).await;
    scene.go();
    pause(4).await;
    scene.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_clock_jumps_goes_on_as_before() {
    for step in [-TEN_MINUTES, TEN_MINUTES] {
        let clock = ShiftedClock::ahead_by(0);
        let mut scene = Scene::start(None, &[None, Some(&clock)]).await;
        scene.go();
        pause(2).await;
        clock.jump_to(step);
        scene.wait_for_frames(3).await;
        clock.jump_to(0);
        scene.wait_for_frames(2).await;
        scene.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_keep_coming_when_the_clock_of_the_frontend_jumps() {
    for step in [-TEN_MINUTES, TEN_MINUTES] {
        let clock = ShiftedClock::ahead_by(0);
        let mut scene = Scene::start(Some(&clock), &[None, None]).await;
        scene.go();
        pause(2).await;
        clock.jump_to(step);
        scene.wait_for_frames(4).await;
        scene.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_frontends_time_goes_on_over_a_restart_wherever_its_clock_was_set() {
    for step in [-TEN_MINUTES, TEN_MINUTES] {
        let clock = ShiftedClock::ahead_by(0);
        let mut scene = Scene::start(Some(&clock), &[None]).await;
        scene.go();
        scene.wait_for_frames(2).await;
        scene.server.kill();
        clock.jump_to(step);
        scene.server.restart().await;
        scene.wait_for_frames(3).await;
        scene.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_works_while_the_clock_is_set_back() {
    let clock = ShiftedClock::ahead_by(0);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("off");
    let mut variables = clock.variables().to_vec();
    variables.push(format!("PIVOT_DISABLE_FILE={}", file.display()));

    let mut scene = Scene::start(None, &[]).await;
    scene.agents.push(CountedAgent::start(AGENT, &scene.server.url(), "agent-0", &variables));
    scene.wait_until_woven(1).await;
    scene.go();
    pause(1).await;
    clock.jump_to(-TEN_MINUTES);
    std::fs::write(&file, "").unwrap();

    let until = Instant::now() + PATIENCE;
    loop {
        let request = wire::ListQueriesRequest {};
        let listed = scene.server.client().await.list_queries(request).await.unwrap().into_inner();
        let states = listed.queries[0].agents.iter().filter_map(|agent| agent.status.as_ref());
        if states.into_iter().any(|status| status.state() == wire::query_status::State::Disabled) {
            return;
        }
        assert!(Instant::now() < until, "the switch is looked at within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_stopped_for_a_while_goes_on_in_the_windows_of_now() {
    let mut scene = Scene::start(None, &[None, None]).await;
    scene.go();
    scene.wait_for_frames(2).await;
    scene.agents[1].signal("-STOP");
    pause(4).await;
    scene.agents[1].signal("-CONT");
    scene.wait_for_frames(3).await;
    // Events before the agent's thread wakes up belong to the window that it was stopped in.
    scene.check_sums().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_that_cannot_be_do_no_harm_to_others_and_their_agent_is_named() {
    let mut scene = Scene::start(None, &[None]).await;
    let mut liar = PlayedAgent::attach(
        &scene.server.url(),
        wire::Hello {
            incarnation: 7,
            process: "liar".into(),
            clock: Some(wire::ClockQuestion { sent_ns: 1, uncertainty_ns: Some(1) }),
            catalogue: vec![wire::Exports { tracepoint: "Counted.hit".into(), ..Default::default() }],
            ..Default::default()
        },
    )
    .await;
    let desired = liar.weave().await;
    let query = desired.advice[0].query;
    scene.go();

    let now_ns = now_ns() / SECOND_NS * SECOND_NS;
    let far = (0..1_300).map(|second| now_ns + HOUR + second * SECOND_NS);
    let far = far.map(|start_ns| ReportWindow { start_ns, end_ns: start_ns + SECOND_NS });
    let extremes = [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (now_ns, now_ns), (now_ns, now_ns + 1)];
    let extremes = extremes.map(|(start_ns, end_ns)| ReportWindow { start_ns, end_ns });
    for (window, sequence) in far.chain(extremes).zip(1..) {
        liar.send(FromAgent::Report(wire::Report {
            sequence,
            window_start_ns: window.start_ns,
            window_end_ns: window.end_ns,
            watermark_ns: window.end_ns,
            parts: vec![wire::Part { query, emitted: 1, ..Default::default() }],
            ..Default::default()
        }));
    }
    liar.hear(|kind| (kind == ToAgent::Acknowledged(1_304)).then_some(())).await;

    let frames = scene.wait_for_frames(5).await;
    assert!(frames.iter().all(|frame| frame.window_start_ns < now_ns + HOUR));
    let agents = scene.server.client().await.list_agents(wire::ListAgentsRequest {}).await.unwrap();
    let agents: BTreeMap<String, u64> =
        agents.into_inner().agents.into_iter().map(|agent| (agent.process, agent.misplaced_rows)).collect();
    assert_eq!((agents["liar"], agents["agent-0"]), (1_304, 0));

    let (_, last) = scene.finish().await;
    let counted = last.cumulative.iter().find(|row| text(row, 0) == "agent-0").map(|row| numbers(row)[0]);
    assert_eq!(counted, Some(scene.agents[0].hits() as i64), "the honest one's rows are all there");
    let lacks = last.cumulative_completeness.unwrap();
    assert_eq!((lacks.loss.unwrap().dropped, lacks.partial), (1_304, true));
}
