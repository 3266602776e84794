//! What a result lacks, counted where it was lost and added up on the way to the user.
//!
//! [`for_loss_kinds`](crate::for_loss_kinds) is the table of all kinds of loss. The struct that counts
//! them, its sum, the conversion to and from the wire, JSON and the words on the screen are all made of it
//! (an "X macro"). So a new kind takes three edits: a row here, a field of that name in `message Loss`
//! (`agents.proto`), and the place that counts it.

/// The table of the kinds of loss. Calls the macro of the given name with one row for each kind:
/// documentation, name in code and in JSON, and what is said of it on the screen.
///
/// `Counted("row", "dropped")` reads "3 rows dropped"; `Nanoseconds("not run for")` reads
/// "not run for 2.5 s".
#[macro_export]
macro_rules! for_loss_kinds {
    ($receiver:ident) => {
        $receiver! {
            /// Rows beyond a budget.
            dropped: Counted("row", "dropped"),
            /// Evaluations that had no value, and events whose field expressions panicked.
            errors: Counted("evaluation error", ""),
            /// Events whose baggage was incomplete.
            truncated: Counted("event", "with cut baggage"),
            /// Tuples packed outside any request, which no later event can see.
            outside_request: Counted("tuple", "outside any request"),
            /// Rows that a LEFT or ANTI join kept because nothing was found to have happened before them,
            /// while something may be missing.
            uncertain: Counted("row", "uncertain"),
            /// Events that were not processed because the query was beyond its share of the processor.
            throttled: Counted("event", "throttled"),
            /// Time in which the query should have run and did not, added up over all processes: it was
            /// paused or quarantined, or its lease had lapsed. Nobody knows what it missed.
            away_ns: Nanoseconds("not run for"),
            /// Messages of requests with the query's tuples that went without them, because baggage must
            /// not leave to that peer.
            held_back: Counted("message", "without baggage (see PIVOT_EGRESS)"),
            /// Rows of joins whose events happened when their request had been answered, as those of a worker
            /// that a request has started and that others use, too. They are there and right: what they are
            /// joined with happened before. But they may not be what was asked for.
            after_answer: Noted("row", "after the answer"),
            /// Replies that left a server with tuples of the query and reached the caller without them, because
            /// something on the way removed our header.
            unreturned: Counted("call", "whose reply lost its baggage"),
            /// Tuples that a server packed after the reply to its call had left, which no caller can see.
            late: Counted("tuple", "packed after the reply"),
            /// Rows of a join whose events ran outside any request, so that nothing can have happened before them.
            /// An inner join leaves them out. That is right if they belong to no request, as those of a job that runs
            /// by the clock, and not if their request got lost on the way; see [`OutsidePlaces`](crate::OutsidePlaces).
            without_request: Noted("row", "had no request"),
        }
    };
}

/// How a kind of loss is measured, and the words for it on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossUnit {
    /// A number of things: what one of them is called, and what became of it (may be empty).
    Counted(&'static str, &'static str),
    /// A time in nanoseconds, and the words before it.
    Nanoseconds(&'static str),
    /// A number of things that are there, and of which a reader should know: nothing is missing. What one of
    /// them is called, and what there is to know of it.
    Noted(&'static str, &'static str),
}

/// One kind of loss: a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossKind {
    /// The name of its field in [`LossCounts`], on the wire and in JSON.
    pub name: &'static str,
    /// How it is measured and put into words.
    pub unit: LossUnit,
}

macro_rules! define_loss_counts {
    ($($(#[$doc:meta])* $kind:ident: $unit:ident $words:tt,)*) => {
        /// How much is missing from a result, by kind; all zero means nothing is.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        pub struct LossCounts {
            $($(#[$doc])* pub $kind: u64,)*
            /// Rows that a LEFT or ANTI join kept, and rows with a tuple that First or MostRecent chose, behind a reply
            /// that came without baggage, of a peer that may not run Pivot at all. They are right unless such a reply
            /// turns out to have lost its baggage: no loss by themselves.
            pub undecided: u64,
        }

        impl LossKind {
            /// All kinds, in the order of the table.
            pub const ALL: &[LossKind] = &[
                $(LossKind { name: stringify!($kind), unit: LossUnit::$unit $words },)*
            ];
        }

        impl LossCounts {
            /// Returns every kind with how much of it was lost, in the order of the table.
            pub fn by_kind(&self) -> impl Iterator<Item = (LossKind, u64)> {
                LossKind::ALL.iter().copied().zip([$(self.$kind),*])
            }

            /// Adds what another part of the result lacks.
            pub fn merge(&mut self, other: &LossCounts) {
                $(self.$kind = self.$kind.saturating_add(other.$kind);)*
                self.undecided = self.undecided.saturating_add(other.undecided);
            }
        }
    };
}

for_loss_kinds!(define_loss_counts);

impl LossCounts {
    /// Counts the undecided rows as uncertain: a reply before them has lost its baggage.
    pub fn settle_undecided(&mut self) {
        self.uncertain = self.uncertain.saturating_add(std::mem::take(&mut self.undecided));
    }

    /// Whether nothing is missing, as far as anybody knows.
    pub fn is_zero(&self) -> bool {
        self.by_kind().all(|(kind, amount)| amount == 0 || matches!(kind.unit, LossUnit::Noted(..)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_summed_under_its_own_name() {
        let mut sum = LossCounts { dropped: 1, away_ns: u64::MAX, ..LossCounts::default() };
        sum.merge(&LossCounts { dropped: 2, away_ns: 5, held_back: 7, ..LossCounts::default() });
        let found: Vec<_> = sum.by_kind().filter(|(_, n)| *n > 0).map(|(kind, n)| (kind.name, n)).collect();
        assert_eq!(found, [("dropped", 3), ("away_ns", u64::MAX), ("held_back", 7)]);
        assert!(!sum.is_zero() && LossCounts::default().is_zero());
        assert!(LossCounts { after_answer: 3, ..LossCounts::default() }.is_zero(), "those rows are there");
    }
}
