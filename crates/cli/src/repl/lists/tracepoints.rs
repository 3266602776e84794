//! The catalogue: all tracepoints (`\dt`), and the fields of one (`\d`).

use crate::client::ListedTracepoint;
use crate::humanize::{count, grouped};
use crate::table::{TableCell, TextTable};
use crate::terminal_text::escaped;

/// Returns tracepoints with their fields, agents and places.
pub(in crate::repl) fn tracepoints(found: &[&ListedTracepoint]) -> TextTable {
    let mut table = TextTable::with_headings(&["!tracepoint", "fields", ">agents", "place"]);
    for tracepoint in found {
        let fields = tracepoint.fields.iter().map(|field| format!("{} {}", escaped(&field.name), field.ty));
        // Two versions of a program have a tracepoint at different lines.
        let place = match tracepoint.places.as_slice() {
            [] => String::new(),
            [place] => without_folders(place),
            [place, others @ ..] => format!("{} + {} more", without_folders(place), others.len()),
        };

        table.push([
            escaped(&tracepoint.name).into(),
            fields.collect::<Vec<_>>().join(", ").into(),
            grouped(&tracepoint.agents.to_string()).into(),
            TableCell::quiet(place),
        ]);
    }
    table
}

/// Returns a place as `file:line`. Its folders are shown by `\d`.
fn without_folders(place: &str) -> String {
    escaped(place.rsplit('/').next().unwrap_or(place))
}

/// Returns the fields of one tracepoint: those that it exports itself, then those that every tracepoint has.
pub(in crate::repl) fn fields(tracepoint: &ListedTracepoint) -> TextTable {
    let mut table = TextTable::with_headings(&["field", "type", "exported by"]);
    for field in &tracepoint.fields {
        // Builds of different age may export different fields of one tracepoint.
        let exported_by = if field.agents >= tracepoint.agents {
            "all agents".to_owned()
        } else {
            format!("{} of {}", field.agents, count(tracepoint.agents.into(), "agent"))
        };
        table.push([escaped(&field.name).into(), field.ty.to_string().into(), exported_by.into()]);
    }

    for (name, ty) in pivot_advice::default_fields() {
        table.push([
            TableCell::quiet(*name),
            TableCell::quiet(ty.to_string()),
            TableCell::quiet("every tracepoint"),
        ]);
    }
    table
}
