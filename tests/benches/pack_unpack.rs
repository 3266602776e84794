//! What do packing, unpacking, encoding and decoding cost for 1 to 256 tuples of 8 bytes, next to
//! plain prost messages, and a whole hop next to OpenTelemetry's baggage?
//!
//! `cargo bench --bench pack_unpack` in `tests/benches` prints nanoseconds, all measured in turn in one run; the ratios count.
//!
//! On two busy cores (EPYC, Zen 5), for 1, 8, 64 and 256 tuples, the least of each over two runs:
//!
//! ```text
//! bytes                     62, 125, 631, 2,358, of which 53 are envelope and bag (prost: 15 to 3,330: 0.71)
//! decode                    95    97    117   210  ns     1.7   0.32  0.049  0.022 of prost's
//! encode after a fork       24    21    26    28   ns     0.78  0.14  0.023  0.006 of prost's
//! hop                       159   172   315   757  ns     0.33  0.063 0.014  0.031 of OpenTelemetry's
//! fork and hop              302   337   458   940  ns     0.64  0.12  0.021  0.038 of OpenTelemetry's
//! decode and unpack         256   285   513   1,390 ns    4.4   0.97  0.23  0.15 of prost's decode
//! unpack again              17    34    153   577  ns     2.2 ns a tuple, 2.7 times a walk over prost's structs
//! pack all                  106   400   2,970 10,800      42 ns a tuple, 1.8 to 3.8 times prost's structs
//! ```
//!
//! OpenTelemetry carries 64 entries at most. A hop is to encode, base64, `HeaderValue`, and back; that of 256
//! tuples is mostly the check of 3,144 characters by `HeaderValue`. To decode allocates the buffer and the branch
//! and frees them; it costs the copy of the bytes beyond that. To fork is another branch, and what was packed
//! becomes an instance with a uid. To unpack walks the rows as they travel, the first time once more to see whether
//! all of them can be read. To pack looks for the row with the same key, which prost's peer does not.
#![allow(missing_docs, clippy::unwrap_used)]

use base64_simd::{AsOut, URL_SAFE_NO_PAD};
use http::HeaderValue;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::BaggagePropagator;
use pivot_advice::{BagKey, QueryId, Value};
use pivot_baggage::{BagRows, Baggage, MAX_BYTES, ValueRef};
use prost::Message;
use std::hint::black_box;
use std::time::Instant;

const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 7 }, stage: 1 };
const ROUNDS: usize = 61;

/// A bag of tuples of values of any type, as one would define it without thinking about its size.
#[derive(Clone, PartialEq, Message)]
struct Plain {
    #[prost(uint32, tag = "1")]
    bag: u32,
    #[prost(message, repeated, tag = "2")]
    tuples: Vec<Tuple>,
}

#[derive(Clone, PartialEq, Message)]
struct Tuple {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(oneof = "Kind", tags = "1, 2, 3")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(sfixed64, tag = "1")]
    Integer(i64),
    #[prost(double, tag = "2")]
    Double(f64),
    #[prost(string, tag = "3")]
    Text(String),
}

fn values(n: usize) -> Vec<i64> {
    (1..=n as i64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)).collect()
}

#[inline]
fn pack(baggage: &mut Baggage, value: i64) {
    baggage.pack_row(KEY, &[], &[Value::I64(value)], 1, &[]);
}

fn packed(values: &[i64]) -> Baggage {
    let mut baggage = Baggage::new();
    values.iter().for_each(|value| pack(&mut baggage, *value));
    baggage
}

fn sum(baggage: &Baggage) -> i64 {
    let mut sum = 0i64;
    // As advice does it.
    let Some(BagRows::Encoded(rows)) = baggage.unpack_complete(KEY) else { panic!("one bag in one place") };

    let add = |sum: &mut i64, _, part: ValueRef<'_>| {
        if let ValueRef::I64(x) = part {
            *sum = sum.wrapping_add(x);
        }
    };

    rows.each(&mut sum, add, |_, _, _| {});
    sum
}

fn plain(values: &[i64]) -> Plain {
    let value = |value: &i64| Scalar { kind: Some(Kind::Integer(*value)) };
    Plain { bag: 7, tuples: values.iter().map(|x| Tuple { values: vec![value(x)] }).collect() }
}

fn plain_sum(plain: &Plain) -> i64 {
    let values = plain.tuples.iter().flat_map(|tuple| &tuple.values);
    values.fold(0, |sum, value| match value.kind {
        Some(Kind::Integer(x)) => sum.wrapping_add(x),
        _ => sum,
    })
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

/// From a branch here to a branch that has arrived there, as a header.
fn hop(branch: Baggage) -> Baggage {
    let text = URL_SAFE_NO_PAD.encode_to_string(branch.encode_within(MAX_BYTES));
    let value = HeaderValue::try_from(text).unwrap();
    let length = URL_SAFE_NO_PAD.decoded_length(value.as_bytes()).unwrap();
    let fill = |out: &mut [u8]| URL_SAFE_NO_PAD.decode(value.as_bytes(), out.as_out()).is_ok();
    Baggage::decode_from(length, fill).unwrap()
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

fn run(n: usize, only: Option<&str>) {
    let values = values(n);
    // As a server holds it: a branch of the client's request, which has packed before the call.
    let sent = packed(&values).fork().encode_within(MAX_BYTES);
    let (plain_sent, ready) = (plain(&values).encode_to_vec(), plain(&values));
    let (here, decode) = (packed(&values), || Baggage::decode(&sent).unwrap());
    let (mut going, arrived) = (decode(), decode());
    let pairs = values.iter().enumerate().map(|(i, value)| KeyValue::new(format!("k{i}"), value.to_string()));
    let context = Context::new().with_baggage(pairs);

    let mut bodies: Vec<Body<'_>> = vec![
        ("pack all", Box::new(|| drop(black_box(packed(&values))))),
        ("pack all, prost", Box::new(|| drop(black_box(plain(&values))))),
        ("unpack", Box::new(|| _ = black_box(sum(&here)))),
        ("unpack, prost", Box::new(|| _ = black_box(plain_sum(&ready)))),
        ("unpack what came", Box::new(|| _ = black_box(sum(&arrived)))),
        ("fork", Box::new(|| drop(black_box(going.fork())))),
        ("decode", Box::new(|| drop(black_box(decode())))),
        ("decode, prost", Box::new(|| drop(black_box(Plain::decode(plain_sent.as_slice()))))),
        ("decode, unpack", Box::new(|| _ = black_box(sum(&decode())))),
        ("decode, encode", Box::new(|| drop(black_box(decode().encode_within(MAX_BYTES))))),
        ("decode, fork, encode", Box::new(|| drop(black_box(decode().fork().encode_within(MAX_BYTES))))),
        ("encode, prost", Box::new(|| drop(black_box(ready.encode_to_vec())))),
        ("decode, hop", Box::new(|| drop(black_box(hop(decode()))))),
        ("decode, fork, hop", Box::new(|| drop(black_box(hop(decode().fork()))))),
        ("hop, otel", Box::new(|| otel_hop(&context))),
    ];

    if let Some(only) = only {
        let (_, body) = bodies.iter_mut().find(|(name, _)| *name == only).unwrap();
        return (0..20_000).for_each(|_| body());
    }

    let ns = measure(&mut bodies, (4000 / n).max(20));
    println!("{n} tuples: {} bytes, prost {}", sent.len(), plain_sent.len());
    let at = |name: &str| ns[bodies.iter().position(|(other, _)| *other == name).unwrap()];

    for ((name, _), ns) in bodies.iter().zip(&ns) {
        println!("  {name:<22}{ns:>10.1} ns");
    }

    let ratio =
        |name: &str, ns: f64, to: &str| println!("  {name:<22}{ns:>10.1} ns, {:.3} of {to}", ns / at(to));
    ratio("pack all", at("pack all"), "pack all, prost");
    ratio("unpack", at("unpack"), "unpack, prost");
    ratio("encode after a fork", at("decode, fork, encode") - at("decode") - at("fork"), "encode, prost");
    ratio("decode", at("decode"), "decode, prost");
    ratio("decode, unpack", at("decode, unpack"), "decode, prost");
    ratio("hop", at("decode, hop") - at("decode"), "hop, otel");
    ratio("fork and hop", at("decode, fork, hop") - at("decode"), "hop, otel");
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // For a profiler: `only NAME N`.
    if let Some(at) = arguments.iter().position(|argument| argument == "only") {
        return run(arguments[at + 2].parse().unwrap(), Some(&arguments[at + 1]));
    }
    [1, 8, 64, 256].into_iter().for_each(|n| run(n, None));
}
