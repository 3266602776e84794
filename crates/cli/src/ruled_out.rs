//! Says why constants of processes leave a query nothing to find: `ruled out in 3 of 3 agents: process = 'nobody';
//! there are: api, worker`.

use crate::frontend_lists::ListedQuery;
use crate::humanize::count;
use crate::terminal_text::escaped;
use pivot_advice::QueryState;
use std::collections::{BTreeMap, BTreeSet};

/// The most values that are named.
const MAX_VALUES: usize = 12;

/// The agents in which a condition rules something out, and what there is instead.
#[derive(Default)]
struct RuledOutAgents<'a> {
    agents: u64,
    values: BTreeSet<&'a str>,
}

/// Returns a sentence for each condition over constants that rules out tracepoints of a query somewhere.
pub(crate) fn ruled_out(query: &ListedQuery) -> Vec<String> {
    let mut conditions: BTreeMap<&str, RuledOutAgents<'_>> = BTreeMap::new();
    let mut agents = 0;

    for agent in &query.agents {
        let has_tracepoints = !matches!(agent.state, None | Some(QueryState::Pending));
        agents += u64::from(has_tracepoints);
        for found in &agent.ruled_out {
            let condition = conditions.entry(&found.condition).or_default();
            condition.agents += 1;
            condition.values.extend(found.values.iter().map(String::as_str));
        }
    }

    conditions.iter().map(|(condition, found)| found.sentence(condition, agents)).collect()
}

/// Returns the number of agents in which constants rule a query out at all of its tracepoints.
pub(crate) fn count_ruled_out(query: &ListedQuery) -> u64 {
    let everywhere = query.agents.iter().filter(|agent| agent.state == Some(QueryState::RuledOut));
    everywhere.count() as u64
}

impl RuledOutAgents<'_> {
    fn sentence(&self, condition: &str, agents: u64) -> String {
        let place = format!("ruled out in {} of {}", self.agents, count(agents, "agent"));
        let named: Vec<&str> = self.values.iter().copied().take(MAX_VALUES).collect();
        let more = if self.values.len() > MAX_VALUES { ", …" } else { "" };
        let there = match named.len() {
            0 => String::new(),
            1 => format!("; there is: {}", named[0]),
            _ => format!("; there are: {}{more}", named.join(", ")),
        };
        escaped(&format!("{place}: {condition}{there}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend_lists::QueryOnAgent;
    use pivot_advice::RuledOutTracepoints;

    fn agent(state: QueryState, found: &[(&str, &str)]) -> QueryOnAgent {
        let ruled_out = found.iter().map(|(condition, value)| RuledOutTracepoints {
            condition: (*condition).into(),
            values: vec![(*value).into()],
            ..Default::default()
        });
        QueryOnAgent { state: Some(state), ruled_out: ruled_out.collect(), ..Default::default() }
    }

    fn sentences(agents: Vec<QueryOnAgent>) -> Vec<String> {
        ruled_out(&ListedQuery { agents, ..Default::default() })
    }

    #[test]
    fn agents_that_agree_are_counted_and_their_values_named_once() {
        let nobody = |process| agent(QueryState::RuledOut, &[("process = 'nobody'", process)]);
        let pending = agent(QueryState::Pending, &[]);
        assert_eq!(
            sentences(vec![nobody("worker"), nobody("api"), pending.clone(), nobody("api")]),
            ["ruled out in 3 of 3 agents: process = 'nobody'; there are: api, worker"]
        );
        let active = agent(QueryState::Active, &[]);
        assert_eq!(
            sentences(vec![nobody("api"), active]),
            ["ruled out in 1 of 2 agents: process = 'nobody'; there is: api"]
        );
        assert!(sentences(vec![pending]).is_empty());
    }

    #[test]
    fn many_values_are_cut_short() {
        let agents =
            (0..100).map(|i| agent(QueryState::RuledOut, &[("pid = 1", &format!("{:03}", i + 100))]));
        let [only] = &sentences(agents.collect())[..] else { panic!() };
        assert!(
            only.ends_with("110, 111, …") && only.starts_with("ruled out in 100 of 100 agents"),
            "{only}"
        );
    }
}
