//! The state of a frontend as its tasks share it: behind one lock that is never held while anybody waits.
//!
//! Streams, calls and the ticking task take the lock for short changes. What may take long happens outside:
//! compiling (see [`compilation`](crate::compilation)), computing rows (see [`select`](crate::select)), and
//! reading from or writing to connections.

use crate::accepted_connections::ConnectionCounts;
use crate::blocking_work::BlockingWork;
use crate::commit_figures::CommitFigures;
use crate::compilation::{CompileSnapshot, CompiledQuery, Compiler, MAX_ATTEMPTS};
use crate::frame_room::FrameRoom;
use crate::history::{Archive, HistoryError};
use crate::installed_queries::InstallRefusal;
use crate::machine::ThisMachine;
use crate::query_owner::QueryOwner;
use crate::select::SelectEngine;
use crate::server_clock::ServerClock;
use crate::state::{FrontendState, InstallOutcome};
use crate::store::{StateChanges, Store, StoreError};
use pivot_advice::CarrierGlob;
use pivot_query::{CompileOptions, Diagnostics, compile_with};
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tracing::info;

/// The most compilations that run at once for clients. Others wait, so that the threads on which frames are
/// computed are not all taken.
const MAX_COMPILATIONS: usize = 4;

/// The most frames that are computed and encoded at once; each may take as much memory as a message and more.
const MAX_COMPUTATIONS: usize = 8;

/// Everything that the tasks of a frontend share.
pub(crate) struct SharedState {
    state: Mutex<FrontendState>,
    store: Arc<Store>,
    /// The windows that have closed; `None` if nothing is kept.
    archive: Option<Archive>,
    clock: ServerClock,
    /// Changes that are not known to be on disk, those of each advance of the state; locked while a commit runs.
    uncommitted: tokio::sync::Mutex<Vec<Arc<StateChanges>>>,
    /// The fault of the store, as long as there is one.
    store_problem: Mutex<Option<String>>,
    commits: Mutex<CommitFigures>,
    engine: Arc<SelectEngine>,
    compiler: Compiler,
    compile_slots: Arc<Semaphore>,
    frame_slots: Arc<Semaphore>,
    backup_slot: Arc<Semaphore>,
    /// The room for frames on their way to clients.
    pub(crate) frame_room: FrameRoom,
    /// The connections of agents and clients.
    pub(crate) connections: ConnectionCounts,
    /// Becomes true when all streams are to end.
    stopping: watch::Sender<bool>,
}

/// Why a query was not compiled or installed.
#[derive(Debug)]
pub(crate) enum CompileFailure {
    /// The text is wrong.
    Invalid(Diagnostics),
    /// The frontend does not take the query.
    Refused(InstallRefusal),
    /// The query cannot be stored, so it is not installed.
    NotStored(StoreError),
    /// The compiler panicked.
    Panicked,
}

impl std::fmt::Debug for SharedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedState").field("state", &self.state).finish_non_exhaustive()
    }
}

impl SharedState {
    /// Makes the state of a running frontend.
    pub(crate) fn new(
        state: FrontendState,
        store: Arc<Store>,
        archive: Option<Archive>,
        clock: ServerClock,
    ) -> SharedState {
        SharedState { store, archive, clock, ..SharedState::with_compiler(state, Arc::new(compile_with)) }
    }

    /// Makes a state that stores nothing and compiles in another way than by [`compile_with`].
    pub(crate) fn with_compiler(state: FrontendState, compiler: Compiler) -> SharedState {
        SharedState {
            state: Mutex::new(state),
            store: Arc::new(Store::none()),
            archive: None,
            clock: ServerClock::start(Arc::new(ThisMachine), None),
            uncommitted: tokio::sync::Mutex::default(),
            store_problem: Mutex::new(None),
            commits: Mutex::default(),
            engine: Arc::new(SelectEngine::new()),
            compiler,
            compile_slots: Arc::new(Semaphore::new(MAX_COMPILATIONS)),
            frame_slots: Arc::new(Semaphore::new(MAX_COMPUTATIONS)),
            backup_slot: Arc::new(Semaphore::new(1)),
            frame_room: FrameRoom::default(),
            connections: ConnectionCounts::default(),
            stopping: watch::channel(false).0,
        }
    }

    /// Computes results with another engine.
    #[cfg(test)]
    pub(crate) fn with_engine(self, engine: SelectEngine) -> SharedState {
        SharedState { engine: Arc::new(engine), ..self }
    }

    /// Locks the state. A panic elsewhere leaves it usable, because every change is small.
    pub(crate) fn lock(&self) -> MutexGuard<'_, FrontendState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the frontend's time, in nanoseconds since the Unix epoch.
    pub(crate) fn now_ns(&self) -> i64 {
        self.clock.now_ns()
    }

    /// Returns the time of day, in nanoseconds since the Unix epoch: for what is compared with times of processes.
    pub(crate) fn wall_ns(&self) -> i64 {
        self.clock.machine().wall_ns()
    }

    /// Returns where work runs that takes long or waits for the disk.
    pub(crate) fn blocking_work(&self) -> BlockingWork {
        self.clock.machine().blocking_work()
    }

    /// Returns what makes rows of groups.
    pub(crate) fn engine(&self) -> Arc<SelectEngine> {
        self.engine.clone()
    }

    /// Waits until a frame may be computed.
    pub(crate) async fn frame_slot(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.frame_slots.clone().acquire_owned().await.ok()
    }

    /// Returns the windows that have closed, or `None` if nothing is kept.
    pub(crate) fn archive(&self) -> Option<&Archive> {
        self.archive.as_ref()
    }

    /// Does what is due for history.
    pub(crate) async fn maintain_history(&self, archive: &Archive) -> Result<(), HistoryError> {
        let installed = self.lock().queries.iter().map(|query| query.definition.id.number).collect();
        archive.maintain(&installed, self.now_ns()).await
    }

    /// Ends all streams.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
        self.lock().registry.close();
    }

    /// Returns a signal that becomes true when streams are to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Compiles a text against the catalogue as it is now.
    pub(crate) async fn compile(
        &self,
        text: &str,
        options: &CompileOptions,
    ) -> Result<CompiledQuery, CompileFailure> {
        let snapshot = self.lock().compile_snapshot();
        self.compile_against(&snapshot, text, options).await
    }

    /// Compiles a text and installs it under a name, which may be empty, for an owner.
    pub(crate) async fn install(
        &self,
        name: &str,
        text: &str,
        options: &CompileOptions,
        owner: &QueryOwner,
    ) -> Result<InstallOutcome, CompileFailure> {
        let mut attempt = 1;
        loop {
            // Refused before it is compiled if possible, and asked again below: others may come first.
            let snapshot = {
                let mut state = self.lock();
                state.check_installable(name).map_err(CompileFailure::Refused)?;
                state.compile_snapshot()
            };
            let compiled = self.compile_against(&snapshot, text, options).await?;

            if let Some(installed) = self.install_compiled(name, owner, compiled, &snapshot, attempt)? {
                let installed = self.store_install(installed).await?;
                info!(query = installed.number, name, owner = owner.name.as_str(), "a query is installed");
                return Ok(installed);
            }
            attempt += 1;
        }
    }

    /// Installs a query that was compiled so many times. Returns `None` if what it was compiled against has changed and it
    /// is to be compiled once more.
    fn install_compiled(
        &self,
        name: &str,
        owner: &QueryOwner,
        compiled: CompiledQuery,
        snapshot: &CompileSnapshot,
        attempts: usize,
    ) -> Result<Option<InstallOutcome>, CompileFailure> {
        let mut state = self.lock();
        if !state.is_current(snapshot) && attempts < MAX_ATTEMPTS {
            return Ok(None);
        }
        state.check_installable(name).map_err(CompileFailure::Refused)?;
        state.check_room(&compiled).map_err(CompileFailure::Refused)?;

        let installed = state.install(name, compiled, self.now_ns());
        state.set_owner(installed.number, owner.clone());
        Ok(Some(installed))
    }

    /// Makes an install durable; one that cannot be stored is undone.
    pub(crate) async fn store_install(
        &self,
        installed: InstallOutcome,
    ) -> Result<InstallOutcome, CompileFailure> {
        match self.commit().await {
            Ok(()) => Ok(installed),
            Err(error) => {
                self.lock().uninstall(installed.number, self.now_ns());
                Err(CompileFailure::NotStored(error))
            }
        }
    }

    /// Uninstalls a query and makes that durable. Returns whether there is one of that number.
    pub(crate) async fn uninstall(&self, number: u32) -> Result<bool, StoreError> {
        if !self.lock().uninstall(number, self.now_ns()) {
            return Ok(false);
        }
        info!(query = number, "a query is uninstalled");
        self.commit().await.map(|()| true)
    }

    /// Has a query stay when its client has gone, and makes that durable. Returns whether there is one of that number.
    pub(crate) async fn keep(&self, number: u32) -> Result<bool, StoreError> {
        if !self.lock().keep(number) {
            return Ok(false);
        }
        self.commit().await.map(|()| true)
    }

    /// Names the spans that carry a request in all processes, and makes that durable, or undoes it. Returns those named
    /// before.
    pub(crate) async fn set_carriers(&self, globs: Vec<CarrierGlob>) -> Result<Vec<CarrierGlob>, StoreError> {
        let before = self.lock().set_carriers(globs);

        match self.commit().await {
            Ok(()) => Ok(before),
            Err(error) => {
                self.lock().set_carriers(before);
                Err(error)
            }
        }
    }

    /// Merges what was reported, makes due frames, stores what has changed, and then shows and sends what rests on it.
    ///
    /// After an error nothing is shown or sent, and the next commit writes what this one could not.
    pub(crate) async fn commit(&self) -> Result<(), StoreError> {
        let mut uncommitted = self.uncommitted.lock().await;
        let (abandoned, changes) = {
            let mut state = self.lock();
            let clock = self.clock.record();
            let now_ns = clock.time_ns;
            state.clock = self.store.is_durable().then_some(clock);
            (state.end_abandoned(Instant::now().into_std(), now_ns), state.advance(now_ns))
        };
        for query in abandoned {
            info!(query, "a query is uninstalled, since its client was not heard of");
        }
        if self.store.is_durable() && !changes.is_empty() {
            uncommitted.push(Arc::new(changes));
        }

        if !uncommitted.is_empty() {
            self.commits().begin(Instant::now().into_std());
            // They stay here until they are on disk: this call may be dropped meanwhile, as its client may leave.
            let outcome = self.blocking_work().run({
                let (store, changes) = (self.store.clone(), uncommitted.clone());
                move || store.commit(&changes)
            });
            let outcome = outcome.await.unwrap_or(Err(StoreError::Panicked));
            if let Err(error) = outcome {
                self.commits().fail();
                self.set_store_problem(Some(error.to_string()));
                return Err(error);
            }
            self.commits().succeed(Instant::now().into_std());
            uncommitted.clear();
        }

        self.set_store_problem(None);
        self.lock().publish();
        Ok(())
    }

    fn set_store_problem(&self, problem: Option<String>) {
        *self.store_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Returns what is wrong with the store, or `None` if the last commit succeeded.
    pub(crate) fn store_problem(&self) -> Option<String> {
        self.store_problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns a copy of the store with all that has happened until now, and what allows no other at the same time; `None`
    /// if there is another one.
    pub(crate) async fn backup(&self) -> Result<Option<(File, OwnedSemaphorePermit)>, StoreError> {
        let Ok(slot) = self.backup_slot.clone().try_acquire_owned() else { return Ok(None) };
        self.commit().await?;

        let store = self.store.clone();
        let copied = self.blocking_work().run(move || store.backup()).await;
        Ok(Some((copied.unwrap_or(Err(StoreError::Panicked))?, slot)))
    }

    fn commits(&self) -> MutexGuard<'_, CommitFigures> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how long commits took.
    pub(crate) fn commit_figures(&self) -> CommitFigures {
        self.commits().clone()
    }

    /// Returns the size of the store's file, or `None` if nothing is kept.
    pub(crate) fn store_bytes(&self) -> Option<u64> {
        self.store.file_bytes()
    }

    /// Returns why no results can be shown at present, for people; `None` if they can.
    pub(crate) fn unready(&self) -> Option<String> {
        if *self.stopping.borrow() {
            return Some("the frontend stops".to_owned());
        }
        if let Some(problem) = self.store_problem() {
            return Some(format!("the frontend cannot store its state, and shows nothing new: {problem}"));
        }
        let time = self.commits().hangs_for(Instant::now().into_std())?;
        Some(format!("storing the state takes {} s already", time.as_secs()))
    }

    /// Compiles on a thread of its own, without the lock.
    async fn compile_against(
        &self,
        snapshot: &CompileSnapshot,
        text: &str,
        options: &CompileOptions,
    ) -> Result<CompiledQuery, CompileFailure> {
        // The slot goes with the compilation, which runs to its end even if the client leaves. The semaphore
        // is never closed.
        let slot = self.compile_slots.clone().acquire_owned().await.ok();
        let (compiler, snapshot) = (self.compiler.clone(), snapshot.clone());
        let (text, options) = (text.to_owned(), options.clone());

        let compilation = self.blocking_work().run(move || {
            let _slot = slot;
            let program = compiler(&text, &snapshot.catalog, &options)?;
            Ok(CompiledQuery::new(snapshot.next_id, program, options, snapshot.exports_version))
        });
        match compilation.await {
            Ok(compiled) => compiled.map_err(CompileFailure::Invalid),
            Err(_) => Err(CompileFailure::Panicked),
        }
    }

    /// Compiles installed queries again whenever the tracepoints of agents have changed, until it is aborted.
    pub(crate) async fn recompile_on_changes(self: Arc<Self>) {
        let tracepoints_changed = self.lock().tracepoints_changed();
        loop {
            tracepoints_changed.notified().await;
            self.recompile_outdated().await;
        }
    }

    /// Compiles the installed queries that are outdated, and weaves what has changed.
    ///
    /// What was compiled is used even if the tracepoints have changed once more, since it is newer than
    /// what is woven; the query then stays outdated, and the change has already asked for another round.
    async fn recompile_outdated(&self) {
        let Some(recompilation) = self.lock().recompilation() else { return };
        let exports_version = recompilation.exports_version;
        // If the compiler panics, all queries stay as they are, as those do that no longer compile.
        let unchanged = recompilation.unchanged();

        let compiler = self.compiler.clone();
        let outcome = self.blocking_work().run(move || recompilation.run(&compiler)).await;
        self.lock().replace_outdated(exports_version, outcome.unwrap_or(unchanged));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::agent_identity::AgentIdentity;
    use crate::agent_registry::AgentConnectionId;
    use crate::agent_report::{AgentReport, DecodedQueryReport, WovenNotice};
    use crate::agent_session::SequenceCheck;
    use crate::frame_stream::FrameStream;
    use crate::kept_frames::FrameSelection;
    use crate::options::FrontendOptions;
    use crate::time_range::TimeRange;
    use pivot_advice::{Exports, FieldDescriptor, Type, Value};
    use pivot_query::Catalog;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    const SECOND: i64 = 1_000_000_000;
    const SLOW: &str = "FROM t IN T GROUP BY t.x SELECT t.x, COUNT";
    const QUICK: &str = "FROM t IN T GROUP BY t.host SELECT t.host, COUNT";

    fn state() -> FrontendState {
        FrontendState::new(&FrontendOptions::default(), 1)
    }

    fn exports(field: &str, ty: Type) -> Vec<Exports> {
        let field = FieldDescriptor { name: field.into(), ty };
        let (file, module) = ("a.rs".into(), "a".into());
        vec![Exports { tracepoint: "T".into(), fields: vec![field], file, line: 1, module }]
    }

    /// Connects an agent that exports one field; commands to it go nowhere.
    fn connect(shared: &SharedState, incarnation: u64, field: &str, ty: Type) -> AgentConnectionId {
        let outbox = tokio::sync::mpsc::channel(100).0;
        shared.lock().connect(incarnation, AgentIdentity::default(), exports(field, ty).into(), outbox, 1)
    }

    /// A compiler that waits for permission before it compiles the slow query.
    struct GatedCompiler {
        compiler: Compiler,
        /// Gets a message when the slow query begins to compile.
        started: tokio::sync::mpsc::UnboundedReceiver<()>,
        permits: mpsc::Sender<()>,
    }

    fn gated_compiler() -> GatedCompiler {
        let (start, started) = tokio::sync::mpsc::unbounded_channel();
        let (permits, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        let compiler = Arc::new(move |text: &str, catalog: &Catalog, options: &CompileOptions| {
            if text == SLOW {
                start.send(()).unwrap();
                gate.lock().unwrap().recv().unwrap();
            }
            compile_with(text, catalog, options)
        });
        GatedCompiler { compiler, started, permits }
    }

    /// Reports one row of a query and reads the frame that it leads to.
    async fn report_and_read(shared: &Arc<SharedState>, connection: AgentConnectionId, query: u32) -> usize {
        let (id, generation) = {
            let state = shared.lock();
            let definition = &state.query(query).unwrap().definition;
            (definition.id, definition.generation)
        };
        let woven = WovenNotice { generation, ..Default::default() };
        shared.lock().note_woven(connection, woven, 2);

        let mut groups = shared.lock().query(query).unwrap().cumulative().groups.to_groups();
        groups.entry(&[Value::str("a")]).n = 1;
        let part = DecodedQueryReport::of(id, Some(&groups));
        let window = TimeRange { start_ns: SECOND, end_ns: 2 * SECOND };
        let watermark_ns = window.end_ns;
        let report = AgentReport {
            sequence: 1,
            window,
            watermark_ns,
            cut_ns: watermark_ns,
            withheld: vec![],
            peers: vec![],
            bare: vec![],
            parts: vec![part],
        };
        assert_eq!(shared.lock().merge_report(connection, report, window.end_ns), SequenceCheck::Next);

        shared.lock().tick(window.end_ns);
        let mut reader = FrameStream::open(shared, query, 0, FrameSelection::All).unwrap();
        reader.next().await.unwrap().unwrap().rows.len()
    }

    /// Fails a test that waits for what a slow compilation should not hold up.
    async fn soon<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(10), future).await.expect("nothing waits for the compiler")
    }

    #[tokio::test]
    async fn reports_frames_and_calls_go_on_while_a_query_compiles() {
        let GatedCompiler { compiler, mut started, permits } = gated_compiler();
        let shared = Arc::new(SharedState::with_compiler(state(), compiler));
        let connection = connect(&shared, 1, "x", Type::I64);
        let options = CompileOptions::default();
        let quick = soon(shared.install("", QUICK, &options, &QueryOwner::default())).await.unwrap().number;

        let slow = tokio::spawn({
            let (shared, options) = (shared.clone(), options.clone());
            async move { shared.install("slow", SLOW, &options, &QueryOwner::default()).await }
        });
        soon(started.recv()).await.unwrap();

        assert_eq!(soon(report_and_read(&shared, connection, quick)).await, 1);
        assert!(soon(shared.compile(QUICK, &options)).await.is_ok());
        let other = soon(shared.install("", QUICK, &options, &QueryOwner::default())).await.unwrap().number;
        assert!(shared.lock().uninstall(other, 3 * SECOND));

        permits.send(()).unwrap();
        let installed = soon(slow).await.unwrap().unwrap();
        assert_eq!((quick, other, installed.number), (1, 2, 3));
        assert_eq!(shared.lock().query(3).unwrap().definition.advice[0].query.number, 3);
    }

    #[tokio::test]
    async fn reports_go_on_while_installed_queries_are_compiled_again() {
        let GatedCompiler { compiler, mut started, permits } = gated_compiler();
        let shared = Arc::new(SharedState::with_compiler(state(), compiler));
        let connection = connect(&shared, 1, "x", Type::I64);
        let options = CompileOptions::default();
        permits.send(()).unwrap();
        let slow = soon(shared.install("", SLOW, &options, &QueryOwner::default())).await.unwrap().number;
        let quick = soon(shared.install("", QUICK, &options, &QueryOwner::default())).await.unwrap().number;
        soon(started.recv()).await.unwrap();
        let version = shared.lock().compile_snapshot().exports_version;

        // Another agent exports another type of the field, so that both queries are compiled again.
        let recompiler = tokio::spawn(shared.clone().recompile_on_changes());
        connect(&shared, 2, "x", Type::U64);
        soon(started.recv()).await.unwrap();
        assert_eq!(shared.lock().compile_snapshot().exports_version, version + 1);
        assert!(!shared.lock().has_converged(u64::MAX), "what is to be woven is not known yet");
        assert_eq!(soon(report_and_read(&shared, connection, quick)).await, 1);

        permits.send(()).unwrap();
        soon(async {
            while !shared.lock().has_converged(u64::MAX) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let state = shared.lock();
        let key = |query: u32| state.query(query).unwrap().definition.output.keys[0].ty;
        assert_eq!((key(slow), key(quick)), (Type::Any, Type::String));
        recompiler.abort();
    }

    /// Installs a query while the catalogue changes in each of the first compilations. Returns how often
    /// it was compiled.
    async fn compilations(changes: usize) -> usize {
        let shared: Arc<Mutex<Option<Arc<SharedState>>>> = Arc::default();
        let compilations = Arc::new(AtomicUsize::new(0));
        let compiler = Arc::new({
            let (shared, compilations) = (shared.clone(), compilations.clone());
            move |text: &str, catalog: &Catalog, options: &CompileOptions| {
                let compilation = compilations.fetch_add(1, Ordering::Relaxed);
                if compilation < changes {
                    let shared = shared.lock().unwrap().clone().unwrap();
                    connect(&shared, compilation as u64, &format!("field{compilation}"), Type::I64);
                }
                compile_with(text, catalog, options)
            }
        });

        let frontend = Arc::new(SharedState::with_compiler(state(), compiler));
        *shared.lock().unwrap() = Some(frontend.clone());
        let installed =
            frontend.install("", QUICK, &CompileOptions::default(), &QueryOwner::default()).await.unwrap();
        assert!(frontend.lock().query(installed.number).unwrap().is_active());
        *shared.lock().unwrap() = None;
        compilations.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_query_is_compiled_again_if_the_catalogue_changes_meanwhile_but_not_for_ever() {
        assert_eq!(compilations(0).await, 1);
        assert_eq!(compilations(1).await, 2);
        assert_eq!(compilations(100).await, MAX_ATTEMPTS);
    }

    #[tokio::test]
    async fn a_compiler_that_panics_fails_its_own_call_alone() {
        let panics = |_: &str, _: &Catalog, _: &CompileOptions| panic!("a fault of the compiler");
        let shared = SharedState::with_compiler(state(), Arc::new(panics));
        let failure =
            shared.install("", QUICK, &CompileOptions::default(), &QueryOwner::default()).await.unwrap_err();
        assert!(matches!(failure, CompileFailure::Panicked));
        shared.lock().tick(SECOND);
    }
}
