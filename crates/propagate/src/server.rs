//! Runs each call in the request that it arrived with, and sends the request's baggage back.
//!
//! The reply carries the whole branch and carries it once, to whoever sent one. It goes into the
//! trailers, after the last event of the body, where those will be read: with gRPC, and wherever
//! else a body of unknown length is sent to a client that accepts trailers. Any other reply carries
//! it in its headers, and what its body packs later is lost.

use crate::carrier::{self, Arrived, Native};
use crate::key::Key;
use http::header::{TE, TRAILER};
use http::{HeaderMap, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use pivot_baggage::current::run_in;
use pivot_baggage::{Baggage, FutureExt, InBaggage, RequestSnapshot, enter_request};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// Which baggage a server takes.
#[derive(Debug, Clone, Default)]
pub struct ServerLayer {
    door: Door,
    key: Option<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Door {
    #[default]
    Inner,
    Outer,
}

impl ServerLayer {
    /// A layer for servers whose clients are inside the system.
    pub fn new() -> ServerLayer {
        ServerLayer::default()
    }

    /// For servers that anybody may call: every call begins a request here, baggage that arrives is
    /// taken away unread, and none is sent back.
    pub fn outer_door() -> ServerLayer {
        ServerLayer { door: Door::Outer, key: None }
    }

    /// Accepts only signed baggage, and signs what it sends back.
    pub fn key(self, key: Key) -> ServerLayer {
        ServerLayer { key: Some(key), ..self }
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = Server<S>;

    fn layer(&self, inner: S) -> Server<S> {
        Server { inner, layer: self.clone() }
    }
}

/// A service whose calls are requests: those that arrive with baggage go on, others begin here.
#[derive(Debug, Clone)]
pub struct Server<S> {
    inner: S,
    layer: ServerLayer,
}

impl<S, B, R> Service<Request<B>> for Server<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<ServedBody<R>>;
    type Error = S::Error;
    type Future = Served<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // Before HTTP/1.1 there are no trailers.
        if request.version() < Version::HTTP_11 {
            request.headers_mut().remove(TE);
        }
        let (baggage, back) = self.arrived(request.headers_mut());
        let scope = enter_request(baggage);
        let inner = self.inner.call(request);
        Served { inner: inner.in_baggage(scope.finish()), back }
    }
}

impl<S> Server<S> {
    /// What arrived, and how it goes back.
    fn arrived(&self, headers: &mut HeaderMap) -> (Option<Baggage>, Option<Box<Back>>) {
        let arrived = match self.layer.door {
            Door::Inner => carrier::take(headers, self.layer.key.as_ref()),
            Door::Outer => {
                carrier::remove(headers);
                Arrived::Nothing
            }
        };
        match arrived {
            Arrived::Nothing => (None, None),
            Arrived::Bridged(baggage) => (Some(baggage), None),
            Arrived::Branch(native, baggage) => {
                let trailers = native == Native::Binary || accepts_trailers(headers);
                let (asked, key) = (baggage.snapshot(), self.layer.key.clone());
                (Some(baggage), Some(Box::new(Back { native, trailers, asked, key })))
            }
        }
    }
}

fn accepts_trailers(request: &HeaderMap) -> bool {
    let mut values = request.get_all(TE).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
}

/// How a reply carries its baggage.
#[derive(Debug, Clone)]
struct Back {
    native: Native,
    /// Whether trailers will be read.
    trailers: bool,
    asked: Option<RequestSnapshot>,
    key: Option<Key>,
}

impl Back {
    fn goes_into_trailers(&self, body: &impl Body) -> bool {
        let of_unknown_length = self.native == Native::Binary || body.size_hint().exact().is_none();
        self.trailers && of_unknown_length && !body.is_end_stream()
    }

    fn put(&self, headers: &mut HeaderMap, baggage: Baggage) {
        self.native.put_back(headers, baggage, self.asked.as_ref(), self.key.as_ref());
    }
}

pin_project! {
    /// A call that is being served.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Served<F> {
        #[pin]
        inner: InBaggage<F>,
        // Most requests have none, and futures are moved often.
        back: Option<Box<Back>>,
    }
}

impl<F, R, E> Future for Served<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ServedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (response, mut baggage) = ready!(this.inner.poll(cx));
        let (mut parts, body) = response?.into_parts();
        let mut back = this.back.take();
        if let Some(in_trailers) = &back {
            if !in_trailers.goes_into_trailers(&body) {
                // Events of the body still belong to the request, and see what happened before.
                let seen = baggage.detach();
                in_trailers.put(&mut parts.headers, std::mem::replace(&mut baggage, seen));
                back = None;
            } else if in_trailers.native == Native::Text && !baggage.has_no_id() {
                parts.headers.append(TRAILER, in_trailers.native.name().into());
            }
        }
        let body = ServedBody { inner: Some(body), baggage: Some(baggage), back };
        Poll::Ready(Ok(Response::from_parts(parts, body)))
    }
}

pin_project! {
    /// The body of a reply; it runs in the request.
    #[derive(Debug)]
    pub struct ServedBody<B> {
        // Taken out at the end or when dropped, in both cases inside the request.
        #[pin]
        inner: Option<B>,
        baggage: Option<Baggage>,
        // How the trailers carry the baggage, if they do.
        back: Option<Box<Back>>,
    }

    impl<B> PinnedDrop for ServedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                run_in(this.baggage, || this.inner.set(None));
            }
        }
    }
}

impl<B: Body> ServedBody<B> {
    /// Ends the body; adds what the reply carries back to its trailers.
    fn end(self: Pin<&mut Self>, trailers: Option<HeaderMap>) -> Option<HeaderMap> {
        let mut this = self.project();
        run_in(this.baggage, || this.inner.set(None));
        let Some((back, baggage)) = this.back.take().zip(this.baggage.take()) else { return trailers };
        let had_trailers = trailers.is_some();
        let mut trailers = trailers.unwrap_or_default();
        back.put(&mut trailers, baggage);
        (had_trailers || !trailers.is_empty()).then_some(trailers)
    }
}

impl<B: Body> Body for ServedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.as_mut().project();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Ready(None) };
        let trailers = match ready!(run_in(this.baggage, || inner.poll_frame(cx))) {
            Some(Ok(frame)) => match frame.into_trailers() {
                Ok(trailers) => Some(trailers),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            },
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => None,
        };
        Poll::Ready(self.end(trailers).map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        let carries = self.baggage.as_ref().is_some_and(|baggage| !baggage.has_no_id());
        let adds_trailers = self.back.is_some() && carries;
        self.inner.as_ref().is_none_or(|inner| !adds_trailers && inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
