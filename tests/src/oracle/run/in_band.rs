//! The run in band: compiled advice over the same steps, with real baggage.
//!
//! Every process has its part of the result; the parts are merged at the end, as a frontend does. The
//! stamps that the baggage gives to temporal tuples are recorded for the evaluator.

use crate::oracle::language::query::{Query, Source};
use crate::oracle::reference::evaluator::{PackOrder, joins_of};
use crate::oracle::run::event_dag::{BranchId, Event, EventDag, RunStep, TracepointSpec};
use crate::oracle::run::executors::{self, ObservingAdvice};
use crate::oracle::run::run_script::RunScript;
use crate::random::Random;
use pivot_advice::{
    Advice, BagKey, EmitMode, EvalErrors, Groups, Instruction, LossCounts, QueryId, TemporalFilter, Value,
};
use pivot_agent::QueryReport;
use pivot_agent::run::interpreter::{AdviceEffect, interpret};
use pivot_agent::run::sample::SampleDecision;
use pivot_agent::site::default_field::DefaultField;
use pivot_agent::weave::constant_conditions::ConstantVerdict;
use pivot_agent::weave::name_linker::{FieldSource, LinkedAdvice};
use pivot_baggage::{Baggage, JoinOutcome, MAX_BYTES, Stamp};
use pivot_query::{OutputPlan, QueryProgram};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

/// How many processes a run is spread over.
pub const PROCESSES: usize = 3;

/// The length of the one window.
pub(crate) const SECONDS: f64 = 4.0;

/// The result of a run in band.
#[derive(Debug)]
pub(crate) struct InBandResult {
    pub rows: Vec<Vec<Value>>,
    pub stamps: RecordedStamps,
    /// There were more rows than an agent makes, or more baggage than travels at all.
    pub too_large: bool,
    /// Baggage was cut, and the result says that it may be short.
    pub partial: bool,
    /// Rows of LEFT and ANTI joins that may be there only because baggage was incomplete.
    pub uncertain: u64,
    /// Evaluations that had no value.
    pub errors: u64,
    pub constants: DecidedConstants,
}

/// What constants decided before advice ran.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct DecidedConstants {
    /// Whether advice was not woven at some event, because a condition is never true there.
    pub ruled_out: bool,
    /// Whether advice ran with fewer or with smaller conditions.
    pub reduced: bool,
}

/// The stamps of temporal tuples, by event and stage; none for a tuple that First refused.
#[derive(Debug, Default)]
pub struct RecordedStamps {
    given: HashMap<(usize, u16), Option<Stamp>>,
    /// The stages of the bags of each join's choices, in the order of the text.
    choices: Vec<Vec<u16>>,
}

impl PackOrder for RecordedStamps {
    /// Compares stamps: an event that First refused comes after all that it has chosen.
    fn compare(&self, join: usize, choice: usize, a: usize, b: usize) -> Ordering {
        let stage = self.choices[join][choice];
        let stamp = |event| self.given.get(&(event, stage)).copied().flatten();
        match (stamp(a), stamp(b)) {
            (Some(x), Some(y)) => x.cmp(&y),
            (x, y) => y.is_some().cmp(&x.is_some()).then(a.cmp(&b)),
        }
    }
}

/// Runs a program over the steps of a case. Fails with what must never happen.
pub(crate) fn ran(
    program: &QueryProgram,
    advice: &[Advice],
    query: &Query,
    script: &RunScript<'_>,
    dag: &EventDag<'_>,
) -> Result<InBandResult, String> {
    let linked = linked(advice, script.tracepoints)?;
    let run = run_of(&linked, choices(advice, query)?, script, dag)?;
    run.finish(program)
}

/// Returns the advice as the agents of a process run it.
pub fn linked(advice: &[Advice], tracepoints: &[TracepointSpec]) -> Result<Vec<LinkedAdvice>, String> {
    let mut linked = Vec::new();
    for advice in advice {
        pivot_agent::verify(advice).map_err(|error| format!("refused by the agent: {error}\n{advice}"))?;
        let found = tracepoints.iter().find(|tracepoint| tracepoint.name == advice.tracepoint);
        // Nobody exports the tracepoint of a pending query.
        let Some(found) = found else { continue };
        let fields: Vec<&str> = found.fields.iter().map(|(name, _)| name.as_str()).collect();
        linked.push(
            LinkedAdvice::link(advice, &fields)
                .map_err(|error| format!("does not link: {error}\n{advice}"))?,
        );
    }

    Ok(linked)
}

/// Takes all steps.
fn run_of<'a>(
    linked: &'a [LinkedAdvice],
    choices: Vec<Vec<u16>>,
    script: &'a RunScript<'a>,
    dag: &EventDag<'_>,
) -> Result<InBandRun<'a>, String> {
    let mut run = InBandRun::new(linked, choices, script);
    for step in script.steps {
        run.step(step)?;
        // What follows would be of a request that has lost its baggage.
        if run.too_large {
            break;
        }
    }

    // A clock that went with a lost reply is lost too.
    if !script.loses_replies() {
        run.check_stamps(dag)?;
    }
    Ok(run)
}

/// Returns the stages of the bags that the choices of each join of the query choose for. An alias occurs more than once if
/// its query of WITH does; then the consumers come in the order of the text.
pub fn choices(advice: &[Advice], query: &Query) -> Result<Vec<Vec<u16>>, String> {
    let mut unpacked: HashMap<&str, Vec<(u16, Vec<u16>)>> = HashMap::new();
    for advice in advice {
        for instruction in &advice.instructions {
            let (alias, bags) = match instruction {
                Instruction::Unpack { bag, alias, .. } => (alias, vec![bag.stage]),
                Instruction::UnpackUnion { alias, bags, .. } => {
                    (alias, bags.iter().map(|united| united.bag.stage).collect())
                }
                _ => continue,
            };
            let found = unpacked.entry(alias).or_default();
            // A stage has one advice for each of its tracepoints.
            let unpack = (advice.stage, bags);
            if !found.contains(&unpack) {
                found.push(unpack);
            }
        }
    }

    let mut choices = Vec::new();
    for join in joins_of(query) {
        let found = unpacked.get_mut(join.alias.as_str());
        let found = found.ok_or_else(|| format!("nothing unpacks: {}", join.alias))?;
        // The last may be shared by all that follow.
        let bags = if found.len() > 1 { found.remove(0).1 } else { found[0].1.clone() };

        // What neither chooses nor aggregates lies in one bag, before those of the choices.
        let is_plain = |source: &Source| source.choice().is_none() && !source.aggregates();
        let plain = usize::from(join.sources.iter().any(is_plain));
        let count = join.sources.iter().filter_map(Source::choice).count();
        choices.push(bags.into_iter().skip(plain).take(count).collect());
    }

    Ok(choices)
}

/// A run, and what it has given so far.
#[derive(Debug)]
pub struct InBandRun<'a> {
    linked: &'a [LinkedAdvice],
    script: &'a RunScript<'a>,
    branches: BTreeMap<BranchId, (Baggage, usize)>,
    /// The report of each process.
    pub parts: Vec<QueryReport>,
    /// The stamps of temporal tuples so far.
    pub stamps: RecordedStamps,
    /// In which process each event happened.
    pub places: Vec<usize>,
    /// More baggage would have travelled than may.
    pub too_large: bool,
    /// Whether a reply that had tuples came without.
    unreturned: bool,
    constants: DecidedConstants,
}

impl<'a> InBandRun<'a> {
    /// Begins a run of linked advice, with the bags that the choices of each join choose for.
    pub fn new(
        linked: &'a [LinkedAdvice],
        choices: Vec<Vec<u16>>,
        script: &'a RunScript<'a>,
    ) -> InBandRun<'a> {
        // As a frontend has it while any query packs.
        pivot_baggage::set_carrying(true);
        let stamps = RecordedStamps { given: HashMap::new(), choices };
        let parts = std::iter::repeat_with(QueryReport::empty).take(PROCESSES).collect();

        InBandRun {
            linked,
            script,
            branches: BTreeMap::new(),
            parts,
            stamps,
            places: vec![],
            too_large: false,
            unreturned: false,
            constants: DecidedConstants::default(),
        }
    }

    /// Takes one step. Fails with what must never happen.
    pub fn step(&mut self, step: &RunStep) -> Result<(), String> {
        match step {
            RunStep::Request => self.branches = BTreeMap::from([(0, (Baggage::begin(), 0))]),
            RunStep::Event(branch, event) => {
                let (mut baggage, process) = self.take(*branch);
                self.fire(event, Some(&mut baggage), process)?;
                self.branches.insert(*branch, (baggage, process));
            }
            RunStep::Outside(event) => self.fire(event, None, 0)?,
            RunStep::Fork(from, to) => {
                let (mut baggage, process) = self.take(*from);
                self.branches.insert(*to, (baggage.fork(), process));
                self.branches.insert(*from, (baggage, process));
            }
            RunStep::Detach(from, to) => {
                let (baggage, process) = self.take(*from);
                self.branches.insert(*to, (baggage.detach(), process));
                self.branches.insert(*from, (baggage, process));
            }
            RunStep::Join(to, from) => {
                // The branch that ends comes back as a reply, whichever process it has reached.
                let ((mut baggage, process), (ended, _)) = (self.take(*to), self.take(*from));
                let joined = baggage.join(ended);
                if joined != JoinOutcome::Merged {
                    return Err(format!("a join was refused: {joined:?}"));
                }
                self.branches.insert(*to, (baggage, process));
            }
            RunStep::Bare(to, from) | RunStep::Lost(to, from) => {
                let ((mut baggage, process), (ended, _)) = (self.take(*to), self.take(*from));
                // Both ends report the tag of the call if the reply left with tuples; nobody knows what the other has.
                self.unreturned |= ended.queries().next().is_some();
                match step {
                    RunStep::Lost(..) => baggage.mark_partial(),
                    _ => baggage.note_bare_reply(),
                }
                self.branches.insert(*to, (baggage, process));
            }
            RunStep::Cancel(branch) => drop(self.take(*branch)),
            RunStep::Hop(branch) => self.hop(*branch, 0)?,
            RunStep::Skew(branch, seconds) => self.hop(*branch, *seconds)?,
        }

        Ok(())
    }

    fn take(&mut self, branch: BranchId) -> (Baggage, usize) {
        self.branches.remove(&branch).expect("the steps are a run")
    }

    /// To another process, where the clock may be ahead.
    fn hop(&mut self, branch: BranchId, seconds: u64) -> Result<(), String> {
        let (baggage, process) = self.take(branch);
        let mut bytes = baggage.encode_within(self.script.budget_bytes);
        if bytes.len() > MAX_BYTES {
            self.too_large = true;
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
        let id = self.places.len();
        self.places.push(process);
        let tracepoint =
            self.script.tracepoints.iter().find(|tracepoint| tracepoint.name == event.tracepoint);
        let tracepoint = tracepoint.ok_or("an event has no tracepoint")?;

        let woven = self.woven(id, event, tracepoint);
        let mut here = Vec::new();
        for linked in &woven {
            let observed = linked.sources.iter().map(|source| observed(event, tracepoint, *source)).collect();
            here.push(ObservingAdvice { linked, observed });
        }
        // Processes run compiled and fused advice, wherever they can.
        executors::check(&here, baggage.as_deref_mut(), id)?;

        let (mut packed, mut lost, mut incomplete) = (Vec::new(), Vec::new(), Vec::new());
        for ObservingAdvice { linked, observed } in here {
            let mut loss = LossCounts::default();
            match interpret(linked, observed, baggage.as_deref(), 0, &mut loss) {
                Some(AdviceEffect::Pack(bag, keep, groups)) => packed.push((bag, keep, groups)),
                Some(AdviceEffect::Emit(emission)) => {
                    self.parts[process].add(&emission, SampleDecision::UNSAMPLED)
                }
                Some(AdviceEffect::PackIncomplete(bag, rows)) => {
                    incomplete.push((bag, rows.empty_like()));
                    packed.push((bag, TemporalFilter::All, vec![rows]));
                }
                Some(AdviceEffect::Lose(bag, keep)) => lost.push((bag, keep)),
                None => {}
            }
            self.parts[process].loss.merge(&loss);
        }

        if let Some(baggage) = &mut baggage {
            lost.into_iter().for_each(|(bag, keep)| baggage.mark_lost(bag, keep));
            incomplete.into_iter().for_each(|(bag, shape)| baggage.mark_incomplete(bag, &shape));
            for (bag, keep, groups) in packed {
                self.pack(baggage, id, bag, keep, groups)?;
            }
        }

        Ok(())
    }

    /// Packs the tuples of an event, and records the stamp that it was given.
    fn pack(
        &mut self,
        baggage: &mut Baggage,
        id: usize,
        bag: BagKey,
        keep: TemporalFilter,
        groups: Vec<Groups>,
    ) -> Result<(), String> {
        let is_due =
            self.script.is_complete() && matches!(keep, TemporalFilter::MostRecent(_)) && !groups.is_empty();
        let stamp = baggage.pack(bag, keep, groups);
        if is_due && stamp.is_none() {
            return Err("MostRecent gave no stamp".into());
        }

        if keep != TemporalFilter::All {
            // Of a union, the same event may pack more than once.
            let given = self.stamps.given.entry((id, bag.stage)).or_default();
            *given = given.or(stamp);
        }
        Ok(())
    }

    /// Returns the advice that agents weave where an event happens, after they have decided what is constant there.
    fn woven(&mut self, id: usize, event: &Event, tracepoint: &TracepointSpec) -> Vec<LinkedAdvice> {
        let mut woven = Vec::new();
        for linked in self.linked.iter().filter(|linked| linked.advice.tracepoint == event.tracepoint) {
            let verdict = linked.clone().decide_constants(|source| {
                is_constant(source, id).then(|| observed(event, tracepoint, source))
            });
            match verdict {
                ConstantVerdict::Remaining(remaining) => {
                    self.constants.reduced |= remaining != *linked;
                    woven.push(remaining);
                }
                ConstantVerdict::RuledOut(_) => self.constants.ruled_out = true,
            }
        }
        woven
    }

    /// Checks that the order of stamps extends happened-before.
    pub fn check_stamps(&self, dag: &EventDag<'_>) -> Result<(), String> {
        for ((a, stage), first) in &self.stamps.given {
            for ((b, other), second) in &self.stamps.given {
                // Only tuples of one stage are compared: another has stamps of its own.
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

    /// Merges the reports of all processes and makes rows of them, as the frontend does.
    fn finish(mut self, program: &QueryProgram) -> Result<InBandResult, String> {
        let mut whole = QueryReport::empty();
        self.parts.drain(..).for_each(|part| whole.merge(part));
        // As the frontend does once both ends have told of the reply.
        if self.unreturned {
            whole.loss.settle_undecided();
        }
        let uncertain = whole.loss.uncertain;
        let partial = whole.loss.truncated > 0 || uncertain > 0 || self.unreturned;
        if partial && self.script.is_complete() {
            return Err("the baggage is not complete".into());
        }

        let mut errors = EvalErrors(whole.loss.errors);
        let rows = whole.groups.unwrap_or_else(|| program.output.table());
        let rows = finished(&rows, &program.output, &mut errors);
        let too_large = self.too_large || whole.loss.dropped > 0 || whole.other.is_some();

        let (stamps, constants) = (self.stamps, self.constants);
        Ok(InBandResult { rows, stamps, too_large, partial, uncertain, errors: errors.0, constants })
    }
}

/// Returns the rows of a result, as the frontend makes them of merged groups.
fn finished(groups: &Groups, output: &OutputPlan, errors: &mut EvalErrors) -> Vec<Vec<Value>> {
    // Which part of the requests a group of a sample is from matters for its error alone.
    let keys = output.keys.len();
    let mut whole = Groups::new(keys, groups.aggregates());
    groups.iter().for_each(|group| whole.entry(&group.key[..keys]).merge(group.n, &group.states));

    // Without GROUP BY there is a row also where nothing matched.
    if output.has_one_row() {
        whole.entry(&[]);
    }

    let mut rows: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
    for group in &whole {
        let row = output.row(&group.key, group.n, &group.states, SECONDS, errors);
        let shown = output.columns.iter().map(|column| column.expr.eval(&row, errors)).collect();
        let times = if output.form == EmitMode::Rows { group.n } else { 1 };
        rows.extend((0..times).map(|_| (row.clone(), Vec::clone(&shown))));
    }

    if let Some(having) = &output.having {
        rows.retain(|(row, _)| having.holds(row, errors));
    }

    if output.distinct {
        let mut seen: Vec<Vec<Value>> = Vec::new();
        rows.retain(|(_, shown)| {
            let new = !seen.contains(shown);
            seen.extend(new.then(|| shown.clone()));
            new
        });
    }

    for (expr, order) in output.order.iter().rev() {
        rows.sort_by(|(a, _), (b, _)| {
            let mut errors = EvalErrors::default();
            order.compare(&expr.eval(a, &mut errors), &expr.eval(b, &mut errors))
        });
    }

    let limit = output.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    rows.into_iter().take(limit).map(|(_, shown)| shown).collect()
}

/// Returns whether a field is taken for a constant of the place where an event happens: those that are one in every
/// process, and any exported field at some events, as if each of these were at a call site of its own.
fn is_constant(source: FieldSource, event: usize) -> bool {
    match source {
        FieldSource::Default(field) => matches!(
            field,
            DefaultField::Host | DefaultField::Process | DefaultField::Pid | DefaultField::Tracepoint
        ),
        FieldSource::Exported(index) => Random::new((event << 8 | index) as u64).percent(25),
        FieldSource::Missing => true,
    }
}

fn observed(event: &Event, tracepoint: &TracepointSpec, source: FieldSource) -> Value {
    let FieldSource::Default(field) = source else {
        let FieldSource::Exported(index) = source else { return Value::Null };
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
