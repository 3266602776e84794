//! How wide each column of a table may be.
//!
//! Columns that are too wide together give way one character at a time, the widest first, down to what each needs
//! at least. If that is not enough, columns are left out from the right.

/// Characters between two columns.
pub(crate) const GAP: usize = 2;

/// How wide a column is by its content, and how far it can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ColumnNeeds {
    /// The width at which nothing is cut.
    pub(super) natural: usize,
    /// The width below which the column says nothing.
    pub(super) least: usize,
}

/// Returns the widths of as many leading columns as fit. At least one column is kept, however narrow it is.
pub(super) fn column_widths(needs: &[ColumnNeeds], available: usize) -> Vec<usize> {
    let kept = columns_that_fit(needs, available);
    let available = available.saturating_sub(omission_width(kept, needs.len()));
    let needs = &needs[..kept];

    let mut widths: Vec<usize> = needs.iter().map(|column| column.natural).collect();
    let excess = line_width(widths.iter().copied()).saturating_sub(available);
    for _ in 0..excess {
        let shrinkable = widths.iter_mut().zip(needs).filter(|(width, column)| **width > column.least);
        // The last of the widest gives first: keys on the left stay readable longest.
        match shrinkable.max_by_key(|(width, _)| **width) {
            Some((width, _)) => *width -= 1,
            // The one column that is always kept does not fit even at its least.
            None => widths.iter_mut().for_each(|width| *width = (*width).min(available).max(1)),
        }
    }
    widths
}

/// Returns how many leading columns fit at their least width, but at least one if there is any.
fn columns_that_fit(needs: &[ColumnNeeds], available: usize) -> usize {
    let all = needs.len();
    for kept in (1..=all).rev() {
        let least = line_width(needs[..kept].iter().map(|column| column.least));
        if least + omission_width(kept, all) <= available {
            return kept;
        }
    }
    1.min(all)
}

/// Returns the room for the mark that says that columns are left out.
fn omission_width(kept: usize, all: usize) -> usize {
    if kept < all { GAP + 1 } else { 0 }
}

/// Returns the width of a line with columns of these widths.
pub(super) fn line_width(widths: impl ExactSizeIterator<Item = usize>) -> usize {
    let gaps = widths.len().saturating_sub(1) * GAP;
    widths.sum::<usize>() + gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(natural: &[usize], least: usize, available: usize, expected: &[usize]) {
        let needs = |natural: &usize| ColumnNeeds { natural: *natural, least: least.min(*natural) };
        assert_eq!(column_widths(&natural.iter().map(needs).collect::<Vec<_>>(), available), expected);
    }

    #[test]
    fn the_widest_column_gives_first() {
        check(&[10, 40, 12], 4, 50, &[10, 24, 12]);
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_from_the_right() {
        check(&[10, 10, 10, 10], 8, 22, &[9, 8]);
        check(&[100], 6, 5, &[5]);
    }

    #[test]
    fn what_fits_is_not_touched() {
        check(&[3, 4], 1, 9, &[3, 4]);
        check(&[], 1, 9, &[]);
    }
}
