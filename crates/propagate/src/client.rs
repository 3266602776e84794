//! Sends a branch of the request with each call, and joins what comes back.
//!
//! A reply is joined where its future and its body are polled. A body that is not read to its end
//! loses what its trailers carry.

use crate::egress::Egress;
use crate::header::{self, HeaderKind};
use crate::key::SigningKey;
use http::header::TE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use pivot_baggage::withheld::{WithheldReason, note_withheld};
use pivot_baggage::{PendingReply, current, losses};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// How calls carry baggage, and to whom.
#[derive(Debug, Clone)]
pub struct ClientLayer {
    mode: Mode,
    egress: Arc<Egress>,
    peer: Option<Arc<str>>,
    key: Option<SigningKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    RoundTrip,
    Bridge,
}

impl Default for ClientLayer {
    fn default() -> ClientLayer {
        ClientLayer { mode: Mode::RoundTrip, egress: Egress::from_env(), peer: None, key: None }
    }
}

impl ClientLayer {
    /// A layer for calls to peers that know of baggage. It leaves to the hosts of
    /// [`Egress::from_env`], and to whomever a channel leads if requests do not name their host, as
    /// those of gRPC do not: whoever put the layer there has chosen that peer.
    pub fn new() -> ClientLayer {
        ClientLayer::default()
    }

    /// For peers in other languages, which forward nothing but W3C `baggage`. What they call sees
    /// what happened before; nothing comes back.
    pub fn bridge() -> ClientLayer {
        ClientLayer { mode: Mode::Bridge, ..ClientLayer::default() }
    }

    /// Sets to whom baggage may leave.
    pub fn egress(self, egress: Egress) -> ClientLayer {
        ClientLayer { egress: Arc::new(egress), ..self }
    }

    /// Says who the peer is, for requests that do not name their host.
    pub fn peer(self, host: &str) -> ClientLayer {
        ClientLayer { peer: Some(Arc::from(host)), ..self }
    }

    /// Signs what leaves, and accepts only signed replies.
    pub fn key(self, key: SigningKey) -> ClientLayer {
        ClientLayer { key: Some(key), ..self }
    }

    /// Sends baggage with a request. Every call, thus every attempt, is a branch.
    fn send(&self, headers: &mut HeaderMap, host: Option<&str>) -> ReplySlot {
        let reply = self.send_without_trailers(headers, host);
        let is_text = reply.0.as_ref().is_some_and(|expected| expected.kind == HeaderKind::Text);
        if is_text && !headers.contains_key(TE) {
            // A reply that streams can bring back what it packed only in trailers.
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        reply
    }

    pub(crate) fn send_without_trailers(&self, headers: &mut HeaderMap, host: Option<&str>) -> ReplySlot {
        if !current::fork_would_carry() {
            return ReplySlot(None);
        }
        if let Some(host) = host.or(self.peer.as_deref())
            && !self.egress.allows(host)
        {
            losses::note_withheld();
            current::with_current(|baggage| {
                note_withheld(host, WithheldReason::NotAllowed, baggage.as_deref())
            });
            return ReplySlot(None);
        }
        match self.mode {
            Mode::Bridge => {
                current::with_current(|baggage| {
                    let Some(baggage) = baggage.as_deref() else { return };
                    if !header::insert_bridge(headers, baggage, self.key.as_ref()) {
                        let host = host.or(self.peer.as_deref()).unwrap_or_default();
                        note_withheld(host, WithheldReason::NoRoom, Some(baggage));
                    }
                });
                ReplySlot(None)
            }
            Mode::RoundTrip => {
                let kind = HeaderKind::for_request(headers);
                let sent = current::fork().and_then(|b| kind.insert_request(headers, b, self.key.as_ref()));
                ReplySlot(sent.map(|sent| ExpectedReply { kind, sent, key: self.key.clone() }))
            }
        }
    }
}

/// What comes back with a reply, if anything does.
#[derive(Debug, Default)]
pub(crate) struct ReplySlot(Option<ExpectedReply>);

#[derive(Debug)]
struct ExpectedReply {
    kind: HeaderKind,
    sent: PendingReply,
    key: Option<SigningKey>,
}

impl ReplySlot {
    /// Joins what the headers or trailers of the reply bring.
    pub(crate) fn join(&mut self, headers: &mut HeaderMap) {
        let Some(ExpectedReply { kind, sent, key }) = &mut self.0 else { return };
        if let Some(baggage) = header::take_reply(headers, *kind, sent, key.as_ref()) {
            current::join(baggage);
        }
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = Client<S>;

    fn layer(&self, inner: S) -> Client<S> {
        Client { inner, layer: self.clone() }
    }
}

/// A service that sends baggage with its requests.
#[derive(Debug, Clone)]
pub struct Client<S> {
    inner: S,
    layer: ClientLayer,
}

impl<S, B, R> Service<Request<B>> for Client<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ClientBody<R>>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let reply = self.layer.send(&mut parts.headers, parts.uri.host());
        ClientFuture { inner: self.inner.call(Request::from_parts(parts, body)), reply }
    }
}

pin_project! {
    /// A reply that is on its mode.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ClientFuture<F> {
        #[pin]
        inner: F,
        reply: ReplySlot,
    }
}

impl<F, R, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ClientBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        this.reply.join(response.headers_mut());
        let reply = std::mem::take(this.reply);
        Poll::Ready(Ok(response.map(|inner| ClientBody { inner, reply })))
    }
}

pin_project! {
    /// The body of a reply, whose trailers may carry baggage.
    #[derive(Debug, Default)]
    pub struct ClientBody<B> {
        #[pin]
        inner: B,
        reply: ReplySlot,
    }
}

impl<B: Body> Body for ClientBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let mut frame = ready!(this.inner.poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            this.reply.join(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
