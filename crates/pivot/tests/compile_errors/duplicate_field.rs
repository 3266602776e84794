pub fn read(n: u64) {
    pivot::tracepoint!("Reader.read", bytes: u64 = n, bytes: u64 = n + 1);
}

#[pivot::tracepoints("Reader.skip", fields(n: u64 = n, n: u64 = n))]
pub fn skip(n: u64) {
    let _ = n;
}
