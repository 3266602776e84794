//! The client's side of a call: sends a branch of the request with it, and joins what comes back.
//!
//! ```text
//!  caller                      Client                       wire                          Server
//!    │ call(request)             │                            │                              │
//!    ├──────────────────────────▶│ egress allows the host?    │                              │
//!    │                           │ fork ──▶ header            │                              │
//!    │                           ├─ request headers ─────────▶├─ take header, run call in ──▶│
//!    │                           │                            │  the branch                  │
//!    │   poll ClientFuture       │                            │                              │
//!    │◀──────────────────────────┤ join ◀── header ◀──────────┤◀─ reply headers ─────────────┤ body of known length
//!    │   poll ClientBody         │                            │                              │ or
//!    │◀──────────────────────────┤ join ◀── header ◀──────────┤◀─ trailers ──────────────────┤ body that streams
//! ```
//!
//! Every call is a branch of its own, and so is every attempt of a call that is repeated: put the layer
//! inside of any layer that retries. The branch joins the request that polls the future and the body of
//! the reply.
//!
//! | the call | what happened at the peer |
//! |---|---|
//! | is cancelled, or never answered | did not happen before what follows; the call is counted |
//! | is answered without baggage, by a peer that has returned some before | is lost: the request is partial |
//! | is answered without baggage, by any other peer | is nothing, if the peer does not run Pivot; both ends together can tell, see [`reply_ledger`] |
//! | is answered, and the body is dropped before the trailers with the baggage | like a reply without baggage |

use crate::call_tracepoints::{self, CallEnd, CallHead, OpenCall};
use crate::egress::Egress;
use crate::header::{self, HeaderKind, InsertedBranch};
use crate::header_room::HeaderRoom;
use crate::signing_key::SigningKey;
use http::header::{CONTENT_LENGTH, TE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use pivot_baggage::reply_ledger::{self, BareReply};
use pivot_baggage::withheld_counts::{WithheldReason, note_withheld};
use pivot_baggage::{PendingReply, current};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// A layer that sends baggage with calls, and decides to which peers.
#[derive(Debug, Clone)]
pub struct ClientLayer {
    mode: BaggageReturn,
    egress: Arc<Egress>,
    /// The host of requests that do not name theirs.
    peer: Option<Arc<str>>,
    key: Option<SigningKey>,
}

/// Whether a call's baggage goes both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BaggageReturn {
    /// In a header of ours, and back with the reply.
    RoundTrip,
    /// In W3C `baggage`, which any hop forwards and no reply brings back.
    Bridge,
}

impl Default for ClientLayer {
    fn default() -> ClientLayer {
        call_tracepoints::register_client();
        ClientLayer { mode: BaggageReturn::RoundTrip, egress: Egress::from_env(), peer: None, key: None }
    }
}

impl ClientLayer {
    /// Returns a layer for calls to peers that run Pivot.
    ///
    /// Baggage leaves to the hosts of [`Egress::from_env`]. A gRPC request does not name its host; such
    /// calls carry baggage to any peer, since the program has chosen it by putting the layer around
    /// that channel, unless [`ClientLayer::peer`] names it.
    pub fn new() -> ClientLayer {
        ClientLayer::default()
    }

    /// Returns a layer for peers in other languages, which forward nothing but W3C `baggage`. What they
    /// call in turn sees what happened before; nothing comes back.
    pub fn bridge() -> ClientLayer {
        ClientLayer { mode: BaggageReturn::Bridge, ..ClientLayer::default() }
    }

    /// Sets to which hosts baggage may leave.
    pub fn egress(self, egress: Egress) -> ClientLayer {
        ClientLayer { egress: Arc::new(egress), ..self }
    }

    /// Names the peer of requests that do not name their host, for the decision of [`Egress`].
    pub fn peer(self, host: &str) -> ClientLayer {
        ClientLayer { peer: Some(Arc::from(host)), ..self }
    }

    /// Signs what leaves, and accepts only signed replies.
    pub fn key(self, key: SigningKey) -> ClientLayer {
        ClientLayer { key: Some(key), ..self }
    }

    /// Fires the beginning of a call, and returns what fires its end.
    #[inline]
    pub(crate) fn enter(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> OpenCall {
        call_tracepoints::CLIENT.enter(&CallHead {
            method,
            uri,
            headers,
            template: &|| None,
            peer: &|| uri.host().or(self.peer.as_deref()).map(str::to_owned),
        })
    }

    /// Adds baggage to a request whose reply may bring it back in headers or trailers.
    fn send(&self, headers: &mut HeaderMap, uri: &Uri) -> AwaitedBranch {
        let target_bytes = uri.path_and_query().map_or(0, |path| path.as_str().len())
            + uri.authority().map_or(0, |authority| authority.as_str().len());
        let reply = self.send_without_trailers(headers, uri.host(), target_bytes, || self.peer_of(uri));

        // HTTP servers send trailers only to clients that ask for them, and a reply that streams has
        // nowhere else to put what its body packs. gRPC always has trailers.
        let is_text = reply.0.as_ref().is_some_and(|expected| expected.kind == HeaderKind::Text);
        let asks = is_text && !headers.contains_key(TE);
        if asks && HeaderRoom::beside(headers, target_bytes).fits(&TE, "trailers".len()) {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        reply
    }

    /// Adds baggage to a request whose reply may bring it back in headers, if this host may have it and there is room
    /// beside the other headers and a URI of so many bytes. `peer` names who is called, for the counts of replies.
    pub(crate) fn send_without_trailers(
        &self,
        headers: &mut HeaderMap,
        host: Option<&str>,
        target_bytes: usize,
        peer: impl FnOnce() -> String,
    ) -> AwaitedBranch {
        // While no query packs anything, a call costs one load here.
        if !current::fork_would_carry() {
            return AwaitedBranch(None);
        }

        let host = host.or(self.peer.as_deref());
        if let Some(host) = host
            && !self.egress.allows(host)
        {
            current::with_current(|baggage| {
                note_withheld(host, WithheldReason::NotAllowed, baggage.as_deref())
            });
            return AwaitedBranch(None);
        }

        let room = HeaderRoom::beside(headers, target_bytes);
        match self.mode {
            BaggageReturn::Bridge => {
                self.send_bridge(headers, room, host);
                AwaitedBranch(None)
            }
            BaggageReturn::RoundTrip => self.send_branch(headers, room, host, peer),
        }
    }

    /// Adds a copy of the current baggage as a member of W3C `baggage`.
    fn send_bridge(&self, headers: &mut HeaderMap, room: HeaderRoom, host: Option<&str>) {
        current::with_current(|baggage| {
            let Some(baggage) = baggage.as_deref() else { return };
            if !header::insert_bridge(headers, room, baggage, self.key.as_ref()) {
                note_withheld(host.unwrap_or_default(), WithheldReason::NoRoom, Some(baggage));
            }
        });
    }

    /// Forks the current request and adds the branch to the headers. Without room for it, it joins again at once.
    fn send_branch(
        &self,
        headers: &mut HeaderMap,
        room: HeaderRoom,
        host: Option<&str>,
        peer: impl FnOnce() -> String,
    ) -> AwaitedBranch {
        let kind = HeaderKind::for_request(headers);
        let Some(branch) = current::fork() else { return AwaitedBranch(None) };

        match kind.insert_request(headers, room, branch, self.key.as_ref()) {
            InsertedBranch::Sent(pending) => {
                let (key, peer) = (self.key.clone(), peer());
                let progress = ReplyProgress::Called;
                AwaitedBranch(Some(Box::new(ExpectedReply { kind, pending, key, peer, progress })))
            }
            InsertedBranch::NoRoom(mut pending) => {
                if let Some(branch) = pending.accept_unchanged() {
                    current::join(branch);
                }
                current::with_current(|baggage| {
                    note_withheld(host.unwrap_or_default(), WithheldReason::NoRoom, baggage.as_deref())
                });
                AwaitedBranch(None)
            }
            InsertedBranch::None => AwaitedBranch(None),
        }
    }

    /// Returns the name of the peer that a request goes to: its host and port, or what stands for them.
    fn peer_of(&self, uri: &Uri) -> String {
        let authority = uri.authority().map(|authority| match authority.port() {
            Some(port) => format!("{}:{port}", authority.host()),
            None => authority.host().to_owned(),
        });
        // A gRPC request often names only its service and method.
        let service =
            || uri.path().trim_start_matches('/').rsplit_once('/').map(|(service, _)| service.to_owned());
        authority.or_else(|| self.peer.as_deref().map(str::to_owned)).or_else(service).unwrap_or_default()
    }
}

/// The place for the branch that a reply brings back. Empty if the request carried none, or if it came back.
/// Dropped before that, it says what has become of the call.
#[derive(Debug, Default)]
pub(crate) struct AwaitedBranch(Option<Box<ExpectedReply>>);

/// The state with which a reply's branch is decoded.
#[derive(Debug)]
struct ExpectedReply {
    kind: HeaderKind,
    pending: PendingReply,
    key: Option<SigningKey>,
    /// The peer that is called.
    peer: String,
    progress: ReplyProgress,
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReplyProgress {
    /// The request has left.
    Called,
    /// The head of the reply has come, without baggage. The trailers may bring it.
    Answered,
}

impl AwaitedBranch {
    /// Joins the branch that the head of the reply brings back into the current request. `may_follow` says whether
    /// trailers may still come.
    pub(crate) fn join_head(&mut self, headers: &mut HeaderMap, may_follow: bool) {
        self.join(headers);
        if let Some(expected) = &mut self.0 {
            expected.progress = ReplyProgress::Answered;
            if !may_follow {
                self.end();
            }
        }
    }

    /// Joins the branch that the headers or trailers of the reply bring back into the current request.
    pub(crate) fn join(&mut self, headers: &mut HeaderMap) {
        let Some(expected) = &mut self.0 else { return };
        let ExpectedReply { kind, pending, key, .. } = &mut **expected;
        if let Some(branch) = header::take_reply(headers, *kind, pending, key.as_ref()) {
            reply_ledger::note_returned(&expected.peer);
            current::join(branch);
            self.0 = None;
        }
    }

    /// Notes that nothing more comes of the reply.
    pub(crate) fn end(&mut self) {
        let Some(expected) = self.0.take() else { return };
        if expected.progress == ReplyProgress::Called {
            return reply_ledger::note_unanswered();
        }

        match reply_ledger::note_bare(&expected.peer, expected.pending.tag()) {
            BareReply::Lost => current::mark_partial(),
            BareReply::FromUnknownPeer => current::note_bare_reply(),
        }
    }
}

impl Drop for AwaitedBranch {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.end();
        }
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        ClientService { inner, layer: self.clone() }
    }
}

/// A service that sends baggage with its requests and joins what their replies bring back.
#[derive(Debug, Clone)]
pub struct ClientService<S> {
    inner: S,
    layer: ClientLayer,
}

impl<S, B, R> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<ClientBody<R>>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        // Before the branch forks: the beginning of the call happens before what the peer does.
        let call = self.layer.enter(&parts.method, &parts.uri, &parts.headers);
        let reply = self.layer.send(&mut parts.headers, &parts.uri);
        ClientFuture { inner: self.inner.call(Request::from_parts(parts, body)), reply, call }
    }
}

pin_project! {
    /// The future of a call; it joins what the headers of the reply bring back.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ClientFuture<F> {
        #[pin]
        inner: F,
        reply: AwaitedBranch,
        call: OpenCall,
    }
}

impl<F, R, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ClientBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match ready!(this.inner.poll(cx)) {
            Ok(response) => response,
            Err(error) => {
                this.call.end(CallEnd::Failed);
                return Poll::Ready(Err(error));
            }
        };
        // HTTP/1.1 sends a body of known length without trailers.
        let has_ended = response.body().is_end_stream();
        let is_whole =
            response.version() < Version::HTTP_2 && response.headers().contains_key(CONTENT_LENGTH);
        this.reply.join_head(response.headers_mut(), !has_ended && !is_whole);

        let mut call = std::mem::take(this.call);
        call.note_head(response.status(), response.headers());
        if has_ended {
            call.end(CallEnd::Answered);
        }

        // If the headers brought nothing, the trailers may.
        let reply = std::mem::take(this.reply);
        Poll::Ready(Ok(response.map(|inner| ClientBody { inner, reply, call })))
    }
}

pin_project! {
    /// The body of a reply; it joins what the trailers bring back.
    #[derive(Debug, Default)]
    pub struct ClientBody<B> {
        #[pin]
        inner: B,
        reply: AwaitedBranch,
        call: OpenCall,
    }
}

impl<B: Body> Body for ClientBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let mut frame = ready!(this.inner.as_mut().poll_frame(cx));

        match &mut frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    this.reply.join(trailers);
                    this.call.note_trailers(trailers);
                }
                // Whoever reads the body need not ask for a frame behind the last one.
                if this.inner.is_end_stream() {
                    this.reply.end();
                    this.call.end(CallEnd::Answered);
                }
            }
            Some(Err(_)) => this.call.end(CallEnd::Failed),
            None => {
                this.reply.end();
                this.call.end(CallEnd::Answered);
            }
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
