use std::future::Future;
use std::pin::Pin;

// The end of a future inside another value, or behind an associated type, cannot be seen.
#[pivot::tracepoints]
pub fn connect() -> Result<Pin<Box<dyn Future<Output = u64> + Send>>, String> {
    Ok(Box::pin(async { 1 }))
}

pub trait Service {
    type Future: Future;

    #[pivot::tracepoints]
    fn call(&mut self) -> Self::Future {
        unimplemented!()
    }
}

#[pivot::tracepoints]
pub fn copied() -> impl Future<Output = ()> + Clone {
    std::future::ready(())
}
