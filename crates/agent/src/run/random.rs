//! Random numbers without a lock and without system calls: xorshift64*, one state per thread. Good enough to break up
//! rhythms and to sample; no secret depends on it.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Returns the next number of this thread.
pub(crate) fn random() -> u64 {
    let mut x = STATE.get();
    if x == 0 {
        // The address of a thread's state differs between threads, and with address randomization between runs.
        x = STATE.with(|state| std::ptr::from_ref(state).addr() as u64 | 1);
    }

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    STATE.set(x);
    x.wrapping_mul(0x2545_F491_4F6C_DD1D)
}
