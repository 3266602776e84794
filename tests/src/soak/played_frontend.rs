//! A frontend that changes its mind as soon as it has been obeyed.

use super::queries;
use crate::random::Random;
use pivot_advice::{Advice, Groups, LossCounts, QueryId};
use pivot_protocol::{from_wire, to_wire, wire};
use pivot_query::{Catalog, compile};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use wire::agents_server::{Agents, AgentsServer};
use wire::from_agent::Kind;

/// Every event is counted by these, from before the first to after the last.
const CONTROLS: [&str; 2] = [
    "FROM e IN Soak.work GROUP BY e.kind SELECT e.kind, COUNT, SUM(e.n)",
    "FROM e IN Soak.end JOIN w IN Soak.work ON w -> e SELECT COUNT, SUM(w.n)",
];

/// The most queries at once, controls aside.
const MOST: usize = 24;

/// Counts of what a played frontend wanted, and of what it heard from its agent.
#[derive(Debug, Default)]
pub struct PlayedFrontendCounts {
    /// The queries that came.
    pub queries: u64,
    /// How often the set of queries changed.
    pub changes: u64,
    /// How often an agent had a problem with a set.
    pub problems: u64,
    /// The rows of the queries that come and go.
    pub rows: u64,
    /// The merged groups of each control.
    pub counted: Vec<Groups>,
    /// The losses of the controls.
    pub loss: LossCounts,
}

/// A frontend that wants another set of queries as soon as its agent has woven the last, and counts what two control
/// queries report meanwhile.
#[derive(Debug, Clone)]
pub struct PlayedFrontend {
    seen: Arc<Mutex<PlayedFrontendCounts>>,
    changes: Arc<AtomicBool>,
}

impl PlayedFrontend {
    /// Serves agents at a free port; returns its address with the frontend.
    pub fn start(runtime: &tokio::runtime::Runtime) -> (String, PlayedFrontend) {
        let played = PlayedFrontend { seen: Arc::default(), changes: Arc::default() };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = AgentsServer::new(played.clone());
        let incoming = TcpListenerStream::new(listener);
        runtime.spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        (url, played)
    }

    /// Lets queries come and go from now on, or no longer.
    pub fn come_and_go(&self, changes: bool) {
        self.changes.store(changes, SeqCst);
    }

    /// Returns what was counted since the last call.
    pub fn seen(&self) -> PlayedFrontendCounts {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// Merges what a report says of the controls.
    fn merge(&self, report: wire::Report) {
        let seen = &mut *self.seen.lock().unwrap();

        for part in report.parts {
            let number = from_wire::query_id(part.query).unwrap().number as usize;
            // Controls have the lowest numbers; of the others only rows are counted.
            let Some(counted) = seen.counted.get_mut(number) else {
                seen.rows += part.emitted;
                continue;
            };
            assert!(part.other.is_empty() && part.sampled.is_empty());
            seen.loss.merge(&from_wire::loss(part.loss));
            if !part.groups.is_empty() {
                counted.merge(&from_wire::groups(&part.groups).unwrap());
            }
        }
    }
}

/// The queries that are to be woven.
struct DesiredQueries {
    catalog: Catalog,
    random: Random,
    controls: Vec<Advice>,
    others: Vec<Vec<Advice>>,
    number: u32,
    generation: u64,
}

impl DesiredQueries {
    fn new(seen: &mut PlayedFrontendCounts) -> DesiredQueries {
        let mut catalog = Catalog::default();
        catalog.add_agent(&pivot::__private::catalogue());
        let mut controls = Vec::new();
        for (number, text) in (0..).zip(CONTROLS) {
            let program = compile(text, &catalog).unwrap();
            seen.counted.push(program.output.table());
            controls.extend(program.advice(QueryId::new(7, number)));
        }
        let random = Random::new(std::process::id().into());
        DesiredQueries { catalog, random, controls, others: Vec::new(), number: 100, generation: 0 }
    }

    /// Drops some queries and adds some; returns how many are new.
    fn change(&mut self) -> u64 {
        while self.others.len() > MOST || (!self.others.is_empty() && self.random.percent(40)) {
            self.others.swap_remove(self.random.below(self.others.len()));
        }

        let new = 1 + self.random.below(4);
        for _ in 0..new {
            self.number += 1;
            // A text that does not compile is no query.
            if let Ok(program) = compile(&queries::any(&mut self.random), &self.catalog) {
                self.others.push(program.advice(QueryId::new(7, self.number)));
            }
        }

        new as u64
    }

    fn message(&mut self) -> wire::to_agent::Kind {
        self.generation += 1;
        let advice = self.controls.iter().chain(self.others.iter().flatten());
        wire::to_agent::Kind::Desired(wire::Desired {
            generation: self.generation,
            advice: advice.map(to_wire::advice).collect(),
            carrying: true,
            ..Default::default()
        })
    }
}

async fn serve(
    played: PlayedFrontend,
    mut incoming: Streaming<wire::FromAgent>,
    out: mpsc::UnboundedSender<Result<wire::ToAgent, Status>>,
) {
    let send = |kind| drop(out.send(Ok(wire::ToAgent { kind: Some(kind) })));
    let mut desired = DesiredQueries::new(&mut played.seen.lock().unwrap());
    send(desired.message());

    let mut obeyed = false;
    loop {
        // The time out lets changes begin while the agent is silent.
        let message = tokio::time::timeout(Duration::from_millis(2), incoming.message()).await;
        match message.map(|message| message.ok().flatten().map(|message| message.kind)) {
            Ok(None) => return,
            Ok(Some(Some(Kind::Report(report)))) => {
                let sequence = report.sequence;
                played.merge(report);
                send(wire::to_agent::Kind::Acknowledged(sequence));
            }
            Ok(Some(Some(Kind::Woven(woven)))) => {
                obeyed |= woven.generation == desired.generation;
                played.seen.lock().unwrap().problems += u64::from(!woven.problems.is_empty());
            }
            _ => {}
        }
        if obeyed && played.changes.load(SeqCst) {
            obeyed = false;
            let new = desired.change();
            let mut seen = played.seen.lock().unwrap();
            (seen.changes, seen.queries) = (seen.changes + 1, seen.queries + new);
            send(desired.message());
        }
    }
}

#[tonic::async_trait]
impl Agents for PlayedFrontend {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<wire::ToAgent, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<wire::FromAgent>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (out, messages) = mpsc::unbounded_channel();
        tokio::spawn(serve(self.clone(), request.into_inner(), out));
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(messages).map(|message| message))))
    }
}
