#[pivot::tracepoints("Sound.open", fields(n: u64 = n))]
pub fn open(n: u64) -> Result<pivot::Guard, pivot::UplinkError> {
    pivot::tracepoint!("Sound.inside", n: u64 = n, text = %n);
    pivot::init()
}
