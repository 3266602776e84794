//! The state of a generator of queries, which the files beside this one extend by the parts of a query.

use crate::oracle::generate::expressions::{ExpressionGenerator, FloatPrecision, TypedExpr};
use crate::oracle::language::query::{QueryExpr, SelectItem, Source};
use crate::oracle::run::event_dag::TracepointSpec;
use crate::random::Random;
use pivot_advice::Type;

/// A column of a source or a result.
#[derive(Debug, Clone)]
pub(crate) struct GeneratedColumn {
    pub name: String,
    pub ty: Type,
    pub precision: FloatPrecision,
}

/// The tuples that a source yields.
#[derive(Debug, Clone)]
pub(crate) struct SourceRelation {
    pub columns: Vec<GeneratedColumn>,
    /// Whether its tuples are events, which others may happen before.
    pub events: bool,
    /// Whether one event may make several tuples.
    pub joins: bool,
    /// Whether it is a union of queries: the order of what they make of one event is not defined.
    pub mixed: bool,
    pub stages: usize,
}

impl SourceRelation {
    /// Adds a source to a union: columns of one name are one column. Those of a query take over names of the
    /// union where types agree.
    pub(crate) fn unite(&mut self, source: &mut Source, mut other: SourceRelation) {
        // HAVING may name what it stands behind, so its names stay.
        if let Source::Query(query) = source
            && query.having.is_none()
        {
            // Columns of equal type get one name, so that the union has something in common.
            let mut free = self.columns.clone();
            for (item, column) in query.select.iter_mut().zip(&mut other.columns) {
                let place = free.iter().position(|known| known.ty == column.ty && known.ty != Type::Any);
                if let Some(place) = place {
                    column.name = free.swap_remove(place).name;
                    item.name = Some(column.name.clone());
                }
            }
        }

        for column in other.columns {
            match self.columns.iter_mut().find(|known| known.name == column.name) {
                Some(known) => {
                    known.ty = if known.ty == column.ty { known.ty } else { Type::Any };
                    known.precision = known.precision.max(column.precision);
                }
                None => self.columns.push(column),
            }
        }

        self.joins |= other.joins;
        // A group is no event, and neither is what may be one.
        self.events &= other.events;
        self.stages = self.stages.max(other.stages);
    }
}

/// Makes the parts of one query, and of the queries inside it.
pub(crate) struct Generator<'a> {
    pub random: &'a mut Random,
    pub tracepoints: &'a [TracepointSpec],
    pub with: Vec<(String, SourceRelation, bool)>,
    /// Sources of joins so far that are no queries.
    pub plain: Vec<(Source, SourceRelation)>,
    pub stages: usize,
    pub names: usize,
}

impl Generator<'_> {
    /// Returns a name that no other alias, column or query has.
    pub(crate) fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        let dash = if self.random.percent(3) { "-" } else { "" };
        format!("{kind}{dash}{}", self.names)
    }

    pub(crate) fn expressions<'e>(
        &'e mut self,
        leaves: &'e [TypedExpr],
        worst: FloatPrecision,
    ) -> ExpressionGenerator<'e> {
        ExpressionGenerator { random: self.random, leaves, worst }
    }
}

/// An item of SELECT, named so that others can refer to it.
pub(crate) fn named(expr: QueryExpr, name: String) -> SelectItem {
    SelectItem { expr, name: Some(name) }
}
