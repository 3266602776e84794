//! Runs each call in the request that it arrived with, and sends the request's baggage back.
//!
//! The reply carries the whole branch and carries it once, to whoever sent one. It goes into the
//! trailers, after the last event of the body, where those will be read: with gRPC, and wherever
//! else a body of unknown length is sent to a client that accepts trailers. Any other reply carries
//! it in its headers, and what its body packs later is lost.

use crate::header::{self, HeaderKind, ReceivedBaggage};
use crate::key::SigningKey;
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
    trust: Trust,
    key: Option<SigningKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Trust {
    #[default]
    Internal,
    Edge,
}

impl ServerLayer {
    /// A layer for servers whose clients are inside the system.
    pub fn new() -> ServerLayer {
        ServerLayer::default()
    }

    /// For servers that anybody may call: every call begins a request here, baggage that arrives is
    /// taken away unread, and none is sent back.
    pub fn edge() -> ServerLayer {
        ServerLayer { trust: Trust::Edge, key: None }
    }

    /// Accepts only signed baggage, and signs what it sends back.
    pub fn key(self, key: SigningKey) -> ServerLayer {
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
    type Response = Response<ServerBody<R>>;
    type Error = S::Error;
    type Future = ServerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // Before HTTP/1.1 there are no trailers.
        if request.version() < Version::HTTP_11 {
            request.headers_mut().remove(TE);
        }
        let (baggage, route) = self.accept(request.headers_mut());
        let scope = enter_request(baggage);
        let inner = self.inner.call(request);
        ServerFuture { inner: inner.in_baggage(scope.finish()), route }
    }
}

impl<S> Server<S> {
    /// What arrived, and how it goes back.
    fn accept(&self, headers: &mut HeaderMap) -> (Option<Baggage>, Option<Box<ReplyRoute>>) {
        let arrived = match self.layer.trust {
            Trust::Internal => header::take_request(headers, self.layer.key.as_ref()),
            Trust::Edge => {
                header::strip(headers);
                ReceivedBaggage::None
            }
        };
        match arrived {
            ReceivedBaggage::None => (None, None),
            ReceivedBaggage::Detached(baggage) => (Some(baggage), None),
            ReceivedBaggage::Branch(kind, baggage) => {
                let trailers = kind == HeaderKind::Binary || accepts_trailers(headers);
                let (asked, key) = (baggage.snapshot(), self.layer.key.clone());
                (Some(baggage), Some(Box::new(ReplyRoute { kind, trailers, asked, key })))
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
struct ReplyRoute {
    kind: HeaderKind,
    /// Whether trailers will be read.
    trailers: bool,
    asked: Option<RequestSnapshot>,
    key: Option<SigningKey>,
}

impl ReplyRoute {
    fn uses_trailers(&self, body: &impl Body) -> bool {
        let of_unknown_length = self.kind == HeaderKind::Binary || body.size_hint().exact().is_none();
        self.trailers && of_unknown_length && !body.is_end_stream()
    }

    fn insert(&self, headers: &mut HeaderMap, baggage: Baggage) {
        self.kind.insert_reply(headers, baggage, self.asked.as_ref(), self.key.as_ref());
    }
}

pin_project! {
    /// A call that is being served.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ServerFuture<F> {
        #[pin]
        inner: InBaggage<F>,
        // Most requests have none, and futures are moved often.
        route: Option<Box<ReplyRoute>>,
    }
}

impl<F, R, E> Future for ServerFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ServerBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (response, mut baggage) = ready!(this.inner.poll(cx));
        let (mut parts, body) = response?.into_parts();
        let mut route = this.route.take();
        if let Some(in_trailers) = &route {
            if !in_trailers.uses_trailers(&body) {
                // Events of the body still belong to the request, and see what happened before.
                let seen = baggage.detach();
                in_trailers.insert(&mut parts.headers, std::mem::replace(&mut baggage, seen));
                route = None;
            } else if in_trailers.kind == HeaderKind::Text && !baggage.has_no_id() {
                parts.headers.append(TRAILER, in_trailers.kind.name().into());
            }
        }
        let body = ServerBody { inner: Some(body), baggage: Some(baggage), route };
        Poll::Ready(Ok(Response::from_parts(parts, body)))
    }
}

pin_project! {
    /// The body of a reply; it runs in the request.
    #[derive(Debug)]
    pub struct ServerBody<B> {
        // Taken out at the end or when dropped, in both cases inside the request.
        #[pin]
        inner: Option<B>,
        baggage: Option<Baggage>,
        // How the trailers carry the baggage, if they do.
        route: Option<Box<ReplyRoute>>,
    }

    impl<B> PinnedDrop for ServerBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                run_in(this.baggage, || this.inner.set(None));
            }
        }
    }
}

impl<B: Body> ServerBody<B> {
    /// Ends the body; adds what the reply carries back to its trailers.
    fn end(self: Pin<&mut Self>, trailers: Option<HeaderMap>) -> Option<HeaderMap> {
        let mut this = self.project();
        run_in(this.baggage, || this.inner.set(None));
        let Some((route, baggage)) = this.route.take().zip(this.baggage.take()) else { return trailers };
        let had_trailers = trailers.is_some();
        let mut trailers = trailers.unwrap_or_default();
        route.insert(&mut trailers, baggage);
        (had_trailers || !trailers.is_empty()).then_some(trailers)
    }
}

impl<B: Body> Body for ServerBody<B> {
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
        let adds_trailers = self.route.is_some() && carries;
        self.inner.as_ref().is_none_or(|inner| !adds_trailers && inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
