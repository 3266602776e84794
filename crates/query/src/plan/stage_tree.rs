//! The tree of stages, and what the rules ask of it.

use super::expr_columns::columns_of;
use pivot_advice::{AggregateKind, EmitMode, Expr, FinalFunction, JoinKind, TemporalFilter, Type};
use std::collections::BTreeSet;

/// A whole query as a tree of stages: what is done at the tracepoints of each alias, and what travels from
/// one to the other in baggage.
///
/// ```text
/// FROM e IN E                               stage 0: e in E
/// JOIN x IN X ON x -> e                       observe k
/// JOIN y IN First(Y) ON y -> x                join x -> e
/// WHERE x.n > e.k                               stage 1: x in X
/// SELECT x.n, y.m                                 observe n
///                                                 join y -> x
///                                                   stage 2: y in Y, first 1
///                                                     observe m
///                                                     pack (y.m)
///                                                 pack (x.n, y.m)
///                                             filter x.n > e.k
///                                             emit rows (x.n, y.m)
/// ```
///
/// Tuples flow from the leaves to the root: an event of Y packs m; an event of X behind it unpacks m and
/// packs (n, m); an event of E behind both unpacks these, decides and emits. Stage 0 is the root, and a
/// stage comes after its parent, so rules that move things down go from front to back.
///
/// Columns have one number in the whole plan. Where a column begins to exist is not stored: it is the stage
/// that observes it, computes it, or unpacks it from an aggregating subquery ([`Plan::home`]).
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Plan {
    /// All columns, by their numbers.
    pub(crate) columns: Vec<PlanColumn>,
    /// The stages, parents before their children.
    pub(crate) stages: Vec<Stage>,
    /// The fraction of requests that take part.
    pub(crate) sample: Option<f64>,
}

/// A column: a field, the value of a LET, an element of a list, or a part of a subquery's result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlanColumn {
    /// The alias it belongs to; empty for a LET.
    pub(crate) alias: String,
    pub(crate) name: String,
    pub(crate) ty: Type,
}

/// The work at the tracepoints of one alias.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    /// The alias that queries call it by.
    pub(crate) alias: String,
    /// The stage that joins it; `None` for the root.
    pub(crate) parent: Option<usize>,
    /// The sources of its tuples: at least one, several for a union.
    pub(crate) members: Vec<StageSource>,
    /// The steps of all members, behind the choice of a temporal source.
    pub(crate) steps: Vec<StageStep>,
    /// The tuples of a request that it packs: all, the first few, or the most recent few.
    pub(crate) keep: TemporalFilter,
    /// The sources of a union that choose on their own. Members of these keep what they say, in their bags.
    pub(crate) choices: Vec<StageChoice>,
    /// The end that its rows come to.
    pub(crate) end: StageEnd,
    /// The stage whose bag holds this stage's tuples: itself, or one that packs the same.
    pub(crate) bag: usize,
}

/// A source of a union that keeps some of its own tuples, as in `JOIN x IN A, First(B)`: it has a bag of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StageChoice {
    pub(crate) keep: TemporalFilter,
    /// The number of its bag, beyond those of all stages.
    pub(crate) bag: usize,
}

/// One source of a stage, a member of the union if there are several: tracepoints at which the stage does the same.
/// A subquery that has dissolved left its steps here.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StageSource {
    pub(crate) tracepoints: Vec<StageTracepoint>,
    /// The fields that its advice observes.
    pub(crate) observed: Vec<ObservedField>,
    /// Its own steps, before those of the stage.
    pub(crate) steps: Vec<StageStep>,
    /// The choice of the stage that it belongs to, if its tuples are chosen apart from those of other members.
    pub(crate) choice: Option<usize>,
}

/// A tracepoint of a stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StageTracepoint {
    pub(crate) name: String,
    /// Nobody exports it yet.
    pub(crate) pending: bool,
}

/// A field that is observed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObservedField {
    /// The name under which it is exported.
    pub(crate) field: String,
    /// The column that its value becomes.
    pub(crate) column: u16,
    /// For each tracepoint of the member, whether it lacks the field.
    pub(crate) lacking: Vec<bool>,
}

/// One step over the rows of a stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StageStep {
    Let(u16, Expr),
    Filter(Expr),
    Join(StageJoin),
    /// One row for each element of a list.
    Unnest {
        list: u16,
        element: u16,
    },
    /// One row of those that agree on the columns.
    Distinct(Vec<u16>),
    /// Rows sorted by the columns.
    Order(Vec<u16>),
    /// The rows are the tuples that the member's choice chooses from; rows made of them later belong to them.
    Choose,
}

/// A happened-before join with the bag of a child stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StageJoin {
    /// The stage whose bag is unpacked.
    pub(crate) child: usize,
    /// The kind of the join: whether a row without a match goes, stays, or is all that stays.
    pub(crate) matching: JoinKind,
    /// The conditions that must hold at once for a match.
    pub(crate) on: Vec<Expr>,
    /// The values that the groups a row matches must differ in; if empty, all groups are taken.
    pub(crate) distinct: Vec<Expr>,
    /// Aggregating queries whose groups are in one relation with the tuples of the child: sources of one JOIN.
    pub(crate) united: Vec<UnitedGroups>,
}

/// An aggregating query as one of several sources of a join. Its stage packs for the same parent as the child, and its
/// groups have the columns that the child packs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UnitedGroups {
    /// The stage that packs what the query aggregates.
    pub(crate) stage: usize,
    /// The values of its groups in columns of the child, over those that it unpacks; null in all others.
    pub(crate) values: Vec<(u16, Expr)>,
    /// The conditions of its HAVING.
    pub(crate) having: Vec<Expr>,
    /// The values that its groups must differ in; if empty, all groups are taken.
    pub(crate) distinct: Vec<Expr>,
}

/// The end of a stage: what becomes of its rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StageEnd {
    /// Packed for the parent, equal rows as one with a multiplicity.
    Rows { keys: Vec<u16>, folds: Vec<StageAggregate> },
    /// The groups of an aggregating subquery.
    Groups(SubqueryGroups),
    /// The result.
    Emit { keys: Vec<u16>, folds: Vec<StageAggregate>, form: EmitMode },
}

/// Keys, n and finished aggregates become the parent's columns. Arguments of sketches are columns that
/// travel as further keys; the parent builds the sketches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SubqueryGroups {
    pub(crate) keys: Vec<u16>,
    pub(crate) folds: Vec<StageAggregate>,
    pub(crate) finished: Vec<StageAggregateResult>,
    pub(crate) unpacked: Vec<u16>,
}

/// A value wanted of a fold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StageAggregateResult {
    pub(crate) fold: usize,
    pub(crate) finish: FinalFunction,
}

/// An aggregate on its way. All folds of one aggregate carry its number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StageAggregate {
    pub(crate) number: usize,
    pub(crate) aggregate: AggregateKind,
    pub(crate) input: StageAggregateInput,
}

/// The input of a fold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StageAggregateInput {
    /// A value of each row.
    Expr(Expr),
    /// The fold of that number that a child packed.
    State,
}

impl ObservedField {
    /// Returns whether a tracepoint of the member lacks the field, by its place.
    pub(crate) fn is_lacking(&self, tracepoint: usize) -> bool {
        self.lacking.get(tracepoint).copied().unwrap_or(false)
    }
}

impl PlanColumn {
    /// Returns the column as a query names it.
    pub(crate) fn shown(&self) -> String {
        if self.alias.is_empty() { self.name.clone() } else { format!("{}.{}", self.alias, self.name) }
    }
}

impl StageStep {
    /// Returns the columns that the step reads.
    pub(crate) fn reads(&self) -> BTreeSet<u16> {
        match self {
            StageStep::Let(_, expr) | StageStep::Filter(expr) => columns_of(expr),
            StageStep::Join(join) => join.exprs().flat_map(columns_of).collect(),
            StageStep::Unnest { list, .. } => BTreeSet::from([*list]),
            StageStep::Distinct(columns) | StageStep::Order(columns) => columns.iter().copied().collect(),
            StageStep::Choose => BTreeSet::new(),
        }
    }

    /// Returns the column that the step itself computes, or `None` if it computes none.
    pub(crate) fn computes(&self) -> Option<u16> {
        match self {
            StageStep::Let(column, _) | StageStep::Unnest { element: column, .. } => Some(*column),
            _ => None,
        }
    }
}

impl StageJoin {
    /// Returns whether a stage packs what is joined.
    pub(crate) fn unpacks(&self, stage: usize) -> bool {
        self.child == stage || self.united.iter().any(|united| united.stage == stage)
    }

    /// Returns all expressions of the join.
    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let united = self.united.iter().flat_map(|united| {
            let values = united.values.iter().map(|(_, value)| value);
            values.chain(&united.having).chain(&united.distinct)
        });
        self.on.iter().chain(&self.distinct).chain(united)
    }
}

impl UnitedGroups {
    /// Returns whether a value of the groups is in a column of the child.
    pub(crate) fn has(&self, column: u16) -> bool {
        self.values.iter().any(|(known, _)| *known == column)
    }
}

impl StageAggregate {
    /// Returns the columns that the fold reads.
    pub(crate) fn reads(&self) -> BTreeSet<u16> {
        match &self.input {
            StageAggregateInput::Expr(expr) => columns_of(expr),
            StageAggregateInput::State => BTreeSet::new(),
        }
    }
}

impl SubqueryGroups {
    /// Returns the folds whose states are packed; arguments of the others travel as columns.
    pub(crate) fn packed_folds(&self) -> impl Iterator<Item = &StageAggregate> {
        self.folds.iter().filter(|fold| !fold.aggregate.is_sketch())
    }

    /// Returns the columns of the bag: the keys, then the arguments of sketches that are no keys, in order.
    pub(crate) fn packed(&self) -> Vec<u16> {
        let sketches = self.folds.iter().filter(|fold| fold.aggregate.is_sketch());
        let mut arguments: BTreeSet<u16> = sketches.flat_map(StageAggregate::reads).collect();
        for key in &self.keys {
            arguments.remove(key);
        }

        // Keys stay as they are, even if one is there twice: their places are counted on.
        let mut columns = self.keys.clone();
        columns.extend(arguments);
        columns
    }
}

impl StageEnd {
    /// Returns the columns that rows are grouped by.
    pub(crate) fn keys(&self) -> &[u16] {
        match self {
            StageEnd::Rows { keys, .. } | StageEnd::Emit { keys, .. } => keys,
            StageEnd::Groups(groups) => &groups.keys,
        }
    }

    pub(crate) fn keys_mut(&mut self) -> &mut Vec<u16> {
        match self {
            StageEnd::Rows { keys, .. } | StageEnd::Emit { keys, .. } => keys,
            StageEnd::Groups(groups) => &mut groups.keys,
        }
    }

    pub(crate) fn folds(&self) -> &[StageAggregate] {
        match self {
            StageEnd::Rows { folds, .. } | StageEnd::Emit { folds, .. } => folds,
            StageEnd::Groups(groups) => &groups.folds,
        }
    }

    pub(crate) fn folds_mut(&mut self) -> &mut Vec<StageAggregate> {
        match self {
            StageEnd::Rows { folds, .. } | StageEnd::Emit { folds, .. } => folds,
            StageEnd::Groups(groups) => &mut groups.folds,
        }
    }

    /// Returns whether the rows are the result.
    pub(crate) fn is_emit(&self) -> bool {
        matches!(self, StageEnd::Emit { .. })
    }

    /// Returns whether rows end here: what lies above sees results, not rows.
    pub(crate) fn is_sink(&self) -> bool {
        !matches!(self, StageEnd::Rows { .. })
    }

    /// Returns whether a column is one of the groups that a consumer unpacks.
    pub(crate) fn unpacks_as_group(&self, column: u16) -> bool {
        matches!(self, StageEnd::Groups(groups) if groups.unpacked.contains(&column))
    }

    /// Returns the columns that the end reads.
    pub(crate) fn reads(&self) -> BTreeSet<u16> {
        let folds = self.folds().iter().flat_map(StageAggregate::reads);
        self.keys().iter().copied().chain(folds).collect()
    }
}

impl Stage {
    /// Returns a stage that does nothing yet.
    pub(crate) fn new(alias: &str, parent: Option<usize>, number: usize) -> Stage {
        Stage {
            alias: alias.to_owned(),
            parent,
            members: vec![],
            steps: vec![],
            keep: TemporalFilter::All,
            choices: vec![],
            end: StageEnd::Rows { keys: vec![], folds: vec![] },
            bag: number,
        }
    }

    /// Returns whether tuples are chosen, those of some member at least.
    pub(crate) fn is_temporal(&self) -> bool {
        self.keep != TemporalFilter::All || !self.choices.is_empty()
    }

    /// Returns which of its tuples a member keeps.
    pub(crate) fn keep_of(&self, member: &StageSource) -> TemporalFilter {
        member.choice.map_or(self.keep, |choice| self.choices[choice].keep)
    }

    /// Returns the bag that a member packs.
    pub(crate) fn bag_of(&self, member: &StageSource) -> usize {
        member.choice.map_or(self.bag, |choice| self.choices[choice].bag)
    }

    /// Returns the bags of all members, that of plain sources first, each with what it keeps.
    pub(crate) fn bags(&self) -> impl Iterator<Item = StageChoice> {
        let is_plain = self.members.iter().any(|member| member.choice.is_none());
        let plain = is_plain.then_some(StageChoice { keep: self.keep, bag: self.bag });
        plain.into_iter().chain(self.choices.iter().cloned())
    }

    /// Returns the steps of all members and those behind them.
    pub(crate) fn all_steps(&self) -> impl Iterator<Item = &StageStep> {
        self.members.iter().flat_map(|member| &member.steps).chain(&self.steps)
    }

    /// Returns the lists of steps of all members and the one behind them, to be changed.
    pub(crate) fn lists_mut(&mut self) -> impl Iterator<Item = &mut Vec<StageStep>> {
        self.members.iter_mut().map(|member| &mut member.steps).chain([&mut self.steps])
    }

    /// Returns the joins of this stage.
    pub(crate) fn joins(&self) -> impl Iterator<Item = &StageJoin> {
        self.all_steps().filter_map(|step| match step {
            StageStep::Join(join) => Some(join),
            _ => None,
        })
    }

    pub(crate) fn observes(&self, column: u16) -> bool {
        self.members.iter().any(|member| member.observed.iter().any(|observed| observed.column == column))
    }

    /// Returns whether a step loses the multiplicity of rows, and their states with it.
    pub(crate) fn has_distinct(&self) -> bool {
        self.all_steps().any(|step| matches!(step, StageStep::Distinct(_)))
    }

    /// Returns the columns that the steps read.
    pub(crate) fn step_columns(&self) -> BTreeSet<u16> {
        self.all_steps().flat_map(StageStep::reads).collect()
    }

    /// Returns all tracepoints of the stage.
    pub(crate) fn tracepoints(&self) -> impl Iterator<Item = &StageTracepoint> {
        self.members.iter().flat_map(|member| &member.tracepoints)
    }
}

impl Plan {
    /// Adds a column of the root for an expression, computed behind everything else.
    pub(crate) fn root_column(&mut self, name: &str, expr: &Expr, ty: Type) -> u16 {
        if let Expr::Column(column) = expr {
            return *column;
        }
        let number = u16::try_from(self.columns.len()).unwrap_or(u16::MAX);
        self.columns.push(PlanColumn { alias: String::new(), name: name.to_owned(), ty });
        if let Some(root) = self.stages.first_mut() {
            root.steps.push(StageStep::Let(number, expr.clone()));
        }
        number
    }

    /// Returns the columns that a join with a stage appends.
    pub(crate) fn appended(&self, child: usize) -> &[u16] {
        match &self.stages[child].end {
            StageEnd::Groups(groups) => &groups.unpacked,
            other => other.keys(),
        }
    }

    /// Returns how a stage is joined to its parent, or `None` for the root.
    pub(crate) fn joined(&self, child: usize) -> Option<&StageJoin> {
        let parent = self.stages[child].parent?;
        self.stages[parent].joins().find(|join| join.unpacks(child))
    }

    /// Returns the stage at which a column begins to exist, or `None` if no stage has it.
    pub(crate) fn home(&self, column: u16) -> Option<usize> {
        let own = self.stages.iter().position(|stage| {
            stage.observes(column)
                || stage.all_steps().any(|step| step.computes() == Some(column))
                || stage.joins().any(|join| self.stages[join.child].end.unpacks_as_group(column))
        });
        own.or_else(|| {
            // A column of a union of aggregating queries alone, which no tracepoint observes.
            let mut joins = self.stages.iter().flat_map(Stage::joins);
            joins.find(|join| join.united.iter().any(|united| united.has(column))).map(|join| join.child)
        })
    }

    /// Returns the stages from one up to its sink, both included.
    pub(crate) fn way_up(&self, stage: usize) -> Vec<usize> {
        let mut way = vec![stage];
        let mut stage = stage;
        while let (false, Some(parent)) = (self.stages[stage].end.is_sink(), self.stages[stage].parent) {
            stage = parent;
            way.push(stage);
        }
        way
    }

    /// Returns the earliest stage where all columns are bound, or `None` if there are no columns.
    pub(crate) fn meeting(&self, columns: &BTreeSet<u16>) -> Option<usize> {
        let mut homes = columns.iter().filter_map(|column| self.home(*column));
        let first = homes.next()?;
        let mut way = self.way_up(first);
        for home in homes {
            let other = self.way_up(home);
            way.retain(|stage| other.contains(stage));
        }
        way.first().copied()
    }

    /// Returns the stages above one, up to its sink.
    pub(crate) fn above(&self, stage: usize) -> Vec<usize> {
        self.way_up(stage).split_off(1)
    }

    /// Returns whether a stage is another one or lies below it.
    pub(crate) fn is_below(&self, stage: usize, top: usize) -> bool {
        std::iter::successors(Some(stage), |stage| self.stages[*stage].parent).any(|stage| stage == top)
    }
}
