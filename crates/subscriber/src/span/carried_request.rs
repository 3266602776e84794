//! The request that a span carries: its *carrier* takes it to whatever thread enters the span.
//!
//! Whoever enters a carrier comes after everybody who has left it before. How that is done depends on
//! whether anybody else has a handle on the span:
//!
//! ```text
//! one handle: moved                        several handles: branches
//!
//!  enter ── takes the request               enter ── forks a branch
//!    │                                        ├─ at each woven event: joins its branch, forks another
//!  exit ─── puts it back                    exit ─── joins its branch
//! ```
//!
//! The exchange at events is for workers of a pool: they enter the span in which the work was ordered, and
//! answer *before* they leave it. Who has the answer could otherwise miss what the worker did. Moving is
//! the common case of `.instrument(span)`, and costs neither a fork nor a join.

use pivot_baggage::{Baggage, current};

/// The request of one open span.
#[derive(Debug)]
pub(crate) struct CarriedRequest {
    /// The request while nobody is inside; with several handles, what has been joined so far. `None` if
    /// the one that is inside has taken all of it.
    kept: Option<Baggage>,
    /// Whether it is a branch of a request that may go on, and not one that began with this span.
    is_branch: bool,
    /// Whether there were ever several handles. It never becomes false again: another handle may be
    /// inside that we were not told of.
    is_shared: bool,
    /// How many threads are inside.
    inside: usize,
}

impl CarriedRequest {
    /// Begins the request of a span that is made now: a branch of the current request, or a new one. The
    /// beginning of the span, which `fire` makes an event, is part of it.
    pub(crate) fn begin(fire: impl FnOnce()) -> CarriedRequest {
        let (kept, is_branch) = if pivot_baggage::in_request() {
            fire();
            (current::fork(), true)
        } else {
            let mut begun = Some(Baggage::begin());
            current::run_in(&mut begun, fire);
            (begun, false)
        };
        CarriedRequest { kept, is_branch, is_shared: false, inside: 0 }
    }

    /// Notes a second handle: several threads may be inside at the same time from now on.
    pub(crate) fn share(&mut self) {
        self.is_shared = true;
    }

    /// Joins what this thread has gathered inside and forks it a new branch, as if it had left and entered
    /// again. Nothing, if nobody else can be inside.
    pub(crate) fn exchange(&mut self) {
        if !self.is_shared {
            return;
        }
        let Some(mine) = current::capture() else { return };

        // The application may have put the thread into another request in here, which is not ours.
        if self.kept.as_ref().is_some_and(|kept| !kept.can_join(&mine)) {
            current::attach(Some(mine));
            return;
        }

        self.join(mine);
        current::attach(self.kept.as_mut().map(Baggage::fork));
    }

    /// Returns the request for a thread that enters. `None` if another thread has taken all of it, before
    /// we knew of a second handle.
    pub(crate) fn enter(&mut self) -> Option<Baggage> {
        self.is_shared |= self.inside > 0;
        self.inside += 1;
        if self.is_shared { self.kept.as_mut().map(Baggage::fork) } else { self.kept.take() }
    }

    /// Takes the request back from a thread that leaves.
    pub(crate) fn leave(&mut self, request: Option<Baggage>) {
        self.inside = self.inside.saturating_sub(1);
        if let Some(request) = request {
            self.join(request);
        }
    }

    fn join(&mut self, branch: Baggage) {
        match &mut self.kept {
            Some(kept) => {
                kept.join(branch);
            }
            None => self.kept = Some(branch),
        }
    }

    /// Joins what was gathered so far into the current request, if this is a branch of it and nobody is
    /// inside. Others who have a handle may go on in what is left.
    pub(crate) fn join_into_current(&mut self) {
        if !self.is_branch || self.inside > 0 {
            return;
        }
        let Some(kept) = &mut self.kept else { return };
        if is_branch_of_current(kept) {
            let left = kept.fork();
            current::rejoin(std::mem::replace(kept, left));
        }
    }

    /// Ends the request of a span that is closed: `fire` makes that an event of it. A branch then joins the
    /// current request, if it belongs to that.
    pub(crate) fn close(mut self, fire: impl FnOnce()) {
        current::run_in(&mut self.kept, fire);
        if self.is_branch
            && let Some(kept) = self.kept
        {
            current::rejoin(kept);
        }
    }
}

fn is_branch_of_current(branch: &Baggage) -> bool {
    pivot_baggage::in_request()
        && pivot_baggage::with_current(|current| current.is_some_and(|current| current.can_join(branch)))
}
