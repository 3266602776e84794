//! All rows of a bag that lie in one place and of which none is missing.

use crate::part::Part;
use crate::rows::Rows;
use pivot_advice::{Aggregate, Groups, State};

/// The rows of a bag.
#[derive(Debug, Clone, Copy)]
pub enum Whole<'a> {
    /// Taken apart.
    Groups(&'a Groups),
    /// As they travel. Rows of equal keys may come one after the other.
    Encoded(Encoded<'a>),
}

/// Rows as they travel, all of which can be read.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'a>(pub(crate) Rows<'a>);

impl Encoded<'_> {
    /// Whether they have so many key columns and these aggregates.
    #[inline]
    pub fn fits(&self, keys: usize, aggregates: &[Aggregate]) -> bool {
        self.0.has_shape(keys, aggregates)
    }

    /// Goes through the rows: shows each value of a key, by its column, to `see`, and then says to `end` how often
    /// the row counts and what its partial aggregates are.
    #[inline]
    pub fn each<C>(
        &self,
        context: &mut C,
        see: impl Fn(&mut C, usize, Part<'_>),
        mut end: impl FnMut(&mut C, u64, &[State]),
    ) {
        // They could all be read before.
        let _sound = self.0.try_each_part(context, see, &mut end);
    }
}
