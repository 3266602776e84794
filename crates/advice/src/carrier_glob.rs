//! Globs over the names of spans: which of them carry a request, as an operator says it.
//!
//! ```text
//! app::*::http_request      any span `http_request` of a target one level below `app`
//! tower_http::**            all spans of `tower_http` and of the modules in it
//! http_request              a glob without `::` is matched with the name alone, whatever the target
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The most bytes of one glob, and the most globs in a list.
const MAX_BYTES: usize = 256;
const MAX_GLOBS: usize = 64;

/// A glob over `target::name`: `*` stands for any text within one part of the path, `**` for any text, `?` for one
/// character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CarrierGlob(String);

/// The most spans that are named of those that a glob makes carriers.
pub const MAX_CARRIER_SPANS: usize = 16;

/// A glob that a frontend names, as one process knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCarrier {
    /// The glob.
    pub glob: CarrierGlob,
    /// The spans of the process that it matches, as `target::name`, of many the first [`MAX_CARRIER_SPANS`] by name.
    /// Spans are known once they were reached.
    pub spans: BTreeSet<String>,
}

/// The error of a glob that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidCarrierGlob {
    /// The glob, as it was given.
    pub glob: String,
    /// Why the glob cannot be read.
    pub reason: String,
}

impl fmt::Display for InvalidCarrierGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InvalidCarrierGlob { glob, reason } = self;
        write!(
            f,
            "`{glob}` is no glob over `target::name`: {reason}; one is `app::*::http_request`, or `app::**`"
        )
    }
}

impl std::error::Error for InvalidCarrierGlob {}

impl FromStr for CarrierGlob {
    type Err = InvalidCarrierGlob;

    fn from_str(text: &str) -> Result<CarrierGlob, InvalidCarrierGlob> {
        let glob = text.trim();

        if glob.is_empty() {
            return Err(invalid(glob, "it is empty"));
        }
        if glob.len() > MAX_BYTES {
            return Err(invalid(glob, "it has more than 256 bytes"));
        }
        if let Some(foreign) = glob.chars().find(|c| c.is_control() || "[]{}()!,;\"'`\\".contains(*c)) {
            return Err(invalid(glob, &format!("`{}` has no meaning in it", foreign.escape_debug())));
        }
        if glob.contains("***") {
            return Err(invalid(glob, "at most two stars stand together"));
        }
        if glob.split("::").any(|part| part.is_empty() || part.contains(':')) {
            return Err(invalid(glob, "the parts of a path are separated by `::`, and none is empty"));
        }
        Ok(CarrierGlob(glob.to_owned()))
    }
}

impl fmt::Display for CarrierGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl NamedCarrier {
    /// Returns a glob of which no span is known yet.
    pub fn new(glob: CarrierGlob) -> NamedCarrier {
        NamedCarrier { glob, spans: BTreeSet::new() }
    }

    /// Adds a span that it matches. Of too many, those that are first by name stay.
    pub fn add_span(&mut self, span: String) {
        self.spans.insert(span);
        if self.spans.len() > MAX_CARRIER_SPANS {
            self.spans.pop_last();
        }
    }
}

impl CarrierGlob {
    /// Returns the globs of a list that is separated by commas; an empty list has none.
    pub fn list(text: &str) -> Result<Vec<CarrierGlob>, InvalidCarrierGlob> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        CarrierGlob::all(text.split(','))
    }

    /// Returns the globs of these texts, which must not be too many.
    pub fn all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<CarrierGlob>, InvalidCarrierGlob> {
        let globs = texts.into_iter().map(str::parse).collect::<Result<Vec<CarrierGlob>, _>>()?;
        if globs.len() > MAX_GLOBS {
            let reason = format!("it is one of {} globs, and {MAX_GLOBS} are the most", globs.len());
            return Err(InvalidCarrierGlob { glob: globs[MAX_GLOBS].to_string(), reason });
        }
        Ok(globs)
    }

    /// Whether the glob matches a span.
    pub fn matches(&self, target: &str, name: &str) -> bool {
        if self.0.contains("::") || self.0 == "**" {
            matches(&self.0, &format!("{target}::{name}"))
        } else {
            matches(&self.0, name)
        }
    }
}

/// Returns the error for a text that is no glob.
fn invalid(glob: &str, reason: &str) -> InvalidCarrierGlob {
    InvalidCarrierGlob { glob: glob.to_owned(), reason: reason.to_owned() }
}

/// Whether a glob matches a whole text. The work is bounded by the product of both lengths.
fn matches(glob: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // Whether what was seen of the glob matches the first n characters of the text.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;

    let mut rest = glob.chars().peekable();
    while let Some(c) = rest.next() {
        let crosses_parts = c == '*' && rest.next_if_eq(&'*').is_some();
        let mut next = vec![false; text.len() + 1];
        if c == '*' {
            next[0] = reached[0];
        }
        for (at, seen) in text.iter().enumerate() {
            next[at + 1] = match c {
                '*' => reached[at + 1] || next[at] && (crosses_parts || *seen != ':'),
                '?' => reached[at] && *seen != ':',
                c => reached[at] && *seen == c,
            };
        }
        reached = next;
    }
    reached[text.len()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_targets_and_names() {
        let check = |glob: &str, target, name, expected| {
            let glob: CarrierGlob = glob.parse().unwrap();
            assert_eq!(glob.matches(target, name), expected, "{glob} {target} {name}");
        };

        check("app::*::http_request", "app::web", "http_request", true);
        check("app::*::http_request", "app::web::v1", "http_request", false);
        check("app::*::http_request", "app", "http_request", false);
        check("app::**::http_request", "app::web::v1", "http_request", true);
        check("tower_http::**", "tower_http::trace::make_span", "request", true);
        check("tower_http::**", "tower_http", "request", true);
        check("tower_http::**", "tower_httpd", "request", false);
        check("http_request", "anything::at::all", "http_request", true);
        check("http_*", "anything", "http_request", true);
        check("*::HTTP request", "actix", "HTTP request", true);
        check("app::re?uest", "app", "request", true);
        check("**", "any::thing", "x", true);
        check("app::request", "app", "requests", false);
        check(&"*a".repeat(100), "app", &"a".repeat(5_000), true);
    }

    #[test]
    fn what_is_no_glob_is_refused_with_a_reason() {
        let refused = |text: &str| CarrierGlob::list(text).unwrap_err().to_string();
        assert_eq!(
            refused("app::**, app::[a-z]"),
            "`app::[a-z]` is no glob over `target::name`: `[` has no meaning in it; one is `app::*::http_request`, \
             or `app::**`"
        );

        assert!(refused("a,,b").contains("`` is no glob over `target::name`: it is empty"));
        assert!(refused("a:b").contains("separated by `::`"));
        assert!(refused("a::::b").contains("none is empty"));
        assert!(refused("a::***").contains("two stars"));
        assert!(refused(&"a".repeat(300)).contains("256 bytes"));
        assert!(refused(&vec!["a"; 65].join(",")).contains("64 are the most"));
        assert_eq!(CarrierGlob::list(" ").unwrap(), []);
        assert_eq!(CarrierGlob::list("a::b, c").unwrap().len(), 2);
    }
}
