//! Sends a branch of the request with each call, and joins what comes back.
//!
//! A reply is joined where its future and its body are polled. A body that is not read to its end
//! loses what its trailers carry.

use crate::header;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use pivot_baggage::current;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// Makes [`Client`]s.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientLayer;

impl ClientLayer {
    /// A layer for clients.
    pub fn new() -> ClientLayer {
        ClientLayer
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = Client<S>;

    fn layer(&self, inner: S) -> Client<S> {
        Client { inner }
    }
}

/// A service that sends baggage with its requests. Every call, thus every attempt, is a branch.
#[derive(Debug, Clone)]
pub struct Client<S> {
    inner: S,
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let branch = current::fork();
        let joins = branch.is_some();
        if let Some(branch) = branch {
            header::put(request.headers_mut(), branch);
        }
        Reply { inner: self.inner.call(request), joins }
    }
}

pin_project! {
    /// A reply that is on its way.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Reply<F> {
        #[pin]
        inner: F,
        joins: bool,
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
        let joins = *this.joins;
        if joins {
            header::take(response.headers_mut()).map(current::join);
        }
        Poll::Ready(Ok(response.map(|inner| ReplyBody { inner, joins })))
    }
}

pin_project! {
    /// The body of a reply, whose trailers may carry baggage.
    #[derive(Debug, Default)]
    pub struct ReplyBody<B> {
        #[pin]
        inner: B,
        // A call from outside any request has nothing to join.
        joins: bool,
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
        if *this.joins
            && let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            header::take(trailers).map(current::join);
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
