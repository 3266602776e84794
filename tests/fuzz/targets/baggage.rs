//! Baggage that arrives is refused, or forks, joins and travels on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pivot_baggage::Baggage;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut arrived) = Baggage::decode(bytes) else { return };
    let child = arrived.fork();
    if let Ok(child) = Baggage::decode(&child.encode()) {
        arrived.join(child);
    }
    let again = Baggage::decode(&arrived.encode());
    assert!(again.is_ok(), "what was written cannot be read");
});
