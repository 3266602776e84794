//! "Did you mean": the nearest of some names, by the Damerau-Levenshtein distance.

/// Longer names are not compared: a typo is found in names that a person typed.
const MAX_LENGTH: usize = 128;

/// Returns the candidate nearest to a name, or `None` if none is near enough to be a typo of it.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    if wanted.len() > MAX_LENGTH {
        return None;
    }
    // A third of the letters may be wrong, but never all.
    let limit = (wanted.len() / 3).clamp(1, 4);

    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate.len() > MAX_LENGTH {
            continue;
        }
        // Each letter more or less is an edit: most candidates need no closer look.
        let letters: Vec<char> = candidate.to_lowercase().chars().collect();
        if letters.len().abs_diff(wanted.len()) > limit {
            continue;
        }
        let distance = distance(&wanted, &letters);
        let is_near = distance <= limit && distance < wanted.len();
        if is_near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate.to_owned())
}

/// Returns how many insertions, deletions, replacements and swaps of neighbours lead from one to the other:
/// the optimal string alignment distance, row by row of its table.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();

    for i in 1..=a.len() {
        // Three rows are enough: a swap of neighbours looks back two.
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
