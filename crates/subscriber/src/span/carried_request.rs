//! The request that a span carries.
//!
//! Whoever enters a carrier comes after everybody who has left it before, in whatever thread. As
//! long as one at a time is inside, the request is moved in and out. From the first time that
//! somebody else has a handle, everybody inside has a branch, which joins where it is left; and at
//! each event in there that advice is woven at, the thread is as if it had left and entered again.
//! A worker answers before it leaves, so who has the answer could otherwise miss what it did.

use pivot_baggage::{Baggage, current};

#[derive(Debug)]
pub(crate) struct CarriedRequest {
    /// What nobody has taken inside.
    rest: Option<Baggage>,
    /// Whether it is a branch of a request that may go on.
    forked: bool,
    shared: bool,
    inside: usize,
}

impl CarriedRequest {
    /// Of a span that is made now: a branch of the current request, or one that begins. The
    /// beginning of the span, which `fire` makes an event, is part of it.
    pub(crate) fn begin(fire: impl FnOnce()) -> CarriedRequest {
        let (rest, forked) = if pivot_baggage::in_request() {
            fire();
            (current::fork(), true)
        } else {
            let mut begun = Some(Baggage::begin());
            current::run_in(&mut begun, fire);
            (begun, false)
        };
        CarriedRequest { rest, forked, shared: false, inside: 0 }
    }

    /// Others may be inside at the same time from now on.
    pub(crate) fn share(&mut self) {
        self.shared = true;
    }

    /// Lets others that enter have what the current request has gathered, which is this one, and this
    /// thread what they have; if there may be others.
    pub(crate) fn exchange(&mut self) {
        if !self.shared {
            return;
        }
        let Some(mine) = current::capture() else { return };
        if self.rest.as_ref().is_some_and(|rest| !rest.can_join(&mine)) {
            current::attach(Some(mine));
            return;
        }
        self.add(mine);
        current::attach(self.rest.as_mut().map(Baggage::fork));
    }

    /// For whoever enters. Nothing, if somebody took all of it in before there was another handle.
    pub(crate) fn take(&mut self) -> Option<Baggage> {
        self.shared |= self.inside > 0;
        self.inside += 1;
        if self.shared { self.rest.as_mut().map(Baggage::fork) } else { self.rest.take() }
    }

    /// From whoever comes out.
    pub(crate) fn put(&mut self, request: Option<Baggage>) {
        self.inside = self.inside.saturating_sub(1);
        if let Some(request) = request {
            self.add(request);
        }
    }

    fn add(&mut self, branch: Baggage) {
        match &mut self.rest {
            Some(rest) => {
                rest.join(branch);
            }
            None => self.rest = Some(branch),
        }
    }

    /// Lets the current request have what was gathered, if this is a branch of it; others who have a
    /// handle may go on.
    pub(crate) fn settle(&mut self) {
        let Some(rest) = self.rest.as_mut().filter(|_| self.forked && self.inside == 0) else { return };
        if is_current(rest) {
            let left = rest.fork();
            current::rejoin(std::mem::replace(rest, left));
        }
    }

    /// The span is closed: `fire` makes that an event of the request, which then joins the current
    /// one if it is a branch of that.
    pub(crate) fn end(mut self, fire: impl FnOnce()) {
        current::run_in(&mut self.rest, fire);
        if let Some(rest) = self.rest.filter(|_| self.forked) {
            current::rejoin(rest);
        }
    }
}

fn is_current(branch: &Baggage) -> bool {
    pivot_baggage::in_request()
        && pivot_baggage::with_current(|current| current.is_some_and(|current| current.can_join(branch)))
}
