//! Results of queries in a real Prometheus, which reads them from a frontend.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_protocol::wire;
use pivot_tests::{PATIENCE, ServerProcess};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const QUERY: &str = "FROM h IN Metric.hit GROUP BY h.kind SELECT h.kind, COUNT, SUM(h.n) AS sum, MAX(h.n), \
                     P50(h.time_taken) AS half, HIST(h.n) AS sizes, LHIST(h.n, 0, 100, 50) AS steps EVERY 200ms";

/// A Prometheus that ends with its owner.
struct Prometheus {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Installs Prometheus where it is missing.
fn installed() -> &'static str {
    if Command::new("prometheus").arg("--version").output().is_err() {
        let script = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
                      --no-install-recommends prometheus";
        let status = Command::new("sh").args(["-c", script]).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "prometheus cannot be installed: {status}");
    }
    "prometheus"
}

impl Prometheus {
    /// Starts one that reads the results of a frontend five times a second.
    fn start(frontend: &str) -> Prometheus {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);

        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let target = frontend.trim_start_matches("http://");
        let text = format!(
            "global: {{scrape_interval: 200ms}}\nscrape_configs:\n- job_name: pivot\n  metrics_path: /metrics/queries\n  \
             static_configs: [{{targets: ['{target}']}}]\n"
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(installed())
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Prometheus { child, port, _folder: folder }
    }

    /// Returns the values of an expression, each with its labels, or nothing if Prometheus does not answer yet.
    fn ask(&self, expression: &str) -> Vec<(serde_json::Value, f64)> {
        let path = format!("/api/v1/query?query={}", encoded(expression));
        let Some(answer) = get(self.port, &path) else { return vec![] };
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let found = answer["data"]["result"].as_array().unwrap().iter();
        found.map(|one| (one["metric"].clone(), one["value"][1].as_str().unwrap().parse().unwrap())).collect()
    }

    /// Waits until an expression has one value, and that is expected.
    fn wait_for(&self, expression: &str, expected: f64) {
        let until = Instant::now() + PATIENCE;
        loop {
            let found = self.ask(expression);
            if found.len() == 1 && (found[0].1 - expected).abs() < 1e-9 {
                return;
            }
            assert!(Instant::now() < until, "{expression} is {expected}, and not {found:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Returns the body of what a local port answers, or `None` if it does not.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).filter(|status| *status == "200")?;
    Some(body.to_owned())
}

async fn install(server: &ServerProcess, name: &str, text: &str) -> wire::InstallResponse {
    let request = wire::InstallRequest { text: text.into(), name: name.into(), ..Default::default() };
    server.client().await.install(request).await.unwrap().into_inner()
}

fn hit(kind: &str, n: u64) {
    let time_taken = Duration::from_millis(250);
    pivot::tracepoint!("Metric.hit", kind: &str = kind, n: u64 = n, time_taken: Duration = time_taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_counters_gauges_and_histograms() {
    let server = ServerProcess::start().await;
    let agent = pivot::builder().process("metrics").frontend(server.url()).init().unwrap();
    let shown = format!("{QUERY} INTO prometheus(name = 'hits')");
    assert!(install(&server, "", &shown).await.query.is_some());
    let narrow =
        "FROM h IN Metric.hit GROUP BY h.n SELECT h.n, COUNT EVERY 200ms INTO prometheus(series = 2)";
    assert!(install(&server, "narrow", narrow).await.query.is_some());
    let until = Instant::now() + PATIENCE;
    while pivot_agent::statuses()
        .iter()
        .filter(|status| status.state == pivot_agent::QueryState::Active)
        .count()
        < 2
    {
        assert!(Instant::now() < until, "the queries are woven");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let prometheus = tokio::task::block_in_place(|| Prometheus::start(&server.url()));
    for n in 0..100 {
        hit(if n % 4 == 0 { "a \"quoted\"\\\nkind" } else { "b" }, n);
    }
    assert!(agent.flush(PATIENCE));

    tokio::task::block_in_place(|| {
        prometheus.wait_for(r#"hits_count_total{kind="b"}"#, 75.0);
        prometheus.wait_for(r#"hits_count_total{kind!="b"}"#, 25.0);
        prometheus.wait_for("sum(hits_sum_total)", 4_950.0);
        prometheus.wait_for(r#"hits_sizes_bucket{kind="b",le="+Inf"}"#, 75.0);
        prometheus.wait_for(r#"hits_sizes_count{kind="b"}"#, 75.0);
        // 0 and 1, 2, then 3 and 4 of all.
        prometheus.wait_for(r#"sum(hits_sizes_bucket{le="4"})"#, 5.0);
        prometheus.wait_for(r#"sum(hits_steps_bucket{le="50"})"#, 50.0);
        prometheus.wait_for(r#"pivot_query_partial{query="q1"}"#, 0.0);
        let half = prometheus.ask("max_over_time(hits_half[1m])");
        assert!(half.iter().all(|(_, seconds)| (*seconds - 0.25).abs() < 0.01), "{half:?}");

        // A query has as many series as it may have, and says what it leaves out.
        prometheus.wait_for("count(narrow_count_total)", 2.0);
        prometheus.wait_for(r#"pivot_query_series_left_out{query="narrow"}"#, 98.0);
        prometheus.wait_for("up", 1.0);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_prometheus_cannot_be_told_is_refused_when_it_is_asked_for() {
    let server = ServerProcess::start().await;
    for (text, expected) in [
        ("FROM h IN M.hit SELECT h.n INTO prometheus", "single rows are no metrics"),
        ("FROM h IN M.hit SELECT COUNT INTO prometheus(name = 'a b')", "the beginning of metrics' names"),
        ("FROM h IN M.hit SELECT COUNT INTO prometheus(serie = 3)", "unknown option `serie`"),
        ("FROM h IN M.hit SELECT COUNT INTO prometheus(series = 0)", "a number from 1 to 100000"),
        ("FROM h IN M.hit SELECT COUNT INTO prometheus(series = 1, series = 2)", "is repeated"),
        ("FROM h IN M.hit SELECT COUNT INTO otlp('x')", ""),
        ("FROM h IN M.hit SELECT COUNT INTO otlp", "there is no sink `otlp` yet"),
    ] {
        let reply = install(&server, "", text).await;
        let said: Vec<String> = reply.diagnostics.into_iter().map(|found| found.message).collect();
        assert!(
            reply.query.is_none() && said.iter().any(|message| message.contains(expected)),
            "{text}: {said:?}"
        );
    }
}
