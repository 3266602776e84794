//! The oracle against the whole way of a result: a query is installed at a frontend, the advice that comes
//! over the wire runs, what it gives is reported in windows, and the frames are compared.
//!
//! ```text
//! text ─Install─▶ frontend ─Desired─▶ advice over real baggage ─Report─▶ frontend ─Frame─▶ rows ─┬─ equal?
//!                                     record ─ DAG ─ enumerate all tuples, by window ─────▶ rows ─┘
//! ```
//!
//! Here DataFusion computes what SELECT, HAVING, ORDER BY and LIMIT make of merged groups. The numbers are set
//! as for `oracle`, with `PIVOT_ANSWERS_CASES` for the number of cases.
#![allow(missing_docs)]

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use pivot_advice::{Advice, Type, Value};
use pivot_agent::QueryReport;
use pivot_protocol::wire::agents_client::AgentsClient;
use pivot_protocol::wire::frontend_client::FrontendClient;
use pivot_protocol::{from_wire, to_wire, wire};
use pivot_tests::oracle::{
    Answer, Case, Dag, EvaluationWindow, Evaluator, ExpectedCell, InBandRun, PROCESSES, Query, differences,
    in_order, linked, params, stages,
};
use pivot_tests::random::Random;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tonic::Streaming;
use tonic::transport::Channel;
use wire::{from_agent::Kind as FromAgent, to_agent::Kind as ToAgent};

/// How many cases are run when nobody asks for more.
const CASES: u64 = 500;
/// How many are on their way at a time: most of the time is waiting for a frontend's next look at its windows.
const AT_ONCE: usize = 16;
/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const SECOND_NS: i64 = 1_000_000_000;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_have_the_rows_that_the_language_defines() {
    let first = setting("PIVOT_ORACLE_SEED").unwrap_or(0);
    let last = first + setting("PIVOT_ANSWERS_CASES").unwrap_or(CASES);

    let outcomes = futures::stream::iter(first..last).map(|seed| async move {
        let outcome = tokio::spawn(tokio::time::timeout(PATIENCE, compare(seed))).await;
        let outcome = outcome.map_err(|panic| format!("panic: {panic}"));
        let outcome = outcome.and_then(|in_time| in_time.unwrap_or_else(|_| Err("it hangs".into())));
        (seed, outcome)
    });

    let outcomes: Vec<(u64, Result<usize, String>)> = outcomes.buffer_unordered(AT_ONCE).collect().await;
    let with_rows =
        outcomes.iter().filter(|(_, outcome)| outcome.as_ref().is_ok_and(|rows| *rows > 0)).count();
    println!("{} cases, {with_rows} with rows", outcomes.len());
    let wrong = outcomes.iter().filter_map(|(seed, outcome)| Some((seed, outcome.as_ref().err()?)));
    let wrong: BTreeMap<&u64, &String> = wrong.collect();

    if let Some((seed, what)) = wrong.iter().next() {
        let all: Vec<&&u64> = wrong.keys().collect();
        panic!("seed {seed} is wrong: {what}\n\n{}\nwrong are {all:?}", Case::random(**seed));
    }

    assert!(with_rows * 3 >= outcomes.len(), "only {with_rows} cases have rows");
}

/// One process of the case: its stream to the frontend and back.
struct Process {
    up: UnboundedSender<wire::FromAgent>,
    down: Streaming<wire::ToAgent>,
    reports: u64,
}

impl Process {
    async fn attach(url: &str, number: usize, case: &Case) -> Process {
        let (up, messages) = unbounded();
        let hello = wire::Hello {
            incarnation: 1 + number as u64,
            process: format!("process {number}"),
            catalogue: case.exports().map(|exports| to_wire::exports(&exports)).collect(),
            ..Default::default()
        };

        let hello = wire::FromAgent { kind: Some(FromAgent::Hello(hello)) };
        up.unbounded_send(hello).expect("the stream is open");
        let mut client = AgentsClient::connect(url.to_owned()).await.expect("the frontend listens");
        let down = client.attach(messages).await.expect("a stream").into_inner();
        let mut process = Process { up, down, reports: 0 };
        process.desired().await;
        process
    }

    fn send(&self, kind: FromAgent) {
        self.up.unbounded_send(wire::FromAgent { kind: Some(kind) }).expect("the stream is open");
    }

    /// Waits for what is to be woven, and says that it is.
    async fn desired(&mut self) -> Vec<Advice> {
        loop {
            let message = self.down.message().await.expect("the stream is open").expect("a message");
            if let Some(ToAgent::Desired(desired)) = message.kind {
                let woven = wire::Woven { generation: desired.generation, ..Default::default() };
                self.send(FromAgent::Woven(woven));
                let advice = desired.advice.into_iter();
                return advice.map(|advice| from_wire::advice(advice).expect("advice is sound")).collect();
            }
        }
    }

    /// Reports a part of a window, and waits until that is acknowledged.
    async fn report(&mut self, id: wire::QueryId, part: &QueryReport, (start_ns, end_ns): (i64, i64)) {
        self.reports += 1;
        let part = wire::Part {
            query: Some(id),
            groups: part.groups.as_ref().map(to_wire::groups).unwrap_or_default(),
            loss: Some(to_wire::loss(&part.loss)),
            emitted: part.emitted,
            other: part.other.as_ref().map(to_wire::groups).unwrap_or_default(),
            cost: None,
            ..Default::default()
        };

        self.send(FromAgent::Report(wire::Report {
            sequence: self.reports,
            window_start_ns: start_ns,
            window_end_ns: end_ns,
            parts: vec![part],
            watermark_ns: end_ns,
            ..Default::default()
        }));

        loop {
            let message = self.down.message().await.expect("the stream is open").expect("a message");
            if message.kind == Some(ToAgent::Acknowledged(self.reports)) {
                return;
            }
        }
    }
}

/// What the processes have in each window, and where each event belongs.
struct Windows {
    parts: Vec<(usize, i64, QueryReport)>,
    of_events: Vec<i64>,
}

/// Takes the steps; now and then a process begins its next window.
fn windows(run: &mut InBandRun<'_>, case: &Case, random: &mut Random) -> Result<Windows, String> {
    let (mut current, mut of_events, mut parts) = ([0_i64; PROCESSES], Vec::new(), Vec::new());
    for step in &case.steps {
        if random.percent(12) {
            let process = random.below(PROCESSES);
            parts.push((
                process,
                current[process],
                std::mem::replace(&mut run.parts[process], QueryReport::empty()),
            ));
            // Without a step the window is reported in two parts.
            current[process] += random.within(0, 2);
        }
        run.step(step)?;
        if run.places.len() > of_events.len() {
            of_events.push(current[run.places[run.places.len() - 1]]);
        }
    }

    for (process, window) in current.into_iter().enumerate() {
        parts.push((process, window, std::mem::replace(&mut run.parts[process], QueryReport::empty())));
    }

    Ok(Windows { parts, of_events })
}

async fn compare(seed: u64) -> Result<usize, String> {
    let mut random = Random::new(!seed);
    let case = Case { budget_bytes: usize::MAX, ..Case::random(seed) };
    let every = random.within(1, 2);
    let options = pivot_frontend::FrontendOptions {
        listen: "127.0.0.1:0".parse().expect("an address"),
        ..Default::default()
    };
    let frontend = pivot_frontend::start(options).await.expect("a port is free");
    let url = format!("http://{}", frontend.address());

    let mut processes = Vec::new();
    for number in 0..PROCESSES {
        processes.push(Process::attach(&url, number, &case).await);
    }

    let mut client = FrontendClient::connect(url).await.expect("the frontend listens");
    let installed = install(&mut client, &case, every).await?;

    let mut advice = Vec::new();
    for process in &mut processes {
        advice = process.desired().await;
    }

    let id = advice.first().map_or_else(wire::QueryId::default, |advice| to_wire::query_id(advice.query));
    let dag = Dag::record(&case.steps).ok_or("not a run")?;
    let dag = dag.seen(|id, event| case.is_in_sample(id, event));
    let query = case.query.written_out(&[]);
    let (linked, script) = (linked(&advice, &case.tracepoints)?, case.script());
    let mut run = InBandRun::new(&linked, stages(&advice, &query)?, &script);
    let windows = windows(&mut run, &case, &mut random)?;
    run.check_stamps(&dag)?;
    // Aligned, and in the past.
    let base = (now_ns() / SECOND_NS - 1_000) / 2 * 2;

    for (process, window, part) in &windows.parts {
        let span = ((base + window) * SECOND_NS, (base + window + 1) * SECOND_NS);
        processes[*process].report(id, part, span).await;
    }

    client.uninstall(wire::UninstallRequest { query: installed }).await.expect("it is installed");
    for process in &mut processes {
        process.desired().await;
    }

    let frames = frames(&mut client, installed).await;
    // It ends while others go on.
    tokio::spawn(frontend.stop());
    let too_large = run.too_large
        || windows.parts.iter().any(|(_, _, part)| part.other.is_some() || part.loss.dropped > 0);

    if too_large {
        return Ok(0);
    }

    let mixed = is_mixed(&case);
    let expected = Expected { query: &query, dag: &dag, run: &run, of_events: &windows.of_events, mixed };
    expected.check(&frames, base, every)
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_nanos()).expect("it is before 2262")
}

async fn install(client: &mut FrontendClient<Channel>, case: &Case, every: i64) -> Result<u32, String> {
    let params = params(&case.query).into_iter().map(|(name, value)| (name, to_wire::value(&value)));
    let text = format!("{}\nEVERY {every}s", case.query);
    let request = wire::InstallRequest { text, name: String::new(), params: params.collect() };
    let response = client.install(request).await.expect("an answer").into_inner();
    response.query.ok_or_else(|| format!("refused: {:?}", response.diagnostics))
}

/// The newest revision of each window by its start, and the last frame.
async fn frames(
    client: &mut FrontendClient<Channel>,
    query: u32,
) -> (BTreeMap<i64, wire::Frame>, wire::Frame) {
    let request = wire::ResultsRequest { query, after_sequence: 0, ..Default::default() };
    let mut stream = client.results(request).await.expect("it was installed").into_inner();

    let mut windows = BTreeMap::new();
    while let Some(frame) = stream.message().await.expect("a frame") {
        if frame.last {
            return (windows, frame);
        }
        windows.insert(frame.window_start_ns, frame);
    }

    panic!("the results end without a last frame");
}

struct Expected<'e> {
    query: &'e Query,
    dag: &'e Dag<'e>,
    run: &'e InBandRun<'e>,
    of_events: &'e [i64],
    mixed: bool,
}

impl Expected<'_> {
    /// Compares all windows, and what they add up to.
    fn check(
        &self,
        (frames, last): &(BTreeMap<i64, wire::Frame>, wire::Frame),
        base: i64,
        every: i64,
    ) -> Result<usize, String> {
        // More rows than a frontend shows are dropped, and it says so.
        if frames.values().chain([last]).any(is_cut) {
            return Ok(0);
        }

        let mut ends: Vec<i64> = self.of_events.iter().map(|window| base + window).collect();
        ends.iter_mut().for_each(|window| *window = *window / every * every);
        ends.sort_unstable();
        ends.dedup();

        for start in ends {
            let inside = |window: &i64| (start..start + every).contains(&(base + window));
            let events: Vec<bool> = self.of_events.iter().map(inside).collect();
            let frame = frames.get(&(start * SECOND_NS));
            let rows = frame.map_or(&[][..], |frame| &frame.rows);
            let found = self.compare(rows, every as f64, Some(&events));
            found.map_err(|wrong| format!("the window at {} s: {wrong}", start - base))?;
        }

        if frames.values().chain([last]).any(is_partial) {
            return Err("the result is partial".into());
        }

        let (first, end) = (frames.keys().next(), frames.values().map(|frame| frame.window_end_ns).max());
        let seconds = first.zip(end).map_or(1.0, |(first, end)| (end - first) as f64 / 1e9);
        let whole = self.compare(&last.cumulative, seconds, None);
        let (rows, due) = whole.map_err(|wrong| format!("the cumulative result: {wrong}"))?;
        // Of a join they may be counted in an earlier window than the row's.
        let loss = last.cumulative_completeness.and_then(|completeness| completeness.loss);

        match due > 0 && loss.is_none_or(|loss| loss.errors == 0) {
            true => Err(format!("{due} errors are due")),
            false => Ok(rows),
        }
    }

    /// How many rows there are, and how often something in them had no value.
    fn compare(
        &self,
        rows: &[wire::JoinedRow],
        seconds: f64,
        events: Option<&[bool]>,
    ) -> Result<(usize, u64), String> {
        let scaled = self.query.aggregates();
        let window = EvaluationWindow { seconds, fraction: self.query.sample.filter(|_| scaled), events };
        let due = Evaluator::new(self.query, self.dag, &self.run.stamps, window).answer(self.query);
        let Some(Answer { rows: due, errors, .. }) = due else { return Ok((0, 0)) };
        let value = |value: &wire::Value| from_wire::value(value.clone()).expect("a value");
        let found: Vec<Vec<Value>> = rows.iter().map(|row| row.values.iter().map(value).collect()).collect();
        let as_shown = |row: Vec<ExpectedCell>| row.into_iter().map(shown).collect();
        let due = if self.mixed { due.into_iter().map(as_shown).collect() } else { due };
        let (missing, surplus) = differences(&due, &found);

        if !missing.is_empty() || !surplus.is_empty() {
            return Err(format!("rows\nmissing {missing:?}\nsurplus {surplus:?}"));
        }

        if !self.query.order.is_empty() && !in_order(&due, &found) {
            return Err(format!("order\n{due:?}\nis due, not\n{found:?}"));
        }

        Ok((due.len(), errors))
    }
}

/// Whether rows are said to be dropped.
fn is_cut(frame: &wire::Frame) -> bool {
    let dropped = |completeness: wire::Completeness| completeness.loss.is_some_and(|loss| loss.dropped > 0);
    [frame.completeness, frame.cumulative_completeness].into_iter().flatten().any(dropped)
}

/// Whether something is said to be missing: evaluations without a value aside, nothing is.
fn is_partial(frame: &wire::Frame) -> bool {
    [frame.completeness, frame.cumulative_completeness].into_iter().flatten().any(|completeness| {
        let loss = completeness.loss.unwrap_or_default();
        loss.dropped + loss.truncated + loss.uncertain + loss.throttled + completeness.other > 0
    })
}

/// Whether a column may hold values of several types: a frontend shows those as text, or as doubles if all
/// are numbers.
fn is_mixed(case: &Case) -> bool {
    let fields = || case.tracepoints.iter().flat_map(|tracepoint| &tracepoint.fields);
    fields().any(|(name, ty)| *ty == Type::Any || fields().any(|(other, of)| other == name && of != ty))
}

fn shown(cell: ExpectedCell) -> ExpectedCell {
    let ExpectedCell::Value(value) = cell else { return cell };
    let double = value.as_integer().map(|x| Value::F64(x as f64));
    let text = (!value.is_null()).then(|| Value::str(value.to_string()));
    ExpectedCell::AnyOf(std::iter::once(value).chain(double).chain(text).collect())
}
