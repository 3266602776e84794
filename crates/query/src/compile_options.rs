//! The options of the compiler: optimiser rules and parameters.

use crate::optimize::rule_names;
use crate::syntax::Params;
use pivot_advice::Value;

/// The options of the compiler: the optimiser rules that run, all by default, and the values of parameters.
/// A rule changes the cost of a query and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompileOptions {
    off: Vec<String>,
    params: Params,
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

    pub(crate) fn params(&self) -> &Params {
        &self.params
    }
}
