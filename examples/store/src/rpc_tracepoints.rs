//! What every RPC of both servers has in common: tracepoints when it comes and when it is answered, and the
//! name of the client application in its metadata.

use std::future::Future;

use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

/// The metadata key of the client application.
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

/// Returns the client application that a request says it comes from.
pub(crate) fn app_of(metadata: &MetadataMap) -> String {
    metadata.get(APP).and_then(|app| app.to_str().ok()).unwrap_or("unknown").to_owned()
}

/// Makes a request that names its application. A name that is no header value is left out.
pub(crate) fn request_of<T>(app: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Ok(app) = app.parse() {
        request.metadata_mut().insert(APP, app);
    }
    request
}
