//! What every RPC of both servers has in common: who asks, when it came, when it was answered.

use std::future::Future;

use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

const APP: &str = "app";

/// Marks the arrival of an RPC at this server.
pub(crate) fn received(op: &'static str) {
    pivot::tracepoint!("ReceiveRequest", op: String = op.to_owned());
}

/// Marks that the answer to an RPC is complete.
pub(crate) fn responding(op: &'static str) {
    pivot::tracepoint!("SendResponse", op: String = op.to_owned());
}

/// Runs the work of one unary RPC between its arrival and its answer.
pub(crate) async fn answer<T>(
    op: &'static str,
    work: impl Future<Output = Result<T, Status>>,
) -> Result<Response<T>, Status> {
    received(op);
    let reply = work.await;
    responding(op);
    reply.map(Response::new)
}

/// The client application that a request says it comes from.
pub(crate) fn app_of(metadata: &MetadataMap) -> String {
    metadata.get(APP).and_then(|app| app.to_str().ok()).unwrap_or("unknown").to_owned()
}

/// A request that names its application; a name that is no header value is left out.
pub(crate) fn request_of<T>(app: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Ok(app) = app.parse() {
        request.metadata_mut().insert(APP, app);
    }
    request
}
