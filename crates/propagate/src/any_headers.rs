//! Baggage in the headers of any client or server: hyper 0.14 and http 0.2, any version of reqwest, message queues,
//! protocols of one's own. All that is asked of their headers is to set one by its name and to get one.
//!
//! ```text
//!  caller: layer.put(host, set) ──header──▶ layer.take(get) ──▶ ReceivedCall::run, process
//!          AwaitedReply::take(get) ◀──header── AnsweredCall::put(set) ◀──┘
//! ```
//!
//! Here headers are pairs of strings:
//!
//! ```
//! use pivot_propagate::{ClientLayer, ServerLayer};
//!
//! type Headers = Vec<(String, String)>;
//!
//! fn get(headers: &Headers, name: &str) -> Option<Vec<u8>> {
//!     let found = headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
//!     found.map(|(_, value)| value.clone().into_bytes())
//! }
//!
//! async fn serve(request: Headers) -> Headers {
//!     let call = ServerLayer::new().take(|name| get(&request, name));
//!     let (mut reply, answered) = call.process(async { Headers::new() }).await;
//!     answered.put(|name, value| reply.push((name.into(), value.into())));
//!     reply
//! }
//!
//! async fn call() {
//!     let mut request = Headers::new();
//!     let set = |name: &str, value: &str| request.push((name.into(), value.into()));
//!     let awaited = ClientLayer::new().put("127.0.0.1", set);
//!     let reply = serve(request).await;
//!     awaited.take(|name| get(&reply, name));
//! }
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(pivot_propagate::request(call()));
//! ```
//!
//! With reqwest of any version, without a middleware:
//!
//! ```
//! # #[cfg(feature = "reqwest")]
//! # mod example {
//! # use reqwest_middleware::reqwest;
//! # use pivot_propagate::ClientLayer;
//! async fn get(client: &reqwest::Client, layer: &ClientLayer) -> reqwest::Result<reqwest::Response> {
//!     let mut request = client.get("http://10.0.0.7/stock");
//!     let mut headers = Vec::new();
//!     let awaited = layer.put("10.0.0.7", |name, value| headers.push((name, value.to_owned())));
//!     for (name, value) in headers {
//!         request = request.header(name, value);
//!     }
//!     let response = request.send().await?;
//!     awaited.take(|name| response.headers().get(name).map(|value| value.as_bytes().to_vec()));
//!     Ok(response)
//! }
//! # }
//! ```
//!
//! These calls are no tracepoints of their own, unlike those through the layers. A server that copies headers into
//! requests of its own leaves out [`HEADERS`].

use crate::client::{AwaitedBranch, ClientLayer};
use crate::header::{BINARY_HEADER, TEXT_HEADER};
use crate::server::{ReplyRoute, ServerLayer};
use crate::w3c_baggage;
use http::{HeaderMap, HeaderName, HeaderValue};
use pivot_baggage::current::run_in;
use pivot_baggage::{Baggage, FutureExt};
use std::future::Future;

/// The names of the headers in which baggage of ours travels.
pub const HEADERS: [&str; 2] = ["pivot-baggage-bin", "pivot-baggage"];

impl ClientLayer {
    /// Adds a branch of the current request to the headers of a call to a host, if the host may have it: calls `set`
    /// with the name and the value of at most one header. Returns what the headers of the reply are read with.
    pub fn put(&self, host: &str, set: impl FnMut(&'static str, &str)) -> AwaitedReply {
        let mut headers = HeaderMap::new();
        let awaited = self.send_without_trailers(&mut headers, Some(host), 0, || host.to_owned());
        put_all(&headers, set);
        AwaitedReply(awaited)
    }
}

/// A call whose reply may bring a branch back.
#[derive(Debug)]
#[must_use = "what the peer did is not seen unless the reply is read"]
pub struct AwaitedReply(AwaitedBranch);

impl AwaitedReply {
    /// Joins what the reply brings back into the current request. `get` returns the value of the header with a name.
    pub fn take(mut self, get: impl FnMut(&'static str) -> Option<Vec<u8>>) {
        self.0.join_head(&mut taken(get), false);
    }
}

impl ServerLayer {
    /// Reads the baggage of a call that has arrived. `get` returns the value of the header with a name.
    pub fn take(&self, get: impl FnMut(&'static str) -> Option<Vec<u8>>) -> ReceivedCall {
        let (baggage, route) = self.accept(&mut taken(get));
        ReceivedCall { baggage: baggage.unwrap_or_else(Baggage::begin), route }
    }
}

/// A call that has arrived, in its request: the caller's, or one that begins here.
#[derive(Debug)]
pub struct ReceivedCall {
    baggage: Baggage,
    route: Option<Box<ReplyRoute>>,
}

impl ReceivedCall {
    /// Runs `work` in the request. Returns its result, and what the reply carries back.
    pub fn run<T>(self, work: impl FnOnce() -> T) -> (T, AnsweredCall) {
        let mut baggage = Some(self.baggage);
        let result = run_in(&mut baggage, work);
        (result, AnsweredCall { baggage: baggage.unwrap_or_default(), route: self.route })
    }

    /// Runs a future in the request. Returns its output, and what the reply carries back.
    pub async fn process<F: Future>(self, future: F) -> (F::Output, AnsweredCall) {
        let (output, baggage) = future.in_baggage(self.baggage).await;
        (output, AnsweredCall { baggage, route: self.route })
    }
}

/// A call that was served.
#[derive(Debug)]
pub struct AnsweredCall {
    baggage: Baggage,
    route: Option<Box<ReplyRoute>>,
}

impl AnsweredCall {
    /// Adds the branch to the headers of the reply, if the caller has sent one: calls `set` with the name and the value of
    /// at most one header.
    pub fn put(self, set: impl FnMut(&'static str, &str)) {
        let mut headers = HeaderMap::new();
        if let Some(route) = &self.route {
            route.insert(&mut headers, self.baggage);
        }
        put_all(&headers, set);
    }
}

/// Hands on the headers that were added.
fn put_all(headers: &HeaderMap, mut set: impl FnMut(&'static str, &str)) {
    for name in [&HEADERS[..], &["baggage"]].concat() {
        if let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) {
            set(name, value);
        }
    }
}

/// Returns the headers of ours among those that arrived.
fn taken(mut get: impl FnMut(&'static str) -> Option<Vec<u8>>) -> HeaderMap {
    let names: [(&'static str, HeaderName); 3] =
        [(HEADERS[0], BINARY_HEADER), (HEADERS[1], TEXT_HEADER), ("baggage", w3c_baggage::HEADER)];
    let arrived = names.into_iter().filter_map(|(text, name)| {
        let value = HeaderValue::from_maybe_shared(get(text)?).ok()?;
        Some((name, value))
    });
    arrived.collect()
}
