//! SQL's three truth values: true, false and unknown (Kleene's strong logic of three values).
//!
//! `Some(true)`, `Some(false)` and `None` for unknown, which is what a null operand is.
//!
//! ```text
//! AND      true     false    unknown        OR       true     false    unknown
//! true     true     false    unknown        true     true     true     true
//! false    false    false    false          false    true     false    unknown
//! unknown  unknown  false    unknown        unknown  true     unknown  unknown
//! ```

/// One of the two operators that combine truth values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogicalConnective {
    /// `AND`: one false operand makes it false.
    And,
    /// `OR`: one true operand makes it true.
    Or,
}

impl LogicalConnective {
    /// Returns the operand that decides the result whatever the other one is.
    #[inline(always)]
    fn deciding(self) -> bool {
        matches!(self, LogicalConnective::Or)
    }

    /// Combines two truth values; `right` is evaluated only if `left` leaves the result open.
    #[inline(always)]
    pub fn combine(self, left: Option<bool>, right: impl FnOnce() -> Option<bool>) -> Option<bool> {
        let deciding = Some(self.deciding());
        if left == deciding {
            return deciding;
        }

        let right = right();
        if right == deciding {
            return deciding;
        }
        // Neither decides: with two known operands the result is the other truth value.
        left.and(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connectives_are_those_of_sql() {
        let values = [Some(true), Some(false), None];
        for (x, y) in values.into_iter().flat_map(|x| values.map(|y| (x, y))) {
            // The order false < unknown < true makes AND the minimum and OR the maximum.
            let rank = |x: Option<bool>| x.map_or(1, |x| 2 * u8::from(x));
            assert_eq!(
                rank(LogicalConnective::And.combine(x, || y)),
                rank(x).min(rank(y)),
                "{x:?} AND {y:?}"
            );
            assert_eq!(rank(LogicalConnective::Or.combine(x, || y)), rank(x).max(rank(y)), "{x:?} OR {y:?}");
        }
    }

    #[test]
    fn an_operand_that_cannot_matter_is_not_evaluated() {
        assert_eq!(LogicalConnective::And.combine(Some(false), || panic!("evaluated")), Some(false));
        assert_eq!(LogicalConnective::Or.combine(Some(true), || panic!("evaluated")), Some(true));
    }
}
