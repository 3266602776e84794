//! The link: one connection after the other, over the same reports.
//!
//! Reports are cut at every window boundary whether there is a connection or not. An answer of the
//! frontend is applied in this order: weave, then cut and report what unwoven queries had left, then
//! say what is woven; so when a frontend hears that a query is unwoven, it has all of its rows.
//! What else has changed, statuses and the catalogue, is told at the boundaries of windows.

use crate::config::Config;
use crate::message;
use crate::switch::Switch;
use crate::thread::{Request, Woven};
use pivot_advice::QueryId;
use pivot_agent::{QueryCost, QueryReport, QueryStatus, Reporter};
use pivot_baggage::{generation, set_carrying};
use pivot_protocol::{MAX_MESSAGE_BYTES, from_wire, to_wire, wire};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
use wire::{agents_client::AgentsClient, from_agent, to_agent};

/// The length of a window, if the frontend does not say.
const WINDOW_NS: i64 = 1_000_000_000;

/// The pause between two attempts to connect.
const RETRY: Duration = Duration::from_millis(250);

/// How long an attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(2);

/// How often a connection is tried that says nothing, to notice that the network has lost it.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long costs are gathered at least before budgets are told.
const GOVERN: Duration = Duration::from_millis(900);

pub(crate) struct Link {
    config: Config,
    endpoint: Endpoint,
    woven: Arc<Woven>,
    incarnation: u64,
    reporter: Reporter,
    /// Answered when every report has been acknowledged.
    flushing: Vec<oneshot::Sender<()>>,
    leaving: bool,
    heard: Instant,
    switch: Switch,
    /// What is woven; None if nothing is, or nothing yet.
    generation: Option<u64>,
    /// What queries cost since budgets were told.
    costs: BTreeMap<QueryId, QueryCost>,
    governed: Instant,
    /// When the newest report was cut.
    cut: Instant,
    /// What the frontend was told last.
    told: Told,
}

/// What the frontend knows of this agent, on this connection.
#[derive(Debug, Default)]
struct Told {
    generation: Option<u64>,
    problems: Vec<wire::Problem>,
    statuses: Vec<QueryStatus>,
    lost: wire::Lost,
    /// How many of the tracepoints that became known later.
    registered: usize,
}

/// A connection: where to send, and what arrives.
struct Connection {
    out: mpsc::UnboundedSender<wire::FromAgent>,
    incoming: tonic::Streaming<wire::ToAgent>,
}

impl Connection {
    fn send(&self, kind: from_agent::Kind) {
        // A closed stream shows when the next message is awaited.
        let _ = self.out.send(wire::FromAgent { kind: Some(kind) });
    }
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

impl Link {
    pub(crate) fn new(config: Config, endpoint: Endpoint, woven: Arc<Woven>) -> Link {
        // Until a frontend says otherwise, requests carry that nothing is woven here: it may want
        // something woven already.
        set_carrying(true);
        generation::set_woven_here(0);
        let hasher = std::hash::BuildHasher::build_hasher(&std::hash::RandomState::new());
        Link {
            endpoint: endpoint
                .connect_timeout(CONNECT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(KEEP_ALIVE),
            woven,
            incarnation: std::hash::Hasher::finish(&hasher),
            reporter: Reporter::new(WINDOW_NS, now_ns()),
            flushing: Vec::new(),
            leaving: false,
            heard: Instant::now(),
            switch: Switch::new(config.disable_file.clone()),
            generation: None,
            costs: BTreeMap::new(),
            governed: Instant::now(),
            cut: Instant::now(),
            told: Told::default(),
            config,
        }
    }

    pub(crate) async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        pivot_agent::exempt_this_thread();
        // Who goes by it knows from the start that it is told from now on.
        pivot_agent::govern(&BTreeMap::new(), 0);
        while !self.is_done() {
            match self.connect(&mut requests).await {
                Some(mut connection) => self.serve(&mut connection, &mut requests).await,
                None => break,
            }
            self.reporter.disconnected();
            // What the frontend wants from now on is not heard here, so requests have to say so.
            set_carrying(!self.leaving);
        }
        unweave();
        pivot_agent::stop_governing();
        self.flushing.drain(..).for_each(answer_asked);
    }

    fn is_done(&self) -> bool {
        self.leaving && self.reporter.is_settled()
    }

    /// Connects, however long it takes; windows go on meanwhile. None if the process leaves first.
    async fn connect(&mut self, requests: &mut mpsc::UnboundedReceiver<Request>) -> Option<Connection> {
        loop {
            self.told = Told { registered: pivot_agent::registered_count(), ..Told::default() };
            let hello = message::hello(&self.config, self.incarnation);
            let attempt = attach(self.endpoint.clone(), hello);
            tokio::pin!(attempt);
            let failed = loop {
                tokio::select! {
                    connection = &mut attempt => match connection {
                        Some(connection) => return Some(connection),
                        None => {
                            self.forget_unheard();
                            break true;
                        }
                    },
                    () = sleep_until(self.boundary()) => {
                        self.pass();
                        self.expire();
                    }
                    request = requests.recv() => if !self.request(request) { return None },
                }
            };
            // A process that leaves does not wait for a frontend that is not there.
            if failed && self.leaving {
                return None;
            }
            sleep(RETRY).await;
        }
    }

    async fn serve(&mut self, connection: &mut Connection, requests: &mut mpsc::UnboundedReceiver<Request>) {
        loop {
            self.send_reports(connection);
            if self.is_done() {
                connection.send(from_agent::Kind::Goodbye(wire::Goodbye {}));
                // The stream ends when the frontend has read the farewell.
                let _ = tokio::time::timeout(Duration::from_millis(200), connection.incoming.message()).await;
                return;
            }
            tokio::select! {
                message = connection.incoming.message() => match message {
                    Ok(Some(message)) => self.receive(message, connection),
                    Ok(None) | Err(_) => return,
                },
                () = sleep_until(self.boundary()) => {
                    if self.reporter.is_settled() {
                        // Who has answered everything is not silent.
                        self.heard = Instant::now();
                    }
                    self.pass();
                    self.tell(connection);
                    if self.expire() {
                        // Whoever comes back says anew what is to be woven.
                        return;
                    }
                }
                request = requests.recv() => if !self.request(request) { return },
            }
        }
    }

    /// Applies a request of the application. False if the handle is gone without a farewell.
    fn request(&mut self, request: Option<Request>) -> bool {
        match request {
            Some(Request::Flush(answer)) => self.flushing.push(answer),
            Some(Request::Leave(answer)) => {
                pivot_agent::weave(&[]);
                self.leaving = true;
                self.flushing.push(answer);
            }
            None => {
                self.leaving = true;
                return false;
            }
        }
        self.cut();
        true
    }

    fn receive(&mut self, message: wire::ToAgent, connection: &Connection) {
        self.heard = Instant::now();
        match message.kind {
            Some(to_agent::Kind::Acknowledged(sequence)) => {
                self.reporter.acknowledge(sequence);
                if self.reporter.is_settled() && !self.leaving {
                    self.flushing.drain(..).for_each(answer_asked);
                }
            }
            Some(to_agent::Kind::Desired(desired)) if !self.leaving => self.weave(desired, connection),
            Some(to_agent::Kind::Everywhere(generation)) => generation::set_woven_everywhere(generation),
            Some(to_agent::Kind::Desired(_)) | None => {}
        }
    }

    fn weave(&mut self, desired: wire::Desired, connection: &Connection) {
        let mut problems = Vec::new();
        let mut advice = Vec::new();
        for wanted in desired.advice {
            let (query, tracepoint) = (wanted.query, wanted.tracepoint.clone());
            match from_wire::advice(wanted) {
                Ok(sound) => advice.push(sound),
                Err(error) => problems.push(wire::Problem { query, tracepoint, message: error.to_string() }),
            }
        }
        // What was away until now is told as such.
        self.cut();
        let since = desired.since.into_iter().filter_map(message::since).collect();
        set_carrying(desired.carrying);
        problems.extend(pivot_agent::weave_since(&advice, &since).into_iter().map(|problem| wire::Problem {
            query: Some(to_wire::query_id(problem.query)),
            tracepoint: problem.tracepoint,
            message: problem.message,
        }));
        generation::set_woven_everywhere(desired.everywhere);
        self.generation = Some(desired.generation);
        self.say_what_is_woven();
        self.cut();
        let window_ns = if desired.window_ns > 0 { desired.window_ns } else { WINDOW_NS };
        self.reporter.set_window(window_ns, now_ns());
        self.send_reports(connection);
        self.told.generation = Some(desired.generation);
        self.told.problems = problems;
        self.tell_woven(connection, pivot_agent::statuses());
        self.woven.set();
    }

    fn tell_woven(&mut self, connection: &Connection, statuses: Vec<QueryStatus>) {
        let Some(generation) = self.told.generation else { return };
        let problems = self.told.problems.clone();
        let wired = statuses.iter().map(message::status).collect();
        connection.send(from_agent::Kind::Woven(wire::Woven { generation, problems, statuses: wired }));
        self.told.statuses = statuses;
    }

    /// Says what has changed since it was said last.
    fn tell(&mut self, connection: &Connection) {
        let registered = pivot_agent::registered_count();
        if registered > self.told.registered {
            let new = pivot_agent::catalogue_since(self.told.registered);
            // What was registered between the two calls is in `new`, and is told once more.
            self.told.registered = registered;
            connection.send(from_agent::Kind::Exported(message::exported(&new)));
        }
        let lost = message::lost();
        if lost != self.told.lost {
            self.told.lost = lost;
            connection.send(from_agent::Kind::Lost(lost));
        }
        let statuses = pivot_agent::statuses();
        if statuses != self.told.statuses {
            self.tell_woven(connection, statuses);
        }
    }

    /// Installed queries are leases: without a frontend they end, and windows say from then on that they
    /// are away. True if they have ended just now.
    fn expire(&mut self) -> bool {
        let ends = self.generation.is_some() && self.heard.elapsed() > self.config.lease;
        if ends {
            self.cut();
            self.generation = None;
            pivot_agent::lapse();
            carry_nothing();
        }
        ends
    }

    /// No frontend is there at the start, so nobody misses anything.
    fn forget_unheard(&mut self) {
        if self.generation.is_none() {
            set_carrying(false);
        }
    }

    fn say_what_is_woven(&self) {
        let woven = self.generation.filter(|_| !pivot_agent::is_disabled()).unwrap_or(0);
        // Of a query that rests or was put away here nothing is packed.
        let whole = pivot_agent::suspended_since().map_or(woven, |since| woven.min(since.saturating_sub(1)));
        generation::set_woven_here(whole);
    }

    /// A window is over.
    fn pass(&mut self) {
        self.switch.look();
        self.say_what_is_woven();
        self.cut();
        let elapsed = self.governed.elapsed();
        if elapsed >= GOVERN {
            self.governed = Instant::now();
            let elapsed_ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            pivot_agent::govern(&std::mem::take(&mut self.costs), elapsed_ns);
            self.say_what_is_woven();
        }
    }

    fn cut(&mut self) {
        let mut drained = pivot_agent::drain();
        // What rests or was put away misses events that nobody counts.
        let passed = std::mem::replace(&mut self.cut, Instant::now()).elapsed();
        for query in pivot_agent::suspended_queries() {
            let part = drained.entry(query).or_insert_with(QueryReport::empty);
            part.loss.away_ns += u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        }
        for (query, part) in &drained {
            self.costs.entry(*query).or_default().merge(&part.cost);
        }
        self.reporter.cut(now_ns(), drained);
    }

    fn boundary(&self) -> Instant {
        let left = self.reporter.boundary_ns().saturating_sub(now_ns());
        Instant::now() + Duration::from_nanos(u64::try_from(left).unwrap_or(0))
    }

    fn send_reports(&mut self, connection: &Connection) {
        for report in self.reporter.unsent() {
            connection.send(from_agent::Kind::Report(message::report(report)));
        }
    }
}

async fn attach(endpoint: Endpoint, hello: wire::Hello) -> Option<Connection> {
    let channel: Channel = endpoint.connect().await.ok()?;
    let mut client = AgentsClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let (out, receiver) = mpsc::unbounded_channel();
    out.send(wire::FromAgent { kind: Some(from_agent::Kind::Hello(hello)) }).ok()?;
    let incoming = client.attach(UnboundedReceiverStream::new(receiver)).await.ok()?.into_inner();
    Some(Connection { out, incoming })
}

/// Nothing is woven here any more.
fn unweave() {
    pivot_agent::weave(&[]);
    carry_nothing();
}

fn carry_nothing() {
    set_carrying(false);
    generation::set_woven_here(0);
}

/// Whoever asked may have stopped waiting.
fn answer_asked(asked: oneshot::Sender<()>) {
    let _ = asked.send(());
}
