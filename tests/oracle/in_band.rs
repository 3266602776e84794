//! The run in band: compiled advice over the same steps, with real baggage.
//!
//! Every process has its part of the result; the parts are merged at the end, as a frontend does. The
//! stamps that the baggage gives to temporal tuples are recorded for the evaluator.

use crate::dag::{Branch, Dag, Event, Step, Tracepoint};
use crate::evaluate::{Order, joins_of};
use crate::query::Query;
use pivot_advice::{Advice, Errors, Form, Instruction, Keep, Loss, QueryId, Value};
use pivot_agent::Part;
use pivot_agent::interpret::{Effect, run};
use pivot_agent::link::{DefaultField, Linked, Source};
use pivot_baggage::{Baggage, Joined, MAX_BYTES, Stamp};
use pivot_query::Program;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

/// How many processes a run is spread over.
const PROCESSES: usize = 3;

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) stamps: Stamps,
    /// Something was beyond a budget: the result is short, and says so.
    pub(crate) cut: bool,
}

/// The stamps of temporal tuples, by event and stage; none for a tuple that First refused.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    given: HashMap<(usize, u16), Option<Stamp>>,
    /// The stage that packs for each join, in the order of the text.
    stages: Vec<u16>,
}

impl Order for Stamps {
    /// What First refused comes after all that it has chosen.
    fn compare(&self, join: usize, a: usize, b: usize) -> Ordering {
        let stage = self.stages[join];
        let stamp = |event| self.given.get(&(event, stage)).copied().flatten();
        match (stamp(a), stamp(b)) {
            (Some(x), Some(y)) => x.cmp(&y),
            (x, y) => y.is_some().cmp(&x.is_some()).then(a.cmp(&b)),
        }
    }
}

/// Runs a program over the steps of a case. Fails with what must never happen.
pub(crate) fn ran(
    program: &Program,
    advice: &[Advice],
    query: &Query,
    tracepoints: &[Tracepoint],
    steps: &[Step],
    dag: &Dag<'_>,
) -> Result<Ran, String> {
    pivot_baggage::set_carrying(true);
    let mut linked = Vec::new();
    for advice in advice {
        pivot_agent::verify(advice).map_err(|error| format!("refused by the agent: {error}\n{advice}"))?;
        let found = tracepoints.iter().find(|tracepoint| tracepoint.name == advice.tracepoint);
        // Nobody exports the tracepoint of a pending query.
        let Some(found) = found else { continue };
        let fields: Vec<&str> = found.fields.iter().map(|(name, _)| name.as_str()).collect();
        linked.push(
            Linked::link(advice, &fields).map_err(|error| format!("does not link: {error}\n{advice}"))?,
        );
    }
    let stamps = Stamps { given: HashMap::new(), stages: stages(advice, query)? };
    let parts = std::iter::repeat_with(Part::empty).take(PROCESSES).collect();
    let mut run =
        Run { linked: &linked, tracepoints, branches: BTreeMap::new(), parts, stamps, event: 0, cut: false };
    for step in steps {
        run.step(step)?;
        if run.cut {
            return Ok(Ran { rows: vec![], stamps: run.stamps, cut: true });
        }
    }
    run.check_stamps(dag)?;
    run.finish(program)
}

/// The stage that packs for each join of the query. An alias occurs more than once if its query of
/// WITH does; then the consumers come in the order of the text.
fn stages(advice: &[Advice], query: &Query) -> Result<Vec<u16>, String> {
    let mut unpacked: HashMap<&str, Vec<(u16, u16)>> = HashMap::new();
    for advice in advice {
        for instruction in &advice.instructions {
            if let Instruction::Unpack { bag, alias, .. } = instruction {
                let found = unpacked.entry(alias).or_default();
                // A stage has one advice for each of its tracepoints.
                if !found.contains(&(advice.stage, bag.stage)) {
                    found.push((advice.stage, bag.stage));
                }
            }
        }
    }
    let mut stages = Vec::new();
    for join in joins_of(query) {
        let found = unpacked.get_mut(join.alias.as_str());
        let found = found.ok_or_else(|| format!("nothing unpacks: {}", join.alias))?;
        // The last may be shared by all that follow.
        stages.push(if found.len() > 1 { found.remove(0).1 } else { found[0].1 });
    }
    Ok(stages)
}

struct Run<'a> {
    linked: &'a [Linked],
    tracepoints: &'a [Tracepoint],
    branches: BTreeMap<Branch, (Baggage, usize)>,
    parts: Vec<Part>,
    stamps: Stamps,
    /// The id of the next event.
    event: usize,
    cut: bool,
}

impl Run<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Request => self.branches = BTreeMap::from([(0, (Baggage::begin(), 0))]),
            Step::Event(branch, event) => {
                let (mut baggage, process) = self.take(*branch);
                self.fire(event, Some(&mut baggage), process)?;
                self.branches.insert(*branch, (baggage, process));
            }
            Step::Outside(event) => self.fire(event, None, 0)?,
            Step::Fork(from, to) => {
                let (mut baggage, process) = self.take(*from);
                self.branches.insert(*to, (baggage.fork(), process));
                self.branches.insert(*from, (baggage, process));
            }
            Step::Detach(from, to) => {
                let (baggage, process) = self.take(*from);
                self.branches.insert(*to, (baggage.detach(), process));
                self.branches.insert(*from, (baggage, process));
            }
            Step::Join(to, from) => {
                let ((mut baggage, process), (ended, _)) = (self.take(*to), self.take(*from));
                let joined = baggage.join(ended);
                if joined != Joined::Merged {
                    return Err(format!("a join was refused: {joined:?}"));
                }
                self.branches.insert(*to, (baggage, process));
            }
            Step::Hop(branch) => self.hop(*branch, 0)?,
            Step::Skew(branch, seconds) => self.hop(*branch, *seconds)?,
        }
        Ok(())
    }

    fn take(&mut self, branch: Branch) -> (Baggage, usize) {
        self.branches.remove(&branch).expect("the steps are a run")
    }

    /// To another process, where the clock may be ahead.
    fn hop(&mut self, branch: Branch, seconds: u64) -> Result<(), String> {
        let (baggage, process) = self.take(branch);
        let mut bytes = baggage.encode_within(usize::MAX);
        if bytes.len() > MAX_BYTES {
            self.cut = true;
            bytes.clear();
        }
        // The clock follows the version and the request id, unless nothing was stamped so far.
        if bytes.get(20) == Some(&(3 << 3 | 1)) {
            let clock: [u8; 8] = bytes[21..29].try_into().map_err(|_| "a clock has eight bytes")?;
            let ahead = u64::from_le_bytes(clock) + ((seconds * 1_000_000) << 12);
            bytes[21..29].copy_from_slice(&ahead.to_le_bytes());
        }
        let arrived = Baggage::decode(&bytes).map_err(|error| format!("does not decode: {error}"))?;
        self.branches.insert(branch, (arrived, (process + 1) % PROCESSES));
        Ok(())
    }

    fn fire(
        &mut self,
        event: &Event,
        mut baggage: Option<&mut Baggage>,
        process: usize,
    ) -> Result<(), String> {
        let id = self.event;
        self.event += 1;
        let tracepoint = self.tracepoints.iter().find(|tracepoint| tracepoint.name == event.tracepoint);
        let tracepoint = tracepoint.ok_or("an event has no tracepoint")?;
        let mut packed = Vec::new();
        for linked in self.linked.iter().filter(|linked| linked.advice.tracepoint == event.tracepoint) {
            let observed: Vec<_> =
                linked.sources.iter().map(|source| observed(event, tracepoint, *source)).collect();
            // What runs in processes is a routine, wherever there is one.
            pivot_agent::agrees(linked, &observed, baggage.as_deref_mut())?;
            let mut loss = Loss::default();
            match run(linked, observed, baggage.as_deref(), &mut loss) {
                Some(Effect::Pack(bag, keep, groups)) => packed.push((bag, keep, groups)),
                Some(Effect::Emit(emission)) => self.parts[process].add(&emission),
                None => {}
            }
            self.parts[process].loss.merge(&loss);
        }
        if let Some(baggage) = &mut baggage {
            for (bag, keep, groups) in packed {
                let tuples = groups.len();
                let stamp = baggage.pack(bag, keep, groups);
                if matches!(keep, Keep::MostRecent(_)) && stamp.is_none() && tuples > 0 {
                    return Err("MostRecent gave no stamp".into());
                }
                if keep != Keep::All {
                    // Of a union, the same event may pack more than once.
                    let given = self.stamps.given.entry((id, bag.stage)).or_default();
                    *given = given.or(stamp);
                }
            }
        }
        Ok(())
    }

    /// The order of stamps extends happened-before.
    fn check_stamps(&self, dag: &Dag<'_>) -> Result<(), String> {
        for ((a, stage), first) in &self.stamps.given {
            for ((b, other), second) in &self.stamps.given {
                if let (Some(first), Some(second)) = (first, second)
                    && stage == other
                    && dag.before(*a, *b)
                    && first >= second
                {
                    return Err(format!("event {a} happened before {b} and is stamped after it"));
                }
            }
        }
        Ok(())
    }

    /// What the frontend makes of the merged groups.
    fn finish(mut self, program: &Program) -> Result<Ran, String> {
        let mut whole = Part::empty();
        self.parts.drain(..).for_each(|part| whole.merge(part));
        if whole.loss.truncated > 0 || whole.loss.uncertain > 0 {
            return Err("the baggage is not complete".into());
        }
        let output = &program.output;
        let mut errors = Errors::default();
        let mut rows: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
        for group in whole.groups.iter().flatten() {
            let row = output.row(&group.key, group.n, &group.states, 1.0, &mut errors);
            let shown = output.columns.iter().map(|column| column.expr.eval(&row, &mut errors)).collect();
            let times = if output.form == Form::Rows { group.n } else { 1 };
            rows.extend((0..times).map(|_| (row.clone(), Vec::clone(&shown))));
        }
        if let Some(having) = &output.having {
            rows.retain(|(row, _)| having.holds(row, &mut errors));
        }
        if output.distinct {
            let mut seen: Vec<Vec<Value>> = Vec::new();
            rows.retain(|(_, shown)| {
                let new = !seen.contains(shown);
                seen.extend(new.then(|| shown.clone()));
                new
            });
        }
        for (expr, descending) in output.order.iter().rev() {
            rows.sort_by(|(a, _), (b, _)| {
                let mut errors = Errors::default();
                let order = expr.eval(a, &mut errors).total_cmp(&expr.eval(b, &mut errors));
                if *descending { order.reverse() } else { order }
            });
        }
        let limit = output.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let rows = rows.into_iter().take(limit).map(|(_, shown)| shown).collect();
        Ok(Ran { rows, stamps: self.stamps, cut: self.cut || whole.loss.dropped > 0 })
    }
}

fn observed(event: &Event, tracepoint: &Tracepoint, source: Source) -> Value {
    let Source::Default(field) = source else {
        let Source::Exported(index) = source else { return Value::Null };
        return event.value(&tracepoint.fields[index].0);
    };
    event.value(match field {
        DefaultField::Host => "host",
        DefaultField::Process => "process",
        DefaultField::Pid => "pid",
        DefaultField::Thread => "thread",
        DefaultField::Tracepoint => "tracepoint",
        DefaultField::Time => "time",
        DefaultField::Request => "request",
    })
}

/// The id under which queries run here.
pub(crate) fn query_id() -> QueryId {
    QueryId::new(0, 7)
}
