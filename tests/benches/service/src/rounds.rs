//! Loads the kinds of services in turn, and sets their processor times in relation.

use crate::kind::{KINDS, Kind};
use crate::load::{Customers, Slice};
use crate::processes::{Frontend, Running, frontend_of, start_role};
use crate::processor_time::ProcessorTime;
use std::time::{Duration, Instant};

/// How long one process is loaded at a time.
const SLICE: Duration = Duration::from_millis(50);

/// The three queries: how many requests there are of each route, how long they take, and how long their statements do.
const QUERIES: [&str; 3] = [
    "FROM r IN tower_http::trace::make_span::request@enter
     LET route = regexp_extract(r.uri, '(//[^/]*)?(/[a-zA-Z._/]*)', 2)
     GROUP BY r.method, route SELECT r.method, route, COUNT;",
    "FROM r IN tower_http::trace::make_span::request@exit
     GROUP BY r.method SELECT r.method, P50(r.elapsed), P99(r.elapsed);",
    "FROM q IN sqlx::query JOIN r IN tower_http::trace::make_span::request ON r -> q
     GROUP BY r.method, q.summary SELECT r.method, q.summary, COUNT, SUM(q.elapsed_secs);",
];

/// One process under load.
struct Service {
    process: Running,
    customers: Customers,
    /// What its agent had used when the rounds began.
    agent_before: Duration,
    /// Processor time of the application for each request, in nanoseconds, of every round.
    each_request: Vec<f64>,
    requests: u64,
    loaded: Duration,
}

impl Service {
    fn start(kind: Kind, frontend: Option<&Frontend>) -> anyhow::Result<Service> {
        let mut process = start_role("serve", kind, frontend)?;
        let customers = Customers::connect(process.read_line()?.parse()?)?;
        let (each_request, agent_before) = (Vec::new(), Duration::ZERO);
        Ok(Service { process, customers, agent_before, each_request, requests: 0, loaded: Duration::ZERO })
    }

    fn processor_time(&self) -> anyhow::Result<ProcessorTime> {
        ProcessorTime::of(self.process.child.id())
    }

    fn run_slice(&mut self) -> anyhow::Result<()> {
        let before = self.processor_time()?;
        let Slice { requests, time } = self.customers.run(SLICE)?;
        // The kernel counts what a thread has run when it sleeps again.
        std::thread::sleep(Duration::from_millis(2));
        let used = self.processor_time()?.application.saturating_sub(before.application);

        self.each_request.push(used.as_nanos() as f64 / requests as f64);
        self.requests += requests;
        self.loaded += time;
        Ok(())
    }

    /// Returns what the agent takes for each request, in nanoseconds, if the process were loaded all the time.
    fn agents_part(&self, whole: Duration) -> anyhow::Result<f64> {
        let used = self.processor_time()?.agent.saturating_sub(self.agent_before);
        let share = used.as_secs_f64() / whole.as_secs_f64();
        Ok(share * self.loaded.as_nanos() as f64 / self.requests as f64)
    }
}

/// What one set of processes has shown of one kind.
#[derive(Debug, Default)]
struct Measured {
    each_request: Vec<f64>,
    /// In relation to the first kind, of every round.
    ratios: Vec<f64>,
    agents_parts: Vec<f64>,
    /// The middle of the ratios of each set.
    of_sets: Vec<f64>,
}

/// Compares the kinds of services, and prints what comes of it.
pub(crate) fn compare(numbers: &[&str]) -> anyhow::Result<()> {
    let (sets, rounds) = (number(numbers, 0, 5)?, number(numbers, 1, 300)?);

    let mut measured: Vec<Measured> = KINDS.iter().map(|_| Measured::default()).collect();
    for set in 0..sets {
        measure_set(rounds, &mut measured)?;
        eprintln!("set {} of {sets}", set + 1);
    }
    print(&mut measured);
    Ok(())
}

/// Loads one service for some seconds, for a profiler.
pub(crate) fn load_one(kind: Kind, seconds: &str) -> anyhow::Result<()> {
    let frontend = Frontend::start()?;
    let mut service = Service::start(kind, kind.has_pivot().then_some(&frontend))?;
    service.customers.run(Duration::from_secs(1))?;
    let _client = (kind == Kind::Woven).then(|| frontend.install(&QUERIES)).transpose()?;
    std::thread::sleep(Duration::from_secs(2));

    println!("{}", service.process.child.id());
    let before = service.processor_time()?;
    let Slice { requests, .. } = service.customers.run(Duration::from_secs(seconds.parse()?))?;
    let used = service.processor_time()?.application.saturating_sub(before.application);
    println!("{:.2} µs a request", used.as_nanos() as f64 / requests as f64 / 1e3);
    Ok(())
}

fn measure_set(rounds: usize, measured: &mut [Measured]) -> anyhow::Result<()> {
    let (idle, woven) = (Frontend::start()?, Frontend::start()?);
    let mut services = Vec::new();
    for kind in KINDS {
        let mut service = Service::start(kind, frontend_of(kind, &idle, &woven))?;
        // Until this, nobody knows of its callsites.
        service.customers.run(Duration::from_secs(1))?;
        services.push(service);
    }

    let _client = woven.install(&QUERIES)?;
    std::thread::sleep(Duration::from_secs(3));
    for service in &mut services {
        service.run_slice()?;
        service.each_request.clear();
        (service.requests, service.loaded) = (0, Duration::ZERO);
        service.agent_before = service.processor_time()?.agent;
    }

    let start = Instant::now();
    for round in 0..rounds {
        for turn in 0..services.len() {
            let number = services.len();
            services[(turn + round) % number].run_slice()?;
        }
    }

    let whole = start.elapsed();
    eprintln!("{}", woven.running_queries()?);
    add_set(&services, whole, measured)
}

/// Adds what a set of services has shown.
fn add_set(services: &[Service], whole: Duration, measured: &mut [Measured]) -> anyhow::Result<()> {
    for (service, measured) in services.iter().zip(measured) {
        let agents_part = service.agents_part(whole)?;
        let pairs = service.each_request.iter().zip(&services[0].each_request);
        let mut ratios: Vec<f64> = pairs.map(|(each, bare)| (each + agents_part) / bare).collect();

        measured.each_request.extend(&service.each_request);
        measured.agents_parts.push(agents_part);
        measured.ratios.extend(&ratios);
        measured.of_sets.push(quantile(&mut ratios, 0.5));
    }
    Ok(())
}

fn print(measured: &mut [Measured]) {
    println!(
        "{:<16} {:>12} {:>8} {:>18} {:>18} {:>12}",
        "", "a request", "ratio", "half of rounds", "sets", "agent"
    );

    for (kind, measured) in KINDS.iter().zip(measured) {
        let each = quantile(&mut measured.each_request, 0.5) / 1e3;
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| quantile(&mut measured.ratios, part));
        let [least, most] = [0.0, 1.0].map(|part| quantile(&mut measured.of_sets, part));
        let agent = quantile(&mut measured.agents_parts, 0.5) / 1e3;
        println!(
            "{:<16} {each:>9.2} µs {middle:>8.3} {:>18} {:>18} {agent:>9.3} µs",
            kind.name(),
            format!("{low:.3} to {high:.3}"),
            format!("{least:.3} to {most:.3}"),
        );
    }
}

/// Returns the argument at a place, or what it is otherwise.
pub(crate) fn number(arguments: &[&str], place: usize, otherwise: usize) -> anyhow::Result<usize> {
    Ok(arguments.get(place).map_or(Ok(otherwise), |argument| argument.parse())?)
}

/// Returns the value below which that part of the values lies.
pub(crate) fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}
