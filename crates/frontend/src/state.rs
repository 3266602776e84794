//! All that a frontend knows, behind one lock that is never held while waiting.

use crate::convergence::Convergence;
use crate::installed_query::{InstalledQuery, carries};
use crate::options::FrontendOptions;
use crate::registry::{Outbox, Presence, Registry, SequenceCheck};
use crate::select::SelectEngine;
use crate::window_groups::WindowGroups;
use pivot_advice::QueryId;
use pivot_protocol::{from_wire, to_wire, wire};
use pivot_query::{Catalog, CompileOptions, Diagnostics, Program, compile_with};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// The longest window that agents report.
const SECOND_NS: i64 = 1_000_000_000;

/// The most peers of an agent that are kept, to which it sends no baggage.
const MAX_HELD_BACK: usize = 100;

/// The most queries at once, those included whose last frames are still to come. Frames that are kept make
/// room for new queries.
pub(crate) const MAX_QUERIES: usize = 1000;

/// The state, shared by all streams.
#[derive(Debug)]
pub(crate) struct SharedState {
    state: Mutex<FrontendState>,
    engine: Arc<SelectEngine>,
    stopping: watch::Sender<bool>,
}

impl SharedState {
    /// A running frontend's state.
    pub(crate) fn new(state: FrontendState) -> SharedState {
        SharedState {
            state: Mutex::new(state),
            engine: Arc::new(SelectEngine::new()),
            stopping: watch::channel(false).0,
        }
    }

    /// Computes results with another engine.
    #[cfg(test)]
    pub(crate) fn with_engine(self, engine: SelectEngine) -> SharedState {
        SharedState { engine: Arc::new(engine), ..self }
    }

    /// The state. A panic elsewhere leaves it usable: every change is small.
    pub(crate) fn lock(&self) -> MutexGuard<'_, FrontendState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What makes rows of groups.
    pub(crate) fn engine(&self) -> Arc<SelectEngine> {
        self.engine.clone()
    }

    /// Ends all streams.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
        self.lock().registry.close();
    }

    /// Becomes true when streams are to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}

/// Now, in nanoseconds since the epoch.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Agents, queries and what should be woven.
#[derive(Debug)]
pub(crate) struct FrontendState {
    pub(crate) registry: Registry,
    pub(crate) catalog: Catalog,
    queries: BTreeMap<u32, InstalledQuery>,
    frontend: u32,
    numbers: u32,
    generation: u64,
    desired: wire::Desired,
    settling: Convergence,
    grace_ns: i64,
    keep_frames: usize,
    keep_finished_ns: i64,
}

/// How many times as long a query that is gone is kept while somebody reads it.
const READING: i64 = 10;

impl FrontendState {
    /// A frontend that knows nobody.
    pub(crate) fn new(options: &FrontendOptions) -> FrontendState {
        FrontendState {
            registry: Registry::default(),
            catalog: Catalog::default(),
            queries: BTreeMap::new(),
            // Without randomness there is still the time.
            frontend: getrandom::u32().unwrap_or(now_ns() as u32),
            numbers: 0,
            // From the time, so that it rises across restarts too.
            generation: now_ns().unsigned_abs() / 1_000_000,
            desired: wire::Desired::default(),
            settling: Convergence::default(),
            grace_ns: i64::try_from(options.grace.as_nanos()).unwrap_or(i64::MAX),
            keep_frames: options.keep_frames,
            keep_finished_ns: i64::try_from(options.keep_finished.as_nanos()).unwrap_or(i64::MAX),
        }
        .refreshed()
    }

    fn refreshed(mut self) -> FrontendState {
        self.weave();
        self
    }

    /// Takes an agent in and tells it what to weave; gives the number of the connection.
    pub(crate) fn connect(&mut self, hello: wire::Hello, outbox: Outbox, now_ns: i64) -> u64 {
        let incarnation = hello.incarnation;
        let (connection, changed) = self.registry.connect(hello, outbox, now_ns);
        let rewoven = changed && self.recompile();
        if !rewoven {
            let desired = wire::to_agent::Kind::Desired(self.desired.clone());
            if let Some(agent) = self.registry.on(incarnation, connection) {
                agent.send(desired);
            }
        }
        connection
    }

    /// Notes what an agent has woven.
    pub(crate) fn woven(&mut self, incarnation: u64, connection: u64, woven: wire::Woven, now_ns: i64) {
        if let Some(agent) = self.registry.on(incarnation, connection) {
            agent.last_heard_ns = now_ns;
            if agent.woven_ns == 0 {
                agent.woven_ns = now_ns;
            }
            agent.woven = woven.generation;
            agent.problems = woven.problems;
            agent.statuses = woven.statuses;
        }
    }

    /// Takes in tracepoints that became known after an agent's hello.
    pub(crate) fn exported(
        &mut self,
        incarnation: u64,
        connection: u64,
        exported: wire::Exported,
        now_ns: i64,
    ) {
        let Some(agent) = self.registry.on(incarnation, connection) else { return };
        agent.last_heard_ns = now_ns;
        if agent.export(exported.catalogue) {
            self.recompile();
        }
    }

    /// Notes what an agent has lost so far.
    pub(crate) fn lost(&mut self, incarnation: u64, connection: u64, lost: wire::Lost, now_ns: i64) {
        if let Some(agent) = self.registry.on(incarnation, connection) {
            (agent.last_heard_ns, agent.lost) = (now_ns, lost);
        }
    }

    /// Notes that an agent leaves.
    pub(crate) fn goodbye(&mut self, incarnation: u64, connection: u64, now_ns: i64) {
        if let Some(agent) = self.registry.on(incarnation, connection) {
            agent.last_heard_ns = now_ns;
            agent.presence = Presence::Left;
        }
    }

    /// Merges and acknowledges a report, each sequence once. A gap is refused: the agent sends again.
    pub(crate) fn report(
        &mut self,
        incarnation: u64,
        connection: u64,
        report: wire::Report,
        now_ns: i64,
    ) -> SequenceCheck {
        let Some(agent) = self.registry.on(incarnation, connection) else { return SequenceCheck::Gap };
        agent.last_heard_ns = now_ns;
        let sequence = agent.accept(report.sequence);
        if sequence == SequenceCheck::Gap {
            return sequence;
        }
        let acknowledged = wire::to_agent::Kind::Acknowledged(report.sequence);
        if sequence == SequenceCheck::Next {
            agent.watermark_ns = agent.watermark_ns.max(report.watermark_ns);
            agent.held_back = report.held_back;
            agent.held_back.truncate(MAX_HELD_BACK);
            for part in report.parts {
                self.merge(incarnation, (report.window_start_ns, report.window_end_ns), &part, now_ns);
            }
        }
        if let Some(agent) = self.registry.on(incarnation, connection) {
            agent.send(acknowledged);
        }
        sequence
    }

    /// Merges what a process says of one query, and charges the query with what it cost.
    fn merge(&mut self, incarnation: u64, (start_ns, end_ns): (i64, i64), part: &wire::Part, now_ns: i64) {
        let Ok(id) = from_wire::query_id(part.query) else { return };
        let Some(query) = self.queries.get_mut(&id.number).filter(|query| query.id == id) else { return };
        let tally = WindowGroups::of_part(&query.cumulative.groups, part);
        query.charge(incarnation, part.cost.unwrap_or_default(), &tally, now_ns);
        query.report(start_ns, end_ns, tally);
    }

    /// Compiles a text against what is known now.
    pub(crate) fn compile(&self, text: &str, options: &CompileOptions) -> Result<Program, Diagnostics> {
        compile_with(text, &self.catalog, options)
    }

    /// Whether another query can be installed. The one that finished first makes room for it.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.queries.len() >= MAX_QUERIES {
            let finished =
                self.queries.iter().filter_map(|(number, query)| Some((query.finished_ns?, *number)));
            if let Some((_, oldest)) = finished.min() {
                self.queries.remove(&oldest);
            }
        }
        self.queries.len() < MAX_QUERIES
    }

    /// Installs a compiled query under the next number.
    pub(crate) fn install(
        &mut self,
        name: String,
        program: (Program, CompileOptions),
        now_ns: i64,
    ) -> &InstalledQuery {
        self.numbers += 1;
        let id = QueryId::new(self.frontend, self.numbers);
        if !name.is_empty() {
            self.catalog.add_query(&name, &program.0.text);
        }
        let query = InstalledQuery::new(id, name, program, self.generation + 1, now_ns);
        self.queries.insert(id.number, query);
        self.weave();
        &self.queries[&id.number]
    }

    /// Uninstalls a query; false if there is none of that number.
    pub(crate) fn uninstall(&mut self, number: u32, now_ns: i64) -> bool {
        let generation = self.generation + 1;
        let Some(query) = self.queries.get_mut(&number) else { return false };
        if query.is_active() {
            query.remove(generation, now_ns);
            self.catalog = self.known();
            self.weave();
        }
        true
    }

    /// The query of a number.
    pub(crate) fn query(&self, number: u32) -> Option<&InstalledQuery> {
        self.queries.get(&number)
    }

    /// The query of a number, to change.
    pub(crate) fn query_mut(&mut self, number: u32) -> Option<&mut InstalledQuery> {
        self.queries.get_mut(&number)
    }

    /// The queries that are to be woven.
    pub(crate) fn active(&self) -> impl Iterator<Item = &InstalledQuery> {
        self.queries.values().filter(|query| query.is_active())
    }

    /// The generation that is to be woven.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Makes all frames that are due now.
    pub(crate) fn tick(&mut self, now_ns: i64) {
        let expired = self.queries.iter().filter(|(_, query)| query.is_expired(now_ns));
        for number in expired.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.uninstall(number, now_ns);
        }
        self.settle(now_ns);
        // Who reads its frames is given more time to read them to the end.
        let keep_ns = |query: &InstalledQuery| match query.readers {
            0 => self.keep_finished_ns,
            _ => self.keep_finished_ns.saturating_mul(READING),
        };
        let old = |query: &InstalledQuery| query.finished_ns.is_some_and(|at| now_ns - at > keep_ns(query));
        self.queries.retain(|_, query| !old(query));
        let (registry, time, keep) = (&self.registry, (self.grace_ns, now_ns), self.keep_frames);
        self.queries.values_mut().for_each(|query| query.tick(registry, time, keep));
    }

    /// Tells all agents when a generation is woven everywhere.
    fn settle(&mut self, now_ns: i64) {
        if let Some(generation) = self.settling.look(self.registry.woven_by_all(), now_ns) {
            self.desired.everywhere = generation;
            self.registry.broadcast(&wire::to_agent::Kind::Everywhere(generation));
        }
    }

    fn known(&self) -> Catalog {
        let mut catalog = self.registry.catalog();
        for query in self.active().filter(|query| !query.name.is_empty()) {
            catalog.add_query(&query.name, &query.program.text);
        }
        catalog
    }

    /// Compiles all queries against a changed catalogue; whether anything is to be woven anew.
    fn recompile(&mut self) -> bool {
        self.catalog = self.known();
        let mut changed = false;
        // A measurement is over before a change of the catalogue matters.
        let lasting = |query: &&mut InstalledQuery| query.is_active() && !query.program.is_measured();
        for query in self.queries.values_mut().filter(lasting) {
            // A query that no longer compiles runs on as it was.
            if let Ok(program) = compile_with(&query.program.text, &self.catalog, &query.options) {
                changed |= query.replace(program, self.generation + 1);
            }
        }
        if changed {
            self.weave();
        }
        changed
    }

    /// Begins a generation and tells all agents.
    fn weave(&mut self) {
        self.generation += 1;
        let advice: Vec<_> = self.active().flat_map(InstalledQuery::advice).collect();
        self.desired = wire::Desired {
            generation: self.generation,
            everywhere: self.settling.everywhere(),
            since: self.active().map(InstalledQuery::since).collect(),
            carrying: advice.iter().any(carries),
            window_ns: self.active().map(|query| query.program.settings.every_ns).fold(SECOND_NS, divisor),
            advice: advice.iter().map(to_wire::advice).collect(),
        };
        self.registry.broadcast(&wire::to_agent::Kind::Desired(self.desired.clone()));
    }
}

/// The longest window of which both are multiples.
fn divisor(a: i64, b: i64) -> i64 {
    if b <= 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use pivot_advice::{Exports, Field, Groups, Type, Value};
    use tokio::sync::mpsc;
    use wire::results_request::Wanted;

    const SECOND: i64 = 1_000_000_000;

    struct StateFixture {
        state: FrontendState,
        connection: u64,
        inbox: mpsc::Receiver<Result<wire::ToAgent, tonic::Status>>,
        query: u32,
        engine: SelectEngine,
        /// The sequence of the frame that was read last.
        read: u64,
    }

    /// A frontend with one agent, incarnation 1, that has woven one query counting by host.
    fn bench() -> StateFixture {
        let mut state = FrontendState::new(&FrontendOptions::default());
        let exports = Exports {
            tracepoint: "T".into(),
            fields: vec![Field { name: "x".into(), ty: Type::I64 }],
            file: "a.rs".into(),
            line: 1,
            module: "a".into(),
        };
        let (outbox, inbox) = mpsc::channel(100);
        let hello =
            wire::Hello { incarnation: 1, catalogue: vec![to_wire::exports(&exports)], ..Default::default() };
        let connection = state.connect(hello, outbox, 1);
        let options = CompileOptions::default();
        let program = state.compile("FROM t IN T GROUP BY t.host SELECT t.host, COUNT", &options).unwrap();
        let query = state.install(String::new(), (program, options), 1).id.number;
        let mut bench =
            StateFixture { state, connection, inbox, query, engine: SelectEngine::new(), read: 0 };
        bench.weave();
        bench
    }

    impl StateFixture {
        fn weave(&mut self) {
            let generation = self.state.generation();
            self.state.woven(1, self.connection, wire::Woven { generation, ..Default::default() }, 2);
        }

        fn report(&mut self, sequence: u64, start_ns: i64, n: u64) -> SequenceCheck {
            let groups = to_wire::groups(&groups(&[(&[Value::str("a")], n)]));
            let part = wire::Part { groups, emitted: n, ..Default::default() };
            self.report_part(sequence, start_ns, part)
        }

        fn report_part(&mut self, sequence: u64, start_ns: i64, part: wire::Part) -> SequenceCheck {
            let id = self.state.query(self.query).unwrap().id;
            let part = wire::Part { query: Some(to_wire::query_id(id)), ..part };
            let report = wire::Report {
                sequence,
                window_start_ns: start_ns,
                window_end_ns: start_ns + SECOND,
                parts: vec![part],
                delay_ns: 0,
                watermark_ns: start_ns + SECOND,
                held_back: vec![],
            };
            self.state.report(1, self.connection, report, start_ns + SECOND)
        }

        async fn frames(&mut self, now_ns: i64) -> Vec<wire::Frame> {
            self.state.tick(now_ns);
            self.read(Wanted::All).await
        }

        /// All frames after the one that was read last.
        async fn read(&mut self, wanted: Wanted) -> Vec<wire::Frame> {
            let mut frames = Vec::new();
            while let Some(frame) = self.state.query(self.query).unwrap().frames.after(self.read, wanted) {
                self.read = frame.sequence;
                frames.push(frame.compute(&self.engine).await.unwrap());
            }
            frames
        }

        fn acknowledged(&mut self) -> Vec<u64> {
            let mut found = Vec::new();
            while let Ok(Ok(message)) = self.inbox.try_recv() {
                if let Some(wire::to_agent::Kind::Acknowledged(sequence)) = message.kind {
                    found.push(sequence);
                }
            }
            found
        }
    }

    /// Groups of these keys that occurred so often.
    fn groups(rows: &[(&[Value], u64)]) -> Groups {
        let mut groups = Groups::new(rows[0].0.len(), &[]);
        rows.iter().for_each(|(key, n)| groups.entry(key).merge(*n, &[]));
        groups
    }

    fn count(rows: &[wire::Row]) -> Value {
        from_wire::value(rows[0].values[1].clone()).unwrap()
    }

    #[tokio::test]
    async fn a_report_sent_twice_counts_once_and_is_acknowledged_twice() {
        let mut bench = bench();
        assert_eq!(bench.report(4, SECOND, 2), SequenceCheck::Next);
        assert_eq!(bench.report(4, SECOND, 2), SequenceCheck::Duplicate);
        assert_eq!(bench.acknowledged(), [4, 4]);
        let frames = bench.frames(2 * SECOND).await;
        assert_eq!((frames.len(), count(&frames[0].rows)), (1, Value::U64(2)));
        assert!(!frames[0].completeness.unwrap().partial);
    }

    #[test]
    fn frames_of_finished_queries_make_room_for_new_ones() {
        let mut bench = bench();
        let options = CompileOptions::default();
        let program = bench.state.compile("FROM t IN T SELECT COUNT", &options).unwrap();
        while bench.state.queries.len() < MAX_QUERIES {
            bench.state.install(String::new(), (program.clone(), options.clone()), 1);
        }
        assert!(!bench.state.has_room());
        let numbers: Vec<u32> = bench.state.queries.keys().copied().skip(5).take(2).collect();
        for (number, at) in numbers.iter().zip([9, 4]) {
            bench.state.queries.get_mut(number).unwrap().finished_ns = Some(at);
        }
        assert!(bench.state.has_room());
        assert!(bench.state.query(numbers[0]).is_some() && bench.state.query(numbers[1]).is_none());
    }

    #[tokio::test]
    async fn rows_without_a_group_come_beside_the_others_and_make_the_result_partial() {
        let mut bench = bench();
        let own = to_wire::groups(&groups(&[(&[Value::str("a")], 2)]));
        let other = to_wire::groups(&groups(&[(&[] as &[Value], 40)]));
        let part = wire::Part { groups: own, other, emitted: 42, ..Default::default() };
        bench.report_part(1, SECOND, part);
        bench.report(2, SECOND, 1);
        let frame = bench.frames(2 * SECOND).await.remove(0);
        let other = frame.other.clone().unwrap();
        assert_eq!((frame.rows.len(), count(&frame.rows)), (1, Value::U64(3)));
        assert_eq!(from_wire::value(other.values[0].clone()).unwrap(), Value::Null);
        assert_eq!((count(&[other]), frame.cumulative_other.is_some()), (Value::U64(40), true));
        let found = frame.completeness.unwrap();
        assert_eq!((found.other, found.partial, found.emitted), (40, true, 43));
    }

    #[tokio::test]
    async fn a_sample_is_added_to_what_is_exact_and_says_so() {
        let mut bench = bench();
        let part = |i: u64| [Value::str("a"), Value::U64(i)];
        let sampled = groups(&[(&part(3), 8), (&part(9), 16)]);
        let (own, sampled) =
            (to_wire::groups(&groups(&[(&[Value::str("a")], 2)])), to_wire::groups(&sampled));
        let loss = Some(wire::Loss { throttled: 20, ..Default::default() });
        let (weights, squares) = (24, 192);
        let part =
            wire::Part { groups: own, sampled, weights, squares, emitted: 5, loss, ..Default::default() };
        bench.report_part(1, SECOND, part);
        let frame = bench.frames(2 * SECOND).await.remove(0);
        assert_eq!((frame.rows.len(), count(&frame.rows)), (1, Value::U64(26)));
        assert!(frame.rows[0].standard_errors[1] > 10.0, "{:?}", frame.rows);
        let estimates: Vec<_> = frame.columns.iter().map(|column| column.estimate()).collect();
        use wire::column::Estimate::{None, Scaled};
        assert_eq!((estimates, frame.completeness.unwrap().partial), (vec![None, Scaled], true));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_dropped_and_counted() {
        let mut bench = bench();
        for (sequence, field) in (1..).zip(0..3) {
            let mut part = wire::Part { emitted: 5, ..Default::default() };
            *[&mut part.groups, &mut part.sampled, &mut part.other][field] = vec![255; 9];
            bench.report_part(sequence, SECOND, part);
        }
        let found = bench.frames(2 * SECOND).await.remove(0).completeness.unwrap();
        assert_eq!((found.emitted, found.loss.unwrap().dropped, found.partial), (15, 15, true));
    }

    #[test]
    fn a_gap_is_not_acknowledged() {
        let mut bench = bench();
        bench.report(1, SECOND, 1);
        assert_eq!(bench.report(3, SECOND, 1), SequenceCheck::Gap);
        assert_eq!(bench.acknowledged(), [1]);
        assert_eq!(bench.report(2, SECOND, 1), SequenceCheck::Next);
    }

    #[test]
    fn a_query_that_is_gone_is_kept_longer_while_somebody_reads_it() {
        for (readers, keeps) in [(0, 1), (1, READING)] {
            let mut bench = bench();
            let keep_ns = bench.state.keep_finished_ns;
            bench.state.uninstall(bench.query, SECOND);
            bench.state.tick(60 * SECOND);
            let finished_ns = bench.state.query(bench.query).unwrap().finished_ns.unwrap();
            bench.state.query_mut(bench.query).unwrap().readers = readers;
            bench.state.tick(finished_ns + keeps * keep_ns);
            assert!(bench.state.query(bench.query).is_some());
            bench.state.tick(finished_ns + keeps * keep_ns + 1);
            assert!(bench.state.query(bench.query).is_none());
        }
    }

    #[tokio::test]
    async fn what_comes_for_a_forgotten_window_is_in_the_newest_result() {
        let mut bench = bench();
        for number in 1..=100 {
            bench.report(number, number as i64 * SECOND, 1);
            bench.state.tick((number as i64 + 1) * SECOND);
        }
        bench.report(101, SECOND, 5);
        bench.state.tick(102 * SECOND);
        let frames = bench.read(Wanted::Newest).await;
        assert_eq!(count(&frames.last().unwrap().cumulative), Value::U64(105));
    }

    #[tokio::test]
    async fn late_data_is_a_revision_of_its_window() {
        let mut bench = bench();
        bench.report(1, SECOND, 2);
        bench.frames(2 * SECOND).await;
        bench.report(2, SECOND, 3);
        let frames = bench.frames(3 * SECOND).await;
        assert_eq!((frames.len(), frames[0].revision), (1, 1));
        assert_eq!((count(&frames[0].rows), count(&frames[0].cumulative)), (Value::U64(5), Value::U64(5)));
        assert!(bench.frames(4 * SECOND).await.is_empty());
    }

    #[tokio::test]
    async fn a_window_waits_for_an_agent_no_longer_than_its_grace() {
        let mut bench = bench();
        bench.report(1, 3 * SECOND, 2);
        let connection = bench.connection;
        bench.state.registry.on(1, connection).unwrap().watermark_ns = 0;
        assert!(bench.frames(5 * SECOND).await.is_empty());
        let frames = bench.frames(6 * SECOND).await;
        let completeness = frames[0].completeness.unwrap();
        assert_eq!((completeness.agents_reporting, completeness.agents_expected), (0, 1));
        assert!(completeness.partial);
    }

    #[tokio::test]
    async fn uninstall_ends_with_the_cumulative_result_after_the_flush() {
        let mut bench = bench();
        bench.report(1, SECOND, 2);
        bench.frames(2 * SECOND).await;
        assert!(bench.state.uninstall(bench.query, 2 * SECOND));
        assert!(bench.frames(2 * SECOND).await.is_empty());
        bench.report(2, 2 * SECOND, 1);
        // An agent cuts the window in which it unweaves, so its watermark stays behind that window.
        let connection = bench.connection;
        bench.state.registry.on(1, connection).unwrap().watermark_ns = 2 * SECOND;
        bench.weave();
        let frames = bench.frames(2 * SECOND + 1).await;
        let last: Vec<bool> = frames.iter().map(|frame| frame.last).collect();
        assert_eq!(last, [false, true]);
        assert!(!frames[0].completeness.unwrap().partial);
        let whole = frames[1].cumulative_completeness.unwrap();
        assert_eq!((whole.partial, whole.agents_reporting, whole.agents_expected), (false, 1, 1));
        assert_eq!(count(&frames[1].cumulative), Value::U64(3));
        assert!(bench.frames(9 * SECOND).await.is_empty());
        assert_eq!(bench.state.query(bench.query).unwrap().frames.after(2, Wanted::All).unwrap().sequence, 3);
    }
}
