//! The bags of the model query, one for each way of keeping tuples.

use pivot_advice::{AggregateKind, BagKey, EvalErrors, Groups, QueryId, TemporalFilter, Value};

pub(crate) const FIRST: u32 = 2;
pub(crate) const RECENT: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// One group for each contribution.
    Each,
    /// One group for all of them, with their sum.
    Sum,
    First,
    MostRecent,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Each, Kind::Sum, Kind::First, Kind::MostRecent];

    pub(crate) fn key(self) -> BagKey {
        BagKey { query: QueryId::new(1, 7), stage: self as u16 }
    }

    pub(crate) fn keep(self) -> TemporalFilter {
        match self {
            Kind::Each | Kind::Sum => TemporalFilter::All,
            Kind::First => TemporalFilter::First(FIRST),
            Kind::MostRecent => TemporalFilter::MostRecent(RECENT),
        }
    }

    pub(crate) fn rows(self, id: usize) -> Groups {
        let value = Value::U64(id as u64);
        if self == Kind::Sum {
            let mut rows = Groups::new(0, &[AggregateKind::Sum]);
            let group = rows.entry(&[]);
            group.n = 1;
            group.states[0].update(&value, 1, &mut EvalErrors::default());
            return rows;
        }
        let mut rows = Groups::new(1, &[]);
        rows.entry(&[value]).n = 1;
        rows
    }
}

pub(crate) fn sum_of(rows: &Groups) -> (u64, i128) {
    let group = rows.get(&[]).unwrap();
    let sum = group.states[0].finish(pivot_advice::FinalFunction::Plain, &mut EvalErrors::default());
    (group.n, sum.as_integer().unwrap())
}
