//! The definition of an installed query: its text, its program and advice, and when it runs. Its results are elsewhere.

use crate::query_end::QueryEnd;
use crate::query_owner::QueryOwner;
use crate::query_term::QueryTerm;
use crate::store::{HistoryQueryRecord, MeasuredRecord, OutputRecord, QueryRecord, RemovalRecord};
use crate::window::WindowCloseRules;
use pivot_advice::{Advice, EmitMode, QueryId};
use pivot_protocol::to_wire;
use pivot_query::{CompileOptions, OutputPlan, QueryProgram};
use std::sync::Arc;

/// When a query was removed, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryRemoval {
    /// The first generation without it.
    pub(crate) generation: u64,
    pub(crate) at_ns: i64,
    pub(crate) end: QueryEnd,
}

impl QueryRemoval {
    /// Makes a removal as it was stored. Frontends before stored no reason.
    pub(crate) fn restore(record: RemovalRecord) -> QueryRemoval {
        let RemovalRecord { generation, at_ns, .. } = record;
        QueryRemoval { generation, at_ns, end: QueryEnd::from_wire(record.end()) }
    }

    fn record(self) -> RemovalRecord {
        RemovalRecord { generation: self.generation, at_ns: self.at_ns, end: self.end.to_wire().into() }
    }
}

/// The definition of a query, and the generations that brought it.
#[derive(Debug)]
pub(crate) struct QueryDefinition {
    pub(crate) id: QueryId,
    /// The name under which other queries can join with it; may be empty.
    pub(crate) name: String,
    pub(crate) program: QueryProgram,
    /// The values of its parameters.
    pub(crate) options: CompileOptions,
    /// Its advice, lowered when it was compiled: weaving takes it as it is.
    pub(crate) advice: Vec<Advice>,
    /// The form of a result; shared with frames, which may outlive a recompilation.
    pub(crate) output: Arc<OutputPlan>,
    pub(crate) installed_ns: i64,
    /// The generation that installed it: agents that have woven it report, whatever came later.
    pub(crate) generation: u64,
    /// The generation that brought its advice as it is now.
    pub(crate) advice_generation: u64,
    /// The version of the merged exports that it was compiled against.
    pub(crate) exports_version: u64,
    /// The measurement of EXPLAIN ANALYZE that the query is, if it is one.
    pub(crate) measured: Option<MeasuredRecord>,
    /// The client that installed it.
    pub(crate) owner: QueryOwner,
}

/// A tick of the clock at which a query's windows are examined.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryTick {
    pub(crate) now_ns: i64,
    /// The number of the commit that makes durable what the tick brings.
    pub(crate) batch: u64,
    /// How long after its end a window waits for agents.
    pub(crate) grace_ns: i64,
    /// How many frames of the query are kept.
    pub(crate) keep_frames: usize,
}

impl QueryDefinition {
    /// Returns what decides which agents the query is about.
    pub(crate) fn term(&self, removed: Option<QueryRemoval>) -> QueryTerm<'_> {
        QueryTerm {
            query: self.id,
            installed: self.generation,
            removed: removed.map(|removed| removed.generation),
            tracepoints: &self.program.tracepoints,
        }
    }

    /// Returns when windows close at a tick, unless the query ends with it.
    pub(crate) fn close_rules(&self, removed: Option<QueryRemoval>, now: QueryTick) -> WindowCloseRules<'_> {
        WindowCloseRules {
            term: self.term(removed),
            removed_ns: removed.map(|removed| removed.at_ns),
            grace_ns: now.grace_ns,
            close_all: false,
            misses_rows: false,
            batch: now.batch,
            every_ns: self.program.settings.every_ns,
            installed_ns: self.installed_ns,
        }
    }

    /// Whether its windows go to history: not those of a measurement, and single rows only if the query says for how long.
    pub(crate) fn has_history(&self) -> bool {
        let is_kept = self.output.form == EmitMode::Groups || self.program.settings.keep_ns.is_some();
        self.measured.is_none() && is_kept
    }

    /// Returns what history needs to read its windows.
    pub(crate) fn history_record(&self) -> HistoryQueryRecord {
        HistoryQueryRecord {
            name: self.name.clone(),
            text: self.program.text.clone(),
            installed_ns: self.installed_ns,
            every_ns: self.program.settings.every_ns,
            output: Some(OutputRecord::from(&*self.output)),
            keep_ns: self.program.settings.keep_ns,
        }
    }

    /// Returns its definition as it is stored.
    pub(crate) fn record(&self, removed: Option<QueryRemoval>) -> QueryRecord {
        let QueryDefinition { name, program, options, advice, owner, .. } = self;
        let QueryDefinition { installed_ns, generation, advice_generation, measured, .. } = *self;

        QueryRecord {
            name: name.clone(),
            text: program.text.clone(),
            params: options.params().map(|(name, value)| (name.to_owned(), to_wire::value(value))).collect(),
            installed_ns,
            generation,
            advice_generation,
            advice: advice.iter().map(to_wire::advice).collect(),
            measured,
            removed: removed.map(QueryRemoval::record),
            owner: owner.name.clone(),
            session: owner.session.clone(),
            stays: owner.stays,
        }
    }
}
