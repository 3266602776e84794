//! The catalogue: what link-time collection gives, and where it has traps.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{emit, keys, part, serial, woven};
use pivot_advice::{Advice, BagKey, BinaryOperator, Expr, Instruction, TemporalFilter, Type, Value};
use pivot_agent::{ProcessIdentity, QueryState, QueryStatus, SourceLocation, Tracepoint};

fn generic<T: ToString>(value: T) {
    pivot_agent::tracepoint!("Catalogue.generic", text = %value.to_string());
}

const HERE: SourceLocation = SourceLocation { module: "plugin", file: "plugin.rs", line: 7 };

fn place(line: u32) -> SourceLocation {
    SourceLocation { line, ..HERE }
}

#[test]
fn a_tracepoint_is_known_before_its_first_hit() {
    fn never() {
        pivot_agent::tracepoint!("Catalogue.never", n: u32 = 1, text = %"x", list: Vec<i64> = vec![], any = 2);
    }
    let _unused: fn() = never;
    let found = pivot_agent::catalogue().into_iter().find(|e| e.tracepoint == "Catalogue.never").unwrap();
    let fields: Vec<_> = found.fields.iter().map(|field| (field.name.as_str(), field.ty)).collect();
    let expected =
        [("n", Type::U64), ("text", Type::String), ("list", Type::List(&Type::I64)), ("any", Type::Any)];
    assert_eq!(fields, expected);
    assert!(found.file.ends_with("catalogue.rs") && found.line > 1 && found.module == "catalogue");
}

#[test]
fn call_sites_are_in_the_order_of_the_source_whatever_the_linker_did() {
    let all: Vec<_> = pivot_agent::catalogue().into_iter().filter(|e| e.module == "catalogue").collect();
    assert!(all.len() >= 3);
    assert!(all.is_sorted_by_key(|exports| (exports.file.clone(), exports.line)));
}

#[test]
fn a_generic_function_has_one_tracepoint_for_all_its_types() {
    let _serial = serial();
    let sites = pivot_agent::catalogue().into_iter().filter(|e| e.tracepoint == "Catalogue.generic");
    assert_eq!(sites.count(), 1);
    let parts = woven(&[emit(1, "Catalogue.generic", &["text"])], || {
        generic(1);
        generic("two");
        let closure = |value: f64| generic(value);
        closure(3.5);
    });
    assert_eq!(keys(&part(&parts, 1)), ["1", "3.5", "two"]);
}

#[test]
fn a_field_that_one_of_several_call_sites_lacks_is_null_there() {
    let _serial = serial();
    let site = |field, line| Tracepoint::register("Catalogue.several", &[(field, Type::U64)], place(line));
    let n = site("n", 1);
    let parts = woven(&[emit(1, "Catalogue.several", &["n", "late"])], || {
        n.fire(&|_| pivot_agent::Value::U64(1));
        site("late", 2).fire(&|_| pivot_agent::Value::U64(2));
    });
    assert_eq!(keys(&part(&parts, 1)), ["1 null", "null 2"]);
}

/// Emits where all the conditions over the fields hold.
fn where_(tracepoint: &str, fields: &[&str], conditions: Vec<Expr>) -> Advice {
    let mut advice = emit(1, tracepoint, fields);
    let emits = advice.instructions.len() - 1;
    let filters = conditions.into_iter().map(|expr| Instruction::Filter { expr });
    advice.instructions.splice(emits..emits, filters);
    advice
}

fn equals(column: u16, value: Value) -> Expr {
    Expr::binary(BinaryOperator::Equal, Expr::Column(column), Expr::Literal(value))
}

#[test]
fn advice_that_a_constant_rules_out_is_not_woven() {
    let _serial = serial();
    let site = |level: &'static str, line| {
        let fields = [("n", Type::U64), ("level", Type::String)];
        let constants = move |field: &str| (field == "level").then(|| Value::str(level));
        Tracepoint::register_with("Catalogue.levels", &fields, constants, place(line))
    };
    let (info, warn) = (site("INFO", 1), site("WARN", 2));
    let check = |fields: &[&str], conditions: Vec<Expr>, expected: [bool; 3]| {
        let advice = where_("Catalogue.levels", fields, conditions);
        assert_eq!(pivot_agent::weave(&[advice]), []);
        // What becomes known later is judged alike.
        assert_eq!([info.is_woven(), warn.is_woven(), site("WARN", 3).is_woven()], expected);
    };
    let of_n = || equals(0, Value::U64(1));
    check(&["n", "level"], vec![of_n(), equals(1, Value::str("WARN"))], [false, true, true]);
    check(&["n", "level"], vec![of_n()], [true, true, true]);
    check(&["level"], vec![equals(0, Value::str("ERROR"))], [false, false, false]);
    check(&["tracepoint"], vec![equals(0, Value::str("another"))], [false, false, false]);
    check(&["lacking"], vec![equals(0, Value::U64(1))], [false, false, false]);
    // What depends on the event, or has no value and is counted for that, is left to the event.
    let either = Expr::binary(BinaryOperator::Or, equals(0, Value::U64(1)), equals(1, Value::str("ERROR")));
    check(&["n", "level"], vec![either], [true, true, true]);
    check(&["thread"], vec![equals(0, Value::str("elsewhere"))], [true, true, true]);
    let less = Expr::binary(BinaryOperator::Subtract, Expr::Column(0), Expr::Literal(Value::I64(1)));
    check(
        &["level"],
        vec![Expr::binary(BinaryOperator::Equal, less, Expr::Literal(Value::I64(1)))],
        [true; 3],
    );
    // A tuple that was chosen keeps others out, also where a later condition drops it.
    let mut chosen = where_("Catalogue.levels", &["level"], vec![equals(0, Value::str("ERROR"))]);
    chosen.instructions.insert(1, Instruction::Choose);
    let bag = BagKey { query: chosen.query, stage: 0 };
    let pack = Instruction::Pack { bag, keep: TemporalFilter::First(1), keys: vec![0], folds: vec![] };
    *chosen.instructions.last_mut().unwrap() = pack;
    assert_eq!(pivot_agent::weave(&[chosen]), []);
    assert!(info.is_woven() && warn.is_woven());
    pivot_agent::weave(&[]);
    pivot_agent::drain();
}

fn process_is(name: &str) -> Advice {
    where_("Catalogue.whose", &["process"], vec![equals(0, Value::str(name))])
}

fn only_status() -> QueryStatus {
    let mut statuses = pivot_agent::statuses();
    assert_eq!(statuses.len(), 1, "{statuses:?}");
    statuses.swap_remove(0)
}

#[test]
fn a_condition_on_the_process_is_decided_where_it_is_woven() {
    let _serial = serial();
    let before = pivot_agent::identity();
    let site = pivot_agent::tracepoints().into_iter().find(|site| site.name() == "Catalogue.whose").unwrap();
    pivot_agent::set_identity(ProcessIdentity::new("h", "api"));

    assert_eq!(pivot_agent::weave(&[process_is("nobody")]), []);
    assert!(!site.is_woven());
    let status = only_status();
    assert_eq!(status.state, QueryState::RuledOut);
    let why = &status.ruled_out[0];
    assert_eq!((why.condition.as_str(), &why.values[..]), ("process = 'nobody'", &["api".to_owned()][..]));
    assert_eq!((&why.tracepoints[..], why.call_sites), (&["Catalogue.whose".to_owned()][..], 4));
    // It misses nothing, whatever happens to weaving.
    pivot_agent::lapse();
    assert_eq!(pivot_agent::suspended_queries(), []);

    assert_eq!(pivot_agent::weave(&[process_is("api")]), []);
    assert!(site.is_woven());
    assert_eq!((only_status().state, only_status().ruled_out), (QueryState::Active, vec![]));
    pivot_agent::weave(&[]);
    pivot_agent::set_identity(before);
}

#[test]
fn what_the_name_of_the_process_rules_out_is_decided_anew_when_it_changes() {
    let _serial = serial();
    let before = pivot_agent::identity();
    pivot_agent::set_identity(ProcessIdentity::new("h", "first"));
    let parts = woven(&[process_is("second")], || {
        pivot_agent::tracepoint!("Catalogue.whose");
        pivot_agent::set_identity(ProcessIdentity::new("h", "second"));
        pivot_agent::tracepoint!("Catalogue.whose");
        pivot_agent::set_identity(ProcessIdentity::new("h", "third"));
        pivot_agent::tracepoint!("Catalogue.whose");
    });
    pivot_agent::set_identity(before);
    assert_eq!(part(&parts, 1).emitted, 1);
}

#[test]
fn a_query_runs_from_when_its_tracepoint_becomes_known_and_unsound_advice_never_does() {
    use QueryState::{Active, Pending};
    let _serial = serial();
    let mut unsound = emit(2, "Catalogue.arrives", &[]);
    unsound.instructions.truncate(0);
    pivot_agent::weave(&[emit(1, "Catalogue.arrives", &[]), unsound]);
    let states = || pivot_agent::statuses().iter().map(|status| status.state).collect::<Vec<_>>();
    assert_eq!(states()[0], Pending);
    let arrived = Tracepoint::register("Catalogue.arrives", &[], place(1));
    arrived.fire(&|_| pivot_agent::Value::Null);
    assert_eq!(states()[0], Active);
    pivot_agent::weave(&[]);
    let parts = pivot_agent::drain();
    assert_eq!((part(&parts, 1).emitted, part(&parts, 2).cost.events), (1, 0));
}

#[test]
fn whatever_is_registered_while_weaving_goes_on_is_woven_in_the_end() {
    const THREADS: u32 = 4;
    let _serial = serial();
    let advice = [emit(1, "Catalogue.racing", &[])];
    let done = std::sync::atomic::AtomicU32::new(0);
    let known = std::thread::scope(|scope| {
        let register = || {
            let known: Vec<_> =
                (0..500).map(|line| Tracepoint::register("Catalogue.racing", &[], place(line))).collect();
            done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            known
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(register)).collect();
        loop {
            pivot_agent::weave(&[]);
            pivot_agent::weave(&advice);
            if done.load(std::sync::atomic::Ordering::SeqCst) == THREADS {
                break;
            }
        }
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(known.iter().all(|tracepoint| tracepoint.is_woven()));
    pivot_agent::weave(&[]);
    assert!(known.iter().all(|tracepoint| !tracepoint.is_woven()));
    pivot_agent::drain();
}

#[test]
fn two_call_sites_may_share_a_name() {
    let _serial = serial();
    let parts = woven(&[emit(1, "Catalogue.shared", &["n"])], || {
        pivot_agent::tracepoint!("Catalogue.shared", n: u8 = 1);
        pivot_agent::tracepoint!("Catalogue.shared", n: u8 = 2);
    });
    assert_eq!(keys(&part(&parts, 1)), ["1", "2"]);
}

#[test]
fn a_tracepoint_that_is_registered_later_is_woven_at_once() {
    let _serial = serial();
    let parts = woven(&[emit(1, "Catalogue.late", &["n"])], || {
        let known = pivot_agent::registered_count();
        let late = Tracepoint::register("Catalogue.late", &[("n", Type::U64)], place(1));
        assert!(late.is_woven());
        late.fire(&|_| pivot_agent::Value::U64(5));
        let told = pivot_agent::catalogue_since(known);
        assert!(told.iter().any(|exports| exports.tracepoint == "Catalogue.late"));
    });
    assert_eq!(keys(&part(&parts, 1)), ["5"]);
}

#[test]
fn a_library_that_is_loaded_later_hands_its_own_slice_over() {
    static FLAG: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);
    static LOADED: Tracepoint = Tracepoint::new("Catalogue.loaded", &[], HERE, &FLAG);
    let _serial = serial();
    let parts = woven(&[emit(1, "Catalogue.loaded", &[])], || {
        pivot_agent::adopt(&[&LOADED]);
        pivot_agent::adopt(&[&LOADED]);
        LOADED.fire(&|_| pivot_agent::Value::Null);
    });
    assert_eq!(part(&parts, 1).emitted, 1);
    let found = pivot_agent::catalogue().into_iter().filter(|e| e.tracepoint == "Catalogue.loaded");
    assert_eq!(found.count(), 1);
}

#[test]
fn a_library_that_is_loaded_later_without_a_field_that_is_asked_for_shows_as_a_problem() {
    use QueryState::{Active, Problem};
    static FLAGS: [std::sync::atomic::AtomicU8; 2] = [const { std::sync::atomic::AtomicU8::new(0) }; 2];
    static FIRST: Tracepoint = Tracepoint::new("Catalogue.older", &[("n", Type::U64)], HERE, &FLAGS[0]);
    static OLDER: Tracepoint = Tracepoint::new("Catalogue.older", &[], HERE, &FLAGS[1]);
    let _serial = serial();
    let status = || pivot_agent::statuses().remove(0);
    pivot_agent::weave(&[emit(1, "Catalogue.older", &["n"])]);

    pivot_agent::adopt(&[&FIRST]);
    assert_eq!(status().state, Active);
    pivot_agent::adopt(&[&OLDER]);
    assert_eq!((FIRST.is_woven(), OLDER.is_woven()), (true, false));
    assert_eq!(status().state, Problem);
    assert!(status().detail.contains("exports no field `n`"), "{:?}", status());
    pivot_agent::weave(&[]);
}

#[test]
fn an_identity_is_seen_by_queries_as_it_was_set() {
    let _serial = serial();
    let before = pivot_agent::identity();
    let set = pivot_agent::ProcessIdentity { host: "h".into(), process: "p".into(), pid: 7 };
    let parts = woven(&[emit(1, "Catalogue.whose", &["host", "process", "pid"])], || {
        pivot_agent::set_identity(set);
        pivot_agent::tracepoint!("Catalogue.whose");
    });
    pivot_agent::set_identity(before);
    assert_eq!(keys(&part(&parts, 1)), ["h p 7"]);
}

#[test]
fn the_slices_are_named_after_the_major_version() {
    let expected = concat!("FLAGS_V", env!("CARGO_PKG_VERSION_MAJOR"));
    assert_eq!(stringify!(FLAGS_V0), expected, "two major versions in one program need two slices");
    let expected = concat!("TRACEPOINTS_V", env!("CARGO_PKG_VERSION_MAJOR"));
    assert_eq!(stringify!(TRACEPOINTS_V0), expected);
}

#[test]
fn flags_of_call_sites_lie_side_by_side() {
    let flags: Vec<usize> =
        pivot_agent::FLAGS_V0.iter().map(|flag| std::ptr::from_ref(flag).addr()).collect();
    assert_eq!(flags.len(), pivot_agent::TRACEPOINTS_V0.len());
    assert!(flags.is_sorted() && flags[flags.len() - 1] - flags[0] == flags.len() - 1);
}

#[test]
fn only_observed_fields_are_evaluated() {
    let _serial = serial();
    let evaluated = std::cell::RefCell::new(Vec::new());
    let note = |name: &'static str| {
        evaluated.borrow_mut().push(name);
        name
    };
    let hit =
        || pivot_agent::tracepoint!("Catalogue.lazy", a = %note("a"), b: &str = note("b"), c = note("c"));
    hit();
    let parts = woven(&[emit(1, "Catalogue.lazy", &["b"]), emit(2, "Catalogue.lazy", &["b"])], hit);
    assert_eq!(keys(&part(&parts, 1)), ["b"]);
    assert_eq!(*evaluated.borrow(), ["b", "b"]);
}

#[test]
fn of_a_sensitive_field_queries_see_a_hash() {
    let _serial = serial();
    let user = String::from("ann");
    let hit = |user: &str| {
        pivot_agent::tracepoint!("Catalogue.secret", sensitive(user) = user, sensitive(id): u64 = 7, n: u64 = 1);
    };
    let parts = woven(&[emit(1, "Catalogue.secret", &["user", "id", "n"])], || {
        hit(&user);
        hit("ann");
        hit("bob");
    });
    let keys = keys(&part(&parts, 1));
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys.iter().all(|key| !key.contains("ann") && key.len() == 16 + 1 + 16 + 2), "{keys:?}");
    let exports = pivot_agent::catalogue().into_iter().find(|e| e.tracepoint == "Catalogue.secret").unwrap();
    assert_eq!(exports.fields[1].ty, Type::String);
}

#[test]
fn variables_can_be_used_after_they_were_exported() {
    let _serial = serial();
    let (text, number, mut counter) = (String::from("x"), 3_u64, 0_u64);
    let parts = woven(&[emit(1, "Catalogue.kept", &["text", "shown", "debug", "number"])], || {
        counter += 1;
        pivot_agent::tracepoint!(
            "Catalogue.kept", text = text, shown = %text, debug = ?text, number: u64 = number, counter = counter,
        );
        counter += number;
    });
    assert_eq!((counter, text.as_str()), (4, "x"));
    assert_eq!(keys(&part(&parts, 1)), ["x x \"x\" 3"]);
}
