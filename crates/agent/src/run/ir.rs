//! What an advice is compiled to.

use crate::run::cell_expr::{CellExpr, IntRange};
use crate::site::default_field::DefaultField;
use pivot_advice::{Aggregate, BagKey, QueryId, TemporalFilter};
use std::sync::Arc;

/// An advice that is ready to run.
#[derive(Debug)]
pub(crate) struct CompiledAdvice {
    /// Before the Unpack, or all.
    pub(crate) steps: Vec<CompiledStep>,
    pub(crate) join: Option<BagJoin>,
    pub(crate) columns: usize,
    pub(crate) keys: Vec<usize>,
    /// What each aggregate takes in.
    pub(crate) arguments: Vec<AggregateArgument>,
    pub(crate) shape: Arc<GroupSchema>,
    pub(crate) takes: AggregateInput,
    pub(crate) end: RowSink,
}

/// What all aggregates take in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AggregateInput {
    /// There are none: rows are only counted.
    None,
    /// One column, of which they are sums, counts and means: it can be added up beside the states of a group.
    SummableColumn(usize),
    /// One column.
    Column(usize),
    /// More than that.
    Mixed,
}

/// The columns of a query's table: how many keys, and which aggregates.
#[derive(Debug, PartialEq)]
pub(crate) struct GroupSchema {
    pub(crate) query: QueryId,
    pub(crate) keys: usize,
    pub(crate) aggregates: Vec<Aggregate>,
}

/// The shapes in use. Advice of one query at several tracepoints shares one, to be known by its address.
#[derive(Debug)]
pub(crate) struct GroupSchemas(Vec<Arc<GroupSchema>>);

impl GroupSchemas {
    pub(crate) const fn new() -> GroupSchemas {
        GroupSchemas(Vec::new())
    }

    /// The one that is equal to this.
    pub(crate) fn the_one(&mut self, shape: GroupSchema) -> Arc<GroupSchema> {
        self.0.retain(|known| Arc::strong_count(known) > 1);
        let known = self.0.iter().find(|known| ***known == shape).cloned();
        known.unwrap_or_else(|| {
            let new = Arc::new(shape);
            self.0.push(Arc::clone(&new));
            new
        })
    }
}

// Its tag is a byte of its own, to be told apart with one look.
#[derive(Debug)]
#[repr(u8)]
pub(crate) enum CompiledStep {
    /// Sets a column to an exported field.
    Observe(usize, usize),
    /// The same, and rejects the event unless it is in a range.
    Test(usize, usize, IntRange),
    /// Sets a column to a default field.
    Default(usize, DefaultField),
    /// Sets a column to a value.
    Let(usize, Box<CellExpr>),
    /// Rejects the event unless a column is in a range.
    Within(usize, IntRange),
    /// Rejects the event unless a condition is true.
    Filter(Box<CellExpr>),
}

/// The happened-before join with a bag.
#[derive(Debug)]
pub(crate) struct BagJoin {
    pub(crate) bag: BagKey,
    /// The first of the bag's columns.
    pub(crate) first: usize,
    pub(crate) width: usize,
    pub(crate) aggregates: Vec<Aggregate>,
    /// What a row of the bag must satisfy to match.
    pub(crate) on: Option<CellExpr>,
    pub(crate) steps: Vec<CompiledStep>,
}

/// What an aggregate takes in.
#[derive(Debug)]
#[repr(u8)]
pub(crate) enum AggregateArgument {
    Column(usize),
    Code(Box<CellExpr>),
    /// A state that came with an unpacked group.
    State(usize),
}

/// Where rows go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowSink {
    Emit,
    Pack(BagKey, TemporalFilter),
}
