//! Parses and runs the `run` section of a golden file: a script of requests and their branches, evaluated by the
//! advice and the baggage.
//!
//! ```text
//! request                 begins a request with the branch `main`
//! main T delta=5 host=a   an event of a branch; fields that are not given are null
//! fork main b             b continues from main, beside it
//! detach main b           the same for a message without a reply
//! join main b             b ends, and main goes on after both
//! hop main                the branch goes to another process
//! skew main 3600          the same, where the clock is so many seconds ahead
//! outside T delta=5       an event outside of any request
//! ```

use pivot_advice::{EmitMode, EvalErrors, LossCounts, QueryId, Type, Value};
use pivot_agent::run::interpreter::{AdviceEffect, interpret};
use pivot_agent::run::sample::SampleDecision;
use pivot_agent::site::default_field::DefaultField;
use pivot_agent::weave::name_linker::{FieldSource, LinkedAdvice};
use pivot_agent::{QueryReport, QueryReports};
use pivot_baggage::Baggage;
use pivot_query::{Catalog, QueryProgram};
use std::collections::BTreeMap;

/// Runs requests, and returns the rows of the result, one a line, in order.
pub fn results(program: &QueryProgram, catalog: &Catalog, script: &str) -> String {
    pivot_baggage::set_carrying(true);
    let mut run = ScriptRun { program, catalog, branches: BTreeMap::new(), parts: QueryReports::new() };
    script.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| run.line(line));
    let header =
        program.output.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>().join(" | ");
    std::iter::once(header).chain(run.rows()).collect::<Vec<_>>().join("\n")
}

struct ScriptRun<'a> {
    program: &'a QueryProgram,
    catalog: &'a Catalog,
    branches: BTreeMap<String, Baggage>,
    parts: QueryReports,
}

impl ScriptRun<'_> {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();

        match words[..] {
            ["request"] => self.branches = BTreeMap::from([("main".to_owned(), Baggage::begin())]),
            ["fork", from, to] => {
                let fork = self.branch(from).fork();
                self.branches.insert(to.to_owned(), fork);
            }
            ["detach", from, to] => {
                let detached = self.branch(from).detach();
                self.branches.insert(to.to_owned(), detached);
            }
            ["join", to, from] => {
                let ended = self.branches.remove(from).unwrap_or_else(|| panic!("no branch {from}"));
                self.branch(to).join(ended);
            }
            ["bare", to, from] => {
                drop(self.branches.remove(from));
                self.branch(to).note_bare_reply();
            }
            ["lost", to, from] => {
                drop(self.branches.remove(from));
                self.branch(to).mark_partial();
            }
            ["cancel", branch] => drop(self.branches.remove(branch)),
            ["hop", branch] => self.hop(branch, 0),
            ["skew", branch, seconds] => {
                self.hop(branch, seconds.parse().unwrap_or_else(|_| panic!("not seconds: {seconds}")));
            }
            // Whatever is no keyword is the name of a branch.
            ["outside", tracepoint, ref fields @ ..] => self.event(None, tracepoint, fields),
            [branch, tracepoint, ref fields @ ..] => self.event(Some(branch), tracepoint, fields),
            _ => panic!("not a step of a run: {line}"),
        }
    }

    fn branch(&mut self, name: &str) -> &mut Baggage {
        self.branches.get_mut(name).unwrap_or_else(|| panic!("no branch {name}"))
    }

    fn hop(&mut self, branch: &str, ahead_seconds: u64) {
        let baggage = self.branches.remove(branch).unwrap_or_else(|| panic!("no branch {branch}"));
        let mut bytes = baggage.encode();
        // The clock follows the version and the request id, unless nothing was stamped so far.
        if let (Some(25), Some(clock)) = (bytes.get(20).copied(), bytes.get_mut(21..29)) {
            let before = u64::from_le_bytes(clock.try_into().unwrap_or_default());
            clock.copy_from_slice(&(before + ((ahead_seconds * 1_000_000) << 12)).to_le_bytes());
        }
        let arrived = Baggage::decode(&bytes).unwrap_or_else(|error| panic!("{error}"));
        self.branches.insert(branch.to_owned(), arrived);
    }

    fn event(&mut self, branch: Option<&str>, tracepoint: &str, fields: &[&str]) {
        let known =
            self.catalog.tracepoint(tracepoint).unwrap_or_else(|| panic!("no tracepoint {tracepoint}"));
        let names: Vec<&str> = known.fields.iter().map(|field| field.name.as_str()).collect();
        let given: BTreeMap<&str, &str> = fields.iter().filter_map(|field| field.split_once('=')).collect();
        let value = |name: &str, ty: Type| given.get(name).map_or(Value::Null, |text| parse(text, ty));
        let advice = self.program.advice(QueryId::new(0, 7));

        // All advice of a tracepoint sees the baggage as it was before the event.
        let mut packed = Vec::new();
        for advice in advice.iter().filter(|advice| advice.tracepoint == tracepoint) {
            pivot_agent::verify(advice).unwrap_or_else(|error| panic!("{error}\n{advice}"));
            let linked = LinkedAdvice::link(advice, &names).unwrap_or_else(|error| panic!("{error}"));
            let observed = linked.sources.iter().map(|source| match source {
                FieldSource::Missing => Value::Null,
                FieldSource::Exported(index) => value(names[*index], known.fields[*index].ty),
                FieldSource::Default(DefaultField::Host) => value("host", Type::String),
                FieldSource::Default(DefaultField::Process) => value("process", Type::String),
                FieldSource::Default(DefaultField::Pid) => value("pid", Type::I64),
                FieldSource::Default(DefaultField::Thread) => value("thread", Type::String),
                FieldSource::Default(DefaultField::Tracepoint) => Value::str(tracepoint),
                FieldSource::Default(DefaultField::Time) => value("time", Type::Timestamp),
                FieldSource::Default(DefaultField::Request) => value("request", Type::String),
            });
            let baggage = branch.and_then(|branch| self.branches.get(branch));
            match interpret(&linked, observed.collect(), baggage, 0, &mut LossCounts::default()) {
                Some(AdviceEffect::Pack(bag, keep, groups)) => packed.push((bag, keep, groups)),
                Some(AdviceEffect::Emit(emission)) => {
                    self.parts
                        .entry(advice.query)
                        .or_insert_with(QueryReport::empty)
                        .add(&emission, SampleDecision::UNSAMPLED);
                }
                Some(AdviceEffect::Lose(..) | AdviceEffect::PackIncomplete(..)) | None => {}
            }
        }

        let Some(branch) = branch else { return };
        let baggage = self.branch(branch);

        for (bag, keep, groups) in packed {
            baggage.pack(bag, keep, groups);
        }
    }

    /// Returns the rows that a frontend makes of the merged groups.
    fn rows(&self) -> Vec<String> {
        let output = &self.program.output;
        let mut errors = EvalErrors::default();

        let mut groups = output.table();
        let parts = self.parts.values().filter_map(|part| part.groups.as_ref()).flatten();
        parts.for_each(|group| groups.entry(&group.key).merge(group.n, &group.states));
        // Without GROUP BY there is a row also where nothing matched.
        if output.has_one_row() {
            groups.entry(&[]);
        }

        let mut rows: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
        for group in &groups {
            let row = output.row(&group.key, group.n, &group.states, 1.0, &mut errors);
            let shown = output.columns.iter().map(|column| column.expr.eval(&row, &mut errors)).collect();
            // Rows that are equal travel as one with a count.
            let times = if output.form == EmitMode::Rows { group.n } else { 1 };
            rows.extend((0..times).map(|_| (row.clone(), Vec::clone(&shown))));
        }

        if let Some(having) = &output.having {
            rows.retain(|(row, _)| having.holds(row, &mut errors));
        }

        rows.sort_by(|(_, a), (_, b)| compare(a, b));
        if output.distinct {
            rows.dedup_by(|(_, a), (_, b)| a == b);
        }

        for (expr, order) in output.order.iter().rev() {
            rows.sort_by(|(a, _), (b, _)| {
                let mut errors = EvalErrors::default();
                order.compare(&expr.eval(a, &mut errors), &expr.eval(b, &mut errors))
            });
        }

        let limit = output.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let shown = |(_, row): &(Vec<Value>, Vec<Value>)| {
            row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
        };
        rows.iter().take(limit).map(shown).collect()
    }
}

fn compare(a: &[Value], b: &[Value]) -> std::cmp::Ordering {
    let differing = a.iter().zip(b).map(|(x, y)| x.total_cmp(y)).find(|order| order.is_ne());
    differing.unwrap_or(std::cmp::Ordering::Equal)
}

fn parse(text: &str, ty: Type) -> Value {
    fn number<T: std::str::FromStr>(text: &str) -> T {
        text.parse().unwrap_or_else(|_| panic!("not a {}: {text}", std::any::type_name::<T>()))
    }

    match ty {
        _ if text == "null" => Value::Null,
        Type::Bool => Value::Bool(number(text)),
        Type::F64 => Value::double(number(text)),
        Type::Timestamp => Value::Timestamp(number(text)),
        Type::Duration => Value::Duration(number(text)),
        Type::I64 => Value::I64(number(text)),
        Type::U64 => Value::U64(number(text)),
        Type::List(_) if text.is_empty() => Value::List([].into()),
        Type::List(element) => Value::List(text.split(',').map(|item| parse(item, *element)).collect()),
        // Where the call site does not say, the text does.
        Type::Any => {
            let integer = text.parse().map(Value::I64).or_else(|_| text.parse().map(Value::U64)).ok();
            let double = text.parse().map(Value::double).ok().filter(|_| text.contains('.'));
            let found = integer.or(double).or(text.parse().map(Value::Bool).ok());
            found.unwrap_or_else(|| Value::str(text))
        }
        Type::String | Type::Bytes | Type::Null => Value::str(text),
    }
}
