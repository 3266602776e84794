//! Globs for the names of tracepoints (`\dt Data*`).

/// Returns whether a name matches a glob: `*` stands for any text, `?` for one character. A glob without either
/// matches names that contain it in any case.
pub(super) fn matches_glob(glob: &str, name: &str) -> bool {
    if !glob.contains(['*', '?']) {
        return name.to_lowercase().contains(&glob.to_lowercase());
    }

    // Backtracking goes to the last star alone, so the time is bounded by the product of both lengths.
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut at, mut from) = (0, 0);
    // Where the last star is in the glob, and up to where in the name it stands for text.
    let mut star = None;
    while from < name.len() {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(c) if *c == '?' || *c == name[from] => {
                at += 1;
                from += 1;
            }
            _ => {
                // The last star takes one character more.
                let Some((star_at, taken_to)) = star else { return false };
                star = Some((star_at, taken_to + 1));
                at = star_at + 1;
                from = taken_to + 1;
            }
        }
    }

    glob[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        let check = |glob, name, expected| assert_eq!(matches_glob(glob, name), expected, "{glob} {name}");
        check("Data*", "DataNode.read", true);
        check("*.read", "DataNode.read", true);
        check("*.read", "DataNode.reads", false);
        check("D*N*d", "DataNode.read", true);
        check("node", "DataNode.read", true);
        check("Data?ode.*", "DataNode.read", true);
        check("?", "", false);
        check("*", "", true);
    }
}
