//! Baggage with the calls of a `reqwest` client: [`ClientLayer`] is a middleware. Needs the feature
//! `reqwest`.
//!
//! Add it after any middleware that retries, since each attempt has to be a branch of its own.

use crate::call_tracepoints::{CLIENT, CallEnd, OpenCall};
use crate::client::ClientLayer;
use http::{Extensions, Uri};
use reqwest_middleware::reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

/// ```
/// use pivot_propagate::ClientLayer;
///
/// let client = reqwest_middleware::ClientBuilder::new(Default::default())
///     .with(ClientLayer::new())
///     .build();
/// # drop(client);
/// ```
///
/// Joins what the headers of a reply bring back. What comes in trailers is lost: reqwest hides them. So is the end of
/// the body: `pivot::client@exit` fires when the headers have come.
#[async_trait::async_trait]
impl Middleware for ClientLayer {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let mut call = match CLIENT.is_woven() {
            true => {
                let uri = Uri::try_from(request.url().as_str()).unwrap_or_default();
                self.enter(request.method(), &uri, request.headers())
            }
            false => OpenCall::default(),
        };

        // Without trailers: the server then puts the branch into the headers of its reply.
        let host = request.url().host_str().map(str::to_owned);
        let target_bytes = request.url().as_str().len();
        let port = request.url().port();
        let peer = || match (host.as_deref(), port) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let mut returns =
            self.send_without_trailers(request.headers_mut(), host.as_deref(), target_bytes, peer);

        let mut response = match next.run(request, extensions).await {
            Ok(response) => response,
            Err(error) => {
                call.end(CallEnd::Failed);
                return Err(error);
            }
        };
        returns.join_head(response.headers_mut(), false);
        call.note_head(response.status(), response.headers());
        call.end(CallEnd::Answered);
        Ok(response)
    }
}
