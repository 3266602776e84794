//! The state of resolving one statement, and the small operations that everything else is made of.
//!
//! The plan grows while names are resolved: a source adds members to a stage, a field a column, a clause
//! steps. Each file of this folder adds the methods for one part of the language.

use super::name_scope::{CollectedAggregates, StepDestination, TypedExpr};
use super::work_budget::{ResolverWork, WorkBudget};
use crate::catalog::Catalog;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::formatter::format_expression;
use crate::plan::{Plan, PlanColumn, Stage, StageStep, conjuncts, expr_text};
use crate::syntax::Params;
use crate::syntax::ast::{AstQuery, TextSpan};
use pivot_advice::{Expr, Value};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// The most stages of a plan: each is a bag in the baggage of a request.
const MAX_STAGES: usize = 64;
/// Keeps room for the columns that plans add.
const MAX_COLUMNS: usize = 1 << 15;

/// A field as a union, or one of its sources, sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FieldKey {
    pub(super) stage: usize,
    /// The members of the stage.
    pub(super) members: Vec<usize>,
    /// The stages of the aggregating queries.
    pub(super) groups: Vec<usize>,
    pub(super) name: String,
}

/// A query with a name, of WITH or of the catalogue.
#[derive(Debug, Clone)]
pub(super) struct NamedQuery {
    pub(super) name: String,
    pub(super) query: Rc<AstQuery>,
}

/// The state of resolving one statement.
pub(super) struct Resolver<'a> {
    pub(super) text: &'a str,
    pub(super) catalog: &'a Catalog,
    pub(super) params: &'a Params,
    /// The time that `now()` is.
    pub(super) now_ns: i64,
    pub(super) diagnostics: Diagnostics,
    pub(super) work: WorkBudget,

    /// The stages and columns so far.
    pub(super) plan: Plan,
    /// Tracepoints and patterns that nobody exports yet, in the order of the text.
    pub(super) pending: Vec<String>,
    pub(super) known_pending: HashSet<String>,

    /// The queries of WITH that may be used here; each sees those before it.
    pub(super) with: Vec<NamedQuery>,
    /// The queries of the catalogue that were parsed; `None` for those that did not parse.
    pub(super) parsed: HashMap<String, Option<Rc<AstQuery>>>,
    /// The named queries that are being resolved, outermost first.
    pub(super) naming: Vec<String>,
    /// The place where a query of the catalogue is used: its own spans mean nothing in this text.
    pub(super) used_at: Option<TextSpan>,
    /// The source of this text that is being written out.
    pub(super) inlined_at: Option<TextSpan>,
    /// The number of queries around the one that is being resolved.
    pub(super) depth: usize,

    /// The column of each field that was asked for.
    pub(super) observed: HashMap<FieldKey, u16>,
    /// The aggregates of the SELECT that is being resolved.
    pub(super) aggregates: Option<CollectedAggregates>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(text: &'a str, catalog: &'a Catalog, params: &'a Params, now_ns: i64) -> Resolver<'a> {
        Resolver {
            text,
            catalog,
            params,
            now_ns,
            diagnostics: Diagnostics::default(),
            work: WorkBudget::default(),
            plan: Plan::default(),
            pending: Vec::new(),
            known_pending: HashSet::new(),
            with: Vec::new(),
            parsed: HashMap::new(),
            naming: Vec::new(),
            used_at: None,
            inlined_at: None,
            depth: 0,
            observed: HashMap::new(),
            aggregates: None,
        }
    }

    /// Reports a finding. Inside of a query of the catalogue it stands where that query is used.
    pub(super) fn report(&mut self, mut diagnostic: Diagnostic) {
        if let (Some(used_at), Some(name)) = (self.used_at, self.naming.last()) {
            diagnostic.span = used_at.range();
            // Its places are not those of this text.
            diagnostic.edits.clear();
            diagnostic.message = format!("in query `{name}`: {}", diagnostic.message);
        }
        self.diagnostics.push(diagnostic);
    }

    /// Uses up work of the query. Returns false if it is too much: then there is nothing to go on with.
    pub(super) fn spend(&mut self, work: ResolverWork, amount: usize, span: TextSpan) -> bool {
        if let Some(wrong) = self.work.spend(work, amount, span) {
            self.report(wrong);
        }
        !self.work.is_exhausted()
    }

    /// Returns what was written there, on one line, whatever its layout was.
    pub(super) fn written(&self, span: TextSpan) -> String {
        format_expression(self.text.get(span.range()).unwrap_or_default())
    }

    /// Returns an expression as text, for names and messages.
    pub(super) fn text(&self, expr: &Expr) -> String {
        match expr {
            Expr::Literal(Value::Str(text)) => text.to_string(),
            other => expr_text(other, &self.plan.columns),
        }
    }

    /// Returns whether the query that is being resolved is a source of another.
    pub(super) fn is_inside(&self) -> bool {
        self.depth > 0
    }

    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.has_errors()
    }

    /// Notes that nobody exports a tracepoint or pattern yet.
    pub(super) fn note_pending(&mut self, name: String) {
        if self.known_pending.insert(name.clone()) {
            self.pending.push(name);
        }
    }

    /// Adds a stage for a joined alias. Returns `None`, which was reported, if there are too many.
    pub(super) fn stage(&mut self, alias: &str, parent: usize, span: TextSpan) -> Option<usize> {
        if !self.has_room_for_bag(span) {
            return None;
        }
        let number = self.plan.stages.len();
        self.plan.stages.push(Stage::new(alias, Some(parent), number));
        Some(number)
    }

    /// Returns whether one more bag may be packed. If not, this was reported.
    pub(super) fn has_room_for_bag(&mut self, span: TextSpan) -> bool {
        let choices: usize = self.plan.stages.iter().map(|stage| stage.choices.len()).sum();
        let has_room = self.plan.stages.len() + choices < MAX_STAGES;
        if !has_room {
            let wrong = format!("the query has more than {MAX_STAGES} stages");
            self.report(Diagnostic::error(span, wrong));
        }
        has_room
    }

    /// Adds a column. Returns `None`, which was reported, if there are too many.
    pub(super) fn column(&mut self, column: PlanColumn, span: TextSpan) -> Option<u16> {
        // A placeholder of an aggregate is a column too, so this is more than any row has.
        let number = u16::try_from(self.plan.columns.len()).ok().filter(|n| usize::from(*n) < MAX_COLUMNS);
        match number {
            Some(_) => self.plan.columns.push(column),
            None => self.report(Diagnostic::error(span, "the query has too many columns")),
        }
        number
    }

    /// Returns a column of the plan as an expression.
    pub(super) fn typed(&self, column: u16) -> TypedExpr {
        TypedExpr { expr: Expr::Column(column), ty: self.plan.columns[usize::from(column)].ty }
    }

    /// Adds a column for the value of an expression, computed where the target is.
    pub(super) fn assign(&mut self, column: PlanColumn, expr: Expr, target: &StepDestination) -> TypedExpr {
        let ty = column.ty;
        let end_of_text = TextSpan::new(self.text.len(), self.text.len());
        let Some(number) = self.column(column, end_of_text) else { return TypedExpr::unknown() };
        self.push(target, StageStep::Let(number, expr));
        TypedExpr { expr: Expr::Column(number), ty }
    }

    /// Appends a step; a union has it in each member.
    pub(super) fn push(&mut self, target: &StepDestination, step: StageStep) {
        // The copies are counted before they are made.
        let copies = match target {
            StepDestination::Stage(_) => 1,
            StepDestination::Members(_, members) => members.len(),
        };
        let size = match &step {
            StageStep::Let(_, expr) | StageStep::Filter(expr) => expr.size(),
            _ => 1,
        };
        let place = self.inlined_at.unwrap_or_else(|| TextSpan::of_text(self.text));
        if !self.spend(ResolverWork::Step, copies, place)
            || !self.spend(ResolverWork::Expression, copies * size, place)
        {
            return;
        }

        match target {
            StepDestination::Stage(stage) => self.plan.stages[*stage].steps.push(step),
            StepDestination::Members(stage, members) => {
                for member in members {
                    self.plan.stages[*stage].members[*member].steps.push(step.clone());
                }
            }
        }
    }

    /// Appends a condition, cut at the ANDs at its top so that each part finds its own place.
    pub(super) fn filter(&mut self, target: &StepDestination, condition: Expr) {
        for condition in conjuncts(condition) {
            self.push(target, StageStep::Filter(condition));
        }
    }
}
