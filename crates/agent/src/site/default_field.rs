//! The fields that every tracepoint exports besides its own.

use crate::run::cells::{Cell, Cells};
use crate::site::export::Export;
use crate::site::identity;
use pivot_advice::Value;
use pivot_baggage::Baggage;
use std::time::SystemTime;

/// The fields that every tracepoint exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultField {
    /// Logical host.
    Host,
    /// Process name.
    Process,
    /// Process id.
    Pid,
    /// Thread name.
    Thread,
    /// Full name of the tracepoint.
    Tracepoint,
    /// Wall clock.
    Time,
    /// Request id, 32 hexadecimal digits.
    Request,
}

/// The value of a default field.
#[inline(never)]
pub(crate) fn default_cell(field: DefaultField, tracepoint: &'static str, cells: &mut Cells) -> Cell {
    match field {
        DefaultField::Host => identity::host(cells),
        DefaultField::Process => identity::process(cells),
        DefaultField::Pid => identity::pid(),
        DefaultField::Thread => identity::thread(cells),
        DefaultField::Tracepoint => cells.text(tracepoint),
        DefaultField::Time => cells.hold(&Export::export(&SystemTime::now())),
        DefaultField::Request => cells.hold(&request()),
    }
}

fn request() -> Value {
    pivot_baggage::with_current(|baggage| baggage.map(Baggage::request_or_begin))
        .map_or(Value::Null, request_id)
}

/// A request's id as queries see it.
pub fn request_id(id: u128) -> Value {
    Value::str(format!("{id:032x}"))
}
