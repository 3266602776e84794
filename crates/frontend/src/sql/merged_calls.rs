//! `quantile(state, 0.99)` where a statement groups: over all states of a group, and not of each row.
//!
//! ```text
//! SELECT host, quantile(p99, 0.99) FROM "q7$states" GROUP BY host
//!        ▼
//! SELECT host, quantile(merge(p99), 0.99) FROM "q7$states" GROUP BY host
//! ```
//!
//! So one name serves rows and groups, which DataFusion itself would not tell apart.

use super::merge_function::MERGE;
use super::state_functions::StateFunction;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, ObjectName, Query,
    Select, SetExpr, Visit, VisitMut, Visitor, VisitorMut,
};
use std::ops::ControlFlow;

/// Merges the states of all such calls in statements that group.
pub(super) fn merge_states(statement: &mut Statement, is_aggregate: &dyn Fn(&str) -> bool) {
    let mut rest = Some(statement);
    while let Some(statement) = rest.take() {
        match statement {
            Statement::Explain(explain) => rest = Some(&mut explain.statement),
            Statement::Statement(statement) => {
                let _ = VisitMut::visit(&mut **statement, &mut GroupingQueries { is_aggregate });
            }
            _ => {}
        }
    }
}

/// Finds queries that group.
struct GroupingQueries<'a> {
    is_aggregate: &'a dyn Fn(&str) -> bool,
}

impl VisitorMut for GroupingQueries<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = &mut *query.body else { return ControlFlow::Continue(()) };
        let keys = match &select.group_by {
            GroupByExpr::Expressions(keys, _) => keys.clone(),
            GroupByExpr::All(_) => vec![],
        };
        let is_grouped = !keys.is_empty() || matches!(select.group_by, GroupByExpr::All(_));
        if !is_grouped && !self.aggregates(select) {
            return ControlFlow::Continue(());
        }

        let mut calls = StateCalls { keys };
        let _ = VisitMut::visit(&mut select.projection, &mut calls);
        let _ = VisitMut::visit(&mut select.having, &mut calls);
        let _ = VisitMut::visit(&mut query.order_by, &mut calls);
        ControlFlow::Continue(())
    }
}

impl GroupingQueries<'_> {
    /// Whether a select without GROUP BY makes one row of all.
    fn aggregates(&self, select: &Select) -> bool {
        let mut finder = AggregateFinder { is_aggregate: self.is_aggregate };
        Visit::visit(&select.projection, &mut finder).is_break() || select.having.is_some()
    }
}

/// Looks for a call of an aggregate.
struct AggregateFinder<'a> {
    is_aggregate: &'a dyn Fn(&str) -> bool,
}

impl Visitor for AggregateFinder<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(call) if call.over.is_none() && (self.is_aggregate)(&name(call)) => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Puts `merge` around the state of each call that has none.
struct StateCalls {
    keys: Vec<Expr>,
}

impl VisitorMut for StateCalls {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(call) = expr
            && StateFunction::ALL.iter().any(|function| function.name() == name(call))
            && let FunctionArguments::List(arguments) = &mut call.args
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(state))) = arguments.args.first_mut()
            && !self.keys.contains(state)
            && Visit::visit(&*state, &mut AggregateFinder { is_aggregate: &|name| name == MERGE })
                .is_continue()
        {
            *state = merged(state.clone());
        }
        ControlFlow::Continue(())
    }
}

/// Returns the name of a function in small letters.
fn name(call: &Function) -> String {
    call.name.to_string().to_lowercase()
}

fn merged(state: Expr) -> Expr {
    use datafusion::sql::sqlparser::ast::FunctionArgumentList;
    let argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(state));

    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(MERGE)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![argument],
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}
