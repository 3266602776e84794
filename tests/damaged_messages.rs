//! Damaged messages: whatever the decoder lets through is verified, and whatever the verifier lets
//! through runs. `PIVOT_FUZZ_CASES` sets how many.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::*;
use pivot_agent::run::interpreter::{AdviceEffect, interpret};
use pivot_agent::run::sample::SampleDecision;
use pivot_agent::weave::name_linker::LinkedAdvice;
use pivot_agent::{QueryReport, QueryState, Tracepoint};
use pivot_baggage::Baggage;
use pivot_protocol::{ProtocolError, from_wire, to_wire, wire};
use pivot_tests::fuzz::{corpus, damage, each_seed};
use pivot_tests::random::Random;
use prost::Message;

/// Cases of each kind that take some seconds.
const CASES: u64 = 3_000;

/// The advice of a query.
type QueryProgram = Vec<Advice>;

/// The advice of all queries of the repository, and all fields that it observes.
fn programs() -> (Vec<QueryProgram>, Vec<String>) {
    let (texts, catalog) = corpus();
    let compiled = texts.iter().filter_map(|text| pivot_query::compile(text, &catalog).ok());
    let programs = compiled.map(|program| program.advice(QueryId::new(3, 7)));
    // A pattern that nothing matches yet has no advice.
    let programs: Vec<QueryProgram> = programs.filter(|advice| !advice.is_empty()).collect();

    let mut fields: Vec<String> = Vec::new();
    for step in programs.iter().flatten().flat_map(|advice| &advice.instructions) {
        match step {
            Instruction::Observe { field } if !field.starts_with('$') => fields.push(field.clone()),
            _ => {}
        }
    }

    fields.sort();
    fields.dedup();
    (programs, fields)
}

fn value(random: &mut Random) -> Value {
    match random.below(12) {
        0 => Value::Null,
        1 => Value::Bool(random.percent(50)),
        2 => Value::I64(*random.pick(&[i64::MIN, -1, 0, 1, i64::MAX])),
        3 => Value::U64(*random.pick(&[0, 1, 63, 1 << 53, u64::MAX])),
        4 => Value::F64(*random.pick(&[f64::NAN, f64::INFINITY, -f64::MAX, -0.0, 5e-324, 0.5, 1e300])),
        5 => Value::Bytes([0xff, 0].as_slice().into()),
        6 => Value::Timestamp(*random.pick(&[i64::MIN, -1, 0, 1_700_000_000_000_000_000, i64::MAX])),
        7 => Value::Duration(*random.pick(&[i64::MIN, -1, 0, 1_000_000, i64::MAX])),
        8 => {
            let count = random.below(5);
            let item = |random: &mut Random| match value(random) {
                Value::List(_) => Value::Null,
                scalar => scalar,
            };
            Value::List((0..count).map(|_| item(random)).collect::<Vec<_>>().into())
        }
        9 => Value::U64(random.below(4) as u64),
        _ => Value::str(*random.pick(&["", "p", "q", "é\u{2212}x", "9223372036854775808", "a.b/c", "%_("])),
    }
}

/// Sends an advice, damaged or not.
fn sent(advice: &Advice, donor: &Advice, chance: usize, random: &mut Random) -> Option<Advice> {
    let mut bytes = to_wire::advice(advice).encode_to_vec();
    if random.percent(chance) {
        damage(&mut bytes, &to_wire::advice(donor).encode_to_vec(), random);
    }
    from_wire::advice(wire::Advice::decode(bytes.as_slice()).ok()?).ok()
}

#[derive(Debug, Default)]
struct Counts {
    decoded: u64,
    refused: u64,
    ran: u64,
    packed: u64,
    emitted: u64,
}

/// Lets an advice run for one event, and carries out what it says.
fn event(
    linked: &LinkedAdvice,
    baggage: &mut Baggage,
    part: &mut QueryReport,
    random: &mut Random,
) -> (u64, u64) {
    let observed = linked.sources.iter().map(|_| value(random)).collect();

    match interpret(linked, observed, Some(baggage), 0, &mut LossCounts::default()) {
        Some(AdviceEffect::Pack(bag, keep, groups)) => {
            baggage.pack(bag, keep, groups);
            (1, 0)
        }
        Some(AdviceEffect::Emit(emission)) => {
            let weight = 1 + random.below(3) as u32;
            part.add(&emission, SampleDecision { weight, stratum: random.below(16) as u8 });
            (0, 1)
        }
        Some(AdviceEffect::PackIncomplete(bag, rows)) => {
            baggage.mark_incomplete(bag, &rows);
            baggage.pack(bag, TemporalFilter::All, [rows]);
            (1, 0)
        }
        Some(AdviceEffect::Lose(bag, keep)) => {
            baggage.mark_lost(bag, keep);
            (1, 0)
        }
        None => (0, 0),
    }
}

/// What becomes of a baggage on its way: it is divided, sent, and now and then damaged.
fn travel(baggage: Baggage, random: &mut Random) -> Baggage {
    let mut baggage = baggage;

    match random.below(6) {
        0 => {
            let branch = baggage.fork();
            let branch = travel(branch, random);
            baggage.join(branch);
            baggage
        }
        1 => Baggage::decode(&baggage.encode()).unwrap(),
        2 => {
            let whole = baggage.encode();
            let mut bytes = whole.clone();
            damage(&mut bytes, &[], random);
            Baggage::decode(&bytes).unwrap_or_else(|_| Baggage::decode(&whole).unwrap())
        }
        _ => baggage,
    }
}

#[test]
fn what_the_verifier_accepts_runs() {
    let (programs, fields) = programs();
    let names: Vec<&str> = fields.iter().map(String::as_str).collect();
    assert!(programs.len() > 100, "{} programs", programs.len());
    pivot_baggage::set_carrying(true);
    let mut counts = Counts::default();

    each_seed(CASES, |random| {
        let (program, donor) = (random.pick(&programs), random.pick(&programs));
        let mut baggage = Baggage::begin();
        let mut part = QueryReport::empty();
        for advice in program.iter().rev() {
            let Some(advice) = sent(advice, random.pick(donor), 60, random) else { continue };
            counts.decoded += 1;
            let _ = advice.to_string();
            if pivot_agent::verify(&advice).is_err() {
                counts.refused += 1;
                continue;
            }
            let Ok(linked) = LinkedAdvice::link(&advice, &names) else { continue };
            for _ in 0..=random.below(4) {
                let (packed, emitted) = event(&linked, &mut baggage, &mut part, random);
                counts.ran += 1;
                counts.packed += packed;
                counts.emitted += emitted;
                baggage = travel(baggage, random);
            }
        }
    });

    println!("{counts:?}");
    let few = counts.decoded < 1_000;
    assert!(few || counts.ran > counts.decoded, "{counts:?}");
    assert!(few || (counts.packed > 0 && counts.emitted > 0 && counts.refused > 0), "{counts:?}");
}

#[test]
fn what_is_woven_puts_no_query_away() {
    let (programs, fields) = programs();
    let exported: Vec<(&'static str, Type)> =
        fields.iter().map(|name| (&*String::leak(name.clone()), Type::Any)).collect();
    let place = || pivot_agent::SourceLocation { module: "damaged", file: file!(), line: line!() };
    let tracepoints = ["Fuzz.a", "Fuzz.b"].map(|name| Tracepoint::register(name, &exported, place()));
    pivot_baggage::set_carrying(true);
    let (mut cases, mut emitted) = (0_u64, 0_u64);

    each_seed(CASES, |random| {
        let donor = random.pick(&programs);
        let mut advice: Vec<Advice> = random
            .pick(&programs)
            .iter()
            .filter_map(|advice| sent(advice, random.clone().pick(donor), 60, random))
            .collect();
        advice.iter_mut().for_each(|advice| advice.tracepoint = random.pick(&tracepoints).name().into());
        let problems = pivot_agent::weave(&advice);
        {
            let _request = pivot_baggage::enter_request(None);
            for _ in 0..6 {
                let seed = random.below(1 << 40) as u64;
                let field = |index: usize| value(&mut Random::new(seed.wrapping_add(index as u64)));
                random.pick(&tracepoints).fire(&field);
            }
        }
        cases += 1;
        emitted += pivot_agent::drain().values().map(|part| part.emitted).sum::<u64>();
        for status in pivot_agent::statuses() {
            assert_ne!(status.state, QueryState::Quarantined, "{status:?} {advice:?} {problems:?}");
        }
    });

    pivot_agent::weave(&[]);
    println!("{cases} woven, {emitted} rows");
    assert!(emitted > 0 || cases < 1_000, "nothing was emitted in {cases} cases");
}

/// A table with all kinds of states, some of them of many values.
fn table(random: &mut Random) -> Groups {
    let keys = random.below(3);
    let count = 1 + random.below(5);

    let mut aggregates: Vec<AggregateKind> = (0..count).map(|_| *random.pick(&AggregateKind::ALL)).collect();
    if random.percent(10) {
        aggregates = AggregateKind::ALL.to_vec();
    }

    let mut groups = Groups::new(keys, &aggregates);
    for _ in 0..1 + random.below(4) {
        let key: Vec<Value> = (0..keys).map(|_| value(random)).collect();
        let group = groups.entry(&key);
        let values = if random.percent(5) { 2_000 } else { random.below(12) };
        group.n = group.n.saturating_add(values as u64);
        for _ in 0..values {
            let numbers = random.percent(60);
            let value = if numbers { Value::F64(random.below(1 << 40) as f64 / 1e3) } else { value(random) };
            let weight = *random.pick(&[1, 1, 1, 3, u64::MAX]);
            group
                .states
                .iter_mut()
                .for_each(|state| state.update(&value, weight, &mut EvalErrors::default()));
        }
    }

    groups
}

const FINISHES: [FinalFunction; 15] = [
    FinalFunction::Plain,
    FinalFunction::IntegerBuckets,
    FinalFunction::Deviation,
    FinalFunction::SampleVariance,
    FinalFunction::SampleDeviation,
    FinalFunction::Quantile(0.0),
    FinalFunction::Quantile(0.5),
    FinalFunction::Quantile(1.0),
    FinalFunction::Quantile(f64::NAN),
    FinalFunction::Quantile(-7.0),
    FinalFunction::Top(0),
    FinalFunction::Top(u16::MAX),
    FinalFunction::Linear { least: 0.0, step: 1.0, count: 10, durations: true },
    FinalFunction::Linear { least: f64::NAN, step: -1.0, count: u16::MAX, durations: false },
    FinalFunction::Linear { least: -f64::MAX, step: f64::MAX, count: 3, durations: true },
];

/// Uses a table as the frontend does.
fn consume(mut groups: Groups, others: &[Groups], random: &mut Random) {
    for other in others {
        if groups.same_shape(other) {
            groups.merge(other);
        }
    }

    groups.merge(&groups.clone());
    for group in &groups {
        for state in &group.states {
            let mut scaled = state.clone();
            scaled.scale(*random.pick(&[0, 1, 2, 1 << 40, u64::MAX]));
            scaled.merge(state);
            for finish in FINISHES {
                let value = scaled.finish(finish, &mut EvalErrors::default());
                let _ = (value.to_string(), scaled.relative_error());
            }
        }
    }

    let bytes = to_wire::groups(&groups);
    let again = from_wire::groups(&bytes).unwrap_or_else(|wrong| panic!("{wrong}: {groups:?}"));
    // Not the bytes: the most frequent values have no order where counts and numbers are equal (0 and -0.0).
    assert_eq!(to_wire::groups(&again).len(), bytes.len(), "{groups:?}");
}

/// How the groups of a report are encoded.
#[derive(Clone, Copy)]
enum Form {
    Rows,
    Columns,
}

impl Form {
    fn encode(self, groups: &Groups) -> Vec<u8> {
        match self {
            Form::Rows => to_wire::groups(groups),
            Form::Columns => to_wire::group_columns(groups),
        }
    }

    fn decode(self, bytes: &[u8]) -> Result<Groups, ProtocolError> {
        match self {
            Form::Rows => from_wire::groups(bytes),
            Form::Columns => from_wire::group_columns(bytes.to_vec()).map(|block| block.to_groups()),
        }
    }
}

#[test]
fn damaged_reports_are_refused_or_merged() {
    let (mut accepted, mut refused) = (0_u64, 0_u64);
    let mut earlier: Vec<Groups> = Vec::new();

    each_seed(CASES, |random| {
        let whole = table(random);
        let form = if random.below(2) == 0 { Form::Rows } else { Form::Columns };
        let mut bytes = form.encode(&whole);
        let donor = form.encode(&table(random));
        damage(&mut bytes, &donor, random);
        match form.decode(&bytes) {
            Ok(groups) => {
                accepted += 1;
                // What is kept takes no more than what came, and a fixed size for each state at most.
                let states: usize = groups.iter().map(|group| group.states.len()).sum();
                let kept = to_wire::groups(&groups).len();
                assert!(
                    kept <= 2 * bytes.len() + 4_200 * states.min(bytes.len()),
                    "{kept} of {}",
                    bytes.len()
                );
                earlier.truncate(7);
                earlier.insert(0, whole);
                consume(groups, &earlier, random);
            }
            Err(_) => refused += 1,
        }
    });

    println!("{accepted} were accepted, {refused} were refused");
    assert!(accepted + refused < 1_000 || (accepted > 100 && refused > 100), "{accepted}, {refused}");
}
