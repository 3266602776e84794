//! Statements of a file, and whether an input line ends one. Works on any text.

/// One statement of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The statement with its comments, without the `;` and blanks around it.
    pub text: String,
    /// Where it begins in the whole text, in bytes.
    pub offset: usize,
    /// Its first line, if that is a comment: what the statement is for.
    pub purpose: Option<String>,
}

/// Splits a text at `;` outside of strings, quoted names, patterns and comments; empty statements are left out.
pub fn statements(text: &str) -> Vec<Statement> {
    let scan = scan(text);
    let mut start = 0;
    let mut found = Vec::new();
    for end in scan.ends.iter().copied().chain([text.len()]) {
        let has_content = scan.content.iter().any(|at| (start..end).contains(at));
        if has_content {
            found.push(statement(&text[start..end], start));
        }
        start = (end + 1).min(text.len());
    }
    found
}

/// Whether a text is whole: it ends in `;` outside of strings, quoted names, patterns and comments.
pub fn is_complete(text: &str) -> bool {
    let scan = scan(text);
    let after = |end: &usize| scan.content.iter().all(|at| at <= end);
    !scan.open && scan.ends.last().is_some_and(after)
}

fn statement(text: &str, start: usize) -> Statement {
    let trimmed = text.trim_start();
    let offset = start + text.len() - trimmed.len();
    let first = trimmed.lines().next().unwrap_or_default();
    let purpose = first.strip_prefix("--").map(|comment| comment.trim().to_owned());
    Statement {
        text: trimmed.trim_end().to_owned(),
        offset,
        purpose: purpose.filter(|text| !text.is_empty()),
    }
}

/// Where statements end, and where something stands that is neither blank nor comment nor `;`.
#[derive(Default)]
struct Scan {
    ends: Vec<usize>,
    /// The first such place of each statement, and the last of the text.
    content: Vec<usize>,
    /// A string, quoted name or block comment is not closed.
    open: bool,
}

fn scan(text: &str) -> Scan {
    let mut scan = Scan::default();
    let mut first = true;
    let mut last = None;
    // What stands before the blanks and comments here.
    let mut before = "";
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match next {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => closing(rest, 2, "*/", &mut scan.open),
            ';' => {
                scan.ends.push(at);
                (first, before) = (true, "");
                1
            }
            c if c.is_whitespace() => c.len_utf8(),
            quote => {
                if std::mem::take(&mut first) {
                    scan.content.push(at);
                }
                last = Some(at);
                let length = match quote {
                    '/' if begins_source(before) => pattern(rest),
                    '\'' => closing(rest, 1, "'", &mut scan.open),
                    '"' => closing(rest, 1, "\"", &mut scan.open),
                    other => other.len_utf8(),
                };
                before = &text[..at + length];
                length
            }
        };
        at += length;
    }
    scan.content.extend(last);
    scan
}

/// Whether a source may stand behind a text, and a slash thus begins a regular expression.
fn begins_source(before: &str) -> bool {
    let mut behind_word = before.rsplitn(2, |c: char| !c.is_alphanumeric() && c != '_');
    before.ends_with(['(', ',']) || behind_word.next().is_some_and(|word| word.eq_ignore_ascii_case("IN"))
}

/// The length of a regular expression, or of its line if it is not closed there.
fn pattern(rest: &str) -> usize {
    let mut escaped = true;
    for (at, c) in rest.char_indices() {
        match c {
            '/' if !escaped => return at + 1,
            '\n' => return at,
            _ => escaped = c == '\\',
        }
    }
    rest.len()
}

/// The length up to and with the closing text; a doubled quote closes and opens again by itself.
fn closing(rest: &str, from: usize, close: &str, open: &mut bool) -> usize {
    match rest[from..].find(close) {
        Some(found) => from + found + close.len(),
        None => {
            *open = true;
            rest.len()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_of_quotes() {
        let text = "-- bytes\nFROM a; ;\n SELECT ';' /* ; */ -- ;\n; x";
        let found = statements(text);
        let texts: Vec<&str> = found.iter().map(|statement| statement.text.as_str()).collect();
        assert_eq!(texts, ["-- bytes\nFROM a", "SELECT ';' /* ; */ -- ;", "x"]);
        assert_eq!(found[0].purpose.as_deref(), Some("bytes"));
        assert_eq!(found[1].purpose, None);
        assert!(found.iter().all(|statement| text[statement.offset..].starts_with(&statement.text)));
    }

    #[test]
    fn a_regular_expression_opens_no_quotes() {
        let text = r#"FROM e IN /^'a;\/\"/; FROM e IN A, /;'/ SELECT − 1 / 2; SELECT a / ';'"#;
        let found = statements(text);
        let texts: Vec<&str> = found.iter().map(|statement| statement.text.as_str()).collect();
        let regexes = [r#"FROM e IN /^'a;\/\"/"#, "FROM e IN A, /;'/ SELECT − 1 / 2", "SELECT a / ';'"];
        assert_eq!(texts, regexes);
        assert!(is_complete(r"FROM e IN /it's/ SELECT COUNT;"));
        assert!(is_complete("FROM e IN /never closed;\nSELECT 1;"));
        assert!(is_complete("FROM e IN; / begins no source;"));
    }

    #[test]
    fn a_text_is_complete_when_its_last_statement_ends() {
        let check = |text, expected| assert_eq!(is_complete(text), expected, "{text}");
        check("SELECT 1;", true);
        check("SELECT 1; -- done\n", true);
        check("SELECT ';", false);
        check("SELECT 1 -- ;", false);
        check("SELECT 1; SELECT", false);
        check("/* ;", false);
        check("", false);
    }
}
