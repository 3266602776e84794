#[pivot::tracepoints("Reader.read", arguments(n))]
pub fn unknown_option(n: u64) {
    let _ = n;
}

#[pivot::tracepoints(fields(n))]
pub fn missing_value(n: u64) {
    let _ = n;
}

#[pivot::tracepoints(fields(result = 1))]
pub fn own_field() {}

#[pivot::tracepoints(fields(n = n), "Reader.read")]
pub fn wrong_order(n: u64) {
    let _ = n;
}

#[pivot::tracepoints(fields(m: u64 = m))]
pub fn unknown_argument(n: u64) {
    let _ = n;
}
