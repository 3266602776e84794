//! A query that an earlier process of the frontend has stored.
//!
//! It is stored as text and compiled again, against the stored catalogue. If its advice comes out as it was, agents are
//! told nothing new and go on as they are. Its windows and results are stored as they are merged.

use crate::compilation::{CompiledQuery, Compiler};
use crate::installed_query::InstalledQuery;
use crate::known_exports::KnownExports;
use crate::store::{QueryRecord, StoredQuery};
use pivot_advice::QueryId;
use pivot_protocol::{from_wire, to_wire, wire};
use pivot_query::CompileOptions;

/// A query as it was, compiled anew.
#[derive(Debug)]
pub(crate) struct RestoredQuery {
    pub(crate) query: InstalledQuery,
    /// Whether agents have to weave something else for it than before.
    pub(crate) has_changed: bool,
}

impl RestoredQuery {
    /// Compiles a stored query and makes it as it was. Advice that comes out in another way is brought by `generation`.
    /// The error says, for people, why the query cannot be taken up.
    pub(crate) fn new(
        id: QueryId,
        stored: &StoredQuery,
        exports: &KnownExports,
        compiler: &Compiler,
        generation: u64,
    ) -> Result<RestoredQuery, String> {
        let number = id.number;
        let options =
            options(&stored.record).map_err(|wrong| format!("query {number} is dropped: {wrong}"))?;
        let program = compiler(&stored.record.text, exports.catalog(), &options);
        let program = program.map_err(|wrong| {
            format!("query {number} is dropped, since it does not compile any more: {wrong}")
        })?;

        let compiled = CompiledQuery::new(id, program, options, exports.version());
        let compiled = match stored.record.measured {
            Some(measured) => compiled.measured(id, measured),
            None => compiled,
        };
        let advice: Vec<wire::Advice> = compiled.advice.iter().map(to_wire::advice).collect();
        let mut query = InstalledQuery::restore(compiled, stored);

        let has_changed = query.is_active() && advice != stored.record.advice;
        if has_changed {
            query.set_advice_generation(generation);
        }
        Ok(RestoredQuery { query, has_changed })
    }
}

/// Returns the options with which a query was installed.
fn options(record: &QueryRecord) -> Result<CompileOptions, String> {
    let mut options = CompileOptions::default().installed_at(record.installed_ns);
    for (name, value) in &record.params {
        let value =
            from_wire::value(value.clone()).map_err(|wrong| format!("its parameter {name}: {wrong}"))?;
        options = options.param(name, value);
    }
    Ok(options)
}
