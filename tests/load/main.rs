//! How a frontend bears many agents: a measurement, which asserts what is counted and no time.
//!
//! ```text
//! this process                                          pivot server, a process of its own
//!   LoadAgent 1 .. N, a connection each  ── hello, woven, reports ──▶  CPU and memory read from /proc
//!   a client  ◀────────────────────────────────────────── frames ────
//! ```
//!
//! It runs when it is asked for, with as many agents as `PIVOT_LOAD_AGENTS` says (100,1000 unless given):
//!
//! ```text
//! PIVOT_LOAD_AGENTS=1000,10000 cargo test --workspace --test load -- --ignored --nocapture
//! ```
//!
//! `PIVOT_LOAD_TRACEPOINTS`, `PIVOT_LOAD_GROUPS` and `PIVOT_LOAD_SECONDS` change what each agent has and reports, and
//! for how long. `PIVOT_LOAD_SERVER` measures another binary than that of the sources.
#![allow(missing_docs, clippy::unwrap_used)]

mod agent;
mod frame_times;
mod progress;
mod server;

use agent::{AgentPlan, LoadAgent};
use frame_times::FrameTimes;
use pivot_protocol::wire::{self, frontend_client::FrontendClient};
use pivot_tests::number_setting;
use progress::LoadProgress;
use server::MeasuredServer;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tonic::transport::Channel;

/// Agents that connect at the same time: as many as a machine starts, not a queue of the kernel's.
const CONNECT_AT_ONCE: usize = 256;

/// How long a step may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(900);

const QUERY: &str = "FROM t IN Load.t0 GROUP BY t.key SELECT t.key, COUNT";

/// The figures of one run.
struct LoadFigures {
    agents: usize,
    connected: Duration,
    connect_cpu: Duration,
    installed: Duration,
    frames: FrameTimes,
    cpu_share: f64,
    memory_mib: u64,
    broken: usize,
}

impl LoadFigures {
    fn print(&self, plan: &AgentPlan) {
        let Self { agents, connected, connect_cpu, installed, frames, cpu_share, memory_mib, broken } = self;

        println!(
            "{agents} agents, {} tracepoints, {} groups: connected in {:.1} s with {:.1} s CPU; query at the last agent \
             in {:.0} ms; window end to frame p50 {:.0} ms, p99 {:.0} ms, {} frames, {} partial, {} revisions; \
             {cpu_share:.2} cores, {memory_mib} MiB, {broken} cut off",
            plan.tracepoints,
            plan.groups,
            connected.as_secs_f64(),
            connect_cpu.as_secs_f64(),
            installed.as_secs_f64() * 1e3,
            frames.quantile_ms(0.5),
            frames.quantile_ms(0.99),
            frames.count(),
            frames.partial,
            frames.revisions,
        );
    }
}

#[test]
#[ignore = "a measurement that takes minutes"]
fn many_agents() {
    let agents = std::env::var("PIVOT_LOAD_AGENTS").unwrap_or_else(|_| "100,1000".to_owned());
    let plan = AgentPlan {
        tracepoints: number_setting("PIVOT_LOAD_TRACEPOINTS").unwrap_or(200),
        groups: number_setting("PIVOT_LOAD_GROUPS").unwrap_or(10),
    };
    let seconds = number_setting("PIVOT_LOAD_SECONDS").unwrap_or(10);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();

    for agents in agents.split(',') {
        let agents = agents.trim().parse().unwrap();
        let figures = runtime.block_on(measure(agents, plan, Duration::from_secs(seconds)));
        figures.print(&plan);
        assert_eq!(figures.broken, 0, "no agent is cut off");
    }
}

async fn measure(agents: usize, plan: AgentPlan, length: Duration) -> LoadFigures {
    let server = MeasuredServer::start();
    let progress = Arc::new(LoadProgress::new(agents));
    let begun = Instant::now();
    let tasks = connect_all(&server, agents, plan, &progress).await;
    progress.wait_until_attached(PATIENCE).await;
    let (connected, connect_cpu) = (begun.elapsed(), server.cpu());

    let mut client = FrontendClient::connect(server.url()).await.unwrap();
    let begun = Instant::now();
    let request = wire::InstallRequest { text: QUERY.into(), ..Default::default() };
    let query = client.install(request).await.unwrap().into_inner().query.expect("the query compiles");
    progress.wait_until_woven(PATIENCE).await;
    let installed = begun.elapsed();

    let (begun, cpu) = (Instant::now(), server.cpu());
    let frames = read_frames(client, query, length).await;
    let cpu_share = (server.cpu() - cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
    let memory_mib = server.memory_mib();
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    let broken = progress.broken();
    LoadFigures { agents, connected, connect_cpu, installed, frames, cpu_share, memory_mib, broken }
}

/// Begins to connect all agents, few at a time.
async fn connect_all(
    server: &MeasuredServer,
    agents: usize,
    plan: AgentPlan,
    progress: &Arc<LoadProgress>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let slots = Arc::new(tokio::sync::Semaphore::new(CONNECT_AT_ONCE));
    let hello = plan.hello();
    let mut tasks = Vec::with_capacity(agents);

    for number in 0..agents {
        let slot = slots.clone().acquire_owned().await.unwrap();
        let agent =
            LoadAgent { number: number as u64, plan, hello: hello.clone(), progress: progress.clone() };
        tasks.push(tokio::spawn(agent.run(server.url(), slot)));
    }
    tasks
}

/// Reads the frames of a query for a time.
async fn read_frames(mut client: FrontendClient<Channel>, query: u32, length: Duration) -> FrameTimes {
    let wanted = wire::results_request::Wanted::Windows.into();
    let request = wire::ResultsRequest { query, wanted, ..Default::default() };
    let mut stream = client.results(request).await.unwrap().into_inner();

    let mut frames = FrameTimes::default();
    let end = tokio::time::sleep(length);
    tokio::pin!(end);
    loop {
        tokio::select! {
            frame = stream.message() => frames.add(&frame.unwrap().expect("the query goes on")),
            () = &mut end => return frames,
        }
    }
}
