//! Requests that branch and join, on threads that come and go, and what they have done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

/// How many kinds of work there are.
const KINDS: u64 = 5;

/// Counts of the requests and events that a load has made, against which results are checked.
#[derive(Debug, Default)]
pub struct LoadCounts {
    requests: AtomicU64,
    /// Events and the sum of `n`, by kind.
    work: [(AtomicU64, AtomicU64); KINDS as usize],
}

impl LoadCounts {
    /// Returns how many requests have ended.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Returns how many events of work there were.
    pub fn events(&self) -> u64 {
        self.work.iter().map(|(count, _)| count.load(Relaxed)).sum()
    }

    /// Returns COUNT and SUM(n) of each kind of work that occurred.
    pub fn by_kind(&self) -> Vec<Vec<i128>> {
        let rows = self.work.iter().map(|(count, sum)| vec![count.load(Relaxed), sum.load(Relaxed)]);
        let rows = rows.filter(|row| row[0] > 0);
        rows.map(|row| row.into_iter().map(i128::from).collect()).collect()
    }

    /// Returns COUNT and SUM(n) over all work of all requests: as each ends behind its work, the rows of a join.
    pub fn joined(&self) -> Vec<i128> {
        let sum: u64 = self.work.iter().map(|(_, sum)| sum.load(Relaxed)).sum();
        vec![self.events().into(), sum.into()]
    }
}

/// Threads that make requests until they are stopped.
#[derive(Debug)]
pub struct RequestLoad {
    stop: Arc<AtomicBool>,
    done: Arc<LoadCounts>,
    threads: Vec<JoinHandle<()>>,
}

impl RequestLoad {
    /// Starts so many threads.
    pub fn start(threads: u64) -> RequestLoad {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(LoadCounts::default()));
        let run = |seed: u64| {
            let (stop, done) = (stop.clone(), done.clone());
            spawn(move || {
                let mut n = seed << 32;
                while !stop.load(Relaxed) {
                    (0..40).for_each(|_| request(&done, &mut n));
                    // Some requests have threads of their own, which end with them.
                    let done = done.clone();
                    let mut other = n ^ 0x5555;
                    spawn(move || request(&done, &mut other)).join().unwrap();
                    sleep(Duration::from_millis(4));
                }
            })
        };

        let threads = (1..=threads).map(run).collect();
        RequestLoad { stop, done, threads }
    }

    /// Ends all threads and returns what they have done.
    pub fn stop(self) -> Arc<LoadCounts> {
        self.stop.store(true, Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.done
    }
}

/// One request: two branches that join, work in both, and an end.
fn request(done: &LoadCounts, n: &mut u64) {
    let _request = pivot::baggage::enter_request(None);
    *n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let draw = *n >> 33;
    pivot::tracepoint!("Soak.begin", user: u64 = draw % 500, path = %(draw % 1_500));
    // The second half of the work happens in a branch, which joins before the end.
    let branch = pivot::baggage::with_current(|baggage| baggage.map(|baggage| baggage.fork()));
    work(done, draw % KINDS, draw % 97);

    let other = branch.map(|branch| {
        let own = pivot::baggage::with_current(|baggage| baggage.map(|own| std::mem::replace(own, branch)));
        work(done, (draw / 7) % KINDS, draw % 89);
        pivot::baggage::with_current(|b| b.zip(own).map(|(b, own)| std::mem::replace(b, own)))
    });

    if let Some(Some(other)) = other {
        pivot::baggage::with_current(|baggage| baggage.map(|baggage| baggage.join(other)));
    }

    // Its field divides by zero for some, which must not reach the request.
    if draw.is_multiple_of(3) {
        let _ = risky(draw % 11);
    }

    pivot::tracepoint!("Soak.end", size: u64 = draw % 4_096);
    done.requests.fetch_add(1, Relaxed);
}

fn work(done: &LoadCounts, kind: u64, n: u64) {
    let name = ["read", "write", "scan", "sort", "flush"][kind as usize];
    let (count, sum) = &done.work[kind as usize];
    count.fetch_add(1, Relaxed);
    sum.fetch_add(n, Relaxed);
    pivot::tracepoint!("Soak.work", kind: &str = name, n: u64 = n);
}

#[pivot::tracepoints("Soak.risky", fields(inverse: u64 = 100 / (n % 11), n: u64 = n))]
fn risky(n: u64) -> Result<u64, String> {
    if n == 4 { Err("four".into()) } else { Ok(n) }
}
