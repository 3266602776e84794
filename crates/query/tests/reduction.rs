//! What the rules save: tuples packed and bytes carried by the paper's queries, optimised against not
//! optimised, and rows reported against events (the paper, §4: from 600 a second to 6).
//!
//! `cargo test -p pivot-query --test reduction -- --nocapture` prints the figures.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{EvalErrors, Exports, FieldDescriptor, LossCounts, QueryId, Type, Value};
use pivot_agent::QueryReport;
use pivot_agent::run::interpreter::{AdviceEffect, interpret};
use pivot_agent::run::sample::SampleDecision;
use pivot_agent::site::default_field::DefaultField;
use pivot_agent::weave::name_linker::{FieldSource, LinkedAdvice};
use pivot_baggage::Baggage;
use pivot_query::{Catalog, CompileOptions, QueryProgram, compile_with};

/// The store's tracepoints that the two queries are over.
const TRACEPOINTS: [(&str, &[(&str, Type)]); 6] = [
    ("JobComplete", &[]),
    ("ClientProtocols", &[]),
    ("StressTest.DoNextOp", &[("op", Type::String), ("file", Type::String)]),
    ("NN.GetBlockLocations", &[("src", Type::String), ("replicas", Type::List(&Type::String))]),
    ("DN.DataTransferProtocol", &[("block", Type::U64)]),
    ("DataNodeMetrics.incrBytesRead", &[("delta", Type::U64)]),
];

/// What a run of a query cost.
#[derive(Debug, Default, PartialEq)]
struct Cost {
    events: usize,
    /// Rows packed, over all events.
    tuples: usize,
    /// Bytes of the baggage, added up over all hops.
    bytes: usize,
    /// Rows in the report.
    rows: usize,
}

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for (name, fields) in TRACEPOINTS {
        let fields =
            fields.iter().map(|(name, ty)| FieldDescriptor { name: (*name).into(), ty: *ty }).collect();
        catalog.add(&Exports {
            tracepoint: name.into(),
            fields,
            file: String::new(),
            line: 1,
            module: String::new(),
        });
    }
    catalog
}

/// A client on one of four hosts reads 64 packets of a block from a data node, and has the reply.
fn cost(text: &str, options: &CompileOptions) -> Cost {
    pivot_baggage::set_carrying(true);
    ran(&compile_with(text, &catalog(), options).unwrap()).0
}

fn ran(program: &QueryProgram) -> (Cost, QueryReport) {
    let advice = program.advice(QueryId::new(0, 7));
    let mut cost = Cost::default();
    let mut part = QueryReport::empty();
    for request in 0..20u64 {
        let mut baggage = Baggage::begin();
        let host = |name: &str, number: u64| format!("{name}-{}", number % 4);
        let client = host("app", request);
        fire(&advice, "ClientProtocols", &client, request, &mut baggage, (&mut part, &mut cost));
        fire(&advice, "StressTest.DoNextOp", &client, request, &mut baggage, (&mut part, &mut cost));
        hop(&mut baggage, &mut cost);
        fire(&advice, "NN.GetBlockLocations", "nn-1", request, &mut baggage, (&mut part, &mut cost));
        hop(&mut baggage, &mut cost);
        let node = host("dn", request / 2);
        fire(&advice, "DN.DataTransferProtocol", &node, request, &mut baggage, (&mut part, &mut cost));
        for packet in 0..64 {
            let name = "DataNodeMetrics.incrBytesRead";
            fire(&advice, name, &node, packet, &mut baggage, (&mut part, &mut cost));
        }
        hop(&mut baggage, &mut cost);
        fire(&advice, "JobComplete", &client, request, &mut baggage, (&mut part, &mut cost));
    }
    cost.rows = part.groups.iter().flatten().count();
    (cost, part)
}

fn hop(baggage: &mut Baggage, cost: &mut Cost) {
    let bytes = std::mem::take(baggage).encode();
    cost.bytes += bytes.len();
    *baggage = Baggage::decode(&bytes).unwrap();
}

fn fire(
    advice: &[pivot_advice::Advice],
    tracepoint: &str,
    host: &str,
    number: u64,
    baggage: &mut Baggage,
    (part, cost): (&mut QueryReport, &mut Cost),
) {
    cost.events += 1;
    let fields = TRACEPOINTS.iter().find(|(name, _)| *name == tracepoint).unwrap().1;
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let value = |source: &FieldSource| match source {
        FieldSource::Missing => Value::Null,
        FieldSource::Exported(index) => match fields[*index].1 {
            Type::String => Value::str(format!("/data/{}", number % 3)),
            Type::List(_) => Value::List(["dn-0", "dn-1", "dn-2"].map(Value::str).into_iter().collect()),
            _ => Value::U64(65_536 + number),
        },
        FieldSource::Default(DefaultField::Host) => Value::str(host),
        FieldSource::Default(DefaultField::Process) => Value::str(host.split('-').next().unwrap()),
        FieldSource::Default(_) => Value::str("x"),
    };
    let mut packed = Vec::new();
    for advice in advice.iter().filter(|advice| advice.tracepoint == tracepoint) {
        let linked = LinkedAdvice::link(advice, &names).unwrap();
        let observed = linked.sources.iter().map(value).collect();
        match interpret(&linked, observed, Some(baggage), 0, &mut LossCounts::default()) {
            Some(AdviceEffect::Pack(bag, keep, slots)) => packed.push((bag, keep, slots)),
            Some(AdviceEffect::Emit(emission)) => part.add(&emission, SampleDecision::UNSAMPLED),
            Some(AdviceEffect::Lose(..) | AdviceEffect::PackIncomplete(..)) | None => {}
        }
    }
    for (bag, keep, slots) in packed {
        cost.tuples += slots.iter().map(|slot| slot.len()).sum::<usize>();
        baggage.pack(bag, keep, slots);
    }
}

fn check(name: &str, text: &str) -> (Cost, Cost) {
    let (naive, optimised) = (cost(text, &CompileOptions::naive()), cost(text, &CompileOptions::default()));
    println!("{name} not optimised  {naive:?}\n{name} optimised      {optimised:?}");
    assert!(optimised.bytes <= naive.bytes && optimised.tuples <= naive.tuples, "{naive:?} {optimised:?}");
    (naive, optimised)
}

#[test]
fn q2_reports_a_row_for_each_application_and_not_for_each_event() {
    let (_, optimised) = check("Q2", include_str!("../../../queries/paper/q2.pivot"));
    assert!(optimised.events > 100 * optimised.rows, "{optimised:?}");
}

#[test]
fn q7_reports_a_row_for_each_choice_and_not_for_each_event() {
    let (_, optimised) = check("Q7", include_str!("../../../queries/paper/q7.pivot"));
    assert!(optimised.events > 100 * optimised.rows, "{optimised:?}");
}

/// Q2 the other way round: the bytes are charged when the job is done, so they travel back to it.
#[test]
fn a_sum_that_travels_is_one_tuple_and_not_one_for_each_packet() {
    let text = "FROM job IN JobComplete JOIN incr IN DataNodeMetrics.incrBytesRead ON incr -> job
                LET kib = incr.delta / 1024 WHERE incr.host != job.host
                GROUP BY job.process SELECT job.process, SUM(incr.delta), SUM(kib), COUNT";
    let (naive, optimised) = check("Q2 reversed", text);
    assert!(optimised.bytes * 3 < naive.bytes, "{naive:?} {optimised:?}");
}

#[test]
fn a_measured_query_tells_what_each_of_its_stages_packs() {
    let program =
        compile_with(include_str!("../../../queries/paper/q7.pivot"), &catalog(), &CompileOptions::default());
    let program = program.unwrap();
    let (cost, _) = ran(&program);
    let measured = program.measured(1.0, 1);
    let (_, part) = ran(&measured);
    let output = &measured.output;
    let rows: Vec<Vec<Value>> = part
        .groups
        .iter()
        .flatten()
        .map(|group| output.row(&group.key, group.n, &group.states, 1.0, &mut EvalErrors::default()))
        .collect();
    let of = |stage: u64, place: usize| {
        let row = rows.iter().find(|row| row[0] == Value::U64(stage));
        row.map_or(0, |row| row[place].as_integer().unwrap())
    };
    // One tuple in each of twenty requests, of 7 bytes and more; the root emits where no replica is local.
    assert_eq!((of(1, 1) + of(2, 1), of(1, 1)), (cost.tuples as i128, 20));
    assert!(of(2, 2) >= 20 * 7 && of(0, 1) > 0, "{rows:?}");
    let explained = measured.explain_measured(&rows, 2.0);
    assert!(explained.contains("1 pack getloc") && explained.contains("0 emit dnop"), "{explained}");
}
