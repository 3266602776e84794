//! History against a model: whatever windows and late rows there were, whatever was put into files and merged, and however
//! often the store was opened again, a range of windows adds up to what it was.

#![allow(clippy::unwrap_used)]

use super::archive::Archive;
use super::compaction::merge_files;
use super::file_store::FileStore;
use super::kept_query::KeptQuery;
use super::options::HistoryOptions;
use super::reader::{KeptWindow, WantedRevisions};
use super::retention::{RetentionRules, expire};
use super::writer::{ALWAYS, take_to_files};
use crate::agent_coverage::AgentCoverage;
use crate::options::FrontendOptions;
use crate::range_coverage::RangeCoverage;
use crate::store::{DeltaKey, HistoryNews, HistoryQueryRecord, OutputRecord, StateChanges, Store};
use crate::time_range::TimeRange;
use crate::window_delta::{WindowDelta, WindowState};
use crate::window_groups::WindowGroups;
use futures::StreamExt;
use pivot_advice::{EvalErrors, Groups, Value};
use pivot_merge::MergedGroups;
use pivot_query::{Catalog, OutputPlan, compile};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const SECOND: i64 = 1_000_000_000;
const BEGIN: i64 = 1_800_000_000 * SECOND;
const QUERY: u32 = 7;

/// A query with two keys and a state of each kind.
const TEXT: &str = "FROM t IN T GROUP BY t.s, t.k SELECT t.s, t.k, COUNT, SUM(t.x), AVG(t.x), MIN(t.y), MAX(t.y), \
                    P99(t.x), COUNT(DISTINCT t.y), STDDEV(t.x), COUNT(t.y), LHIST(t.x, 0, 100, 10)";

/// A sequence of numbers that follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A value of any type.
    fn value(&mut self) -> Value {
        match self.below(9) {
            0 => Value::Null,
            1 => Value::Bool(true),
            2 => Value::I64(self.below(3) as i64 - 1),
            3 => Value::U64(u64::MAX - self.below(2)),
            4 => Value::double(self.below(3) as f64 * 0.5),
            5 => Value::Bytes(vec![self.below(2) as u8].into()),
            6 => Value::Timestamp(self.below(2) as i64),
            7 => Value::List(vec![Value::str("a"), Value::U64(self.below(2))].into()),
            _ => Value::str(format!("text {}", self.below(3))),
        }
    }

    /// A number that adds up without rounding.
    fn number(&mut self) -> Value {
        match self.below(4) {
            0 => Value::I64(i64::MAX - self.below(3) as i64),
            1 => Value::F64(self.below(1_000) as f64),
            2 => Value::Null,
            _ => Value::I64(self.below(200) as i64 - 100),
        }
    }
}

fn plan() -> OutputPlan {
    compile(TEXT, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output
}

/// Makes rows of a report.
fn rows(random: &mut Random, output: &OutputPlan) -> Groups {
    let mut table = output.table();
    for _ in 0..random.below(30) {
        let key = [Value::str(format!("host-{}", random.below(4))), random.value()];
        let (x, y) = (random.number(), random.value());
        let mut states: Vec<_> = table.aggregates().iter().map(|aggregate| aggregate.empty()).collect();
        for (i, state) in states.iter_mut().enumerate() {
            let value = if i % 2 == 0 { &x } else { &y };
            state.update(value, 1, &mut EvalErrors::default());
        }
        table.entry(&key).merge(1 + random.below(3), &states);
    }
    table
}

/// Groups in an order of their own, with all that they are.
fn listed(groups: &WindowGroups) -> BTreeMap<String, String> {
    let sampled = groups.sampled.groups.iter().flatten().map(|group| ("sampled", group.clone()));
    let other = groups.other.iter().map(|group| ("other", group.clone()));
    let exact = groups.groups.iter().map(|group| ("exact", group));
    exact
        .chain(sampled)
        .chain(other)
        .map(|(part, group)| (format!("{part} {:?}", group.key), format!("{} {:?}", group.n, group.states)))
        .collect()
}

/// Compares all groups of two tables, one by one.
fn assert_same(found: &WindowGroups, expected: &WindowGroups) {
    let (found, expected) = (listed(found), listed(expected));
    for (key, group) in &expected {
        assert_eq!(found.get(key), Some(group), "{key}");
    }
    assert_eq!(found.len(), expected.len());
}

/// The windows as they are, and history as it is told of them.
struct KeptHistory {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    files: FileStore,
    output: OutputPlan,
    random: Random,
    truth: BTreeMap<i64, WindowGroups>,
    batch: u64,
}

impl KeptHistory {
    fn new(seed: u64) -> KeptHistory {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&FrontendOptions::default().machine, folder.path()).unwrap().store);
        let files = FileStore::open(folder.path().join("history").to_str().unwrap(), 1).unwrap();
        let (output, random) = (plan(), Random(seed));
        let mut scene =
            KeptHistory { folder, store, files, output, random, truth: BTreeMap::new(), batch: 1 };

        let record = HistoryQueryRecord {
            name: "all".into(),
            text: TEXT.into(),
            every_ns: SECOND,
            output: Some(OutputRecord::from(&scene.output)),
            ..HistoryQueryRecord::default()
        };
        scene.commit(HistoryNews { queries: BTreeMap::from([(QUERY, record)]), ..Default::default() });
        scene
    }

    fn shape(&self) -> MergedGroups {
        MergedGroups::from(&self.output.table())
    }

    fn commit(&mut self, history: HistoryNews) {
        let changes = StateChanges { history, ..StateChanges::default() };
        self.store.commit(&[Arc::new(changes)]).unwrap();
        self.batch += 1;
    }

    /// Adds rows to a window, which may be a new one.
    fn add(&mut self, start_ns: i64) {
        let mut added = WindowGroups::from(&rows(&mut self.random, &self.output));
        added.emitted = added.groups.row_count();
        added.is_answered = true;
        added.loss.dropped = self.random.below(4) / 3;
        if self.random.below(5) == 0 {
            let mut sampled = Groups::new(3, &self.output.states);
            let states: Vec<_> = self.output.states.iter().map(|state| state.empty()).collect();
            let key = [Value::str("host-9"), self.random.value(), Value::U64(self.random.below(16))];
            sampled.entry(&key).merge(4, &states);
            added.sampled.groups = Some(sampled);
            added.sampled.count(1, 4);
            added.other.entry(&[]).merge(2, &states);
        }

        let shape = self.shape();
        let total = self.truth.entry(start_ns).or_insert_with(|| WindowGroups::new(&shape));
        total.merge(&added);
        let coverage = AgentCoverage { reporting: 1, expected: 1 + self.random.below(2) as u32, lost: 0 };
        let time = RangeCoverage { covered_ns: SECOND, length_ns: SECOND, agents_late: 0 };
        let state = WindowState { revision: 0, coverage, time, totals: Arc::new(total.clone()) };
        // A window that is forgotten gets rows without a state.
        let state = (total.emitted == added.emitted || self.random.below(4) > 0).then_some(state);

        let window = TimeRange { start_ns, end_ns: start_ns + SECOND };
        let delta = WindowDelta { window, added: Arc::new(added), state };
        let key = DeltaKey { query: QUERY, start_ns, batch: self.batch };
        self.commit(HistoryNews { deltas: BTreeMap::from([(key, delta)]), ..Default::default() });
    }

    fn reopen(&mut self) {
        // Nobody else may have it open.
        self.store = Arc::new(Store::none());
        self.store =
            Arc::new(Store::open(&FrontendOptions::default().machine, self.folder.path()).unwrap().store);
    }

    fn archive(&self) -> Archive {
        let options = HistoryOptions {
            location: Some(self.folder.path().join("history").to_str().unwrap().to_owned()),
            ..HistoryOptions::default()
        };
        Archive::open(self.store.clone(), self.folder.path(), 1, options).unwrap()
    }

    fn query(&self) -> KeptQuery {
        self.archive().queries().unwrap().remove(0)
    }

    async fn read(&self, starts: TimeRange, wanted: WantedRevisions) -> Vec<KeptWindow> {
        let windows = self.archive().windows(self.query(), starts, wanted);
        windows.map(Result::unwrap).collect().await
    }

    /// Compares all windows of a range, and their sum, with the truth.
    async fn check(&self, starts: TimeRange) {
        let read = self.read(starts, WantedRevisions::Newest).await;
        let expected: Vec<(&i64, &WindowGroups)> = self.truth.range(starts.start_ns..starts.end_ns).collect();
        let found: Vec<i64> = read.iter().map(|window| window.time_range.start_ns).collect();
        assert_eq!(found, expected.iter().map(|(start_ns, _)| **start_ns).collect::<Vec<_>>());

        let (mut sum, mut true_sum) = (WindowGroups::new(&self.shape()), WindowGroups::new(&self.shape()));
        for (window, (_, truth)) in read.iter().zip(&expected) {
            assert_same(&window.groups, truth);
            assert_eq!(window.groups.loss, truth.loss);
            assert_eq!(window.groups.emitted, truth.emitted);
            assert_eq!(window.groups.sampled.weights, truth.sampled.weights);
            sum.merge(&window.groups);
            true_sum.merge(truth);
        }
        assert_same(&sum, &true_sum);
    }
}

/// Runs a random history and checks random ranges of it.
async fn run(seed: u64) {
    let mut scene = KeptHistory::new(seed);
    let mut now = 0_i64;
    for _ in 0..120 {
        match scene.random.below(20) {
            0 => {
                take_to_files(&scene.store, &scene.files).await.unwrap();
            }
            1 => {
                merge_files(&scene.store, &scene.files, BEGIN).await.unwrap();
            }
            2 => scene.reopen(),
            // Late rows of any window.
            3..6 => {
                let back = scene.random.below(now.max(1) as u64) as i64;
                scene.add(BEGIN + back * SECOND);
            }
            _ => {
                scene.add(BEGIN + now * SECOND);
                now += 1 + scene.random.below(2) as i64;
            }
        }
        if scene.random.below(10) == 0 {
            let from = scene.random.below(now.max(1) as u64) as i64;
            let to = from + scene.random.below(40) as i64;
            scene.check(TimeRange { start_ns: BEGIN + from * SECOND, end_ns: BEGIN + to * SECOND }).await;
        }
    }
    scene.check(ALWAYS).await;
}

#[tokio::test]
async fn any_range_of_windows_adds_up_whatever_was_put_into_files_and_merged() {
    let seeds = std::env::var("PIVOT_CASES").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(20);
    for seed in 0..seeds {
        eprintln!("seed {seed}");
        run(seed).await;
    }
}

#[tokio::test]
async fn each_revision_of_a_window_is_as_it_was() {
    let mut scene = KeptHistory::new(1);
    let mut truth = Vec::new();
    for _ in 0..3 {
        scene.add(BEGIN);
        truth.push(scene.truth[&BEGIN].clone());
        take_to_files(&scene.store, &scene.files).await.unwrap();
    }
    let read = scene.read(ALWAYS, WantedRevisions::All).await;
    for (window, truth) in read.iter().zip(&truth) {
        assert_same(&window.groups, truth);
    }
    assert_eq!(read.iter().map(|window| window.revision).collect::<Vec<_>>(), [0, 1, 2]);
}

#[tokio::test]
async fn windows_go_when_they_are_old_and_come_back_in_no_part() {
    let mut scene = KeptHistory::new(2);
    for second in 0..3 {
        scene.add(BEGIN + second * SECOND);
        take_to_files(&scene.store, &scene.files).await.unwrap();
    }
    let rules = RetentionRules { keep_ns: 10 * SECOND, keep_bytes: u64::MAX };
    let installed = BTreeSet::from([QUERY]);
    let now_ns = BEGIN + 11 * SECOND + SECOND / 2;
    assert_eq!(expire(&scene.store, rules, &installed, now_ns).await.unwrap(), 1);

    // Late rows of a window that is gone are not the window.
    scene.add(BEGIN);
    scene.truth.remove(&BEGIN);
    scene.check(ALWAYS).await;

    // Of a query that is gone nothing stays in the end.
    let later_ns = BEGIN + 100 * SECOND;
    take_to_files(&scene.store, &scene.files).await.unwrap();
    assert_eq!(expire(&scene.store, rules, &BTreeSet::new(), later_ns).await.unwrap(), 3);
    assert!(scene.archive().queries().unwrap().is_empty());
}

#[tokio::test]
async fn the_oldest_files_go_when_all_take_too_much_room() {
    let mut scene = KeptHistory::new(3);
    for second in 0..4 {
        scene.add(BEGIN + second * SECOND);
        take_to_files(&scene.store, &scene.files).await.unwrap();
    }
    let bytes: u64 = scene.store.history().unwrap().files().unwrap().values().map(|file| file.bytes).sum();
    let rules = RetentionRules { keep_ns: i64::MAX, keep_bytes: bytes - 1 };
    assert_eq!(expire(&scene.store, rules, &BTreeSet::from([QUERY]), BEGIN).await.unwrap(), 1);
    scene.truth.remove(&BEGIN);
    scene.check(ALWAYS).await;
}

#[tokio::test]
async fn a_file_that_is_damaged_or_gone_is_an_error_that_names_it() {
    let mut scene = KeptHistory::new(4);
    scene.add(BEGIN);
    take_to_files(&scene.store, &scene.files).await.unwrap();
    let (_, path) = scene.store.history().unwrap().files().unwrap().into_keys().next().unwrap();
    let file = scene.folder.path().join("history").join(&path);
    let whole = std::fs::read(&file).unwrap();

    let failure = async |scene: &KeptHistory| {
        let windows = scene.archive().windows(scene.query(), ALWAYS, WantedRevisions::Newest);
        let read: Vec<_> = windows.collect().await;
        read.into_iter().find_map(Result::err).map(|error| error.to_string())
    };
    for damage in [whole.len() / 4, whole.len() / 2, whole.len() - 9] {
        let mut damaged = whole.clone();
        damaged[damage] ^= 0x55;
        std::fs::write(&file, damaged).unwrap();
        // A byte may be of no meaning.
        if let Some(error) = failure(&scene).await {
            assert!(error.contains(&path), "{error}");
        }
    }
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(failure(&scene).await.unwrap().contains(&path));
    std::fs::remove_file(&file).unwrap();
    assert!(failure(&scene).await.unwrap().contains(Path::new(&path).file_name().unwrap().to_str().unwrap()));
}
