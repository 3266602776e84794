//! Runs each call in the request that it arrived with, and sends the request's baggage back.
//!
//! The reply carries the whole branch and carries it once. A gRPC reply carries it in its trailers,
//! after the last event of a stream; one without a body, and any other HTTP reply, in its headers.
//! What the body of such an HTTP reply packs while it streams is therefore lost.

use crate::header;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use pivot_baggage::{Baggage, FutureExt, InBaggage, current, enter_request};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// Makes [`Server`]s.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerLayer;

impl ServerLayer {
    /// A layer for servers.
    pub fn new() -> ServerLayer {
        ServerLayer
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = Server<S>;

    fn layer(&self, inner: S) -> Server<S> {
        Server { inner }
    }
}

/// A service whose calls are requests: those that arrive with baggage go on, others begin here.
#[derive(Debug, Clone)]
pub struct Server<S> {
    inner: S,
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
        let place = Place::of_reply(request.headers());
        let scope = enter_request(header::take(request.headers_mut()));
        let inner = self.inner.call(request);
        Served { inner: inner.in_baggage(scope.finish()), place }
    }
}

/// Where a reply carries its baggage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Headers,
    Trailers,
}

impl Place {
    fn of_reply(request: &HeaderMap) -> Place {
        let content = request.get(CONTENT_TYPE).map(|value| value.as_bytes());
        match content.is_some_and(|content| content.starts_with(b"application/grpc")) {
            true => Place::Trailers,
            false => Place::Headers,
        }
    }
}

pin_project! {
    /// A call that is being served.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Served<F> {
        #[pin]
        inner: InBaggage<F>,
        place: Place,
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
        let (response, baggage) = ready!(this.inner.poll(cx));
        let (mut parts, body) = response?.into_parts();
        let place = if body.is_end_stream() { Place::Headers } else { *this.place };
        let baggage = match place {
            Place::Trailers => baggage,
            Place::Headers => {
                // Events of the body still belong to the request, and see what happened before.
                let seen = baggage.detach();
                header::put(&mut parts.headers, baggage);
                seen
            }
        };
        let body = ServedBody { inner: Some(body), baggage: Some(baggage), place };
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
        place: Place,
    }

    impl<B> PinnedDrop for ServedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                inside(this.baggage, || this.inner.set(None));
            }
        }
    }
}

/// Runs `f` in the request of a baggage, which is put back also when `f` panics.
fn inside<T>(baggage: &mut Option<Baggage>, f: impl FnOnce() -> T) -> T {
    struct Swap<'a>(&'a mut Option<Baggage>);
    impl Drop for Swap<'_> {
        fn drop(&mut self) {
            *self.0 = current::attach(self.0.take());
        }
    }
    *baggage = current::attach(baggage.take());
    let _swap = Swap(baggage);
    f()
}

impl<B: Body> ServedBody<B> {
    /// Ends the body; adds what the reply carries back to its trailers.
    fn end(self: Pin<&mut Self>, trailers: Option<HeaderMap>) -> Option<HeaderMap> {
        let mut this = self.project();
        inside(this.baggage, || this.inner.set(None));
        let baggage = this.baggage.take().filter(|_| *this.place == Place::Trailers);
        let Some(baggage) = baggage else { return trailers };
        let had_trailers = trailers.is_some();
        let mut trailers = trailers.unwrap_or_default();
        header::put(&mut trailers, baggage);
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
        let trailers = match ready!(inside(this.baggage, || inner.poll_frame(cx))) {
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
        let adds_trailers = self.place == Place::Trailers
            && self.baggage.as_ref().is_some_and(|baggage| !baggage.is_unborn());
        self.inner.as_ref().is_none_or(|inner| !adds_trailers && inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
