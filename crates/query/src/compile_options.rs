//! The options of the compiler: optimiser rules, parameters, and the time that `now()` is.

use crate::optimize::rule_names;
use crate::syntax::Params;
use pivot_advice::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// The options of the compiler: the optimiser rules that run, all by default, and the values of parameters.
/// A rule changes the cost of a query and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompileOptions {
    off: Vec<String>,
    params: Params,
    installed_ns: Option<i64>,
}

impl CompileOptions {
    /// Returns options without any rule: the plan as the language defines it.
    pub fn naive() -> CompileOptions {
        let off = CompileOptions::rules().map(str::to_owned).collect();
        CompileOptions { off, ..CompileOptions::default() }
    }

    /// Returns the options with a value for `$name`.
    pub fn param(mut self, name: impl Into<String>, value: Value) -> CompileOptions {
        self.params.insert(name.into(), value);
        self
    }

    /// Returns the options with the time at which the query is installed, in nanoseconds since the epoch: `now()` is that
    /// time in all processes, however often the query is compiled. Without it the time of the compilation is taken.
    pub fn installed_at(mut self, ns: i64) -> CompileOptions {
        self.installed_ns = Some(ns);
        self
    }

    /// Returns the options with one rule off; a name that is no rule changes nothing.
    pub fn without(mut self, rule: &str) -> CompileOptions {
        self.off.push(rule.to_owned());
        self
    }

    /// Returns the options with one rule on.
    pub fn with(mut self, rule: &str) -> CompileOptions {
        self.off.retain(|off| off != rule);
        self
    }

    /// Returns the names of all rules, in the order in which they run.
    pub fn rules() -> impl Iterator<Item = &'static str> {
        rule_names()
    }

    pub(crate) fn is_on(&self, rule: &str) -> bool {
        !self.off.iter().any(|off| off == rule)
    }

    /// Returns the time that `now()` is.
    pub(crate) fn now_ns(&self) -> i64 {
        self.installed_ns.unwrap_or_else(|| {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
        })
    }

    /// Returns the values of parameters, by name.
    pub fn params(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.params.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the values of parameters as the parser looks them up.
    pub(crate) fn params_by_name(&self) -> &Params {
        &self.params
    }
}
