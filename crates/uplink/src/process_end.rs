//! Reports what is left when a process ends without dropping the handle of its uplink.
//!
//! ```text
//! exit, or main returns and a static holds the handle ──▶ atexit ──────────────────┐
//! SIGTERM, SIGINT, SIGHUP ──▶ handler: one byte into a pipe ──▶ thread ──▶ leave ◀─┘
//!                                                                  │
//!                             default action again, signal raised ◀┘
//! ```
//!
//! **Exit.** A function that `atexit` registers runs on the thread that exits while all other threads still run, so the
//! uplink can report and say goodbye.
//!
//! **Signals.** A signal whose default action ends the process is how containers and terminals end one. A handler is
//! installed only where the default action would be taken: not over a handler of the application, not over an ignored
//! signal (`nohup`), and not in process 1, for which the kernel leaves the default action out. The handler does nothing but
//! wake a thread that waits for this. That thread has the uplink report for [`END_TIMEOUT`] at most, restores the
//! default action and raises the signal again, so that whoever waits for the process sees it end by that signal. It is not the
//! uplink's own thread, which may be waiting for a field expression that does not return.
//!
//! An application that installs a handler of its own later, and calls ours from it, as `tokio` does, decides
//! itself when it ends: then the uplink reports what it has and goes on.
//!
//! A forked child reports nothing: there the handler takes the default action at once.

use crate::uplink_command::{UplinkCommand, WovenSignal, ask};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the end of a process waits for the last reports to be acknowledged.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// Uplinks that were started and perhaps not dropped.
static STARTED: Mutex<Vec<StartedUplink>> = Mutex::new(Vec::new());

/// How to reach an uplink at the end of the process.
#[derive(Clone)]
struct StartedUplink {
    /// Closed once the handle was dropped: then nothing is left to report.
    commands: mpsc::WeakUnboundedSender<UplinkCommand>,
    /// Not raised as long as nothing was woven: then there is nothing to report, and nobody to wait for.
    woven: Arc<WovenSignal>,
}

/// Whether the handlers of signals are installed with those of `exit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndSignals {
    Handled,
    LeftAlone,
}

/// Has an uplink report what is left when the process ends.
pub(crate) fn report_at_end(
    commands: mpsc::WeakUnboundedSender<UplinkCommand>,
    woven: Arc<WovenSignal>,
    signals: EndSignals,
) {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    started.retain(|uplink| uplink.commands.strong_count() > 0);
    started.push(StartedUplink { commands, woven });
    drop(started);

    static EXIT: Once = Once::new();
    EXIT.call_once(exit::register);

    static SIGNALS: Once = Once::new();
    if signals == EndSignals::Handled {
        SIGNALS.call_once(signal::handle);
    }
}

/// Sends a command to every uplink that is running and waits until it is carried out, for [`END_TIMEOUT`] at most.
fn ask_all(command: fn(tokio::sync::oneshot::Sender<()>) -> UplinkCommand) {
    // Copied, because no lock may be held while a process ends: a signal may come during `exit`.
    let started = match STARTED.try_lock() {
        Ok(started) => started.clone(),
        Err(_) => return,
    };

    for uplink in started {
        if let Some(commands) = uplink.commands.upgrade().filter(|_| uplink.woven.is_raised()) {
            ask(&commands, command, END_TIMEOUT);
        }
    }
}

mod exit {
    use super::{UplinkCommand, ask_all};

    /// Registers a function that the C library calls when the process exits.
    pub(super) fn register() {
        extern "C" fn at_exit() {
            // One that exits inside an event would wait for its own drain.
            if !pivot_agent::is_forked() && !pivot_agent::is_inside_event() {
                // A panic must not leave a function that C calls.
                let _ = std::panic::catch_unwind(|| ask_all(UplinkCommand::Leave));
            }
        }

        // SAFETY: the handler is a function that lives as long as the program.
        let _ = unsafe { libc::atexit(at_exit) };
    }
}

#[cfg(unix)]
mod signal {
    use super::{UplinkCommand, ask_all};
    use std::io::{PipeReader, Read};
    use std::os::fd::IntoRawFd;
    use std::sync::atomic::{AtomicI32, Ordering};

    /// The signals that end a process from outside, unless it says otherwise.
    const ENDING: [libc::c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

    /// The end of the pipe that the handler writes into, or -1; open as long as the process lives.
    static WAKE: AtomicI32 = AtomicI32::new(-1);

    /// The process that has the thread; a forked child has not.
    static OWNER: AtomicI32 = AtomicI32::new(0);

    /// Installs the handlers and starts the thread that they wake. Nothing is changed if either cannot be had: then
    /// these signals end the process as if there were no agent.
    pub(super) fn handle() {
        let process = process_id();
        if process == 1 {
            return;
        }
        let Ok((reader, writer)) = std::io::pipe() else { return };
        let thread = std::thread::Builder::new().name("pivot-signals".into()).stack_size(128 * 1024);
        if thread.spawn(move || wait(reader)).is_err() {
            return;
        }

        OWNER.store(process, Ordering::Relaxed);
        WAKE.store(writer.into_raw_fd(), Ordering::Release);
        for signal in ENDING {
            if disposition(signal) == Some(libc::SIG_DFL) {
                set_disposition(signal, on_signal as *const () as libc::sighandler_t);
            }
        }
    }

    /// Wakes the thread; called by the system at a signal, or by a handler that was installed over it.
    extern "C" fn on_signal(signal: libc::c_int) {
        let is_child = process_id() != OWNER.load(Ordering::Relaxed);
        let byte = signal as u8;

        // SAFETY: `write` may be called in a handler, and `byte` is one readable byte. The pipe has room: a byte stays
        // in it for as long as an end takes at most, and a page of them would be as many signals.
        let woken = !is_child
            && unsafe { libc::write(WAKE.load(Ordering::Acquire), (&raw const byte).cast(), 1) } == 1;
        if !woken {
            end_by(signal);
        }
    }

    /// Waits for signals, each a byte in the pipe.
    fn wait(mut reader: PipeReader) {
        pivot_agent::exempt_this_thread();
        let mut byte = [0];

        while reader.read_exact(&mut byte).is_ok() {
            let signal = libc::c_int::from(byte[0]);
            let is_ours = disposition(signal) == Some(on_signal as *const () as libc::sighandler_t);

            if is_ours {
                ask_all(UplinkCommand::Leave);
                end_by(signal);
            } else {
                // The application has a handler of its own by now, and decides when it ends.
                ask_all(UplinkCommand::Flush);
            }
        }
    }

    /// Ends the process by the default action of a signal.
    fn end_by(signal: libc::c_int) {
        set_disposition(signal, libc::SIG_DFL);
        // SAFETY: both functions may be called in a handler, and take integers.
        unsafe { libc::kill(libc::getpid(), signal) };
    }

    /// Returns the handler of a signal, or `SIG_DFL` or `SIG_IGN`.
    fn disposition(signal: libc::c_int) -> Option<libc::sighandler_t> {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: nothing is set, and `action` has room for what is asked. All bytes zero is a valid `sigaction`.
        let action = unsafe {
            (libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0)
                .then(|| action.assume_init())
        };
        action.map(|action| action.sa_sigaction)
    }

    /// Sets the handler of a signal, or `SIG_DFL`. Calls of the system go on after the handler.
    fn set_disposition(signal: libc::c_int, handler: libc::sighandler_t) {
        // SAFETY: all bytes zero is a valid `sigaction`: no flags, and no other signal blocked. The handler is `SIG_DFL`,
        // or `on_signal`, which calls nothing that a handler must not call.
        unsafe {
            let mut action = std::mem::zeroed::<libc::sigaction>();
            action.sa_sigaction = handler;
            action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }

    fn process_id() -> libc::pid_t {
        // SAFETY: it takes nothing, cannot fail, and may be called in a handler.
        unsafe { libc::getpid() }
    }
}

#[cfg(not(unix))]
mod signal {
    /// Does nothing: this system ends a process in other ways.
    pub(super) fn handle() {}
}
