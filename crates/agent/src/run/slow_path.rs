//! Runs advice that is not fused, and fused advice where its kernel cannot run.
//!
//! Sampling is decided in [`run_sampled`]. Events of a query that keeps all requests mostly need no decision. If the
//! advice uses the baggage, then the compiled steps, or a fused kernel with a join, first read the rate that others
//! have left there: unless that keeps all requests too, the event is left to `run_sampled`.

use crate::report::thread_table::{DeferredPack, DeferredPacks, QueryTable, ThreadTable};
use crate::run::cells::{Cell, Cells, FieldReader};
use crate::run::interpreter::{self, AdviceEffect};
use crate::run::ir::CompiledAdvice;
use crate::run::outside_request;
use crate::run::sample::{self, SampleDecision};
use crate::site::default_field::default_cell;
use crate::weave::name_linker::FieldSource;
use crate::weave::woven::{Executor, WovenAdvice};
use pivot_advice::{BagKey, EvalErrors, Groups, JoinSide, LossCounts, TemporalFilter, Value};
use pivot_baggage::Baggage;

/// One event as one advice sees it.
///
/// The hot path passes its parts separately: a struct in memory would cost it a load for each use.
struct AdviceEvent<'a> {
    advice: &'a WovenAdvice,
    fields: FieldReader<'a>,
    /// Space for the columns.
    cells: &'a mut Cells,
    /// The query's table of this thread.
    query_table: &'a mut QueryTable,
    /// Where packs wait for the end of the event, if they have to.
    deferred: Option<&'a mut DeferredPacks>,
}

/// Whether it has been decided if the event's request is in the sample.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SamplingProgress {
    /// Not yet. The query keeps all requests here, but the baggage may say that fewer were kept before.
    Undecided,
    /// It is, and the event counts once.
    Decided,
}

/// How the second half of compiled advice ended.
enum FinishOutcome {
    Done,
    /// There is no request to pack or to unpack in.
    OutsideRequest(JoinSide),
    /// Nothing was recorded: not all requests are kept, so it has to be decided whether this one is in the sample.
    NeedsSampleDecision,
}

/// Runs advice that is not fused, and fused advice while its kernel cannot run: by compiled steps if it has them and
/// all requests are kept, otherwise by [`run_sampled`].
#[inline(never)]
pub(crate) fn run_unfused(advice: &WovenAdvice, fields: FieldReader<'_>, table: &mut ThreadTable) {
    let mut event = AdviceEvent::new(advice, fields, table);
    event.query_table.report.cost.events = event.query_table.report.cost.events.wrapping_add(1);

    if advice.gate.keeps_all()
        && let Some(compiled) = advice.executor.compiled()
        && event.run_compiled(compiled, SamplingProgress::Undecided)
    {
        return;
    }
    run_sampled(advice, fields, table);
}

/// Runs fused advice of a query that is new to this thread, or that does not keep all requests. After it the kernel
/// finds the query's table prepared.
#[cold]
#[inline(never)]
pub(crate) fn run_unprepared(advice: &WovenAdvice, fields: FieldReader<'_>, table: &mut ThreadTable) {
    if let Executor::Fused(fused, _) = &advice.executor {
        table.query_table(advice.table_index, advice.query).groups.accepts(&fused.schema);
    }
    run_unfused(advice, fields, table);
}

/// Goes on with an event whose join a fused kernel has refused: it has no request, or not all requests are kept.
#[cold]
#[inline(never)]
pub(crate) fn run_refused(advice: &WovenAdvice, fields: FieldReader<'_>, table: &mut ThreadTable) {
    if pivot_baggage::in_request() {
        return run_sampled(advice, fields, table);
    }
    let report = &mut table.query_table(advice.table_index, advice.query).report;
    outside_request::note(JoinSide::Unpacks, advice.tracepoint, report);
}

/// Runs advice over an event if its request is in the sample.
#[inline(never)]
pub(crate) fn run_sampled(advice: &WovenAdvice, fields: FieldReader<'_>, table: &mut ThreadTable) {
    let mut event = AdviceEvent::new(advice, fields, table);

    // Quarantined. Events come here with a weight of 0 until the governor unweaves the query, about a second later.
    let weight = advice.gate.weight();
    if weight == 0 {
        return;
    }

    let Some(decision) = sample::decide(weight, advice.needs_baggage) else {
        let loss = &mut event.query_table.report.loss;
        loss.throttled = loss.throttled.saturating_add(1);
        return;
    };
    match advice.executor.compiled() {
        Some(compiled) if decision.is_unsampled() && !(advice.needs_baggage && is_after_answer()) => {
            event.run_compiled(compiled, SamplingProgress::Decided);
        }
        // What stands for several requests is weighed, and what comes after the answer is counted, which only the
        // interpreter does.
        _ => event.interpret(decision),
    }
}

/// Whether the request that runs here has been answered.
fn is_after_answer() -> bool {
    pivot_baggage::with_current(|baggage| baggage.is_some_and(|baggage| baggage.is_answered()))
}

/// Packs what waited until all advice of an event had run, in the order in which it ran.
#[cold]
#[inline(never)]
pub(crate) fn apply_deferred_packs(table: &mut ThreadTable) {
    let deferred = std::mem::take(&mut table.deferred);
    if deferred.is_empty() {
        return;
    }

    pivot_baggage::with_current(|baggage| {
        let Some(baggage) = baggage else { return };
        for DeferredPack { bag, keep, tuples } in deferred {
            baggage.pack(bag, keep, tuples);
        }
    });
}

impl<'a> AdviceEvent<'a> {
    #[inline(always)]
    fn new(advice: &'a WovenAdvice, fields: FieldReader<'a>, table: &'a mut ThreadTable) -> AdviceEvent<'a> {
        let (query_table, cells, deferred) = table.parts(advice.table_index, advice.query);
        AdviceEvent { advice, fields, cells, query_table, deferred: advice.defers_packs.then_some(deferred) }
    }

    /// Runs compiled advice. Returns false, with nothing recorded, if sampling is undecided and the request turns out
    /// to need a decision. The event must then run again, which evaluates its fields a second time.
    #[inline(always)]
    fn run_compiled(&mut self, compiled: &CompiledAdvice, sampling: SamplingProgress) -> bool {
        let mut errors = EvalErrors::default();

        // The fields come first: their expressions are user code, which may use the baggage.
        let tracepoint = self.advice.tracepoint.name;
        if compiled.observe(tracepoint, self.fields, self.cells, &mut errors) {
            if self.advice.needs_baggage {
                match self.finish_in_request(compiled, sampling, &mut errors) {
                    FinishOutcome::Done => {}
                    FinishOutcome::OutsideRequest(side) => {
                        outside_request::note(side, self.advice.tracepoint, &mut self.query_table.report);
                    }
                    FinishOutcome::NeedsSampleDecision => return false,
                }
            } else {
                compiled.emit(1, &[], self.cells, self.query_table, &mut errors);
            }
        }

        self.query_table.report.count_errors(errors.0);
        true
    }

    /// Finishes an event of compiled advice that uses the baggage.
    #[inline(always)]
    fn finish_in_request(
        &mut self,
        compiled: &CompiledAdvice,
        sampling: SamplingProgress,
        errors: &mut EvalErrors,
    ) -> FinishOutcome {
        // Moved into the closure, so that the event itself need not be in memory.
        let (cells, query_table, deferred) =
            (&mut *self.cells, &mut *self.query_table, self.deferred.as_deref_mut());

        pivot_baggage::with_current(move |baggage| match baggage {
            Some(baggage) if sampling == SamplingProgress::Undecided && !sample::is_ordinary(baggage) => {
                FinishOutcome::NeedsSampleDecision
            }
            baggage => match compiled.finish(baggage, cells, query_table, deferred, errors) {
                None => FinishOutcome::Done,
                Some(side) => FinishOutcome::OutsideRequest(side),
            },
        })
    }

    /// Runs any advice, by the reference interpreter.
    #[cold]
    #[inline(never)]
    fn interpret(mut self, decision: SampleDecision) {
        let observed = self.observe();
        let needs_baggage = self.advice.needs_baggage;

        if needs_baggage {
            pivot_baggage::with_current(|baggage| self.interpret_over(observed, baggage, decision));
        } else {
            self.interpret_over(observed, None, decision);
        }
    }

    /// Evaluates what the advice observes.
    fn observe(&mut self) -> Vec<Value> {
        let mut observed = Vec::with_capacity(self.advice.linked.sources.len());
        for source in &self.advice.linked.sources {
            // The value of the field before this one was copied out of the cells, so its text need not be kept there.
            self.cells.begin(0);
            let cell = match source {
                FieldSource::Exported(index) => (self.fields)(*index, self.cells),
                FieldSource::Default(field) => default_cell(*field, self.advice.tracepoint.name, self.cells),
                FieldSource::Missing => Cell::NULL,
            };
            observed.push(self.cells.value(cell));
        }

        observed
    }

    /// Interprets the advice over an event whose fields were evaluated, and emits or packs what comes of it.
    fn interpret_over(
        &mut self,
        observed: Vec<Value>,
        baggage: Option<&mut Baggage>,
        decision: SampleDecision,
    ) {
        let advice = self.advice;
        let report = &mut self.query_table.report;
        let mut loss = LossCounts::default();
        let effect = interpreter::interpret(
            &advice.linked,
            observed,
            baggage.as_deref(),
            advice.gate.since(),
            &mut loss,
        );

        // Counted together with the place.
        if std::mem::take(&mut loss.without_request) > 0 {
            outside_request::note(JoinSide::Unpacks, advice.tracepoint, report);
        }
        report.loss.merge(&loss);

        match (effect, baggage) {
            (None, _) => {}
            (Some(AdviceEffect::Emit(emission)), baggage) => {
                report.limit_groups(advice.gate.max_groups());
                report.add(&emission, decision);
                if advice.needs_baggage && baggage.is_some_and(|baggage| baggage.is_answered()) {
                    report.loss.after_answer = report.loss.after_answer.saturating_add(emission.rows());
                }
            }
            (Some(AdviceEffect::Pack(..) | AdviceEffect::Lose(..)), None) => {
                outside_request::note(JoinSide::Packs, advice.tracepoint, report);
            }
            // Without a request no bag was unpacked, so none was incomplete.
            (Some(AdviceEffect::PackIncomplete(..)), None) => {}
            (Some(AdviceEffect::Lose(bag, keep)), Some(baggage)) => baggage.mark_lost(bag, keep),
            (Some(AdviceEffect::PackIncomplete(bag, rows)), Some(baggage)) => {
                baggage.mark_incomplete(bag, &rows);
                if !rows.is_empty() {
                    self.pack(baggage, bag, TemporalFilter::All, vec![rows]);
                }
            }
            (Some(AdviceEffect::Pack(bag, keep, tuples)), Some(baggage)) => {
                self.pack(baggage, bag, keep, tuples);
            }
        }
    }

    /// Packs tuples, or leaves them for the end of the event if they have to wait.
    fn pack(&mut self, baggage: &mut Baggage, bag: BagKey, keep: TemporalFilter, tuples: Vec<Groups>) {
        let cost = &mut self.query_table.report.cost;
        tuples.iter().for_each(|groups| cost.count_packed(groups));
        match &mut self.deferred {
            Some(deferred) => deferred.push(DeferredPack { bag, keep, tuples }),
            None => drop(baggage.pack(bag, keep, tuples)),
        }
    }
}
