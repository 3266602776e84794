//! How wide each column may be.

/// Columns between two columns.
pub(crate) const GAP: usize = 2;

/// What one column would like to have, and what it cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ColumnNeeds {
    pub(super) natural: usize,
    pub(super) least: usize,
}

/// The widths of as many leading columns as fit, the widest cut first.
///
/// Columns that do not fit at all are left out; at least one is kept.
pub(super) fn widths(needs: &[ColumnNeeds], available: usize) -> Vec<usize> {
    let all = needs.len();
    let least = |kept: usize| total(needs[..kept].iter().map(|needs| needs.least)) + marker(kept, all);
    let kept = (1..=all).rev().find(|kept| least(*kept) <= available).unwrap_or(1.min(all));
    let needs = &needs[..kept];
    let available = available.saturating_sub(marker(kept, all));
    let mut widths: Vec<usize> = needs.iter().map(|needs| needs.natural).collect();
    let excess = total(widths.iter().copied()).saturating_sub(available);
    for _ in 0..excess {
        let giving = widths.iter_mut().zip(needs).filter(|(width, needs)| **width > needs.least);
        // The last of the widest gives first: keys on the left stay readable longest.
        match giving.max_by_key(|(width, _)| **width) {
            Some((width, _)) => *width -= 1,
            None => widths.iter_mut().for_each(|width| *width = (*width).min(available).max(1)),
        }
    }
    widths
}

/// What it takes to say that columns are left out.
fn marker(kept: usize, all: usize) -> usize {
    if kept < all { GAP + 1 } else { 0 }
}

/// The width of a line with columns of these widths.
pub(super) fn total(widths: impl ExactSizeIterator<Item = usize>) -> usize {
    let gaps = widths.len().saturating_sub(1) * GAP;
    widths.sum::<usize>() + gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(natural: &[usize], least: usize, available: usize, expected: &[usize]) {
        let needs = |natural: &usize| ColumnNeeds { natural: *natural, least: least.min(*natural) };
        assert_eq!(widths(&natural.iter().map(needs).collect::<Vec<_>>(), available), expected);
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
