//! The id that an application writes into its logs is the one that queries see.
#![cfg(feature = "runtime")]
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{block_on, rows};
use pivot_advice::Value;

#[test]
fn the_id_of_a_request_is_the_field_request_of_its_events() {
    assert_eq!(pivot::request_id(), None);

    let mut told = Vec::new();
    let rows = rows("Id.event", &["request"], || {
        for _ in 0..2 {
            block_on(pivot::request(async {
                told.push(pivot::request_id().unwrap());
                pivot::spawn(async { pivot::tracepoint!("Id.event") }).await.unwrap();
            }));
        }
    });

    let mut seen: Vec<String> = rows.iter().map(|row| row.iter().map(Value::to_string).collect()).collect();
    seen.sort();
    told.sort();
    assert_eq!(seen, told);
    assert_ne!(told[0], told[1]);
}
