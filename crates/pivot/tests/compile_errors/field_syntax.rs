pub fn missing_value(n: u64) {
    pivot::tracepoint!("Reader.read", n);
}

pub fn missing_value_of_typed(n: u64) {
    pivot::tracepoint!("Reader.read", n: u64);
}

pub fn not_a_name(n: u64) {
    pivot::tracepoint!("Reader.read", "n" = n);
}

pub fn two_sensitive(a: u64, b: u64) {
    pivot::tracepoint!("Reader.read", sensitive(a, b) = a + b);
}

pub fn missing_comma(n: u64) {
    pivot::tracepoint!("Reader.read", n: u64 = n m: u64 = n);
}

pub fn missing_name() {
    pivot::tracepoint!();
}
