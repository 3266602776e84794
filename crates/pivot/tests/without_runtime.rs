//! A library without the runtime: it compiles, and nothing is left of its tracepoints.
//! `cargo test -p pivot --no-default-features --test without_runtime`
#![cfg(not(feature = "runtime"))]
#![allow(missing_docs)]

#[pivot::tracepoints("Library.read", fields(bytes: u64 = bytes, sensitive(user) = user))]
fn read(bytes: u64, user: &str) -> usize {
    let unobserved = || -> u64 { panic!("a field of a tracepoint that is not there was evaluated") };
    pivot::tracepoint!("Library.inside", n: u64 = unobserved(), text = %user, debug = ?user, sensitive(any) = bytes);
    pivot::tracepoint!("Library.plain");
    user.len() + bytes as usize
}

#[test]
fn tracepoints_are_nothing() {
    assert_eq!(read(4, "ann"), 7);
}
