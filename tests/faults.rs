//! Schedules of faults, drawn by seed, over a frontend, agents and a proxy between them, as processes: whatever happens, a
//! result equals what was done, or says that it is partial.
//!
//! `PIVOT_SCHEDULES=200` runs more schedules than the test does by itself, from the seed `PIVOT_SEED` on.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_protocol::wire;
use pivot_tests::random::Random;
use pivot_tests::{CountedAgent, Line, PATIENCE, ServerProcess, TcpProxy, number_setting};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const AGENT: &str = env!("CARGO_BIN_EXE_counted_agent");
const QUERY: &str = "FROM h IN Counted.hit GROUP BY h.process SELECT h.process, COUNT, SUM(h.n)";
const AGENTS: usize = 2;

/// A fault, of an agent by its number where it is one's.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The frontend is killed, and started again after some milliseconds.
    KillFrontend(u64),
    /// The frontend stands still for some milliseconds.
    StopFrontend(u64),
    /// An agent stands still for some milliseconds.
    StopAgent(usize, u64),
    /// An agent is killed for good.
    KillAgent(usize),
    /// The line to the frontend is so for some milliseconds, for all agents.
    Disturb(Line, u64),
    /// Nothing happens for some milliseconds.
    Calm(u64),
}

fn schedule(random: &mut Random) -> Vec<Fault> {
    let count = 2 + random.below(3);
    (0..count).map(|_| fault(random)).collect()
}

fn fault(random: &mut Random) -> Fault {
    let ms = 200 + random.below(2_000) as u64;
    let agent = random.below(AGENTS);
    match random.below(12) {
        0 | 1 => Fault::KillFrontend(ms / 3),
        2 => Fault::StopFrontend(ms),
        3 | 4 => Fault::StopAgent(agent, ms),
        5 => Fault::KillAgent(agent),
        6 | 7 => Fault::Disturb(Line::Cut, ms),
        8 => Fault::Disturb(Line::Stalled, ms),
        9 => Fault::Disturb(Line::Slow(Duration::from_millis(ms / 10)), ms),
        10 => Fault::Disturb(Line::Dribbling, ms),
        _ => Fault::Calm(ms),
    }
}

/// A frontend with a query, and agents that reach it through a proxy.
struct Scene {
    server: ServerProcess,
    proxy: TcpProxy,
    query: u32,
    agents: Vec<CountedAgent>,
    killed: [bool; AGENTS],
}

impl Scene {
    async fn start() -> Scene {
        let server = ServerProcess::start().await;
        let proxy = TcpProxy::to(&server.url()).await;
        let request = wire::InstallRequest { text: QUERY.into(), ..Default::default() };
        let installed = server.client().await.install(request).await.unwrap().into_inner();

        // A lost agent may have had rows until its lease ends.
        let variables = ["PIVOT_LEASE=60s".to_owned()];
        let agents = (0..AGENTS)
            .map(|number| CountedAgent::start(AGENT, &proxy.url(), &format!("agent-{number}"), &variables));
        let agents = agents.collect();
        let scene = Scene { server, proxy, query: installed.query.unwrap(), agents, killed: [false; AGENTS] };
        scene.wait_until_woven().await;
        scene
    }

    async fn wait_until_woven(&self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let request = wire::ListQueriesRequest {};
            let listed = self.server.client().await.list_queries(request).await.unwrap().into_inner();
            if listed.queries[0].agents_woven as usize == AGENTS {
                return;
            }
            assert!(Instant::now() < until, "all have woven within {PATIENCE:?}");
            pause(20).await;
        }
    }

    async fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::KillFrontend(ms) => {
                self.server.kill();
                pause(ms).await;
                self.server.restart().await;
            }
            Fault::StopFrontend(ms) => {
                self.server.signal("-STOP");
                pause(ms).await;
                self.server.signal("-CONT");
            }
            Fault::StopAgent(agent, ms) if !self.killed[agent] => {
                self.agents[agent].signal("-STOP");
                pause(ms).await;
                self.agents[agent].signal("-CONT");
            }
            Fault::KillAgent(agent) if !self.killed[agent] => {
                self.agents[agent].kill();
                self.killed[agent] = true;
            }
            Fault::Disturb(line, ms) => {
                self.proxy.set(line);
                pause(ms).await;
                self.proxy.set(Line::Open);
            }
            Fault::Calm(ms) => pause(ms).await,
            Fault::StopAgent(..) | Fault::KillAgent(_) => {}
        }
    }

    /// Stops the agents that are there and ends the query. Returns the newest frame of each window, and the last one.
    async fn finish(&mut self) -> (BTreeMap<i64, wire::Frame>, wire::Frame) {
        for (agent, killed) in self.agents.iter_mut().zip(self.killed) {
            if !killed {
                agent.pause();
            }
        }
        let request = wire::UninstallRequest { query: self.query };
        self.server.client().await.uninstall(request).await.unwrap();

        let request = wire::ResultsRequest { query: self.query, ..Default::default() };
        let mut frames = self.server.client().await.results(request).await.unwrap().into_inner();
        let mut windows = BTreeMap::new();
        while let Some(frame) = frames.message().await.unwrap() {
            if frame.last {
                return (windows, frame);
            }
            windows.insert(frame.window_start_ns, frame);
        }
        panic!("the stream of an uninstalled query ends with its last frame");
    }
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// The number of rows and the sum that a result has of a process.
fn counted(rows: &[wire::Row], process: &str) -> (u64, u64) {
    let is_of_process = |row: &&wire::Row| match &row.values[0].kind {
        Some(wire::value::Kind::String(text)) => text == process,
        _ => false,
    };
    let found = rows.iter().find(is_of_process);
    found.map_or((0, 0), |row| (number(&row.values[1]), number(&row.values[2])))
}

fn number(value: &wire::Value) -> u64 {
    match value.kind {
        Some(wire::value::Kind::U64(number)) => number,
        Some(wire::value::Kind::I64(number)) => number.try_into().unwrap(),
        ref other => panic!("a number, and not {other:?}"),
    }
}

/// Runs the schedule of a seed.
async fn run(seed: u64) {
    let mut random = Random::new(seed);
    let schedule = schedule(&mut random);
    println!("seed {seed}: {schedule:?}");

    let mut scene = Scene::start().await;
    scene.agents.iter_mut().for_each(CountedAgent::go);
    for fault in &schedule {
        pause(100 + random.below(700) as u64).await;
        scene.suffer(*fault).await;
    }
    pause(300).await;

    let (windows, last) = scene.finish().await;
    let lacks = last.cumulative_completeness.unwrap();
    for (number, agent) in scene.agents.iter().enumerate() {
        let name = format!("agent-{number}");
        let (rows, sum) = counted(&last.cumulative, &name);
        let truth = agent.hits();
        let what = format!("seed {seed}, agent {number}: {rows} rows of {truth}, {lacks:?}, {schedule:?}");
        assert_eq!(sum, 2 * rows, "{what}");
        assert!(rows <= truth, "nothing is counted twice: {what}");
        let in_windows: u64 = windows.values().map(|window| counted(&window.rows, &name).0).sum();
        assert_eq!(in_windows, rows, "windows add up to the result since install: {what}");

        if scene.killed[number] {
            // It may have ended between its file and its tracepoint.
            assert!(rows + 1 >= truth || lacks.partial, "what is missing is said: {what}");
        } else {
            assert!(rows == truth, "nothing is missing of a process that lives: {what}");
        }
    }
    if scene.killed.iter().all(|killed| !killed) {
        let partial = windows.values().find(|window| window.completeness.unwrap().partial);
        assert!(partial.is_none(), "marks lift when data has come: seed {seed}, {partial:?}, {schedule:?}");
        assert!(!lacks.partial, "nothing is partial for nothing: seed {seed}, {lacks:?}, {schedule:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_equal_what_was_done_or_are_partial_after_any_schedule_of_faults() {
    let schedules = number_setting("PIVOT_SCHEDULES").unwrap_or(4);
    let first = number_setting("PIVOT_SEED").unwrap_or_else(|| u64::from(std::process::id()) * 1_000);
    for seed in first..first + schedules {
        run(seed).await;
    }
}
