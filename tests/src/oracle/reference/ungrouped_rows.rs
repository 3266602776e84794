//! The data of rows before they are grouped: what each alias stands for, and the names by which expressions see it.

use crate::oracle::language::query::{Query, QueryExpr};
use crate::oracle::reference::expressions::NameValues;
use crate::oracle::run::event_dag::EventDag;
use pivot_advice::Value;
use std::rc::Rc;

/// One tuple of a source.
#[derive(Debug)]
pub(crate) struct Tuple {
    /// The event at which it happened; none for a group of an aggregating query.
    pub event: Option<usize>,
    /// The sources of unions by which it came: overlapping ones count twice.
    pub origin: Vec<usize>,
    pub columns: TupleColumns,
}

/// The columns of a tuple.
#[derive(Debug)]
pub(crate) enum TupleColumns {
    /// The fields of the event.
    Event,
    /// Named values.
    Values(Vec<(String, Value)>),
    /// The fields of another tuple, one of them replaced by an element of its list.
    Element(Rc<Tuple>, String, Value),
}

/// A row before GROUP BY: what each alias stands for, and the values of LET.
#[derive(Debug, Clone, Default)]
pub(crate) struct UngroupedRow<'q> {
    /// None where a LEFT JOIN found nothing.
    pub aliases: Vec<(&'q str, Option<Rc<Tuple>>)>,
    pub lets: Vec<(&'q str, Value)>,
    pub origin: Vec<usize>,
}

impl UngroupedRow<'_> {
    /// Returns the tuple of an alias: `None` if there is no such alias, `Some(None)` if a LEFT JOIN found nothing.
    pub(crate) fn alias(&self, alias: &str) -> Option<&Option<Rc<Tuple>>> {
        self.aliases.iter().find(|(known, _)| *known == alias).map(|(_, tuple)| tuple)
    }
}

/// The names of one row.
pub(crate) struct RowScope<'r, 'q> {
    pub dag: &'r EventDag<'q>,
    pub row: &'r UngroupedRow<'q>,
}

impl NameValues for RowScope<'_, '_> {
    fn column(&self, alias: &str, field: &str) -> Value {
        let found = self.row.alias(alias).unwrap_or_else(|| panic!("no alias {alias}"));
        found.as_ref().map_or(Value::Null, |tuple| field_of(self.dag, tuple, field))
    }

    fn name(&self, name: &str) -> Value {
        if let Some((_, value)) = self.row.lets.iter().find(|(known, _)| *known == name) {
            return value.clone();
        }
        // Inside a temporal source its columns stand alone.
        match self.row.aliases.as_slice() {
            [(_, Some(tuple))] => field_of(self.dag, tuple, name),
            _ => panic!("no name {name}"),
        }
    }

    fn aggregate(&self, expr: &QueryExpr) -> Value {
        panic!("{expr} is misplaced")
    }

    fn place(&self, number: usize) -> Value {
        panic!("{number} is misplaced")
    }
}

/// Returns the value of a field of a tuple; null if it has no such field.
pub(crate) fn field_of(dag: &EventDag<'_>, tuple: &Tuple, field: &str) -> Value {
    match (&tuple.columns, tuple.event) {
        (TupleColumns::Values(values), _) => {
            values.iter().find(|(name, _)| name == field).map_or(Value::Null, |(_, value)| value.clone())
        }
        (TupleColumns::Element(_, unnested, element), _) if unnested == field => element.clone(),
        (TupleColumns::Element(tuple, ..), _) => field_of(dag, tuple, field),
        (TupleColumns::Event, Some(event)) => dag.events[event].event.value(canonical(field)),
        (TupleColumns::Event, None) => Value::Null,
    }
}

/// The spelling of the original system means the same default field.
fn canonical(field: &str) -> &str {
    match field {
        "procName" => "process",
        "procId" => "pid",
        "threadId" => "thread",
        "timestamp" => "time",
        other => other,
    }
}

/// Returns the tuple that a query makes of the values of its SELECT.
pub(crate) fn selected_tuple(
    query: &Query,
    event: Option<usize>,
    origin: Vec<usize>,
    values: Vec<Value>,
) -> Tuple {
    Tuple { event, origin, columns: TupleColumns::Values(query.columns().into_iter().zip(values).collect()) }
}
