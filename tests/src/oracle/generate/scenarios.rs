//! Random catalogues and random runs: what applications could be, and what could happen in them.

use crate::oracle::run::event_dag::{BranchId, DEFAULT_FIELDS, Event, MAX_EVENTS, RunStep, TracepointSpec};
use crate::random::Random;
use pivot_advice::{Type, Value};

/// The most steps of a run, which make no more events than a DAG holds.
const MOST_STEPS: usize = MAX_EVENTS - 1;

const NAMES: [&str; 7] = ["A", "B.read", "B.write", "store::put", "store::get", "F@enter", "F@exit"];

/// Fields of any type.
pub(crate) const OPEN: [&str; 2] = ["y", "z"];

const TEXTS: [&str; 13] =
    ["a", "b", "ab", "Ab", "x1", "10", "-3", "true", "a_b%", "é", "aéb", "日a本", "it's"];

/// Fields by name, with the types that they may have.
fn fields() -> [(&'static str, &'static [Type]); 15] {
    [
        ("a", &[Type::I64, Type::I64, Type::U64]),
        ("b", &[Type::U64]),
        ("c", &[Type::I64]),
        ("f", &[Type::F64]),
        ("s", &[Type::String]),
        ("p", &[Type::String]),
        ("d", &[Type::Duration]),
        ("t", &[Type::Timestamp]),
        ("k", &[Type::Bool]),
        ("l", &[Type::List(&Type::I64)]),
        ("m", &[Type::List(&Type::String)]),
        ("z", &[Type::Any]),
        ("y", &[Type::Any]),
        // Names that have to be quoted.
        ("x-y", &[Type::I64, Type::String]),
        ("select", &[Type::F64, Type::U64]),
    ]
}

/// A few tracepoints that have some field names in common.
pub(crate) fn tracepoints(random: &mut Random) -> Vec<TracepointSpec> {
    let mut names = NAMES.to_vec();
    let mut tracepoints = Vec::new();
    for _ in 0..2 + random.below(3) {
        let name = names.swap_remove(random.below(names.len())).to_owned();
        let mut all = fields().to_vec();
        let mut fields = Vec::new();
        for _ in 0..2 + random.below(5) {
            // Names are taken from few, so that tracepoints share them; their types may differ.
            let (field, types) = all.swap_remove(random.below(all.len()));
            fields.push((field.to_owned(), *random.pick(types)));
        }
        tracepoints.push(TracepointSpec { name, fields });
    }

    tracepoints
}

/// A value of a type; null now and then.
pub(crate) fn value(random: &mut Random, ty: Type) -> Value {
    if random.percent(10) { Value::Null } else { some_value(random, ty) }
}

/// A value of a type, mostly one of a few, so that rows meet equal ones.
pub(crate) fn some_value(random: &mut Random, ty: Type) -> Value {
    let rare = random.percent(4);

    match ty {
        Type::Bool => Value::Bool(random.percent(50)),
        Type::I64 if rare => {
            Value::I64(*random.pick(&[i64::MIN, i64::MAX, i64::MAX - 1, 1 << 53, 1_000_003]))
        }
        Type::I64 => Value::I64(random.within(-2, 4)),
        Type::U64 if rare => Value::U64(*random.pick(&[u64::MAX, 1 << 63, i64::MAX as u64, (1 << 53) + 1])),
        Type::U64 => Value::U64(random.below(6) as u64),
        Type::F64 if rare => {
            Value::F64(*random.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1048576.25]))
        }
        // Their sums are exact, in whatever order.
        Type::F64 => Value::F64(random.within(-6, 12) as f64 / 4.0),
        Type::String if rare => Value::str(""),
        Type::String => Value::str(random.pick(&TEXTS)),
        Type::Bytes => Value::Bytes(vec![random.below(3) as u8; random.below(3)].into()),
        Type::Timestamp if rare => Value::Timestamp(*random.pick(&[0, -5, i64::MAX, i64::MIN])),
        Type::Timestamp => Value::Timestamp(1_700_000_000_000_000_000 + random.within(-3, 3) * 500),
        Type::Duration if rare => Value::Duration(*random.pick(&[0, i64::MAX, i64::MIN, -1])),
        Type::Duration => Value::Duration(random.within(-2, 8) * 250),
        Type::List(element) => {
            let length = random.below(4);
            Value::List((0..length).map(|_| value(random, *element)).collect())
        }
        Type::Any => {
            let types =
                [Type::I64, Type::I64, Type::U64, Type::F64, Type::String, Type::Bool, Type::Duration];
            let ty = *random.pick(&types);
            some_value(random, ty)
        }
        Type::Null => Value::Null,
    }
}

/// Makes the steps of a few requests. Events have the default fields that the text of the query names.
pub(crate) fn steps(random: &mut Random, tracepoints: &[TracepointSpec], query: &str) -> Vec<RunStep> {
    let spellings =
        [("process", "procName"), ("pid", "procId"), ("thread", "threadId"), ("time", "timestamp")];
    let sampled = query.contains("SAMPLE");
    let mut defaults = DEFAULT_FIELDS.to_vec();
    defaults.retain(|(field, _)| {
        let spelt = spellings.iter().any(|(name, other)| name == field && query.contains(other));
        // Whether an event is in a sample depends on its request, or on its time.
        let decides = sampled && (*field == "request" || *field == "time");
        query.contains(field) || spelt || decides
    });

    let (steps, live, request) = (Vec::new(), Vec::new(), Value::Null);
    let loses_replies = random.percent(16);
    let mut scenario =
        Scenario { random, tracepoints, defaults, request, steps, live, next: 0, families: 0, loses_replies };
    let requests = 1 + scenario.random.below(if sampled { 6 } else { 3 });

    for _ in 0..requests {
        scenario.outside();
        scenario.request();
    }

    scenario.outside();
    scenario.steps
}

struct Scenario<'a> {
    random: &'a mut Random,
    tracepoints: &'a [TracepointSpec],
    defaults: Vec<(&'static str, Type)>,
    /// The id of the request.
    request: Value,
    steps: Vec<RunStep>,
    /// Live branches, and their families: only within one may branches join.
    live: Vec<(BranchId, usize)>,
    next: BranchId,
    families: usize,
    /// Whether something on the way removes our header from replies, now and then.
    loses_replies: bool,
}

impl Scenario<'_> {
    /// Now and then, events outside of any request.
    fn outside(&mut self) {
        self.request = Value::Null;
        while self.random.percent(8) && self.steps.len() < MOST_STEPS {
            let event = self.event();
            self.steps.push(RunStep::Outside(event));
        }
    }

    fn request(&mut self) {
        self.steps.push(RunStep::Request);
        self.request = Value::str(format!("{:08x}", self.random.below(1 << 32)));
        self.live = vec![(0, 0)];
        self.next = 1;
        let most = if self.random.percent(20) { 40 } else { 16 };
        let length = 2 + self.random.below(most);
        // Some requests do nothing but one thing after the other, others are all forks and joins.
        let (forks, joins) = (self.random.below(25), self.random.below(25));

        for _ in 0..length {
            if self.steps.len() >= MOST_STEPS {
                return;
            }
            let at = self.random.below(self.live.len());
            let branch = self.live[at].0;
            match self.random.below(100) {
                roll if roll < forks => self.divide(at, RunStep::Fork),
                roll if roll < forks + joins => self.join(at),
                roll if roll < forks + joins + 6 => self.steps.push(RunStep::Hop(branch)),
                roll if roll < forks + joins + 8 => {
                    let seconds = self.random.below(3) as u64 * 3600;
                    self.steps.push(RunStep::Skew(branch, seconds));
                }
                roll if roll < forks + joins + 10 => self.divide(at, RunStep::Detach),
                roll if roll < forks + joins + 12 && self.live.len() > 1 => {
                    self.live.swap_remove(at);
                    self.steps.push(RunStep::Cancel(branch));
                }
                _ => {
                    let event = self.event();
                    self.steps.push(RunStep::Event(branch, event));
                }
            }
        }
    }

    fn divide(&mut self, at: usize, step: fn(BranchId, BranchId) -> RunStep) {
        let (from, family) = self.live[at];
        let to = self.next;
        self.next += 1;
        let made = step(from, to);

        // A detached branch never comes back: it begins a family of its own.
        let family = match made {
            RunStep::Detach(..) => {
                self.families += 1;
                self.families
            }
            _ => family,
        };

        self.steps.push(made);
        self.live.push((to, family));
    }

    /// A child returns to its parent, or one sibling hands over to another, while others live on.
    fn join(&mut self, at: usize) {
        let (from, family) = self.live[at];
        let others: Vec<BranchId> = self
            .live
            .iter()
            .filter(|(to, other)| *to != from && *other == family)
            .map(|(to, _)| *to)
            .collect();

        // The last of a family has nobody to join.
        if !others.is_empty() {
            let to = *self.random.pick(&others);
            self.live.swap_remove(at);
            let step = match self.random.below(6) {
                0 | 1 if self.loses_replies => RunStep::Bare,
                2 if self.loses_replies => RunStep::Lost,
                _ => RunStep::Join,
            };
            self.steps.push(step(to, from));
        }
    }

    fn event(&mut self) -> Event {
        let tracepoint = self.random.pick(self.tracepoints);
        let mut values = Vec::new();
        for (name, ty) in &tracepoint.fields {
            values.push((name.clone(), value(self.random, *ty)));
        }

        for (name, ty) in &self.defaults {
            let value = if *name == "request" { self.request.clone() } else { value(self.random, *ty) };
            values.push(((*name).to_owned(), value));
        }

        // A field that is null is not given, as in a golden file.
        values.retain(|(_, value)| *value != Value::Null);
        Event { tracepoint: tracepoint.name.clone(), values }
    }
}
