//! "Did you mean": the nearest of some names.

/// Longer names are not compared: a typo is found in names that a person typed.
const MAX_LENGTH: usize = 128;

/// The candidate nearest to a name, if it is near enough to be a typo.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let wanted = name.to_lowercase();
    let length = wanted.chars().count();
    if length > MAX_LENGTH {
        return None;
    }
    let limit = (length / 3).clamp(1, 4);
    let distances = candidates.into_iter().filter(|candidate| candidate.len() <= MAX_LENGTH);
    let distances = distances.map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate));
    let best = distances.filter(|(d, _)| *d <= limit && *d < length).min_by_key(|(d, _)| *d);
    best.map(|(_, candidate)| candidate.to_owned())
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name() {
        let keywords = ["WHERE", "SELECT", "FROM"];
        assert_eq!(nearest("WHRE", keywords).as_deref(), Some("WHERE"));
        assert_eq!(nearest("selcet", keywords).as_deref(), Some("SELECT"));
        assert_eq!(nearest("banana", keywords), None);
    }
}
