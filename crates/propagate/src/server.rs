//! The server's side of a call: runs it in the request that it arrived with, and sends the request's
//! baggage back.
//!
//! The reply carries the branch as a whole and carries it once, to the client that sent it:
//!
//! | arrived in | body of the reply | the branch goes back in |
//! |---|---|---|
//! | gRPC metadata | any but an empty one | trailers |
//! | HTTP header, with `TE: trailers` | of unknown length | trailers |
//! | either | any other | headers |
//! | W3C `baggage`, or nothing | any | nowhere |
//!
//! Trailers come after the last event of the body, so nothing is lost. Headers leave before the body
//! runs: what the body packs then stays in this process and is lost to the client.

use crate::header::{self, HeaderKind, ReceivedBaggage};
use crate::signing_key::SigningKey;
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

/// A layer that runs calls in the requests that they arrive with, and decides whose baggage to accept.
#[derive(Debug, Clone, Default)]
pub struct ServerLayer {
    trust: ClientTrust,
    key: Option<SigningKey>,
}

/// Whether clients are part of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ClientTrust {
    /// Clients are part of the system: their baggage is accepted.
    #[default]
    Internal,
    /// Anybody may call: baggage is neither accepted nor sent back.
    Edge,
}

impl ServerLayer {
    /// Returns a layer for servers whose clients are part of the system.
    pub fn new() -> ServerLayer {
        ServerLayer::default()
    }

    /// Returns a layer for the edge of the system, where anybody may call: every call begins a new
    /// request, baggage that arrives is removed unread, and none is sent back.
    pub fn edge() -> ServerLayer {
        ServerLayer { trust: ClientTrust::Edge, key: None }
    }

    /// Accepts only signed baggage, and signs what is sent back.
    pub fn key(self, key: SigningKey) -> ServerLayer {
        ServerLayer { key: Some(key), ..self }
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> ServerService<S> {
        ServerService { inner, layer: self.clone() }
    }
}

/// A service that runs each call in a request: the one that arrived with it, or a new one.
#[derive(Debug, Clone)]
pub struct ServerService<S> {
    inner: S,
    layer: ServerLayer,
}

impl<S, B, R> Service<Request<B>> for ServerService<S>
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
        // HTTP/1.0 has no trailers, whatever the client says.
        if request.version() < Version::HTTP_11 {
            request.headers_mut().remove(TE);
        }

        let (baggage, route) = self.accept(request.headers_mut());

        // `call` runs the service's code already: its events belong to the request as well.
        let scope = enter_request(baggage);
        let inner = self.inner.call(request);
        ServerFuture { inner: inner.in_baggage(scope.finish()), route }
    }
}

impl<S> ServerService<S> {
    /// Takes the baggage out of a request's headers. Returns it, and how the reply carries it back.
    fn accept(&self, headers: &mut HeaderMap) -> (Option<Baggage>, Option<Box<ReplyRoute>>) {
        let received = match self.layer.trust {
            ClientTrust::Internal => header::take_request(headers, self.layer.key.as_ref()),
            ClientTrust::Edge => {
                header::strip(headers);
                ReceivedBaggage::None
            }
        };

        match received {
            ReceivedBaggage::None => (None, None),
            ReceivedBaggage::Detached(baggage) => (Some(baggage), None),
            ReceivedBaggage::Branch(kind, baggage) => {
                // Every gRPC client reads trailers: the status of the call is in them.
                let trailers = kind == HeaderKind::Binary || accepts_trailers(headers);
                let snapshot = baggage.snapshot();
                let key = self.layer.key.clone();
                (Some(baggage), Some(Box::new(ReplyRoute { kind, trailers, snapshot, key })))
            }
        }
    }
}

/// Returns whether the client reads trailers: `TE` lists them.
fn accepts_trailers(request: &HeaderMap) -> bool {
    let mut values = request.get_all(TE).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
}

/// The way of a branch back to the client that sent it.
#[derive(Debug, Clone)]
struct ReplyRoute {
    kind: HeaderKind,
    /// Whether the client reads trailers.
    trailers: bool,
    /// The branch as it arrived: the reply leaves out what has not changed since.
    snapshot: Option<RequestSnapshot>,
    key: Option<SigningKey>,
}

impl ReplyRoute {
    /// Returns whether the branch goes into the trailers, after this body, and not into the headers.
    fn uses_trailers(&self, body: &impl Body) -> bool {
        // A body of known length is sent with `content-length` and without chunks: HTTP/1.1 would drop
        // its trailers.
        let has_unknown_length = self.kind == HeaderKind::Binary || body.size_hint().exact().is_none();
        self.trailers && has_unknown_length && !body.is_end_stream()
    }

    fn insert(&self, headers: &mut HeaderMap, branch: Baggage) {
        self.kind.insert_reply(headers, branch, self.snapshot.as_ref(), self.key.as_ref());
    }
}

pin_project! {
    /// The future of a call that is being served; it runs in the request.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ServerFuture<F> {
        #[pin]
        inner: InBaggage<F>,
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

        if let Some(reply) = &route {
            if !reply.uses_trailers(&body) {
                // The branch leaves with the headers. The body goes on in a detached copy: its events
                // still belong to the request and see what happened before.
                let detached = baggage.detach();
                reply.insert(&mut parts.headers, std::mem::replace(&mut baggage, detached));
                route = None;
            } else if reply.kind == HeaderKind::Text && !baggage.has_no_id() {
                // HTTP/1.1 servers send only those trailers that the headers announce.
                parts.headers.append(TRAILER, reply.kind.name().into());
            }
        }

        let body = ServerBody { inner: Some(body), baggage: Some(baggage), route };
        Poll::Ready(Ok(Response::from_parts(parts, body)))
    }
}

pin_project! {
    /// The body of a reply that is being served; it runs in the request.
    #[derive(Debug)]
    pub struct ServerBody<B> {
        // Dropped at the end or with this, in both cases inside the request: its destructors may
        // pass tracepoints.
        #[pin]
        inner: Option<B>,
        baggage: Option<Baggage>,
        // How the trailers carry the branch back, if they do.
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
    /// Drops the inner body and returns its trailers, with the branch if they carry it.
    fn end(self: Pin<&mut Self>, trailers: Option<HeaderMap>) -> Option<HeaderMap> {
        let mut this = self.project();
        run_in(this.baggage, || this.inner.set(None));
        let Some((route, branch)) = this.route.take().zip(this.baggage.take()) else { return trailers };

        let had_trailers = trailers.is_some();
        let mut trailers = trailers.unwrap_or_default();
        route.insert(&mut trailers, branch);

        // A branch that was never born adds no trailer, and must not add an empty frame either.
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

        // The body's own trailers are its last frame, and so is its end: ours go with either.
        Poll::Ready(self.end(trailers).map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        // A body that has ended still has our trailers to send; a server that is told otherwise would
        // not poll for them.
        let carries = self.baggage.as_ref().is_some_and(|baggage| !baggage.has_no_id());
        let adds_trailers = self.route.is_some() && carries;
        self.inner.as_ref().is_none_or(|inner| !adds_trailers && inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
