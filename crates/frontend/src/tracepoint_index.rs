//! All declarations of each tracepoint, united: what the catalogue says of it, kept while declarations come and go.
//!
//! A declaration that comes or goes costs its own size, however many others there are of its tracepoint.

use crate::program_tracepoint::ProgramTracepoint;
use pivot_advice::Type;
use pivot_query::{CatalogField, CatalogTracepoint, ExporterCount};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether the catalogue says something else of a tracepoint than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexChange {
    /// Its fields or their types have changed, or nobody declared it before.
    Changed,
    /// Its numbers and places at most.
    Same,
    /// Nobody declares it any more.
    Unused,
}

/// All known tracepoints, by name.
#[derive(Debug, Default)]
pub(crate) struct TracepointIndex {
    tracepoints: BTreeMap<Arc<str>, KnownTracepoint>,
}

/// A tracepoint as all declarations of it together say.
#[derive(Debug, Default)]
struct KnownTracepoint {
    exporters: ExporterCount,
    declarations: usize,
    fields: BTreeMap<Arc<str>, KnownField>,
    /// The rank of the next new field.
    next_rank: u64,
    places: BTreeMap<Arc<str>, KnownPlace>,
}

#[derive(Debug)]
struct KnownField {
    /// In order of first appearance.
    rank: u64,
    exporters: ExporterCount,
    /// How many declarations give it each type.
    types: Vec<(Type, usize)>,
}

#[derive(Debug, Default)]
struct KnownPlace {
    exporters: ExporterCount,
    declarations: usize,
}

impl TracepointIndex {
    /// Returns the number of tracepoints.
    pub(crate) fn len(&self) -> usize {
        self.tracepoints.len()
    }

    /// Returns whether a tracepoint is known, declared or kept.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.tracepoints.contains_key(name)
    }

    /// Whether anybody declares a tracepoint.
    pub(crate) fn is_declared(&self, name: &str) -> bool {
        self.tracepoints.get(name).is_some_and(|known| known.declarations > 0)
    }

    /// Adds a declaration, and gives it the counts of what it declares.
    pub(crate) fn declare(&mut self, declared: &mut ProgramTracepoint) -> IndexChange {
        let known = self.tracepoints.entry(declared.name.clone()).or_default();
        let mut change = IndexChange::Same;
        if known.declarations == 0 {
            // What is left of those who declared it before is no longer true.
            known.fields.clear();
            change = IndexChange::Changed;
        }
        known.declarations += 1;
        declared.exporters = known.exporters.clone();

        for field in &mut declared.fields {
            let next_rank = &mut known.next_rank;
            let entry = known.fields.entry(field.name.clone()).or_insert_with(|| {
                *next_rank += 1;
                KnownField { rank: *next_rank, exporters: ExporterCount::default(), types: Vec::new() }
            });
            field.exporters = entry.exporters.clone();
            if entry.add_type(field.ty) {
                change = IndexChange::Changed;
            }
        }
        for place in &mut declared.places {
            let entry = known.places.entry(place.place.clone()).or_default();
            entry.declarations += 1;
            place.exporters = entry.exporters.clone();
        }
        change
    }

    /// Takes a declaration away that was added.
    pub(crate) fn undeclare(&mut self, declared: &ProgramTracepoint) -> IndexChange {
        let Some(known) = self.tracepoints.get_mut(&declared.name) else { return IndexChange::Unused };
        known.declarations -= 1;
        for place in &declared.places {
            let Some(entry) = known.places.get_mut(&place.place) else { continue };
            entry.declarations -= 1;
            if entry.declarations == 0 {
                known.places.remove(&place.place);
            }
        }

        // What a query was compiled against stays until the tracepoint is forgotten or declared anew.
        if known.declarations == 0 {
            return IndexChange::Unused;
        }
        let mut change = IndexChange::Same;
        for field in &declared.fields {
            let Some(entry) = known.fields.get_mut(&field.name) else { continue };
            if entry.remove_type(field.ty) {
                change = IndexChange::Changed;
            }
            if entry.types.is_empty() {
                known.fields.remove(&field.name);
            }
        }
        change
    }

    /// Forgets a tracepoint that nobody declares.
    pub(crate) fn forget(&mut self, name: &str) {
        self.tracepoints.remove(name);
    }

    /// Returns what the catalogue says of a tracepoint, or `None` if it is not known.
    pub(crate) fn describe(&self, name: &str) -> Option<CatalogTracepoint> {
        let known = self.tracepoints.get(name)?;
        let mut fields: Vec<_> = known.fields.iter().collect();
        fields.sort_unstable_by_key(|(_, field)| field.rank);

        let described = fields.into_iter().map(|(name, field)| CatalogField {
            name: name.to_string(),
            ty: field.ty(),
            exporters: field.exporters.clone(),
            differs: field.types.len() > 1,
        });
        Some(CatalogTracepoint {
            name: name.to_owned(),
            fields: described.collect(),
            exporters: known.exporters.clone(),
        })
    }

    /// Returns the places of a tracepoint that connected agents have, in order.
    pub(crate) fn places(&self, name: &str) -> impl Iterator<Item = &Arc<str>> {
        let places = self.tracepoints.get(name).map(|known| &known.places).into_iter().flatten();
        places.filter(|(_, place)| place.exporters.get() > 0).map(|(place, _)| place)
    }
}

impl KnownField {
    fn ty(&self) -> Type {
        match self.types.as_slice() {
            [(ty, _)] => *ty,
            _ => Type::Any,
        }
    }

    /// Notes that one more declaration gives it a type. Returns whether that is new.
    fn add_type(&mut self, ty: Type) -> bool {
        let known = self.types.iter_mut().find(|(known, _)| *known == ty);
        let is_new = known.is_none();
        match known {
            Some((_, declarations)) => *declarations += 1,
            None => self.types.push((ty, 1)),
        }
        is_new
    }

    /// Notes that one declaration less gives it a type. Returns whether none does any more.
    fn remove_type(&mut self, ty: Type) -> bool {
        let before = self.types.len();
        if let Some((_, declarations)) = self.types.iter_mut().find(|(known, _)| *known == ty) {
            *declarations -= 1;
        }
        self.types.retain(|(_, declarations)| *declarations > 0);
        self.types.len() < before
    }
}
