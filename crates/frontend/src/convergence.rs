//! Which generation of advice all processes have woven.
//!
//! A process that begins requests stamps them with this generation: from then on, a join that finds
//! nothing knows that there was nothing. So it must not be told too early. A message that was sent where
//! the generation was not yet woven may still be on its way to a process that would take it for the
//! beginning of a request; a generation therefore counts only once all agents have had it for as long as
//! a message may travel.
//!
//! ```text
//! all agents have woven 5     DELIVERY_NS later: 5 is woven everywhere
//! ──────────┴─────────────────────────┴──────────▶ time
//! ```

/// How long messages between processes may take, in nanoseconds.
const DELIVERY_NS: i64 = 1_000_000_000;

/// The newest generation that all agents have woven for long enough.
#[derive(Debug, Default)]
pub(crate) struct Convergence {
    /// The generation that is woven everywhere; it never falls.
    everywhere: u64,
    /// A newer one that has not been woven for long enough yet.
    candidate: Option<ConvergedGeneration>,
}

/// A generation that all agents have woven.
#[derive(Debug, Clone, Copy)]
struct ConvergedGeneration {
    generation: u64,
    since_ns: i64,
}

impl Convergence {
    /// Goes on behind a generation that was woven everywhere before the frontend was started again.
    pub(crate) fn restore(everywhere: u64) -> Convergence {
        Convergence { everywhere, candidate: None }
    }

    /// Returns the generation that is woven everywhere, and never an older one than before.
    pub(crate) fn everywhere(&self) -> u64 {
        self.everywhere
    }

    /// Takes in the generation that all connected agents have woven now. Returns a generation when it
    /// becomes woven everywhere.
    pub(crate) fn observe(&mut self, woven_by_all: Option<u64>, now_ns: i64) -> Option<u64> {
        if self.candidate.is_none() {
            let newer = woven_by_all.filter(|generation| *generation > self.everywhere);
            self.candidate = newer.map(|generation| ConvergedGeneration { generation, since_ns: now_ns });
        }

        // A candidate waits out its time even if a newer generation comes meanwhile: otherwise frequent
        // installs would put off convergence for ever.
        let ConvergedGeneration { generation, since_ns } = self.candidate?;
        if now_ns < since_ns.saturating_add(DELIVERY_NS) {
            return None;
        }

        self.candidate = None;
        self.everywhere = generation;
        Some(generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_generation_is_woven_everywhere_once_messages_sent_before_have_arrived() {
        let mut convergence = Convergence::default();
        assert_eq!(convergence.observe(None, 0), None);
        assert_eq!(convergence.observe(Some(5), SECOND), None);
        assert_eq!(convergence.observe(Some(5), 2 * SECOND - 1), None);
        assert_eq!(convergence.observe(Some(6), 2 * SECOND), Some(5));
        assert_eq!(convergence.everywhere, 5);

        assert_eq!(convergence.observe(Some(6), 3 * SECOND), None);
        assert_eq!(convergence.observe(Some(6), 4 * SECOND), Some(6));
    }

    #[test]
    fn a_process_that_joins_later_takes_nothing_back() {
        let mut convergence = Convergence { everywhere: 5, candidate: None };
        assert_eq!(convergence.observe(Some(0), 10 * SECOND), None);
        assert_eq!(convergence.everywhere, 5);
    }
}
