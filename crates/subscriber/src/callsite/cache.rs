//! The callsites in the eyes of one subscriber, found again without a lock.

use crate::callsite::enabled_check::{EnabledCheck, is_enabled_check};
use crate::callsite::tracepoints::CallsiteTracepoints;
use crate::log::forwarder;
use foldhash::fast::RandomState;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use tracing_core::{Interest, Metadata};

/// Which spans carry a request.
pub type IsCarrier = fn(&Metadata<'_>) -> bool;

/// A callsite.
#[derive(Debug)]
pub(crate) struct CachedCallsite {
    pub(crate) kind: CallsiteKind,
    /// Whether it is a span that carries a request.
    pub(crate) carries: bool,
    inner: AtomicU8,
}

/// What a callsite is.
#[derive(Debug)]
pub(crate) enum CallsiteKind {
    /// A span or an event.
    Tracepoint(&'static CallsiteTracepoints),
    /// A question whether there would be one.
    EnabledCheck(EnabledCheck),
    /// A record of the `log` crate on its way to the application's subscriber.
    LogRecord,
}

/// What the application's subscriber said of a callsite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InnerInterest {
    Never,
    Sometimes,
    Always,
}

impl CachedCallsite {
    fn new(metadata: &'static Metadata<'static>, carries: IsCarrier) -> CachedCallsite {
        let kind = match metadata {
            _ if is_enabled_check(metadata) => {
                CallsiteKind::EnabledCheck(EnabledCheck::for_target(metadata.target()))
            }
            _ if metadata.target() == forwarder::TARGET && metadata.name() == forwarder::NAME => {
                CallsiteKind::LogRecord
            }
            _ => CallsiteKind::Tracepoint(CallsiteTracepoints::of(metadata)),
        };
        CachedCallsite {
            kind,
            carries: metadata.is_span() && carries(metadata),
            inner: AtomicU8::new(InnerInterest::Sometimes as u8),
        }
    }

    pub(crate) fn site(&self) -> Option<&'static CallsiteTracepoints> {
        match self.kind {
            CallsiteKind::Tracepoint(site) => Some(site),
            _ => None,
        }
    }

    /// Whether events, or the beginnings of spans, are observed.
    #[inline]
    pub(crate) fn is_woven(&self) -> bool {
        self.site().is_some_and(CallsiteTracepoints::is_woven)
    }

    pub(crate) fn said(&self) -> InnerInterest {
        match self.inner.load(Ordering::Relaxed) {
            0 => InnerInterest::Never,
            1 => InnerInterest::Sometimes,
            _ => InnerInterest::Always,
        }
    }

    pub(crate) fn remember(&self, said: InnerInterest) {
        self.inner.store(said as u8, Ordering::Relaxed);
    }
}

impl InnerInterest {
    /// What an interest says of a callsite that may be beyond the subscriber's level.
    pub(crate) fn of(interest: &Interest, beyond: bool) -> InnerInterest {
        match () {
            () if beyond || interest.is_never() => InnerInterest::Never,
            () if interest.is_always() => InnerInterest::Always,
            () => InnerInterest::Sometimes,
        }
    }

    pub(crate) fn interest(self) -> Interest {
        match self {
            InnerInterest::Never => Interest::never(),
            InnerInterest::Sometimes => Interest::sometimes(),
            InnerInterest::Always => Interest::always(),
        }
    }
}

type CallsiteMap<K> = HashMap<K, &'static CachedCallsite, RandomState>;

/// Where a callsite stands in memory, which is what `tracing` tells them apart by.
type Address = usize;

fn address(metadata: &Metadata<'_>) -> Address {
    std::ptr::from_ref(metadata.callsite().0).cast::<()>().addr()
}

thread_local! {
    /// What this thread has met, by subscriber and callsite, so that events take no lock.
    static MET: RefCell<CallsiteMap<(usize, Address)>> = RefCell::default();
}

static SUBSCRIBERS: AtomicUsize = AtomicUsize::new(0);
static NEWS: AtomicBool = AtomicBool::new(false);

/// Whether callsites became known since this was asked before.
pub(crate) fn news() -> bool {
    NEWS.swap(false, Ordering::Relaxed)
}

/// All callsites that one subscriber has met.
#[derive(Debug)]
pub(crate) struct CallsiteCache {
    pub(crate) number: usize,
    pub(crate) carries: IsCarrier,
    slots: RwLock<CallsiteMap<Address>>,
}

impl CallsiteCache {
    pub(crate) fn new(carries: IsCarrier) -> CallsiteCache {
        let number = SUBSCRIBERS.fetch_add(1, Ordering::Relaxed);
        CallsiteCache { number, carries, slots: RwLock::default() }
    }

    pub(crate) fn slot(&self, metadata: &'static Metadata<'static>) -> &'static CachedCallsite {
        self.known(metadata).unwrap_or_else(|| self.meet(metadata))
    }

    /// The callsite of metadata that need not live for ever, if it was met before.
    pub(crate) fn known(&self, metadata: &Metadata<'_>) -> Option<&'static CachedCallsite> {
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

    fn meet(&self, metadata: &'static Metadata<'static>) -> &'static CachedCallsite {
        // Made outside the lock: it asks others.
        let slot = CachedCallsite::new(metadata, self.carries);
        NEWS.store(true, Ordering::Relaxed);
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.entry(address(metadata)).or_insert_with(|| Box::leak(Box::new(slot)))
    }
}
