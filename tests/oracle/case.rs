//! One case: a catalogue, a query and a run; and whether all ways to compile it agree with the evaluator.

use crate::compare::{differences, in_order};
use crate::dag::{Dag, Step, Tracepoint};
use crate::evaluate::{Answer, Evaluator, joins_of};
use crate::features::Features;
use crate::in_band::{Ran, query_id, ran};
use crate::query::{Query, Source};
use crate::random::Random;
use crate::{generate, scenario};
use pivot_advice::{Advice, Exports, Field};
use pivot_query::{Catalog, Options, Program, compile_with};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A case prints as the upper part of a golden file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    pub(crate) tracepoints: Vec<Tracepoint>,
    pub(crate) query: Query,
    pub(crate) steps: Vec<Step>,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// All agree; how many rows there are.
    Agree(usize),
    /// There are more rows than are enumerated, or than an agent makes.
    TooLarge,
    Wrong(Wrong),
}

/// A disagreement. While a case shrinks its kind stays the same.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wrong {
    pub(crate) kind: String,
    pub(crate) detail: String,
}

impl Case {
    /// The case of a seed.
    pub(crate) fn random(seed: u64, features: Features) -> Case {
        let mut random = Random::new(seed);
        let tracepoints = scenario::tracepoints(&mut random);
        let query = generate::query(&mut random, &tracepoints, features);
        let asked_for = query.to_string();
        let steps = scenario::steps(&mut random, &tracepoints, &asked_for);
        Case { tracepoints, query, steps }
    }

    /// Whether the steps are a run at all.
    pub(crate) fn is_run(&self) -> bool {
        Dag::record(&self.steps).is_some()
    }

    /// Compares the runs of all plans with the evaluator. A panic is wrong, too.
    pub(crate) fn check(&self) -> Outcome {
        let checked = catch_unwind(AssertUnwindSafe(|| self.compare()));
        let outcome = checked.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Wrong { kind: "panic".into(), detail: text.unwrap_or_default() })
        });
        outcome.unwrap_or_else(Outcome::Wrong)
    }

    fn compare(&self) -> Result<Outcome, Wrong> {
        let dag = Dag::record(&self.steps).ok_or_else(|| Wrong::new("not a run", String::new()))?;
        let text = self.query.to_string();
        let query = self.query.written_out(&[]);
        let catalog = self.catalog();
        // Without temporal sources the stamps of a run do not matter.
        let temporal = joins_of(&query).iter().any(|join| matches!(join.source, Source::Temporal { .. }));
        let mut known: Option<Answer> = None;
        let mut seen: Vec<Vec<Advice>> = Vec::new();
        let mut rows = 0;
        for (name, options) in plans() {
            let program = compile_with(&text, &catalog, &options)
                .map_err(|wrong| Wrong::refused(&wrong.to_string()))?;
            let advice = program.advice(query_id());
            if seen.contains(&advice) {
                continue;
            }
            let ran = self.run(&program, &advice, &query, &dag);
            let ran = ran.map_err(|wrong| Wrong::new("run", format!("{wrong}\nplan {name}")))?;
            if ran.cut {
                return Ok(Outcome::TooLarge);
            }
            if temporal || known.is_none() {
                known = Some(Evaluator::new(&query, &dag, &ran.stamps).answer(&query));
            }
            let Some(Some(due)) = &known else { return Ok(Outcome::TooLarge) };
            let (missing, surplus) = differences(due, &ran.rows);
            let ordered = query.order.is_empty() || in_order(due, &ran.rows);
            if !missing.is_empty() || !surplus.is_empty() || !ordered {
                let kind = if missing.is_empty() && surplus.is_empty() { "order" } else { "rows" };
                let detail =
                    format!("plan {name}\nmissing {missing:?}\nsurplus {surplus:?}\n{}", shown(&advice));
                return Err(Wrong::new(kind, detail));
            }
            rows = due.len();
            seen.push(advice);
        }
        Ok(Outcome::Agree(rows))
    }

    fn run(&self, program: &Program, advice: &[Advice], query: &Query, dag: &Dag<'_>) -> Result<Ran, String> {
        ran(program, advice, query, &self.tracepoints, &self.steps, dag)
    }

    fn catalog(&self) -> Catalog {
        let mut catalog = Catalog::default();
        for tracepoint in &self.tracepoints {
            let fields = tracepoint.fields.iter().map(|(name, ty)| Field { name: name.clone(), ty: *ty });
            catalog.add(&Exports {
                tracepoint: tracepoint.name.clone(),
                fields: fields.collect(),
                file: "here.rs".into(),
                line: 1,
                module: "here".into(),
            });
        }
        catalog
    }
}

/// All ways to compile a query: with all rules, with none, and with each alone.
fn plans() -> Vec<(String, Options)> {
    let alone = Options::rules().map(|rule| (format!("with {rule} alone"), Options::naive().with(rule)));
    let both = [("optimised".to_owned(), Options::default()), ("naive".to_owned(), Options::naive())];
    both.into_iter().chain(alone).collect()
}

fn shown(advice: &[Advice]) -> String {
    advice.iter().rev().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Wrong {
    fn new(kind: &str, detail: String) -> Wrong {
        let kind = match kind {
            // What happened is told by the words, not by the names in them.
            "run" => {
                detail.lines().next().unwrap_or_default().split(':').next().unwrap_or_default().to_owned()
            }
            kind => kind.to_owned(),
        };
        Wrong { kind, detail }
    }

    /// The compiler refused the query.
    fn refused(diagnostics: &str) -> Wrong {
        let first = diagnostics.lines().next().unwrap_or_default();
        let words = first.split('`').step_by(2).collect::<Vec<_>>().join("..");
        Wrong { kind: format!("refused: {words}"), detail: diagnostics.to_owned() }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tracepoints\n")?;
        for Tracepoint { name, fields } in &self.tracepoints {
            let fields: Vec<String> = fields.iter().map(|(field, ty)| format!(" {field}:{ty}")).collect();
            writeln!(f, "{name}{}", fields.concat())?;
        }
        write!(f, "\nquery\n{}\n\nrun\n", self.query)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
