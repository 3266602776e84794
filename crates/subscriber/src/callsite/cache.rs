//! What one subscriber knows of each callsite, found again without a lock.
//!
//! ```text
//! event ─▶ thread's map (subscriber, callsite) ─ miss ─▶ subscriber's map (RwLock) ─ miss ─▶ make it
//!                     │                                        │                                │
//!                     └───────────────────── &'static CachedCallsite ◀──────────────────────────┘
//! ```
//!
//! Callsites that only the agent's own threads have reached are left aside: the application has not hit them, so
//! they are no tracepoints until it does.
//!
//! Entries are leaked: a program has a bounded number of callsites, and `tracing` keeps them for ever, too.

use crate::callsite::enabled_check::{EnabledCheck, is_enabled_check};
use crate::callsite::tracepoints::CallsiteTracepoints;
use crate::log::to_tracing;
use foldhash::fast::RandomState;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use tracing_core::{Interest, Metadata};

/// Decides which spans carry a request.
pub type IsCarrier = fn(&Metadata<'_>) -> bool;

/// A callsite as one subscriber knows it.
#[derive(Debug)]
pub(crate) struct CachedCallsite {
    pub(crate) kind: CallsiteRole,
    /// Whether it is a span that carries a request, as of the last time it was asked.
    carries: AtomicBool,
    /// The [`InnerInterest`], as its number.
    inner: AtomicU8,
}

/// The kinds of callsites that the bridge tells apart.
#[derive(Debug)]
pub(crate) enum CallsiteRole {
    /// A span or an event.
    Tracepoint(&'static CallsiteTracepoints),
    /// A check whether there would be an event.
    EnabledCheck(EnabledCheck),
    /// A record of the `log` crate on its way to the application's subscriber, where it is a tracepoint
    /// already.
    LogRecord,
}

/// The interest of the application's subscriber in a callsite, as of the last time it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InnerInterest {
    Never,
    Sometimes,
    Always,
}

impl CachedCallsite {
    fn new(metadata: &'static Metadata<'static>, is_carrier: IsCarrier) -> CachedCallsite {
        // Checks first: their metadata may pass for an event's.
        let kind = if is_enabled_check(metadata) {
            CallsiteRole::EnabledCheck(EnabledCheck::for_target(metadata.target()))
        } else if metadata.target() == to_tracing::TARGET && metadata.name() == to_tracing::NAME {
            CallsiteRole::LogRecord
        } else {
            CallsiteRole::Tracepoint(CallsiteTracepoints::of(metadata))
        };

        CachedCallsite {
            kind,
            carries: AtomicBool::new(carries(metadata, is_carrier)),
            inner: AtomicU8::new(InnerInterest::Sometimes as u8),
        }
    }

    /// Whether it is a span that carries a request.
    #[inline]
    pub(crate) fn is_carrier(&self) -> bool {
        self.carries.load(Ordering::Relaxed)
    }

    /// Returns the tracepoints of a span or event, `None` of any other callsite.
    pub(crate) fn site(&self) -> Option<&'static CallsiteTracepoints> {
        match self.kind {
            CallsiteRole::Tracepoint(site) => Some(site),
            _ => None,
        }
    }

    /// Returns whether advice is woven at the event, or at the beginning or the end of the span.
    #[inline]
    pub(crate) fn is_woven(&self) -> bool {
        self.site().is_some_and(CallsiteTracepoints::is_woven)
    }

    /// Returns whether it is a span that is made because advice is woven, and for no other reason.
    pub(crate) fn is_made_for_advice(&self) -> bool {
        let is_woven_span = self.site().is_some_and(|site| site.exit.is_some() && site.is_woven());
        is_woven_span && !self.is_carrier() && self.inner_interest() == InnerInterest::Never
    }

    /// Returns what the application's subscriber said when it was asked last.
    pub(crate) fn inner_interest(&self) -> InnerInterest {
        match self.inner.load(Ordering::Relaxed) {
            0 => InnerInterest::Never,
            1 => InnerInterest::Sometimes,
            _ => InnerInterest::Always,
        }
    }

    /// Keeps what the application's subscriber says now.
    pub(crate) fn set_inner_interest(&self, interest: InnerInterest) {
        self.inner.store(interest as u8, Ordering::Relaxed);
    }
}

impl InnerInterest {
    /// Makes the interest in a callsite. `tracing` does not call callsites beyond a subscriber's level,
    /// whatever its interest in them.
    pub(crate) fn new(interest: &Interest, is_beyond_level: bool) -> InnerInterest {
        if is_beyond_level || interest.is_never() {
            InnerInterest::Never
        } else if interest.is_always() {
            InnerInterest::Always
        } else {
            InnerInterest::Sometimes
        }
    }

    /// Returns the interest as `tracing` has it.
    pub(crate) fn interest(self) -> Interest {
        match self {
            InnerInterest::Never => Interest::never(),
            InnerInterest::Sometimes => Interest::sometimes(),
            InnerInterest::Always => Interest::always(),
        }
    }
}

/// Whether a callsite is a span that carries a request, by the function of its subscriber or by name.
fn carries(metadata: &Metadata<'_>, is_carrier: IsCarrier) -> bool {
    metadata.is_span()
        && (is_carrier(metadata) || pivot_agent::is_named_carrier(metadata.target(), metadata.name()))
}

type CallsiteMap<K> = HashMap<K, &'static CachedCallsite, RandomState>;

/// The address of a callsite in memory, by which `tracing` tells callsites apart.
type Address = usize;

fn address(metadata: &Metadata<'_>) -> Address {
    std::ptr::from_ref(metadata.callsite().0).cast::<()>().addr()
}

thread_local! {
    /// The callsites that this thread has met, by subscriber and callsite, so that events take no lock.
    static MET: RefCell<CallsiteMap<(usize, Address)>> = RefCell::default();
}

static SUBSCRIBERS: AtomicUsize = AtomicUsize::new(0);
static NEW_CALLSITES: AtomicBool = AtomicBool::new(false);

/// Returns whether callsites became known since this was called last.
pub(crate) fn take_new_callsites() -> bool {
    NEW_CALLSITES.swap(false, Ordering::Relaxed)
}

/// All callsites that one subscriber has met.
#[derive(Debug)]
pub(crate) struct CallsiteCache {
    /// The subscriber's number in this process, by which threads tell subscribers apart.
    pub(crate) number: usize,
    pub(crate) is_carrier: IsCarrier,
    by_address: RwLock<CallsiteMap<Address>>,
    /// Callsites that the agent's threads alone have reached.
    agents: Mutex<HashMap<Address, &'static Metadata<'static>, RandomState>>,
    /// How many those are.
    agents_count: AtomicUsize,
}

impl CallsiteCache {
    pub(crate) fn new(is_carrier: IsCarrier) -> CallsiteCache {
        let number = SUBSCRIBERS.fetch_add(1, Ordering::Relaxed);
        CallsiteCache {
            number,
            is_carrier,
            by_address: RwLock::default(),
            agents: Mutex::default(),
            agents_count: AtomicUsize::new(0),
        }
    }

    /// Returns a callsite, which becomes known if it is new.
    pub(crate) fn get_or_insert(&self, metadata: &'static Metadata<'static>) -> &'static CachedCallsite {
        self.get(metadata).unwrap_or_else(|| self.insert(metadata))
    }

    /// Returns a callsite if it is known. The metadata need not live for ever: code that asks about a
    /// callsite may make them up.
    pub(crate) fn get(&self, metadata: &Metadata<'_>) -> Option<&'static CachedCallsite> {
        let address = address(metadata);
        let key = (self.number, address);
        let met = MET.try_with(|met| met.try_borrow().ok()?.get(&key).copied());
        if let Ok(Some(callsite)) = met {
            return Some(callsite);
        }

        let callsite = *self.by_address.read().unwrap_or_else(PoisonError::into_inner).get(&address)?;

        // A thread that is ending, or is in this map already further down its stack, takes the lock
        // again the next time.
        let _ = MET.try_with(|met| met.try_borrow_mut().map(|mut met| met.insert(key, callsite)));
        Some(callsite)
    }

    /// Returns a callsite that `tracing` registers, or `None` if it is known to the agent's threads alone. Then it is
    /// left aside until the application hits it.
    pub(crate) fn register(&self, metadata: &'static Metadata<'static>) -> Option<&'static CachedCallsite> {
        if let Some(known) = self.get(metadata) {
            // Which spans carry a request changes with what operators say.
            known.carries.store(carries(metadata, self.is_carrier), Ordering::Relaxed);
            return Some(known);
        }

        let address = address(metadata);
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let is_agents = pivot_agent::is_agents_thread();
        if is_agents && agents.insert(address, metadata).is_none() {
            self.agents_count.fetch_add(1, Ordering::Relaxed);
        }
        // Also when another thread has `tracing` ask again about all of them.
        if is_agents || agents.contains_key(&address) {
            return None;
        }
        drop(agents);
        Some(self.insert(metadata))
    }

    /// Returns a callsite that the application hits and that was left aside, which becomes known.
    pub(crate) fn take_agents(&self, metadata: &Metadata<'_>) -> Option<&'static Metadata<'static>> {
        if self.agents_count.load(Ordering::Relaxed) == 0 || pivot_agent::is_agents_thread() {
            return None;
        }
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = agents.remove(&address(metadata))?;
        self.agents_count.fetch_sub(1, Ordering::Relaxed);
        Some(taken)
    }

    /// Returns the spans at which advice is woven.
    pub(crate) fn woven_spans(&self) -> Vec<(&'static CachedCallsite, &'static Metadata<'static>)> {
        let known = self.by_address.read().unwrap_or_else(PoisonError::into_inner);
        let woven = known.values().filter(|callsite| callsite.is_woven());
        woven
            .filter_map(|callsite| Some((*callsite, callsite.site()?.metadata)))
            .filter(|(_, metadata)| metadata.is_span())
            .collect()
    }

    fn insert(&self, metadata: &'static Metadata<'static>) -> &'static CachedCallsite {
        // Made outside the lock: it registers tracepoints with the agent, which may weave.
        let callsite = CachedCallsite::new(metadata, self.is_carrier);
        NEW_CALLSITES.store(true, Ordering::Relaxed);

        // Of several threads that meet it at once, the first to get here decides.
        let mut by_address = self.by_address.write().unwrap_or_else(PoisonError::into_inner);
        by_address.entry(address(metadata)).or_insert_with(|| Box::leak(Box::new(callsite)))
    }
}
