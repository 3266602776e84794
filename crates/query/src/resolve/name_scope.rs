//! What names mean while a query is resolved.
//!
//! Expressions here and in the plan are those of advice, but their columns are numbers into the plan's
//! columns; only lowering knows the positions in a row.

use pivot_advice::{Aggregate, Expr, Finish, Type};
use std::collections::HashMap;

/// An expression and its type.
#[derive(Debug, Clone)]
pub(super) struct TypedExpr {
    pub(super) expr: Expr,
    pub(super) ty: Type,
}

/// What an alias stands for.
#[derive(Debug, Clone)]
pub(super) enum AliasBinding {
    /// The tuples of a stage, from some of its members.
    Tuples { stage: usize, parts: Vec<BoundMember> },
    /// The result of an aggregating query, which is no event.
    Groups { columns: Vec<(String, TypedExpr)>, having: Option<Expr>, distinct: bool },
    /// Something that did not resolve: whatever it is asked for is accepted.
    Unknown,
}

/// One member of a stage, and what it is seen as.
#[derive(Debug, Clone)]
pub(super) struct BoundMember {
    pub(super) member: usize,
    pub(super) columns: VisibleColumns,
}

/// What an alias sees of a member.
#[derive(Debug, Clone)]
pub(super) enum VisibleColumns {
    /// The fields of its tracepoints, but for lists that were taken apart: these are their elements.
    Fields { elements: Vec<(String, u16)> },
    /// The columns of a query.
    Columns(Vec<(String, u16)>),
}

/// Where the steps of a query go.
#[derive(Debug, Clone)]
pub(super) enum StepTarget {
    /// Behind all members of a stage, and behind its choice.
    Stage(usize),
    /// To the end of these members.
    Members(usize, Vec<usize>),
}

/// An alias that an expression may use.
#[derive(Debug, Clone)]
pub(super) struct ScopeAlias {
    pub(super) name: String,
    pub(super) binding: AliasBinding,
    /// It is anti-joined, or joined to one that is: only conditions of such joins may use it.
    pub(super) hidden: bool,
}

/// The names that an expression may use.
#[derive(Debug, Clone, Default)]
pub(super) struct NameScope {
    pub(super) aliases: Vec<ScopeAlias>,
    pub(super) lets: Vec<(String, TypedExpr)>,
    /// The alias whose columns also stand bare, inside a temporal source.
    pub(super) bare: Option<AliasBinding>,
    /// Whether hidden aliases may be used.
    pub(super) sees_hidden: bool,
    /// Some alias may be missing because its clause did not parse.
    pub(super) broken: bool,
}

impl NameScope {
    pub(super) fn alias(&self, name: &str) -> Option<&ScopeAlias> {
        self.aliases.iter().find(|alias| alias.name == name)
    }

    pub(super) fn assigned(&self, name: &str) -> Option<&TypedExpr> {
        self.lets.iter().find(|(assigned, _)| assigned == name).map(|(_, typed)| typed)
    }

    pub(super) fn add(&mut self, name: &str, binding: AliasBinding, hidden: bool) {
        self.aliases.push(ScopeAlias { name: name.to_owned(), binding, hidden });
    }
}

impl AliasBinding {
    /// The stage whose event this is.
    pub(super) fn stage(&self) -> Option<usize> {
        match self {
            AliasBinding::Tuples { stage, .. } => Some(*stage),
            _ => None,
        }
    }

    /// The members of its stage.
    pub(super) fn members(&self) -> Vec<usize> {
        match self {
            AliasBinding::Tuples { parts, .. } => parts.iter().map(|part| part.member).collect(),
            _ => vec![],
        }
    }
}

/// The column of a result that is the length of its window in seconds.
pub(crate) const SECONDS: u16 = u16::MAX;

/// What a query gives for the rows that reach its end.
#[derive(Debug, Clone)]
pub(crate) enum ResolvedResult {
    /// The rows themselves: their values, each with name and type; `shown` of them are the user's.
    Rows { values: Vec<(String, u16, Type)>, shown: usize },
    /// Groups; expressions are over keys, then n, then the finished aggregates, then seconds.
    Groups(ResolvedGroups),
}

/// The groups of an aggregating query.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResolvedGroups {
    pub(crate) keys: Vec<(String, Expr, Type)>,
    pub(crate) folds: Vec<(Aggregate, Expr)>,
    pub(crate) finished: Vec<FinishedAggregate>,
    pub(crate) columns: Vec<(String, Expr, Type)>,
    pub(crate) having: Option<Expr>,
    pub(crate) order: Vec<(Expr, bool)>,
}

/// A value wanted of a fold.
#[derive(Debug, Clone)]
pub(crate) struct FinishedAggregate {
    pub(crate) name: String,
    pub(crate) fold: usize,
    pub(crate) finish: Finish,
    pub(crate) ty: Type,
}

/// The aggregates of a SELECT, with the columns that stand for them while expressions are resolved.
#[derive(Debug, Default)]
pub(super) struct CollectedAggregates {
    pub(super) folds: Vec<(Aggregate, Expr)>,
    pub(super) finished: Vec<FinishedAggregate>,
    pub(super) placeholders: HashMap<u16, Placeholder>,
}

/// What a column stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placeholder {
    /// How many rows the group has.
    Rows,
    /// A finished aggregate.
    Finished(usize),
    /// The length of the window.
    Seconds,
}

/// Where a source stands.
#[derive(Debug, Clone)]
pub(super) struct SourceSite {
    pub(super) alias: String,
    /// Its stage, to which its members are added.
    pub(super) stage: usize,
    pub(super) role: SourceRole,
}

/// What a source is to the query around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceRole {
    From,
    Joined,
    /// Inside First or MostRecent.
    Kept,
}
