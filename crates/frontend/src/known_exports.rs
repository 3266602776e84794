//! The tracepoints that agents export: each distinct catalogue is kept once, and all are united for the compiler.
//!
//! ```text
//! agents 1, 2, 3 of one program ──▶ ExportedSet ──▶ ProgramTracepoint ─┐
//! agent 4 of another build      ──▶ ExportedSet ──▶ ProgramTracepoint ─┴▶ TracepointIndex ──▶ Catalog
//!   an agent holds its set           by content       by content          by name             for queries
//! ```
//!
//! Processes of one program export the same. So an agent that comes or goes with a catalogue that others have costs a
//! look-up and the counts of what it exports: nothing is copied, united or compiled again.
//!
//! A set lives as long as an agent that is remembered has it. What nobody declares any more leaves the catalogue,
//! unless an installed query uses it.

use crate::announced_exports::{AnnouncedExports, AnnouncedTracepoint, CatalogueSize, ExportsFingerprint};
use crate::program_tracepoint::{MAX_PLACES, ProgramTracepoint};
use crate::tracepoint_index::{IndexChange, TracepointIndex};
use pivot_advice::Exports;
use pivot_query::Catalog;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The most tracepoints of all agents together.
const MAX_TRACEPOINTS: usize = 200_000;

/// All that one program exports, as far as it has announced it.
#[derive(Debug, Default, Clone)]
pub(crate) struct ExportedSet {
    fingerprint: ExportsFingerprint,
    size: CatalogueSize,
    tracepoints: BTreeMap<Arc<str>, Arc<ProgramTracepoint>>,
}

impl ExportedSet {
    /// Returns what tells it apart from others, in this process.
    pub(crate) fn fingerprint(&self) -> ExportsFingerprint {
        self.fingerprint
    }

    /// Returns what was announced.
    pub(crate) fn declarations(&self) -> impl Iterator<Item = &Exports> {
        self.tracepoints.values().flat_map(|own| own.declarations())
    }

    fn declares(&self, announced: &AnnouncedTracepoint) -> bool {
        let own = self.tracepoints.get(announced.exports.tracepoint.as_str());
        own.is_some_and(|own| own.declares(announced.fingerprint))
    }
}

/// The exports of one agent.
#[derive(Debug, Default)]
pub(crate) struct AgentExports {
    set: Arc<ExportedSet>,
    /// Tracepoints that it announced and for which there was no room.
    pub(crate) left_out: u64,
    /// Whether it is counted as an exporter: only while it is connected.
    is_counted: bool,
}

impl AgentExports {
    /// Returns the number of its tracepoints, one at each place.
    pub(crate) fn len(&self) -> usize {
        self.set.size.tracepoints
    }

    /// Returns what it has announced.
    pub(crate) fn declared(&self) -> Arc<ExportedSet> {
        self.set.clone()
    }

    /// Whether any of the tracepoints is among them.
    pub(crate) fn contains_any(&self, tracepoints: &[String]) -> bool {
        tracepoints.iter().any(|name| self.set.tracepoints.contains_key(name.as_str()))
    }

    fn count(&mut self) {
        if !std::mem::replace(&mut self.is_counted, true) {
            self.set.tracepoints.values().for_each(|own| own.count_agent());
        }
    }

    /// Notes that the agent is no longer connected.
    pub(crate) fn discount(&mut self) {
        if std::mem::take(&mut self.is_counted) {
            self.set.tracepoints.values().for_each(|own| own.discount_agent());
        }
    }
}

/// A distinct catalogue, and how many agents have it.
#[derive(Debug)]
struct KnownSet {
    set: Arc<ExportedSet>,
    agents: usize,
}

/// The catalogues of all agents that are remembered.
#[derive(Debug, Default)]
pub(crate) struct KnownExports {
    sets: HashMap<ExportsFingerprint, KnownSet>,
    /// The tracepoints of all sets.
    declared: HashMap<ExportsFingerprint, Arc<ProgramTracepoint>>,
    index: TracepointIndex,
    catalog: Arc<Catalog>,
    /// Rises when queries may compile to something else.
    version: u64,
    /// Tracepoints in the catalogue that nobody declares.
    unused: BTreeSet<Arc<str>>,
}

impl KnownExports {
    /// Returns the tracepoints of all agents and the named queries. Every change makes a new catalogue while
    /// somebody holds an older one.
    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Returns a number that rises when queries may compile to something else than before.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Whether any agent that is remembered declares a tracepoint.
    pub(crate) fn is_declared(&self, name: &str) -> bool {
        self.index.is_declared(name)
    }

    /// Returns the places of a tracepoint in the programs of connected agents, in order.
    pub(crate) fn places(&self, name: &str) -> impl Iterator<Item = &Arc<str>> {
        self.index.places(name)
    }

    /// Names a query, so that others can use it as a source.
    pub(crate) fn name_query(&mut self, name: &str, text: &str) {
        Arc::make_mut(&mut self.catalog).add_query(name, text);
    }

    /// Takes the name of a query away.
    pub(crate) fn unname_query(&mut self, name: &str) {
        Arc::make_mut(&mut self.catalog).remove_query(name);
    }

    /// Takes in what an agent announces when it connects.
    pub(crate) fn connect(&mut self, announced: AnnouncedExports) -> AgentExports {
        let mut exports = AgentExports::default();
        self.announce(&mut exports, announced);
        exports.count();
        exports
    }

    /// Takes in what an agent had announced that is not connected.
    pub(crate) fn restore(&mut self, announced: AnnouncedExports) -> AgentExports {
        let mut exports = AgentExports::default();
        self.announce(&mut exports, announced);
        exports
    }

    /// Takes in what an agent announces later.
    pub(crate) fn announce(&mut self, exports: &mut AgentExports, announced: AnnouncedExports) {
        exports.left_out = exports.left_out.saturating_add(announced.left_out);
        // Of an agent that has nothing yet, everything is new, and fits: a known catalogue is found at once.
        let is_first = exports.set.tracepoints.is_empty();
        if is_first && let Some(known) = self.sets.get_mut(&announced.fingerprint) {
            known.agents += 1;
            exports.set = known.set.clone();
            return;
        }

        let new = self.new_tracepoints(exports, announced);
        if new.tracepoints.is_empty() {
            return;
        }
        let was_counted = exports.is_counted;
        exports.discount();
        let set = self.extended(std::mem::take(&mut exports.set), new);
        exports.set = set;
        if was_counted {
            exports.count();
        }
    }

    /// Returns those of the announced tracepoints that are new to an agent and for which there is room.
    fn new_tracepoints(&self, exports: &mut AgentExports, announced: AnnouncedExports) -> AnnouncedExports {
        let set = &exports.set;
        let mut new = AnnouncedExports { size: set.size, ..AnnouncedExports::default() };
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut names = self.index.len();

        for tracepoint in announced.tracepoints {
            if set.declares(&tracepoint) {
                continue;
            }
            let name = &tracepoint.exports.tracepoint;
            let own = set.tracepoints.get(name.as_str()).map_or(0, |own| own.len());
            let places = places.entry(name.clone()).or_insert(own);
            let is_known = *places > 0 || self.index.knows(name);

            let has_room = *places < MAX_PLACES && (is_known || names < MAX_TRACEPOINTS);
            if !has_room || !new.size.take_in(&tracepoint.exports) {
                exports.left_out += 1;
                continue;
            }
            *places += 1;
            names += usize::from(!is_known);
            new.fingerprint = new.fingerprint.wrapping_add(tracepoint.fingerprint);
            new.tracepoints.push(tracepoint);
        }
        new
    }

    /// Returns the set that has what a set has, and more. The agent that holds the first one holds the other instead.
    fn extended(&mut self, set: Arc<ExportedSet>, new: AnnouncedExports) -> Arc<ExportedSet> {
        let fingerprint = set.fingerprint.wrapping_add(new.fingerprint);
        if let Some(known) = self.sets.get_mut(&fingerprint) {
            known.agents += 1;
            let known = known.set.clone();
            self.release(&set);
            return known;
        }

        // A set that nobody else has is taken as it is: otherwise each new tracepoint would cost all those before it.
        let mut extended = self.take(set);
        let mut by_name: BTreeMap<String, Vec<AnnouncedTracepoint>> = BTreeMap::new();
        let mut order = Vec::new();
        for tracepoint in new.tracepoints {
            let name = &tracepoint.exports.tracepoint;
            if !by_name.contains_key(name) {
                order.push(name.clone());
            }
            by_name.entry(name.clone()).or_default().push(tracepoint);
        }

        let mut has_changed = false;
        for name in order {
            let places = by_name.remove(&name).unwrap_or_default();
            has_changed |= self.declare(&mut extended, &name, &places);
        }
        self.version += u64::from(has_changed);

        extended.fingerprint = fingerprint;
        extended.size = new.size;
        let set = Arc::new(extended);
        self.sets.insert(fingerprint, KnownSet { set: set.clone(), agents: 1 });
        set
    }

    /// Takes a set out for a change, or a copy of it if other agents have it too.
    fn take(&mut self, set: Arc<ExportedSet>) -> ExportedSet {
        if let Some(known) = self.sets.get_mut(&set.fingerprint) {
            known.agents -= 1;
            if known.agents == 0 {
                self.sets.remove(&set.fingerprint);
            }
        }
        Arc::unwrap_or_clone(set)
    }

    /// Adds places of a tracepoint to a set. Returns whether the catalogue has changed.
    fn declare(&mut self, set: &mut ExportedSet, name: &str, places: &[AnnouncedTracepoint]) -> bool {
        let own = set.tracepoints.get(name);
        let sum = places
            .iter()
            .fold(own.map_or(0, |own| own.fingerprint), |sum, place| sum.wrapping_add(place.fingerprint));

        let mut has_changed = false;
        let extended = match self.declared.get(&sum) {
            Some(known) => known.clone(),
            None => {
                let mut declared = match own {
                    Some(own) => ProgramTracepoint::clone(own),
                    None => ProgramTracepoint::new(name.into()),
                };
                declared.extend(places);
                has_changed = self.index.declare(&mut declared) == IndexChange::Changed;
                let declared = Arc::new(declared);
                self.declared.insert(sum, declared.clone());
                declared
            }
        };

        if let Some(before) = set.tracepoints.insert(extended.name.clone(), extended) {
            has_changed |= self.undeclare_unused(&before) == IndexChange::Changed;
        }
        if has_changed {
            self.unused.remove(name);
            self.describe(name);
        }
        has_changed
    }

    /// Gives up what an agent exports that is forgotten.
    pub(crate) fn forget(&mut self, mut exports: AgentExports) {
        exports.discount();
        self.release(&exports.set);
    }

    /// Notes that an agent less has a set.
    fn release(&mut self, set: &Arc<ExportedSet>) {
        let Some(known) = self.sets.get_mut(&set.fingerprint) else { return };
        known.agents -= 1;
        if known.agents > 0 {
            return;
        }
        self.sets.remove(&set.fingerprint);

        for own in set.tracepoints.values() {
            // No query becomes better by knowing less, so installed ones are left as they are.
            match self.undeclare_unused(own) {
                IndexChange::Changed => self.describe(&own.name),
                IndexChange::Unused => _ = self.unused.insert(own.name.clone()),
                IndexChange::Same => {}
            }
        }
    }

    /// Takes a declaration away if nobody has it but the caller, who is about to drop it.
    fn undeclare_unused(&mut self, own: &Arc<ProgramTracepoint>) -> IndexChange {
        let only_here = 2;
        if Arc::strong_count(own) > only_here {
            return IndexChange::Same;
        }
        self.declared.remove(&own.fingerprint);
        self.index.undeclare(own)
    }

    /// Forgets the tracepoints that nobody declares and no query uses.
    pub(crate) fn forget_unused(&mut self, is_used: impl Fn(&str) -> bool) {
        let forgotten: Vec<Arc<str>> = self.unused.iter().filter(|name| !is_used(name)).cloned().collect();
        for name in forgotten {
            self.unused.remove(&name);
            self.index.forget(&name);
            Arc::make_mut(&mut self.catalog).remove(&name);
        }
    }

    /// Whether there are tracepoints that nobody declares.
    pub(crate) fn has_unused(&self) -> bool {
        !self.unused.is_empty()
    }

    fn describe(&mut self, name: &str) {
        if let Some(described) = self.index.describe(name) {
            Arc::make_mut(&mut self.catalog).put(described);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::{Exports, FieldDescriptor, Type};

    fn exports(tracepoint: &str, line: u32, fields: &[(&str, Type)]) -> Exports {
        let fields = fields.iter().map(|(name, ty)| FieldDescriptor { name: (*name).into(), ty: *ty });
        let (file, module) = ("a.rs".into(), String::new());
        Exports { tracepoint: tracepoint.into(), fields: fields.collect(), file, line, module }
    }

    fn program(names: &[&str]) -> AnnouncedExports {
        let all: Vec<Exports> = names.iter().map(|name| exports(name, 1, &[("x", Type::I64)])).collect();
        all.into()
    }

    /// The catalogue as text: each tracepoint with its exporters, its fields with their types and exporters.
    fn catalogue(known: &KnownExports) -> String {
        let tracepoints = known.catalog().tracepoints().map(|tracepoint| {
            let fields = tracepoint.fields.iter().map(|field| {
                let differs = if field.differs { "!" } else { "" };
                format!(" {}:{}{differs}*{}", field.name, field.ty, field.exporters.get())
            });
            format!("{}*{}{}", tracepoint.name, tracepoint.exporters.get(), fields.collect::<String>())
        });
        tracepoints.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn agents_of_one_program_share_a_catalogue_and_are_counted() {
        let mut known = KnownExports::default();
        let mut first = known.connect(program(&["A", "B"]));
        let (version, catalog) = (known.version(), known.catalog().clone());

        let mut agents: Vec<AgentExports> = (0..3).map(|_| known.connect(program(&["B", "A"]))).collect();
        assert!(agents.iter().all(|agent| Arc::ptr_eq(&agent.set, &first.set)));
        assert!(Arc::ptr_eq(known.catalog(), &catalog) && known.version() == version);
        assert_eq!(catalogue(&known), "A*4 x:i64*4, B*4 x:i64*4");
        assert_eq!((known.sets.len(), known.declared.len()), (1, 2));

        first.discount();
        known.announce(&mut agents[0], program(&["C"]));
        assert_eq!(catalogue(&known), "A*3 x:i64*3, B*3 x:i64*3, C*1 x:i64*1");
        known.announce(&mut agents[1], program(&["C", "A"]));
        assert!(Arc::ptr_eq(&agents[0].set, &agents[1].set));
        assert_eq!((known.sets.len(), known.version()), (2, version + 1));
    }

    #[test]
    fn what_a_program_says_at_several_places_is_one_exporter() {
        let mut known = KnownExports::default();
        let places = vec![
            exports("T", 1, &[("a", Type::U64), ("b", Type::String)]),
            exports("T", 2, &[("a", Type::I64)]),
        ];
        let mut one = known.connect(places.into());
        assert_eq!(catalogue(&known), "T*1 a:any*1 b:string*1");
        assert_eq!(known.places("T").map(|place| &**place).collect::<Vec<_>>(), ["a.rs:1", "a.rs:2"]);

        // Another program says something else, and a third place comes later.
        let other = known.connect(vec![exports("T", 9, &[("b", Type::Bool)])].into());
        known.announce(&mut one, vec![exports("T", 3, &[("c", Type::F64)])].into());
        assert_eq!(catalogue(&known), "T*2 a:any*1 b:any!*2 c:f64*1");
        known.forget(other);
        assert_eq!(catalogue(&known), "T*1 a:any*1 b:string*1 c:f64*1");
        assert_eq!(known.declared.len(), 1);
    }

    #[test]
    fn what_nobody_exports_any_more_leaves_the_catalogue_unless_a_query_uses_it() {
        let mut known = KnownExports::default();
        let (one, other) = (known.connect(program(&["A", "B"])), known.connect(program(&["B", "C"])));
        let version = known.version();
        known.forget(one);
        known.forget_unused(|_| false);
        assert_eq!(catalogue(&known), "B*1 x:i64*1, C*1 x:i64*1");

        known.forget(other);
        known.forget_unused(|name| name == "C");
        assert_eq!(catalogue(&known), "C*0 x:i64*0");
        assert!(!known.is_declared("C") && known.version() == version);

        let again = known.connect(vec![exports("C", 1, &[("y", Type::Bool)])].into());
        assert_eq!((catalogue(&known).as_str(), known.has_unused()), ("C*1 y:bool*1", false));
        known.forget(again);
        known.forget_unused(|_| false);
        assert!(known.sets.is_empty() && known.declared.is_empty() && known.index.len() == 0);
    }

    #[test]
    fn tracepoints_that_come_one_by_one_cost_no_copies_of_those_before() {
        let mut known = KnownExports::default();
        let mut agent = known.connect(AnnouncedExports::default());
        for number in 0..2_000 {
            known.announce(&mut agent, program(&[&format!("T{number}")]));
            assert_eq!(known.sets.len(), 1);
        }
        assert_eq!((agent.len(), known.declared.len()), (2_000, 2_000));
        known.forget(agent);
        assert!(known.sets.is_empty() && known.declared.is_empty());
    }

    #[test]
    fn an_agent_has_so_many_tracepoints_and_places_and_the_rest_is_counted() {
        let mut known = KnownExports::default();
        let places = MAX_PLACES as u32 + 5;
        let all = |from| (from..places).map(|line| exports("T", line, &[])).collect::<Vec<_>>();
        let mut agent = known.connect(all(0).into());
        assert_eq!((agent.len(), agent.left_out), (MAX_PLACES, 5));
        known.announce(&mut agent, all(places - 2).into());
        assert_eq!((agent.len(), agent.left_out), (MAX_PLACES, 7));
    }
}
