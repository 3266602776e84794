//! The application's handle on the uplink: starts the thread, flushes, and ends it.
//!
//! The handle and the thread share two things: a channel of commands, each with a channel for its answer, and
//! the signal that something was woven.

use crate::agent_runtime::AgentRuntime;
use crate::config::Config;
use crate::error::UplinkError;
use crate::machine::{Machine, ThisMachine};
use crate::process_agent::ProcessAgent;
use crate::process_end::report_at_end;
use crate::silence;
use crate::uplink_command::{UplinkCommand, WovenSignal, ask};
use crate::uplink_loop::UplinkLoop;
use crate::uplink_status::{StatusBoard, UplinkStatus};
use pivot_protocol::{FrontendAddressError, check_frontend_address};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Endpoint;

/// How long a dropped uplink, or a panic, waits for the last reports to be acknowledged.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// A running agent. Dropping it reports what is left, for two seconds at most, and unweaves everything.
#[derive(Debug)]
pub struct Uplink {
    /// `None` if the agent is disabled.
    commands: Option<mpsc::UnboundedSender<UplinkCommand>>,
    thread: Option<std::thread::JoinHandle<()>>,
    woven: Arc<WovenSignal>,
    status: Arc<StatusBoard>,
}

impl Config {
    /// Starts the agent. There is one in a process: the last one to start decides what is woven.
    pub fn start(self) -> Result<Uplink, UplinkError> {
        if pivot_agent::is_forked() {
            return Err(UplinkError::Forked);
        }
        self.apply()?;
        pivot_agent::watch_forks();
        Uplink::start(self)
    }

    /// Runs an uplink over an agent and a machine that the caller brings, until `leaving` is over and the frontend has
    /// everything; for simulations, which have many agents. What this process is by itself, its agent, its signals and its
    /// panics, is left alone.
    pub async fn run_over(
        self,
        agent: impl AgentRuntime,
        machine: impl Machine,
        leaving: impl Future<Output = ()>,
    ) -> Result<(), UplinkError> {
        let endpoint = endpoint(&self.frontend)?;
        let connecting = UplinkStatus::Connecting { since: Instant::now(), problem: None };
        let status = Arc::new(StatusBoard::new(&self.frontend, connecting));
        let uplink_loop = UplinkLoop::new(agent, machine, self, endpoint, Arc::default(), status);

        let (commands, received) = mpsc::unbounded_channel();
        let leave = async {
            leaving.await;
            let (answer, answered) = oneshot::channel();
            // It may have ended, and then nobody answers.
            let _ = commands.send(UplinkCommand::Leave(answer));
            let _ = answered.await;
        };
        tokio::join!(uplink_loop.run(received), leave);
        Ok(())
    }

    /// Starts the agent, as [`Config::start`] does; the façade's builder calls it by this name.
    pub fn init(self) -> Result<Uplink, UplinkError> {
        self.start()
    }
}

impl Uplink {
    /// Starts the thread; a disabled agent has none, and its handle does nothing.
    fn start(config: Config) -> Result<Uplink, UplinkError> {
        let woven = Arc::new(WovenSignal::default());
        if config.disabled {
            pivot_baggage::request_generation::set_woven_here(0);
            let status = Arc::new(StatusBoard::new(&config.frontend, UplinkStatus::Disabled));
            return Ok(Uplink { commands: None, thread: None, woven, status });
        }

        // All that can fail comes before the thread, so that a caller hears of it.
        let endpoint = endpoint(&config.frontend)?;
        let runtime = build_runtime()?;

        let (commands, received) = mpsc::unbounded_channel();
        if config.flush_on_panic {
            flush_on_panic(commands.downgrade());
        }

        report_at_end(commands.downgrade(), Arc::clone(&woven), config.end_signals);

        let connecting = UplinkStatus::Connecting { since: Instant::now(), problem: None };
        let status = Arc::new(StatusBoard::new(&config.frontend, connecting));
        let uplink_loop = UplinkLoop::new(
            ProcessAgent,
            ThisMachine,
            config,
            endpoint,
            Arc::clone(&woven),
            Arc::clone(&status),
        );
        let thread = std::thread::Builder::new()
            .name("pivot-uplink".into())
            .spawn(move || runtime.block_on(uplink_loop.run(received)))?;
        Ok(Uplink { commands: Some(commands), thread: Some(thread), woven, status })
    }

    /// Returns what the connection to the frontend is doing. A frontend that cannot be reached, or that refuses the
    /// agent, is also said on standard error, once in the life of the process.
    pub fn status(&self) -> UplinkStatus {
        self.status.status()
    }

    /// Waits until the queries that a frontend has installed are woven here. Returns false if no frontend has
    /// answered in time.
    pub fn wait_until_woven(&self, timeout: Duration) -> bool {
        self.woven.wait(timeout)
    }

    /// Reports all that was gathered and waits until the frontend has merged it. Returns false if it has not
    /// in time.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.ask(UplinkCommand::Flush, timeout)
    }

    /// Sends a command and waits for its answer; false in a forked child, whose thread is the parent's.
    fn ask(&self, command: fn(oneshot::Sender<()>) -> UplinkCommand, timeout: Duration) -> bool {
        let commands = self.commands.as_ref().filter(|_| !pivot_agent::is_forked());
        commands.is_some_and(|commands| ask(commands, command, timeout))
    }
}

/// Returns the endpoint of a frontend's address.
fn endpoint(address: &str) -> Result<Endpoint, UplinkError> {
    let refuse = |reason| UplinkError::Address { address: address.to_owned(), reason };
    check_frontend_address(address).map_err(refuse)?;
    Endpoint::from_shared(address.to_owned()).map_err(|_| refuse(FrontendAddressError::NotAnHttpUrl))
}

/// Builds the runtime of the uplink's thread. That is done on a thread of the agent's too, because it is traced: by
/// `mio`, for the handlers of signals that some feature of `tokio` may bring.
fn build_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let building = std::thread::Builder::new().name("pivot-start".into()).spawn(|| {
        silence::begin();
        // Names are looked up on threads of their own.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_start(silence::begin)
            .on_thread_stop(silence::end)
            .build();
        silence::end();
        runtime
    })?;
    building.join().unwrap_or_else(|_| Err(std::io::Error::other("building the runtime panicked")))
}

/// Installs a panic hook that reports all that was gathered, as long as the uplink lives.
fn flush_on_panic(commands: mpsc::WeakUnboundedSender<UplinkCommand>) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);

        // A panic of the uplink's own thread would wait for itself, one inside an event for its drain.
        let asks = pivot_agent::takes_events() && !pivot_agent::is_forked();
        if let Some(commands) = commands.upgrade().filter(|_| asks) {
            ask(&commands, UplinkCommand::Flush, FLUSH_TIMEOUT);
        }
    }));
}

impl Drop for Uplink {
    fn drop(&mut self) {
        if pivot_agent::is_forked() {
            // The thread is the parent's, and so is what would wake it.
            std::mem::forget(self.commands.take());
            return;
        }

        let has_left = self.ask(UplinkCommand::Leave, FLUSH_TIMEOUT);
        self.commands = None;
        if let Some(thread) = self.thread.take().filter(|_| has_left) {
            // It has answered, so it is about to end.
            let _ = thread.join();
        }
    }
}
