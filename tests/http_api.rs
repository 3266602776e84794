//! The HTTP API over real sockets: what the prompt can do, events that go on where a reader was cut off, and requests that a
//! page in somebody's browser or a confused program might send.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_tests::{PATIENCE, ServerProcess};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// There is one agent in a process, so the tests take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|wrong| panic!("{wrong}: {}", self.body))
    }
}

fn port(server: &ServerProcess) -> u16 {
    server.url().rsplit(':').next().unwrap().parse().unwrap()
}

/// Sends a request with these headers, and a body if there is one, and returns the whole reply.
fn send(server: &ServerProcess, method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let mut stream = TcpStream::connect(("127.0.0.1", port(server))).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    // One that is refused early may not be read to its end.
    let _ = stream.write_all(request.as_bytes());
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    let reply = String::from_utf8(reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let is_chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { unchunked(body) } else { body.to_owned() };
    Reply { status, head: head.to_lowercase(), body }
}

/// Puts the chunks of a body together.
fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body.push_str(&after[..length]);
        rest = &after[length + 2..];
    }
    panic!("the body has no end: {body}");
}

fn get(server: &ServerProcess, path: &str) -> Reply {
    send(server, "GET", path, "", "")
}

fn post(server: &ServerProcess, path: &str, body: &Json) -> Reply {
    send(server, "POST", path, "Content-Type: application/json\r\n", &body.to_string())
}

/// Asks until the reply is as it should be.
fn wait_for(server: &ServerProcess, path: &str, is_expected: impl Fn(&Reply) -> bool) -> Reply {
    let until = Instant::now() + PATIENCE;
    loop {
        let reply = get(server, path);
        if is_expected(&reply) {
            return reply;
        }
        assert!(Instant::now() < until, "{path}: {}", reply.body);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A reader of events.
struct Events {
    lines: BufReader<TcpStream>,
}

#[derive(Debug, Default, PartialEq)]
struct Event {
    kind: String,
    id: String,
    data: String,
}

impl Events {
    /// Opens the events of a query, behind one that was read before.
    fn open(server: &ServerProcess, query: &str, last: Option<&str>) -> Events {
        let mut stream = TcpStream::connect(("127.0.0.1", port(server))).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        write!(stream, "GET /api/v1/queries/{query}/results HTTP/1.1\r\nHost: localhost\r\n{last}\r\n")
            .unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        Events { lines }
    }

    /// Waits for the next event.
    fn next(&mut self) -> Event {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the stream ended");
            let line = line.trim_end();
            if let Some(kind) = line.strip_prefix("event: ") {
                event.kind = kind.to_owned();
            } else if let Some(id) = line.strip_prefix("id: ") {
                event.id = id.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                event.data = data.to_owned();
                return event;
            }
        }
    }
}

fn hit(times: u64) {
    for n in 0..times {
        pivot::tracepoint!("Api.hit", n: u64 = u64::MAX - n % 2, host_name: &str = "a,\"b\"", size: u64 = 3_u64);
    }
}

const QUERY: &str = "FROM h IN Api.hit GROUP BY h.host_name, h.n SELECT h.host_name, h.n, COUNT, HIST(h.size) AS sizes \
                     ORDER BY h.n EVERY 200ms";

async fn installed(server: &ServerProcess) -> u64 {
    let reply = tokio::task::block_in_place(|| {
        post(server, "/queries", &json!({ "text": QUERY, "name": "api hits" }))
    });
    assert_eq!(reply.status, 201, "{}", reply.body);
    let until = Instant::now() + PATIENCE;
    while !pivot_agent::statuses().iter().any(|status| status.state == pivot_agent::QueryState::Active) {
        assert!(Instant::now() < until, "the query is woven");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    reply.json()["number"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_can_do_what_the_prompt_can() {
    let _turn = TURN.lock().await;
    let server = ServerProcess::start_with(&["--history-file-after", "200ms"]).await;
    let agent = pivot::builder().process("api").frontend(server.url()).init().unwrap();
    let number = installed(&server).await;
    hit(10);
    assert!(agent.flush(PATIENCE));

    tokio::task::block_in_place(|| {
        let path = "/queries/api%20hits/result";
        let newest = wait_for(&server, path, |reply| {
            reply.status == 200
                && reply.json()["total"]["rows"].as_array().is_some_and(|rows| rows.len() == 2)
        });
        let total = &newest.json()["total"];
        assert_eq!(total["rows"][1]["h.n"].as_u64(), Some(u64::MAX), "all digits");
        assert_eq!(total["rows"][1]["COUNT"], 5);
        assert_eq!(total["rows"][1]["sizes"][0]["count"], 5);
        assert_eq!(total["completeness"]["partial"], false);

        let csv = get(&server, &format!("/queries/{number}/result?format=csv")).body;
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0], "window_start,window_end,revision,partial,other,h.host_name,h.n,COUNT,sizes");
        assert!(lines[1].contains("Z,0,false,false,\"a,\"\"b\"\"\",18446744073709551614,5,"), "{csv}");
        let ndjson = get(&server, &format!("/queries/{number}/result?format=ndjson")).body;
        let documents: Vec<Json> = ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(documents.len(), 3);
        assert_eq!(documents[2]["completeness"]["emitted"], 10);

        // Lists, history, SQL.
        assert_eq!(get(&server, "/queries").json()["queries"][0]["name"], "api hits");
        assert_eq!(get(&server, &format!("/queries/{number}")).json()["text"], QUERY);
        let agents = get(&server, "/agents").json();
        assert_eq!(
            (&agents["agents"][0]["process"], &agents["agents"][0]["state"]),
            (&json!("api"), &json!("connected"))
        );
        let tracepoints = get(&server, "/tracepoints").json();
        let names: Vec<&Json> =
            tracepoints["tracepoints"].as_array().unwrap().iter().map(|found| &found["name"]).collect();
        assert!(names.contains(&&json!("Api.hit")), "{names:?}");
        let history = get(&server, "/history/api%20hits?from=2020-01-01T00:00:00Z").json();
        assert_eq!(history[0]["rows"][0]["COUNT"], 5);
        assert!(get(&server, "/history/api%20hits?to=7").json().as_array().unwrap().is_empty());
        let sql =
            post(&server, "/sql", &json!({ "text": "SELECT sum(\"COUNT\") AS n FROM \"api hits\"" })).json();
        assert_eq!((&sql["rows"], &sql["end"]["cut"]), (&json!([[10]]), &json!(false)));

        // About texts.
        let check = post(&server, "/check", &json!({ "text": "FROM h IN Api.hit SELECT COUT" })).json();
        assert_eq!(check["compiles"], false);
        assert!(check["diagnostics"][0]["message"].is_string());
        assert!(
            post(&server, "/explain", &json!({ "text": QUERY })).json()["explanation"]
                .as_str()
                .unwrap()
                .contains("EMIT")
        );
        let formatted = post(&server, "/format", &json!({ "text": "from h in Api.hit select COUNT" })).json();
        assert_eq!(formatted["text"], "FROM h IN Api.hit\nSELECT COUNT;\n");

        // Ends.
        assert_eq!(post(&server, &format!("/queries/{number}/keep"), &json!({})).status, 204);
        assert!(
            post(&server, "/sessions/mine/keep-alive", &json!({})).json()["grace_ns"].as_i64().unwrap() > 0
        );
        assert_eq!(send(&server, "DELETE", &format!("/queries/{number}"), "", "").status, 204);
        assert_eq!(send(&server, "DELETE", "/history/api%20hits", "", "").status, 204);
        assert_eq!(get(&server, "/queries").json()["queries"], json!([]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_on_where_a_reader_was_cut_off() {
    let _turn = TURN.lock().await;
    let mut server = ServerProcess::start().await;
    let agent = pivot::builder().process("api").frontend(server.url()).init().unwrap();
    let number = installed(&server).await;
    let mut sum = 0;
    let mut last = None;
    let mut sequences = Vec::new();

    for round in 0..3 {
        hit(100);
        assert!(agent.flush(PATIENCE));
        // A frontend that was killed meanwhile changes nothing.
        if round == 1 {
            server.restart().await;
        }
        let mut events =
            tokio::task::block_in_place(|| Events::open(&server, &number.to_string(), last.as_deref()));
        while sum < 100 * (round + 1) {
            let event = tokio::task::block_in_place(|| events.next());
            assert_eq!(event.kind, "frame");
            let frame: Json = serde_json::from_str(&event.data).unwrap();
            let rows = frame["rows"].as_array().unwrap().iter();
            sum += rows.map(|row| row["COUNT"].as_u64().unwrap()).sum::<u64>();
            sequences.push(frame["sequence"].as_u64().unwrap());
            last = Some(event.id);
        }
        // The reader is cut off here, without a word.
    }
    assert_eq!(sum, 300);
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");

    // An id of another frontend begins anew, and the end of a query is an event.
    let first =
        tokio::task::block_in_place(|| Events::open(&server, "api%20hits", Some("00000001.999")).next());
    assert!(first.id.ends_with(".1"), "{first:?}");
    let mut events =
        tokio::task::block_in_place(|| Events::open(&server, &number.to_string(), last.as_deref()));
    tokio::task::block_in_place(|| {
        assert_eq!(send(&server, "DELETE", &format!("/queries/{number}"), "", "").status, 204);
        let end = loop {
            let event = events.next();
            if event.kind != "frame" {
                break event;
            }
        };
        assert_eq!((end.kind.as_str(), end.data.as_str()), ("end", "{\"end\":\"uninstalled\"}"));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_should_not_reach_the_api_does_not_and_is_told_why() {
    let server = ServerProcess::start().await;
    let json_type = "Content-Type: application/json\r\n";
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(2 << 20));
    let deep = format!("{{\"text\":\"x\",\"params\":{{\"a\":{}", "[".repeat(200_000));

    tokio::task::block_in_place(|| {
        for (method, path, headers, body, status, detail) in [
            ("GET", "/agents", "Origin: http://evil.example\r\n", "", 403, "may not ask"),
            (
                "POST",
                "/queries",
                "Origin: null\r\nContent-Type: application/json\r\n",
                "{}",
                403,
                "may not ask",
            ),
            ("POST", "/queries", "", "{}", 415, "Content-Type: application/json"),
            ("POST", "/queries", "Content-Type: text/plain\r\n", "{}", 415, "Content-Type: application/json"),
            ("POST", "/queries", json_type, "{", 400, "line 1"),
            ("POST", "/queries", json_type, "{}", 400, "missing field `text`"),
            ("POST", "/queries", json_type, "{\"text\":\"x\",\"nam\":\"y\"}", 400, "unknown field `nam`"),
            (
                "POST",
                "/queries",
                json_type,
                "{\"text\":\"x\",\"params\":{\"a\":{}}}",
                400,
                "the parameter `a`",
            ),
            ("POST", "/queries", json_type, &long, 413, "more than 1048576 bytes"),
            ("POST", "/queries", json_type, &deep, 400, "recursion limit"),
            ("POST", "/queries", json_type, "{\"text\":\"FROM\"}", 422, ""),
            ("POST", "/sql", json_type, "{\"text\":\"DROP TABLE x\"}", 422, ""),
            ("GET", "/queries/nobody", "", "", 404, "no query `nobody` is installed"),
            ("GET", "/queries/%ff", "", "", 400, ""),
            ("GET", "/queries/nobody/result?format=xml", "", "", 400, "json, ndjson or csv"),
            ("GET", "/history?x=1", "", "", 200, ""),
            ("GET", "/history/nobody", "", "", 404, "GET /api/v1/history lists"),
            ("GET", "/history/nobody?form=1", "", "", 400, "there is no parameter `form`"),
            ("GET", "/nothing", "", "", 404, "/api/v1/openapi.json lists all paths"),
            ("DELETE", "/agents", "", "", 405, "DELETE is not answered here"),
        ] {
            let reply = send(&server, method, path, headers, body);
            assert_eq!(reply.status, status, "{method} {path}: {}", reply.body);
            if status >= 400 {
                let problem = reply.json();
                assert!(reply.head.contains("application/problem+json"), "{}", reply.head);
                assert_eq!(problem["status"], status);
                assert!(problem["detail"].as_str().unwrap().contains(detail), "{method} {path}: {problem}");
            }
        }

        // Its own page may ask.
        let own = format!("Origin: http://127.0.0.1:{}\r\n", port(&server));
        let mut stream = TcpStream::connect(("127.0.0.1", port(&server))).unwrap();
        let host = format!("127.0.0.1:{}", port(&server));
        write!(stream, "GET /api/v1/agents HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{own}\r\n")
            .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn off_loopback_the_api_is_not_served_and_no_content_type_leads_around_it() {
    let server = ServerProcess::start().await;
    tokio::task::block_in_place(|| {
        // A gRPC type does not make a request one of gRPC.
        let mut stream = TcpStream::connect(("127.0.0.1", port(&server))).unwrap();
        let head = "GET /api/v1/agents HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/grpc\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 403"), "{reply}");
    });

    let options = pivot_frontend::FrontendOptions { listen: ([0, 0, 0, 0], 0).into(), ..Default::default() };
    let elsewhere = pivot_frontend::start(options).await.unwrap();
    let port = elsewhere.address().port();
    tokio::task::block_in_place(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(
            stream,
            "GET /api/v1/agents HTTP/1.1\r\nHost: evil.example:{port}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 403") && reply.contains("on loopback alone"), "{reply}");
    });
    elsewhere.stop().await;
}

/// Installs schemathesis where it is missing, and returns its path.
fn schemathesis() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let program = folder.join("bin/schemathesis");
    if !program.exists() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status().unwrap();
        assert!(made.success(), "python3 cannot make a virtual environment: {made}");
        let pip = Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "schemathesis==4.32.5"])
            .status()
            .unwrap();
        assert!(pip.success(), "schemathesis cannot be installed: {pip}");
    }
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_of_the_api_says_what_it_does() {
    let server = ServerProcess::start().await;
    let output = tokio::task::block_in_place(|| {
        // A query that there is, so that not every answer is that there is none.
        let text = "FROM h IN Api.hit SELECT COUNT EVERY 200ms";
        assert_eq!(post(&server, "/queries", &json!({ "text": text, "name": "0" })).status, 201);
        // What it notes for another run is of no use.
        let folder = tempfile::tempdir().unwrap();
        Command::new(schemathesis())
            .current_dir(folder.path())
            .args(["run", &format!("{}/api/v1/openapi.json", server.url()), "--no-color"])
            .args(["--max-examples", "20", "--phases", "coverage,fuzzing", "--seed", "7"])
            // A stream of events ends when its query does.
            .args(["--exclude-path-regex", "results$"])
            .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
            .args(["--checks", "response_schema_conformance,unsupported_method"])
            .output()
            .unwrap()
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
