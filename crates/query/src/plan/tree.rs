//! The tree of stages and what the rules ask of it.
//!
//! Columns have one number in the whole plan. Where a column begins to exist is not stored: it is the
//! stage that observes it, computes it, or unpacks it from an aggregating subquery.

use super::rewrite::columns_of;
use crate::resolve::{Column, Observed, Step, Tracepoint};
use pivot_advice::{Aggregate, Expr, Form, Keep};
use std::collections::BTreeSet;

/// A whole query. Stage 0 emits; a stage comes after its parent.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) columns: Vec<Column>,
    pub(crate) stages: Vec<Stage>,
}

/// What happens at the tracepoints of one alias, in this order.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) alias: String,
    pub(crate) parent: Option<usize>,
    pub(crate) tracepoints: Vec<Tracepoint>,
    pub(crate) observed: Vec<Observed>,
    /// Conditions over observed fields. Under a temporal source they decide which tuples enter.
    pub(crate) before: Vec<Expr>,
    /// Stages whose bags are unpacked here.
    pub(crate) children: Vec<usize>,
    pub(crate) steps: Vec<Step>,
    pub(crate) keep: Keep,
    pub(crate) end: End,
    /// The stage whose bag holds this stage's tuples: itself, or one that packs the same.
    pub(crate) bag: usize,
}

/// What becomes of a stage's rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    /// Packed for the parent, equal rows as one with a multiplicity.
    Rows { keys: Vec<u16>, folds: Vec<Fold> },
    /// The groups of an aggregating subquery: keys, n and aggregates become the parent's columns.
    Groups { keys: Vec<u16>, folds: Vec<Fold>, unpacked: Vec<u16> },
    /// The result.
    Emit { keys: Vec<u16>, folds: Vec<Fold>, form: Form },
}

/// An aggregate on its way. All folds of one aggregate carry its number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fold {
    pub(crate) number: usize,
    pub(crate) aggregate: Aggregate,
    pub(crate) input: Input,
}

/// Where a fold's rows come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// A value of each row.
    Expr(Expr),
    /// The fold of that number that a child packed.
    State,
}

impl End {
    pub(crate) fn keys(&self) -> &[u16] {
        let (End::Rows { keys, .. } | End::Groups { keys, .. } | End::Emit { keys, .. }) = self;
        keys
    }

    pub(crate) fn keys_mut(&mut self) -> &mut Vec<u16> {
        let (End::Rows { keys, .. } | End::Groups { keys, .. } | End::Emit { keys, .. }) = self;
        keys
    }

    pub(crate) fn folds(&self) -> &[Fold] {
        let (End::Rows { folds, .. } | End::Groups { folds, .. } | End::Emit { folds, .. }) = self;
        folds
    }

    pub(crate) fn folds_mut(&mut self) -> &mut Vec<Fold> {
        let (End::Rows { folds, .. } | End::Groups { folds, .. } | End::Emit { folds, .. }) = self;
        folds
    }

    /// Whether the consumer of these groups gets the column from them.
    fn becomes(&self, column: u16) -> bool {
        matches!(self, End::Groups { unpacked, .. } if unpacked.contains(&column))
    }

    /// Whether rows end here: what lies above sees results, not rows.
    pub(crate) fn is_sink(&self) -> bool {
        !matches!(self, End::Rows { .. })
    }
}

impl Stage {
    pub(crate) fn is_temporal(&self) -> bool {
        self.keep != Keep::All
    }

    pub(crate) fn observes(&self, column: u16) -> bool {
        self.observed.iter().any(|observed| observed.column == column)
    }

    /// Columns that conditions and assignments read, without those of aggregates and keys.
    pub(crate) fn step_columns(&self) -> BTreeSet<u16> {
        let steps = self.steps.iter().map(|step| match step {
            Step::Let(_, expr) | Step::Filter(expr) => expr,
        });
        self.before.iter().chain(steps).flat_map(columns_of).collect()
    }
}

impl Plan {
    /// The stage at which a column begins to exist.
    pub(crate) fn home(&self, column: u16) -> Option<usize> {
        self.stages.iter().position(|stage| {
            let assigned = |step: &Step| matches!(step, Step::Let(name, _) if *name == column);
            let unpacked = |child: &usize| self.stages[*child].end.becomes(column);
            stage.observes(column) || stage.steps.iter().any(assigned) || stage.children.iter().any(unpacked)
        })
    }

    /// From a stage up to its sink, both included.
    pub(crate) fn way_up(&self, stage: usize) -> Vec<usize> {
        let mut way = vec![stage];
        let mut stage = stage;
        while let (false, Some(parent)) = (self.stages[stage].end.is_sink(), self.stages[stage].parent) {
            stage = parent;
            way.push(stage);
        }
        way
    }

    /// The earliest stage where all columns are bound; none if there are none.
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

    /// The stages above one, up to its sink.
    pub(crate) fn above(&self, stage: usize) -> Vec<usize> {
        self.way_up(stage).split_off(1)
    }

    /// Makes a column travel from its home to the sink.
    pub(crate) fn carry(&mut self, column: u16) {
        let Some(home) = self.home(column) else { return };
        for stage in self.way_up(home) {
            let end = &mut self.stages[stage].end;
            if !end.is_sink() && !end.keys().contains(&column) {
                end.keys_mut().push(column);
            }
        }
    }
}
