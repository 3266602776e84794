//! Baggage with the calls of a `reqwest` client, as a middleware. Needs the feature `reqwest`.
//!
//! Put it inside of anything that tries again, since each attempt has to be a branch of its own.

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
/// A reply brings back what it carries in its headers; reqwest does not show trailers.
#[async_trait::async_trait]
impl Middleware for ClientLayer {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let host = request.url().host_str().map(str::to_owned);
        let mut returns = self.send_without_trailers(request.headers_mut(), host.as_deref());
        let mut response = next.run(request, extensions).await?;
        returns.join(response.headers_mut());
        Ok(response)
    }
}
