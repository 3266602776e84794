//! The headers and trailers that the layers add and remove, seen from between them.

#![allow(clippy::unwrap_used)]

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pivot_baggage::withheld_counts::WithheldReason;
use pivot_baggage::{Baggage, FutureExt, Share, with_current};
use pivot_propagate::{BINARY_HEADER, ClientLayer, Egress, ServerBody, ServerLayer, TEXT_HEADER, request};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// A body of given frames.
#[derive(Default)]
struct Frames(VecDeque<Frame<&'static [u8]>>);

impl Body for Frames {
    type Data = &'static [u8];
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        // Three frames of data or more stand for a body of unknown length.
        let data: Vec<usize> = self.0.iter().filter_map(|f| f.data_ref()).map(|data| data.len()).collect();
        match data.len() {
            3.. => SizeHint::new(),
            _ => SizeHint::with_exact(data.iter().sum::<usize>() as u64),
        }
    }
}

fn data() -> Frame<&'static [u8]> {
    Frame::data(b"data")
}

fn status() -> Frame<&'static [u8]> {
    Frame::trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]))
}

/// Replies with given frames.
#[derive(Clone)]
struct Replies(fn() -> Vec<Frame<&'static [u8]>>);

impl Service<Request<()>> for Replies {
    type Response = Response<Frames>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Frames>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(
            !request.headers().contains_key(BINARY_HEADER) && !request.headers().contains_key(TEXT_HEADER)
        );
        with_current(|current| current.unwrap().request_or_begin());
        ready(Ok(Response::new(Frames((self.0)().into()))))
    }
}

/// The header in which a request carries a branch, if it carries one.
#[derive(Clone)]
struct Sends(Option<HeaderName>);

/// Calls a server. Returns whether its reply carries baggage in the headers, in which frames it does, and how
/// many frames there are.
async fn carried(
    headers: &[(&'static str, &'static str)],
    sends: Sends,
    server: ServerLayer,
    frames: fn() -> Vec<Frame<&'static [u8]>>,
) -> (bool, Vec<usize>, usize) {
    let mut arrived = Request::new(());
    for (name, value) in headers {
        arrived.headers_mut().insert(*name, HeaderValue::from_static(value));
    }

    if let Some(name) = sends.0 {
        let mut baggage = Baggage::new();
        baggage.request_or_begin();
        let value = base64_simd::URL_SAFE_NO_PAD.encode_to_string(baggage.encode());
        let value = if name == BINARY_HEADER { value.replace('-', "+").replace('_', "/") } else { value };
        arrived.headers_mut().insert(name, value.parse().unwrap());
    }

    let (parts, body) = server.layer(Replies(frames)).call(arrived).await.unwrap().into_parts();
    let frames = collected(body).await;

    let holds =
        |headers: &HeaderMap| headers.contains_key(BINARY_HEADER) || headers.contains_key(TEXT_HEADER);
    let at = (0..frames.len()).filter(|index| frames[*index].trailers_ref().is_some_and(holds)).collect();
    (holds(&parts.headers), at, frames.len())
}

/// Returns all frames as a connection reads them: it stops as soon as the body says that it has ended.
async fn collected(body: ServerBody<Frames>) -> Vec<Frame<&'static [u8]>> {
    let (mut body, mut frames) = (pin!(body), Vec::new());
    while !body.is_end_stream() {
        let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await else { break };
        frames.push(frame.unwrap());
    }
    frames
}

/// Calls with a branch in gRPC's header.
async fn grpc(frames: fn() -> Vec<Frame<&'static [u8]>>) -> (bool, Vec<usize>, usize) {
    let headers = [("content-type", "application/grpc+proto")];
    carried(&headers, Sends(Some(BINARY_HEADER)), ServerLayer::new(), frames).await
}

/// Calls with a branch in the header of HTTP.
async fn http(
    headers: &[(&'static str, &'static str)],
    frames: fn() -> Vec<Frame<&'static [u8]>>,
) -> (bool, Vec<usize>, usize) {
    carried(headers, Sends(Some(TEXT_HEADER)), ServerLayer::new(), frames).await
}

#[tokio::test]
async fn a_grpc_reply_carries_baggage_in_the_trailers_it_has() {
    assert_eq!(grpc(|| vec![data(), status()]).await, (false, vec![1], 2));
}

#[tokio::test]
async fn a_grpc_reply_without_trailers_gets_some() {
    assert_eq!(grpc(|| vec![data()]).await, (false, vec![1], 2));
}

#[tokio::test]
async fn a_reply_without_a_body_carries_baggage_in_its_headers() {
    assert_eq!(grpc(Vec::new).await, (true, vec![], 0));
    assert_eq!(http(&[("te", "trailers")], Vec::new).await, (true, vec![], 0));
}

#[tokio::test]
async fn an_http_reply_carries_baggage_in_its_headers_unless_it_streams_and_trailers_are_read() {
    assert_eq!(http(&[], || vec![data()]).await, (true, vec![], 1));
    assert_eq!(http(&[], || vec![data(), status()]).await, (true, vec![], 2));
    assert_eq!(http(&[("te", "gzip, Trailers")], || vec![data()]).await, (true, vec![], 1));

    let streaming = || vec![data(), data(), data()];
    assert_eq!(http(&[("te", "gzip, Trailers")], streaming).await, (false, vec![3], 4));
    assert_eq!(http(&[("te", "gzip")], streaming).await, (true, vec![], 3));
}

#[tokio::test]
async fn a_client_that_sent_nothing_or_calls_at_the_edge_is_sent_nothing() {
    let frames = || vec![data(), status()];
    let headers = [("content-type", "application/grpc+proto")];
    assert_eq!(carried(&headers, Sends(None), ServerLayer::new(), frames).await, (false, vec![], 2));

    let edge = ServerLayer::edge();
    assert_eq!(carried(&headers, Sends(Some(BINARY_HEADER)), edge, frames).await, (false, vec![], 2));
}

/// Keeps the headers of a request. Its reply has a header that is no baggage.
struct Notes<'a>(&'a mut HeaderMap);

impl Service<Request<()>> for Notes<'_> {
    type Response = Response<http_body_util::Empty<&'static [u8]>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<http_body_util::Empty<&'static [u8]>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        *self.0 = request.headers().clone();
        ready(Ok(Response::builder().header(TEXT_HEADER, "not base64!").body(Default::default()).unwrap()))
    }
}

/// Returns the names of the headers that a client sends to a host, in order.
async fn sends(client: ClientLayer, host: &str) -> Vec<String> {
    let mut sent = HeaderMap::new();
    let request = Request::builder().uri(format!("http://{host}/")).body(()).unwrap();
    client.layer(Notes(&mut sent)).call(request).await.unwrap();
    let mut names: Vec<String> = sent.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort();
    names
}

/// Begins a request.
fn begun() -> Baggage {
    let mut baggage = Baggage::new();
    baggage.request_or_begin();
    baggage
}

#[tokio::test]
async fn a_client_sends_baggage_only_if_its_request_carries_some() {
    let (client, host) = (ClientLayer::new(), "10.0.0.1");
    let none: [&str; 0] = [];
    assert_eq!(sends(client.clone(), host).await, none);
    assert_eq!(request(sends(client.clone(), host)).await, none);
    assert_eq!(sends(client, host).in_baggage(begun()).await.0, ["pivot-baggage", "te"]);
    assert_eq!(sends(ClientLayer::bridge(), host).in_baggage(begun()).await.0, ["baggage"]);
}

#[tokio::test]
async fn baggage_that_finds_no_room_beside_the_applications_own_header_is_counted() {
    let own = format!("a={}", "x".repeat(8185));
    let mut sent = HeaderMap::new();
    let request = Request::builder().uri("http://10.0.0.1/").header("baggage", &own).body(()).unwrap();

    let before = pivot_baggage::losses().withheld;
    let call = async { ClientLayer::bridge().layer(Notes(&mut sent)).call(request).await };
    call.in_baggage(begun()).await.0.unwrap();
    assert_eq!(sent.get("baggage").map(|value| value.as_bytes()), Some(own.as_bytes()));
    assert!(pivot_baggage::losses().withheld > before);

    let peers = pivot_baggage::withheld_messages();
    let peer = peers.iter().find(|peer| peer.reason == WithheldReason::NoRoom);
    assert_eq!(peer.map(|peer| (peer.host.as_str(), peer.messages)), Some(("10.0.0.1", 1)));
}

#[tokio::test]
async fn baggage_is_withheld_from_hosts_outside_and_no_branch_is_made_for_them() {
    let none: [&str; 0] = [];
    let clients = [ClientLayer::new(), ClientLayer::bridge(), ClientLayer::new().peer("10.0.0.1")];
    for client in clients {
        let before = pivot_baggage::losses().withheld;
        let (sent, baggage) = sends(client, "example.com").in_baggage(begun()).await;
        assert_eq!((sent.as_slice(), baggage.share()), (&none.map(str::to_owned)[..], Share::whole()));
        assert!(pivot_baggage::losses().withheld > before);
    }

    let listed = ClientLayer::new().egress(Egress::private().allow("*.com"));
    assert_eq!(sends(listed, "example.com").in_baggage(begun()).await.0, ["pivot-baggage", "te"]);
}

#[tokio::test]
async fn a_peer_that_is_named_is_checked_where_requests_do_not_name_it() {
    let mut sent = HeaderMap::new();
    let mut client = ClientLayer::new().peer("example.com").layer(Notes(&mut sent));
    let call = async { client.call(Request::new(())).await.unwrap() };
    assert_eq!(call.in_baggage(begun()).await.1.share(), Share::whole());
    assert!(sent.is_empty());
}
