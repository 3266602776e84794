//! A text is compiled or refused, and what can be laid out is laid out once and for all.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pivot_query::{Catalog, compile, format};

fuzz_target!(|text: &str| {
    let _ = compile(text, &Catalog::default());
    if let Ok(laid_out) = format(text) {
        assert_eq!(format(&laid_out).as_ref(), Ok(&laid_out));
    }
});
