//! Processes that end in every way they can report all that happened before.
//!
//! Each case runs this executable again as a child, which hits a tracepoint some times and ends; the test plays its
//! frontend and counts what arrives.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{Advice, EmitMode, Instruction, QueryId};
use pivot_protocol::{to_wire, wire};
use pivot_uplink::{Config, Uplink};
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use wire::agents_server::{Agents, AgentsServer};
use wire::from_agent::Kind;

/// How the child is to end; unset in the parent.
const ENDING: &str = "PIVOT_TEST_ENDING";
const FRONTEND: &str = "PIVOT_TEST_FRONTEND";
/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts the rows that one agent reports.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Heard {
    rows: u64,
    goodbye: bool,
}

/// Wants one query woven, and acknowledges every report.
struct CountingFrontend {
    desired: wire::Desired,
    ended: mpsc::UnboundedSender<Heard>,
}

#[tonic::async_trait]
impl Agents for CountingFrontend {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<wire::ToAgent, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<wire::FromAgent>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (out, messages) = mpsc::unbounded_channel();
        let send = move |kind| out.send(wire::ToAgent { kind: Some(kind) }).is_ok();
        send(wire::to_agent::Kind::Desired(self.desired.clone()));

        let (mut incoming, ended) = (request.into_inner(), self.ended.clone());
        tokio::spawn(async move {
            let mut heard = Heard::default();
            while let Ok(Some(message)) = incoming.message().await {
                match message.kind.unwrap() {
                    Kind::Report(report) => {
                        heard.rows += report.parts.iter().map(|part| part.emitted).sum::<u64>();
                        send(wire::to_agent::Kind::Acknowledged(report.sequence));
                    }
                    Kind::Goodbye(_) => heard.goodbye = true,
                    _ => {}
                }
            }
            let _ = ended.send(heard);
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(messages).map(Ok))))
    }
}

/// Runs a child that ends in this way; returns how it ended and what the frontend heard.
#[tokio::main(flavor = "current_thread")]
async fn run(ending: &str) -> (ExitStatus, Heard) {
    let emit = Instruction::Emit { keys: vec![], folds: vec![], form: EmitMode::Groups };
    let query = QueryId::new(1, 1);
    let advice = Advice { query, stage: 0, tracepoint: "End.hit".into(), instructions: vec![emit] };
    let desired =
        wire::Desired { generation: 1, advice: vec![to_wire::advice(&advice)], ..Default::default() };

    let (ended, mut heard) = mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = AgentsServer::new(CountingFrontend { desired, ended });
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );

    let mut child = start(ending, &url);
    let status = tokio::task::spawn_blocking(move || wait(&mut child)).await.unwrap();
    (status, tokio::time::timeout(PATIENCE, heard.recv()).await.expect("the child connects").unwrap())
}

fn start(ending: &str, url: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(ENDING, ending).env(FRONTEND, url);
    command.spawn().unwrap()
}

fn wait(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the child does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn hit() {
    pivot_agent::tracepoint!("End.hit");
}

/// Sends this process a signal, and waits for the end that it brings.
fn end_by(signal: &str) {
    raise(signal);
    std::thread::sleep(PATIENCE);
}

fn raise(signal: &str) {
    let process = std::process::id().to_string();
    assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
}

/// What the child does; nothing in the parent.
#[test]
fn child() {
    let Ok(ending) = std::env::var(ENDING) else { return };

    if ending == "ignored" {
        // SAFETY: `SIG_IGN` is no function that could be called.
        unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let handler_before = (ending == "handler before").then(|| signal(SignalKind::terminate()).unwrap());

    let mut config = Config::new().process("ending").frontend(std::env::var(FRONTEND).unwrap());
    if ending == "left alone" {
        config = config.leave_signals_alone();
    }
    let uplink = config.start().unwrap();
    assert!(ending == "no frontend" || uplink.wait_until_woven(PATIENCE));
    (0..10).for_each(|_| hit());

    match ending.as_str() {
        "drop" => drop(uplink),
        "exit" => std::process::exit(3),
        "exit on another thread" => std::thread::spawn(|| std::process::exit(3)).join().unwrap(),
        "static" => {
            static KEPT: OnceLock<Uplink> = OnceLock::new();
            KEPT.set(uplink).unwrap();
        }
        "forgotten" => std::mem::forget(uplink),
        "SIGTERM" | "no frontend" | "left alone" => end_by("-TERM"),
        "SIGINT" => end_by("-INT"),
        "SIGHUP" => end_by("-HUP"),
        "ignored" => {
            raise("-TERM");
            hit();
        }
        "inside an event" => {
            std::thread::spawn(|| {
                pivot_agent::tracepoint!("End.hit", never = wait_for_ever());
            });
            end_by("-TERM");
        }
        "handler before" | "handler after" => {
            let mut terminated = handler_before.unwrap_or_else(|| signal(SignalKind::terminate()).unwrap());
            raise("-TERM");
            runtime.block_on(terminated.recv());
            // A graceful shutdown goes on for a while, and what happens in it counts.
            std::thread::sleep(Duration::from_millis(700));
            (0..5).for_each(|_| hit());
            std::process::exit(7);
        }
        "after fork" => in_a_forked_child(|| end_by("-TERM")),
        other => panic!("no ending {other}"),
    }
}

fn wait_for_ever() -> u64 {
    loop {
        std::thread::sleep(PATIENCE);
    }
}

/// Runs a function in a child that is forked without executing another program, and waits for the child's end.
fn in_a_forked_child(work: fn()) {
    // SAFETY: the child starts no thread that it needs, and the C library of this platform allows it to allocate.
    let child = unsafe { libc::fork() };
    if child == 0 {
        work();
    }

    let mut status = 0;
    // SAFETY: `status` has room for what is written.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGTERM, "{status}");
}

#[track_caller]
fn check_exit(ending: &str, code: i32, rows: u64) {
    let (status, heard) = run(ending);
    assert_eq!((status.code(), heard), (Some(code), Heard { rows, goodbye: true }), "{ending}");
}

#[track_caller]
fn check_signal(ending: &str, signal: i32) {
    let (status, heard) = run(ending);
    assert_eq!((status.signal(), heard), (Some(signal), Heard { rows: 10, goodbye: true }), "{ending}");
}

#[test]
fn a_process_that_exits_reports_all() {
    check_exit("drop", 0, 10);
    check_exit("exit", 3, 10);
    check_exit("exit on another thread", 3, 10);
    check_exit("static", 0, 10);
    check_exit("forgotten", 0, 10);
}

#[test]
fn a_process_that_a_signal_ends_reports_all_and_ends_by_it() {
    check_signal("SIGTERM", libc::SIGTERM);
    check_signal("SIGINT", libc::SIGINT);
    check_signal("SIGHUP", libc::SIGHUP);
}

#[test]
fn an_application_that_handles_or_ignores_signals_goes_on_doing_so() {
    check_exit("ignored", 0, 11);
    check_exit("handler before", 7, 15);
    check_exit("handler after", 7, 15);
}

#[test]
fn signals_can_be_left_alone() {
    let (status, heard) = run("left alone");
    assert_eq!((status.signal(), heard.goodbye), (Some(libc::SIGTERM), false));
}

#[test]
fn a_forked_child_ends_by_its_signal_and_reports_nothing() {
    check_exit("after fork", 0, 10);
}

#[test]
fn no_frontend_and_no_event_keeps_a_process_from_ending() {
    let begun = Instant::now();
    let status = wait(&mut start("no frontend", "http://127.0.0.1:9"));
    assert_eq!(status.signal(), Some(libc::SIGTERM));
    assert!(begun.elapsed() > Duration::ZERO);

    // Whether its event is lost does not matter; that the process ends does.
    let (status, _) = run("inside an event");
    assert_eq!(status.signal(), Some(libc::SIGTERM));
}
