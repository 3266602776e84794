//! Holds the agent's executors to its reference interpreter: every event runs through each of them, and through a
//! mixture of them at the one tracepoint, in which each advice has an executor of its own.
//!
//! # Evaluation errors
//!
//! The language says that an evaluation without a value gives null and is counted. It does not say how often the same
//! expression is evaluated: a plan may evaluate it before rows are grouped or after. So plans may count differently,
//! as long as none is silent. Over the same rows, however, there is one right count, and all executors must have it, but
//! for two shapes in which the rows are not the same. A temporal bag may refuse a tuple before its columns are
//! evaluated. And rows whose keys are equal, but encoded differently (a signed and an unsigned 3), are several where a
//! bag is read as it lies, and one where it is merged.

use crate::random::Random;
use pivot_advice::{AggregateState, BagKey, Groups, LossCounts, TemporalFilter, Value};
use pivot_agent::run::chosen_executors::ChosenExecutors;
use pivot_agent::weave::name_linker::LinkedAdvice;
use pivot_agent::{ExecutorKind, QueryReport, QueryReports};
use pivot_baggage::{BagRows, Baggage, MAX_BYTES};

/// How often each event runs: the first time makes its groups, the second time finds them.
const TIMES: usize = 2;

const KINDS: [ExecutorKind; 3] = [ExecutorKind::Fused, ExecutorKind::Compiled, ExecutorKind::Interpreted];

/// One advice at the event's tracepoint, with what it observes there.
pub(crate) struct ObservingAdvice<'a> {
    pub linked: &'a LinkedAdvice,
    pub observed: Vec<Value>,
}

/// What a choice of executors did.
struct ExecutorOutcome {
    reports: QueryReports,
    /// The request's baggage after the event, where advice packs.
    baggage: Option<Baggage>,
}

/// Where the executors under comparison get the request's baggage from.
enum BaggageSource<'a> {
    /// There is no request.
    None,
    /// The baggage itself, lent again and again: no advice here packs. Its bags are decoded once.
    Itself(&'a mut Baggage),
    /// Copies of the encoded baggage: each run packs into its own, and reads bags as they lie.
    Copies(Vec<u8>),
}

/// Runs an event through all executors. Fails with what differs.
pub(crate) fn check(
    advice: &[ObservingAdvice<'_>],
    baggage: Option<&mut Baggage>,
    seed: usize,
) -> Result<(), String> {
    if advice.is_empty() {
        return Ok(());
    }
    let mut random = Random::new(seed as u64);
    let mut source = match baggage {
        None => BaggageSource::None,
        Some(baggage) if advice.iter().any(|advice| packs(advice.linked).is_some()) || random.percent(50) => {
            BaggageSource::Copies(baggage.encode_detached(usize::MAX))
        }
        Some(baggage) => BaggageSource::Itself(baggage),
    };
    // What is larger than may travel cannot be copied that way.
    if matches!(&source, BaggageSource::Copies(bytes) if bytes.len() > MAX_BYTES) {
        return Ok(());
    }

    let errors = ErrorCounts::of(advice, &source)?;
    let mixture = (0..advice.len()).map(|_| *random.pick(&KINDS)).collect();
    let [interpreted, fused, compiled] =
        [ExecutorKind::Interpreted, ExecutorKind::Fused, ExecutorKind::Compiled]
            .map(|kind| vec![kind; advice.len()]);

    let expected = run(advice, &mut source, &interpreted)?;
    for kinds in [fused, compiled, mixture] {
        let outcome = run(advice, &mut source, &kinds)?;
        compare(advice, &outcome, &expected, errors)
            .map_err(|difference| format!("executors {kinds:?}: {difference}"))?;
    }
    Ok(())
}

fn run(
    advice: &[ObservingAdvice<'_>],
    source: &mut BaggageSource<'_>,
    kinds: &[ExecutorKind],
) -> Result<ExecutorOutcome, String> {
    let chosen = advice.iter().zip(kinds).map(|(advice, kind)| (advice.linked.clone(), *kind)).collect();
    let observed: Vec<Vec<Value>> = advice.iter().map(|advice| advice.observed.clone()).collect();

    let mut executors = ChosenExecutors::new(chosen);
    let mut after = None;
    for _ in 0..TIMES {
        match source {
            BaggageSource::None => drop(executors.run(&observed, None)),
            BaggageSource::Itself(baggage) => {
                let lent = std::mem::take(&mut **baggage);
                **baggage = executors.run(&observed, Some(lent)).ok_or("the baggage is gone")?;
            }
            BaggageSource::Copies(bytes) => {
                let copy =
                    Baggage::decode(bytes).map_err(|error| format!("a copy does not decode: {error}"))?;
                after = executors.run(&observed, Some(copy));
            }
        }
    }
    Ok(ExecutorOutcome { reports: executors.into_reports(), baggage: after })
}

fn compare(
    advice: &[ObservingAdvice<'_>],
    mine: &ExecutorOutcome,
    expected: &ExecutorOutcome,
    errors: ErrorCounts,
) -> Result<(), String> {
    let packs: Vec<(BagKey, TemporalFilter)> =
        advice.iter().filter_map(|advice| packs(advice.linked)).collect();
    let same =
        mine.reports.len() == expected.reports.len()
            && mine.reports.iter().zip(&expected.reports).all(|((query, mine), (other, expected))| {
                query == other && same_report(mine, expected, errors)
            });
    if !same {
        return Err(format!("{:?} instead of {:?}", mine.reports, expected.reports));
    }

    let (Some(mine), Some(expected)) = (&mine.baggage, &expected.baggage) else { return Ok(()) };
    for (bag, keep) in packs {
        let (mine_rows, expected_rows) = (mine.unpack(bag), expected.unpack(bag));
        let same = same_groups(mine_rows.as_deref(), expected_rows.as_deref())
            && mine.is_incomplete(bag) == expected.is_incomplete(bag)
            && mine.accepts(bag, keep) == expected.accepts(bag, keep);
        if !same {
            return Err(format!("bag {bag:?} has {mine_rows:?} instead of {expected_rows:?}"));
        }
    }
    Ok(())
}

fn packs(linked: &LinkedAdvice) -> Option<(BagKey, TemporalFilter)> {
    match linked.advice.instructions.last() {
        Some(pivot_advice::Instruction::Pack { bag, keep, .. }) => Some((*bag, *keep)),
        _ => None,
    }
}

/// Why executors may count evaluation errors differently; see the [module](self).
#[derive(Debug, Clone, Copy)]
struct ErrorCounts {
    /// Whether a tuple is packed into a temporal bag: if that does not take it, it need not be made.
    is_temporal: bool,
    /// Whether a bag that is unpacked has rows whose keys are equal, but encoded differently.
    repeats_keys: bool,
}

impl ErrorCounts {
    fn of(advice: &[ObservingAdvice<'_>], source: &BaggageSource<'_>) -> Result<ErrorCounts, String> {
        let mut packed = advice.iter().filter_map(|advice| packs(advice.linked));
        let is_temporal = packed.any(|(_, keep)| keep != TemporalFilter::All);

        // Baggage that is lent is decoded by the interpreter, which runs first.
        let mut repeats_keys = false;
        if let BaggageSource::Copies(bytes) = source {
            let copy = Baggage::decode(bytes).map_err(|error| format!("a copy does not decode: {error}"))?;
            let mut unpacked = advice.iter().flat_map(|advice| advice.linked.advice.unpacks());
            repeats_keys = unpacked.any(|bag| has_equal_keys(&copy, bag));
        }

        Ok(ErrorCounts { is_temporal, repeats_keys })
    }

    fn agree(self, mine: u64, expected: u64) -> bool {
        let fewer = self.is_temporal && mine < expected;
        let several = self.repeats_keys && (mine > 0) == (expected > 0);
        mine == expected || fewer || several
    }
}

/// Returns whether rows of a bag have equal keys.
fn has_equal_keys(baggage: &Baggage, bag: BagKey) -> bool {
    let Some(BagRows::Encoded(rows)) = baggage.unpack_complete(bag) else { return false };
    let mut count = 0;
    rows.each(&mut count, |_, _, _| {}, |count, _, _| *count += 1);
    baggage.unpack(bag).is_some_and(|groups| groups.len() < count)
}

fn same_report(mine: &QueryReport, expected: &QueryReport, error_counts: ErrorCounts) -> bool {
    let errors = expected.loss.errors;

    error_counts.agree(mine.loss.errors, errors)
        && LossCounts { errors, ..mine.loss } == expected.loss
        && (mine.emitted, mine.cost.events) == (expected.emitted, expected.cost.events)
        && same_groups(mine.groups.as_ref(), expected.groups.as_ref())
        && same_groups(mine.other.as_ref(), expected.other.as_ref())
}

fn same_groups(mine: Option<&Groups>, expected: Option<&Groups>) -> bool {
    let (Some(mine), Some(expected)) = (mine, expected) else { return mine.is_none() == expected.is_none() };

    mine.same_shape(expected)
        && mine.len() == expected.len()
        && mine.iter().all(|group| {
            expected.get(&group.key).is_some_and(|other| {
                let mut states = group.states.iter().zip(&other.states);
                group.n == other.n && states.all(|(mine, expected)| same_state(mine, expected))
            })
        })
}

/// Returns whether two states are equal, but for the rounding of doubles, which depends on the order in which they were
/// added up. A state that has met NaN does not equal itself, but reads the same. ANY may take any value, and advice that
/// runs in different executors emits in different orders; that it took one of the event's is checked with the rows.
fn same_state(mine: &AggregateState, expected: &AggregateState) -> bool {
    if mine == expected {
        return true;
    }
    if let (AggregateState::Any(mine), AggregateState::Any(expected)) = (mine, expected) {
        return (*mine == Value::Null) == (*expected == Value::Null);
    }

    let (mine, expected) = (format!("{mine:?}"), format!("{expected:?}"));
    let (mine, expected) = (words(&mine), words(&expected));
    mine.len() == expected.len() && mine.iter().zip(&expected).all(|(x, y)| x == y || nearly_equal(x, y))
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| " ,:()[]{}".contains(c)).collect()
}

fn nearly_equal(x: &str, y: &str) -> bool {
    let double = |word: &str| word.contains(['.', 'e']).then(|| word.parse::<f64>().ok()).flatten();
    double(x).zip(double(y)).is_some_and(|(x, y)| (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_doubles_may_be_rounded_otherwise() {
        assert!(nearly_equal("0.75", "0.7500000000000001"));
        assert!(!nearly_equal("6", "7"));
        assert!(!nearly_equal("0.75", "0.7501"));
        assert!(!nearly_equal("1e300", "1.1e300"));
    }
}
