//! One run: hosts, a schedule, and what has become of it.

use crate::agent_host::AgentHost;
use crate::client_host::{plans, run as run_client};
use crate::frontend_host::{FrontendMachine, run as run_frontend};
use crate::schedule::{Fault, PlannedFault, schedule};
use crate::simulated_clocks::SimulatedClocks;
use crate::simulated_disk::DiskHealth;
use crate::simulated_network::FRONTEND;
use crate::world::{Phase, World};
use pivot_tests::random::Random;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use turmoil::Sim;

/// The time of one step of a simulation.
const TICK: Duration = Duration::from_millis(5);

/// The usual latency.
const LATENCY_MS: u64 = 20;

/// The longest time in which agents must have reported what is left: a connection that a cut has broken is noticed after
/// half a minute.
const SETTLE: Duration = Duration::from_secs(120);

/// How long clients may take to read what is left.
const FINISH: Duration = Duration::from_secs(60);

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) world: World,
    pub(crate) faults: Vec<PlannedFault>,
    pub(crate) processes: Vec<String>,
}

/// Something that a fault has changed and that is put right later.
#[derive(Debug, Clone, Copy)]
enum Repair {
    StartFrontend,
    StartHost(usize),
    Link(usize),
    Release(usize),
    Latency(usize),
    Disk,
}

struct Run {
    sim: Sim<'static>,
    world: World,
    machine: Arc<FrontendMachine>,
    hosts: Vec<AgentHost>,
    /// Things that are put right, by the time in milliseconds.
    repairs: BTreeMap<u64, Vec<Repair>>,
}

/// Runs the schedule of a seed.
pub(crate) fn run(seed: u64, log_limit: usize) -> Outcome {
    let mut random = Random::new(seed);
    let run_ms = 6_000 + random.below(14_000) as u64;
    let (host_count, agents) = (1 + random.below(3), 1 + random.below(4));
    let faults = schedule(&mut random, host_count, agents, run_ms);
    let world = World::new(log_limit);
    world.log(&format!("{faults:?}"));

    let mut run = Run::start(&mut random, world.clone(), host_count, agents, run_ms);
    let mut due = faults.iter().peekable();
    while run.now_ms() < run_ms {
        while let Some(planned) = due.next_if(|planned| planned.at_ms <= run.now_ms()) {
            run.suffer(planned.fault);
        }
        run.step();
    }

    run.repair_until(u64::MAX);
    world.enter(Phase::Settling);
    let until = run.sim.elapsed() + SETTLE;
    while world.running_agents() > 0 {
        assert!(run.sim.elapsed() < until, "agents do not get rid of their reports");
        run.step();
    }
    world.enter(Phase::Finishing);
    let until = run.sim.elapsed() + FINISH;
    while !run.step() {
        assert!(run.sim.elapsed() < until, "clients do not get their last results");
    }

    let processes = run.hosts.iter().flat_map(|host| (0..host.agents).map(|number| host.process(number)));
    Outcome { seed, world, faults, processes: processes.collect() }
}

impl Run {
    fn start(random: &mut Random, world: World, host_count: usize, agents: usize, run_ms: u64) -> Run {
        let mut sim = turmoil::Builder::new()
            .tick_duration(TICK)
            .simulation_duration(Duration::from_secs(3_600))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(LATENCY_MS))
            .rng_seed(random.below(1 << 40) as u64)
            .build();

        let machine = Arc::new(FrontendMachine::new(random.below(1 << 40) as u64));
        sim.host(FRONTEND, {
            let (world, machine) = (world.clone(), machine.clone());
            move || run_frontend(world.clone(), machine.clone())
        });

        let lease = Duration::from_secs(*random.pick(&[4, 60, 600]));
        let mut hosts = Vec::new();
        for number in 0..host_count {
            let clocks = SimulatedClocks::new(random.within(-100, 100), random.within(0, 1 << 50));
            let host = AgentHost {
                name: format!("host{number}"),
                agents,
                seed: random.below(1 << 30) as u64,
                lease,
                clocks: Arc::new(clocks),
                world: world.clone(),
            };
            host.clocks.step_wall(random.within(-60_000_000_000, 60_000_000_000));
            hosts.push(host.clone());
            let starts = Rc::new(Cell::new(0));
            sim.host(host.name.clone(), move || {
                starts.set(starts.get() + 1);
                host.clone().run(starts.get())
            });
        }
        sim.client("client", run_client(world.clone(), plans(random, run_ms)));
        Run { sim, world, machine, hosts, repairs: BTreeMap::new() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.sim.elapsed().as_millis()).expect("a short run")
    }

    /// Lets all hosts run for a moment; returns whether clients have ended.
    fn step(&mut self) -> bool {
        self.repair_until(self.now_ms());
        self.sim.step().expect("no host fails")
    }

    fn repair_until(&mut self, ms: u64) {
        while let Some(entry) = self.repairs.first_entry().filter(|entry| *entry.key() <= ms) {
            for repair in entry.remove() {
                self.repair(repair);
            }
        }
    }

    fn repair(&mut self, repair: Repair) {
        self.world.log(&format!("{repair:?}"));

        match repair {
            Repair::StartFrontend => self.sim.bounce(FRONTEND),
            Repair::StartHost(host) => self.sim.bounce(self.hosts[host].name.as_str()),
            Repair::Link(host) => self.sim.repair(self.hosts[host].name.as_str(), FRONTEND),
            Repair::Release(host) => {
                self.world.calm(&self.hosts[host].name);
                self.sim.release(self.hosts[host].name.as_str(), FRONTEND);
            }
            Repair::Latency(host) => {
                self.world.calm(&self.hosts[host].name);
                let latency = Duration::from_millis(LATENCY_MS);
                self.sim.set_link_latency(self.hosts[host].name.as_str(), FRONTEND, latency);
            }
            Repair::Disk => self.machine.disk.set_health(DiskHealth::Sound),
        }
    }

    fn repair_later(&mut self, ms: u64, repair: Repair) {
        self.repairs.entry(self.now_ms() + ms).or_default().push(repair);
    }

    fn suffer(&mut self, fault: Fault) {
        self.world.log(&format!("{fault:?}"));

        match fault {
            Fault::KillFrontend { down_ms } => {
                if self.sim.is_host_running(FRONTEND) {
                    self.machine.kill();
                    self.sim.crash(FRONTEND);
                    self.repair_later(down_ms, Repair::StartFrontend);
                }
            }
            Fault::PowerFailure { down_ms } => {
                if self.sim.is_host_running(FRONTEND) {
                    self.machine.lose_power(crate::frontend_host::now_ns(self.sim.elapsed()));
                    self.sim.crash(FRONTEND);
                    self.repair_later(down_ms, Repair::StartFrontend);
                }
            }
            Fault::KillHost { host, down_ms } => self.kill_host(host, down_ms),
            Fault::Order { host, agent, order } => {
                self.world.order(&self.hosts[host].process(agent), order);
            }
            Fault::Cut { host, ms } => {
                self.sim.partition(self.hosts[host].name.as_str(), FRONTEND);
                self.repair_later(ms, Repair::Link(host));
            }
            Fault::Hold { host, ms } => {
                self.world.disturb(&self.hosts[host].name);
                self.sim.hold(self.hosts[host].name.as_str(), FRONTEND);
                self.repair_later(ms, Repair::Release(host));
            }
            Fault::Slow { host, latency_ms } => {
                self.world.disturb(&self.hosts[host].name);
                let latency = Duration::from_millis(latency_ms);
                self.sim.set_link_latency(self.hosts[host].name.as_str(), FRONTEND, latency);
                self.repair_later(3_000, Repair::Latency(host));
            }
            Fault::StepHost { host, step_ms } => self.hosts[host].clocks.step_wall(step_ms * 1_000_000),
            Fault::StepFrontend { step_ms } => self.machine.clocks.step_wall(step_ms * 1_000_000),
            Fault::Disk { health, ms } => {
                self.machine.disk.set_health(health);
                self.repair_later(ms, Repair::Disk);
            }
        }
    }

    fn kill_host(&mut self, host: usize, down_ms: u64) {
        let name = self.hosts[host].name.clone();
        if !self.sim.is_host_running(name.as_str()) {
            return;
        }
        for number in 0..self.hosts[host].agents {
            self.world.note_death(&self.hosts[host].process(number));
        }

        self.world.host_killed(&name);
        self.sim.crash(name.as_str());
        self.repair_later(down_ms, Repair::StartHost(host));
    }
}
