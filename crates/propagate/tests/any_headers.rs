//! Baggage in headers that are no `http::HeaderMap`.

#![allow(clippy::unwrap_used)]

use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter, Value};
use pivot_baggage::{request_id, set_carrying, with_current};
use pivot_propagate::{ClientLayer, Egress, ServerLayer, request};

type Headers = Vec<(String, String)>;

fn bag() -> BagKey {
    BagKey { query: QueryId::new(0, 1), stage: 0 }
}

fn get(headers: &Headers, name: &str) -> Option<Vec<u8>> {
    let found = headers.iter().find(|(header, _)| header == name);
    found.map(|(_, value)| value.clone().into_bytes())
}

/// Packs a row in the current request.
fn pack(key: &str) {
    let mut rows = Groups::new(1, &[]);
    rows.entry(&[Value::str(key)]).n = 1;
    with_current(|baggage| baggage.unwrap().pack(bag(), TemporalFilter::All, [rows]));
}

/// Returns how many rows happened before.
fn rows() -> usize {
    with_current(|baggage| baggage.unwrap().unpack(bag()).map_or(0, |rows| rows.len()))
}

/// Serves a call: packs a row. Returns the headers of the reply, the rows that it found, and the request that it was in.
async fn serve(layer: ServerLayer, headers: Headers) -> (Headers, usize, Option<String>) {
    let call = layer.take(|name| get(&headers, name));
    let work = async {
        tokio::task::yield_now().await;
        let found = rows();
        pack("there");
        (found, request_id())
    };
    let ((found, id), answered) = call.process(work).await;

    let mut reply = Headers::new();
    answered.put(|name, value| reply.push((name.into(), value.into())));
    (reply, found, id)
}

#[tokio::test]
async fn a_call_takes_the_request_along_and_brings_it_back() {
    set_carrying(true);
    request(async {
        pack("here");
        let mut headers = Headers::new();
        let awaited =
            ClientLayer::new().put("127.0.0.1", |name, value| headers.push((name.into(), value.into())));
        let (reply, found, id) = serve(ServerLayer::new(), headers).await;
        assert_eq!((found, id), (1, request_id()));

        assert_eq!(rows(), 1);
        awaited.take(|name| get(&reply, name));
        assert_eq!(rows(), 2);
    })
    .await;
}

#[tokio::test]
async fn nothing_leaves_to_a_host_that_may_not_have_it_or_comes_in_at_the_edge() {
    set_carrying(true);
    request(async {
        pack("here");
        let mut headers = Headers::new();
        let layer = ClientLayer::new().egress(Egress::listed());
        let awaited = layer.put("127.0.0.1", |name, value| headers.push((name.into(), value.into())));
        assert_eq!(headers, []);
        awaited.take(|_| None);

        let awaited =
            ClientLayer::new().put("127.0.0.1", |name, value| headers.push((name.into(), value.into())));
        let (reply, found, id) = serve(ServerLayer::edge(), headers).await;
        assert!(reply.is_empty() && found == 0 && id.is_some() && id != request_id());
        awaited.take(|name| get(&reply, name));
        assert_eq!(rows(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_bridge_sends_a_member_and_expects_nothing() {
    set_carrying(true);
    request(async {
        pack("here");
        let mut headers = Headers::new();
        let set = |name: &str, value: &str| headers.push((name.into(), value.into()));
        ClientLayer::bridge().put("127.0.0.1", set).take(|_| None);
        assert!(headers.len() == 1 && headers[0].0 == "baggage", "{headers:?}");

        let (reply, found, id) = serve(ServerLayer::new(), headers).await;
        assert!(reply.is_empty() && found == 1 && id == request_id());
    })
    .await;
}
