//! One case: a catalogue, a query and a run; and whether all ways to compile it agree with the evaluator.

use crate::oracle::compare::{differences, in_order};
use crate::oracle::generate::{queries, scenarios};
use crate::oracle::language::query::{JoinKind, Query, QueryExpr, RowClause, Source};
use crate::oracle::reference::evaluator::{EvaluationWindow, Evaluator, ReferenceAnswer};
use crate::oracle::reference::values::text;
use crate::oracle::run::event_dag::{Event, EventDag, RunStep, TracepointSpec};
use crate::oracle::run::in_band::{DecidedConstants, InBandResult, SECONDS, query_id, ran};
use crate::oracle::run::run_script::RunScript;
use crate::random::Random;
use pivot_advice::stable_hash;
use pivot_advice::{Advice, Exports, FieldDescriptor, Value};
use pivot_query::{Catalog, CompileOptions, QueryProgram, compile_with};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A case prints as the upper part of a golden file.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The tracepoints of the catalogue.
    pub tracepoints: Vec<TracepointSpec>,
    /// The query.
    pub query: Query,
    /// The events, in order.
    pub steps: Vec<RunStep>,
    /// Sets of rules of the optimiser to compile with, besides all and none.
    pub rules: Vec<usize>,
    /// How many bytes of baggage a message carries.
    pub budget_bytes: usize,
}

/// The outcome of a case.
#[derive(Debug, Clone, PartialEq)]
pub enum CaseOutcome {
    /// All plans give the rows that are due.
    Agree(Agreement),
    /// There are more rows than are enumerated, or than an agent makes.
    TooLarge,
    /// A plan gives other rows, is refused, or panics.
    Wrong(Disagreement),
}

/// Particulars of an agreement, by which is seen that cases are not all trivial.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Agreement {
    /// How many rows there are.
    pub rows: usize,
    /// The rules that have fired.
    pub fired: Vec<&'static str>,
    /// Whether baggage was cut or a reply lost it, and the result said so.
    pub partial: bool,
    /// Whether the result said of rows that they may be there only because something is missing.
    pub uncertain: bool,
    /// Whether something had no value.
    pub errors: bool,
    /// What constants decided, in any plan.
    pub constants: DecidedConstants,
}

/// A disagreement. While a case shrinks its kind stays the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Disagreement {
    /// The kind of difference.
    pub kind: String,
    /// The difference in words.
    pub detail: String,
}

impl Case {
    /// Makes the case of a seed.
    pub fn random(seed: u64) -> Case {
        let mut random = Random::new(seed);
        let tracepoints = scenarios::tracepoints(&mut random);
        let query = queries::query(&mut random, &tracepoints);
        let asked_for = query.to_string();
        let steps = scenarios::steps(&mut random, &tracepoints, &asked_for);
        let rules = (0..2).map(|_| random.below(1 << CompileOptions::rules().count())).collect();
        let budget_bytes = if random.percent(12) { 60 + random.below(200) } else { usize::MAX };
        Case { tracepoints, query, steps, rules, budget_bytes }
    }

    /// Returns the case with baggage of any length, and with replies that bring theirs back.
    pub fn without_losses(mut self) -> Case {
        self.budget_bytes = usize::MAX;
        for step in &mut self.steps {
            if let RunStep::Bare(to, from) | RunStep::Lost(to, from) = step {
                *step = RunStep::Join(*to, *from);
            }
        }
        self
    }

    /// Returns whether the steps are a run at all.
    pub fn is_run(&self) -> bool {
        EventDag::record(&self.steps).is_some()
    }

    /// Compares the runs of all plans with the evaluator. A panic is wrong, too.
    pub fn check(&self) -> CaseOutcome {
        checked(|| self.compare())
    }

    fn compare(&self) -> Result<CaseOutcome, Disagreement> {
        let dag =
            EventDag::record(&self.steps).ok_or_else(|| Disagreement::new("not a run", String::new()))?;
        let dag = dag.seen(|id, event| self.is_in_sample(id, event));
        let (text, query, catalog) = (self.query.to_string(), self.query.written_out(&[]), self.catalog());
        // Without temporal sources the stamps of a run do not matter.
        let mut temporal = false;
        query.each_source(&mut |source| temporal |= matches!(source, Source::Temporal { .. }));
        let mut known: Option<Option<ReferenceAnswer>> = None;
        let mut seen: Vec<Vec<Advice>> = Vec::new();
        let mut agreement = Agreement::default();
        let params = params(&self.query);

        for (name, options) in self.plans() {
            let options =
                params.iter().fold(options, |options, (name, value)| options.param(name, value.clone()));
            let program = compile_with(&text, &catalog, &options);
            let program = program.map_err(|wrong| Disagreement::refused(&wrong.to_string()))?;
            let advice = program.advice(query_id());
            if seen.contains(&advice) {
                continue;
            }
            let ran = self.run(&program, &advice, &query, &dag);
            let ran = ran.map_err(|wrong| Disagreement::new("run", format!("{wrong}\nplan {name}")))?;
            if ran.too_large {
                return Ok(CaseOutcome::TooLarge);
            }
            if temporal || known.is_none() {
                let window = EvaluationWindow { seconds: SECONDS, fraction: None, events: None };
                known = Some(Evaluator::new(&query, &dag, &ran.stamps, window).answer(&query));
            }
            let Some(Some(due)) = &known else { return Ok(CaseOutcome::TooLarge) };
            let agrees = agrees(&query, due, &ran);
            agrees.map_err(|(kind, detail)| {
                Disagreement::new(kind, format!("plan {name}\n{detail}\n{}", shown(&advice)))
            })?;
            agreement.rows = due.rows.len();
            agreement.partial |= ran.partial;
            agreement.uncertain |= ran.uncertain > 0;
            agreement.errors |= due.errors > 0;
            agreement.constants.ruled_out |= ran.constants.ruled_out;
            agreement.constants.reduced |= ran.constants.reduced;
            agreement.fired.extend(program.fired());
            seen.push(advice);
        }

        Ok(CaseOutcome::Agree(agreement))
    }

    fn run(
        &self,
        program: &QueryProgram,
        advice: &[Advice],
        query: &Query,
        dag: &EventDag<'_>,
    ) -> Result<InBandResult, String> {
        ran(program, advice, query, &self.script(), dag)
    }

    /// Returns what happens, without the query.
    pub fn script(&self) -> RunScript<'_> {
        RunScript { tracepoints: &self.tracepoints, steps: &self.steps, budget_bytes: self.budget_bytes }
    }

    /// Returns whether the request of an event is in the sample. The hash is taken from the crate under test: it is a
    /// fact of the protocol, not of the language.
    pub fn is_in_sample(&self, _: usize, event: &Event) -> bool {
        let Some(fraction) = self.query.sample else { return true };
        let id = match (event.value("request"), event.value("time")) {
            (Value::Null, Value::Null) => Value::Null,
            (Value::Null, time) => Value::str(text(&time)),
            (request, _) => request,
        };
        stable_hash(&[id, Value::U64(0)]) < (fraction * u64::MAX as f64) as u64
    }

    /// Returns the exports of all tracepoints.
    pub fn exports(&self) -> impl Iterator<Item = Exports> {
        self.tracepoints.iter().map(|tracepoint| {
            let fields =
                tracepoint.fields.iter().map(|(name, ty)| FieldDescriptor { name: name.clone(), ty: *ty });
            Exports {
                tracepoint: tracepoint.name.clone(),
                fields: fields.collect(),
                file: "here.rs".into(),
                line: 1,
                module: "here".into(),
            }
        })
    }

    fn catalog(&self) -> Catalog {
        let mut catalog = Catalog::default();
        self.exports().for_each(|exports| catalog.add(&exports));
        catalog
    }

    /// Returns ways to compile the query: with all rules, with none, and with some.
    fn plans(&self) -> Vec<(String, CompileOptions)> {
        let some = self.rules.iter().map(|set| {
            let chosen = CompileOptions::rules().enumerate().filter(|(i, _)| set >> i & 1 == 1);
            let chosen: Vec<&str> = chosen.map(|(_, rule)| rule).collect();
            let options = chosen.iter().fold(CompileOptions::naive(), |options, rule| options.with(rule));
            (format!("with {}", chosen.join(" and ")), options)
        });
        let both = [("optimised", CompileOptions::default()), ("naive", CompileOptions::naive())];
        both.into_iter().map(|(name, options)| (name.to_owned(), options)).chain(some).collect()
    }
}

/// Runs a comparison; a panic in it is wrong, too.
pub(crate) fn checked(compare: impl FnOnce() -> Result<CaseOutcome, Disagreement>) -> CaseOutcome {
    let outcome = catch_unwind(AssertUnwindSafe(compare)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Disagreement { kind: "panic".into(), detail: text.unwrap_or_default() })
    });
    outcome.unwrap_or_else(CaseOutcome::Wrong)
}

/// Checks that a run gave what is due; if not, returns the kind of difference and the rows that differ.
fn agrees(query: &Query, due: &ReferenceAnswer, ran: &InBandResult) -> Result<(), (&'static str, String)> {
    let (missing, surplus) = differences(&due.rows, &ran.rows);
    let rows = format!("missing {missing:?}\nsurplus {surplus:?}");

    if ran.partial {
        // Rows may be missing; what is there of a query that only joins is right, unless an outer join kept it, or
        // First or MostRecent chose it, and said that it may be wrong.
        let may_be_uncertain = ran.uncertain > 0 && (!is_only_joins(query) || has_choice(query));
        let is_wrong = !surplus.is_empty() && is_only_rows(query) && !may_be_uncertain;
        return if is_wrong { Err(("surplus", rows)) } else { Ok(()) };
    }

    if !missing.is_empty() || !surplus.is_empty() {
        return Err(("rows", rows));
    }

    if !query.order.is_empty() && !in_order(&due.rows, &ran.rows) {
        return Err(("order", String::new()));
    }

    // Elsewhere rules may evaluate less or more.
    let alone = query.joins.is_empty() && query.from.iter().all(|from| matches!(from, Source::Tracepoint(_)));
    let filtered = query.steps.iter().any(|step| matches!(step, RowClause::Where(_)));
    let alone = alone && !filtered && query.having.is_none() && query.limit.is_none();
    let silent = due.errors > 0 && ran.errors == 0;
    let invented = alone && due.all_errors == 0 && ran.errors > 0;

    if silent || invented {
        return Err(("errors", format!("{} or {} are due, not {}", due.errors, due.all_errors, ran.errors)));
    }

    Ok(())
}

/// Whether rows of a query can only be missing where baggage is cut.
fn is_only_joins(query: &Query) -> bool {
    is_only_rows(query)
        && queries_in(query).iter().all(|query| query.joins.iter().all(|join| join.kind == JoinKind::Inner))
}

/// Whether the rows of a query are those of its joins, one by one.
fn is_only_rows(query: &Query) -> bool {
    queries_in(query).iter().all(|query| !query.aggregates() && !query.distinct && query.limit.is_none())
}

/// Whether a query chooses tuples by their order.
pub(crate) fn has_choice(query: &Query) -> bool {
    let mut has_choice = false;
    query.each_source(&mut |source| has_choice |= matches!(source, Source::Temporal { .. }));
    has_choice
}

/// Returns a query and those that it uses as sources.
fn queries_in(query: &Query) -> Vec<&Query> {
    fn inside(source: &Source) -> Option<&Query> {
        match source {
            Source::Query(query) => Some(query),
            Source::Temporal { source, .. } | Source::Unnest(source, _) => inside(source),
            Source::Tracepoint(_) | Source::Pattern(_) | Source::Named(_) => None,
        }
    }

    let sources = query.from.iter().chain(query.joins.iter().flat_map(|join| &join.sources));
    let inside = sources.filter_map(inside).flat_map(queries_in);
    [query].into_iter().chain(inside).collect()
}

/// Returns the parameters of a query and what they stand for.
pub fn params(query: &Query) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    query.each_expression(&mut |expr| {
        if let QueryExpr::Param(name, value) = expr {
            found.push((name.clone(), value.clone()));
        }
    });
    found
}

fn shown(advice: &[Advice]) -> String {
    advice.iter().rev().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Disagreement {
    /// Describes a difference; of a run that failed the kind is what its message begins with.
    pub fn new(kind: &str, detail: String) -> Disagreement {
        let kind = match kind {
            // What happened is told by the words, not by the names in them.
            "run" => {
                detail.lines().next().unwrap_or_default().split(':').next().unwrap_or_default().to_owned()
            }
            kind => kind.to_owned(),
        };
        Disagreement { kind, detail }
    }

    /// The compiler refused the query.
    pub fn refused(diagnostics: &str) -> Disagreement {
        let first = diagnostics.lines().next().unwrap_or_default();
        let words = first.split('`').step_by(2).collect::<Vec<_>>().join("..");
        Disagreement { kind: format!("refused: {words}"), detail: diagnostics.to_owned() }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tracepoints\n")?;
        for TracepointSpec { name, fields } in &self.tracepoints {
            let fields: Vec<String> = fields.iter().map(|(field, ty)| format!(" {field}:{ty}")).collect();
            writeln!(f, "{name}{}", fields.concat())?;
        }

        write!(f, "\nquery\n{}\n", self.query)?;
        for (name, value) in params(&self.query) {
            writeln!(f, "-- ${name} = {value:?}")?;
        }

        if self.budget_bytes < usize::MAX {
            writeln!(f, "-- a message carries {} bytes", self.budget_bytes)?;
        }

        f.write_str("\nrun\n")?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
