pub fn number() {
    pivot::tracepoint!(42);
}

pub fn empty() {
    pivot::tracepoint!("");
}

pub fn computed(name: &'static str) {
    pivot::tracepoint!(name, n: u64 = 1);
}

#[pivot::tracepoints("Reader.read@enter")]
pub fn at() {}

#[pivot::tracepoints(Reader.read)]
pub fn bare() {}
