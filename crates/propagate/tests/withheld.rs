//! Baggage is withheld from a peer that must not have it: the queries whose tuples it held say so.

#![allow(clippy::unwrap_used)]

use http::{Request, Response};
use pivot_advice::QueryId;
use pivot_agent::tracepoint;
use pivot_propagate::{ClientLayer, request};
use pivot_query::{Catalog, CompileOptions, compile_with};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// A peer that answers with nothing.
struct Peer;

impl Service<Request<()>> for Peer {
    type Response = Response<http_body_util::Empty<&'static [u8]>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::default()))
    }
}

/// Calls a host.
async fn call(host: &str) {
    let request = Request::builder().uri(format!("http://{host}/")).body(()).unwrap();
    ClientLayer::new().layer(Peer).call(request).await.unwrap();
}

#[tokio::test]
async fn a_query_tells_of_the_messages_that_went_without_its_tuples() {
    let text = "From e In Held.end Join p In Held.part On p -> e GroupBy p.key Select p.key, COUNT";

    let mut catalog = Catalog::default();
    pivot_agent::catalogue().iter().for_each(|exports| catalog.add(exports));
    let program = compile_with(text, &catalog, &CompileOptions::default());
    let query = QueryId::new(1, 1);
    let advice = program.map_err(|wrong| format!("{wrong:?}")).unwrap().advice(query);

    pivot_baggage::set_carrying(true);
    assert!(pivot_agent::weave(&advice).is_empty());

    request(async {
        call("before.example").await;
        tracepoint!("Held.part", key: u64 = 1);
        call("after.example").await;
        call("after.example").await;
        call("10.0.0.1").await;
        tracepoint!("Held.end");
    })
    .await;

    let rows = pivot_agent::drain().remove(&query).unwrap();
    assert_eq!((rows.emitted, rows.loss.held_back), (1, 2));
    let held: Vec<_> =
        pivot_baggage::withheld_messages().into_iter().map(|held| (held.host, held.messages)).collect();
    assert_eq!(held, [("after.example".to_owned(), 2), ("before.example".to_owned(), 1)]);
    assert!(pivot_agent::drain().is_empty(), "each message is told of once");
}
