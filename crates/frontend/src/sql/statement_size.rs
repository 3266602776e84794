//! How large a statement is once everything that it names with WITH stands wherever it is used.
//!
//! Planning writes it all out: thirty names of which each uses the one before twice are a billion steps. So it is counted
//! before anything is planned.

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, TableFactor, Visit, Visitor};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// Returns how many tables a statement reads, with all that it uses of WITH several times.
pub(super) fn tables_read(statement: &Statement) -> u64 {
    let mut counter = TableCounter::default();
    counter.open.push(0);

    let mut rest = Some(statement);
    while let Some(statement) = rest.take() {
        match statement {
            Statement::Explain(explain) => rest = Some(&explain.statement),
            Statement::Statement(statement) => drop(statement.visit(&mut counter)),
            _ => {}
        }
    }
    counter.open.into_iter().fold(0, u64::saturating_add)
}

/// Counts tables while queries are visited, the inner ones before those around them.
#[derive(Debug, Default)]
struct TableCounter {
    /// The tables of the queries that are not visited to their end, the innermost last.
    open: Vec<u64>,
    /// The names that the bodies of WITH have, by where they are.
    bodies: HashMap<*const Query, String>,
    /// The tables of what has a name.
    named: HashMap<String, u64>,
}

impl TableCounter {
    fn add(&mut self, tables: u64) {
        if let Some(innermost) = self.open.last_mut() {
            *innermost = innermost.saturating_add(tables);
        }
    }
}

impl Visitor for TableCounter {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for named in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.bodies.insert(&raw const *named.query, named.alias.name.value.to_lowercase());
        }
        self.open.push(1);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, .. } = factor {
            let name = name.to_string().replace('"', "").to_lowercase();
            let tables = self.named.get(&name).copied().unwrap_or(1);
            self.add(tables);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = self.open.pop().unwrap_or(0);
        match self.bodies.remove(&(query as *const Query)) {
            // It is read where it is named, as often as that is.
            Some(name) => drop(self.named.insert(name, tables)),
            None => self.add(tables),
        }
        ControlFlow::Continue(())
    }
}
