//! Which generation of advice all processes have woven.
//!
//! A process that begins requests learns it from here, so it must not be told too early: a message
//! that was sent where the generation was not yet woven may still be on its way to a process that
//! would take it for the beginning of a request.

/// How long messages between processes may take, in nanoseconds.
const DELIVERY_NS: i64 = 1_000_000_000;

/// The newest generation that all have woven for long enough.
#[derive(Debug, Default)]
pub(crate) struct Convergence {
    everywhere: u64,
    /// A newer one, and since when all have woven it.
    next: Option<(u64, i64)>,
}

impl Convergence {
    /// The generation that all agents have woven.
    pub(crate) fn everywhere(&self) -> u64 {
        self.everywhere
    }

    /// Looks at what all agents have woven now; gives a generation when it is woven everywhere.
    pub(crate) fn look(&mut self, woven: Option<u64>, now_ns: i64) -> Option<u64> {
        if self.next.is_none() {
            let newer = woven.filter(|woven| *woven > self.everywhere);
            self.next = newer.map(|woven| (woven, now_ns));
        }
        let (generation, since_ns) = self.next?;
        if now_ns < since_ns.saturating_add(DELIVERY_NS) {
            return None;
        }
        self.next = None;
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
        let mut settling = Convergence::default();
        assert_eq!(settling.look(None, 0), None);
        assert_eq!(settling.look(Some(5), SECOND), None);
        assert_eq!(settling.look(Some(5), 2 * SECOND - 1), None);
        assert_eq!(settling.look(Some(6), 2 * SECOND), Some(5));
        assert_eq!(settling.everywhere(), 5);
        assert_eq!(settling.look(Some(6), 3 * SECOND), None);
        assert_eq!(settling.look(Some(6), 4 * SECOND), Some(6));
    }

    #[test]
    fn a_process_that_joins_later_takes_nothing_back() {
        let mut settling = Convergence { everywhere: 5, next: None };
        assert_eq!(settling.look(Some(0), 10 * SECOND), None);
        assert_eq!(settling.everywhere(), 5);
    }
}
