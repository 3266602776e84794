//! The frontend's time, as this process knows it: windows are placed by it, and never by the clock of the machine.
//!
//! ```text
//! agent     ──asked──────────────────────────heard──▶  steady clock     heard - asked: the round trip
//!               ╲                           ╱
//! frontend  ─────received───────────────sent────────▶  its time
//!
//! its time - steady clock is   at least  sent - heard       both hold however the delay is spread over
//!                              at most   received - asked   the two ways
//! ```
//!
//! **Measuring.** An answer with a short round trip bounds the offset of the clocks tightly, and one that was on its way for
//! long says little, but never anything wrong. So all that is kept are the bounds in which all answers so far agree. They
//! widen with time by what clocks may drift. An answer outside of them means that one of the clocks has jumped: what
//! was known before is void.
//!
//! **Following.** The offset in use approaches the middle of the bounds, so that no window is noticeably shorter or longer
//! than others: what is amiss is made up for over a minute. Only what lies far behind leaps forward, as after a sleep of a
//! virtual machine. Time never goes back. Without a connection, and at another one, it goes on as it was.
//!
//! **The first answer** comes before anything is woven, so no row was placed before. Frontends of versions that do not
//! answer are taken to agree with the clock of this machine.

use std::time::Duration;

/// The most by which the clocks may drift apart: their own errors, and the frontend's slewing. In millionths.
const MAX_DRIFT_PPM: i64 = 1_000;

/// How long what is amiss is made up for.
const SLEW_SECONDS: i64 = 60;

/// The most by which time is made faster or slower for it, in millionths.
const MAX_SLEW_PPM: i64 = 80_000;

/// The least lag that time leaps forward for.
const LEAP_NS: i64 = 500_000_000;

/// The pauses between questions: short at first, to see some short round trips, then growing to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(16);

/// The farthest times from the epoch that are taken for times, so that no arithmetic overflows.
const MAX_TIME_NS: i64 = i64::MAX / 4;

/// How far the clock of this machine is taken to be from that of a frontend that does not answer.
const UNMEASURED_NS: i64 = 50_000_000;

/// A change of the machine's clock after which the offset is measured anew: a virtual machine that was stopped finds its
/// clock set forward.
const NOTICED_STEP_NS: i64 = 100_000_000;

/// The times of a question and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockExchange {
    /// When it was asked and when the answer was heard, by the steady clock here.
    pub(crate) asked_ns: i64,
    pub(crate) heard_ns: i64,
    /// When the question came and when the answer left, by the frontend's clock.
    pub(crate) received_ns: i64,
    pub(crate) sent_ns: i64,
}

/// The meaning of an answer, or of its absence, for windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlacingChange {
    /// Windows are placed from now on: before, it was not known where.
    Begun,
    /// Windows follow each other as before.
    GoesOn,
}

/// The frontend's clock.
#[derive(Debug)]
pub(crate) struct FrontendClock {
    offset: SlewedOffset,
    /// Where the offset lies; `None` before it was measured.
    bounds: Option<OffsetBounds>,
    /// When the next question is due, by the steady clock.
    question_due_ns: i64,
    /// The pause behind it.
    pause: Duration,
    /// The machine's clock less the steady clock when they were last compared.
    wall_offset_ns: i64,
}

impl FrontendClock {
    /// Starts with the clock of the machine.
    pub(crate) fn new(steady_ns: i64, wall_ns: i64) -> FrontendClock {
        let wall_offset_ns = wall_ns.saturating_sub(steady_ns);
        FrontendClock {
            offset: SlewedOffset::fixed(wall_offset_ns, steady_ns),
            bounds: None,
            question_due_ns: steady_ns,
            pause: FIRST_PAUSE,
            wall_offset_ns,
        }
    }

    /// Returns the frontend's time when the steady clock shows this. Never falls while that does not.
    pub(crate) fn now_ns(&self, steady_ns: i64) -> i64 {
        steady_ns.saturating_add(self.offset.at(steady_ns))
    }

    /// Whether it is known what the frontend's time is.
    pub(crate) fn is_known(&self) -> bool {
        self.bounds.is_some()
    }

    /// Returns how far it may be wrong, or `None` if it was not measured yet.
    pub(crate) fn uncertainty_ns(&self, steady_ns: i64) -> Option<i64> {
        let OffsetBounds { least_ns, most_ns, .. } = self.bounds?.widened(steady_ns);
        let offset_ns = self.offset.at(steady_ns);
        Some(most_ns.saturating_sub(offset_ns).max(offset_ns.saturating_sub(least_ns)).max(0))
    }

    /// Takes an answer in. One that cannot be true says nothing.
    pub(crate) fn measure(&mut self, exchange: ClockExchange) -> PlacingChange {
        let ClockExchange { asked_ns, heard_ns, received_ns, sent_ns } = exchange;
        let is_time = |ns: i64| (0..MAX_TIME_NS).contains(&ns);
        let are_times = [asked_ns, heard_ns, received_ns, sent_ns].into_iter().all(is_time);
        let (least_ns, most_ns) = (sent_ns.saturating_sub(heard_ns), received_ns.saturating_sub(asked_ns));
        if !are_times || least_ns > most_ns {
            return PlacingChange::GoesOn;
        }
        self.take_in(OffsetBounds { least_ns, most_ns, at_ns: heard_ns })
    }

    /// Goes by the clock of the machine, because the frontend gives no answer.
    pub(crate) fn follow_machine(&mut self, steady_ns: i64, wall_ns: i64) -> PlacingChange {
        let offset_ns = wall_ns.saturating_sub(steady_ns);
        let (least_ns, most_ns) = (offset_ns - UNMEASURED_NS, offset_ns + UNMEASURED_NS);
        self.take_in(OffsetBounds { least_ns, most_ns, at_ns: steady_ns })
    }

    fn take_in(&mut self, measured: OffsetBounds) -> PlacingChange {
        let steady_ns = measured.at_ns;
        let Some(known) = self.bounds else {
            self.bounds = Some(measured);
            self.offset = SlewedOffset::fixed(measured.middle_ns(), steady_ns);
            return PlacingChange::Begun;
        };

        let bounds = known.widened(steady_ns).intersection(measured).unwrap_or(measured);
        self.bounds = Some(bounds);
        let mut offset_ns = self.offset.at(steady_ns);
        if bounds.least_ns.saturating_sub(offset_ns) > LEAP_NS {
            offset_ns = bounds.least_ns;
        }
        self.offset = SlewedOffset::towards(bounds.middle_ns(), offset_ns, steady_ns);
        PlacingChange::GoesOn
    }

    /// Begins to ask anew, because there is a new connection.
    pub(crate) fn restart_questions(&mut self, steady_ns: i64) {
        self.pause = FIRST_PAUSE;
        self.question_due_ns = steady_ns.saturating_add(nanoseconds(FIRST_PAUSE));
    }

    /// Returns whether a question is to be asked now, and counts it as asked.
    pub(crate) fn asks(&mut self, steady_ns: i64, wall_ns: i64) -> bool {
        let wall_offset_ns = wall_ns.saturating_sub(steady_ns);
        let before = std::mem::replace(&mut self.wall_offset_ns, wall_offset_ns);
        if wall_offset_ns.saturating_sub(before).saturating_abs() > NOTICED_STEP_NS {
            self.pause = FIRST_PAUSE;
        } else if steady_ns < self.question_due_ns {
            return false;
        }

        self.pause = (self.pause * 2).min(LAST_PAUSE);
        self.question_due_ns = steady_ns.saturating_add(nanoseconds(self.pause));
        true
    }
}

/// The bounds of the frontend's time less the steady clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OffsetBounds {
    least_ns: i64,
    most_ns: i64,
    /// When that was known, by the steady clock.
    at_ns: i64,
}

impl OffsetBounds {
    /// Returns what is still known later.
    fn widened(self, steady_ns: i64) -> OffsetBounds {
        let drift_ns = steady_ns.saturating_sub(self.at_ns).max(0) / (1_000_000 / MAX_DRIFT_PPM);
        OffsetBounds {
            least_ns: self.least_ns.saturating_sub(drift_ns),
            most_ns: self.most_ns.saturating_add(drift_ns),
            at_ns: steady_ns,
        }
    }

    /// Returns what two that are known at one time say together, or `None` if they contradict each other.
    fn intersection(self, other: OffsetBounds) -> Option<OffsetBounds> {
        let (least_ns, most_ns) = (self.least_ns.max(other.least_ns), self.most_ns.min(other.most_ns));
        (least_ns <= most_ns).then_some(OffsetBounds { least_ns, most_ns, at_ns: self.at_ns })
    }

    fn middle_ns(self) -> i64 {
        self.least_ns + (self.most_ns - self.least_ns) / 2
    }
}

/// An offset that approaches another one.
#[derive(Debug, Clone, Copy)]
struct SlewedOffset {
    /// The offset when the steady clock showed `since_ns`.
    offset_ns: i64,
    since_ns: i64,
    target_ns: i64,
    /// How fast it approaches it, in millionths of the time that passes.
    slew_ppm: i64,
}

impl SlewedOffset {
    fn fixed(offset_ns: i64, since_ns: i64) -> SlewedOffset {
        SlewedOffset { offset_ns, since_ns, target_ns: offset_ns, slew_ppm: 0 }
    }

    fn towards(target_ns: i64, offset_ns: i64, since_ns: i64) -> SlewedOffset {
        let amiss_ns = target_ns.saturating_sub(offset_ns).saturating_abs();
        let slew_ppm = (amiss_ns / (SLEW_SECONDS * 1_000)).clamp(1, MAX_SLEW_PPM);
        SlewedOffset { offset_ns, since_ns, target_ns, slew_ppm }
    }

    fn at(self, steady_ns: i64) -> i64 {
        let passed_ns = i128::from(steady_ns.saturating_sub(self.since_ns).max(0));
        let most_ns = i64::try_from(passed_ns * i128::from(self.slew_ppm) / 1_000_000).unwrap_or(i64::MAX);
        let amiss_ns = self.target_ns.saturating_sub(self.offset_ns);
        self.offset_ns.saturating_add(amiss_ns.clamp(-most_ns, most_ns))
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const SECOND: i64 = 1_000 * MS;
    /// The frontend's time less the steady clock.
    const OFFSET: i64 = 1_000_000 * SECOND;

    /// An exchange that takes so long to the frontend and back, of clocks that are apart by this.
    fn exchange(asked_ns: i64, there_ns: i64, back_ns: i64, offset_ns: i64) -> ClockExchange {
        let received_ns = asked_ns + there_ns + offset_ns;
        ClockExchange { asked_ns, heard_ns: asked_ns + there_ns + back_ns, received_ns, sent_ns: received_ns }
    }

    /// A clock of a machine that is wrong by this, after one exchange without delay at 0.
    fn measured(wrong_ns: i64) -> FrontendClock {
        let mut clock = FrontendClock::new(0, OFFSET + wrong_ns);
        assert!(!clock.is_known());
        assert_eq!(clock.measure(exchange(0, MS, MS, OFFSET)), PlacingChange::Begun);
        clock
    }

    #[test]
    fn the_clock_of_the_machine_may_be_hours_wrong() {
        for wrong_ns in [-3_600 * SECOND, 0, 3_600 * SECOND] {
            let clock = measured(wrong_ns);
            assert_eq!(clock.now_ns(5 * SECOND), OFFSET + 5 * SECOND);
            assert_eq!(clock.uncertainty_ns(2 * MS), Some(MS));
        }
    }

    #[test]
    fn a_long_round_trip_says_nothing_that_a_short_one_has_said_better() {
        let mut clock = measured(0);
        for (there_ns, back_ns) in [(15 * SECOND, MS), (MS, 15 * SECOND), (400 * MS, 400 * MS)] {
            clock.measure(exchange(SECOND, there_ns, back_ns, OFFSET));
            let wrong_ns = clock.now_ns(20 * SECOND) - OFFSET - 20 * SECOND;
            assert!(wrong_ns.abs() <= 20 * MS, "{wrong_ns}");
        }
    }

    #[test]
    fn an_asymmetric_delay_is_within_the_uncertainty() {
        let mut clock = FrontendClock::new(0, 0);
        for second in 0..100 {
            clock.measure(exchange(second * SECOND, 100 * MS, 20 * MS, OFFSET));
            let steady_ns = second * SECOND + 120 * MS;
            let wrong_ns = (clock.now_ns(steady_ns) - OFFSET - steady_ns).abs();
            let uncertainty_ns = clock.uncertainty_ns(steady_ns).unwrap();
            assert!(wrong_ns <= uncertainty_ns && uncertainty_ns <= 61 * MS, "{wrong_ns} {uncertainty_ns}");
        }
    }

    #[test]
    fn drift_is_followed_without_a_step() {
        let (mut clock, mut last_ns) = (measured(0), 0);
        for ms in 10..600_000 {
            let steady_ns = ms * MS;
            // 200 millionths too slow.
            let offset_ns = OFFSET + steady_ns / 5_000;
            if ms % 16_000 == 0 {
                clock.measure(exchange(steady_ns - 2 * MS, MS, MS, offset_ns));
            }

            let now_ns = clock.now_ns(steady_ns);
            let step_ns = now_ns - last_ns;
            assert!(last_ns == 0 || (990_000..1_010_000).contains(&step_ns), "{step_ns} at {ms} ms");
            assert!((now_ns - steady_ns - offset_ns).abs() < 20 * MS, "at {ms} ms");
            last_ns = now_ns;
        }
    }

    #[test]
    fn a_frontend_that_falls_back_is_followed_slowly_and_time_never_falls() {
        let (mut clock, mut last_ns) = (measured(0), 0);
        let before_ns = clock.now_ns(10 * SECOND);
        clock.measure(exchange(10 * SECOND, MS, MS, OFFSET - 600 * SECOND));
        for second in 11..20_000 {
            let now_ns = clock.now_ns(second * SECOND);
            assert!(now_ns >= before_ns && now_ns - last_ns >= 900 * MS);
            last_ns = now_ns;
        }
        assert_eq!(last_ns, OFFSET - 600 * SECOND + 19_999 * SECOND, "in the end");
    }

    #[test]
    fn time_leaps_forward_after_a_sleep() {
        let mut clock = measured(0);
        clock.measure(exchange(10 * SECOND, MS, MS, OFFSET + 600 * SECOND));
        let wrong_ns = clock.now_ns(11 * SECOND) - OFFSET - 611 * SECOND;
        assert!(wrong_ns.abs() <= MS, "{wrong_ns}");
    }

    #[test]
    fn a_step_of_the_machines_clock_moves_nothing_but_is_asked_about() {
        let mut clock = measured(0);
        clock.restart_questions(0);
        let mut asked = Vec::new();
        for second in 1..100 {
            let wall_ns = OFFSET + second * SECOND - if second >= 60 { 600 * SECOND } else { 0 };
            if clock.asks(second * SECOND, wall_ns) {
                asked.push(second);
            }
        }
        assert_eq!(asked, [1, 2, 4, 8, 16, 32, 48, 60, 61, 63, 67, 75, 91]);
        assert_eq!(clock.now_ns(100 * SECOND), OFFSET + 100 * SECOND);
    }

    #[test]
    fn answers_that_cannot_be_true_are_ignored() {
        let mut clock = measured(0);
        for ns in [i64::MIN, -1, i64::MAX] {
            for at in 0..4 {
                let mut wrong = [SECOND, SECOND, OFFSET, OFFSET];
                wrong[at] = ns;
                let [asked_ns, heard_ns, received_ns, sent_ns] = wrong;
                clock.measure(ClockExchange { asked_ns, heard_ns, received_ns, sent_ns });
            }
        }
        clock.measure(exchange(SECOND, -MS, -MS, OFFSET));
        assert_eq!(clock.now_ns(2 * SECOND), OFFSET + 2 * SECOND);
    }

    #[test]
    fn without_answers_the_clock_of_the_machine_is_followed() {
        let mut clock = FrontendClock::new(0, OFFSET);
        assert_eq!(clock.follow_machine(SECOND, OFFSET + 9 * SECOND), PlacingChange::Begun);
        assert_eq!(clock.now_ns(2 * SECOND), OFFSET + 10 * SECOND);
        assert_eq!(clock.follow_machine(3 * SECOND, OFFSET + 3 * SECOND), PlacingChange::GoesOn);
        assert!(clock.now_ns(4 * SECOND) > OFFSET + 11 * SECOND, "it does not go back");
    }
}
