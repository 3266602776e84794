//! Baggage with the calls of a `reqwest` client: [`ClientLayer`] is a middleware. Needs the feature
//! `reqwest`.
//!
//! Add it after any middleware that retries, since each attempt has to be a branch of its own.

use crate::client::ClientLayer;
use http::Extensions;
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
/// Joins what the headers of a reply bring back. What comes in trailers is lost: reqwest hides them.
#[async_trait::async_trait]
impl Middleware for ClientLayer {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        // Without trailers: the server then puts the branch into the headers of its reply.
        let host = request.url().host_str().map(str::to_owned);
        let mut returns = self.send_without_trailers(request.headers_mut(), host.as_deref());

        let mut response = next.run(request, extensions).await?;
        returns.join(response.headers_mut());
        Ok(response)
    }
}
