//! A client that hangs up is no leak. One test, because the leak detector watches the whole process.
#![allow(missing_docs, clippy::unwrap_used)]

use http::{Request, Response};
use pivot_baggage::{Baggage, Share, leaks, with_current};
use pivot_propagate::{ServerLayer, TEXT_HEADER};
use std::convert::Infallible;
use std::future::{Future, Pending, pending};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tower_layer::Layer;
use tower_service::Service;

/// Never replies.
struct Waits;

impl Service<Request<()>> for Waits {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pending<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert_ne!(with_current(|current| current.unwrap().share()), Share::default(), "it has arrived");
        pending()
    }
}

#[test]
fn a_server_whose_client_hangs_up_leaks_nothing() {
    let mut client = Baggage::new();
    client.request_or_begin();
    let value = base64_simd::URL_SAFE_NO_PAD.encode_to_string(client.fork().encode());
    let request = Request::builder().header(TEXT_HEADER, value).body(()).unwrap();

    leaks::watch(true);
    {
        let mut call = pin!(ServerLayer::new().layer(Waits).call(request));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(pivot_baggage::leaks(), []);
}
