//! What happened: requests as steps of their branches, and the DAG of events that the steps make.
//!
//! The steps print as the `run` section of a golden file. The edges of the DAG are program order,
//! forks, joins and messages; an event happened before another if a path leads there.

use pivot_advice::{Type, Value};
use std::fmt;

/// The most events of one case: sets of events are 128 bits.
pub(crate) const MAX_EVENTS: usize = 128;

/// The fields that every tracepoint has besides its own.
pub(crate) const DEFAULT_FIELDS: [(&str, Type); 6] = [
    ("host", Type::String),
    ("process", Type::String),
    ("pid", Type::I64),
    ("thread", Type::String),
    ("time", Type::Timestamp),
    ("request", Type::String),
];

/// A tracepoint of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct TracepointSpec {
    pub name: String,
    pub fields: Vec<(String, Type)>,
}

/// One passage through a tracepoint. Fields that are not here are null.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub tracepoint: String,
    pub values: Vec<(String, Value)>,
}

impl Event {
    /// Returns the value of an exported or default field.
    pub fn value(&self, field: &str) -> Value {
        if field == "tracepoint" {
            return Value::str(&self.tracepoint);
        }
        self.values.iter().find(|(name, _)| name == field).map_or(Value::Null, |(_, value)| value.clone())
    }
}

/// A branch of the current request; 0 is `main`.
pub(crate) type BranchId = usize;

/// One step of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunStep {
    /// A new request begins with the branch `main`.
    Request,
    /// An event of a branch.
    Event(BranchId, Event),
    /// An event outside of any request.
    Outside(Event),
    /// The second branch continues from the first, beside it.
    Fork(BranchId, BranchId),
    /// The second branch continues from the first and never joins it: a message without a reply.
    Detach(BranchId, BranchId),
    /// The second branch ends, and the first goes on after both.
    Join(BranchId, BranchId),
    /// The second branch ends, and the first goes on after both, like a call and its reply. But the reply comes without
    /// its baggage, and the first has never seen any from there: it may be a service without Pivot.
    Bare(BranchId, BranchId),
    /// Like `Bare`, from a peer that has returned baggage before.
    Lost(BranchId, BranchId),
    /// The branch ends and nobody hears of it again: a call that is cancelled, or never answered.
    Cancel(BranchId),
    /// The branch goes to another process.
    Hop(BranchId),
    /// The branch goes to a process whose clock is so many seconds ahead.
    Skew(BranchId, u64),
}

impl RunStep {
    /// Whether a reply comes without its baggage.
    pub fn loses_reply(&self) -> bool {
        matches!(self, RunStep::Bare(..) | RunStep::Lost(..))
    }
}

impl fmt::Display for RunStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunStep::Request => f.write_str("request"),
            RunStep::Event(branch, event) => write!(f, "{} {event}", shown(*branch)),
            RunStep::Outside(event) => write!(f, "outside {event}"),
            RunStep::Fork(from, to) => write!(f, "fork {} {}", shown(*from), shown(*to)),
            RunStep::Detach(from, to) => write!(f, "detach {} {}", shown(*from), shown(*to)),
            RunStep::Join(to, from) => write!(f, "join {} {}", shown(*to), shown(*from)),
            RunStep::Bare(to, from) => write!(f, "bare {} {}", shown(*to), shown(*from)),
            RunStep::Lost(to, from) => write!(f, "lost {} {}", shown(*to), shown(*from)),
            RunStep::Cancel(branch) => write!(f, "cancel {}", shown(*branch)),
            RunStep::Hop(branch) => write!(f, "hop {}", shown(*branch)),
            RunStep::Skew(branch, seconds) => write!(f, "skew {} {seconds}", shown(*branch)),
        }
    }
}

fn shown(branch: BranchId) -> String {
    if branch == 0 { "main".to_owned() } else { format!("b{branch}") }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tracepoint)?;
        self.values.iter().try_for_each(|(name, value)| write!(f, " {name}={}", text(value)))
    }
}

/// A value as the `run` section spells it.
fn text(value: &Value) -> String {
    match value {
        Value::Timestamp(ns) | Value::Duration(ns) => ns.to_string(),
        Value::List(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// An event in the DAG.
#[derive(Debug, Clone)]
pub struct DagEvent<'a> {
    /// The event.
    pub event: &'a Event,
    /// Whether queries look at it.
    pub seen: bool,
    /// All events from which a path leads to it.
    before: u128,
}

/// The DAG of a run.
#[derive(Debug, Default, Clone)]
pub struct EventDag<'a> {
    /// The events in the order in which they happened.
    pub events: Vec<DagEvent<'a>>,
}

/// Returns where a branch is among those that live.
fn position(live: &[(BranchId, LiveBranch)], branch: BranchId) -> Option<usize> {
    live.iter().position(|(known, _)| *known == branch)
}

/// A live branch: the events that the next one directly follows, and who it may join with.
#[derive(Debug, Clone, Default)]
struct LiveBranch {
    frontier: Vec<usize>,
    family: usize,
}

impl<'a> EventDag<'a> {
    /// Records the steps; returns `None` if they are not a run, as when a branch is used after its end.
    pub fn record(steps: &'a [RunStep]) -> Option<EventDag<'a>> {
        let mut dag = EventDag::default();
        let mut live: Vec<(BranchId, LiveBranch)> = Vec::new();

        let mut families = 0;
        for step in steps {
            match step {
                RunStep::Request => {
                    families += 1;
                    live = vec![(0, LiveBranch { frontier: vec![], family: families })];
                }
                RunStep::Event(branch, event) => {
                    let place = position(&live, *branch)?;
                    // The next event of the branch follows this one alone.
                    let frontier = std::mem::take(&mut live[place].1.frontier);
                    live[place].1.frontier = vec![dag.add(event, frontier)?];
                }
                RunStep::Outside(event) => drop(dag.add(event, vec![])?),
                RunStep::Fork(from, to) | RunStep::Detach(from, to) => {
                    // Both branches follow what was before the fork.
                    let mut child = live[position(&live, *from)?].1.clone();
                    if position(&live, *to).is_some() {
                        return None;
                    }
                    if matches!(step, RunStep::Detach(..)) {
                        families += 1;
                        child.family = families;
                    }
                    live.push((*to, child));
                }
                RunStep::Cancel(branch) => drop(live.remove(position(&live, *branch)?)),
                RunStep::Join(to, from) | RunStep::Bare(to, from) | RunStep::Lost(to, from) => {
                    let ended = live.remove(position(&live, *from)?).1;
                    let place = position(&live, *to)?;
                    let into = &mut live[place].1;
                    if into.family != ended.family {
                        return None;
                    }
                    // The next event follows both ends.
                    let new = ended.frontier.into_iter().filter(|event| !into.frontier.contains(event));
                    let new: Vec<usize> = new.collect();
                    into.frontier.extend(new);
                }
                RunStep::Hop(branch) | RunStep::Skew(branch, _) => drop(position(&live, *branch)?),
            }
        }

        Some(dag)
    }

    fn add(&mut self, event: &'a Event, directly_before: Vec<usize>) -> Option<usize> {
        let id = self.events.len();
        let mut before = 0;
        for direct in directly_before {
            before |= self.events[direct].before | 1 << direct;
        }

        self.events.push(DagEvent { event, seen: true, before });
        (id < MAX_EVENTS).then_some(id)
    }

    /// Returns the DAG in which queries look at some events only.
    pub fn seen(&self, sees: impl Fn(usize, &Event) -> bool) -> EventDag<'a> {
        let mut dag = self.clone();
        for (id, recorded) in dag.events.iter_mut().enumerate() {
            recorded.seen &= sees(id, recorded.event);
        }
        dag
    }

    /// Returns whether event a happened before event b.
    pub fn before(&self, a: usize, b: usize) -> bool {
        self.events[b].before >> a & 1 == 1
    }
}
