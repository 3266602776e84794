//! The reference evaluator: the meaning of a query by enumeration, from the text of the language.
//!
//! Rows are lists of tuples, one for each alias. A join extends each row by every tuple that
//! happened before; nothing is grouped, pushed down or shared, and every relation is a list.

use crate::oracle::language::query::{Join, JoinKind, Query, RowClause, Source, TemporalKeep};
use crate::oracle::reference::aggregates::ExpectedCell;
use crate::oracle::reference::expressions::{equal, holds, value};
use crate::oracle::reference::result_groups::{GroupsContext, ResultGroup, distinct};
use crate::oracle::reference::ungrouped_rows::{Tuple, TupleColumns, UngroupedRow, field_of, selected_tuple};
use crate::oracle::reference::values::{counting_errors, order, same_all};
use crate::oracle::run::event_dag::EventDag;
use pivot_advice::Value;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::rc::Rc;

/// The most rows that are enumerated at one place; a query that needs more is given up.
const MAX_ROWS: usize = 20_000;

/// The order of tuples for temporal sources, which only the baggage knows where events are concurrent.
pub trait PackOrder {
    /// The order of two events in which they were packed for a choice: First or MostRecent by its place among those of
    /// the join with this place among all joins.
    fn compare(&self, join: usize, choice: usize, a: usize, b: usize) -> Ordering;
}

/// The result of a query.
#[derive(Debug)]
pub struct ReferenceAnswer {
    /// In their order if ORDER BY gives one.
    pub rows: Vec<Vec<ExpectedCell>>,
    /// How often something in these rows had no value, HAVING and ORDER BY aside.
    pub errors: u64,
    /// How often anything had no value.
    pub all_errors: u64,
}

/// The part of the run that a result is about.
#[derive(Debug, Clone, Copy)]
pub struct EvaluationWindow<'w> {
    /// Its length.
    pub seconds: f64,
    /// Of a sample, the fraction by which counts and sums are scaled.
    pub fraction: Option<f64>,
    /// Whether a row belongs to it whose FROM is this event; without, all do.
    pub events: Option<&'w [bool]>,
}

/// Evaluates one query over one DAG.
#[expect(missing_debug_implementations, reason = "it would print the whole evaluation")]
pub struct Evaluator<'q> {
    context: GroupsContext<'q>,
    order: &'q dyn PackOrder,
    window: EvaluationWindow<'q>,
    /// All joins of the query, in the order of the text.
    joins: Vec<*const Join>,
    rows: RefCell<HashMap<*const Query, Rc<Vec<UngroupedRow<'q>>>>>,
    tuples: RefCell<HashMap<*const Source, Rc<Vec<Rc<Tuple>>>>>,
}

/// There were too many rows.
#[derive(Debug)]
struct TooManyRows;

type Enumerated<T> = Result<T, TooManyRows>;

impl<'q> Evaluator<'q> {
    /// An evaluator for a query without WITH.
    pub fn new(
        query: &'q Query,
        dag: &'q EventDag<'q>,
        order: &'q dyn PackOrder,
        window: EvaluationWindow<'q>,
    ) -> Evaluator<'q> {
        let joins = joins_of(query).into_iter().map(std::ptr::from_ref).collect();
        let (rows, tuples) = (RefCell::default(), RefCell::default());
        let context = GroupsContext::new(dag, window.seconds);
        Evaluator { context, order, window, joins, rows, tuples }
    }

    /// Returns the result of the query, or `None` if there are too many rows to enumerate.
    pub fn answer(&self, query: &'q Query) -> Option<ReferenceAnswer> {
        let (found, all_errors) = counting_errors(|| {
            let rows = self.rows(query).ok()?;
            let results = self.results(query, &rows);
            Some(counting_errors(|| results.iter().map(ResultGroup::cells).collect::<Vec<_>>()))
        });
        let (rows, errors) = found.filter(|_| !self.context.is_beyond())?;
        Some(ReferenceAnswer { rows, errors, all_errors })
    }

    fn results<'r>(&'r self, query: &'q Query, rows: &'r [UngroupedRow<'q>]) -> Vec<ResultGroup<'r, 'q>> {
        // A row is in the window of its FROM event, wherever the events are that it joins.
        let rows = rows.iter().filter(|row| {
            let event = from_event(row, query);
            self.window.events.zip(event).is_none_or(|(events, event)| events[event])
        });

        let groups = match query.aggregates() {
            true => or_one_of_nothing(query, self.groups(query, rows)),
            false => rows.map(|row| vec![row]).collect(),
        };
        let mut results = self.kept(query, groups, self.window.fraction);

        results.sort_by(|a, b| a.order(b));
        results.truncate(query.limit.unwrap_or(usize::MAX));
        results
    }

    /// Returns all rows of a query, before it groups or selects.
    fn rows(&self, query: &'q Query) -> Enumerated<Rc<Vec<UngroupedRow<'q>>>> {
        let key = std::ptr::from_ref(query);
        if let Some(known) = self.rows.borrow().get(&key) {
            return Ok(known.clone());
        }

        let mut rows = Vec::new();
        // An event that several sources of a union name counts once for each of them.
        for (number, source) in query.from.iter().enumerate() {
            for tuple in self.tuples(source)?.iter() {
                let origin = std::iter::once(number).chain(tuple.origin.iter().copied()).collect();
                rows.push(UngroupedRow {
                    aliases: vec![(&query.alias, Some(tuple.clone()))],
                    lets: vec![],
                    origin,
                });
            }
        }

        // Joins come first: LET and WHERE see all aliases.
        let mut rows = self.joined(rows, &query.joins.iter().collect::<Vec<_>>())?;
        for step in &query.steps {
            match step {
                RowClause::Where(condition) => rows.retain(|row| holds(condition, &self.context.names(row))),
                RowClause::Let(name, expr) => rows.iter_mut().for_each(|row| {
                    let value = value(expr, &self.context.names(row));
                    row.lets.push((name, value));
                }),
            }
        }

        let rows = Rc::new(rows);
        self.rows.borrow_mut().insert(key, rows.clone());
        Ok(rows)
    }

    /// Rows extended by joins. The kind of a join governs the whole subtree under its alias.
    fn joined(
        &self,
        mut rows: Vec<UngroupedRow<'q>>,
        joins: &[&'q Join],
    ) -> Enumerated<Vec<UngroupedRow<'q>>> {
        let mut open: Vec<&'q Join> = joins.to_vec();
        while !open.is_empty() {
            let join = open.remove(0);
            // Joins below a LEFT or ANTI JOIN are part of what it finds, so they are taken out of the list.
            let below = match join.kind {
                JoinKind::Inner => vec![],
                JoinKind::Left | JoinKind::Anti => take_subtree(join, &mut open),
            };
            let mut extended = Vec::new();
            for row in rows {
                let found = self.joined(self.extended(&row, join)?, &below)?;
                match join.kind {
                    JoinKind::Inner => extended.extend(found),
                    JoinKind::Left if found.is_empty() => {
                        let mut row = row;
                        row.aliases.push((&join.alias, None));
                        row.aliases.extend(below.iter().map(|join| (join.alias.as_str(), None)));
                        extended.push(row);
                    }
                    JoinKind::Left => extended.extend(found),
                    JoinKind::Anti if found.is_empty() => extended.push(row),
                    JoinKind::Anti => {}
                }
                // Rows multiply with each join: give up before memory does.
                if extended.len() > MAX_ROWS {
                    return Err(TooManyRows);
                }
            }
            rows = extended;
        }

        Ok(rows)
    }

    /// A row with every tuple of a join that happened before.
    fn extended(&self, row: &UngroupedRow<'q>, join: &'q Join) -> Enumerated<Vec<UngroupedRow<'q>>> {
        let Some(Some(after)) = row.alias(&join.after) else { return Ok(vec![]) };
        // To the right of an arrow stands an event: of a group there is no before.
        let after = after.event.expect("an aggregating query is not to the right of an arrow");

        let mut rows = Vec::new();
        for source in &join.sources {
            for tuple in self.before(join, source, after)? {
                let mut row = row.clone();
                row.aliases.push((&join.alias, Some(tuple)));
                let condition = join.condition.as_ref();
                if condition.is_none_or(|condition| holds(condition, &self.context.names(&row))) {
                    rows.push(row);
                }
            }
        }

        Ok(rows)
    }

    /// Returns the groups that HAVING and DISTINCT leave.
    fn kept<'r>(
        &'r self,
        query: &'q Query,
        groups: Vec<Vec<&'r UngroupedRow<'q>>>,
        fraction: Option<f64>,
    ) -> Vec<ResultGroup<'r, 'q>> {
        let groups =
            groups.into_iter().map(|group| ResultGroup { context: &self.context, query, group, fraction });
        let kept = groups.filter(|group| query.having.as_ref().is_none_or(|having| holds(having, group)));

        if query.distinct { distinct(kept.collect()) } else { kept.collect() }
    }

    /// Returns the tuples of a source that happened before an event.
    fn before(&self, join: &'q Join, source: &'q Source, after: usize) -> Enumerated<Vec<Rc<Tuple>>> {
        match source {
            chosen @ Source::Temporal { keep, n, source, condition } => {
                let mut candidates = self.before(join, source, after)?;
                candidates.retain(|tuple| {
                    let alone = UngroupedRow {
                        aliases: vec![(&join.alias, Some(tuple.clone()))],
                        ..UngroupedRow::default()
                    };
                    condition.as_ref().is_none_or(|condition| holds(condition, &self.context.names(&alone)))
                });

                // The baggage decides the order of concurrent events; here it is looked up.
                let place = self.joins.iter().position(|known| std::ptr::eq(*known, join));
                let place = place.expect("every join has a place");
                let mut choices = join.sources.iter().filter_map(Source::choice);
                let choice = choices.position(|known| std::ptr::eq(known, chosen));
                let choice = choice.expect("a choice is one of a join");
                // Tuples of one event stay in their own order.
                candidates.sort_by(|a, b| match (a.event, b.event) {
                    (Some(a), Some(b)) if a != b => self.order.compare(place, choice, a, b),
                    _ => Ordering::Equal,
                });

                let n = (*n).min(candidates.len());
                Ok(match keep {
                    TemporalKeep::First => candidates[..n].to_vec(),
                    TemporalKeep::MostRecent => candidates[candidates.len() - n..].to_vec(),
                })
            }
            Source::Query(query) if query.aggregates() => {
                // It aggregates anew for each event that it is joined to, over what happened before that.
                let rows = self.rows(query)?;
                let before = rows.iter().filter(|row| {
                    from_event(row, query).is_some_and(|event| self.context.dag.before(event, after))
                });

                let kept = self.kept(query, self.groups(query, before), None);
                let tuples = kept.iter().map(|group| selected_tuple(query, None, vec![], group.values()));
                Ok(tuples.map(Rc::new).collect())
            }
            Source::Unnest(source, field) => Ok(self.elements(&self.before(join, source, after)?, field)),
            _ => {
                let all = self.tuples(source)?;
                let before = all
                    .iter()
                    .filter(|tuple| tuple.event.is_some_and(|event| self.context.dag.before(event, after)));
                Ok(before.cloned().collect())
            }
        }
    }

    /// All tuples of a source that does not depend on another event, those of one event in their order.
    fn tuples(&self, source: &'q Source) -> Enumerated<Rc<Vec<Rc<Tuple>>>> {
        let key = std::ptr::from_ref(source);
        if let Some(known) = self.tuples.borrow().get(&key) {
            return Ok(known.clone());
        }

        let tuples = Rc::new(match source {
            // A function alone means its entry.
            Source::Tracepoint(name) => self.events(&|tracepoint| {
                tracepoint == name || tracepoint.strip_suffix("@enter") == Some(name.as_str())
            }),
            Source::Pattern(pattern) => {
                let mut tuples = self.events(&|tracepoint| pattern.matches(tracepoint));
                if let Some((field, wanted)) = &pattern.field {
                    tuples.retain(|tuple| equal(&field_of(self.context.dag, tuple, field), wanted));
                }
                tuples
            }
            Source::Query(query) => self.selected(query)?,
            Source::Unnest(source, field) => self.elements(&self.tuples(source)?, field),
            Source::Named(name) => panic!("{name} is not written out"),
            Source::Temporal { .. } => panic!("a temporal source is misplaced"),
        });

        self.tuples.borrow_mut().insert(key, tuples.clone());
        Ok(tuples)
    }

    fn events(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<Rc<Tuple>> {
        let events = self.context.dag.events.iter().enumerate();
        let wanted = events.filter(|(_, recorded)| recorded.seen && wanted(&recorded.event.tracepoint));
        let tuples =
            wanted.map(|(id, _)| Tuple { event: Some(id), origin: vec![], columns: TupleColumns::Event });
        tuples.map(Rc::new).collect()
    }

    fn elements(&self, tuples: &[Rc<Tuple>], field: &str) -> Vec<Rc<Tuple>> {
        let mut elements = Vec::new();
        for tuple in tuples {
            let Value::List(items) = field_of(self.context.dag, tuple, field) else { continue };
            elements.extend(items.iter().map(|item| {
                let columns = TupleColumns::Element(tuple.clone(), field.to_owned(), item.clone());
                Rc::new(Tuple { event: tuple.event, origin: tuple.origin.clone(), columns })
            }));
        }
        elements
    }

    /// Returns the tuples that SELECT yields for each event of FROM. DISTINCT and the order are about the rows of one, for each
    /// source of a union that it comes from.
    fn selected(&self, query: &'q Query) -> Enumerated<Vec<Rc<Tuple>>> {
        let mut selected: Vec<(usize, &Vec<usize>, Vec<Value>)> = Vec::new();
        let rows = self.rows(query)?;

        for row in rows.iter() {
            let from = row.alias(&query.alias).cloned().flatten().expect("FROM has a tuple");
            let event = from.event.expect("an aggregating query does not stand in FROM");
            let values: Vec<Value> =
                query.select.iter().map(|item| value(&item.expr, &self.context.names(row))).collect();
            let known = selected.iter().any(|(other, origin, known)| {
                *other == event && **origin == row.origin && same_all(known, &values)
            });
            if !(query.distinct && known) {
                selected.push((event, &row.origin, values));
            }
        }

        selected.sort_by(|(a, from_a, x), (b, from_b, y)| {
            let values = x.iter().zip(y).map(|(x, y)| order(x, y)).find(|order| order.is_ne());
            // Without a join the rows of an event come in the order of its source.
            let values = if query.joins.is_empty() { None } else { values };
            a.cmp(b).then(from_a.cmp(from_b)).then(values.unwrap_or(Ordering::Equal))
        });

        let tuples = selected.into_iter();
        Ok(tuples
            .map(|(event, origin, values)| {
                Rc::new(selected_tuple(query, Some(event), origin.clone(), values))
            })
            .collect())
    }

    /// Rows by the values of GROUP BY; without GROUP BY they are one group, if there are any.
    fn groups<'r>(
        &self,
        query: &'q Query,
        rows: impl Iterator<Item = &'r UngroupedRow<'q>>,
    ) -> Vec<Vec<&'r UngroupedRow<'q>>>
    where
        'q: 'r,
    {
        let mut groups: Vec<(Vec<Value>, Vec<&UngroupedRow<'q>>)> = Vec::new();
        for row in rows {
            let keys = query.group.iter().flatten();
            let key: Vec<Value> = keys.map(|key| value(key, &self.context.names(row))).collect();
            // By comparing with each, which needs no hash that agrees with equality.
            match groups.iter_mut().find(|(known, _)| same_all(known, &key)) {
                Some((_, group)) => group.push(row),
                None => groups.push((key, vec![row])),
            }
        }

        groups.into_iter().map(|(_, group)| group).collect()
    }
}

/// Returns the groups of a whole result: without GROUP BY it is exactly one, if need be of no rows at all.
fn or_one_of_nothing<T>(query: &Query, groups: Vec<Vec<T>>) -> Vec<Vec<T>> {
    if groups.is_empty() && query.group.is_none() { vec![vec![]] } else { groups }
}

/// Returns the event of FROM that a row is about.
fn from_event(row: &UngroupedRow<'_>, query: &Query) -> Option<usize> {
    row.alias(&query.alias).cloned().flatten().and_then(|tuple| tuple.event)
}

/// Takes the joins below one out of a list.
fn take_subtree<'q>(join: &'q Join, open: &mut Vec<&'q Join>) -> Vec<&'q Join> {
    let mut aliases = vec![join.alias.as_str()];
    let mut below = Vec::new();

    open.retain(|other| {
        let inside = aliases.contains(&other.after.as_str());
        if inside {
            aliases.push(&other.alias);
            below.push(*other);
        }
        !inside
    });

    below
}

/// All joins of a query and the queries in it, in the order of the text.
pub(crate) fn joins_of(query: &Query) -> Vec<&Join> {
    let mut joins = Vec::new();
    query.from.iter().for_each(|source| joins.extend(joins_in(source)));
    for join in &query.joins {
        joins.push(join);
        join.sources.iter().for_each(|source| joins.extend(joins_in(source)));
    }
    joins
}

fn joins_in(source: &Source) -> Vec<&Join> {
    match source {
        Source::Query(query) => joins_of(query),
        Source::Temporal { source, .. } | Source::Unnest(source, _) => joins_in(source),
        Source::Tracepoint(_) | Source::Pattern(_) | Source::Named(_) => vec![],
    }
}
