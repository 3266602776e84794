//! What a report says of rows that could be wrong, because tuples that happened before are missing: a bag was cut on the
//! way, or a reply came without baggage.

#![allow(clippy::unwrap_used)]

use pivot_advice::{LossCounts, QueryId};
use pivot_agent::{QueryReport, tracepoint};
use pivot_baggage::Baggage;
use pivot_baggage::current::run_in;
use pivot_query::{Catalog, CompileOptions, compile_with};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What is woven is woven in the whole process: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Baggage of this many bytes has room for its ids and marks only.
const NO_ROOM: usize = 90;

/// Weaves a query, runs the work, and returns what is reported of the query.
fn report_of(text: &str, work: impl FnOnce()) -> QueryReport {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let mut catalog = Catalog::default();
    pivot_agent::catalogue().iter().for_each(|exports| catalog.add(exports));
    let program = compile_with(text, &catalog, &CompileOptions::default());
    let query = QueryId::new(3, NEXT.fetch_add(1, Relaxed));
    let advice = program.map_err(|wrong| format!("{wrong:?}")).unwrap().advice(query);

    pivot_baggage::set_carrying(true);
    assert!(pivot_agent::weave(&advice).is_empty());
    work();
    let report = pivot_agent::drain().remove(&query).unwrap();
    assert!(pivot_agent::weave(&[]).is_empty());
    report
}

/// One branch of a request.
struct Branch(Option<Baggage>);

impl Branch {
    fn begin() -> Branch {
        Branch(Some(Baggage::begin()))
    }

    fn s(&mut self, n: u64) -> &mut Branch {
        let text = "a text that takes room".repeat(4);
        run_in(&mut self.0, || tracepoint!("Missing.s", n: u64 = n, text: &str = text.as_str()));
        self
    }

    fn r(&mut self, n: u64) -> &mut Branch {
        run_in(&mut self.0, || tracepoint!("Missing.r", n: u64 = n, text: &str = "r"));
        self
    }

    fn e(&mut self) -> &mut Branch {
        run_in(&mut self.0, || tracepoint!("Missing.e", done: bool = true));
        self
    }

    /// Travels in a message with room for so many bytes.
    fn hop(&mut self, bytes: usize) -> &mut Branch {
        let bytes = self.0.take().unwrap().encode_within(bytes);
        self.0 = Some(Baggage::decode(&bytes).unwrap());
        self
    }

    /// Calls a service, in which s happens, and gets a reply without the baggage.
    fn bare_call(&mut self) -> &mut Branch {
        let baggage = self.0.as_mut().unwrap();
        let mut callee = Branch(Some(baggage.fork()));
        callee.s(1);
        baggage.note_bare_reply();
        self
    }

    /// Like a bare call, but the peer has returned baggage before.
    fn lost_call(&mut self) -> &mut Branch {
        let baggage = self.0.as_mut().unwrap();
        Branch(Some(baggage.fork())).s(1);
        baggage.mark_partial();
        self
    }
}

/// Requests in which the bag of s is cut before r, others in which s did not happen, and others that are whole.
fn cut_before_r(cut: usize, without: usize, whole: usize) {
    for _ in 0..cut {
        Branch::begin().s(1).s(2).hop(NO_ROOM).r(1).e();
    }
    for _ in 0..without {
        Branch::begin().hop(NO_ROOM).r(1).hop(usize::MAX).e();
    }
    for _ in 0..whole {
        Branch::begin().s(1).s(2).hop(usize::MAX).r(1).hop(usize::MAX).e();
    }
}

#[test]
fn rows_of_a_left_join_are_uncertain_if_a_bag_was_cut_at_a_stage_inside_of_it() {
    let text = "FROM e IN Missing.e LEFT JOIN r IN Missing.r ON r -> e JOIN s IN Missing.s ON s -> r SELECT r.n, s.text, s.n";
    let report = report_of(text, || cut_before_r(363, 37, 5));
    // A row with nulls for each of the first 400, and two for each of the others.
    assert_eq!((report.emitted, report.loss.uncertain), (410, 363));
    let rows = report.groups.unwrap();
    let nulls = rows.iter().filter(|group| group.key.iter().all(|value| *value == pivot_advice::Value::Null));
    assert_eq!(nulls.map(|group| group.n).sum::<u64>(), 400);
    assert!(report.loss.truncated > 0);
}

#[test]
fn rows_of_an_anti_join_are_uncertain_if_a_bag_was_cut_at_a_stage_inside_of_it() {
    let text = "FROM e IN Missing.e ANTI JOIN r IN Missing.r ON r -> e JOIN s IN Missing.s ON s -> r AND s.text != r.text SELECT COUNT";
    let report = report_of(text, || cut_before_r(20, 3, 5));
    assert_eq!((report.emitted, report.loss.uncertain), (23, 20));
}

#[test]
fn a_tuple_that_was_chosen_counts_as_lost_if_its_own_rows_were_cut() {
    for choice in ["First", "MostRecent"] {
        let text = format!(
            "FROM e IN Missing.e ANTI JOIN r IN {choice}(Missing.r) ON r -> e JOIN s IN Missing.s ON s -> r AND s.text != r.text SELECT COUNT"
        );
        let report = report_of(&text, || cut_before_r(20, 3, 5));
        assert_eq!((report.emitted, report.loss.uncertain), (23, 20), "{choice}");
    }
}

#[test]
fn a_choice_behind_a_bare_reply_is_undecided() {
    for choice in ["First", "MostRecent", "First 2 "] {
        let text = format!("FROM e IN Missing.e JOIN s IN {choice}(Missing.s) ON s -> e SELECT s.n");
        let report = report_of(&text, || {
            Branch::begin().bare_call().s(2).e();
            Branch::begin().s(2).e();
        });
        let expected = LossCounts { undecided: 1, ..LossCounts::default() };
        assert_eq!((report.emitted, report.loss), (2, expected), "{choice}");

        // It is uncertain once both ends of the call have told of the reply, and partial.
        let mut settled = report.loss;
        settled.settle_undecided();
        assert_eq!((settled.uncertain, settled.is_zero()), (1, false));
    }
}

#[test]
fn a_choice_behind_a_reply_that_lost_its_baggage_is_uncertain() {
    let text = "FROM e IN Missing.e JOIN s IN First(Missing.s) ON s -> e SELECT s.n";
    let report = report_of(text, || {
        Branch::begin().lost_call().s(2).e();
    });
    assert_eq!((report.emitted, report.loss.uncertain, report.loss.truncated), (1, 1, 1));
}

#[test]
fn a_choice_that_is_passed_on_behind_a_bare_reply_is_undecided() {
    let text = "FROM e IN Missing.e JOIN r IN Missing.r ON r -> e JOIN s IN First(Missing.s) ON s -> r SELECT r.n, s.n";
    let report = report_of(text, || {
        Branch::begin().bare_call().s(2).r(1).hop(usize::MAX).e();
    });
    assert_eq!((report.emitted, report.loss.undecided), (1, 1));
}

#[test]
fn all_tuples_behind_a_bare_reply_are_right_as_they_are() {
    let text = "FROM e IN Missing.e JOIN s IN Missing.s ON s -> e SELECT s.n, COUNT";
    let text = text.replace(" SELECT", " GROUP BY s.n SELECT");
    let report = report_of(&text, || {
        Branch::begin().bare_call().s(2).e();
    });
    assert_eq!((report.emitted, report.loss), (1, LossCounts::default()));
}
