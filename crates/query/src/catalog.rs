//! The tracepoints and named queries that a query may use.
//!
//! One tracepoint is exported by many agents, and by several places of one program; the catalogue
//! unites what they say: fields by name, differing types to [`Type::Any`].

use pivot_advice::{Exports, Type, canonical_field, default_fields};
use std::collections::BTreeMap;

/// Everything that agents export and users have named.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    tracepoints: BTreeMap<String, Tracepoint>,
    queries: BTreeMap<String, String>,
}

/// One tracepoint as all its exporters together describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracepoint {
    /// Full name, with its location if it is a function.
    pub name: String,
    /// The exported fields in order of first appearance, without the default fields.
    pub fields: Vec<CatalogField>,
    /// How many times it was added.
    pub exporters: usize,
}

/// One field of a tracepoint in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogField {
    /// The name queries use.
    pub name: String,
    /// Its type; [`Type::Any`] where exporters differ.
    pub ty: Type,
    /// How many of the tracepoint's exporters have it.
    pub exporters: usize,
}

impl Catalog {
    /// Adds what one place of one agent exports.
    pub fn add(&mut self, exports: &Exports) {
        let entry = self.tracepoints.entry(exports.tracepoint.clone()).or_insert_with(|| Tracepoint {
            name: exports.tracepoint.clone(),
            fields: Vec::new(),
            exporters: 0,
        });
        entry.exporters += 1;
        for field in &exports.fields {
            entry.unite(&field.name, field.ty);
        }
    }

    /// Names a query, so that others can use it as a source; a later text replaces an earlier one.
    pub fn add_query(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.queries.insert(name.into(), text.into());
    }

    /// All tracepoints, by name.
    pub fn tracepoints(&self) -> impl Iterator<Item = &Tracepoint> {
        self.tracepoints.values()
    }

    /// The tracepoint of that full name.
    pub fn tracepoint(&self, name: &str) -> Option<&Tracepoint> {
        self.tracepoints.get(name)
    }

    /// All named queries with their text, by name.
    pub fn queries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.queries.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The text of a named query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.queries.get(name).map(String::as_str)
    }

    /// The tracepoint that a query means by a name: a function's name alone means its entry.
    pub(crate) fn meant_by(&self, name: &str) -> Option<&Tracepoint> {
        let entry = || self.tracepoints.get(&format!("{name}@enter"));
        self.tracepoints.get(name).or_else(entry)
    }
}

impl Tracepoint {
    /// The name and type of a field in any accepted spelling, default fields included.
    pub fn field<'a>(&'a self, name: &'a str) -> Option<(&'a str, Type)> {
        if let Some(found) = self.fields.iter().find(|field| field.name == name) {
            return Some((&found.name, found.ty));
        }
        default_field(name)
    }

    /// Whether only some exporters have the field.
    pub fn is_partial(&self, field: &CatalogField) -> bool {
        field.exporters < self.exporters
    }

    fn unite(&mut self, name: &str, ty: Type) {
        match self.fields.iter_mut().find(|field| field.name == name) {
            Some(field) => {
                field.exporters += 1;
                field.ty = if field.ty == ty { ty } else { Type::Any };
            }
            None => self.fields.push(CatalogField { name: name.to_owned(), ty, exporters: 1 }),
        }
    }
}

/// The default field of that name or alias.
pub(crate) fn default_field(name: &str) -> Option<(&'static str, Type)> {
    let name = canonical_field(name);
    default_fields().iter().find(|(field, _)| *field == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::Field;

    fn exports(fields: &[(&str, Type)]) -> Exports {
        let fields = fields.iter().map(|(name, ty)| Field { name: (*name).into(), ty: *ty }).collect();
        Exports { tracepoint: "T".into(), fields, file: String::new(), line: 1, module: String::new() }
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
