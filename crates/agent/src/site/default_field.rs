//! The fields that every tracepoint exports besides its own.

use crate::run::cells::{Cell, Cells};
use crate::site::export::Export;
use crate::site::process_identity;
use pivot_advice::Value;
use pivot_baggage::Baggage;
use std::time::SystemTime;

/// The fields that every tracepoint exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultField {
    /// `host`: the name of the logical host.
    Host,
    /// `process`: the name of the process.
    Process,
    /// `pid`: the id of the process.
    Pid,
    /// `thread`: the name of the thread.
    Thread,
    /// `tracepoint`: the full name of the tracepoint.
    Tracepoint,
    /// `time`: the wall clock at the event.
    Time,
    /// `request`: the id of the request, 32 hexadecimal digits.
    Request,
}

/// Puts the value of a default field into a cell.
#[inline(never)]
pub(crate) fn default_cell(field: DefaultField, tracepoint: &'static str, cells: &mut Cells) -> Cell {
    match field {
        DefaultField::Host => process_identity::host(cells),
        DefaultField::Process => process_identity::process(cells),
        DefaultField::Pid => process_identity::pid(),
        DefaultField::Thread => process_identity::thread(cells),
        DefaultField::Tracepoint => cells.text(tracepoint),
        DefaultField::Time => cells.hold(&Export::export(&SystemTime::now())),
        DefaultField::Request => cells.hold(&request()),
    }
}

/// Returns the id of the current request, or null outside a request.
fn request() -> Value {
    pivot_baggage::with_current(|baggage| baggage.map(Baggage::request_or_begin))
        .map_or(Value::Null, request_id)
}

/// Returns a request's id as queries see it.
pub fn request_id(id: u128) -> Value {
    Value::str(format!("{id:032x}"))
}
