//! The frontend's state and its store: taking up what was stored, what a commit has to write, and what is shown and sent
//! once it has.
//!
//! ```text
//! FrontendState::advance ──▶ StateChanges ──▶ commit ──▶ FrontendState::publish
//!        └──────────────────── Publication ─────────────────────────┘
//! ```

use crate::agent_registry::AgentRegistry;
use crate::compilation::Compiler;
use crate::convergence::Convergence;
use crate::installed_queries::InstalledQueries;
use crate::options::FrontendOptions;
use crate::restored_backup::become_another;
use crate::restored_query::RestoredQuery;
use crate::state::{FrontendState, Publication};
use crate::store::{FrontendRecord, StateChanges, StoredState};
use crate::wanted_advice::WantedNews;

/// How far the frontend's time may be from what the stored record of it leads to.
const MOST_OUTDATED_NS: i64 = 10_000_000;

/// The notice of a frontend that is started with a backup.
const RESTORED: &str =
    "the store was restored from a backup: results miss what agents have reported since that was made";

impl FrontendState {
    /// Makes the state that was stored, at this time. Returns it with what could not be taken over, for people.
    pub(crate) fn restore(
        options: &FrontendOptions,
        mut stored: StoredState,
        compiler: &Compiler,
        now_ns: i64,
    ) -> (FrontendState, Vec<String>) {
        let missed = become_another(&*options.machine, &mut stored, now_ns);
        let StoredState { frontend, agents, departed, queries } = stored;
        let mut state = FrontendState::new(options, now_ns);
        state.queries = InstalledQueries::new(frontend.frontend, frontend.last_number);
        state.batch = frontend.batch + 1;
        // A glob that only another version can read is left out.
        let carriers = frontend.carriers.iter().filter_map(|glob| glob.parse().ok()).collect();
        state.stored = frontend.clone();
        state.convergence = Convergence::restore(frontend.woven_everywhere);
        state.registry = AgentRegistry::restore(agents, departed, now_ns);
        state.wanted.set_carriers(carriers);

        let mut problems = Vec::new();
        if missed.is_some() {
            problems.push(RESTORED.to_owned());
        }
        let mut has_changed = missed.is_some();
        for (number, stored) in &queries {
            let (id, exports) = (state.queries.id(*number), &state.registry.exports);
            match RestoredQuery::new(id, stored, exports, compiler, frontend.generation + 1) {
                Ok(mut restored) => {
                    has_changed |= restored.has_changed;
                    missed.iter().for_each(|missed| restored.query.miss(*missed, frontend.generation + 1));
                    state.take_up(restored.query);
                }
                Err(problem) => problems.push(problem),
            }
        }

        state.weave();
        // If the advice is what it was, so is the generation, and agents go on as they are.
        let generation = frontend.generation + u64::from(has_changed || !problems.is_empty());
        state.wanted.continue_from(generation);
        state.wanted.set_woven_everywhere(frontend.woven_everywhere);
        state.unpublished.clear();

        let now = state.query_tick(now_ns);
        for query in state.queries.iter_mut() {
            query.restore_frames(&state.registry, now);
        }
        (state, problems)
    }

    /// Adds what has changed of the frontend itself to a commit, and begins the next one if anything has.
    pub(crate) fn collect_changes(&mut self, changes: &mut StateChanges) {
        changes.forgotten_queries.append(&mut self.queries.take_forgotten());
        let sequences =
            self.queries.iter().map(|query| (query.definition.id.number, query.frames.sequence()));
        self.to_publish.sequences = sequences.collect();
        // What a commit that failed has left comes first.
        self.to_publish.wanted.updates.append(&mut self.unpublished);
        self.to_publish.wanted.generation = self.generation();
        self.to_publish.wanted.woven_everywhere = self.convergence.everywhere();

        let record = FrontendRecord {
            frontend: self.queries.frontend,
            generation: self.generation(),
            last_number: self.queries.last_number,
            woven_everywhere: self.convergence.everywhere(),
            batch: self.batch,
            is_backup: false,
            carriers: self.wanted.carriers().iter().map(ToString::to_string).collect(),
            clock: self.clock.clone(),
        };
        // The number of the commit alone is no change, nor that time passes.
        let FrontendRecord { batch, clock, .. } = self.stored.clone();
        let is_same = FrontendRecord { batch, clock, ..record.clone() } == self.stored;
        if !is_same || !changes.is_empty() || self.is_clock_outdated() {
            self.stored = record.clone();
            changes.frontend = Some(record);
            self.batch += 1;
        }
    }

    /// Whether another run could not continue the frontend's time from what is stored of it.
    fn is_clock_outdated(&self) -> bool {
        let Some(clock) = &self.clock else { return false };
        let stored = self.stored.clock.as_ref();
        stored.is_none_or(|stored| stored.distance_ns(clock) > MOST_OUTDATED_NS)
    }

    /// Shows and sends what the last call of [`FrontendState::advance`] has brought, which is durable now: frames,
    /// acknowledgements, and the advice that is wanted.
    pub(crate) fn publish(&mut self) {
        let Publication { wanted, sequences } = std::mem::take(&mut self.to_publish);
        for (number, sequence) in sequences {
            if let Some(query) = self.queries.get_mut(number) {
                query.publish(sequence, &self.registry);
            }
        }
        self.registry.publish(&wanted, &mut self.wanted);
        self.to_publish.wanted = WantedNews { updates: Vec::new(), ..wanted };
    }

    /// Lets agents know that the frontend lives while it cannot publish anything.
    pub(crate) fn keep_agents_alive(&mut self) {
        self.registry.keep_alive(self.to_publish.wanted.woven_everywhere);
    }
}
