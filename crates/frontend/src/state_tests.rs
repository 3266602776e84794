//! Tests of the frontend's state by the events that change it: agents, reports, queries and ticks.
#![allow(clippy::unwrap_used)]
use crate::FrontendOptions;
use crate::agent_identity::AgentIdentity;
use crate::agent_registry::AgentConnectionId;
use crate::agent_report::WovenNotice;
use crate::agent_session::SequenceCheck;
use crate::agent_wire::agent_report;
use crate::client_wire;
use crate::compilation::CompiledQuery;
use crate::installed_queries::{KEEP_FACTOR_WITH_READERS, MAX_QUERIES};
use crate::kept_frames::FrameSelection;
use crate::select::SelectEngine;
use crate::state::FrontendState;
use crate::wanted_advice::AgentCommand;
use pivot_advice::{Exports, FieldDescriptor, Groups, Type, Value};
use pivot_protocol::{from_wire, to_wire, wire};
use pivot_query::{CompileOptions, compile_with};
use tokio::sync::mpsc;

const SECOND: i64 = 1_000_000_000;

/// A frontend, its one agent, and the one query that the agent has woven; made by [`fixture`].
struct StateFixture {
    state: FrontendState,
    connection: AgentConnectionId,
    inbox: mpsc::Receiver<Result<AgentCommand, tonic::Status>>,
    query: u32,
    engine: SelectEngine,
    /// The sequence of the frame that was read last.
    read: u64,
}

fn compiled(state: &FrontendState, text: &str) -> CompiledQuery {
    let snapshot = state.compile_snapshot();
    let options = CompileOptions::default();
    let program = compile_with(text, &snapshot.catalog, &options).unwrap_or_else(|wrong| panic!("{wrong}"));
    CompiledQuery::new(snapshot.next_id, program, options, snapshot.exports_version)
}

fn exports(tracepoint: &str) -> Exports {
    Exports {
        tracepoint: tracepoint.into(),
        fields: vec![FieldDescriptor { name: "x".into(), ty: Type::I64 }],
        file: "a.rs".into(),
        line: 1,
        module: "a".into(),
    }
}

/// Installs a query that counts by host, in a new frontend with one agent of incarnation 1, which weaves it.
fn fixture() -> StateFixture {
    fixture_of("FROM t IN T GROUP BY t.host SELECT t.host, COUNT")
}

fn fixture_of(text: &str) -> StateFixture {
    let mut state = FrontendState::new(&FrontendOptions::default(), 1);
    let exports = exports("T");
    let (outbox, inbox) = mpsc::channel(100);
    let connection = state.connect(1, AgentIdentity::default(), vec![exports].into(), outbox, 1);
    let query = compiled(&state, text);
    let query = state.install("", query, 1).number;

    let mut fixture = StateFixture { state, connection, inbox, query, engine: SelectEngine::new(), read: 0 };
    fixture.weave();
    fixture
}

impl StateFixture {
    fn weave(&mut self) {
        let generation = self.state.generation();
        let woven = WovenNotice { generation, ..Default::default() };
        self.state.note_woven(self.connection, woven, 2);
    }

    fn report(&mut self, sequence: u64, start_ns: i64, n: u64) -> SequenceCheck {
        let groups = to_wire::groups(&groups(&[(&[Value::str("a")], n)]));
        let part = wire::Part { groups, emitted: n, ..Default::default() };
        self.report_part(sequence, start_ns, part)
    }

    fn report_part(&mut self, sequence: u64, start_ns: i64, part: wire::Part) -> SequenceCheck {
        self.report_with(sequence, start_ns, part, vec![])
    }

    fn report_with(
        &mut self,
        sequence: u64,
        start_ns: i64,
        part: wire::Part,
        bare: Vec<wire::BareReply>,
    ) -> SequenceCheck {
        let id = self.state.query(self.query).unwrap().definition.id;
        let part = wire::Part { query: Some(to_wire::query_id(id)), ..part };

        let report = wire::Report {
            sequence,
            window_start_ns: start_ns,
            window_end_ns: start_ns + SECOND,
            parts: vec![part],
            bare,
            delay_ns: 0,
            watermark_ns: start_ns + SECOND,
            cut_ns: start_ns + SECOND,
            ..Default::default()
        };
        self.state.merge_report(self.connection, agent_report(report), start_ns + SECOND)
    }

    async fn frames(&mut self, now_ns: i64) -> Vec<wire::Frame> {
        self.state.tick(now_ns);
        self.read(FrameSelection::All).await
    }

    /// All frames after the one that was read last.
    async fn read(&mut self, selection: FrameSelection) -> Vec<wire::Frame> {
        let mut frames = Vec::new();
        loop {
            let kept = &self.state.query(self.query).unwrap().frames;
            let Some(frame) = kept.next_after(self.read, selection) else { break };
            self.read = frame.sequence;
            let computed = frame.compute(&self.engine).await.unwrap();
            frames.push(client_wire::frame(&computed));
        }
        frames
    }

    fn acknowledged(&mut self) -> Vec<u64> {
        let mut found = Vec::new();
        while let Ok(Ok(command)) = self.inbox.try_recv() {
            if let AgentCommand::Acknowledge(sequence) = command {
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
async fn a_query_without_group_by_has_a_row_in_every_window_since_its_install() {
    let mut fixture = fixture_of("FROM t IN T SELECT COUNT, SUM(t.x)");
    let connection = fixture.connection;
    fixture.state.registry.agent_of(connection).unwrap().watermark_ns = 3 * SECOND;
    let frames = fixture.frames(3 * SECOND + 1).await;
    let starts: Vec<i64> = frames.iter().map(|frame| frame.window_start_ns).collect();
    assert_eq!(starts, [0, SECOND, 2 * SECOND]);
    for frame in &frames {
        let nothing = [Value::U64(0), Value::Null].map(|value| to_wire::value(&value));
        assert_eq!((frame.rows.len(), &frame.rows[0].values[..]), (1, &nothing[..]));
        let found = frame.completeness.unwrap();
        assert_eq!((found.agents_reporting, found.agents_expected, found.partial), (1, 1, false));
    }
    assert_eq!(frames[2].cumulative.len(), 1);

    // The window in which it ends counts as well, and nothing behind it.
    assert!(fixture.state.uninstall(fixture.query, 3 * SECOND + 2));
    fixture.weave();
    let frames = fixture.frames(9 * SECOND).await;
    let starts: Vec<(i64, bool)> = frames.iter().map(|frame| (frame.window_start_ns, frame.last)).collect();
    assert_eq!(starts, [(3 * SECOND, false), (4 * SECOND, true)]);
    assert_eq!((frames[1].rows.len(), frames[1].cumulative.len()), (0, 1));
}

#[tokio::test]
async fn where_no_agent_has_the_tracepoint_nobody_says_that_nothing_happened() {
    for (text, agents) in [
        ("FROM u IN Unknown SELECT COUNT", 0),
        ("FROM u IN Unknown GROUP BY u.x SELECT u.x, COUNT", 0),
        ("FROM t IN T GROUP BY t.x SELECT t.x, COUNT", 1),
    ] {
        let mut fixture = fixture_of(text);
        let connection = fixture.connection;
        fixture.state.registry.agent_of(connection).unwrap().watermark_ns = 3 * SECOND;
        assert!(fixture.frames(3 * SECOND + 1).await.is_empty(), "{text}");

        assert!(fixture.state.uninstall(fixture.query, 3 * SECOND + 2));
        fixture.weave();
        let frames = fixture.frames(9 * SECOND).await;
        let whole = frames[0].cumulative_completeness.unwrap();
        assert_eq!((frames.len(), frames[0].cumulative.len()), (1, 0), "{text}");
        // Not at the epoch, though there was no window.
        assert!(frames[0].window_end_ns > 3 * SECOND, "{text}");
        assert_eq!((whole.agents_reporting, whole.agents_expected), (agents, agents), "{text}");
    }
}

#[tokio::test]
async fn a_report_sent_twice_counts_once_and_is_acknowledged_twice() {
    let mut fixture = fixture();
    assert_eq!(fixture.report(4, SECOND, 2), SequenceCheck::Next);
    assert_eq!(fixture.report(4, SECOND, 2), SequenceCheck::Duplicate);
    assert_eq!(fixture.acknowledged(), [0; 0], "nothing is durable yet");
    let frames = fixture.frames(2 * SECOND).await;
    assert_eq!((frames.len(), count(&frames[0].rows)), (1, Value::U64(2)));
    assert_eq!(fixture.acknowledged(), [4]);
    assert_eq!(fixture.report(4, SECOND, 2), SequenceCheck::Duplicate);
    assert!(fixture.frames(2 * SECOND).await.is_empty());
    assert_eq!(fixture.acknowledged(), [4]);
    assert!(!frames[0].completeness.unwrap().partial);
}

#[test]
fn frames_of_finished_queries_make_room_for_new_ones() {
    let mut fixture = fixture();
    let query = compiled(&fixture.state, "FROM t IN T SELECT COUNT");
    while fixture.state.queries.iter().count() < MAX_QUERIES {
        fixture.state.install("", query.clone(), 1);
    }
    assert!(!fixture.state.queries.make_room());

    let all = fixture.state.queries.iter().map(|query| query.definition.id.number);
    let numbers: Vec<u32> = all.skip(5).take(2).collect();
    for (number, at) in numbers.iter().zip([9, 4]) {
        fixture.state.queries.get_mut(*number).unwrap().finished_ns = Some(at);
    }
    assert!(fixture.state.queries.make_room());
    assert!(fixture.state.query(numbers[0]).is_some() && fixture.state.query(numbers[1]).is_none());
}

#[tokio::test]
async fn a_report_of_an_agent_that_was_forgotten_meanwhile_still_counts_once() {
    let mut fixture = fixture();
    assert_eq!(fixture.report(4, SECOND, 5), SequenceCheck::Next);
    let connection = fixture.connection;
    fixture.state.disconnect(connection, 2 * SECOND);
    fixture.state.tick(3_600 * SECOND);
    assert!(fixture.state.registry.get(1).is_none());
    assert_eq!(fixture.state.registry.exports.catalog().tracepoints().count(), 1, "a query uses it");

    // It has not heard that the report was merged.
    let (outbox, inbox) = mpsc::channel(100);
    let now_ns = 3_601 * SECOND;
    let identity = AgentIdentity::default();
    fixture.connection = fixture.state.connect(1, identity, Default::default(), outbox, now_ns);
    fixture.inbox = inbox;
    assert_eq!(fixture.report(4, SECOND, 5), SequenceCheck::Duplicate);
    let frames = fixture.frames(3_602 * SECOND).await;
    assert_eq!(fixture.acknowledged(), [4]);
    let cumulative = frames.last().unwrap().cumulative.clone();
    assert_eq!(count(&cumulative), Value::U64(5));
}

#[test]
fn what_agents_exported_that_went_away_is_gone_once_no_query_uses_it() {
    let mut fixture = fixture();
    let connection = fixture.connection;
    fixture.state.disconnect(connection, 2 * SECOND);
    let listed = |fixture: &StateFixture| client_wire::tracepoints(&fixture.state.registry.exports);
    fixture.state.tick(60 * SECOND);
    assert_eq!((listed(&fixture).len(), listed(&fixture)[0].agents), (1, 0));

    fixture.state.tick(3_600 * SECOND);
    assert!(listed(&fixture).is_empty(), "nobody has it, though a query was compiled for it");
    fixture.state.uninstall(fixture.query, 3_601 * SECOND);
    assert_eq!(fixture.state.registry.exports.catalog().tracepoints().count(), 0);
}

#[tokio::test]
async fn rows_without_a_group_come_beside_the_others_and_make_the_result_partial() {
    let mut fixture = fixture();
    let own = to_wire::groups(&groups(&[(&[Value::str("a")], 2)]));
    let other = to_wire::groups(&groups(&[(&[] as &[Value], 40)]));
    let part = wire::Part { groups: own, other, emitted: 42, ..Default::default() };
    fixture.report_part(1, SECOND, part);
    fixture.report(2, SECOND, 1);
    let frame = fixture.frames(2 * SECOND).await.remove(0);
    let other = frame.other.clone().unwrap();

    assert_eq!((frame.rows.len(), count(&frame.rows)), (1, Value::U64(3)));
    assert_eq!(from_wire::value(other.values[0].clone()).unwrap(), Value::Null);
    assert_eq!((count(&[other]), frame.cumulative_other.is_some()), (Value::U64(40), true));

    let found = frame.completeness.unwrap();
    assert_eq!((found.other, found.partial, found.emitted), (40, true, 43));
}

#[tokio::test]
async fn a_reply_that_left_with_tuples_and_arrived_without_makes_absences_uncertain() {
    let mut fixture = fixture();
    let rows = to_wire::groups(&groups(&[(&[Value::str("a")], 2)]));
    let kept = |undecided, left| wire::Part {
        groups: rows.clone(),
        emitted: 2,
        undecided,
        left,
        ..Default::default()
    };
    let uncertain = |frame: &wire::Frame| {
        let found = frame.completeness.unwrap();
        (found.partial, found.loss.unwrap().uncertain, found.loss.unwrap().unreturned)
    };

    // A service without Pivot: one end alone tells of its replies.
    let bare = |tag, peer: &str| wire::BareReply { tag, peer: peer.to_owned() };
    fixture.report_with(1, SECOND, kept(2, vec![]), vec![bare(7, "plain:80")]);
    assert_eq!(uncertain(&fixture.frames(2 * SECOND).await[0]), (false, 0, 0));

    // A call that was cancelled: the other end alone does. Then both tell of one.
    fixture.report_with(2, 2 * SECOND, kept(3, vec![8, 9]), vec![]);
    assert_eq!(uncertain(&fixture.frames(3 * SECOND).await[0]), (false, 0, 0));
    fixture.report_with(3, 3 * SECOND, kept(4, vec![]), vec![bare(9, "store:80"), bare(7, "plain:80")]);

    let frames = fixture.frames(4 * SECOND).await;
    let found: Vec<_> = frames.iter().map(|frame| (frame.revision, uncertain(frame))).collect();
    assert_eq!(found, [(1, (true, 2, 0)), (1, (true, 3, 0)), (0, (true, 4, 1))]);
    let cumulative = frames[2].cumulative_completeness.unwrap();
    assert_eq!((cumulative.partial, cumulative.loss.unwrap().uncertain), (true, 9));
    let query = fixture.state.query(fixture.query).unwrap();
    assert_eq!(query.unreturned.peers().into_iter().collect::<Vec<_>>(), ["store:80"]);
}

#[tokio::test]
async fn a_sample_is_added_to_what_is_exact_and_says_so() {
    let mut fixture = fixture();
    let part = |i: u64| [Value::str("a"), Value::U64(i)];
    let sampled = groups(&[(&part(3), 8), (&part(9), 16)]);
    let (own, sampled) = (to_wire::groups(&groups(&[(&[Value::str("a")], 2)])), to_wire::groups(&sampled));
    let loss = Some(wire::Loss { throttled: 20, ..Default::default() });
    let (weights, squares) = (24, 192);
    let part = wire::Part { groups: own, sampled, weights, squares, emitted: 5, loss, ..Default::default() };
    fixture.report_part(1, SECOND, part);
    let frame = fixture.frames(2 * SECOND).await.remove(0);

    assert_eq!((frame.rows.len(), count(&frame.rows)), (1, Value::U64(26)));
    assert!(frame.rows[0].standard_errors[1] > 10.0, "{:?}", frame.rows);

    let estimates: Vec<_> = frame.columns.iter().map(|column| column.estimate()).collect();
    use wire::column::Estimate::{None, Scaled};
    assert_eq!((estimates, frame.completeness.unwrap().partial), (vec![None, Scaled], true));
}

#[tokio::test]
async fn what_cannot_be_read_is_dropped_and_counted() {
    let mut fixture = fixture();
    for (sequence, field) in (1..).zip(0..3) {
        let mut part = wire::Part { emitted: 5, ..Default::default() };
        *[&mut part.groups, &mut part.sampled, &mut part.other][field] = vec![255; 9];
        fixture.report_part(sequence, SECOND, part);
    }
    let found = fixture.frames(2 * SECOND).await.remove(0).completeness.unwrap();
    assert_eq!((found.emitted, found.loss.unwrap().dropped, found.partial), (15, 15, true));
}

#[test]
fn a_gap_is_not_acknowledged() {
    let mut fixture = fixture();
    fixture.report(1, SECOND, 1);
    assert_eq!(fixture.report(3, SECOND, 1), SequenceCheck::Gap);
    fixture.state.tick(SECOND);
    assert_eq!(fixture.acknowledged(), [1]);
    assert_eq!(fixture.report(2, SECOND, 1), SequenceCheck::Next);
}

#[test]
fn a_query_that_is_gone_is_kept_longer_while_somebody_reads_it() {
    for (readers, keeps) in [(0, 1), (1, KEEP_FACTOR_WITH_READERS)] {
        let mut fixture = fixture();
        let keep_ns = fixture.state.keep_finished_ns;
        fixture.state.uninstall(fixture.query, SECOND);
        fixture.state.tick(60 * SECOND);
        let finished_ns = fixture.state.query(fixture.query).unwrap().finished_ns.unwrap();
        fixture.state.query_mut(fixture.query).unwrap().readers = readers;
        fixture.state.tick(finished_ns + keeps * keep_ns);
        assert!(fixture.state.query(fixture.query).is_some());
        fixture.state.tick(finished_ns + keeps * keep_ns + 1);
        assert!(fixture.state.query(fixture.query).is_none());
    }
}

#[tokio::test]
async fn what_comes_for_a_forgotten_window_is_in_the_newest_result() {
    let mut fixture = fixture();
    for number in 1..=100 {
        fixture.report(number, number as i64 * SECOND, 1);
        fixture.state.tick((number as i64 + 1) * SECOND);
    }
    fixture.report(101, SECOND, 5);
    fixture.state.tick(102 * SECOND);
    let frames = fixture.read(FrameSelection::Newest).await;
    assert_eq!(count(&frames.last().unwrap().cumulative), Value::U64(105));
}

#[tokio::test]
async fn late_data_is_a_revision_of_its_window() {
    let mut fixture = fixture();
    fixture.report(1, SECOND, 2);
    fixture.frames(2 * SECOND).await;
    fixture.report(2, SECOND, 3);
    let frames = fixture.frames(3 * SECOND).await;
    assert_eq!((frames.len(), frames[0].revision), (1, 1));
    assert_eq!((count(&frames[0].rows), count(&frames[0].cumulative)), (Value::U64(5), Value::U64(5)));
    assert!(fixture.frames(4 * SECOND).await.is_empty());
}

#[tokio::test]
async fn a_window_waits_for_an_agent_no_longer_than_its_grace() {
    let mut fixture = fixture();
    fixture.report(1, 3 * SECOND, 2);
    let connection = fixture.connection;
    fixture.state.registry.agent_of(connection).unwrap().watermark_ns = 0;
    assert!(fixture.frames(5 * SECOND).await.is_empty());
    let frames = fixture.frames(6 * SECOND).await;
    let completeness = frames[0].completeness.unwrap();
    assert_eq!((completeness.agents_reporting, completeness.agents_expected), (0, 1));
    assert!(completeness.partial);
}

/// A part that says when the query was woven, and nothing else.
fn woven(since_ns: i64, until_ns: Option<i64>) -> wire::Part {
    wire::Part { woven: Some(wire::WovenTime { since_ns, until_ns }), ..Default::default() }
}

#[tokio::test]
async fn a_result_covers_the_time_in_which_the_query_was_woven() {
    let mut fixture = fixture();
    fixture.report_part(1, SECOND, woven(SECOND * 16 / 10, None));
    fixture.report(2, SECOND, 2);
    let frame = fixture.frames(2 * SECOND).await.remove(0);
    let (window, whole) = (frame.completeness.unwrap(), frame.cumulative_completeness.unwrap());
    assert_eq!((window.covered_ns, window.length_ns, window.partial), (SECOND * 4 / 10, SECOND, false));
    assert_eq!((whole.covered_ns, whole.length_ns), (SECOND * 4 / 10, SECOND));

    // Windows without rows count for the result since install, and so does the time after the last row.
    fixture.report(3, 4 * SECOND, 2);
    let whole = fixture.frames(5 * SECOND).await.remove(0).cumulative_completeness.unwrap();
    assert_eq!((whole.covered_ns, whole.length_ns), (SECOND * 34 / 10, 4 * SECOND));
    assert!(fixture.state.uninstall(fixture.query, 8 * SECOND));
    fixture.report_part(4, 8 * SECOND, woven(SECOND * 16 / 10, Some(SECOND * 81 / 10)));
    fixture.weave();
    let last = fixture.frames(9 * SECOND).await.pop().unwrap();
    assert!(last.last);
    assert_eq!(last.cumulative_completeness.unwrap().covered_ns, SECOND * 65 / 10);
}

#[tokio::test]
async fn the_only_agent_of_a_query_that_vanishes_makes_its_last_window_partial() {
    let mut fixture = fixture();
    fixture.report_part(1, SECOND, woven(SECOND, None));
    fixture.report(2, SECOND, 2);
    assert!(!fixture.frames(2 * SECOND).await[0].completeness.unwrap().partial);

    let connection = fixture.connection;
    fixture.state.disconnect(connection, SECOND * 25 / 10);
    let frames = fixture.frames(6 * SECOND).await;
    let (window, whole) = (frames[0].completeness.unwrap(), frames[0].cumulative_completeness.unwrap());
    assert_eq!((frames.len(), frames[0].window_start_ns), (1, 2 * SECOND));
    assert_eq!((window.partial, window.agents_reporting, window.agents_expected), (true, 0, 1));
    assert_eq!((whole.partial, whole.incomplete_windows), (true, 1));
}

#[tokio::test]
async fn an_agent_that_leaves_in_order_makes_nothing_partial() {
    let mut fixture = fixture();
    fixture.report_part(1, SECOND, woven(SECOND, None));
    fixture.report(2, SECOND, 2);
    let connection = fixture.connection;
    fixture.state.note_goodbye(connection, SECOND * 25 / 10);
    fixture.state.disconnect(connection, SECOND * 25 / 10);
    let frames = fixture.frames(6 * SECOND).await;
    assert_eq!((frames.len(), frames[0].cumulative_completeness.unwrap().partial), (1, false));
}

#[tokio::test]
async fn a_window_is_no_longer_partial_once_all_agents_have_reported_past_it() {
    let mut fixture = fixture();
    fixture.report(1, 3 * SECOND, 2);
    let connection = fixture.connection;
    fixture.state.registry.agent_of(connection).unwrap().watermark_ns = 0;
    let frame = fixture.frames(6 * SECOND).await.remove(0);
    assert!(frame.completeness.unwrap().partial);
    assert_eq!(frame.cumulative_completeness.unwrap().incomplete_windows, 1);

    // It had nothing to say of it.
    fixture.state.registry.agent_of(connection).unwrap().watermark_ns = 6 * SECOND;
    let frame = fixture.frames(8 * SECOND).await.remove(0);
    assert_eq!((frame.window_start_ns, frame.revision), (3 * SECOND, 1));
    assert!(!frame.completeness.unwrap().partial);
    assert!(!frame.cumulative_completeness.unwrap().partial);
}

#[tokio::test]
async fn uninstall_ends_with_the_cumulative_result_after_the_flush() {
    let mut fixture = fixture();
    fixture.report(1, SECOND, 2);
    fixture.frames(2 * SECOND).await;
    assert!(fixture.state.uninstall(fixture.query, 2 * SECOND));
    assert!(fixture.frames(2 * SECOND).await.is_empty());

    fixture.report(2, 2 * SECOND, 1);
    // An agent cuts the window in which it unweaves, so its watermark stays behind that window.
    let connection = fixture.connection;
    fixture.state.registry.agent_of(connection).unwrap().watermark_ns = 2 * SECOND;
    fixture.weave();
    let frames = fixture.frames(2 * SECOND + 1).await;
    let last: Vec<bool> = frames.iter().map(|frame| frame.last).collect();

    assert_eq!(last, [false, true]);
    assert!(!frames[0].completeness.unwrap().partial);

    let whole = frames[1].cumulative_completeness.unwrap();
    assert_eq!((whole.partial, whole.agents_reporting, whole.agents_expected), (false, 1, 1));
    assert_eq!(count(&frames[1].cumulative), Value::U64(3));
    assert!(fixture.frames(9 * SECOND).await.is_empty());
    assert_eq!(
        fixture
            .state
            .query(fixture.query)
            .unwrap()
            .frames
            .next_after(2, FrameSelection::All)
            .unwrap()
            .sequence,
        3
    );
}

/// Connects an agent, in place of its earlier connection if there is one, which has a lease of 10 s and weaves at once.
fn connect(fixture: &mut StateFixture, incarnation: u64, tracepoint: &str, now_ns: i64) -> AgentConnectionId {
    let identity = AgentIdentity { lease_ns: 10 * SECOND, ..AgentIdentity::default() };
    let (outbox, inbox) = mpsc::channel(100);
    let exports = vec![exports(tracepoint)].into();
    let connection = fixture.state.connect(incarnation, identity, exports, outbox, now_ns);

    // It is told what to weave when it is stored that it is there.
    fixture.state.tick(now_ns);
    fixture.inbox = inbox;
    let woven = WovenNotice { generation: fixture.state.generation(), ..Default::default() };
    fixture.state.note_woven(connection, woven, now_ns);
    connection
}

/// A frontend whose agents 1 and 2 have reported two rows each of the second from 1 s on; agent 1 is lost at 2.5 s.
fn fixture_with_a_lost_agent() -> StateFixture {
    let mut fixture = fixture();
    let lost = connect(&mut fixture, 1, "T", 3);
    let other = connect(&mut fixture, 2, "T", 4);
    for connection in [lost, other] {
        fixture.connection = connection;
        fixture.report(1, SECOND, 2);
    }

    fixture.state.tick(2 * SECOND);
    fixture.state.disconnect(lost, 2 * SECOND + SECOND / 2);
    fixture
}

/// The start of each frame's window, the agents that have reported it and those that should, and whether it and the
/// result since install are partial.
fn completeness(frames: &[wire::Frame]) -> Vec<(i64, u32, u32, bool, Option<bool>)> {
    let found = frames.iter().map(|frame| {
        let window = frame.completeness.unwrap();
        let whole = frame.cumulative_completeness.map(|whole| whole.partial);
        let start = frame.window_start_ns / SECOND;
        (start, window.agents_reporting, window.agents_expected, window.partial, whole)
    });
    found.collect()
}

#[tokio::test]
async fn a_lost_agent_is_missed_until_its_lease_has_ended_and_holds_nothing_up() {
    let mut fixture = fixture_with_a_lost_agent();
    fixture.frames(2 * SECOND).await;

    // While it may be back any moment its window waits.
    fixture.report(2, 2 * SECOND, 1);
    assert!(fixture.frames(3 * SECOND).await.is_empty());
    let frames = fixture.frames(5 * SECOND).await;
    assert_eq!(completeness(&frames), [(2, 1, 2, true, Some(true))]);

    // Later ones do not wait, and those behind its lease do not miss it.
    fixture.report(3, 9 * SECOND, 1);
    let frames = fixture.frames(10 * SECOND).await;
    assert_eq!(completeness(&frames), [(9, 1, 2, true, Some(true))]);
    fixture.report(4, 13 * SECOND, 1);
    let frames = fixture.frames(14 * SECOND).await;
    assert_eq!(completeness(&frames), [(13, 1, 1, false, Some(true))]);

    // That it is forgotten does not bring its rows.
    fixture.report(5, 4_000 * SECOND, 1);
    let frames = fixture.frames(4_001 * SECOND).await;
    assert!(fixture.state.registry.get(1).is_none());
    assert_eq!(completeness(&frames), [(4_000, 1, 1, false, Some(true))]);
}

#[tokio::test]
async fn what_a_lost_agent_reports_when_it_is_back_makes_results_complete_again() {
    let mut fixture = fixture_with_a_lost_agent();
    fixture.report(2, 2 * SECOND, 1);
    for second in 3..80 {
        fixture.report(second as u64, second * SECOND, 1);
        fixture.state.tick((second + 1) * SECOND);
    }
    let frames = fixture.frames(80 * SECOND).await;
    assert_eq!(completeness(&frames).last().unwrap().4, Some(true));

    // Also those of windows that are forgotten: of sixty and more seconds.
    let other = fixture.connection;
    fixture.connection = connect(&mut fixture, 1, "T", 81 * SECOND);
    fixture.report(2, 2 * SECOND, 5);
    fixture.report(3, 81 * SECOND, 5);
    fixture.connection = other;
    fixture.report(80, 81 * SECOND, 1);
    let frames = fixture.frames(83 * SECOND).await;
    let last = frames.last().unwrap();
    assert!(!last.cumulative_completeness.unwrap().partial, "{:?}", last.cumulative_completeness);
    assert_eq!(count(&last.cumulative), Value::U64(2 + 2 + 78 + 5 + 5 + 1));
}

#[tokio::test]
async fn a_lost_agent_that_cannot_have_rows_is_not_missed() {
    let mut fixture = fixture();
    let unrelated = connect(&mut fixture, 2, "U", 3);
    fixture.state.disconnect(unrelated, SECOND);
    fixture.report(1, SECOND, 2);
    let frames = fixture.frames(2 * SECOND).await;
    assert_eq!(completeness(&frames), [(1, 1, 1, false, Some(false))]);
}

#[tokio::test]
async fn a_query_that_ends_while_its_only_agent_is_not_heard_of_ends_partial() {
    let mut fixture = fixture();
    fixture.report(1, SECOND, 2);
    fixture.frames(2 * SECOND).await;

    // Its connection is open, and neither its last rows nor that it has unwoven the query come through.
    assert!(fixture.state.uninstall(fixture.query, 5 * SECOND));
    fixture.state.tick(5 * SECOND);
    let frames = fixture.frames(20 * SECOND).await;
    let whole = frames.last().unwrap().cumulative_completeness.unwrap();
    assert!(frames.last().unwrap().last);
    assert_eq!((whole.partial, whole.incomplete_windows), (true, 2));
}

#[tokio::test]
async fn a_query_that_ends_before_its_agent_says_that_it_is_woven_ends_partial() {
    let mut fixture = fixture();
    let late = compiled(&fixture.state, "FROM t IN T GROUP BY t.host SELECT t.host, SUM(t.x)");
    fixture.query = fixture.state.install("late", late, 3 * SECOND).number;
    fixture.state.tick(3 * SECOND);
    assert!(fixture.state.uninstall(fixture.query, 5 * SECOND));

    let frames = fixture.frames(20 * SECOND).await;
    assert!(frames.last().unwrap().cumulative_completeness.unwrap().partial);
}

#[tokio::test]
async fn a_query_that_is_uninstalled_while_an_agent_is_lost_ends_partial() {
    let mut fixture = fixture_with_a_lost_agent();
    fixture.frames(2 * SECOND).await;
    assert!(fixture.state.uninstall(fixture.query, 5 * SECOND));
    fixture.state.tick(5 * SECOND);
    fixture.weave();

    let frames = fixture.frames(20 * SECOND).await;
    let last = frames.last().unwrap();
    assert!(last.last && last.cumulative_completeness.unwrap().partial);
}

#[test]
fn agents_hear_from_a_frontend_that_can_store_nothing() {
    let mut fixture = fixture();
    fixture.state.tick(SECOND);
    while fixture.inbox.try_recv().is_ok() {}

    // What changes is neither told nor acknowledged.
    fixture.report(1, SECOND, 2);
    fixture.state.uninstall(fixture.query, 2 * SECOND);
    fixture.state.advance(2 * SECOND);
    fixture.state.keep_agents_alive();
    let heard = fixture.inbox.try_recv().unwrap().unwrap();
    assert!(
        matches!(heard, AgentCommand::WovenEverywhere(_)) && fixture.inbox.try_recv().is_err(),
        "{heard:?}"
    );
}
