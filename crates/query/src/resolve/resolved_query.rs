//! A query whose names are columns of a plan: what resolution gives, and what planning goes on with.

use crate::compiled::RunSettings;
use crate::plan::Plan;
use crate::sort_order::SortOrder;
use pivot_advice::{AggregateKind, Expr, FinalFunction, Type};

/// A query whose names and types are known.
#[derive(Debug)]
pub(crate) struct ResolvedQuery {
    /// The stages, without the end of the first.
    pub(crate) plan: Plan,
    /// The values or groups that the first stage emits.
    pub(crate) result: ResolvedResult,
    pub(crate) shape: ResultClauses,
    /// Tracepoints and patterns that nobody exports yet.
    pub(crate) pending: Vec<String>,
}

/// The column of a result that is the length of its window in seconds.
pub(crate) const SECONDS: u16 = u16::MAX;

/// The result of a query for the rows that reach its end.
#[derive(Debug, Clone)]
pub(crate) enum ResolvedResult {
    /// The rows themselves. The first `shown` values are the user's, the others are sorted by.
    Rows { values: Vec<RowValue>, shown: usize },
    /// Groups; expressions are over keys, then n, then the finished aggregates, then seconds.
    Groups(ResolvedGroups),
}

/// A value of a row that a query gives: a column of the plan.
#[derive(Debug, Clone)]
pub(crate) struct RowValue {
    pub(crate) name: String,
    pub(crate) column: u16,
    pub(crate) ty: Type,
}

/// An expression with the name under which it is selected.
#[derive(Debug, Clone)]
pub(crate) struct NamedExpr {
    pub(crate) name: String,
    pub(crate) expr: Expr,
    pub(crate) ty: Type,
}

/// An expression that rows are sorted by.
#[derive(Debug, Clone)]
pub(crate) struct SortKey {
    pub(crate) expr: Expr,
    pub(crate) order: SortOrder,
}

/// The groups of an aggregating query.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResolvedGroups {
    /// Over the rows that are grouped.
    pub(crate) keys: Vec<NamedExpr>,
    /// The aggregate states of a group, each with its argument over the rows.
    pub(crate) folds: Vec<(AggregateKind, Expr)>,
    /// The values that are wanted of the states.
    pub(crate) finished: Vec<FinishedAggregate>,
    /// Over the group.
    pub(crate) columns: Vec<NamedExpr>,
    pub(crate) having: Option<Expr>,
    pub(crate) order: Vec<SortKey>,
}

/// A value wanted of an aggregate state.
#[derive(Debug, Clone)]
pub(crate) struct FinishedAggregate {
    pub(crate) name: String,
    /// The place of the state in [`ResolvedGroups::folds`].
    pub(crate) fold: usize,
    pub(crate) finish: FinalFunction,
    pub(crate) ty: Type,
}

/// The shape of a result: the clauses that apply to its rows before they are shown, and the settings of
/// its query.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResultClauses {
    pub(crate) distinct: bool,
    /// Over the columns of a result of rows.
    pub(crate) order: Vec<SortKey>,
    pub(crate) limit: Option<u64>,
    pub(crate) sample: Option<f64>,
    pub(crate) settings: RunSettings,
}
