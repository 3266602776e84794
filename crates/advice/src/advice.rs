//! Advice: what one stage of a query does at one tracepoint.
//!
//! Running an advice starts with one row without columns and of multiplicity 1. Observe, Unpack, Unnest
//! and Let append columns to every row; Unpack and Unnest also multiply rows; Filter and Distinct drop
//! them; a final Pack or Emit consumes them. Columns are numbered in the order in which instructions
//! append them, and so are the states that come with unpacked groups.

use crate::aggregate::{Aggregate, FinalFunction};
use crate::expr::Expr;
use std::fmt;

/// The most instructions an advice may have.
pub const MAX_INSTRUCTIONS: usize = 256;

/// Names an installed query everywhere: which frontend, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct QueryId {
    /// Random per frontend, so that two frontends never mean different queries by one id.
    pub frontend: u32,
    /// The number users see.
    pub number: u32,
}

impl QueryId {
    /// The id of a frontend's query.
    pub fn new(frontend: u32, number: u32) -> QueryId {
        QueryId { frontend, number }
    }

    /// Both parts in one number, as it travels.
    pub fn to_u64(self) -> u64 {
        u64::from(self.frontend) << 32 | u64::from(self.number)
    }

    /// The id that travelled as this number.
    pub fn from_u64(id: u64) -> QueryId {
        QueryId { frontend: (id >> 32) as u32, number: id as u32 }
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

/// Names a bag in the baggage: the query and the stage that packs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BagKey {
    /// The query.
    pub query: QueryId,
    /// The stage within the query.
    pub stage: u16,
}

impl fmt::Display for BagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.query, self.stage)
    }
}

/// The program of one stage at one tracepoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// The query it belongs to.
    pub query: QueryId,
    /// The stage of the query, 0 for the one that emits.
    pub stage: u16,
    /// The full name of the tracepoint it is woven into.
    pub tracepoint: String,
    /// Observe, Unpack, Let and Filter in any order that binds before use; one Pack or Emit at the end.
    pub instructions: Vec<Instruction>,
}

impl Advice {
    /// The bag that it packs, if any.
    pub fn packs(&self) -> impl Iterator<Item = BagKey> {
        self.instructions.iter().filter_map(|step| match step {
            Instruction::Pack { bag, .. } => Some(*bag),
            _ => None,
        })
    }

    /// The bags that it unpacks.
    pub fn unpacks(&self) -> impl Iterator<Item = BagKey> {
        self.instructions.iter().filter_map(|step| match step {
            Instruction::Unpack { bag, .. } => Some(*bag),
            _ => None,
        })
    }
}

/// One step of an advice.
#[derive(Debug, Clone, PartialEq)]
pub enum Instruction {
    /// Appends the value of an exported or default field. Comes before any Unpack.
    Observe {
        /// The field.
        field: String,
    },
    /// Joins each row with the rows of a bag: the happened-before join.
    Unpack {
        /// The bag.
        bag: BagKey,
        /// The alias that the bag's rows belong to, for the text form.
        alias: String,
        /// Names of the columns that it appends; an anti join appends none after its condition.
        columns: Vec<String>,
        /// The bag's aggregates.
        aggregates: Vec<Aggregate>,
        /// What a group of the bag becomes.
        rows: UnpackMode,
        /// What becomes of a row without a match.
        matching: JoinKind,
        /// What a row of the bag must satisfy to match, over the row's columns and those of the bag.
        on: Option<Expr>,
    },
    /// Replaces each row by one for every element of a list, in their order, with the element appended.
    Unnest {
        /// The column with the list.
        list: u16,
        /// Name of the element, for the text form.
        name: String,
    },
    /// Keeps one of all rows that agree on these columns, of multiplicity 1. States are lost.
    Distinct {
        /// The columns.
        columns: Vec<u16>,
    },
    /// Sorts the rows by these columns.
    Order {
        /// The columns.
        columns: Vec<u16>,
    },
    /// Takes the rows as the tuples of a temporal source, of which the final Pack keeps some. Rows
    /// that a later Unpack makes belong to the tuple that they are made of.
    Choose,
    /// Appends the value of an expression.
    Let {
        /// Name of the column, for the text form.
        name: String,
        /// The expression.
        expr: Expr,
    },
    /// Drops the rows for which the condition is not true.
    Filter {
        /// The condition.
        expr: Expr,
    },
    /// Puts each row into a bag of the request's baggage.
    Pack {
        /// The bag.
        bag: BagKey,
        /// Which of all tuples packed in this request the bag keeps.
        keep: TemporalFilter,
        /// The columns that the rows are grouped by.
        keys: Vec<u16>,
        /// The partial aggregates of each group.
        folds: Vec<AggregateCall>,
    },
    /// Adds each row to the process's part of the result.
    Emit {
        /// The columns that the rows are grouped by.
        keys: Vec<u16>,
        /// The partial aggregates of each group.
        folds: Vec<AggregateCall>,
        /// Whether groups or single rows are the result.
        form: EmitMode,
    },
}

/// Which tuples a bag keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TemporalFilter {
    /// All, grouped.
    All,
    /// The first n by stamp.
    First(u32),
    /// The most recent n by stamp.
    MostRecent(u32),
}

/// What becomes of a row that nothing in the bag matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// It is dropped.
    Inner,
    /// It is kept, with null in the bag's columns.
    Left,
    /// It is kept, and those with a match are dropped. The bag's columns are seen by `on` alone.
    Anti,
}

/// What a group of a bag becomes when it is unpacked.
#[derive(Debug, Clone, PartialEq)]
pub enum UnpackMode {
    /// Its n rows: columns are the keys; multiplicity and states carry on.
    Rows,
    /// The result of an aggregating subquery: the bag's rows are grouped, and each group is one row
    /// whose columns are its keys, then how many rows it has, then the finished aggregates.
    Groups {
        /// How many columns the bag has; expressions of `folds` are over these.
        width: u16,
        /// Those that rows are grouped by.
        keys: Vec<u16>,
        /// The aggregates over each group. States are those of the bag.
        folds: Vec<AggregateCall>,
        /// The values wanted of them.
        finished: Vec<FinalValue>,
        /// Of the groups that a row matches, one of those that agree on these values, over the row's
        /// columns and the group's; empty: all.
        distinct: Vec<Expr>,
    },
}

impl UnpackMode {
    /// How many key columns the bag has, if it appends so many columns.
    pub fn width(&self, columns: usize) -> usize {
        match self {
            UnpackMode::Rows => columns,
            UnpackMode::Groups { width, .. } => usize::from(*width),
        }
    }

    /// What the groups that a row matches must differ in.
    pub fn distinct(&self) -> &[Expr] {
        match self {
            UnpackMode::Rows => &[],
            UnpackMode::Groups { distinct, .. } => distinct,
        }
    }
}

/// A value wanted of a state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FinalValue {
    /// The place of the state.
    pub state: u16,
    /// Which value.
    pub finish: FinalFunction,
}

/// What Emit makes of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EmitMode {
    /// Groups with aggregates; beyond the budget rows are added to `other`.
    Groups,
    /// The rows themselves, equal ones counted; beyond the budget they are dropped and counted.
    Rows,
}

/// One aggregate of a Pack or Emit and where its rows come from.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// The aggregate.
    pub aggregate: Aggregate,
    /// Its input.
    pub input: CallArgument,
}

/// The input of a [`AggregateCall`].
#[derive(Debug, Clone, PartialEq)]
pub enum CallArgument {
    /// A value of each row, counted as often as the row is.
    Expr(Expr),
    /// A state that was unpacked with the row, already multiplied by all other sides of the join.
    State(u16),
}
