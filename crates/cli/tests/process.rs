//! The binary as a process: exit codes, which text goes to which stream, and that Ctrl-C ends it in order.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};

/// Returns the command with arguments and without standard input, free of the environment of whoever runs the tests.
fn pivot(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pivot"));
    command.args(arguments).env_remove("PIVOT_FRONTEND").stdin(Stdio::null());
    command
}

/// `pivot server` at a free port. It is killed when dropped.
struct ServerProcess {
    child: Child,
    address: String,
}

impl ServerProcess {
    fn start() -> ServerProcess {
        let mut child = pivot(&["server", "--data", "none", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();

        // The first line names the address, and comes once the server listens.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        ServerProcess { child, address: address.trim_end_matches(',').to_owned() }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Checks that a command failed with nothing on standard output, and returns what is on standard error.
fn check_fails(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    stderr
}

#[test]
fn an_unreachable_frontend_is_exit_code_2_with_its_address() {
    let output =
        pivot(&["--frontend", "http://127.0.0.1:1", "-c", "FROM e IN T SELECT COUNT"]).output().unwrap();
    let stderr = check_fails(&output);
    assert!(stderr.starts_with("pivot: no frontend at http://127.0.0.1:1"), "{stderr}");
}

#[test]
fn https_is_refused_in_an_argument_and_in_the_environment() {
    for (arguments, environment) in [
        (&["--frontend", "https://127.0.0.1:1", "-c", "\\l"][..], "http://127.0.0.1:1"),
        (&["-c", "\\l"][..], "https://127.0.0.1:1"),
    ] {
        let output = pivot(arguments).env("PIVOT_FRONTEND", environment).output().unwrap();
        let stderr = check_fails(&output);
        let due =
            "pivot: cannot use the frontend's address `https://127.0.0.1:1`: Pivot does not speak TLS yet";
        assert!(stderr.starts_with(due), "{stderr}");
    }
}

#[test]
fn the_environment_names_the_frontend() {
    let output = pivot(&["-c", "FROM e IN T SELECT COUNT"])
        .env("PIVOT_FRONTEND", "http://127.0.0.1:2")
        .output()
        .unwrap();
    assert!(check_fails(&output).contains("http://127.0.0.1:2"));
}

#[test]
fn a_query_that_does_not_compile_is_exit_code_2_with_a_caret_under_it() {
    let server = ServerProcess::start();
    let output = pivot(&[
        "--frontend",
        &server.address,
        "-c",
        "FROM e IN T SELECT COUNT;\nFROM e IN T WHRE e.x = 1 SELECT COUNT",
    ])
    .output()
    .unwrap();
    let stderr = check_fails(&output);
    assert!(stderr.contains("-c:2:13") && stderr.contains("did you mean `WHERE`?"), "{stderr}");
    assert!(!stderr.contains('\x1b'), "a pipe gets no colour: {stderr}");
}

#[test]
fn a_query_without_any_result_is_exit_code_2_and_says_why() {
    let server = ServerProcess::start();
    let arguments = [
        "--frontend",
        &server.address,
        "-c",
        "FROM e IN NotThere SELECT COUNT",
        "--for",
        "300ms",
        "--format",
        "ndjson",
    ];
    let stderr = check_fails(&pivot(&arguments).output().unwrap());
    assert!(stderr.contains("pivot: nothing was reported: no connected agent exports NotThere"), "{stderr}");
}

#[test]
fn a_port_that_is_taken_is_exit_code_2_with_the_address() {
    let server = ServerProcess::start();
    let address = server.address.trim_start_matches("http://");
    let stderr = check_fails(&pivot(&["server", "--data", "none", "--listen", address]).output().unwrap());
    assert!(stderr.contains(address), "{stderr}");
}

#[test]
fn csv_of_two_queries_is_refused() {
    let server = ServerProcess::start();
    let arguments = ["--frontend", &server.address, "-c", "FROM e IN A; FROM e IN B", "--format", "csv"];
    assert!(check_fails(&pivot(&arguments).output().unwrap()).contains("--format ndjson"));
}

#[test]
fn commands_work_on_the_command_line_and_in_a_pipe() {
    let server = ServerProcess::start();
    let output = pivot(&["--frontend", &server.address, "-c", "\\l"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "no agent has connected yet\n");
    assert!(output.status.success());

    let mut child = pivot(&["--frontend", &server.address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"\\dq\n\\h group by\n\\q\n\\nonsense\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.starts_with("no query is installed\nGROUP BY expression"), "{stdout}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_command_that_does_not_exist_is_exit_code_2_and_what_was_meant() {
    let server = ServerProcess::start();
    let check = |command: &str, expected: &str| {
        let stderr = check_fails(&pivot(&["--frontend", &server.address, "-c", command]).output().unwrap());
        assert_eq!(stderr, format!("pivot: {expected}\n"));
    };
    check("\\dtt", "\\dtt is not a command, did you mean \\dt? \\? lists all");
    check("\\watch 1", "`\\watch 1` needs the REPL");
    check("\\d Nothing", "no tracepoint Nothing; \\dt lists all");
    check("\\h grup by", "no help on grup by; did you mean GROUP BY?");
}

#[test]
fn explain_works_without_the_repl() {
    let server = ServerProcess::start();
    let arguments = ["--frontend", &server.address, "-c", "EXPLAIN FROM e IN T SELECT COUNT"];
    let output = pivot(&arguments).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("EMIT    query"), "{output:?}");
}

#[test]
fn queries_of_several_files_run_at_once() {
    let server = ServerProcess::start();
    let folder = std::env::temp_dir().join(format!("pivot-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| {
        let path = folder.join(name);
        std::fs::write(&path, "FROM e IN NotThere SELECT COUNT;").unwrap();
        path.display().to_string()
    };

    let arguments = ["--frontend", &server.address, "-f", &file("a.pivot"), "-f", &file("b.pivot")];
    let output = pivot(&arguments).args(["--for", "300ms", "--format", "json"]).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();

    let stdout = String::from_utf8_lossy(&output.stdout);
    let lines = stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut names: Vec<String> = lines
        .filter(|line| line["final"] == true)
        .map(|line| line["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["a", "b"], "{stdout}");
}

#[test]
fn a_demo_of_a_query_that_does_not_compile_starts_nothing() {
    let output = pivot(&["demo", "-c", "FROM e IN T SELCT COUNT"]).output().unwrap();
    let stderr = check_fails(&output);
    assert!(stderr.contains("did you mean `SELECT`?"), "{stderr}");
    assert!(!stderr.contains("starting"), "{stderr}");
}

#[test]
fn a_demo_that_is_interrupted_as_it_starts_leaves_nothing() {
    let mut child = pivot(&["demo", "--listen", "127.0.0.1:0", "-c", "FROM e IN T SELECT COUNT"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();

    // The interrupt comes between the first process of the store and the last.
    let mut line = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("starting"), "{line}");
    let folder = std::env::temp_dir().join(format!("pivot-store-{pid}-0"));
    while !folder.join("dn-1").exists() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }

    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!folder.exists());
}

#[test]
fn a_server_ends_with_exit_code_0_when_it_is_interrupted() {
    let mut server = ServerProcess::start();
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn listening_beyond_loopback_warns() {
    let mut child = pivot(&["server", "--data", "none", "--listen", "0.0.0.0:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("no authentication"), "{line}");
}

#[test]
fn help_tells_the_exit_codes() {
    let mut child = pivot(&["--help"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut help = String::new();
    child.stdout.take().unwrap().read_to_string(&mut help).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(help.contains("Exit codes:"), "{help}");
}

#[test]
fn explain_analyze_runs_the_query_and_shows_what_its_stages_cost() {
    let server = ServerProcess::start();
    let text = "EXPLAIN ANALYZE FROM e IN T JOIN x IN X ON x -> e SELECT e.a, x.b";
    let output = pivot(&["--frontend", &server.address, "-c", text, "--for", "200ms"]).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("measured in 0.2 s over 100 %"), "{output:?}");
    assert!(stdout.contains("1 pack x") && stdout.contains("0 emit e"), "{stdout}");
}

#[test]
fn fmt_lays_files_out_in_place_and_check_only_tells() {
    let folder = std::env::temp_dir().join(format!("pivot-fmt-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("q.pivot");
    let path = path.to_str().unwrap();

    std::fs::write(path, "from e in T select count;").unwrap();
    let stderr = check_fails(&pivot(&["fmt", "--check", path]).output().unwrap());
    assert!(stderr.contains("would be laid out differently"), "{stderr}");
    assert!(pivot(&["fmt", path]).output().unwrap().status.success());
    assert_eq!(std::fs::read_to_string(path).unwrap(), "FROM e IN T\nSELECT COUNT;\n");
    assert!(pivot(&["fmt", "--check", path]).output().unwrap().status.success());

    // A file that cannot be parsed stays as it is.
    std::fs::write(path, "FROM e IN (T SELECT 1").unwrap();
    assert!(check_fails(&pivot(&["fmt", path]).output().unwrap()).contains("`(` is never closed"));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "FROM e IN (T SELECT 1");

    std::fs::remove_dir_all(&folder).unwrap();
}
