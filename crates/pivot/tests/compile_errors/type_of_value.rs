pub fn read(path: &str) {
    pivot::tracepoint!("Reader.read", bytes: u64 = path);
}
