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
//! runs: what the body packs then stays in this process and is lost to the client. It is counted, and the results of
//! its queries are partial.
//!
//! The request has been answered when its body has ended, or when the client has gone: what tasks do in it
//! later is counted as *after the answer*.

use crate::call_tracepoints::{self, CallEnd, CallHead, OpenCall};
use crate::header::{self, HeaderKind, ReceivedBaggage};
use crate::header_room::HeaderRoom;
use crate::signing_key::SigningKey;
use http::header::{CONTENT_LENGTH, TE, TRAILER};
use http::{HeaderMap, Request, Response, Version, request};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use pivot_baggage::current::run_in;
use pivot_baggage::withheld_counts::{WithheldReason, note_withheld};
use pivot_baggage::{Baggage, FutureExt, InBaggage, RequestSnapshot, enter_request, reply_ledger};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// A layer that runs calls in the requests that they arrive with, and decides whose baggage to accept.
#[derive(Debug, Clone)]
pub struct ServerLayer {
    trust: ClientTrust,
    key: Option<SigningKey>,
    template: Option<PathTemplate>,
    peer: Option<PeerAddress>,
}

/// A function that returns the template of a request's path, if it knows it.
#[derive(Clone)]
struct PathTemplate(Arc<PathTemplateFn>);

type PathTemplateFn = dyn Fn(&request::Parts) -> Option<&str> + Send + Sync;

impl fmt::Debug for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PathTemplate")
    }
}

/// A function that returns the address of a request's client, if it knows it.
#[derive(Clone)]
struct PeerAddress(Arc<PeerAddressFn>);

type PeerAddressFn = dyn Fn(&request::Parts) -> Option<SocketAddr> + Send + Sync;

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerAddress")
    }
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

impl Default for ServerLayer {
    fn default() -> ServerLayer {
        call_tracepoints::register_server();
        ServerLayer { trust: ClientTrust::default(), key: None, template: None, peer: None }
    }
}

impl ServerLayer {
    /// Returns a layer for servers whose clients are part of the system.
    pub fn new() -> ServerLayer {
        ServerLayer::default()
    }

    /// Returns a layer for the edge of the system, where anybody may call: every call begins a new
    /// request, baggage that arrives is removed unread, and none is sent back.
    pub fn edge() -> ServerLayer {
        ServerLayer { trust: ClientTrust::Edge, ..ServerLayer::default() }
    }

    /// Accepts only signed baggage, and signs what is sent back.
    pub fn key(self, key: SigningKey) -> ServerLayer {
        ServerLayer { key: Some(key), ..self }
    }

    /// Tells the template of a request's path (`/users/{id}`), by which calls are grouped: the field `path_template`
    /// of `pivot::server`. Called only while a query reads that field.
    ///
    /// Routers leave the template in the request's extensions; with axum, put the layer into [`Router::layer`], which
    /// runs behind the choice of the route:
    ///
    /// ```
    /// # use axum::extract::MatchedPath;
    /// # use pivot_propagate::ServerLayer;
    /// ServerLayer::new().path_template(|parts| parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str));
    /// ```
    ///
    /// [`Router::layer`]: https://docs.rs/axum/latest/axum/struct.Router.html#method.layer
    pub fn path_template<F>(self, template: F) -> ServerLayer
    where
        F: Fn(&request::Parts) -> Option<&str> + Send + Sync + 'static,
    {
        ServerLayer { template: Some(PathTemplate(Arc::new(template))), ..self }
    }

    /// Tells the address of a request's client: the field `peer` of `pivot::server`. Without this it is the
    /// [`SocketAddr`] among the request's extensions, if there is one. Called only while a query reads that field.
    pub fn peer_address<F>(self, address: F) -> ServerLayer
    where
        F: Fn(&request::Parts) -> Option<SocketAddr> + Send + Sync + 'static,
    {
        ServerLayer { peer: Some(PeerAddress(Arc::new(address))), ..self }
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

        let (baggage, route) = self.layer.accept(request.headers_mut());
        let (parts, body) = request.into_parts();

        // `call` runs the service's code already: its events belong to the request as well.
        let scope = enter_request(baggage);
        let call = self.layer.enter(&parts);
        let inner = ObservedCall { inner: self.inner.call(Request::from_parts(parts, body)), call };
        ServerFuture { inner: inner.in_baggage(scope.finish()).answering(), route }
    }
}

impl ServerLayer {
    /// Fires the arrival of a call, and returns what fires its end.
    #[inline]
    fn enter(&self, parts: &request::Parts) -> OpenCall {
        call_tracepoints::SERVER.enter(&CallHead {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            template: &|| self.template_of(parts).map(str::to_owned),
            peer: &|| self.client_of(parts).map(|address| address.ip().to_string()),
        })
    }

    /// Returns the template of a request's path, or `None` if nothing knows it.
    fn template_of<'p>(&self, parts: &'p request::Parts) -> Option<&'p str> {
        let PathTemplate(template) = self.template.as_ref()?;
        template(parts)
    }

    /// Returns the address of a request's client, or `None` if nothing knows it.
    fn client_of(&self, parts: &request::Parts) -> Option<SocketAddr> {
        match &self.peer {
            Some(PeerAddress(address)) => address(parts),
            None => parts.extensions.get::<SocketAddr>().copied(),
        }
    }
}

pin_project! {
    /// The future of the inner service, with what fires the call's end: dropped before it is ready, it fires
    /// inside the request.
    #[derive(Debug)]
    struct ObservedCall<F> {
        #[pin]
        inner: F,
        call: OpenCall,
    }
}

impl<F, R, E> Future for ObservedCall<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<(Response<R>, OpenCall), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.inner.poll(cx)) {
            Ok(response) => {
                this.call.note_head(response.status(), response.headers());
                Ok((response, std::mem::take(this.call)))
            }
            Err(error) => {
                this.call.end(CallEnd::Failed);
                Err(error)
            }
        })
    }
}

impl ServerLayer {
    /// Takes the baggage out of a request's headers. Returns it, and how the reply carries it back.
    pub(crate) fn accept(&self, headers: &mut HeaderMap) -> (Option<Baggage>, Option<Box<ReplyRoute>>) {
        let received = match self.trust {
            ClientTrust::Internal => header::take_request(headers, self.key.as_ref()),
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
                let key = self.key.clone();
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
pub(crate) struct ReplyRoute {
    kind: HeaderKind,
    /// Whether the client reads trailers.
    trailers: bool,
    /// The branch as it arrived: the reply leaves out what has not changed since.
    snapshot: Option<RequestSnapshot>,
    key: Option<SigningKey>,
}

impl ReplyRoute {
    /// Returns whether the branch goes into the trailers, after this body, and not into the headers.
    fn uses_trailers(&self, headers: &HeaderMap, body: &impl Body) -> bool {
        // A body of known length is sent with `content-length` and without chunks: HTTP/1.1 would drop
        // its trailers.
        let has_known_length = body.size_hint().exact().is_some() || headers.contains_key(CONTENT_LENGTH);
        self.trailers && (self.kind == HeaderKind::Binary || !has_known_length) && !body.is_end_stream()
    }

    /// Adds the branch to the headers or trailers of the reply.
    pub(crate) fn insert(&self, headers: &mut HeaderMap, branch: Baggage) {
        self.kind.insert_reply(headers, branch, self.snapshot.as_ref(), self.key.as_ref());
    }
}

pin_project! {
    /// The future of a call that is being served; it runs in the request.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ServerFuture<F> {
        #[pin]
        inner: InBaggage<ObservedCall<F>>,
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
        let (response, mut call) = match response {
            Ok(answered) => answered,
            Err(error) => {
                baggage.end_request();
                return Poll::Ready(Err(error));
            }
        };
        let (mut parts, body) = response.into_parts();
        let (mut route, mut sent) = (this.route.take(), None);

        if let Some(reply) = &route {
            if !reply.uses_trailers(&parts.headers, &body) {
                // What is in memory already has been answered: the caller sees the end of the call.
                if body.size_hint().exact().is_some() || body.is_end_stream() {
                    baggage = run_in_baggage(baggage, || call.end(CallEnd::Answered));
                }

                // The branch leaves with the headers. The body goes on in a detached copy: its events
                // still belong to the request and see what happened before. What they pack is counted.
                let (rest, snapshot) = baggage.detach_rest();
                reply.insert(&mut parts.headers, std::mem::replace(&mut baggage, rest));
                (route, sent) = (None, snapshot);
            } else if reply.kind == HeaderKind::Text && !baggage.has_no_id() {
                // HTTP/1.1 servers send only those trailers that the headers announce.
                let name = reply.kind.name();
                if HeaderRoom::beside(&parts.headers, 0).fits(&TRAILER, name.as_str().len()) {
                    parts.headers.append(TRAILER, name.into());
                } else {
                    note_withheld("", WithheldReason::NoRoom, Some(&baggage));
                    route = None;
                }
            }
        }

        let body =
            ServerBody { inner: Some(body), baggage: Some(baggage), route, sent: sent.map(Box::new), call };
        Poll::Ready(Ok(Response::from_parts(parts, body)))
    }
}

/// Counts what was packed since the branch left with the headers of the reply, once.
fn note_late(baggage: &Option<Baggage>, sent: &mut Option<Box<RequestSnapshot>>) {
    if let Some((baggage, sent)) = baggage.as_ref().zip(sent.take()) {
        reply_ledger::note_late(baggage.packed_since(&sent));
    }
}

/// Runs `work` in the request of a baggage, and returns the baggage.
fn run_in_baggage(baggage: Baggage, work: impl FnOnce()) -> Baggage {
    let mut baggage = Some(baggage);
    run_in(&mut baggage, work);
    baggage.unwrap_or_default()
}

pin_project! {
    /// The body of a reply that is being served; it runs in the request.
    #[derive(Debug)]
    pub struct ServerBody<B: Body> {
        // Dropped at the end or with this, in both cases inside the request: its destructors may
        // pass tracepoints.
        #[pin]
        inner: Option<B>,
        baggage: Option<Baggage>,
        // How the trailers carry the branch back, if they do.
        route: Option<Box<ReplyRoute>>,
        // What had been sent when the branch left with the headers, if it did.
        sent: Option<Box<RequestSnapshot>>,
        call: OpenCall,
    }

    impl<B: Body> PinnedDrop for ServerBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                run_in(this.baggage, || {
                    this.call.end_with_dropped(this.inner.as_ref().as_pin_ref().map(Pin::get_ref));
                    this.inner.set(None);
                });
            }
            note_late(this.baggage, this.sent);
            if let Some(baggage) = this.baggage.take() {
                baggage.end_request();
            }
        }
    }
}

impl<B: Body> ServerBody<B> {
    /// Drops the inner body and returns its trailers, with the branch if they carry it.
    fn end(self: Pin<&mut Self>, trailers: Option<HeaderMap>) -> Option<HeaderMap> {
        let mut this = self.project();
        run_in(this.baggage, || {
            this.inner.set(None);
            if let Some(trailers) = &trailers {
                this.call.note_trailers(trailers);
            }
            this.call.end(CallEnd::Answered);
        });
        this.baggage.iter_mut().for_each(|baggage| baggage.set_answered(true));
        note_late(this.baggage, this.sent);
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
            Some(Err(error)) => {
                run_in(this.baggage, || this.call.end(CallEnd::Failed));
                return Poll::Ready(Some(Err(error)));
            }
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
