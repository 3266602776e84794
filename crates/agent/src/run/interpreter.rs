//! The reference interpreter: runs any advice over one event, instruction by instruction.
//!
//! It defines what advice means; compiled and fused advice are held to it by tests, event by event.
//!
//! A row in flight is a little relation: its columns, how often it counts, and the partial aggregates
//! that came with unpacked groups. Joining a row with a group multiplies their counts, and scales the
//! aggregates of each side by the count of the other; that keeps COUNT and SUM right whatever was
//! grouped before.

use crate::limits::MAX_ROWS;
use crate::run::interpreted_row::{InterpretedRow, JoinSpec, regrouped, table};
use crate::run::row_sort_key::RowSortKey;
use crate::weave::name_linker::LinkedAdvice;
use pivot_advice::{
    AggregateCall, AggregateKind, BagKey, EmitMode, EvalErrors, Expr, Groups, Instruction, JoinKind,
    LossCounts, TemporalFilter, UnitedBag, UnpackedForm, Value,
};
use pivot_baggage::Baggage;
use std::borrow::Cow;
use std::collections::HashSet;

/// The effect of an advice on the outside.
#[derive(Debug)]
pub enum AdviceEffect<'a> {
    /// The advice packs tuples, and the caller puts them into the baggage: after all advice at this event has run if
    /// any of it unpacks what another one packs, otherwise at once. A temporal bag takes one table for each tuple,
    /// any other exactly one.
    Pack(BagKey, TemporalFilter, Vec<Groups>),
    /// The advice packs into a bag that keeps all tuples, but rows may be missing because a bag that it unpacked was
    /// incomplete. The caller packs these, which may be none, and marks the bag as incomplete: whoever finds
    /// nothing there does not know that nothing happened.
    PackIncomplete(BagKey, Groups),
    /// The advice packs into a temporal bag, but rows may be missing: those that it would choose from, so that the choice
    /// could be wrong, or those of a tuple that it has chosen. The caller marks the bag as lost.
    Lose(BagKey, TemporalFilter),
    /// The advice emitted rows.
    Emit(InterpretedEmit<'a>),
}

/// Rows for the process's part of a result.
#[derive(Debug)]
pub struct InterpretedEmit<'a> {
    /// The columns that they are grouped by.
    pub keys: &'a [u16],
    /// The aggregates over each group.
    pub folds: &'a [AggregateCall],
    /// Whether groups or rows are the result.
    pub form: EmitMode,
    /// The rows.
    pub rows: Vec<InterpretedRow>,
}

impl InterpretedEmit<'_> {
    /// Returns how many rows it stands for.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.iter().fold(0, |sum, row| sum.saturating_add(row.n()))
    }
}

/// Runs an advice over the observed values of an event. Returns `None` if the event contributes nothing.
///
/// `since` is the generation of advice that brought the query. A request of a smaller generation may have passed
/// tracepoints before the query was woven there. So a row of it that a LEFT or ANTI join keeps, because nothing
/// matching was packed, is counted as uncertain.
pub fn interpret<'a>(
    linked: &'a LinkedAdvice,
    observed: Vec<Value>,
    baggage: Option<&Baggage>,
    since: u64,
    loss: &mut LossCounts,
) -> Option<AdviceEffect<'a>> {
    // The event itself is the first row: it has no columns yet and counts once.
    let mut errors = EvalErrors::default();
    let row = InterpretedRow { columns: Vec::new(), n: 1, states: Vec::new(), slot: 0 };
    let run = InterpreterRun {
        baggage,
        since,
        loss,
        errors: &mut errors,
        rows: vec![row],
        slots: None,
        incomplete: false,
    };

    let effect = run.steps(&linked.advice.instructions, observed);
    loss.errors = loss.errors.saturating_add(errors.0);
    effect
}

/// One run of an advice: the rows that the instructions so far have made of the event, and what they read and count.
struct InterpreterRun<'r> {
    baggage: Option<&'r Baggage>,
    since: u64,
    loss: &'r mut LossCounts,
    errors: &'r mut EvalErrors,
    rows: Vec<InterpretedRow>,
    /// The number of tuples that were chosen for a temporal bag, or `None` before the choice. A chosen tuple is
    /// packed even if all of its rows are dropped later, because it keeps others out of the bag.
    slots: Option<usize>,
    /// Whether a bag that was unpacked may lack rows.
    incomplete: bool,
}

/// How sure it is that what a bag does not hold did not happen before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Absence {
    /// Every earlier event met the advice that would have packed it, and nothing was lost since.
    Certain,
    /// A reply came without baggage. Whether it had lost any, only both ends together can tell.
    Undecided,
    /// Something is missing, or was not woven yet.
    Uncertain,
}

/// A bag as an event finds it.
struct ReadBag<'r> {
    groups: Cow<'r, Groups>,
    /// Whether it may lack rows.
    incomplete: bool,
    /// Whether its tuples were chosen while some may have been missing.
    is_doubtful: bool,
    absence: Absence,
}

impl<'r> InterpreterRun<'r> {
    fn steps<'a>(
        mut self,
        instructions: &'a [Instruction],
        observed: Vec<Value>,
    ) -> Option<AdviceEffect<'a>> {
        let keep = match instructions.last() {
            Some(Instruction::Pack { keep, .. }) => *keep,
            _ => TemporalFilter::All,
        };

        let mut observed = observed.into_iter();
        for step in instructions {
            match step {
                Instruction::Observe { .. } => {
                    let value = observed.next().unwrap_or_default();
                    self.rows.iter_mut().for_each(|row| row.columns.push(value.clone()));
                }
                Instruction::Let { expr, .. } => self.rows.iter_mut().for_each(|row| {
                    let value = expr.eval(&row.columns, self.errors);
                    row.columns.push(value);
                }),
                Instruction::Filter { expr } => self.rows.retain(|row| expr.holds(&row.columns, self.errors)),
                Instruction::Unpack { bag, columns, aggregates, rows, matching, on, .. } => {
                    let (matching, on, distinct) = (*matching, on.as_ref(), rows.distinct());
                    let join = JoinSpec { matching, on, distinct, columns: columns.len(), aggregates };
                    self.unpack(*bag, rows, &join);
                }
                Instruction::UnpackUnion { columns, bags, matching, on, .. } => {
                    let (matching, on, columns) = (*matching, on.as_ref(), columns.len());
                    self.unpack_union(
                        bags,
                        &JoinSpec { matching, on, distinct: &[], columns, aggregates: &[] },
                    );
                }
                Instruction::Unnest { list, .. } => self.unnest(*list),
                Instruction::Distinct { columns } => self.distinct(columns),
                Instruction::Order { columns } => {
                    self.rows.sort_by_cached_key(|row| RowSortKey(row.key(columns)))
                }
                // Rows may be missing, so a choice could be wrong: the temporal bag is lost, see below.
                Instruction::Choose if self.incomplete => break,
                Instruction::Choose => self.choose(keep),
                // Without a Choose before it, this Pack would choose. With one, the tuples are chosen, but rows of theirs
                // may be missing, and a temporal bag cannot say so of a tuple.
                Instruction::Pack { .. } if self.incomplete && keep != TemporalFilter::All => break,
                Instruction::Pack { bag, keep, keys, folds } => return self.pack(*bag, *keep, keys, folds),
                Instruction::Emit { keys, folds, form } => {
                    let emission = InterpretedEmit { keys, folds, form: *form, rows: self.rows };
                    return (!emission.rows.is_empty()).then_some(AdviceEffect::Emit(emission));
                }
            }

            // No row is left. A tuple that was chosen still holds its slot, so then the Pack is reached.
            if self.rows.is_empty() && self.slots.is_none_or(|slots| slots == 0) {
                break;
            }
        }

        self.without_rows(instructions)
    }

    /// Returns what becomes of a bag if no row is left, or none may be packed. If rows are missing, the choice could have
    /// been among them, or they could have been those of a tuple that was chosen.
    fn without_rows<'a>(&self, instructions: &'a [Instruction]) -> Option<AdviceEffect<'a>> {
        let last = instructions.last().filter(|_| self.incomplete);
        let Some(Instruction::Pack { bag, keep, keys, folds }) = last else { return None };
        match keep {
            TemporalFilter::All => Some(AdviceEffect::PackIncomplete(*bag, table(keys.len(), folds))),
            _ => Some(AdviceEffect::Lose(*bag, *keep)),
        }
    }

    fn pack<'a>(
        mut self,
        bag: BagKey,
        keep: TemporalFilter,
        keys: &[u16],
        folds: &[AggregateCall],
    ) -> Option<AdviceEffect<'a>> {
        if keep != TemporalFilter::All && self.slots.is_none() {
            self.choose(keep);
        }

        // One table for each tuple that was chosen, or one for all rows.
        let count = if keep == TemporalFilter::All { 1 } else { self.slots.unwrap_or(0) };
        let mut slots = vec![table(keys.len(), folds); count];
        for row in &self.rows {
            let slot = if keep == TemporalFilter::All { 0 } else { row.slot };
            if let Some(slot) = slots.get_mut(slot) {
                row.add_to(slot.entry(&row.key(keys)), folds, self.errors);
            }
        }

        if keep == TemporalFilter::All && self.incomplete {
            return slots.pop().map(|rows| AdviceEffect::PackIncomplete(bag, rows));
        }
        Some(AdviceEffect::Pack(bag, keep, slots))
    }

    /// Keeps the first or the last few rows of this event, for a temporal bag, and numbers them. A row that counts `n`
    /// times is `n` tuples here.
    fn choose(&mut self, keep: TemporalFilter) {
        let (n, recent) = match keep {
            TemporalFilter::All => return,
            TemporalFilter::First(n) => (n as usize, false),
            TemporalFilter::MostRecent(n) => (n as usize, true),
        };

        // The most recent ones are the first ones from the other end.
        let mut rows = std::mem::take(&mut self.rows);
        if recent {
            rows.reverse();
        }
        for row in rows {
            let copies = usize::try_from(row.n).unwrap_or(usize::MAX).min(n - self.rows.len());
            self.rows.extend(std::iter::repeat_n(InterpretedRow { n: 1, ..row }, copies));
        }
        if recent {
            self.rows.reverse();
        }

        self.rows.iter_mut().enumerate().for_each(|(slot, row)| row.slot = slot);
        self.slots = Some(self.rows.len());
    }

    /// Replaces every row by one for each item of a list; a row without a list is gone.
    fn unnest(&mut self, list: u16) {
        let mut rows = Vec::new();
        for row in std::mem::take(&mut self.rows) {
            let items = match row.columns.get(usize::from(list)) {
                Some(Value::List(items)) => items.clone(),
                Some(Value::Null) | None => continue,
                Some(_) => {
                    self.errors.0 += 1;
                    continue;
                }
            };

            for item in items.iter() {
                if rows.len() >= MAX_ROWS {
                    self.loss.dropped = self.loss.dropped.saturating_add(row.n);
                    continue;
                }
                let mut row = row.clone();
                row.columns.push(item.clone());
                rows.push(row);
            }
        }
        self.rows = rows;
    }

    /// Keeps one row of those that are equal in some columns.
    fn distinct(&mut self, columns: &[u16]) {
        let mut seen = HashSet::new();
        self.rows.retain(|row| seen.insert(row.key(columns)));
        self.rows.iter_mut().for_each(|row| row.n = 1);
    }

    /// Joins the rows with what a bag holds: the happened-before join.
    fn unpack(&mut self, bag: BagKey, unpacked: &UnpackedForm, joining: &JoinSpec<'_>) {
        let found = self.read(bag, unpacked.width(joining.columns), joining.aggregates);
        let finished = self.finished(&found.groups, unpacked);
        self.count_doubtful(&found, joining.matching);

        // Groups that are finished bring no states.
        let aggregates = if finished.is_some() { &[] } else { joining.aggregates };
        self.join(&found.groups, finished.as_deref(), &JoinSpec { aggregates, ..*joining }, found.absence);
    }

    /// Joins the rows with what several bags hold, as one relation.
    fn unpack_union(&mut self, bags: &[UnitedBag], joining: &JoinSpec<'_>) {
        let mut union = Groups::new(joining.columns, &[]);
        let mut absence = Absence::Certain;
        for united in bags {
            let width = united.rows.width(usize::from(united.width));
            let found = self.read(united.bag, width, &united.aggregates);
            self.count_doubtful(&found, joining.matching);
            self.unite(united, &found.groups, &mut union);
            // Nothing is in the union only if it is in none of the bags, so the least certain of them decides.
            absence = absence.max(found.absence);
        }

        self.join(&union, None, joining, absence);
    }

    /// Adds the rows of a bag to a union.
    fn unite(&mut self, united: &UnitedBag, groups: &Groups, union: &mut Groups) {
        // Groups of a subquery are rows that count once, whatever was counted in them.
        let rows: Vec<(Vec<Value>, u64)> = match self.finished(groups, &united.rows) {
            Some(finished) => finished.into_iter().map(|columns| (columns, 1)).collect(),
            None => groups.iter().map(|group| (group.key.to_vec(), group.n)).collect(),
        };

        let mut seen = HashSet::new();
        let distinct = united.rows.distinct();
        for (columns, n) in rows {
            if united.having.as_ref().is_some_and(|having| !having.holds(&columns, self.errors)) {
                continue;
            }
            if !distinct.is_empty() && !seen.insert(self.values(distinct, &columns)) {
                continue;
            }
            let group = union.entry(&self.values(&united.values, &columns));
            group.n = group.n.saturating_add(n);
        }
    }

    /// Reads a bag, and counts what it may lack.
    fn read(&mut self, bag: BagKey, width: usize, aggregates: &[AggregateKind]) -> ReadBag<'r> {
        // Unpacked before `is_incomplete` is asked: only reading the bag's bytes shows whether they can be read.
        let groups = self.baggage.and_then(|baggage| baggage.unpack(bag));
        let incomplete = self.baggage.is_some_and(|baggage| baggage.is_incomplete(bag));
        self.loss.truncated += u64::from(incomplete);
        self.incomplete |= incomplete;
        self.loss.without_request = u64::from(self.baggage.is_none());

        let is_before_query = self.baggage.is_some_and(|baggage| baggage.generation() < self.since);
        let absence = match self.baggage {
            _ if incomplete || is_before_query => Absence::Uncertain,
            Some(baggage) if baggage.has_bare_reply() => Absence::Undecided,
            _ => Absence::Certain,
        };

        // A bag of another shape is an error and counts as empty: only a broken frontend has it packed.
        let fits = |groups: &Groups| groups.keys() == width && groups.aggregates() == aggregates;
        let groups = match groups {
            Some(groups) if fits(&groups) => groups,
            Some(_) => {
                self.errors.0 += 1;
                Cow::Owned(Groups::new(width, aggregates))
            }
            None => Cow::Owned(Groups::new(width, aggregates)),
        };
        let is_doubtful = self.baggage.is_some_and(|baggage| baggage.has_doubtful_choice(bag));
        ReadBag { groups, incomplete, is_doubtful, absence }
    }

    /// Returns the rows of the aggregating subquery that a bag is unpacked for, or `None` if its own rows are meant.
    fn finished(&mut self, groups: &Groups, unpacked: &UnpackedForm) -> Option<Vec<Vec<Value>>> {
        match unpacked {
            UnpackedForm::Rows => None,
            UnpackedForm::Groups { keys, folds, finished, .. } => {
                Some(regrouped(groups, keys, folds, finished, self.errors))
            }
        }
    }

    /// Counts the rows that a join with a bag makes of a choice that may be wrong: First and MostRecent may have chosen
    /// other tuples than they would have with all before them.
    fn count_doubtful(&mut self, found: &ReadBag<'_>, matching: JoinKind) {
        if !found.is_doubtful || matching == JoinKind::Anti {
            return;
        }
        let kept = if found.incomplete { &mut self.loss.uncertain } else { &mut self.loss.undecided };
        let rows = self.rows.iter().fold(0, |sum: u64, row| sum.saturating_add(row.n));
        *kept = kept.saturating_add(rows.saturating_mul(found.groups.rows()));
    }

    /// Evaluates expressions over a row.
    fn values(&mut self, exprs: &[Expr], columns: &[Value]) -> Vec<Value> {
        exprs.iter().map(|expr| expr.eval(columns, self.errors)).collect()
    }

    /// Replaces every row by its pairs with the groups that match it, or with the rows of `finished` if the bag is
    /// that of an aggregating subquery. Rows that nothing matched are counted unless their `absence` is certain.
    fn join(
        &mut self,
        groups: &Groups,
        finished: Option<&[Vec<Value>]>,
        joining: &JoinSpec<'_>,
        absence: Absence,
    ) {
        let rows = std::mem::take(&mut self.rows);
        for row in rows {
            let mut matched = false;
            let mut seen = HashSet::new();

            let candidates: Box<dyn Iterator<Item = InterpretedRow>> = match finished {
                Some(finished) => Box::new(finished.iter().map(|columns| row.with(columns))),
                None => Box::new(groups.iter().map(|group| row.times(group))),
            };
            for candidate in candidates {
                if joining.on.is_some_and(|on| !on.holds(&candidate.columns, self.errors)) {
                    continue;
                }
                matched = true;
                if joining.matching == JoinKind::Anti {
                    break;
                }
                if !joining.distinct.is_empty()
                    && !seen.insert(self.values(joining.distinct, &candidate.columns))
                {
                    continue;
                }
                if self.rows.len() < MAX_ROWS {
                    self.rows.push(candidate);
                } else {
                    self.loss.dropped = self.loss.dropped.saturating_add(candidate.n);
                }
            }

            // A LEFT or ANTI join keeps a row that nothing matched. If the bag may lack groups, that could be wrong.
            if !matched && joining.matching != JoinKind::Inner {
                let kept = match absence {
                    Absence::Certain => None,
                    Absence::Undecided => Some(&mut self.loss.undecided),
                    Absence::Uncertain => Some(&mut self.loss.uncertain),
                };
                if let Some(kept) = kept {
                    *kept = kept.saturating_add(row.n);
                }
                self.rows.push(row.unmatched(joining));
            }
        }
    }
}
