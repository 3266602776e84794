//! What names mean while a query is resolved.
//!
//! Expressions here and in the plan are those of advice, but their columns are numbers into the plan's
//! columns; only lowering knows the positions in a row.

use super::resolved_query::FinishedAggregate;
use pivot_advice::{AggregateKind, Expr, Type, Value};
use std::collections::HashMap;

/// An expression and its type.
#[derive(Debug, Clone)]
pub(super) struct TypedExpr {
    pub(super) expr: Expr,
    pub(super) ty: Type,
}

impl TypedExpr {
    /// Returns what stands for an expression that could not be resolved: a null of any type, with which
    /// everything goes, so that one mistake is reported once.
    pub(super) fn unknown() -> TypedExpr {
        TypedExpr { expr: Expr::Literal(Value::Null), ty: Type::Any }
    }
}

/// The thing that an alias stands for.
#[derive(Debug, Clone)]
pub(super) enum AliasBinding {
    /// The tuples of a stage, from some of its members, and the results of aggregating queries in one union with them.
    Tuples { stage: usize, members: Vec<VisibleMember>, groups: Vec<VisibleGroups> },
    /// The result of an aggregating query, which is no event.
    Groups(VisibleGroups),
    /// Something that did not resolve: whatever it is asked for is accepted.
    Unknown,
}

/// The result of an aggregating query, as an alias sees it.
#[derive(Debug, Clone)]
pub(super) struct VisibleGroups {
    /// The stage that packs what it aggregates.
    pub(super) stage: usize,
    /// The columns of SELECT, over those that its consumer unpacks.
    pub(super) columns: Vec<(String, TypedExpr)>,
    pub(super) having: Option<Expr>,
    pub(super) distinct: bool,
}

impl VisibleGroups {
    /// Returns the column of a name, or `None` if SELECT has no such column.
    pub(super) fn column(&self, name: &str) -> Option<&TypedExpr> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, typed)| typed)
    }

    /// Returns what the rows differ in: the columns, if SELECT says DISTINCT.
    pub(super) fn distinct_columns(&self) -> Vec<Expr> {
        match self.distinct {
            true => self.columns.iter().map(|(_, typed)| typed.expr.clone()).collect(),
            false => vec![],
        }
    }
}

/// One member of a stage, and which columns an alias sees of it.
#[derive(Debug, Clone)]
pub(super) struct VisibleMember {
    /// Its place in the stage.
    pub(super) member: usize,
    pub(super) columns: MemberColumns,
}

/// The columns that an alias sees of a member.
#[derive(Debug, Clone)]
pub(super) enum MemberColumns {
    /// The fields of its tracepoints, but for lists that were taken apart: these are their elements.
    Fields { elements: Vec<(String, u16)> },
    /// The columns of a query, and nothing else.
    Columns(Vec<(String, u16)>),
}

impl MemberColumns {
    /// Returns how many columns have names of their own.
    pub(super) fn len(&self) -> usize {
        let (MemberColumns::Fields { elements: columns } | MemberColumns::Columns(columns)) = self;
        columns.len()
    }

    /// Returns the column of a name, or `None` if only a field could have it.
    pub(super) fn column(&self, name: &str) -> Option<u16> {
        let (MemberColumns::Fields { elements: columns } | MemberColumns::Columns(columns)) = self;
        columns.iter().find(|(known, _)| known == name).map(|(_, column)| *column)
    }
}

impl VisibleMember {
    /// Returns the member with one field or column replaced by its elements.
    pub(super) fn with_element(mut self, name: &str, element: u16) -> VisibleMember {
        let (MemberColumns::Fields { elements: columns } | MemberColumns::Columns(columns)) =
            &mut self.columns;
        columns.retain(|(known, _)| known != name);
        columns.push((name.to_owned(), element));
        self
    }
}

impl AliasBinding {
    /// Returns the stage whose event the alias is, or `None` if it is no event.
    pub(super) fn stage(&self) -> Option<usize> {
        match self {
            AliasBinding::Tuples { stage, .. } => Some(*stage),
            _ => None,
        }
    }

    /// Returns the places of its members in their stage.
    pub(super) fn members(&self) -> Vec<usize> {
        match self {
            AliasBinding::Tuples { members, .. } => members.iter().map(|member| member.member).collect(),
            _ => vec![],
        }
    }

    /// Returns the aggregating queries that are in one union with its tuples.
    pub(super) fn united(&self) -> &[VisibleGroups] {
        match self {
            AliasBinding::Tuples { groups, .. } => groups,
            _ => &[],
        }
    }
}

/// The place where the resolver appends the steps of a query: a stage, or some members of a stage.
#[derive(Debug, Clone)]
pub(super) enum StepDestination {
    /// Behind all members of a stage, and behind its choice.
    Stage(usize),
    /// To the end of these members of a stage.
    Members(usize, Vec<usize>),
}

impl StepDestination {
    /// Returns the stage that the steps belong to.
    pub(super) fn stage(&self) -> usize {
        let (StepDestination::Stage(stage) | StepDestination::Members(stage, _)) = self;
        *stage
    }
}

/// An alias that an expression may use.
#[derive(Debug, Clone)]
pub(super) struct ScopeAlias {
    pub(super) name: String,
    pub(super) binding: AliasBinding,
    /// The alias is anti-joined, or joined to one that is: only conditions of such joins may use it.
    pub(super) hidden: bool,
}

/// The names that an expression may use.
#[derive(Debug, Clone, Default)]
pub(super) struct NameScope {
    pub(super) aliases: Vec<ScopeAlias>,
    /// The values of LET.
    pub(super) lets: Vec<(String, TypedExpr)>,
    /// The alias whose columns also stand bare, inside a temporal source.
    pub(super) bare: Option<AliasBinding>,
    /// Whether hidden aliases may be used.
    pub(super) sees_hidden: bool,
    /// Some alias may be missing because its clause did not parse.
    pub(super) broken: bool,
}

impl NameScope {
    /// Returns the alias of a name, or `None` if there is none.
    pub(super) fn alias(&self, name: &str) -> Option<&ScopeAlias> {
        self.aliases.iter().find(|alias| alias.name == name)
    }

    /// Returns the value that LET gave a name, or `None` if it gave none.
    pub(super) fn assigned(&self, name: &str) -> Option<&TypedExpr> {
        self.lets.iter().find(|(assigned, _)| assigned == name).map(|(_, typed)| typed)
    }

    /// Makes an alias known.
    pub(super) fn add(&mut self, name: &str, binding: AliasBinding) {
        self.aliases.push(ScopeAlias { name: name.to_owned(), binding, hidden: false });
    }

    /// Makes an alias known that only conditions of joins may use.
    pub(super) fn add_hidden(&mut self, name: &str, binding: AliasBinding) {
        self.aliases.push(ScopeAlias { name: name.to_owned(), binding, hidden: true });
    }
}

/// The aggregates of a SELECT, with the columns that stand for them while expressions are resolved.
///
/// `SUM(x) / COUNT` resolves to `#7 / #8`; afterwards #7 and #8 become places in the group.
#[derive(Debug, Default)]
pub(super) struct CollectedAggregates {
    /// Aggregate states with their arguments, each once.
    pub(super) folds: Vec<(AggregateKind, Expr)>,
    /// The values that are wanted of the states, each once.
    pub(super) finished: Vec<FinishedAggregate>,
    /// The columns that stand for something else.
    pub(super) placeholders: HashMap<u16, SelectPlaceholder>,
}

/// The thing that a column stands for while a SELECT is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SelectPlaceholder {
    /// How many rows the group has.
    Rows,
    /// A finished aggregate, by its place.
    Finished(usize),
    /// The length of the window.
    Seconds,
}

/// The site of a source: the alias and stage that it is resolved for.
#[derive(Debug, Clone)]
pub(super) struct SourceContext {
    pub(super) alias: String,
    /// Its stage, to which its members are added.
    pub(super) stage: usize,
    pub(super) role: SourceRole,
}

/// The role of a source in the query around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceRole {
    /// The events of the source are the rows.
    From,
    /// The events of the source happened before.
    Joined,
    /// The source is one of several whose events happened before.
    United,
    /// The source is inside of First or MostRecent.
    Kept,
}
