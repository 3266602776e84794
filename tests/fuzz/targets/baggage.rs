//! Baggage that arrives, or that somebody answers with, is refused, or forks, joins and travels on; what it carries
//! can be asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter, Value};
use pivot_baggage::{BagRows, Baggage};

/// The bag that is asked for: inputs that have one of this key are found soon.
const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 1 }, stage: 1 };

fuzz_target!(|bytes: &[u8]| {
    if let Ok(arrived) = Baggage::decode(bytes) {
        goes_on(arrived);
    }
    let mut caller = Baggage::begin();
    pack(&mut caller, TemporalFilter::MostRecent(1));
    let Some((_, mut sent)) = caller.fork().encode_request() else { return };
    let copied = |out: &mut [u8]| {
        out.copy_from_slice(bytes);
        true
    };
    if let Ok(back) = sent.decode_reply(bytes.len(), copied) {
        let _ = caller.join(back);
        goes_on(caller);
    }
});

fn pack(baggage: &mut Baggage, keep: TemporalFilter) {
    let mut rows = Groups::new(1, &[]);
    rows.entry(&[Value::U64(7)]).n = 1;
    baggage.pack(KEY, keep, [rows]);
}

fn goes_on(mut baggage: Baggage) {
    ask(&baggage);
    let child = baggage.fork();
    pack(&mut baggage, TemporalFilter::MostRecent(1));
    ask(&baggage);
    if let Ok(child) = Baggage::decode(&child.encode()) {
        let _ = baggage.join(child);
    }
    ask(&baggage);
    let again = Baggage::decode(&baggage.encode());
    assert!(again.is_ok(), "what was written cannot be read");
}

/// Rows that are found at once are those that are found by merging.
fn ask(baggage: &Baggage) {
    if let Some(BagRows::Decoded(found)) = baggage.unpack_complete(KEY) {
        assert_eq!(Some(found), baggage.unpack(KEY).as_deref());
    }
}
