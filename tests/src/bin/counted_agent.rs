//! A process with an agent that hits a tracepoint and leaves behind how often it did, whatever end it comes to.
//!
//! ```text
//! counted_agent TRUTH    with PIVOT_FRONTEND, PIVOT_PROCESS, ..
//!
//! go      on standard input: hits the tracepoint a thousand times a second, each time after one byte more is in TRUTH
//! pause   stops, and says `paused` when the frontend has everything
//! (end)   stops, and leaves when the frontend has everything
//! ```

use pivot_protocol::steady_ns;
use std::fs::File;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the frontend may take to merge everything.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("the first argument is a file")?;
    let truth = File::options().create(true).append(true).open(path)?;
    let agent = pivot::init()?;
    let runs = Arc::new(AtomicBool::new(false));
    let mut hits = None;

    for line in std::io::stdin().lock().lines() {
        let go = line? == "go";
        runs.store(go, Ordering::SeqCst);
        if go {
            let (runs, truth) = (runs.clone(), truth.try_clone()?);
            hits = Some(std::thread::spawn(move || hit(&runs, truth)));
        } else {
            end(hits.take());
            agent.flush(PATIENCE);
            println!("paused");
        }
    }

    runs.store(false, Ordering::SeqCst);
    end(hits);
    agent.flush(PATIENCE);
    Ok(())
}

/// Hits the tracepoint while it runs.
fn hit(runs: &AtomicBool, mut truth: File) {
    while runs.load(Ordering::SeqCst) {
        // What is not in the file was not done; a process that is killed in between has done one less.
        if truth.write_all(b".").is_err() {
            return;
        }
        pivot::tracepoint!("Counted.hit", n: u64 = 2_u64, at: i64 = steady_ns());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn end(hits: Option<std::thread::JoinHandle<()>>) {
    // A thread that panicked has hit nothing since.
    let _ = hits.map(std::thread::JoinHandle::join);
}
