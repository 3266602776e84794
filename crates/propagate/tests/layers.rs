//! What the layers put on the wire, seen from between them.

#![allow(clippy::unwrap_used)]

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pivot_baggage::{Baggage, FutureExt, with_current};
use pivot_propagate::{ClientLayer, HEADER, ServedBody, ServerLayer, request};
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
        SizeHint::with_exact(
            self.0.iter().filter_map(|frame| frame.data_ref()).map(|data| data.len() as u64).sum(),
        )
    }
}

fn data() -> Frame<&'static [u8]> {
    Frame::data(b"data")
}

fn status() -> Frame<&'static [u8]> {
    Frame::trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]))
}

/// Replies with given frames; begins the request's baggage if it is to carry something.
#[derive(Clone)]
struct Replies {
    frames: fn() -> Vec<Frame<&'static [u8]>>,
    carries: fn(),
}

impl Service<Request<()>> for Replies {
    type Response = Response<Frames>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Frames>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        (self.carries)();
        ready(Ok(Response::new(Frames((self.frames)().into()))))
    }
}

fn begin() {
    with_current(|current| current.unwrap().request_or_begin());
}

/// Where a reply carries baggage: (in its headers, in which frames, frames in all).
async fn carried(
    content: &'static str,
    frames: fn() -> Vec<Frame<&'static [u8]>>,
    carries: fn(),
) -> (bool, Vec<usize>, usize) {
    let mut server = ServerLayer::new().layer(Replies { frames, carries });
    let arrived = Request::builder().header("content-type", content).body(()).unwrap();
    let (parts, body) = server.call(arrived).await.unwrap().into_parts();
    let frames = collected(body).await;
    let found = |frame: &Frame<_>| frame.trailers_ref().is_some_and(|trailers| trailers.contains_key(HEADER));
    let at = (0..frames.len()).filter(|index| found(&frames[*index])).collect();
    (parts.headers.contains_key(HEADER), at, frames.len())
}

/// All frames, as a connection reads them: it stops as soon as the body says that it has ended.
async fn collected(body: ServedBody<Frames>) -> Vec<Frame<&'static [u8]>> {
    let (mut body, mut frames) = (pin!(body), Vec::new());
    while !body.is_end_stream() {
        let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await else { break };
        frames.push(frame.unwrap());
    }
    frames
}

const GRPC: &str = "application/grpc+proto";

#[tokio::test]
async fn a_grpc_reply_carries_baggage_in_the_trailers_it_has() {
    assert_eq!(carried(GRPC, || vec![data(), status()], begin).await, (false, vec![1], 2));
}

#[tokio::test]
async fn a_grpc_reply_without_trailers_gets_some() {
    assert_eq!(carried(GRPC, || vec![data()], begin).await, (false, vec![1], 2));
}

#[tokio::test]
async fn a_reply_without_a_body_carries_baggage_in_its_headers() {
    assert_eq!(carried(GRPC, Vec::new, begin).await, (true, vec![], 0));
}

#[tokio::test]
async fn another_http_reply_carries_baggage_in_its_headers_only() {
    assert_eq!(carried("text/plain", || vec![data()], begin).await, (true, vec![], 1));
    assert_eq!(carried("text/plain", || vec![data(), status()], begin).await, (true, vec![], 2));
}

#[tokio::test]
async fn a_reply_that_carries_nothing_is_left_as_it_is() {
    assert_eq!(carried(GRPC, || vec![data(), status()], || ()).await, (false, vec![], 2));
    assert_eq!(carried(GRPC, || vec![data()], || ()).await, (false, vec![], 1));
    assert_eq!(carried(GRPC, Vec::new, || ()).await, (false, vec![], 0));
}

/// Notes whether a request carries baggage; its reply has a header that is no baggage.
struct Notes<'a>(&'a mut bool);

impl Service<Request<()>> for Notes<'_> {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        *self.0 = request.headers().contains_key(HEADER);
        ready(Ok(Response::builder().header(HEADER, "not base64!").body(()).unwrap()))
    }
}

/// Whether a client sends baggage.
async fn sends() -> bool {
    let mut sent = false;
    ClientLayer::new().layer(Notes(&mut sent)).call(Request::new(())).await.unwrap();
    sent
}

#[tokio::test]
async fn a_client_sends_baggage_only_if_its_request_carries_some() {
    assert!(!sends().await);
    assert!(!request(sends()).await);
    let mut baggage = Baggage::new();
    baggage.request_or_begin();
    assert!(sends().in_baggage(baggage).await.0);
}
