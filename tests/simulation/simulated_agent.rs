//! An agent among many in one process, whose events are counted: what its queries have to answer is known.

use crate::world::World;
use pivot_advice::{
    Advice, CallArgument, CarrierGlob, EvalErrors, Exports, FieldDescriptor, Groups, Instruction,
    NamedCarrier, QueryBudget, QueryCost, QueryId, QueryState, QueryStatus, Type, Value, WeaveProblem,
};
use pivot_agent::{QueryReport, QueryReports};
use pivot_uplink::{AgentLosses, AgentRuntime, BareMessages, Switch};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

/// The tracepoint of all agents.
pub(crate) const TRACEPOINT: &str = "Simulated.hit";

/// The value of `n` at each event.
pub(crate) const N: u64 = 2;

/// An agent; all clones are the same one.
#[derive(Clone)]
pub(crate) struct SimulatedAgent(Rc<RefCell<AgentState>>);

struct AgentState {
    world: World,
    process: String,
    /// Queries that are woven, or were until the lease ended.
    wanted: BTreeMap<QueryId, WovenQuery>,
    has_lapsed: bool,
    gathered: QueryReports,
    carriers: Vec<NamedCarrier>,
}

struct WovenQuery {
    advice: Advice,
    since: Instant,
}

impl SimulatedAgent {
    pub(crate) fn new(world: World, process: &str) -> SimulatedAgent {
        SimulatedAgent(Rc::new(RefCell::new(AgentState {
            world,
            process: process.to_owned(),
            wanted: BTreeMap::new(),
            has_lapsed: false,
            gathered: QueryReports::new(),
            carriers: Vec::new(),
        })))
    }

    /// Passes through the tracepoint.
    pub(crate) fn hit(&self) {
        let mut state = self.0.borrow_mut();
        let AgentState { world, process, wanted, has_lapsed, gathered, .. } = &mut *state;
        if *has_lapsed {
            return;
        }

        for (query, woven) in wanted {
            let report = gathered.entry(*query).or_insert_with(QueryReport::empty);
            add_event(report, &woven.advice, process);
            world.note_hit(query.number, process);
        }
    }
}

/// Runs advice that observes fields and emits; the queries of the simulation need no more.
fn add_event(report: &mut QueryReport, advice: &Advice, process: &str) {
    let mut row = Vec::new();
    for instruction in &advice.instructions {
        match instruction {
            Instruction::Observe { field } => row.push(match field.as_str() {
                "process" => Value::str(process),
                "n" => Value::U64(N),
                other => panic!("no field {other}"),
            }),
            Instruction::Emit { keys, folds, .. } => {
                let aggregates: Vec<_> = folds.iter().map(|fold| fold.aggregate).collect();
                let groups = report.groups.get_or_insert_with(|| Groups::new(keys.len(), &aggregates));
                let key: Vec<Value> = keys.iter().map(|column| row[usize::from(*column)].clone()).collect();
                let group = groups.entry(&key);
                group.n += 1;
                for (state, fold) in group.states.iter_mut().zip(folds) {
                    let CallArgument::Expr(argument) = &fold.input else { panic!("{fold:?}") };
                    let mut errors = EvalErrors::default();
                    let value = argument.eval(&row, &mut errors);
                    state.update(&value, 1, &mut errors);
                }

                report.emitted += 1;
            }
            other => panic!("the queries of the simulation have no {other:?}"),
        }
    }
}

impl AgentRuntime for SimulatedAgent {
    fn begin(&mut self) {}

    fn keep_silent(&mut self) {}

    fn end(&mut self) {}

    fn weave(&mut self, advice: &[Advice], _: &BTreeMap<QueryId, u64>) -> Vec<WeaveProblem> {
        let mut state = self.0.borrow_mut();
        let now = tokio::time::Instant::now().into_std();
        let before = std::mem::take(&mut state.wanted);
        let was_off = std::mem::take(&mut state.has_lapsed);

        for advice in advice {
            let goes_on = before.get(&advice.query).filter(|_| !was_off);
            let since = goes_on.map_or(now, |woven| woven.since);
            state.wanted.insert(advice.query, WovenQuery { advice: advice.clone(), since });
        }
        let numbers: Vec<u32> = state.wanted.keys().map(|query| query.number).collect();
        state.world.log(&format!("{} weaves {numbers:?}", state.process));
        Vec::new()
    }

    fn lapse(&mut self) {
        let mut state = self.0.borrow_mut();
        state.has_lapsed = true;
        state.world.note_lapse();
        state.world.log(&format!("{} lapses", state.process));
    }

    fn set_weaving(&mut self, _: Switch) {}

    fn weaving(&self) -> Switch {
        Switch::On
    }

    fn set_query_budgets(&mut self, _: &BTreeMap<QueryId, QueryBudget>) {}

    fn govern(&mut self, _: &BTreeMap<QueryId, QueryCost>, _: u64) {}

    fn set_carriers(&mut self, globs: Vec<CarrierGlob>) {
        self.0.borrow_mut().carriers = globs.into_iter().map(NamedCarrier::new).collect();
    }

    fn carriers(&self) -> Vec<NamedCarrier> {
        self.0.borrow().carriers.clone()
    }

    fn set_carrying(&mut self, _: Switch) {}

    fn set_woven_here(&mut self, _: u64) {}

    fn set_woven_everywhere(&mut self, _: u64) {}

    fn drain(&mut self) -> QueryReports {
        let mut state = self.0.borrow_mut();
        let drained = std::mem::take(&mut state.gathered);
        for (query, report) in &drained {
            state.world.log(&format!("{} drains {} of {}", state.process, report.emitted, query.number));
        }
        drained
    }

    fn woven_since(&self) -> BTreeMap<QueryId, Instant> {
        let state = self.0.borrow();
        let woven = state.wanted.iter().filter(|_| !state.has_lapsed);
        woven.map(|(query, woven)| (*query, woven.since)).collect()
    }

    fn suspended_queries(&self) -> Vec<QueryId> {
        let state = self.0.borrow();
        state.wanted.keys().filter(|_| state.has_lapsed).copied().collect()
    }

    fn suspended_since(&self) -> Option<u64> {
        None
    }

    fn statuses(&self) -> Vec<QueryStatus> {
        let state = self.0.borrow();
        let runs = if state.has_lapsed { QueryState::Disabled } else { QueryState::Active };
        let statuses = state.wanted.keys().map(|query| QueryStatus {
            query: *query,
            state: runs,
            keep: 1.0,
            detail: String::new(),
            granted: None,
            ruled_out: Vec::new(),
        });
        statuses.collect()
    }

    fn registered_count(&self) -> usize {
        0
    }

    fn catalogue(&self) -> Vec<Exports> {
        vec![Exports {
            tracepoint: TRACEPOINT.into(),
            fields: vec![FieldDescriptor { name: "n".into(), ty: Type::U64 }],
            file: "simulated.rs".into(),
            line: 1,
            module: "simulated".into(),
        }]
    }

    fn catalogue_since(&self, _: usize) -> Vec<Exports> {
        Vec::new()
    }

    fn losses(&self) -> AgentLosses {
        AgentLosses::default()
    }

    fn bare_messages(&self) -> BareMessages {
        BareMessages::default()
    }
}
