//! The request that a span carries: its *carrier* takes it to whatever thread enters the span.
//!
//! Whoever enters a carrier comes after everybody who has left it before. How that is done depends on
//! whether anybody else may enter the span at the same time:
//!
//! ```text
//! nobody else: moved                       others: branches
//!
//!  enter ── takes the request               enter ── forks a branch
//!    │                                        ├─ at each woven event: takes in what the others have left,
//!    │                                        │  and leaves what it has packed
//!  exit ─── puts it back                    exit ─── joins its branch
//! ```
//!
//! The exchange at events is for workers of a pool: they enter the span in which the work was ordered, and
//! answer *before* they leave it. Who has the answer could otherwise miss what the worker did. Moving is
//! the common case of `.instrument(span)`, and costs neither a fork nor a join.
//!
//! A span that was made inside a carrier may carry the request, too, to another task. Most such spans never
//! leave their request, so they fork a branch when they are first entered outside it:
//!
//! ```text
//! request   ── span made ─────── event ────────────── awaited ── event ──▶   sees what the task packed
//! child                 └ spawned ── enter: forks ── exit, close ─┘ joins
//! ```
//!
//! In a request without a carrier, as a server's layer runs, the first such span makes a *meeting* in the place
//! of one: a carrier without a span, which ends when the branch does that it was made for.

use crate::baggage::{Baggage, JoinOutcome};
use crate::carry::carrier_branch::{CarrierOrigin, SpareBranch};
use crate::carry::current;
use crate::causality::branch::{Branch, BranchHome};
use crate::causality::request_generation::is_carrying;
use crate::sync::{Arc, Mutex, MutexGuard};
use std::any::Any;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The request of one open span, shared by the span, the threads inside, and the spans that were made inside.
#[derive(Debug)]
pub struct CarriedRequest {
    origin: CarrierOrigin,
    state: Mutex<CarrierState>,
    /// Whether several threads may ever have been inside, or in a span that was made inside: then those inside
    /// have branches.
    is_shared: AtomicBool,
    /// Whether there was ever a second handle. It never becomes false again: another handle may be inside that
    /// we were not told of.
    is_cloned: AtomicBool,
    /// Whether the request has been answered.
    is_answered: AtomicBool,
    /// How often something came to what is kept.
    version: AtomicU64,
}

#[derive(Debug, Default)]
struct CarrierState {
    /// The request while nobody is inside; if shared, what has been joined so far. `None` if the one that is
    /// inside has taken all of it, and of a child that has not forked.
    kept: Option<Baggage>,
    /// A branch whose thread has left with nothing to tell, for the next that enters.
    spare: Option<SpareBranch>,
    /// How many threads are inside.
    inside: usize,
    /// Whether the span is closed. Spans that were made inside may still be open.
    is_closed: bool,
    /// The carrier inside of which this one was made.
    parent: Option<Arc<CarriedRequest>>,
}

impl CarriedRequest {
    /// Begins the request of a carrier that is made now: a branch of the current request, or a new one. The
    /// beginning of the span, which `fire` makes an event, is part of it.
    pub fn begin(fire: impl FnOnce()) -> Arc<CarriedRequest> {
        if current::in_request() {
            fire();
            let parent = with_current_baggage(|current| home_of(current)).flatten();
            return CarriedRequest::new(CarrierOrigin::Branch, current::fork(), parent);
        }

        let mut begun = Some(Baggage::begin());
        current::run_in(&mut begun, fire);
        CarriedRequest::new(CarrierOrigin::Request, begun, None)
    }

    /// Returns what a span carries that is made in the current request, to wherever it may be entered later.
    /// `None` outside any request, and while a request carries nothing.
    pub fn child_of_current() -> Option<Arc<CarriedRequest>> {
        let parent = with_current_baggage(|current| {
            (!current.has_no_id()).then(|| home_of(current).unwrap_or_else(|| begin_meeting(current)))
        });
        parent.flatten().map(CarriedRequest::child_of)
    }

    /// Returns what a span carries that is made inside of `parent`, to wherever it may be entered later.
    pub fn child_of(parent: Arc<CarriedRequest>) -> Arc<CarriedRequest> {
        let parent = parent.holder();
        parent.forget_closed_parents();
        parent.share();

        // The child may need a branch at any time, which sees what has happened so far.
        with_current_baggage(|current| {
            if current.meets_at().is_some_and(|home| is_home(home, &parent)) {
                current.fetch_news();
                current.publish();
            }
        });
        CarriedRequest::new(CarrierOrigin::Child, None, Some(parent))
    }

    fn new(
        origin: CarrierOrigin,
        kept: Option<Baggage>,
        parent: Option<Arc<CarriedRequest>>,
    ) -> Arc<CarriedRequest> {
        Arc::new(CarriedRequest {
            origin,
            state: Mutex::new(CarrierState { kept, parent, ..CarrierState::default() }),
            is_shared: AtomicBool::new(false),
            is_cloned: AtomicBool::new(false),
            is_answered: AtomicBool::new(false),
            version: AtomicU64::new(0),
        })
    }

    /// Whether it forks a branch only when it is entered outside the request in which it was made.
    pub fn is_child(&self) -> bool {
        self.origin == CarrierOrigin::Child
    }

    /// Whether the request began with it.
    pub fn is_root(&self) -> bool {
        self.origin == CarrierOrigin::Request
    }

    /// Returns the carrier whose branch this span's work is part of: itself, or its parent while it is a child
    /// that has not forked.
    fn holder(self: Arc<CarriedRequest>) -> Arc<CarriedRequest> {
        let parent = {
            let state = self.lock();
            let has_branch = !self.is_child() || state.kept.is_some() || state.inside > 0;
            if has_branch { None } else { state.parent.clone() }
        };
        parent.unwrap_or(self)
    }

    /// Lets go of parents that are closed, so that a task that starts its successor does not leave an endless
    /// chain behind.
    fn forget_closed_parents(&self) {
        let parent = self.lock().parent.clone();
        let mut open = parent;
        while let Some(parent) = open.take_if(|parent| parent.lock().is_closed) {
            open = parent.lock().parent.clone();
        }
        self.lock().parent = open;
    }

    fn lock(&self) -> MutexGuard<'_, CarrierState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a second handle: another thread may be inside at any time from now on.
    pub fn note_handle(&self) {
        self.is_cloned.store(true, Ordering::Relaxed);
        self.share();
    }

    /// Has those inside keep branches from now on.
    fn share(&self) {
        if !self.is_shared() && !self.is_shared.swap(true, Ordering::Relaxed) {
            self.version.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_shared(&self) -> bool {
        self.is_shared.load(Ordering::Relaxed)
    }

    /// Joins what this thread has gathered inside and forks it a new branch, as if it had left and entered
    /// again. Nothing, if nobody else can be inside.
    pub fn exchange(self: &Arc<CarriedRequest>) {
        if !self.is_shared() {
            return;
        }
        let Some(mine) = current::capture() else { return };

        let mut state = self.lock();
        // The application may have put the thread into another request in here, which is not ours.
        let is_foreign = state.kept.as_ref().is_some_and(|kept| !kept.can_join(&mine));
        if is_foreign
            || mine.meets_at().is_some_and(|home| !is_home(home, self))
            || self.is_settled(&state, &mine)
        {
            drop(state);
            current::attach(Some(mine));
            return;
        }

        self.keep(&mut state, mine);
        let forked = self.fork_kept(&mut state);
        drop(state);
        current::attach(forked);
    }

    /// Returns the request for a thread that enters. `None` if another thread has taken all of it, before
    /// we knew of a second handle.
    pub fn enter(self: &Arc<CarriedRequest>) -> Option<Baggage> {
        let mut state = self.lock();
        if state.inside > 0 {
            self.note_handle();
        }
        state.inside += 1;

        if self.is_child() && state.kept.is_none() {
            let parent = state.parent.as_ref();
            state.kept = parent.and_then(|parent| fork_silently(&mut parent.lock().kept));
        }

        if self.is_answered.load(Ordering::Relaxed)
            && let Some(kept) = state.kept.as_mut().filter(|kept| kept.has_no_id() && is_carrying())
        {
            // Nobody knows which advice the events before have met, only that the answer came before.
            kept.request_or_begin();
            kept.set_answered(true);
        }

        if self.is_shared() {
            // Whoever left it had nothing to tell, and if nobody else had since, it is what a fork would be.
            if let Some(spare) = state.spare.take() {
                if spare.seen == self.version.load(Ordering::Relaxed) {
                    let mut branch = Some(spare.branch);
                    self.link(&mut branch);
                    return branch;
                }
                self.keep(&mut state, spare.branch);
            }
            return self.fork_kept(&mut state);
        }
        let mut moved = state.kept.take();
        self.link(&mut moved);
        moved
    }

    /// Takes the request back from a thread that leaves.
    pub fn leave(self: &Arc<CarriedRequest>, request: Option<Baggage>) {
        let mut state = self.lock();
        state.inside = state.inside.saturating_sub(1);
        let Some(mut request) = request else { return };
        if !state.is_closed {
            if state.spare.is_none() && self.is_settled(&state, &request) {
                state.spare = SpareBranch::of(request);
                return;
            }
            return self.keep(&mut state, request);
        }

        // The span was closed meanwhile; what was done in here may still belong to the current request.
        drop(state);
        request.leave_home();
        self.settle(request);
    }

    /// Joins a branch with what is kept.
    fn keep(&self, state: &mut CarrierState, mut branch: Baggage) {
        branch.leave_home();

        match &mut state.kept {
            Some(kept) => {
                let is_news = branch.brings_to(kept);
                // A refusal is news, too: from then on something is missing.
                if kept.join(branch) != JoinOutcome::Merged || is_news {
                    self.version.fetch_add(1, Ordering::Relaxed);
                }
            }
            None => state.kept = Some(branch),
        }
    }

    /// Whether neither a branch has anything to tell what is kept, nor the other way round: then to join it and to fork
    /// another in its place would change nothing.
    fn is_settled(self: &Arc<CarriedRequest>, state: &CarrierState, branch: &Baggage) -> bool {
        let is_mine = branch.home_version(|home| is_home(home, self));
        is_mine == Some(self.version.load(Ordering::Relaxed))
            && state.kept.as_ref().is_some_and(|kept| kept.can_join(branch) && branch.knows_as_much_as(kept))
    }

    /// Takes what is kept, for good.
    fn take_kept(&self, state: &mut CarrierState) -> Option<Baggage> {
        // It has nothing to tell; and of a request that ends here, nobody asks for its share again.
        if let Some(spare) = state.spare.take().filter(|_| !self.is_root()) {
            self.keep(state, spare.branch);
        }
        state.kept.take()
    }

    fn fork_kept(self: &Arc<CarriedRequest>, state: &mut CarrierState) -> Option<Baggage> {
        let mut forked = fork_silently(&mut state.kept);
        self.link(&mut forked);
        forked
    }

    /// Has woven events in a branch meet the others here.
    fn link(self: &Arc<CarriedRequest>, branch: &mut Option<Baggage>) {
        if let Some(branch) = branch {
            let home = Arc::<CarriedRequest>::clone(self);
            branch.meet_at(home, self.version.load(Ordering::Relaxed));
        }
    }

    /// Joins what was gathered so far into the request that it is a branch of, if nobody is inside. Others who
    /// have a handle may go on in what is left.
    pub fn join_unfinished(&self) {
        let branch = {
            let mut state = self.lock();
            if self.is_root() || state.inside > 0 {
                return;
            }
            let mut done = self.take_kept(&mut state);
            state.kept = fork_silently(&mut done);
            done
        };

        if let Some(branch) = branch {
            self.settle(branch);
        }
    }

    /// Joins a branch that is done into the current request, if it belongs to that, and otherwise leaves it
    /// to the carrier inside of which it was made.
    fn settle(&self, branch: Baggage) {
        if is_branch_of_current(&branch) {
            return current::rejoin(branch);
        }

        let mut parent = self.lock().parent.clone();
        while let Some(home) = parent {
            let mut state = home.lock();
            if !state.is_closed {
                return home.keep_branch(&mut state, branch);
            }
            parent = state.parent.clone();
        }
    }

    /// Joins a branch of a span that was made inside, if it is one.
    fn keep_branch(&self, state: &mut CarrierState, branch: Baggage) {
        // It stays apart from a request that has been moved elsewhere and comes back later: it is the same.
        if state.kept.as_ref().is_none_or(|kept| kept.can_join(&branch)) {
            self.note_handle();
            self.keep(state, branch);
        }
    }

    /// Ends the request of a span that is closed: `fire` makes that an event of it. A branch then joins the
    /// request that it is a branch of.
    pub fn close(self: &Arc<CarriedRequest>, fire: impl FnOnce()) {
        let mut kept = {
            let mut state = self.lock();
            state.is_closed = true;
            self.take_kept(&mut state)
        };

        if kept.is_none() && self.is_child() {
            // It was never entered elsewhere: its end is an event of whatever runs here.
            return fire();
        }

        current::run_in(&mut kept, fire);
        if self.is_root() {
            self.is_answered.store(true, Ordering::Relaxed);
            kept.iter_mut().for_each(|kept| kept.set_answered(true));
        }

        // Spans that were made inside may need a branch later.
        if Arc::strong_count(self) > 1 {
            self.lock().kept = fork_silently(&mut kept);
        }
        if let Some(kept) = kept
            && !self.is_root()
        {
            self.settle(kept);
        }
    }

    /// Sets whether the request has been answered: what happens in it from then on comes after the answer.
    pub fn set_answered(&self, answered: bool) {
        self.is_answered.store(answered, Ordering::Relaxed);
        self.lock().kept.iter_mut().for_each(|kept| kept.set_answered(answered));
    }

    /// Returns whether the request has been answered.
    pub fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Relaxed)
    }
}

impl BranchHome for CarriedRequest {
    fn has_news(&self, seen: u64) -> bool {
        self.is_shared() && self.version.load(Ordering::Relaxed) != seen
    }

    fn is_visited(&self, references: usize) -> bool {
        // Those of the branch, of the thread that is inside, and of the span; more are those of children.
        let own = if self.origin == CarrierOrigin::Meeting { 1 } else { 3 };
        self.is_cloned.load(Ordering::Relaxed) || self.is_shared() && references > own
    }

    fn exchange(&self, branch: Box<Branch>) -> (Box<Branch>, u64) {
        let mut state = self.lock();
        self.keep(&mut state, Baggage(Some(branch)));
        let forked = fork_silently(&mut state.kept).and_then(Baggage::into_branch);
        (forked.unwrap_or_default(), self.version.load(Ordering::Relaxed))
    }

    fn end(&self, branch: Box<Branch>, references: usize) -> Box<Branch> {
        if self.origin != CarrierOrigin::Meeting {
            return branch;
        }
        let mut state = self.lock();
        state.is_closed = true;
        let mut all = Baggage(Some(branch));
        if let Some(kept) = state.kept.take() {
            all.join(kept);
        }

        // Spans that were made here may need a branch later.
        if references > 1 {
            state.kept = Some(silent_fork(&mut all));
        }
        all.into_branch().unwrap_or_default()
    }
}

/// Runs with the current baggage, without the exchange with others that an event makes. `None` outside any
/// request.
fn with_current_baggage<R>(f: impl FnOnce(&mut Baggage) -> R) -> Option<R> {
    let mut current = current::capture()?;
    let result = f(&mut current);
    current::attach(Some(current));
    Some(result)
}

/// Returns where those meet who work for the request of this branch, if they do.
fn home_of(branch: &Baggage) -> Option<Arc<CarriedRequest>> {
    let home: Arc<dyn Any + Send + Sync> = Arc::<dyn BranchHome>::clone(branch.meets_at()?);
    home.downcast().ok()
}

/// Has this branch of a request without a carrier meet those that are made in it.
fn begin_meeting(branch: &mut Baggage) -> Arc<CarriedRequest> {
    let kept = Some(silent_fork(branch));
    let meeting = CarriedRequest::new(CarrierOrigin::Meeting, kept, None);
    meeting.share();
    branch.meet_at(Arc::<CarriedRequest>::clone(&meeting), meeting.version.load(Ordering::Relaxed));
    meeting
}

/// Lets go of a long line of carriers one by one, and not each inside the drop of the one before.
impl Drop for CarriedRequest {
    fn drop(&mut self) {
        let mut next = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).parent.take();
        while let Some(mut parent) = next.and_then(Arc::into_inner) {
            next = parent.state.get_mut().unwrap_or_else(PoisonError::into_inner).parent.take();
        }
    }
}

fn is_home(home: &Arc<dyn BranchHome>, carrier: &Arc<CarriedRequest>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(home), Arc::as_ptr(carrier))
}

/// Forks a branch of which nobody has to be told where it ends.
fn silent_fork(branch: &mut Baggage) -> Baggage {
    let mut forked = branch.fork();
    forked.allow_drop();
    forked
}

fn fork_silently(kept: &mut Option<Baggage>) -> Option<Baggage> {
    kept.as_mut().map(silent_fork)
}

fn is_branch_of_current(branch: &Baggage) -> bool {
    current::in_request()
        && current::with_current(|current| current.is_some_and(|current| current.can_join(branch)))
}
