//! The callsites in the eyes of one subscriber, found again without a lock.

use crate::forward;
use crate::hints::{Hint, is_hint};
use crate::site::Site;
use foldhash::fast::RandomState;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use tracing_core::{Interest, Metadata};

/// Which spans carry a request.
pub type Carries = fn(&Metadata<'_>) -> bool;

/// A callsite.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) kind: Kind,
    /// Whether it is a span that carries a request.
    pub(crate) carries: bool,
    inner: AtomicU8,
}

/// What a callsite is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A span or an event.
    Tracepoint(&'static Site),
    /// A question whether there would be one.
    Hint(Hint),
    /// A record of the `log` crate on its way to the application's subscriber.
    Record,
}

/// What the application's subscriber said of a callsite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Never,
    Sometimes,
    Always,
}

impl Slot {
    fn new(metadata: &'static Metadata<'static>, carries: Carries) -> Slot {
        let kind = match metadata {
            _ if is_hint(metadata) => Kind::Hint(Hint::about(metadata.target())),
            _ if metadata.target() == forward::TARGET && metadata.name() == forward::NAME => Kind::Record,
            _ => Kind::Tracepoint(Site::of(metadata)),
        };
        Slot {
            kind,
            carries: metadata.is_span() && carries(metadata),
            inner: AtomicU8::new(Said::Sometimes as u8),
        }
    }

    pub(crate) fn site(&self) -> Option<&'static Site> {
        match self.kind {
            Kind::Tracepoint(site) => Some(site),
            _ => None,
        }
    }

    /// Whether events, or the beginnings of spans, are observed.
    #[inline]
    pub(crate) fn is_woven(&self) -> bool {
        self.site().is_some_and(Site::is_woven)
    }

    pub(crate) fn said(&self) -> Said {
        match self.inner.load(Ordering::Relaxed) {
            0 => Said::Never,
            1 => Said::Sometimes,
            _ => Said::Always,
        }
    }

    pub(crate) fn remember(&self, said: Said) {
        self.inner.store(said as u8, Ordering::Relaxed);
    }
}

impl Said {
    /// What an interest says of a callsite that may be beyond the subscriber's level.
    pub(crate) fn of(interest: &Interest, beyond: bool) -> Said {
        match () {
            () if beyond || interest.is_never() => Said::Never,
            () if interest.is_always() => Said::Always,
            () => Said::Sometimes,
        }
    }

    pub(crate) fn interest(self) -> Interest {
        match self {
            Said::Never => Interest::never(),
            Said::Sometimes => Interest::sometimes(),
            Said::Always => Interest::always(),
        }
    }
}

type Slots<K> = HashMap<K, &'static Slot, RandomState>;

/// Where a callsite stands in memory, which is what `tracing` tells them apart by.
type Address = usize;

fn address(metadata: &Metadata<'_>) -> Address {
    std::ptr::from_ref(metadata.callsite().0).cast::<()>().addr()
}

thread_local! {
    /// What this thread has met, by subscriber and callsite, so that events take no lock.
    static MET: RefCell<Slots<(usize, Address)>> = RefCell::default();
}

static SUBSCRIBERS: AtomicUsize = AtomicUsize::new(0);
static NEWS: AtomicBool = AtomicBool::new(false);

/// Whether callsites became known since this was asked before.
pub(crate) fn news() -> bool {
    NEWS.swap(false, Ordering::Relaxed)
}

/// All callsites that one subscriber has met.
#[derive(Debug)]
pub(crate) struct Callsites {
    pub(crate) number: usize,
    pub(crate) carries: Carries,
    slots: RwLock<Slots<Address>>,
}

impl Callsites {
    pub(crate) fn new(carries: Carries) -> Callsites {
        let number = SUBSCRIBERS.fetch_add(1, Ordering::Relaxed);
        Callsites { number, carries, slots: RwLock::default() }
    }

    pub(crate) fn slot(&self, metadata: &'static Metadata<'static>) -> &'static Slot {
        self.known(metadata).unwrap_or_else(|| self.meet(metadata))
    }

    /// The callsite of metadata that need not live for ever, if it was met before.
    pub(crate) fn known(&self, metadata: &Metadata<'_>) -> Option<&'static Slot> {
        let key = (self.number, address(metadata));
        let met = MET.try_with(|met| met.try_borrow().ok()?.get(&key).copied());
        if let Ok(Some(slot)) = met {
            return Some(slot);
        }
        let slot = *self.slots.read().unwrap_or_else(PoisonError::into_inner).get(&key.1)?;
        // A thread that ends, or is here within itself, looks again the next time.
        let _ = MET.try_with(|met| met.try_borrow_mut().map(|mut met| met.insert(key, slot)));
        Some(slot)
    }

    fn meet(&self, metadata: &'static Metadata<'static>) -> &'static Slot {
        // Made outside the lock: it asks others.
        let slot = Slot::new(metadata, self.carries);
        NEWS.store(true, Ordering::Relaxed);
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.entry(address(metadata)).or_insert_with(|| Box::leak(Box::new(slot)))
    }
}
