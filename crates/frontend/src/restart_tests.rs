//! A frontend that stops at random between any two steps and is started again over its store, against a plain sum.
#![allow(clippy::unwrap_used)]

use crate::FrontendOptions;
use crate::agent_identity::AgentIdentity;
use crate::agent_registry::AgentConnectionId;
use crate::agent_report::WovenNotice;
use crate::agent_session::SequenceCheck;
use crate::agent_wire::agent_report;
use crate::compilation::{CompiledQuery, Compiler};
use crate::kept_frames::FrameSelection;
use crate::select::SelectEngine;
use crate::state::FrontendState;
use crate::store::{StateChanges, Store};
use crate::wanted_advice::AgentCommand;
use pivot_advice::{Exports, FieldDescriptor, Groups, Type, Value};
use pivot_protocol::{to_wire, wire};
use pivot_query::{CompileOptions, compile_with};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::Status;

const SECOND: i64 = 1_000_000_000;

/// Many short windows, which are forgotten and taken up by the result since install.
const SHORT: &str = "FROM t IN T GROUP BY t.host SELECT t.host, COUNT";

/// A few long windows, which many commits add to, so that they are written as a whole now and then.
const LONG: &str = "FROM t IN T GROUP BY t.host SELECT t.host, COUNT EVERY 20m";

/// The steps of one case.
const STEPS: usize = 1_500;

/// A frontend over a store, and the one agent that it has.
struct Case {
    state: FrontendState,
    store: Store,
    /// Changes that a commit that failed has left.
    uncommitted: Vec<Arc<StateChanges>>,
    connection: AgentConnectionId,
    inbox: mpsc::Receiver<Result<AgentCommand, Status>>,
    query: u32,
    now_ns: i64,
    /// Reports that the agent has sent, and of which it has not been told that they are stored.
    unacknowledged: VecDeque<wire::Report>,
    sequence: u64,
    truth: u64,
    /// How often the result since install was stored as a whole, and how often a window was.
    stored_totals: usize,
    stored_windows: usize,
    random: u64,
}

fn open(directory: &Path, now_ns: i64) -> (FrontendState, Store) {
    let options = FrontendOptions::default();
    let opened = Store::open(&options.machine, directory).unwrap();
    assert!(opened.set_aside.is_none());

    match opened.state {
        None => (FrontendState::new(&options, now_ns), opened.store),
        Some(stored) => {
            let compiler: Compiler = Arc::new(compile_with);
            let (state, problems) = FrontendState::restore(&options, stored, &compiler, now_ns);
            assert!(problems.is_empty(), "{problems:?}");
            (state, opened.store)
        }
    }
}

/// Connects the agent to a frontend.
fn connect(
    state: &mut FrontendState,
    now_ns: i64,
) -> (AgentConnectionId, mpsc::Receiver<Result<AgentCommand, Status>>) {
    let fields = vec![FieldDescriptor { name: "x".into(), ty: Type::I64 }];
    let (file, module) = ("a.rs".into(), "a".into());
    let exports = vec![Exports { tracepoint: "T".into(), fields, file, line: 1, module }];

    let (outbox, inbox) = mpsc::channel(1_000);
    let identity = AgentIdentity { lease_ns: 600 * SECOND, ..AgentIdentity::default() };
    (state.connect(1, identity, exports.into(), outbox, now_ns), inbox)
}

impl Case {
    fn new(directory: &Path, text: &str, seed: u64) -> Case {
        let now_ns = SECOND;
        let (mut state, store) = open(directory, now_ns);
        let (connection, inbox) = connect(&mut state, now_ns);

        let snapshot = state.compile_snapshot();
        let program = compile_with(text, &snapshot.catalog, &CompileOptions::default()).unwrap();
        let compiled = CompiledQuery::new(snapshot.next_id, program, CompileOptions::default(), 0);
        let query = state.install("", compiled, now_ns).number;

        let (uncommitted, unacknowledged, sequence, truth) = (Vec::new(), VecDeque::new(), 0, 0);
        let (stored_totals, stored_windows) = (0, 0);
        // Neighbouring seeds lead to cases that have nothing in common.
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut case = Case {
            state,
            store,
            uncommitted,
            connection,
            inbox,
            query,
            now_ns,
            unacknowledged,
            sequence,
            truth,
            stored_totals,
            stored_windows,
            random,
        };
        case.commit();
        case.weave();
        case
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    /// Says that the newest generation is woven.
    fn weave(&mut self) {
        let generation = self.state.generation();
        let woven = WovenNotice { generation, ..WovenNotice::default() };
        self.state.note_woven(self.connection, woven, self.now_ns);
    }

    /// Reports some rows of a window, which now and then is an old one.
    fn report(&mut self) {
        let late = if self.below(10) == 0 { self.below(200) as i64 } else { 0 };
        let start_ns = ((self.now_ns / SECOND - late).max(1)) * SECOND;
        let n = 1 + self.below(5);
        let mut groups = Groups::new(1, &[]);
        groups.entry(&[Value::U64(self.below(20))]).n = n;

        self.truth += n;
        self.sequence += 1;
        let id = self.state.query(self.query).unwrap().definition.id;
        let mut part = wire::Part { query: Some(to_wire::query_id(id)), emitted: n, ..wire::Part::default() };
        match self.below(2) {
            0 => part.groups = to_wire::groups(&groups),
            _ => part.columns = to_wire::group_columns(&groups),
        }
        let report = wire::Report {
            sequence: self.sequence,
            window_start_ns: start_ns,
            window_end_ns: start_ns + SECOND,
            parts: vec![part],
            watermark_ns: self.now_ns,
            ..Default::default()
        };
        self.unacknowledged.push_back(report.clone());
        self.send(report);
    }

    fn send(&mut self, report: wire::Report) {
        let check = self.state.merge_report(self.connection, agent_report(report), self.now_ns);
        assert_ne!(check, SequenceCheck::Gap);
    }

    fn commit(&mut self) {
        self.store_all();
        self.state.publish();
        self.hear();
    }

    fn advance(&mut self) {
        let changes = self.state.advance(self.now_ns);
        self.stored_totals += changes.totals.len();
        self.stored_windows += changes.rows.iter().filter(|rows| rows.replaces_earlier).count();
        self.uncommitted.push(Arc::new(changes));
    }

    /// Advances the state and stores what has changed, but publishes nothing.
    fn store_all(&mut self) {
        self.advance();
        self.store.commit(&self.uncommitted).unwrap();
        // Now and then the commit is not known to have succeeded, and comes once more.
        if self.below(8) > 0 {
            self.uncommitted.clear();
        }
    }

    /// Forgets what the frontend has acknowledged.
    fn hear(&mut self) {
        while let Ok(Ok(command)) = self.inbox.try_recv() {
            if let AgentCommand::Acknowledge(sequence) = command {
                self.unacknowledged.retain(|report| report.sequence > sequence);
            }
        }
    }

    /// Ends the frontend where it is, and starts it again; the agent sends what it still has.
    fn restart(&mut self, directory: &Path) {
        // The file is open once.
        self.store = Store::none();
        self.uncommitted.clear();
        (self.state, self.store) = open(directory, self.now_ns);
        (self.connection, self.inbox) = connect(&mut self.state, self.now_ns);

        self.weave();
        for report in self.unacknowledged.clone() {
            self.send(report);
        }
    }

    fn step(&mut self, directory: &Path) {
        match self.below(40) {
            0 => self.restart(directory),
            1 => {
                // Committed, and ended before anybody heard of it.
                self.store_all();
                self.restart(directory);
            }

            2 => {
                self.state.advance(self.now_ns);
                self.restart(directory);
            }
            // The disk is full: nothing is stored, and nothing published.
            3..=5 => self.advance(),
            6..=14 => self.now_ns += self.below(4 * SECOND as u64) as i64,
            15..=27 => self.report(),
            28..=30 => {
                // It comes while a commit runs, which must not acknowledge it.
                self.store_all();
                self.report();
                self.state.publish();
                self.hear();
            }
            _ => self.commit(),
        }
    }
}

/// Runs a case, and returns it at its end.
async fn check(text: &str, seed: u64) -> Case {
    let directory = tempfile::tempdir().unwrap();
    let mut case = Case::new(directory.path(), text, seed);
    for _ in 0..STEPS {
        case.step(directory.path());
    }
    while !case.unacknowledged.is_empty() {
        case.commit();
    }

    assert!(case.state.uninstall(case.query, case.now_ns));
    case.commit();
    case.weave();
    case.commit();
    case.restart(directory.path());

    let frames = &case.state.query(case.query).unwrap().frames;
    let mut last = None;
    while let Some(frame) = frames.next_after(
        last.as_ref().map_or(0, |frame: &crate::kept_frames::Frame| frame.sequence),
        FrameSelection::All,
    ) {
        last = Some(frame);
    }
    let last = last.unwrap();
    assert!(last.end.is_some(), "seed {seed}");
    let engine = SelectEngine::new();
    let computed = last.compute(&engine).await.unwrap();
    let since_install = computed.cumulative.unwrap();
    let counted: u64 = since_install.result.groups.groups.iter().map(|group| group.n).sum();
    assert_eq!(counted, case.truth, "seed {seed}");
    assert!(!since_install.result.is_partial(since_install.table), "seed {seed}");
    case
}

#[tokio::test]
async fn a_frontend_that_stops_anywhere_goes_on_with_the_right_sums() {
    let first = RandomState::new().hash_one(0);
    for seed in [first, first.wrapping_add(1)] {
        assert!(check(SHORT, seed).await.stored_totals > 0, "seed {seed}: windows were taken up");
        assert!(check(LONG, seed).await.stored_windows > 0, "seed {seed}: windows were written as a whole");
    }
}
