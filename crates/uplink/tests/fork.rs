//! A child that is forked without executing another program reports nothing, and hangs nowhere.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_uplink::{Config, Uplink, UplinkError};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

static UPLINK: Mutex<Option<Uplink>> = Mutex::new(None);

fn hit() {
    pivot_agent::tracepoint!("Fork.hit");
}

/// What a child does between fork and exec. An error says what was wrong.
fn in_child() -> std::io::Result<()> {
    let wrong = |what: &str| Err(std::io::Error::other(what.to_owned()));
    let begun = Instant::now();
    if !pivot_agent::is_forked() || pivot_agent::takes_events() {
        return wrong("the child takes itself for its parent");
    }
    hit();
    std::thread::spawn(hit).join().unwrap();
    let inherited = UPLINK.lock().unwrap().take().unwrap();
    if inherited.flush(Duration::from_secs(30)) {
        return wrong("there is nobody to flush");
    }
    if !matches!(Config::new().start(), Err(UplinkError::Forked)) {
        return wrong("a second agent was started");
    }
    drop(inherited);
    // The thread that would answer is not there; a farewell alone would take two seconds.
    if begun.elapsed() > Duration::from_secs(1) { wrong("the child waited") } else { Ok(()) }
}

#[test]
fn a_forked_child_is_not_its_parent() {
    use pivot_advice::{Advice, EmitMode, Instruction, QueryId};
    let uplink = Config::new().process("parent").frontend("http://127.0.0.1:9").start().unwrap();
    *UPLINK.lock().unwrap() = Some(uplink);
    let emit = Instruction::Emit { keys: vec![], folds: vec![], form: EmitMode::Groups };
    let query = QueryId::new(1, 1);
    let advice = Advice { query, stage: 0, tracepoint: "Fork.hit".into(), instructions: vec![emit] };
    assert_eq!(pivot_agent::weave(&[advice]), []);
    hit();
    let mut child = Command::new("true");
    // SAFETY: the closure runs in a child that has one thread and then executes another program. It
    // starts a thread and allocates, which the C library of this platform allows a child.
    unsafe { child.pre_exec(in_child) };
    assert!(child.status().unwrap().success());
    assert!(!pivot_agent::is_forked() && pivot_agent::takes_events());
    hit();
}
