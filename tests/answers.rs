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
use pivot_advice::{Advice, Type, Value};
use pivot_agent::QueryReport;
use pivot_protocol::{from_wire, to_wire, wire};
use pivot_tests::oracle::{
    Case, EvaluationWindow, Evaluator, EventDag, ExpectedCell, InBandRun, PROCESSES, Query, ReferenceAnswer,
    choices, differences, in_order, linked, params,
};
use pivot_tests::random::Random;
use pivot_tests::{PATIENCE, PlayedAgent, ReportWindow, SECOND_NS, TestFrontend, now_ns, number_setting};
use std::collections::BTreeMap;

/// How many cases are run when nobody asks for more.
const CASES: u64 = 500;
/// How many are on their way at a time: most of the time is waiting for a frontend's next look at its windows.
const AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn frames_have_the_rows_that_the_language_defines() {
    let first = number_setting("PIVOT_ORACLE_SEED").unwrap_or(0);
    let last = first + number_setting("PIVOT_ANSWERS_CASES").unwrap_or(CASES);

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

/// Attaches a process of the case.
async fn attach(url: &str, number: usize, case: &Case) -> PlayedAgent {
    let hello = wire::Hello {
        incarnation: 1 + number as u64,
        process: format!("process {number}"),
        catalogue: case.exports().map(|exports| to_wire::exports(&exports)).collect(),
        ..Default::default()
    };

    let mut process = PlayedAgent::attach(url, hello).await;
    // Nothing is installed so far.
    process.weave().await;
    process
}

/// Returns the advice that is to be woven next.
async fn desired(process: &mut PlayedAgent) -> Vec<Advice> {
    let advice = process.weave().await.advice.into_iter();
    advice.map(|advice| from_wire::advice(advice).expect("advice is sound")).collect()
}

/// Returns what a process reports of a query in a window.
fn part_of_report(query: wire::QueryId, report: &QueryReport) -> wire::Part {
    wire::Part {
        query: Some(query),
        groups: report.groups.as_ref().map(to_wire::groups).unwrap_or_default(),
        loss: Some(to_wire::loss(&report.loss)),
        emitted: report.emitted,
        other: report.other.as_ref().map(to_wire::groups).unwrap_or_default(),
        cost: None,
        ..Default::default()
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

/// Runs the case of a seed through a frontend; returns how many rows its whole result has.
async fn compare(seed: u64) -> Result<usize, String> {
    let mut random = Random::new(!seed);
    let case = Case::random(seed).without_losses();
    let every = random.within(1, 2);

    let mut frontend = TestFrontend::start().await;
    let mut processes = Vec::new();
    for number in 0..PROCESSES {
        processes.push(attach(&frontend.url(), number, &case).await);
    }

    let installed = install(&mut frontend, &case, every).await?;
    let mut advice = Vec::new();
    for process in &mut processes {
        advice = desired(process).await;
    }

    // The advice that came over the wire runs here, in this process, for all that are played.
    let id = advice.first().map_or_else(wire::QueryId::default, |advice| to_wire::query_id(advice.query));
    let dag = EventDag::record(&case.steps).ok_or("not a run")?;
    let dag = dag.seen(|id, event| case.is_in_sample(id, event));
    let query = case.query.written_out(&[]);
    let (linked, script) = (linked(&advice, &case.tracepoints)?, case.script());
    let mut run = InBandRun::new(&linked, choices(&advice, &query)?, &script);
    let windows = windows(&mut run, &case, &mut random)?;
    run.check_stamps(&dag)?;

    // Aligned, and in the past, so that no window is waited for.
    let base = (now_ns() / SECOND_NS - 1_000) / 2 * 2;
    for (process, window, report) in &windows.parts {
        let start_ns = (base + window) * SECOND_NS;
        let window = ReportWindow { start_ns, end_ns: start_ns + SECOND_NS };
        processes[*process].report(window, part_of_report(id, report)).await;
    }

    assert!(frontend.uninstall(installed).await, "it is installed");
    for process in &mut processes {
        process.weave().await;
    }
    let frames = frames(&mut frontend, installed).await;
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

async fn install(frontend: &mut TestFrontend, case: &Case, every: i64) -> Result<u32, String> {
    let params = params(&case.query).into_iter().map(|(name, value)| (name, to_wire::value(&value)));
    let text = format!("{}\nEVERY {every}s", case.query);
    let request = wire::InstallRequest { text, name: String::new(), params: params.collect(), owner: None };
    let response = frontend.client.install(request).await.expect("an answer").into_inner();
    response.query.ok_or_else(|| format!("refused: {:?}", response.diagnostics))
}

/// The frames of a query: the newest revision of each window by its start, and the last.
struct Frames {
    windows: BTreeMap<i64, wire::Frame>,
    last: wire::Frame,
}

impl Frames {
    /// Returns all frames.
    fn all(&self) -> impl Iterator<Item = &wire::Frame> {
        self.windows.values().chain([&self.last])
    }
}

async fn frames(frontend: &mut TestFrontend, query: u32) -> Frames {
    let mut stream = frontend.results(query).await;

    let mut windows = BTreeMap::new();
    while let Some(frame) = stream.message().await.expect("a frame") {
        if frame.last {
            return Frames { windows, last: frame };
        }
        windows.insert(frame.window_start_ns, frame);
    }

    panic!("the results end without a last frame");
}

struct Expected<'e> {
    query: &'e Query,
    dag: &'e EventDag<'e>,
    run: &'e InBandRun<'e>,
    of_events: &'e [i64],
    mixed: bool,
}

impl Expected<'_> {
    /// Compares all windows, and what they add up to.
    fn check(&self, frames: &Frames, base: i64, every: i64) -> Result<usize, String> {
        // More rows than a frontend shows are dropped, and it says so.
        if frames.all().any(is_cut) {
            return Ok(0);
        }

        let mut ends: Vec<i64> = self.of_events.iter().map(|window| base + window).collect();
        ends.iter_mut().for_each(|window| *window = *window / every * every);
        ends.sort_unstable();
        ends.dedup();

        for start in ends {
            let inside = |window: &i64| (start..start + every).contains(&(base + window));
            let events: Vec<bool> = self.of_events.iter().map(inside).collect();
            // Windows before the install are there only if something was reported for them.
            let frame = frames.windows.get(&(start * SECOND_NS));
            if frame.is_none() && self.query.aggregates() && self.query.group.is_none() {
                continue;
            }
            let rows = frame.map_or(&[][..], |frame| &frame.rows);
            let found = self.compare(rows, every as f64, Some(&events));
            found.map_err(|wrong| format!("the window at {} s: {wrong}", start - base))?;
        }

        if frames.all().any(is_partial) {
            return Err("the result is partial".into());
        }

        let windows = &frames.windows;
        let (first, end) = (windows.keys().next(), windows.values().map(|frame| frame.window_end_ns).max());
        let shown = first.zip(end).map_or(1.0, |(first, end)| (end - first) as f64 / 1e9);
        // Played agents do not say when they wove, so all time since the first window counts: that of windows without
        // rows at the end too. Without a window there is no time, and no row to compare.
        let completeness = frames.last.cumulative_completeness.as_ref();
        let covered = completeness.map_or(0.0, |known| known.covered_ns as f64 / 1e9);
        let seconds = if windows.is_empty() { shown } else { covered };
        if seconds < shown {
            return Err(format!("{shown} seconds are shown, and {seconds} are covered"));
        }
        let whole = self.compare(&frames.last.cumulative, seconds, None);
        let (rows, due) = whole.map_err(|wrong| format!("the cumulative result: {wrong}"))?;
        // Of a join they may be counted in an earlier window than the row's.
        let loss =
            frames.last.cumulative_completeness.as_ref().and_then(|completeness| completeness.loss.as_ref());

        match due > 0 && loss.is_none_or(|loss| loss.errors == 0) {
            true => Err(format!("{due} errors are due")),
            false => Ok(rows),
        }
    }

    /// How many rows there are, and how often something in them had no value.
    fn compare(
        &self,
        rows: &[wire::Row],
        seconds: f64,
        events: Option<&[bool]>,
    ) -> Result<(usize, u64), String> {
        let scaled = self.query.aggregates();
        let window = EvaluationWindow { seconds, fraction: self.query.sample.filter(|_| scaled), events };
        let due = Evaluator::new(self.query, self.dag, &self.run.stamps, window).answer(self.query);
        let Some(ReferenceAnswer { rows: due, errors, .. }) = due else { return Ok((0, 0)) };
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
