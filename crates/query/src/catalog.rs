//! The tracepoints and named queries that a query may use.
//!
//! One tracepoint is exported by many agents, and by several places of one program; the catalogue
//! unites what they say: fields by name, differing types to [`Type::Any`].
//!
//! A catalogue is made of agents' exports ([`Catalog::add_agent`]), or is kept by somebody who unites them himself
//! while agents come and go ([`Catalog::put`]). A copy shares its tracepoints with the original, and their numbers of
//! exporters: those are of the agents that there are now.

use crate::exporter_count::ExporterCount;
use crate::syntax::ast::TracepointPattern;
use pivot_advice::{Exports, Pattern, Type, canonical_field, default_fields};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that agents export and users have named.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    tracepoints: BTreeMap<Arc<str>, Arc<CatalogTracepoint>>,
    queries: BTreeMap<String, String>,
}

/// One tracepoint as all its exporters together describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogTracepoint {
    /// Full name, with its location if it is a function.
    pub name: String,
    /// The exported fields in order of first appearance, without the default fields.
    pub fields: Vec<CatalogField>,
    /// The number of agents that export it.
    pub exporters: ExporterCount,
}

/// One field of a tracepoint in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogField {
    /// The name queries use.
    pub name: String,
    /// Its type; [`Type::Any`] where exporters differ.
    pub ty: Type,
    /// The number of the tracepoint's exporters that have it.
    pub exporters: ExporterCount,
    /// Whether exporters disagree about its type.
    pub differs: bool,
}

impl Catalog {
    /// Adds what one agent exports at one place.
    pub fn add(&mut self, exports: &Exports) {
        self.add_agent(std::slice::from_ref(exports));
    }

    /// Adds all that one agent exports; several places of one name are one exporter.
    pub fn add_agent(&mut self, exports: &[Exports]) {
        let mut own: BTreeMap<&str, BTreeMap<&str, Type>> = BTreeMap::new();
        let mut order: Vec<(&str, &str)> = Vec::new();

        // First what the agent's own places say together, which it may say in different types.
        for exports in exports {
            let fields = own.entry(&exports.tracepoint).or_default();
            for field in &exports.fields {
                let known = fields.entry(&field.name).or_insert(field.ty);
                if *known != field.ty {
                    *known = Type::Any;
                }
                order.push((&exports.tracepoint, &field.name));
            }
        }
        for tracepoint in own.keys() {
            self.entry(tracepoint).exporters.increment();
        }

        // Then each field once, in the order of first appearance.
        for (tracepoint, field) in order {
            let ty = own.get_mut(tracepoint).and_then(|fields| fields.remove(field));
            if let Some(ty) = ty {
                self.entry(tracepoint).unite(field, ty);
            }
        }
    }

    fn entry(&mut self, name: &str) -> &mut CatalogTracepoint {
        let known = self.tracepoints.entry(name.into()).or_insert_with(|| {
            let exporters = ExporterCount::default();
            Arc::new(CatalogTracepoint { name: name.to_owned(), fields: Vec::new(), exporters })
        });
        Arc::make_mut(known)
    }

    /// Adds a tracepoint as all its exporters together describe it, or takes the place of an earlier description.
    pub fn put(&mut self, tracepoint: CatalogTracepoint) {
        self.tracepoints.insert(tracepoint.name.as_str().into(), Arc::new(tracepoint));
    }

    /// Removes a tracepoint that nobody exports any more.
    pub fn remove(&mut self, name: &str) {
        self.tracepoints.remove(name);
    }

    /// Returns the names that a pattern matches. The error says why it is no pattern.
    pub(crate) fn matching(&self, pattern: &TracepointPattern) -> Result<Vec<&str>, String> {
        let (text, location) = match pattern.text.rsplit_once('@') {
            Some((text, location)) if !pattern.is_regex => (text, Some(location)),
            _ => (pattern.text.as_str(), None),
        };
        let source = if pattern.is_regex { text.to_owned() } else { glob(text) };
        let regex = Pattern::regex(&source)?;

        // A regular expression with an @ is meant for names with their location.
        let sees_location = pattern.is_regex && text.contains('@');
        let is_pattern = pattern.is_regex || text.contains('*');
        let mut names = Vec::new();
        for name in self.tracepoints.keys() {
            let (base, at) = match name.split_once('@') {
                Some((base, at)) => (base, Some(at)),
                None => (&**name, None),
            };
            let is_wanted = match location {
                Some(_) => at == location,
                // A pattern is for names at every location; a name alone means the entry of a function.
                None => is_pattern || at.is_none_or(|at| at == "enter"),
            };
            if is_wanted && regex.matches(if sees_location { name } else { base }) {
                names.push(&**name);
            }
        }
        Ok(names)
    }

    /// Names a query, so that others can use it as a source; a later text replaces an earlier one.
    pub fn add_query(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.queries.insert(name.into(), text.into());
    }

    /// Takes the name of a query away.
    pub fn remove_query(&mut self, name: &str) {
        self.queries.remove(name);
    }

    /// Returns all tracepoints, by name.
    pub fn tracepoints(&self) -> impl Iterator<Item = &CatalogTracepoint> {
        self.tracepoints.values().map(|tracepoint| &**tracepoint)
    }

    /// Returns the tracepoint of a full name, or `None` if nobody exports it.
    pub fn tracepoint(&self, name: &str) -> Option<&CatalogTracepoint> {
        self.tracepoints.get(name).map(|tracepoint| &**tracepoint)
    }

    /// Returns all named queries with their text, by name.
    pub fn queries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.queries.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Returns the text of a named query, or `None` if there is none of that name.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.queries.get(name).map(String::as_str)
    }

    /// Returns the tracepoint that a query means by a name: a function's name alone means its entry.
    pub(crate) fn meant_by(&self, name: &str) -> Option<&CatalogTracepoint> {
        self.tracepoint(name).or_else(|| self.tracepoint(&format!("{name}@enter")))
    }
}

impl CatalogTracepoint {
    /// Returns the name and type of a field in any accepted spelling, default fields included, or `None` if
    /// the tracepoint does not have it.
    pub fn field<'a>(&'a self, name: &'a str) -> Option<(&'a str, Type)> {
        if let Some(found) = self.fields.iter().find(|field| field.name == name) {
            return Some((&found.name, found.ty));
        }
        default_field(name)
    }

    /// Returns whether only some exporters have the field.
    pub fn is_partial(&self, field: &CatalogField) -> bool {
        field.exporters.get() < self.exporters.get()
    }

    fn unite(&mut self, name: &str, ty: Type) {
        match self.fields.iter_mut().find(|field| field.name == name) {
            Some(field) => {
                field.exporters.increment();
                field.differs |= field.ty != ty;
                field.ty = if field.ty == ty { ty } else { Type::Any };
            }

            None => {
                let (name, exporters) = (name.to_owned(), ExporterCount::default());
                exporters.increment();
                self.fields.push(CatalogField { name, ty, exporters, differs: false });
            }
        }
    }
}

/// Returns a glob as a regular expression: `*` within a segment, `**` across segments.
fn glob(text: &str) -> String {
    let mut out = String::from("^");
    let mut rest = text;

    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**") {
            out.push_str(".*");
            rest = after.trim_start_matches('*');
            continue;
        }

        // Signs such as a dot mean themselves.
        match first {
            '*' => out.push_str("[^.:]*"),
            letter if letter.is_alphanumeric() || letter == '_' => out.push(letter),
            other => {
                out.push('\\');
                out.push(other);
            }
        }
        rest = &rest[first.len_utf8()..];
    }
    out.push('$');
    out
}

/// Returns the default field of a name or alias, or `None` if it is not a default field.
pub(crate) fn default_field(name: &str) -> Option<(&'static str, Type)> {
    let name = canonical_field(name);
    default_fields().iter().find(|(field, _)| *field == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::FieldDescriptor;

    fn exports(fields: &[(&str, Type)]) -> Exports {
        let fields =
            fields.iter().map(|(name, ty)| FieldDescriptor { name: (*name).into(), ty: *ty }).collect();
        Exports { tracepoint: "T".into(), fields, file: String::new(), line: 1, module: String::new() }
    }

    #[test]
    fn patterns_match_by_segments() {
        let mut catalog = Catalog::default();
        for name in ["rpc::get", "rpc::get::inner", "rpc.put", "Read@enter", "Read@exit", "Reader"] {
            catalog.add(&Exports { tracepoint: name.into(), ..exports(&[]) });
        }
        let matched = |text: &str, is_regex| {
            let pattern = TracepointPattern { text: text.into(), is_regex, fields: vec![] };
            catalog.matching(&pattern).map(|names| names.join(" ")).unwrap_or_else(|why| why)
        };

        assert_eq!(matched("rpc::*", false), "rpc::get");
        assert_eq!(matched("rpc::**", false), "rpc::get rpc::get::inner");
        assert_eq!(matched("**", false), "Read@enter Read@exit Reader rpc.put rpc::get rpc::get::inner");
        assert_eq!(matched("R*d", false), "Read@enter Read@exit");
        assert_eq!(matched("^Read$", true), "Read@enter Read@exit");
        assert_eq!(matched("Read", false), "Read@enter");
        assert_eq!(matched("R*@exit", false), "Read@exit");
        assert_eq!(matched("^rpc.*t$", true), "rpc.put rpc::get");
        assert_eq!(matched("@exit$", true), "Read@exit");
        assert!(matched("(", true).contains("without closing"), "{}", matched("(", true));
    }

    #[test]
    fn exporters_of_one_tracepoint_are_united() {
        let mut catalog = Catalog::default();
        catalog.add(&exports(&[("a", Type::U64), ("b", Type::String)]));
        catalog.add(&exports(&[("a", Type::I64)]));
        let found = catalog.tracepoint("T").cloned();
        let found = found.unwrap_or_else(|| panic!("T was added"));
        assert_eq!(found.field("a"), Some(("a", Type::Any)));
        assert_eq!(found.field("procName"), Some(("process", Type::String)));
        let partial: Vec<bool> = found.fields.iter().map(|field| found.is_partial(field)).collect();
        assert_eq!(partial, [false, true]);
    }
}
