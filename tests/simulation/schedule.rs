//! Schedules of faults, drawn by seed.

use crate::simulated_disk::DiskHealth;
use crate::world::AgentOrder;
use pivot_tests::random::Random;

/// A fault; hosts and agents by their numbers, times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The frontend's process is killed, and started again after a time.
    KillFrontend { down_ms: u64 },
    /// The power of the frontend's machine fails for a time.
    PowerFailure { down_ms: u64 },
    /// All agents of a host are killed, and started again after a time.
    KillHost { host: usize, down_ms: u64 },
    /// One agent is told something.
    Order { host: usize, agent: usize, order: AgentOrder },
    /// Messages between a host and the frontend are lost for a time. Connections may never recover from it.
    Cut { host: usize, ms: u64 },
    /// Messages between a host and the frontend arrive after a time only.
    Hold { host: usize, ms: u64 },
    /// Messages between a host and the frontend take long.
    Slow { host: usize, latency_ms: u64 },
    /// The time of day of a host is set.
    StepHost { host: usize, step_ms: i64 },
    /// The time of day of the frontend is set.
    StepFrontend { step_ms: i64 },
    /// The disk cannot do everything for a time.
    Disk { health: DiskHealth, ms: u64 },
}

/// A fault and when it happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedFault {
    pub(crate) at_ms: u64,
    pub(crate) fault: Fault,
}

/// The kinds of faults that a schedule may have, so that much is found out about a result where little happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Nothing that ends a process of an application.
    AgentsLive,
    /// Everything.
    Everything,
}

/// Returns the faults of a run, in the order of their times.
pub(crate) fn schedule(random: &mut Random, hosts: usize, agents: usize, run_ms: u64) -> Vec<PlannedFault> {
    let severity = *random.pick(&[Severity::AgentsLive, Severity::Everything]);
    let count = 1 + random.below(6);
    let mut faults: Vec<PlannedFault> = (0..count)
        .map(|_| PlannedFault {
            at_ms: 500 + random.below(run_ms as usize - 1_000) as u64,
            fault: draw(random, severity, hosts, agents),
        })
        .collect();

    faults.sort_by_key(|planned| planned.at_ms);
    faults
}

fn draw(random: &mut Random, severity: Severity, hosts: usize, agents: usize) -> Fault {
    let ms = 100 + random.below(4_000) as u64;
    let (host, agent) = (random.below(hosts), random.below(agents));

    let kinds = if severity == Severity::AgentsLive { 13 } else { 17 };
    match random.below(kinds) {
        0 | 1 => Fault::KillFrontend { down_ms: ms },
        2 | 3 => Fault::PowerFailure { down_ms: ms },
        4 => Fault::Cut { host, ms },
        5 | 6 => Fault::Hold { host, ms },
        7 => Fault::Slow { host, latency_ms: 20 + ms / 10 },
        8 => Fault::StepHost { host, step_ms: random.within(-600_000, 600_000) },
        9 => Fault::StepFrontend { step_ms: random.within(-600_000, 600_000) },
        10 => Fault::Disk { health: DiskHealth::Full, ms },
        11 => Fault::Disk { health: DiskHealth::Broken, ms },
        12 => Fault::Order { host, agent, order: AgentOrder::Stand(ms) },
        13 => Fault::KillHost { host, down_ms: ms },
        14 | 15 => Fault::Order { host, agent, order: AgentOrder::Die(ms) },
        _ => Fault::Order { host, agent, order: AgentOrder::Leave(ms) },
    }
}
