//! Advice: what one stage of a query does at one tracepoint, as a straight line of instructions.
//!
//! The query of the paper's figure 1 (where the field `process` is called `procName`) compiles to two advices, one
//! for each tracepoint. Their text form ([`crate::advice_text`]) is what `EXPLAIN` shows:
//!
//! ```text
//! FROM incr IN DataNodeMetrics.incrBytesRead
//! JOIN cl IN First(ClientProtocols) ON cl -> incr
//! GROUP BY cl.process SELECT cl.process, SUM(incr.delta)
//!
//! A1 at ClientProtocols                       A0 at DataNodeMetrics.incrBytesRead
//!   OBSERVE process                             OBSERVE delta
//!   PACK    bag 7.1 FIRST 1 (process)           UNPACK  bag 7.1 as cl (process)
//!                                               EMIT    query 7 GROUP (cl.process) AGG (SUM(delta))
//! ```
//!
//! # How an advice runs
//!
//! It starts with one row that has no columns and the multiplicity 1, and ends where no row is left:
//!
//! | instruction | rows | columns |
//! |---|---|---|
//! | Observe, Let | as before | one more: a field, the value of an expression |
//! | Unpack, UnpackUnion | each times the matching rows of a bag, or of several | those of the bag, or of the union |
//! | Unnest | each times the elements of a list | one more: the element |
//! | Filter, Distinct | fewer | as before |
//! | Order, Choose | as before, sorted; marked as tuples | as before |
//! | Pack, Emit (the last one) | consumed, grouped by some columns | |
//!
//! Columns are numbered in the order in which instructions append them. So are the aggregate states that come
//! with unpacked groups, in a numbering of their own; a state counts for all rows of its group, and is
//! multiplied with the rows of the other side of the join.
//!
//! # The byte form
//!
//! On the wire an advice is the protobuf message `pivot.v1.Advice` (`proto/pivot/v1/advice.proto`), with one
//! message for each instruction and expressions in postfix order. `pivot-protocol` converts it. Only bags and
//! groups have a byte form of their own, in [`crate::codec`].

use crate::aggregate::{AggregateKind, FinalFunction};
use crate::expr::Expr;
use std::fmt;

/// The most instructions an advice may have.
pub const MAX_INSTRUCTIONS: usize = 256;

/// The default field with the request's id: as users write it, and as `EXPLAIN ANALYZE` observes it, which no
/// export can hide.
const REQUEST_FIELDS: [&str; 2] = ["request", "$request"];

/// Names an installed query everywhere: which frontend, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct QueryId {
    /// Random per frontend, so that two frontends never mean different queries by one id.
    pub frontend: u32,
    /// The number that users see.
    pub number: u32,
}

impl QueryId {
    /// Returns the id of a frontend's query.
    pub fn new(frontend: u32, number: u32) -> QueryId {
        QueryId { frontend, number }
    }

    /// Returns both parts in one number, the frontend in the upper half, as ids travel in baggage.
    pub fn to_u64(self) -> u64 {
        u64::from(self.frontend) << 32 | u64::from(self.number)
    }

    /// Returns the id of such a number.
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
    /// Returns the bag that the advice packs, if it packs one.
    pub fn packs(&self) -> impl Iterator<Item = BagKey> {
        self.instructions.iter().filter_map(|step| match step {
            Instruction::Pack { bag, .. } => Some(*bag),
            _ => None,
        })
    }

    /// Returns the bags that the advice unpacks.
    pub fn unpacks(&self) -> impl Iterator<Item = BagKey> {
        self.instructions.iter().flat_map(|step| {
            let (single, united) = match step {
                Instruction::Unpack { bag, .. } => (Some(*bag), &[][..]),
                Instruction::UnpackUnion { bags, .. } => (None, bags.as_slice()),
                _ => (None, &[][..]),
            };
            single.into_iter().chain(united.iter().map(|united| united.bag))
        })
    }

    /// Whether running the advice reads or changes the baggage of the request: whether it packs or unpacks.
    pub fn needs_baggage(&self) -> bool {
        self.packs().chain(self.unpacks()).next().is_some()
    }

    /// Whether requests have to carry baggage for the advice: because it packs, or because it observes the
    /// request's id, which travels in the baggage.
    pub fn needs_carrying(&self) -> bool {
        self.instructions.iter().any(|step| match step {
            Instruction::Pack { .. } => true,
            Instruction::Observe { field } => REQUEST_FIELDS.contains(&field.as_str()),
            _ => false,
        })
    }
}

/// One step of an advice. The table at the head of this file says what each does to the rows.
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
        aggregates: Vec<AggregateKind>,
        /// The result that the bag stands for: its rows, or the groups of a subquery over them.
        rows: UnpackedForm,
        /// The kind of join.
        matching: JoinKind,
        /// The condition of the join, over the row's columns and those of the bag; none matches all.
        on: Option<Expr>,
    },
    /// Joins each row with the rows of several bags, which are one relation: a union of sources of which one
    /// chooses or aggregates on its own. A row without a match is one that no bag has a match for.
    UnpackUnion {
        /// The alias that the rows belong to, for the text form.
        alias: String,
        /// Names of the columns that it appends; an anti join appends none after its condition.
        columns: Vec<String>,
        /// The bags. Their rows bring no aggregate states.
        bags: Vec<UnitedBag>,
        /// The kind of join.
        matching: JoinKind,
        /// The condition of the join, over the row's columns and those of the union; none matches all.
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
        /// The tuples that the bag keeps, of all that are packed in a request.
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
        /// Whether the groups or the single rows are the result.
        form: EmitMode,
    },
}

/// The tuples that a bag keeps, of all that are packed into it in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TemporalFilter {
    /// All, grouped.
    All,
    /// The first n by their timestamps: hybrid logical clock, then a random number.
    First(u32),
    /// The most recent n by their timestamps.
    MostRecent(u32),
}

/// The kind of a happened-before join: it decides about rows that nothing in the bag matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// Rows without a match are dropped.
    Inner,
    /// Rows without a match are kept, with null in the bag's columns.
    Left,
    /// Rows without a match are kept, and those with one are dropped. Only the condition sees the bag's
    /// columns.
    Anti,
}

/// The result that unpacking makes of a bag.
#[derive(Debug, Clone, PartialEq)]
pub enum UnpackedForm {
    /// The bag's rows. Their columns are the keys of its groups; a group's multiplicity and states carry on.
    Rows,
    /// The result of an aggregating subquery: the bag's rows are grouped, and each group is one row
    /// whose columns are its keys, then how many rows it has, then the finished aggregates.
    Groups {
        /// Number of columns of the bag; the expressions of `folds` are over these.
        width: u16,
        /// The columns that the bag's rows are grouped by.
        keys: Vec<u16>,
        /// The aggregates over each group. States in them are those of the bag.
        folds: Vec<AggregateCall>,
        /// The values that the result has of these aggregates.
        finished: Vec<FinalColumn>,
        /// Of the groups that a row matches, one of those that agree on these values, over the row's
        /// columns and the group's; empty: all.
        distinct: Vec<Expr>,
    },
}

impl UnpackedForm {
    /// Returns the number of key columns of the bag, given the number of columns that the instruction
    /// appends.
    pub fn width(&self, columns: usize) -> usize {
        match self {
            UnpackedForm::Rows => columns,
            UnpackedForm::Groups { width, .. } => usize::from(*width),
        }
    }

    /// Returns the expressions in which the groups that one row matches must differ; empty if in nothing.
    pub fn distinct(&self) -> &[Expr] {
        match self {
            UnpackedForm::Rows => &[],
            UnpackedForm::Groups { distinct, .. } => distinct,
        }
    }
}

/// One of the bags of a union. All of its expressions are over its own rows alone.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitedBag {
    /// The bag.
    pub bag: BagKey,
    /// Number of columns that unpacking it alone would append.
    pub width: u16,
    /// The bag's aggregates.
    pub aggregates: Vec<AggregateKind>,
    /// The result that the bag stands for: its rows, or the groups of a subquery over them.
    pub rows: UnpackedForm,
    /// The condition that its rows must satisfy, as HAVING of the subquery; none takes all.
    pub having: Option<Expr>,
    /// The values that its rows have in the columns of the union.
    pub values: Vec<Expr>,
}

/// One column of an aggregating subquery: a value computed of an aggregate state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FinalColumn {
    /// The number of the state.
    pub state: u16,
    /// The function that makes the value.
    pub finish: FinalFunction,
}

/// The form of the result that Emit adds its rows to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EmitMode {
    /// Groups with aggregates; beyond the budget rows are added to `other`.
    Groups,
    /// The rows themselves, equal ones counted; beyond the budget they are dropped and counted.
    Rows,
}

/// An aggregate over the rows of a Pack or Emit, with its argument: `SUM(delta)`.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// The aggregate.
    pub aggregate: AggregateKind,
    /// The argument of the aggregate.
    pub input: CallArgument,
}

/// The argument of an [`AggregateCall`].
#[derive(Debug, Clone, PartialEq)]
pub enum CallArgument {
    /// A value of each row, counted as often as the row is.
    Expr(Expr),
    /// A partial aggregate that was unpacked with the row, already multiplied by all other sides of the join.
    State(u16),
}
