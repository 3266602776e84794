//! Threads that come and go hit a tracepoint while it is woven, unwoven and drained all the time.

use crate::harness::{emit, part, serial};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How often the woven field was evaluated: what every drain has to account for.
static EVALUATED: AtomicU64 = AtomicU64::new(0);

fn hit() {
    pivot_agent::tracepoint!("Stress.hit", n: u64 = EVALUATED.fetch_add(1, SeqCst) % 7);
}

/// Checks after every unweaving and drain that no event is missing and none is still on its way.
pub(crate) fn check(time: Duration) {
    let _serial = serial();
    let stop = AtomicBool::new(false);
    let until_stopped = || {
        while !stop.load(SeqCst) {
            (0..100).for_each(|_| hit());
        }
    };
    /// Lets the threads end also when a check fails.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let begun = Instant::now();
    let (mut rounds, mut total) = (0_u64, 0_u64);
    std::thread::scope(|threads| {
        let _stop = Stop(&stop);
        (0..3).for_each(|_| drop(threads.spawn(until_stopped)));
        while begun.elapsed() < time || total == 0 {
            threads.spawn(|| (0..50).for_each(|_| hit()));
            pivot_agent::weave(&[emit(1, "Stress.hit", &["n"])]);
            // Some rounds see several drains, some none, some end at once.
            for _ in 0..rounds % 3 {
                std::thread::sleep(Duration::from_micros(100 * (rounds % 5)));
                total += part(&pivot_agent::drain(), 1).emitted;
            }
            pivot_agent::weave(&[]);
            let evaluated = EVALUATED.load(SeqCst);
            let last = part(&pivot_agent::drain(), 1);
            total += last.emitted;
            assert_eq!((total, EVALUATED.load(SeqCst)), (evaluated, evaluated), "in round {rounds}");
            assert!(last.loss.is_zero() && last.other.is_none());
            rounds += 1;
        }
    });
    assert_eq!(part(&pivot_agent::drain(), 1).emitted, 0);
    assert!(rounds > 10 && total > 100, "{rounds} rounds with {total} events");
}
