//! What resolution produces, and what names mean while it runs.
//!
//! Expressions here and in the plan are those of advice, but their columns are numbers into
//! [`Resolved::columns`]; only lowering knows the positions in a row.

use pivot_advice::{Aggregate, Expr, Keep, Type};

/// A query whose names and types are known. Stage 0 and block 0 are those of the whole query.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) columns: Vec<Column>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) blocks: Vec<Block>,
    /// Tracepoints that nobody exports yet.
    pub(crate) pending: Vec<String>,
}

/// A column: a field, the value of a LET, or a part of the result of an aggregating subquery.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// The alias it belongs to; empty for a LET.
    pub(crate) alias: String,
    pub(crate) name: String,
    pub(crate) ty: Type,
}

impl Column {
    /// The column as a query names it.
    pub(crate) fn shown(&self) -> String {
        if self.alias.is_empty() { self.name.clone() } else { format!("{}.{}", self.alias, self.name) }
    }
}

/// One alias: where it observes and what it keeps.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) alias: String,
    /// The stage whose events come after; none for the root.
    pub(crate) parent: Option<usize>,
    pub(crate) tracepoints: Vec<Tracepoint>,
    pub(crate) keep: Keep,
    pub(crate) observed: Vec<Observed>,
    /// The temporal source's own WHERE, over observed columns only.
    pub(crate) choice: Vec<Expr>,
}

/// A tracepoint of a stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tracepoint {
    pub(crate) name: String,
    /// Nobody exports it yet.
    pub(crate) pending: bool,
}

/// A field that a stage observes.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub(crate) field: String,
    pub(crate) column: u16,
    /// For each tracepoint of the stage, whether it lacks the field.
    pub(crate) lacking: Vec<bool>,
}

/// A scope of aggregation: the rows that reach one sink, and what is made of them there.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// The stage that emits, or packs the groups of a subquery.
    pub(crate) sink: usize,
    pub(crate) steps: Vec<Step>,
    pub(crate) finish: Finish,
}

/// LET and WHERE over columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Let(u16, Expr),
    Filter(Expr),
}

/// What a sink makes of its rows.
#[derive(Debug, Clone)]
pub(crate) enum Finish {
    /// The rows themselves: their values, each with name and type.
    Rows { values: Vec<(String, Expr, Type)> },
    /// Groups. `columns` are over keys, then n, then the aggregates.
    Groups {
        keys: Vec<(String, Expr, Type)>,
        aggregates: Vec<(Aggregate, Expr, Type)>,
        /// The columns that an unpacked group has in the consumer; empty at the root.
        unpacked: Vec<u16>,
        columns: Vec<(String, Expr, Type)>,
    },
}

/// An expression and its type.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) expr: Expr,
    pub(super) ty: Type,
}

/// What an alias stands for.
#[derive(Debug, Clone)]
pub(super) enum Binding {
    /// The fields of a stage's tracepoints.
    Fields(usize),
    /// The columns of a query; the stage is where its FROM happens, if others may happen before it.
    Columns { columns: Vec<(String, Typed)>, stage: Option<usize> },
    /// Something that did not resolve: whatever it is asked for is accepted.
    Unknown,
}

/// The names that an expression may use.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) aliases: Vec<(String, Binding)>,
    pub(super) lets: Vec<(String, Typed)>,
    /// The alias whose columns also stand bare, inside a temporal source.
    pub(super) bare: Option<Binding>,
    /// Some alias may be missing because its clause did not parse.
    pub(super) broken: bool,
}

impl Scope {
    pub(super) fn alias(&self, name: &str) -> Option<&Binding> {
        self.aliases.iter().find(|(alias, _)| alias == name).map(|(_, binding)| binding)
    }

    pub(super) fn assigned(&self, name: &str) -> Option<&Typed> {
        self.lets.iter().find(|(assigned, _)| assigned == name).map(|(_, typed)| typed)
    }
}
