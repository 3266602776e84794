//! Backslash commands: their names, what they take, what they do in a sentence.

use std::path::PathBuf;

/// A backslash command with its argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Quit,
    Help,
    Tracepoints(Option<String>),
    Tracepoint(String),
    Queries,
    Agents,
    Drop(u32),
    Watch(u32),
    Include(PathBuf),
    Expanded,
    Timing,
}

/// Name, argument, and what it does; in the order of the help.
pub(super) const COMMANDS: [(&str, &str, &str); 12] = [
    ("\\dt", "[glob]", "tracepoints with their fields, agents and places"),
    ("\\d", "name", "one tracepoint"),
    ("\\dq", "", "installed queries: age, agents, rows, what is missing"),
    ("\\l", "", "agents"),
    ("\\watch", "n", "the live table of query n"),
    ("\\drop", "n", "uninstall query n"),
    ("\\i", "file", "run the statements of a file"),
    ("\\x", "", "toggle expanded rows"),
    ("\\timing", "", "toggle how long each statement took"),
    ("\\?", "", "this help"),
    ("\\h", "", "this help"),
    ("\\q", "", "quit"),
];

/// Reads a line that begins with a backslash. The error is a sentence for the user.
pub(super) fn parse(line: &str) -> Result<Command, String> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = argument.trim();
    let needed = |what: &str| match argument {
        "" => Err(format!("{name} needs {what}")),
        argument => Ok(argument.to_owned()),
    };
    let number = || {
        let given = needed("the number of a query, see \\dq")?;
        given.parse().map_err(|_| format!("`{given}` is not the number of a query, see \\dq"))
    };
    match name {
        "\\q" => Ok(Command::Quit),
        "\\?" | "\\h" => Ok(Command::Help),
        "\\dt" => Ok(Command::Tracepoints(Some(argument.to_owned()).filter(|glob| !glob.is_empty()))),
        "\\d" if argument.is_empty() => Ok(Command::Tracepoints(None)),
        "\\d" => Ok(Command::Tracepoint(argument.to_owned())),
        "\\dq" => Ok(Command::Queries),
        "\\l" => Ok(Command::Agents),
        "\\drop" => Ok(Command::Drop(number()?)),
        "\\watch" => Ok(Command::Watch(number()?)),
        "\\i" => Ok(Command::Include(needed("a file")?.into())),
        "\\x" => Ok(Command::Expanded),
        "\\timing" => Ok(Command::Timing),
        unknown => Err(match nearest(unknown, COMMANDS.map(|(name, ..)| name)) {
            Some(name) => format!("{unknown} is not a command, did you mean {name}? \\? lists all"),
            None => format!("{unknown} is not a command, \\? lists all"),
        }),
    }
}

/// The candidate with the fewest edits, if they are few enough to be a typo.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    let distances = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate));
    distances
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements that lead from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Whether a name matches a glob: `*` stands for any text, `?` for one character. A glob without
/// either matches names that contain it.
pub(super) fn matches(glob: &str, name: &str) -> bool {
    if !glob.contains(['*', '?']) {
        return name.to_lowercase().contains(&glob.to_lowercase());
    }
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut at, mut from) = (0, 0);
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
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                from = taken + 1;
            }
        }
    }
    glob[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_take_their_arguments() {
        let check = |line: &str, expected: Command| assert_eq!(parse(line), Ok(expected), "{line}");
        check("\\q;", Command::Quit);
        check("\\dt  Data* ", Command::Tracepoints(Some("Data*".into())));
        check("\\dt", Command::Tracepoints(None));
        check("\\d a b", Command::Tracepoint("a b".into()));
        check("\\drop 7", Command::Drop(7));
        check("\\i my file.pivot", Command::Include("my file.pivot".into()));
    }

    #[test]
    fn a_mistake_is_answered_with_what_was_meant() {
        let check = |line: &str, expected: &str| assert_eq!(parse(line), Err(expected.to_owned()));
        check("\\wacth 3", "\\wacth is not a command, did you mean \\watch? \\? lists all");
        check("\\frobnicate", "\\frobnicate is not a command, \\? lists all");
        check("\\drop", "\\drop needs the number of a query, see \\dq");
        check("\\drop all", "`all` is not the number of a query, see \\dq");
    }

    #[test]
    fn globs_match_whole_names() {
        let check = |glob, name, expected| assert_eq!(matches(glob, name), expected, "{glob} {name}");
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
