//! A client that installs queries, reads their results over all that happens, and ends them.

use crate::simulated_clocks::true_ns;
use crate::simulated_network::{FRONTEND, PORT, connect};
use crate::world::{Phase, ReadResults, World};
use pivot_protocol::wire;
use pivot_protocol::wire::frontend_client::FrontendClient;
use pivot_tests::random::Random;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// How long a call may take before it is tried again.
const CALL: Duration = Duration::from_secs(5);

/// How long a client waits between attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// The course of one query.
#[derive(Debug, Clone)]
pub(crate) struct QueryPlan {
    pub(crate) name: String,
    pub(crate) text: String,
    /// When it is installed, in milliseconds since the beginning.
    pub(crate) install_ms: u64,
    /// How long it stays; `None` until the end.
    pub(crate) stay_ms: Option<u64>,
}

/// Runs all queries, to their ends.
pub(crate) async fn run(world: World, plans: Vec<QueryPlan>) -> turmoil::Result {
    let mut tasks = tokio::task::JoinSet::new();
    for plan in plans {
        tasks.spawn_local(run_query(world.clone(), plan));
    }
    tasks.join_all().await;
    Ok(())
}

async fn run_query(world: World, plan: QueryPlan) {
    sleep(Duration::from_millis(plan.install_ms)).await;
    let Some(query) = install(&world, &plan).await else { return };
    world.log(&format!("query {query} is installed as {}", plan.name));
    world.with_results(query, |_| ());

    let reader = tokio::task::spawn_local(read(world.clone(), query));
    match plan.stay_ms {
        Some(ms) => sleep(Duration::from_millis(ms)).await,
        None => {
            while world.phase() < Phase::Finishing {
                sleep(PAUSE).await;
            }
        }
    }
    uninstall(&world, query).await;
    reader.await.expect("the reader does not panic");
}

async fn client() -> Result<FrontendClient<Channel>, Status> {
    let endpoint = Endpoint::from_shared(format!("http://{FRONTEND}:{PORT}"))
        .expect("it is an address")
        .connect_timeout(Duration::from_secs(2))
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(2));
    let channel = connect(&endpoint).await.map_err(|error| Status::unavailable(error.to_string()))?;
    Ok(FrontendClient::new(channel))
}

/// Waits for the answer to a call, for a time.
async fn within<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    timeout(CALL, call).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))
}

/// Installs a query under its name, however long that takes; `None` once the run is over.
async fn install(world: &World, plan: &QueryPlan) -> Option<u32> {
    while world.phase() == Phase::Running {
        let request =
            wire::InstallRequest { text: plan.text.clone(), name: plan.name.clone(), ..Default::default() };
        let installed = within(async { client().await?.install(request).await }).await;

        match installed {
            Ok(response) => {
                let response = response.into_inner();
                return Some(response.query.unwrap_or_else(|| panic!("{:?}", response.diagnostics)));
            }
            // An earlier attempt was heard, and its answer was not.
            Err(status) if status.code() == Code::AlreadyExists => return find(world, &plan.name).await,
            Err(_) => sleep(PAUSE).await,
        }
    }
    None
}

/// Returns the number of the query of a name.
async fn find(world: &World, name: &str) -> Option<u32> {
    while world.phase() == Phase::Running {
        let listed = within(async { client().await?.list_queries(wire::ListQueriesRequest {}).await }).await;
        if let Ok(listed) = listed {
            let listed = listed.into_inner().queries;
            return Some(listed.iter().find(|query| query.name == name)?.number);
        }
        sleep(PAUSE).await;
    }
    None
}

/// Uninstalls a query, however long that takes.
async fn uninstall(world: &World, query: u32) {
    let ended_early = world.phase() < Phase::Finishing;
    world.with_results(query, |results| {
        (results.uninstalled_ms, results.ended_early) = (true_ns() / 1_000_000, ended_early);
    });
    loop {
        let request = wire::UninstallRequest { query };
        let outcome = within(async { client().await?.uninstall(request).await }).await;

        match outcome {
            Ok(_) => break,
            // An earlier attempt was heard, and its answer was not.
            Err(status) if status.code() == Code::NotFound => break,
            Err(_) => sleep(PAUSE).await,
        }
    }

    world.log(&format!("query {query} is uninstalled"));
}

/// Reads the results of a query to their end, from where it was when a connection ended.
async fn read(world: World, query: u32) {
    let mut sequence = 0;
    loop {
        let request = wire::ResultsRequest { query, after_sequence: sequence, ..Default::default() };
        let stream = within(async { client().await?.results(request).await }).await;

        let Ok(stream) = stream else {
            sleep(PAUSE).await;
            continue;
        };

        let mut frames = stream.into_inner();
        while let Ok(Some(frame)) = frames.message().await {
            sequence = frame.sequence;
            world.log(&format!(
                "query {query} shows {sequence}: {} rows of {}",
                frame.rows.iter().map(count).sum::<u64>(),
                frame.window_start_ns
            ));
            if world.with_results(query, |results| take_in(results, frame)) {
                return;
            }
        }
        sleep(PAUSE).await;
    }
}

/// Adds a frame to what was read; returns whether it is the last one.
fn take_in(results: &mut ReadResults, frame: wire::Frame) -> bool {
    if !frame.without_cumulative {
        for row in &frame.cumulative {
            let shown = results.shown.entry(process(row)).or_default();
            *shown = (*shown).max(count(row));
        }
    }

    if frame.last {
        results.last = Some(frame);
        return true;
    }
    results.windows.insert(frame.window_start_ns, frame);
    false
}

/// Returns the process of a row.
pub(crate) fn process(row: &wire::Row) -> String {
    match &row.values[0].kind {
        Some(wire::value::Kind::String(text)) => text.clone(),
        other => panic!("a process, and not {other:?}"),
    }
}

/// Returns the number of events of a row.
pub(crate) fn count(row: &wire::Row) -> u64 {
    number(&row.values[1])
}

/// Returns the sum of a row.
pub(crate) fn sum(row: &wire::Row) -> u64 {
    number(&row.values[2])
}

fn number(value: &wire::Value) -> u64 {
    match value.kind {
        Some(wire::value::Kind::U64(number)) => number,
        Some(wire::value::Kind::I64(number)) => number.try_into().unwrap(),
        ref other => panic!("a number, and not {other:?}"),
    }
}

/// Returns a plan for so many queries, of which the first is there from the beginning to the end.
pub(crate) fn plans(random: &mut Random, run_ms: u64) -> Vec<QueryPlan> {
    let count = 1 + random.below(3);

    let plans = (0..count).map(|number| {
        let every = random.pick(&["", " EVERY 2s", " EVERY 5s"]);
        let first = number == 0;
        QueryPlan {
            name: format!("q{number}"),
            text: format!(
                "FROM h IN Simulated.hit GROUP BY h.process SELECT h.process, COUNT, SUM(h.n){every}"
            ),
            install_ms: if first { random.below(3_000) } else { random.below(run_ms as usize / 2) } as u64,
            stay_ms: (!first && random.percent(50)).then(|| 3_000 + random.below(8_000) as u64),
        }
    });
    plans.collect()
}
