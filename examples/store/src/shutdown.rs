//! [`ShutdownSignal`]: tells all parts of a process when it has to end.
//!
//! | cause | for | what is under way |
//! |---|---|---|
//! | SIGTERM, Ctrl-C | every process | ends as a whole operation |
//! | the file `stop` in the data folder | clients | ends as a whole operation |
//! | the word `stop` on standard input | supervised processes | ends as a whole operation |
//! | standard input ends without it | supervised processes | is abandoned: the supervisor is dead |

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::{ProcessOptions, StoreError};

/// The word a supervisor writes before it closes a child's standard input.
pub(crate) const STOP_WORD: &str = "stop";

/// How often files are looked for.
const POLL: Duration = Duration::from_millis(20);

/// A handle on the end of the process; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ShutdownSignal {
    flag: watch::Receiver<bool>,
    /// Whether the supervisor died without a word.
    orphaned: Arc<AtomicBool>,
}

impl ShutdownSignal {
    /// Starts to watch everything that may end the process.
    pub(crate) fn listen(options: &ProcessOptions) -> Result<ShutdownSignal, StoreError> {
        let (sender, flag) = watch::channel(false);
        let sender = Arc::new(sender);
        let orphaned = Arc::new(AtomicBool::new(false));

        let failed = |error| StoreError::disk(Path::new("signals"), error);
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;

        // Without a handler these signals would end the process in the middle of an operation.
        let on_signal = sender.clone();
        tokio::spawn(async move {
            tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
            on_signal.send_replace(true);
        });

        // A thread of its own: reading standard input blocks and cannot be cancelled.
        if options.supervised {
            let (on_end, orphaned) = (sender.clone(), orphaned.clone());
            std::thread::spawn(move || {
                orphaned.store(!read_stop_word(), Ordering::Relaxed);
                on_end.send_replace(true);
            });
        }

        if !options.role.is_server() {
            tokio::spawn(watch_file(options.data_dir.join("stop"), sender));
        }
        Ok(ShutdownSignal { flag, orphaned })
    }

    /// Returns whether the process has to end.
    pub(crate) fn is_requested(&self) -> bool {
        *self.flag.borrow()
    }

    /// Returns whether the supervisor died without a word.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.orphaned.load(Ordering::Relaxed)
    }

    /// Resolves when the process has to end.
    pub(crate) async fn requested(&self) {
        let mut flag = self.flag.clone();
        if flag.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when the supervisor has died without a word: nobody waits for what is under way.
    pub(crate) async fn orphaned(&self) {
        self.requested().await;
        if !self.is_orphaned() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for a duration, or less if the process has to end.
    pub(crate) async fn pause(&self, duration: Duration) {
        tokio::select! { () = self.requested() => (), () = tokio::time::sleep(duration) => () }
    }

    /// Waits until a file exists, or the process has to end.
    pub(crate) async fn pause_until(&self, path: &Path) {
        while !self.is_requested() && !path.exists() {
            self.pause(POLL).await;
        }
    }
}

/// Requests the shutdown when a file exists.
async fn watch_file(path: std::path::PathBuf, sender: Arc<watch::Sender<bool>>) {
    while !path.exists() {
        tokio::time::sleep(POLL).await;
    }
    sender.send_replace(true);
}

/// Reads standard input to the word `stop` or to its end. Returns whether the word came. It blocks, and may
/// never return: a thread of its own does this.
fn read_stop_word() -> bool {
    std::io::stdin().lock().lines().map_while(Result::ok).any(|line| line == STOP_WORD)
}
