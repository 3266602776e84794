//! What an advice is compiled to: steps that set columns and reject events, at most one join, and where rows go.
//!
//! ```text
//! FROM e IN Store.Write JOIN r IN Api.Request ON r -> e WHERE e.bytes > 0 GROUP BY r.user SELECT r.user, SUM(e.bytes)
//!
//! steps      ObserveInRange { column: 0, field: bytes, range: > 0 }
//! join       BagJoin { bag: r, first: 1, width: 1, .. }         one row per row of the bag
//! keys       [1]
//! arguments  [Column(0)]           input: SummableColumn(0)
//! sink       Emit
//! ```
//!
//! A field is observed when a step first reads it, so a condition that fails early leaves the rest of the event alone.

use crate::run::cell_expr::{AcceptedInts, CellExpr};
use crate::run::cells::Cells;
use crate::site::default_field::DefaultField;
use pivot_advice::{AggregateKind, BagKey, EvalErrors, QueryId, TemporalFilter};
use std::sync::Arc;

/// An advice as steps over a row of cells.
#[derive(Debug)]
pub(crate) struct CompiledAdvice {
    /// The steps before the join, or all steps.
    pub(crate) steps: Vec<CompiledStep>,
    pub(crate) join: Option<BagJoin>,
    /// How many columns a row has at the end.
    pub(crate) columns: usize,
    /// The columns that rows are grouped by.
    pub(crate) keys: Vec<usize>,
    /// The input of each aggregate.
    pub(crate) arguments: Vec<AggregateArgument>,
    /// A summary of the arguments, by which fast paths are chosen.
    pub(crate) input: AggregateInput,
    pub(crate) schema: Arc<GroupSchema>,
    pub(crate) sink: RowSink,
}

/// The input of all aggregates together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AggregateInput {
    /// There are no aggregates: rows are only counted.
    None,
    /// One column, of which they are sums, counts and means: a pending sum serves them all.
    SummableColumn(usize),
    /// One column.
    Column(usize),
    /// Several columns, expressions, or states of unpacked groups.
    Mixed,
}

/// The columns of a query's groups: how many keys, and which aggregates.
#[derive(Debug, PartialEq)]
pub(crate) struct GroupSchema {
    pub(crate) query: QueryId,
    pub(crate) keys: usize,
    pub(crate) aggregates: Vec<AggregateKind>,
    /// The most groups that the query may have in one table.
    pub(crate) max_groups: usize,
}

/// The schemas in use, each once, so that they can be told apart by their addresses. Advice of one query at several
/// tracepoints shares its schema.
#[derive(Debug)]
pub(crate) struct SchemaInterner(Vec<Arc<GroupSchema>>);

/// A step over a row, in which columns are cells.
// The tag is a byte of its own, so that one comparison tells the steps apart.
#[derive(Debug)]
#[repr(u8)]
pub(crate) enum CompiledStep {
    /// Sets a column to an exported field.
    Observe { column: usize, field: usize },
    /// Sets a column to an exported field, and rejects the event unless the field is in a range.
    ObserveInRange { column: usize, field: usize, range: AcceptedInts },
    /// Sets a column to a default field.
    ObserveDefault { column: usize, field: DefaultField },
    /// Sets a column to the value of an expression.
    Let { column: usize, expr: Box<CellExpr> },
    /// Rejects the row unless a column is in a range.
    InRange { column: usize, range: AcceptedInts },
    /// Rejects the row unless a condition is true.
    Filter(Box<CellExpr>),
}

/// The happened-before join with a bag.
#[derive(Debug)]
pub(crate) struct BagJoin {
    pub(crate) bag: BagKey,
    /// The first of the bag's columns.
    pub(crate) first: usize,
    /// How many columns the bag has.
    pub(crate) width: usize,
    pub(crate) aggregates: Vec<AggregateKind>,
    /// The condition under which a row of the bag matches.
    pub(crate) on: Option<CellExpr>,
    /// The steps after the join, for every joined row.
    pub(crate) steps: Vec<CompiledStep>,
}

/// The input of one aggregate.
#[derive(Debug)]
#[repr(u8)]
pub(crate) enum AggregateArgument {
    Column(usize),
    Expr(Box<CellExpr>),
    /// A state that came with an unpacked group.
    State(usize),
}

/// Where rows go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowSink {
    Emit,
    Pack(BagKey, TemporalFilter),
}

impl SchemaInterner {
    pub(crate) const fn new() -> SchemaInterner {
        SchemaInterner(Vec::new())
    }

    /// Returns the one schema that is equal to this.
    pub(crate) fn intern(&mut self, schema: GroupSchema) -> Arc<GroupSchema> {
        self.0.retain(|known| Arc::strong_count(known) > 1);

        if let Some(known) = self.0.iter().find(|known| ***known == schema) {
            return Arc::clone(known);
        }
        let new = Arc::new(schema);
        self.0.push(Arc::clone(&new));
        new
    }
}

impl GroupSchema {
    /// Returns the address by which an interned schema is recognized.
    #[inline(always)]
    pub(crate) fn address(self: &Arc<GroupSchema>) -> usize {
        Arc::as_ptr(self).addr()
    }
}

impl CompiledStep {
    /// Sets a column or evaluates a condition. Returns false if the row is rejected. Steps that observe are not for
    /// here: they need the event.
    #[inline(never)]
    pub(crate) fn passes(&self, cells: &mut Cells, errors: &mut EvalErrors) -> bool {
        match self {
            CompiledStep::InRange { column, range } => range.holds(cells.get(*column), cells, errors),
            CompiledStep::Filter(condition) => condition.holds(cells, errors),
            CompiledStep::Let { column, expr } => {
                let cell = expr.eval(cells, errors);
                cells.set(*column, cell);
                true
            }
            CompiledStep::Observe { .. }
            | CompiledStep::ObserveDefault { .. }
            | CompiledStep::ObserveInRange { .. } => true,
        }
    }
}

impl BagJoin {
    /// Returns which of the bag's columns a column of the row is, or `None` if it is not one of them.
    pub(crate) fn bag_column(&self, column: usize) -> Option<usize> {
        column.checked_sub(self.first).filter(|column| *column < self.width)
    }
}
