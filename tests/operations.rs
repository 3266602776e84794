//! What whoever runs a frontend relies on: settings, messages, and how it stops. As processes.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_protocol::wire;
use pivot_tests::{PATIENCE, ServerProcess, pivot_binary};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// `pivot server` with arguments, without any setting of whoever runs the tests.
fn server(arguments: &[&str]) -> Command {
    let mut command = Command::new(pivot_binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PIVOT_")) {
        command.env_remove(name);
    }
    command.arg("server").args(arguments).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The lines of the settings that a check prints.
fn checked(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// Checks that a command fails, and returns what it says.
fn refused(output: &Output) -> String {
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{output:?}");
    text(&output.stderr)
}

fn wait_with_timeout(child: &mut Child) -> i32 {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        assert!(Instant::now() < until, "the process ends");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn terminate(child: &Child) {
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_setting_is_of_the_command_line_then_the_environment_then_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pivot.toml");
    std::fs::write(&file, "data = 'none'\nkeep-frames = 7\nclient-grace = '7s'\nmax-connections = 7\n")
        .unwrap();
    let config = file.to_str().unwrap();

    let mut command = server(&["--check-config", "--config", config, "--client-grace", "5s"]);
    let output = command.env("PIVOT_CLIENT_GRACE", "6s").env("PIVOT_KEEP_FRAMES", "6").output().unwrap();
    let all = checked(&output);
    for expected in [
        "client-grace = \"5s\"",
        "keep-frames = 6",
        "max-connections = 7",
        "data = \"none\"",
        "listen = \"127.0.0.1:7468\"",
        "window-grace = \"2s\"",
        "log = \"info\"",
    ] {
        assert!(all.iter().any(|line| line == expected), "{expected} in {all:#?}");
    }

    // What is printed is a file of settings.
    std::fs::write(&file, all.join("\n")).unwrap();
    assert_eq!(checked(&server(&["--check-config", "--config", config]).output().unwrap()), all);
    let output = server(&["--check-config"]).env("PIVOT_CONFIG", config).output().unwrap();
    assert_eq!(checked(&output), all);
}

#[test]
fn a_setting_that_is_wrong_is_named_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pivot.toml");
    std::fs::write(&file, "data = 'none'\nlisten-on = '127.0.0.1:0'\n").unwrap();
    let config = file.to_str().unwrap();
    for arguments in [&["--config", config][..], &["--config", config, "--check-config"]] {
        let stderr = refused(&server(arguments).output().unwrap());
        let expected = format!("pivot: {config}:2: there is no setting `listen-on`");
        assert!(stderr.starts_with(&expected), "{stderr}");
    }

    let stderr = refused(&server(&["--config", "/nowhere/pivot.toml"]).output().unwrap());
    assert!(stderr.contains("cannot read /nowhere/pivot.toml"), "{stderr}");
    let stderr = refused(&server(&["--check-config"]).env("PIVOT_LOG", "inof").output().unwrap());
    assert!(stderr.contains("`inof` is none of off, error"), "{stderr}");
}

#[test]
fn the_example_of_a_file_is_right_and_has_every_setting() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/deploy/pivot.toml");
    let output = server(&["--check-config", "--config", file.to_str().unwrap()]).output().unwrap();
    let example = std::fs::read_to_string(file).unwrap();
    for line in checked(&output) {
        assert!(example.lines().any(|written| written == line), "{line} is in the example");
    }
}

#[test]
fn the_examples_of_a_unit_and_of_a_container_use_settings_that_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/deploy");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let help = text(&server(&["--help"]).output().unwrap().stdout);

    let (unit, container) = (read("pivot.service"), read("Containerfile"));
    let flags = unit.lines().filter(|line| line.starts_with("Exec")).flat_map(str::split_whitespace);
    let flags = flags.filter(|word| word.starts_with("--"));
    let variables = container.split_whitespace().filter_map(|word| word.split_once('='));
    let variables = variables.map(|(name, _)| name).filter(|name| name.starts_with("PIVOT_"));
    let used: Vec<&str> = flags.chain(variables).collect();
    assert_eq!(used.len(), 6, "{used:?}");
    for name in used {
        assert!(help.contains(name), "{name} is a setting");
    }
}

#[test]
fn messages_are_documents_if_programs_read_them() {
    let mut command = server(&["--data", "none", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    messages.read_line(&mut first).unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    assert!(first["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{first}");
    assert_eq!((&first["level"], &first["target"]), (&"INFO".into(), &"pivot_cli::server".into()));
    assert!(first["timestamp"].as_str().unwrap().ends_with('Z'), "{first}");

    terminate(&child);
    assert_eq!(wait_with_timeout(&mut child), 0);
    let mut rest = String::new();
    messages.read_to_string(&mut rest).unwrap();
    for line in rest.lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        assert!(message["message"].is_string(), "{message}");
    }
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "", "nothing but documents is written");
}

#[test]
fn a_level_says_which_messages_are_written() {
    for (level, has_info) in [("info", true), ("warn", false), ("off,pivot_cli=info", true), ("off", false)] {
        let mut command = server(&["--data", "none", "--listen", "0.0.0.0:0", "--log", level]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("pivot serves agents and clients on http://0.0.0.0:"), "{line}");

        terminate(&child);
        assert_eq!(wait_with_timeout(&mut child), 0);
        let mut messages = String::new();
        child.stderr.take().unwrap().read_to_string(&mut messages).unwrap();
        assert_eq!(messages.contains("INFO pivot_cli::server: the frontend stops"), has_info, "{messages}");
        assert_eq!(
            messages.contains("WARN pivot_cli::server: there is no auth"),
            level != "off",
            "{messages}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_that_is_stopped_tells_clients_stores_everything_and_ends_in_order() {
    let mut server = ServerProcess::start().await;
    let query = "FROM s IN Stopped.hit SELECT COUNT";
    let mut command = Command::new(pivot_binary());
    command.args(["--frontend", &server.url(), "-c", query, "--for", "6s", "--format", "json"]);
    let client = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A connection on which nothing happens, and one that asks for results and reads none.
    let idle = server.client().await;
    let mut reader = server.client().await;
    let until = Instant::now() + PATIENCE;
    let unread = loop {
        let request = wire::ResultsRequest { query: 1, ..Default::default() };
        match reader.results(request).await {
            Ok(frames) => break frames.into_inner(),
            Err(_) => assert!(Instant::now() < until, "the query is installed"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };

    let began = Instant::now();
    server.signal("-TERM");
    assert_eq!(server.wait().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "within seconds: {:?}", began.elapsed());
    drop((idle, unread));

    server.restart().await;
    let queries = server.client().await.list_queries(wire::ListQueriesRequest {}).await.unwrap().into_inner();
    assert_eq!(queries.queries.len(), 1);
    let output = client.wait_with_output().unwrap();
    let stderr = text(&output.stderr);
    assert!(stderr.contains("the frontend was stopped: waiting for it to come back"), "{stderr}");
    assert!(stderr.contains("the frontend is back"), "{stderr}");
}
