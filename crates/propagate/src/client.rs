//! Sends a branch of the request with each call, and joins what comes back.
//!
//! A reply is joined where its future and its body are polled. A body that is not read to its end
//! loses what its trailers carry.

use crate::carrier::{self, Native};
use crate::egress::Egress;
use crate::key::Key;
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
    way: Way,
    egress: Arc<Egress>,
    peer: Option<Arc<str>>,
    key: Option<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Native,
    Bridge,
}

impl Default for ClientLayer {
    fn default() -> ClientLayer {
        ClientLayer { way: Way::Native, egress: Egress::from_env(), peer: None, key: None }
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
        ClientLayer { way: Way::Bridge, ..ClientLayer::default() }
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
    pub fn key(self, key: Key) -> ClientLayer {
        ClientLayer { key: Some(key), ..self }
    }

    /// Sends baggage with a request. Every call, thus every attempt, is a branch.
    fn send(&self, headers: &mut HeaderMap, host: Option<&str>) -> Returns {
        let returns = self.send_without_trailers(headers, host);
        let is_text = returns.0.as_ref().is_some_and(|back| back.native == Native::Text);
        if is_text && !headers.contains_key(TE) {
            // A reply that streams can bring back what it packed only in trailers.
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        returns
    }

    pub(crate) fn send_without_trailers(&self, headers: &mut HeaderMap, host: Option<&str>) -> Returns {
        if !current::fork_would_carry() {
            return Returns(None);
        }
        if let Some(host) = host.or(self.peer.as_deref())
            && !self.egress.allows(host)
        {
            losses::note_withheld();
            current::with_current(|baggage| {
                note_withheld(host, WithheldReason::NotAllowed, baggage.as_deref())
            });
            return Returns(None);
        }
        match self.way {
            Way::Bridge => {
                current::with_current(|baggage| {
                    let Some(baggage) = baggage.as_deref() else { return };
                    if !carrier::put_bridge(headers, baggage, self.key.as_ref()) {
                        let host = host.or(self.peer.as_deref()).unwrap_or_default();
                        note_withheld(host, WithheldReason::NoRoom, Some(baggage));
                    }
                });
                Returns(None)
            }
            Way::Native => {
                let native = Native::of(headers);
                let sent = current::fork().and_then(|b| native.put(headers, b, self.key.as_ref()));
                Returns(sent.map(|sent| Back { native, sent, key: self.key.clone() }))
            }
        }
    }
}

/// What comes back with a reply, if anything does.
#[derive(Debug, Default)]
pub(crate) struct Returns(Option<Back>);

#[derive(Debug)]
struct Back {
    native: Native,
    sent: PendingReply,
    key: Option<Key>,
}

impl Returns {
    /// Joins what the headers or trailers of the reply bring.
    pub(crate) fn join(&mut self, headers: &mut HeaderMap) {
        let Some(Back { native, sent, key }) = &mut self.0 else { return };
        if let Some(baggage) = carrier::take_back(headers, *native, sent, key.as_ref()) {
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
    type Response = Response<ReplyBody<R>>;
    type Error = S::Error;
    type Future = Reply<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let returns = self.layer.send(&mut parts.headers, parts.uri.host());
        Reply { inner: self.inner.call(Request::from_parts(parts, body)), returns }
    }
}

pin_project! {
    /// A reply that is on its way.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Reply<F> {
        #[pin]
        inner: F,
        returns: Returns,
    }
}

impl<F, R, E> Future for Reply<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ReplyBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        this.returns.join(response.headers_mut());
        let returns = std::mem::take(this.returns);
        Poll::Ready(Ok(response.map(|inner| ReplyBody { inner, returns })))
    }
}

pin_project! {
    /// The body of a reply, whose trailers may carry baggage.
    #[derive(Debug, Default)]
    pub struct ReplyBody<B> {
        #[pin]
        inner: B,
        returns: Returns,
    }
}

impl<B: Body> Body for ReplyBody<B> {
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
            this.returns.join(trailers);
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
