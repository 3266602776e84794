//! The tracepoints of requests and calls, so that queries can ask how long they take without a line of code.
//!
//! | tracepoint | fires | fields |
//! |---|---|---|
//! | `pivot::request@enter` | when a request begins | |
//! | `pivot::request@exit` | when it ends | `outcome`, `elapsed` |
//! | `pivot::server@enter` | when a call arrives, inside its request | `method`, `path`, `path_template`, `grpc_service`, `grpc_method`, `peer` |
//! | `pivot::server@exit` | at the end of the reply's body | these, and `status`, `grpc_status`, `outcome`, `elapsed` |
//! | `pivot::client@enter` | before a call leaves | `method`, `path`, `grpc_service`, `grpc_method`, `peer` |
//! | `pivot::client@exit` | at the end of the reply's body, after what it brings back was joined | these, and `status`, `grpc_status`, `outcome`, `elapsed` |
//!
//! Every exit fires once. Its `outcome` is
//!
//! | outcome | when |
//! |---|---|
//! | `ok` | the call was answered to the end |
//! | `err` | it failed: an error of the service or the body, a gRPC status that is not 0, an HTTP status from 500 on, or at a client from 400 on |
//! | `cancelled` | the call, or the body of its reply, was dropped before its end |
//! | `panic` | the service panicked |
//!
//! `server@exit -> client@exit` holds for every call whose reply brings baggage back. So where the branch leaves
//! with the headers of a reply whose length is known, which is then in memory as a rule, the exit fires just before
//! it leaves, and not when the last byte was sent.
//!
//! The tracepoints of requests are in every process that links this crate. Those of the layers join the catalogue
//! when the first layer of their kind is made, so that a process that serves nothing does not claim to.

use crate::header::HeaderKind;
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body::Body;
use pivot_agent::site::function::FunctionTracepoint;
use pivot_agent::{Export, ExportedField, SourceLocation, Tracepoint, Type, Value};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Once;
use std::sync::atomic::AtomicU8;
use std::time::Instant;

/// The trailer, or header, with the status of a gRPC call.
const GRPC_STATUS: &str = "grpc-status";

/// A field of the tracepoints of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallField {
    Method,
    Path,
    PathTemplate,
    GrpcService,
    GrpcMethod,
    Peer,
    Status,
    GrpcStatus,
    Outcome,
    Elapsed,
}

const SERVER_ENTER: [CallField; 6] = [
    CallField::Method,
    CallField::Path,
    CallField::PathTemplate,
    CallField::GrpcService,
    CallField::GrpcMethod,
    CallField::Peer,
];
const SERVER_EXIT: [CallField; 10] = [
    CallField::Method,
    CallField::Path,
    CallField::PathTemplate,
    CallField::GrpcService,
    CallField::GrpcMethod,
    CallField::Peer,
    CallField::Status,
    CallField::GrpcStatus,
    CallField::Outcome,
    CallField::Elapsed,
];
const CLIENT_ENTER: [CallField; 5] =
    [CallField::Method, CallField::Path, CallField::GrpcService, CallField::GrpcMethod, CallField::Peer];
const CLIENT_EXIT: [CallField; 9] = [
    CallField::Method,
    CallField::Path,
    CallField::GrpcService,
    CallField::GrpcMethod,
    CallField::Peer,
    CallField::Status,
    CallField::GrpcStatus,
    CallField::Outcome,
    CallField::Elapsed,
];
const REQUEST_EXIT: [CallField; 2] = [CallField::Outcome, CallField::Elapsed];

impl CallField {
    /// Returns the name and type that queries see.
    const fn declared(self) -> ExportedField {
        match self {
            CallField::Method => ("method", Type::String),
            CallField::Path => ("path", Type::String),
            CallField::PathTemplate => ("path_template", Type::String),
            CallField::GrpcService => ("grpc_service", Type::String),
            CallField::GrpcMethod => ("grpc_method", Type::String),
            CallField::Peer => ("peer", Type::String),
            CallField::Status => ("status", Type::U64),
            CallField::GrpcStatus => ("grpc_status", Type::I64),
            CallField::Outcome => ("outcome", Type::String),
            CallField::Elapsed => ("elapsed", Type::Duration),
        }
    }

    /// Whether the field is known before the call is answered.
    fn is_known_at_begin(self) -> bool {
        !matches!(self, CallField::Status | CallField::GrpcStatus | CallField::Outcome | CallField::Elapsed)
    }
}

/// Returns names and types of the fields, in a constant.
const fn declared<const N: usize>(fields: &[CallField; N]) -> [ExportedField; N] {
    let mut all = [("", Type::Null); N];
    let mut i = 0;
    while i < N {
        all[i] = fields[i].declared();
        i += 1;
    }
    all
}

/// Returns the tracepoint of a layer, which is at no line of the application.
const fn layer_tracepoint(
    name: &'static str,
    fields: &'static [ExportedField],
    flag: &'static AtomicU8,
) -> Tracepoint {
    let location = SourceLocation { module: module_path!(), file: file!(), line: line!() };
    Tracepoint::new(name, fields, location, flag)
}

static SERVER_ENTER_FLAG: AtomicU8 = AtomicU8::new(0);
static SERVER_EXIT_FLAG: AtomicU8 = AtomicU8::new(0);
static CLIENT_ENTER_FLAG: AtomicU8 = AtomicU8::new(0);
static CLIENT_EXIT_FLAG: AtomicU8 = AtomicU8::new(0);

static SERVER_ENTER_TRACEPOINT: Tracepoint =
    layer_tracepoint("pivot::server@enter", &declared(&SERVER_ENTER), &SERVER_ENTER_FLAG);
static SERVER_EXIT_TRACEPOINT: Tracepoint =
    layer_tracepoint("pivot::server@exit", &declared(&SERVER_EXIT), &SERVER_EXIT_FLAG);
static CLIENT_ENTER_TRACEPOINT: Tracepoint =
    layer_tracepoint("pivot::client@enter", &declared(&CLIENT_ENTER), &CLIENT_ENTER_FLAG);
static CLIENT_EXIT_TRACEPOINT: Tracepoint =
    layer_tracepoint("pivot::client@exit", &declared(&CLIENT_EXIT), &CLIENT_EXIT_FLAG);

/// The tracepoints of one side of calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallTracepoints {
    enter: FunctionTracepoint,
    enter_fields: &'static [CallField],
    exit: FunctionTracepoint,
    exit_fields: &'static [CallField],
    /// The lowest HTTP status of a call that failed.
    failure: u16,
}

/// The tracepoints of [`ServerLayer`](crate::ServerLayer).
pub(crate) const SERVER: CallTracepoints = CallTracepoints {
    enter: FunctionTracepoint { flag: &SERVER_ENTER_FLAG, tracepoint: &SERVER_ENTER_TRACEPOINT },
    enter_fields: &SERVER_ENTER,
    exit: FunctionTracepoint { flag: &SERVER_EXIT_FLAG, tracepoint: &SERVER_EXIT_TRACEPOINT },
    exit_fields: &SERVER_EXIT,
    // A status from 400 on says that the client is wrong.
    failure: 500,
};

/// The tracepoints of [`ClientLayer`](crate::ClientLayer).
pub(crate) const CLIENT: CallTracepoints = CallTracepoints {
    enter: FunctionTracepoint { flag: &CLIENT_ENTER_FLAG, tracepoint: &CLIENT_ENTER_TRACEPOINT },
    enter_fields: &CLIENT_ENTER,
    exit: FunctionTracepoint { flag: &CLIENT_EXIT_FLAG, tracepoint: &CLIENT_EXIT_TRACEPOINT },
    exit_fields: &CLIENT_EXIT,
    failure: 400,
};

/// Adds the tracepoints of servers to the catalogue.
pub(crate) fn register_server() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| pivot_agent::adopt(&[&SERVER_ENTER_TRACEPOINT, &SERVER_EXIT_TRACEPOINT]));
}

/// Adds the tracepoints of clients to the catalogue.
pub(crate) fn register_client() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| pivot_agent::adopt(&[&CLIENT_ENTER_TRACEPOINT, &CLIENT_EXIT_TRACEPOINT]));
}

/// Fires the beginning of a request, and returns what fires its end.
#[inline]
pub(crate) fn begin_request() -> OpenCall {
    let enter = {
        pivot_agent::__declare!("pivot::request@enter", []);
        FunctionTracepoint { flag: &FLAG, tracepoint: &TRACEPOINT }
    };
    let exit = {
        pivot_agent::__declare!(
            "pivot::request@exit",
            [CallField::Outcome.declared(), CallField::Elapsed.declared()]
        );
        FunctionTracepoint { flag: &FLAG, tracepoint: &TRACEPOINT }
    };
    let failure = u16::MAX;
    let request = CallTracepoints { enter, enter_fields: &[], exit, exit_fields: &REQUEST_EXIT, failure };
    if request.is_woven() { request.begin(&|_| Value::Null) } else { OpenCall(None) }
}

/// What the tracepoints read of a call when it begins.
pub(crate) struct CallHead<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// Returns the template of the path, if anything knows it.
    pub(crate) template: &'a dyn Fn() -> Option<String>,
    /// Returns who is at the other end, if that is known.
    pub(crate) peer: &'a dyn Fn() -> Option<String>,
}

impl CallHead<'_> {
    fn value(&self, field: CallField) -> Value {
        match field {
            CallField::Method => Value::str(self.method.as_str()),
            CallField::Path => Value::str(self.uri.path()),
            // The path of a gRPC call has no parameters.
            CallField::PathTemplate => match self.grpc() {
                Some(_) => Value::str(self.uri.path()),
                None => (self.template)().export(),
            },
            CallField::GrpcService => self.grpc().map(|(service, _)| service.to_owned()).export(),
            CallField::GrpcMethod => self.grpc().map(|(_, method)| method.to_owned()).export(),
            CallField::Peer => (self.peer)().export(),
            CallField::Status | CallField::GrpcStatus | CallField::Outcome | CallField::Elapsed => {
                Value::Null
            }
        }
    }

    /// Returns the service and the method of a gRPC call.
    fn grpc(&self) -> Option<(&str, &str)> {
        let is_grpc = HeaderKind::for_request(self.headers) == HeaderKind::Binary;
        is_grpc.then(|| self.uri.path().trim_start_matches('/').rsplit_once('/')).flatten()
    }
}

impl CallTracepoints {
    /// Fires the beginning of a call, if that is woven, and returns what fires its end.
    #[inline(always)]
    pub(crate) fn enter(&self, head: &CallHead<'_>) -> OpenCall {
        if self.is_woven() { self.begin(&|field| head.value(field)) } else { OpenCall(None) }
    }

    /// Whether anything is woven at the beginning or the end of calls.
    #[inline(always)]
    pub(crate) fn is_woven(&self) -> bool {
        self.enter.is_woven() || self.exit.is_woven()
    }

    /// Fires the beginning of a call and takes the fields that its exit observes. `value` returns those that are
    /// known now.
    #[cold]
    fn begin(&self, value: &dyn Fn(CallField) -> Value) -> OpenCall {
        if self.enter.is_woven() {
            let fields = self.enter_fields;
            self.enter.tracepoint.fire(&|index| fields.get(index).map_or(Value::Null, |field| value(*field)));
        }
        if !self.exit.is_woven() {
            return OpenCall(None);
        }

        let evaluated = self.exit_fields.iter().enumerate().map(|(index, field)| {
            let is_wanted = field.is_known_at_begin() && self.exit.tracepoint.observes(index);
            match is_wanted.then(|| catch_unwind(AssertUnwindSafe(|| value(*field)))) {
                None => BeginField::Unobserved,
                Some(Ok(value)) => BeginField::Value(value),
                Some(Err(_)) => BeginField::Panicked,
            }
        });
        OpenCall(Some(Box::new(BegunCall {
            tracepoints: *self,
            fields: evaluated.collect(),
            began: Instant::now(),
            began_panicking: std::thread::panicking(),
            status: None,
            grpc_status: None,
        })))
    }
}

/// A call that has not ended yet, or one whose end nobody asks for. Dropped, it ends as cancelled.
#[derive(Debug, Default)]
pub(crate) struct OpenCall(Option<Box<BegunCall>>);

/// A call that began while its exit was woven.
#[derive(Debug)]
struct BegunCall {
    tracepoints: CallTracepoints,
    /// The fields of the exit, by index, as they were when the call began.
    fields: Vec<BeginField>,
    began: Instant,
    /// Whether the thread was panicking already: then a drop does not mean that the service panicked.
    began_panicking: bool,
    status: Option<StatusCode>,
    grpc_status: Option<i64>,
}

/// A field of an exit, taken when the call began.
#[derive(Debug)]
enum BeginField {
    /// It was not observed then, or is not known before the end.
    Unobserved,
    Value(Value),
    /// Its expression panicked. The panic goes on in the advice that reads the field.
    Panicked,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// It was answered to the end; its statuses say whether it failed.
    Answered,
    /// The service, the connection or the body failed.
    Failed,
    /// It was dropped before its end.
    Dropped,
}

impl OpenCall {
    /// Notes the head of the reply.
    #[inline]
    pub(crate) fn note_head(&mut self, status: StatusCode, headers: &HeaderMap) {
        if let Some(call) = &mut self.0 {
            call.status = Some(status);
            call.note_grpc_status(headers);
        }
    }

    /// Notes the trailers of the reply.
    #[inline]
    pub(crate) fn note_trailers(&mut self, trailers: &HeaderMap) {
        if let Some(call) = &mut self.0 {
            call.note_grpc_status(trailers);
        }
    }

    /// Fires the exit, if it did not fire before. Call it inside the request.
    #[inline]
    pub(crate) fn end(&mut self, end: CallEnd) {
        if let Some(call) = self.0.take() {
            call.fire(end);
        }
    }

    /// Fires the exit of a call whose reply's body is dropped: it has ended if nothing was left of the body.
    pub(crate) fn end_with_dropped(&mut self, body: Option<&impl Body>) {
        if self.0.is_some() {
            let has_ended =
                body.is_none_or(|body| body.is_end_stream() || body.size_hint().exact() == Some(0));
            self.end(if has_ended { CallEnd::Answered } else { CallEnd::Dropped });
        }
    }
}

impl Drop for OpenCall {
    #[inline]
    fn drop(&mut self) {
        self.end(CallEnd::Dropped);
    }
}

impl BegunCall {
    fn note_grpc_status(&mut self, headers: &HeaderMap) {
        let status = headers.get(GRPC_STATUS).and_then(|status| status.to_str().ok()?.parse().ok());
        self.grpc_status = status.or(self.grpc_status);
    }

    fn outcome(&self, end: CallEnd) -> &'static str {
        let has_failed = match (self.grpc_status, self.status) {
            (Some(status), _) => status != 0,
            (None, Some(status)) => status.as_u16() >= self.tracepoints.failure,
            (None, None) => false,
        };
        match end {
            CallEnd::Answered if !has_failed => "ok",
            CallEnd::Answered | CallEnd::Failed => "err",
            CallEnd::Dropped if std::thread::panicking() && !self.began_panicking => "panic",
            CallEnd::Dropped => "cancelled",
        }
    }

    /// Returns whether advice at the exit observes a field that was not evaluated when the call began.
    fn lacks_begin_field(&self) -> bool {
        let CallTracepoints { exit, exit_fields, .. } = self.tracepoints;
        exit_fields.iter().enumerate().any(|(index, field)| {
            let is_unobserved = matches!(self.fields.get(index), Some(BeginField::Unobserved) | None);
            field.is_known_at_begin() && is_unobserved && exit.tracepoint.observes(index)
        })
    }

    /// Fires the exit.
    #[cold]
    fn fire(&self, end: CallEnd) {
        let CallTracepoints { exit, exit_fields, .. } = self.tracepoints;

        // Advice that was woven since the call began has missed the beginning of this call, and so it misses the end.
        if !exit.is_woven() || self.lacks_begin_field() {
            return;
        }

        let elapsed = self.began.elapsed();
        exit.tracepoint.fire(&|index| match (exit_fields.get(index), self.fields.get(index)) {
            (Some(CallField::Status), _) => self.status.map(|status| status.as_u16()).export(),
            (Some(CallField::GrpcStatus), _) => self.grpc_status.export(),
            (Some(CallField::Outcome), _) => Value::str(self.outcome(end)),
            (Some(CallField::Elapsed), _) => elapsed.export(),
            (_, Some(BeginField::Value(value))) => value.clone(),
            (_, Some(BeginField::Panicked)) => resume_unwind(Box::new("a field's expression panicked")),
            _ => Value::Null,
        });
    }
}
