#[pivot::tracepoints]
pub struct Reader {
    pub n: u64,
}

#[pivot::tracepoints]
pub const fn constant() -> u64 {
    4
}

pub trait Store {
    #[pivot::tracepoints]
    fn get(&self, key: &str) -> u64;
}
