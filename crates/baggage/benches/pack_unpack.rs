//! What do packing, unpacking, encoding and decoding cost for 1 to 256 tuples of 8 bytes, next to
//! plain prost messages, and a whole hop next to OpenTelemetry's baggage?
//!
//! `cargo bench -p pivot-baggage` prints nanoseconds, all measured in turn in one run; the ratios count.
//!
//! On two busy cores (EPYC, Zen 5), for 1, 8, 64 and 256 tuples:
//!
//! ```text
//! bytes                            50, 130, 775, 2,983, of which 24 are the envelope (prost: 13 to 2,818)
//! decode / prost's                 4.5  0.91  0.13  0.042      207 to 290 ns, whatever it holds
//! forwarded / prost's decode       4.7  0.95  0.15  0.050
//! decode, fork, encode / prost's   18   5.1   0.83  0.27       466 to 676 ns
//! hop / OpenTelemetry's            2.1  0.38  0.081 0.17
//! decode and unpack / prost's      11   6.9   5.6   5.7
//! pack all / prost's structs       6.9  18    9.1   10         of that, 3.7 times a table of all
//! ```
//!
//! What only passes through costs the allocations of a branch and nothing per tuple. What is packed and
//! unpacked costs what its hash table costs: bags in memory are `Groups`, with a boxed key for each row.
#![allow(missing_docs, clippy::unwrap_used)]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::BaggagePropagator;
use pivot_advice::{BagKey, Groups, Keep, QueryId, Value};
use pivot_baggage::{Baggage, MAX_BYTES};
use prost::Message;
use std::hint::black_box;
use std::time::Instant;

const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 7 }, stage: 1 };
const ROUNDS: usize = 31;

/// A bag of tuples as one would define it without thinking about its size.
#[derive(Clone, PartialEq, Message)]
struct Plain {
    #[prost(uint32, tag = "1")]
    bag: u32,
    #[prost(message, repeated, tag = "2")]
    tuples: Vec<Tuple>,
}

#[derive(Clone, PartialEq, Message)]
struct Tuple {
    #[prost(sfixed64, repeated, packed = "false", tag = "1")]
    values: Vec<i64>,
}

fn values(n: usize) -> Vec<i64> {
    (1..=n as i64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)).collect()
}

fn pack(baggage: &mut Baggage, value: i64) {
    let mut rows = Groups::new(1, &[]);
    rows.entry(&[Value::I64(value)]).n = 1;
    baggage.pack(KEY, Keep::All, [rows]);
}

fn packed(values: &[i64]) -> Baggage {
    let mut baggage = Baggage::new();
    values.iter().for_each(|value| pack(&mut baggage, *value));
    baggage
}

fn plain(values: &[i64]) -> Plain {
    Plain { bag: 7, tuples: values.iter().map(|value| Tuple { values: vec![*value] }).collect() }
}

struct Header(Option<String>);

impl Injector for Header {
    fn set(&mut self, _: &str, value: String) {
        self.0 = Some(value);
    }
}

impl Extractor for Header {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.as_deref().filter(|_| key == "baggage")
    }

    fn keys(&self) -> Vec<&str> {
        vec!["baggage"]
    }
}

/// There and back through OpenTelemetry's W3C baggage.
fn otel_hop(context: &Context) {
    let (propagator, mut header) = (BaggagePropagator::new(), Header(None));
    propagator.inject_context(context, &mut header);
    let value = HeaderValue::try_from(header.0.take().unwrap_or_default()).unwrap();
    let arrived = Header(Some(value.to_str().unwrap().to_owned()));
    black_box(propagator.extract_with_context(&Context::new(), &arrived));
}

/// From what has arrived here to a branch that has arrived there, as a header.
fn hop(arrived: &[u8]) {
    let mut baggage = Baggage::decode(arrived).unwrap();
    let text = URL_SAFE_NO_PAD.encode(baggage.fork().encode_within(MAX_BYTES));
    let value = HeaderValue::try_from(text).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(value.as_bytes()).unwrap();
    black_box(Baggage::decode(&bytes).unwrap());
}

/// What is measured, by name.
type Body<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// The least nanoseconds of each measurement over all rounds, in turn.
fn measure(bodies: &mut [Body<'_>], calls: usize) -> Vec<f64> {
    let mut least = vec![f64::INFINITY; bodies.len()];
    for _ in 0..ROUNDS {
        for ((_, body), least) in bodies.iter_mut().zip(&mut least) {
            let start = Instant::now();
            (0..calls).for_each(|_| body());
            *least = least.min(start.elapsed().as_nanos() as f64 / calls as f64);
        }
    }
    least
}

fn run(n: usize) {
    let values = values(n);
    let arrived = packed(&values).encode_within(MAX_BYTES);
    let (plain_arrived, ready) = (plain(&values).encode_to_vec(), plain(&values));
    let unpackable = Baggage::decode(&arrived).unwrap();
    unpackable.unpack(KEY);
    let rows = |values: &[i64]| {
        let mut rows = Groups::new(1, &[]);
        values.iter().for_each(|value| rows.entry(&[Value::I64(*value)]).n = 1);
        rows
    };
    let pairs = values.iter().enumerate().map(|(i, value)| KeyValue::new(format!("k{i}"), value.to_string()));
    let context = Context::new().with_baggage(pairs);
    let mut bodies: Vec<Body<'_>> = vec![
        ("pack all", Box::new(|| drop(black_box(packed(&values))))),
        ("pack all, prost", Box::new(|| drop(black_box(plain(&values))))),
        ("unpack", Box::new(|| drop(black_box(unpackable.unpack(KEY))))),
        ("a table of all", Box::new(|| drop(black_box(rows(&values))))),
        (
            "decode, fork, encode",
            Box::new(|| {
                let mut baggage = Baggage::decode(&arrived).unwrap();
                drop(black_box(baggage.fork().encode_within(MAX_BYTES)));
            }),
        ),
        ("encode, prost", Box::new(|| drop(black_box(ready.encode_to_vec())))),
        ("decode", Box::new(|| drop(black_box(Baggage::decode(&arrived))))),
        ("decode, prost", Box::new(|| drop(black_box(Plain::decode(plain_arrived.as_slice()))))),
        (
            "decode and unpack",
            Box::new(|| {
                let baggage = Baggage::decode(&arrived).unwrap();
                black_box(baggage.unpack(KEY).map(|rows| rows.len()));
            }),
        ),
        (
            "forwarded",
            Box::new(|| drop(black_box(Baggage::decode(&arrived).unwrap().encode_within(MAX_BYTES)))),
        ),
        ("hop", Box::new(|| hop(&arrived))),
        ("hop, otel", Box::new(|| otel_hop(&context))),
    ];
    let ns = measure(&mut bodies, (4000 / n).max(20));
    println!("{n} tuples: {} bytes, prost {}", arrived.len(), plain_arrived.len());
    for ((name, _), ns) in bodies.iter().zip(&ns) {
        println!("  {name:<20}{ns:>10.1} ns");
    }
    let ratio = |of: &str, to: &str| {
        let at = |name: &str| ns[bodies.iter().position(|(other, _)| *other == name).unwrap()];
        println!("  {of} / {to}: {:.3}", at(of) / at(to));
    };
    ratio("pack all", "pack all, prost");
    ratio("pack all", "a table of all");
    ratio("decode, fork, encode", "encode, prost");
    ratio("decode", "decode, prost");
    ratio("forwarded", "decode, prost");
    ratio("decode and unpack", "decode, prost");
    ratio("hop", "hop, otel");
}

fn main() {
    [1, 8, 64, 256].into_iter().for_each(run);
}
