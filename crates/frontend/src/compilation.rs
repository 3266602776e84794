//! Compiling outside the lock.
//!
//! A compilation takes as long as it takes, and must stop no report, frame or call meanwhile. So it works on
//! a snapshot, and what it rested on is compared before its outcome is used:
//!
//! ```text
//! lock     take a snapshot: the catalogue and the next query's id               microseconds
//! no lock  compile the text and lower it to advice                              as long as it takes
//! lock     is the catalogue still the same? install it : begin again            microseconds
//! ```
//!
//! The catalogue is immutable behind an `Arc` and every change makes a new one, so "the same" is a comparison
//! of pointers. After [`MAX_ATTEMPTS`] the query is installed anyway, as if it had come before the change; if
//! tracepoints have changed it is compiled again as all installed queries are.
//!
//! Installed queries are compiled again when the tracepoints of agents change, in the same way, by one task.

use crate::store::MeasuredRecord;
use crate::wanted_set::encoded_bytes;
use pivot_advice::{Advice, QueryId};
use pivot_query::{Catalog, CompileOptions, Diagnostics, QueryProgram};
use std::sync::Arc;

/// How often a query is compiled because the catalogue has changed meanwhile, before it is installed anyway.
pub(crate) const MAX_ATTEMPTS: usize = 3;

/// Compiles a text against a catalogue; tests put another one in its place.
pub(crate) type Compiler =
    Arc<dyn Fn(&str, &Catalog, &CompileOptions) -> Result<QueryProgram, Diagnostics> + Send + Sync>;

/// The input of a compilation, as it was at one time.
#[derive(Debug, Clone)]
pub(crate) struct CompileSnapshot {
    pub(crate) catalog: Arc<Catalog>,
    /// The version of the tracepoints in the catalogue.
    pub(crate) exports_version: u64,
    /// The id that the next installed query gets.
    pub(crate) next_id: QueryId,
}

/// A compiled query that can be installed.
#[derive(Debug, Clone)]
pub(crate) struct CompiledQuery {
    /// The id that its advice is for.
    pub(crate) id: QueryId,
    pub(crate) program: QueryProgram,
    /// The values of its parameters.
    pub(crate) options: CompileOptions,
    pub(crate) advice: Vec<Advice>,
    /// About how many bytes the advice takes in a message.
    pub(crate) wire_bytes: usize,
    /// The version of the tracepoints that it was compiled against.
    pub(crate) exports_version: u64,
    /// The measurement of EXPLAIN ANALYZE that the query is, if it is one.
    pub(crate) measured: Option<MeasuredRecord>,
}

impl CompiledQuery {
    /// Lowers a program to advice under an id.
    pub(crate) fn new(
        id: QueryId,
        program: QueryProgram,
        options: CompileOptions,
        exports_version: u64,
    ) -> CompiledQuery {
        let advice = program.advice(id);
        let wire_bytes = encoded_bytes(&advice);
        CompiledQuery { id, program, options, advice, wire_bytes, exports_version, measured: None }
    }

    /// Returns the measurement of this query on a fraction of all requests, which ends by itself.
    pub(crate) fn measured(&self, id: QueryId, measured: MeasuredRecord) -> CompiledQuery {
        let program = self.program.measured(measured.fraction, measured.duration_ns);
        let compiled = CompiledQuery::new(id, program, self.options.clone(), self.exports_version);
        CompiledQuery { measured: Some(measured), ..compiled }
    }

    /// Lowers the program again if another query was installed first and took the id.
    pub(crate) fn with_id(self, id: QueryId) -> CompiledQuery {
        if self.id == id { self } else { CompiledQuery { id, advice: self.program.advice(id), ..self } }
    }
}

/// Installed queries that were compiled against older tracepoints.
#[derive(Debug)]
pub(crate) struct RecompileJob {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) exports_version: u64,
    pub(crate) queries: Vec<OutdatedQuery>,
}

/// An installed query that is to be compiled again.
#[derive(Debug)]
pub(crate) struct OutdatedQuery {
    pub(crate) id: QueryId,
    pub(crate) text: String,
    pub(crate) options: CompileOptions,
}

/// The outcome for one installed query: `None` if it no longer compiles.
#[derive(Debug)]
pub(crate) struct RecompiledQuery {
    pub(crate) id: QueryId,
    pub(crate) compiled: Option<CompiledQuery>,
}

impl RecompileJob {
    /// Returns the outcome that leaves all queries as they are.
    pub(crate) fn unchanged(&self) -> Vec<RecompiledQuery> {
        self.queries.iter().map(|query| RecompiledQuery { id: query.id, compiled: None }).collect()
    }

    /// Compiles all queries.
    pub(crate) fn run(&self, compiler: &Compiler) -> Vec<RecompiledQuery> {
        let mut outcome = Vec::with_capacity(self.queries.len());
        for OutdatedQuery { id, text, options } in &self.queries {
            let program = compiler(text, &self.catalog, options).ok();
            let compiled = program
                .map(|program| CompiledQuery::new(*id, program, options.clone(), self.exports_version));
            outcome.push(RecompiledQuery { id: *id, compiled });
        }
        outcome
    }
}
