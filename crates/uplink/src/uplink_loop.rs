//! The loop of the uplink's thread: one connection after the other, over the same reports.
//!
//! ```text
//!                ┌────────── RetryPauses ───────────┐
//!                ▼                                  │
//!  start ──▶ connecting ──── no answer ─────────────┘
//!                │  ▲
//!          Hello │  │ stream ended, or lease expired (reports are kept and sent again)
//!                ▼  │
//!             connected ──── Leave, and all reports acknowledged ──▶ Goodbye ──▶ end
//! ```
//!
//! In both states windows go on and the kill switch is looked at. A process that leaves while connecting ends
//! with the next failed attempt, or at once if the handle is gone.
//!
//! What a frontend wants is applied in this order: weave, then cut and report what unwoven queries had
//! left, then say what is woven. So when a frontend hears that a query is unwoven, it has all of its rows.
//!
//! Installed queries are leases: a frontend that is not heard from for [`Config::lease`] loses them all.

use crate::agent_messages::{self, GroupForm};
use crate::agent_runtime::{AgentRuntime, Switch};
use crate::config::Config;
use crate::connection::{Connection, with_timeouts};
use crate::kill_switch::KillSwitch;
use crate::machine::Machine;
use crate::retry_pauses::RetryPauses;
use crate::sent_state::SentState;
use crate::uplink_command::{UplinkCommand, WovenSignal};
use crate::uplink_status::StatusBoard;
use crate::wanted_set::{WantedGeneration, WantedOutcome, WantedSet};
use crate::window_reporter::WindowReporter;
use pivot_advice::WeaveProblem;
use pivot_protocol::wire;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, sleep_until};
use tonic::transport::Endpoint;
use wire::{from_agent, to_agent};

/// The state of the uplink's thread.
pub(crate) struct UplinkLoop<A, M> {
    config: Config,
    agent: A,
    machine: M,
    endpoint: Endpoint,
    /// Raised when the first set of advice has been woven.
    woven: Arc<WovenSignal>,
    status: Arc<StatusBoard>,
    /// Random for each start of the process: with it, sequence numbers of reports are unique.
    incarnation: u64,
    reports: WindowReporter<M>,
    /// Answered when every report has been acknowledged.
    flushing: Vec<oneshot::Sender<()>>,
    /// Whether the application has asked to leave.
    leaving: bool,
    /// When the frontend was last heard from, or nothing was expected of it, by the steady clock.
    heard_at_ns: i64,
    /// Whether the frontend of this connection has told its time.
    has_told_time: bool,
    kill_switch: KillSwitch,
    /// The generation that is woven; `None` if nothing is, or nothing yet.
    generation: Option<u64>,
    /// Why advice of that generation is not woven, while the frontend has still to be told that the rest is.
    untold_problems: Option<Vec<WeaveProblem>>,
    sent: SentState,
    /// What is woven, as the frontend of this connection has told it by changes.
    wanted: WantedSet,
    /// In which form the frontend of this connection takes the groups of reports; rows until it says so.
    group_form: GroupForm,
    retry: RetryPauses<M>,
}

impl<A: AgentRuntime, M: Machine> UplinkLoop<A, M> {
    pub(crate) fn new(
        mut agent: A,
        machine: M,
        config: Config,
        endpoint: Endpoint,
        woven: Arc<WovenSignal>,
        status: Arc<StatusBoard>,
    ) -> UplinkLoop<A, M> {
        // Until a frontend says otherwise, requests carry that nothing is woven here: it may want something
        // woven already.
        agent.set_carrying(Switch::On);
        agent.set_woven_here(0);

        UplinkLoop {
            endpoint: with_timeouts(endpoint),
            woven,
            status,
            incarnation: machine.random(),
            reports: WindowReporter::new(machine.clone()),
            flushing: Vec::new(),
            leaving: false,
            heard_at_ns: machine.steady_ns(),
            has_told_time: false,
            kill_switch: KillSwitch::new(config.disable_file.clone()),
            generation: None,
            untold_problems: None,
            sent: SentState::default(),
            wanted: WantedSet::default(),
            group_form: GroupForm::Rows,
            retry: RetryPauses::new(machine.clone()),
            config,
            agent,
            machine,
        }
    }

    /// Connects and serves until the application leaves.
    pub(crate) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<UplinkCommand>) {
        self.agent.begin();
        // Marks the process as governed before the first window: listeners of `on_govern` wait for it.
        self.agent.govern(&BTreeMap::new(), 0);

        while !self.is_done() {
            match self.connect(&mut commands).await {
                Some(mut connection) => self.serve(&mut connection, &mut commands).await,
                None => break,
            }
            self.status.disconnected();
            self.reports.reporter.disconnected();
            // The next connection begins with what the frontend wants then.
            self.untold_problems = None;
            self.wanted.clear();
            self.group_form = GroupForm::Rows;
            // What the frontend wants from now on is not heard here, so requests have to say so.
            self.agent.set_carrying(if self.leaving { Switch::Off } else { Switch::On });
        }

        self.agent.weave(&[], &BTreeMap::new());
        self.agent.set_carriers(Vec::new());
        self.stop_carrying();
        self.agent.end();
        self.status.ended();
        self.flushing.drain(..).for_each(answer);
    }

    /// Whether the application leaves and the frontend has everything.
    fn is_done(&self) -> bool {
        self.leaving && self.reports.reporter.is_settled()
    }

    /// Connects, however long it takes; windows go on meanwhile. Returns `None` if the process leaves first.
    async fn connect(&mut self, commands: &mut mpsc::UnboundedReceiver<UplinkCommand>) -> Option<Connection> {
        loop {
            self.agent.keep_silent();
            self.sent = SentState::after_hello(&self.agent);
            self.has_told_time = false;
            let introduced = self.sent.introduced(&self.agent);
            let question = self.reports.first_question();
            let hello = agent_messages::hello(&self.config, self.incarnation, &introduced, question);
            let (machine, endpoint) = (self.machine.clone(), self.endpoint.clone());
            let attempt = Connection::open(&machine, &endpoint, hello);
            tokio::pin!(attempt);
            let opened = loop {
                tokio::select! {
                    biased;
                    step = self.step(commands) => step?,
                    opened = &mut attempt => break opened,
                }
            };
            match opened {
                Ok(connection) => {
                    self.status.connected();
                    return Some(connection);
                }
                Err(problem) => self.status.failed(problem),
            }

            if self.generation.is_none() {
                // No frontend is there at the start, so nobody misses anything.
                self.agent.set_carrying(Switch::Off);
            }
            // A process that leaves does not wait for a frontend that is not there.
            if self.leaving {
                self.status.leaves_unconnected();
                return None;
            }

            let pause = sleep(self.retry.next_pause());
            tokio::pin!(pause);
            // One that begins to leave meanwhile tries once more, at once.
            while !self.leaving && !pause.is_elapsed() {
                tokio::select! {
                    biased;
                    step = self.step(commands) => step?,
                    () = &mut pause => {}
                }
            }
        }
    }

    /// Waits for the end of a window or for a command, and does what has to be done then without a connection. Returns
    /// `None` if the process leaves and waits for nothing more. May be dropped while it waits.
    async fn step(&mut self, commands: &mut mpsc::UnboundedReceiver<UplinkCommand>) -> Option<()> {
        tokio::select! {
            biased;
            () = sleep_until(self.reports.window_end()) => {
                self.end_window();
                self.expire_lease();
            }
            command = commands.recv() => if !self.obey(command) { return None },
        }
        Some(())
    }

    /// Serves a connection until it ends, the lease expires or the process has left.
    async fn serve(
        &mut self,
        connection: &mut Connection,
        commands: &mut mpsc::UnboundedReceiver<UplinkCommand>,
    ) {
        loop {
            self.send_reports(connection);
            if self.is_done() {
                connection.say_goodbye().await;
                return;
            }

            // A window ends when it is over, however much the frontend has to say.
            tokio::select! {
                biased;
                () = sleep_until(self.reports.window_end()) => {
                    if self.reports.reporter.is_settled() {
                        // A frontend that has acknowledged everything has nothing to say, so it is not
                        // silent.
                        self.heard_at_ns = self.machine.steady_ns();
                    }
                    self.end_window();
                    self.sent.send_changes(&self.agent, connection);
                    if let Some(question) = self.reports.due_question() {
                        connection.send(from_agent::Kind::Clock(question));
                    }
                    if self.expire_lease() {
                        // A frontend that comes back says anew what is to be woven.
                        return;
                    }
                }
                command = commands.recv() => if !self.obey(command) { return },
                message = connection.incoming.message() => match message {
                    Ok(Some(message)) => self.receive(message, connection),
                    Ok(None) | Err(_) => return,
                },
            }
        }
    }

    /// Carries out a command of the application. Returns false if the handle is gone without a `Leave`.
    fn obey(&mut self, command: Option<UplinkCommand>) -> bool {
        match command {
            Some(UplinkCommand::Flush(answer)) => self.flushing.push(answer),
            Some(UplinkCommand::Leave(answer)) => {
                self.agent.weave(&[], &BTreeMap::new());
                self.leaving = true;
                self.flushing.push(answer);
            }
            None => {
                self.leaving = true;
                return false;
            }
        }

        // What was gathered until now has to be in the reports that the answer waits for.
        self.reports.cut(&mut self.agent);
        true
    }

    /// Acts on a message of the frontend.
    fn receive(&mut self, message: wire::ToAgent, connection: &Connection) {
        self.heard_at_ns = self.machine.steady_ns();
        self.retry.reset();

        match message.kind {
            Some(to_agent::Kind::Clock(answer)) => {
                self.has_told_time = true;
                self.reports.hear_time(answer);
            }
            Some(to_agent::Kind::Acknowledged(sequence)) => {
                self.reports.reporter.acknowledge(sequence);
                // A process that leaves is answered only when it has said goodbye.
                if self.reports.reporter.is_settled() && !self.leaving {
                    self.flushing.drain(..).for_each(answer);
                }
            }
            // A process that leaves has unwoven everything and must not weave again.
            Some(to_agent::Kind::Desired(desired)) if !self.leaving => self.weave(desired.into(), connection),
            Some(to_agent::Kind::Wanted(part)) if !self.leaving => match self.wanted.take_in(part) {
                WantedOutcome::Weave(wanted) => self.weave(wanted, connection),
                WantedOutcome::Mismatch => {
                    connection.send(from_agent::Kind::WantedAgain(wire::WantedAgain {}));
                }
                WantedOutcome::Nothing => {}
            },
            Some(to_agent::Kind::Everywhere(generation)) => self.agent.set_woven_everywhere(generation),
            Some(to_agent::Kind::Desired(_) | to_agent::Kind::Wanted(_)) | None => {}
        }
    }

    /// Weaves what the frontend wants and reports that it is woven.
    fn weave(&mut self, wanted: WantedGeneration, connection: &Connection) {
        // The time is told before anything else, by frontends that tell it.
        if !self.has_told_time {
            self.has_told_time = true;
            self.reports.do_without_answer();
        }
        // A query that was suspended until now is reported as such before its status changes.
        self.reports.cut(&mut self.agent);
        self.reports.set_window_between(wanted.window_ns);
        // Before weaving, so that no event of a new query runs without its limits.
        self.agent.set_query_budgets(&wanted.budgets);
        // Nor any without the request that its spans carry.
        self.agent.set_carriers(wanted.carriers);
        self.agent.set_carrying(if wanted.carrying { Switch::On } else { Switch::Off });
        let mut problems = wanted.problems;
        problems.extend(self.agent.weave(&wanted.advice, &wanted.since));
        self.agent.set_woven_everywhere(wanted.everywhere);
        self.generation = Some(wanted.generation);
        self.group_form = wanted.group_form;
        self.publish_generation();

        // The rows of unwoven queries have to be with the frontend before it hears that they are unwoven.
        self.reports.cut(&mut self.agent);
        self.reports.set_window(wanted.window_ns);
        self.untold_problems = Some(problems);
        self.send_reports(connection);
        self.woven.raise();
    }

    /// Unweaves everything if no frontend was heard from for the time of the lease; windows say from then on
    /// that the queries do not run. Returns true if the lease has expired just now.
    fn expire_lease(&mut self) -> bool {
        let silent_ns = u64::try_from(self.machine.steady_ns() - self.heard_at_ns).unwrap_or(0);
        let has_lapsed = Duration::from_nanos(silent_ns) > self.config.lease;
        let expires = self.generation.is_some() && has_lapsed;
        if expires {
            self.reports.cut(&mut self.agent);
            self.generation = None;
            self.agent.lapse();
            self.agent.set_carriers(Vec::new());
            self.stop_carrying();
        }
        expires
    }

    /// Tells baggage which generation every query of this process is woven in. Requests that pass here carry
    /// the smallest such number, so that a join knows whether something may be missing.
    fn publish_generation(&mut self) {
        let woven = self.generation.filter(|_| self.agent.weaving() == Switch::On).unwrap_or(0);
        // A suspended query packs nothing, so this process is as good as before the query came.
        let complete = match self.agent.suspended_since() {
            Some(since) => woven.min(since.saturating_sub(1)),
            None => woven,
        };
        self.agent.set_woven_here(complete);
    }

    /// Ends a window: looks at the kill switch, cuts a report and has budgets enforced.
    fn end_window(&mut self) {
        self.agent.keep_silent();
        self.kill_switch.apply(&mut self.agent);
        self.publish_generation();
        self.reports.cut(&mut self.agent);
        if self.reports.govern(&mut self.agent) {
            // Queries may have been suspended, or run again.
            self.publish_generation();
        }
    }

    /// Sends reports that were not sent on this connection, as many as may be on their way; and, behind the last one
    /// of them, that a generation is woven.
    fn send_reports(&mut self, connection: &Connection) {
        // What has been sent stays in its window, so that has to be known first.
        if !self.reports.is_placed() {
            return;
        }
        for report in self.reports.reporter.unsent() {
            let report = agent_messages::report(report, &self.agent.bare_messages(), self.group_form);
            connection.send(from_agent::Kind::Report(report));
        }

        // After a long outage there are more reports than may be on their way: the rest follows acknowledgements.
        if self.reports.reporter.is_all_sent()
            && let (Some(generation), Some(problems)) = (self.generation, self.untold_problems.take())
        {
            self.sent.send_woven(&self.agent, connection, generation, problems);
        }
    }

    /// From now on requests of this process carry no baggage, and count as having met no advice here.
    fn stop_carrying(&mut self) {
        self.agent.set_carrying(Switch::Off);
        self.agent.set_woven_here(0);
    }
}

/// Answers a command; the application may have stopped waiting.
fn answer(command: oneshot::Sender<()>) {
    let _ = command.send(());
}
