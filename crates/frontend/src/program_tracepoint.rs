//! A tracepoint as one program declares it, at all its places.

use crate::announced_exports::{AnnouncedTracepoint, ExportsFingerprint};
use pivot_advice::{Exports, Type};
use pivot_query::ExporterCount;
use std::sync::Arc;

/// The most places of one tracepoint in one program.
pub(crate) const MAX_PLACES: usize = 1_000;

/// A tracepoint with what its places in one program say together. Agents that declare the same share it.
#[derive(Debug, Clone)]
pub(crate) struct ProgramTracepoint {
    pub(crate) name: Arc<str>,
    /// The sum of those of its places.
    pub(crate) fingerprint: ExportsFingerprint,
    /// The announcements of it, in the order of their fingerprints.
    members: Vec<AnnouncedTracepoint>,
    /// Agents that export it.
    pub(crate) exporters: ExporterCount,
    /// In order of their first appearance.
    pub(crate) fields: Vec<DeclaredField>,
    /// Each `file:line`.
    pub(crate) places: Vec<DeclaredPlace>,
}

/// A field with the type that the program's places give it: [`Type::Any`] if they differ.
#[derive(Debug, Clone)]
pub(crate) struct DeclaredField {
    pub(crate) name: Arc<str>,
    pub(crate) ty: Type,
    /// Agents that export it.
    pub(crate) exporters: ExporterCount,
}

/// A place in the source.
#[derive(Debug, Clone)]
pub(crate) struct DeclaredPlace {
    pub(crate) place: Arc<str>,
    /// Agents whose program has it.
    pub(crate) exporters: ExporterCount,
}

impl ProgramTracepoint {
    /// Makes a tracepoint without places.
    pub(crate) fn new(name: Arc<str>) -> ProgramTracepoint {
        ProgramTracepoint {
            name,
            fingerprint: 0,
            members: Vec::new(),
            exporters: ExporterCount::default(),
            fields: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Whether a place is among its own.
    pub(crate) fn declares(&self, fingerprint: ExportsFingerprint) -> bool {
        self.members.binary_search_by_key(&fingerprint, |member| member.fingerprint).is_ok()
    }

    /// Returns what was announced of it.
    pub(crate) fn declarations(&self) -> impl Iterator<Item = &Exports> {
        self.members.iter().map(|member| &member.exports)
    }

    /// Returns the number of its places.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Adds places that are not among its own yet.
    pub(crate) fn extend(&mut self, announced: &[AnnouncedTracepoint]) {
        for tracepoint in announced {
            self.fingerprint = self.fingerprint.wrapping_add(tracepoint.fingerprint);
            self.members.push(tracepoint.clone());

            let AnnouncedTracepoint { exports, .. } = tracepoint;
            let place = format!("{}:{}", exports.file, exports.line);
            if self.places.iter().all(|known| *known.place != *place) {
                let exporters = ExporterCount::default();
                self.places.push(DeclaredPlace { place: place.into(), exporters });
            }
        }
        self.members.sort_unstable_by_key(|member| member.fingerprint);
        self.extend_fields(announced);
    }

    fn extend_fields(&mut self, announced: &[AnnouncedTracepoint]) {
        let names = self.fields.iter().zip(0..).map(|(field, position)| (field.name.clone(), position));
        let mut positions: std::collections::HashMap<Arc<str>, usize> = names.collect();

        for field in announced.iter().flat_map(|announced| &announced.exports.fields) {
            if let Some(position) = positions.get(field.name.as_str()) {
                let known = &mut self.fields[*position];
                known.ty = if known.ty == field.ty { known.ty } else { Type::Any };
                continue;
            }
            let name: Arc<str> = field.name.as_str().into();
            positions.insert(name.clone(), self.fields.len());
            self.fields.push(DeclaredField { name, ty: field.ty, exporters: ExporterCount::default() });
        }
    }

    /// Counts an agent more that exports it.
    pub(crate) fn count_agent(&self) {
        self.counts().for_each(ExporterCount::increment);
    }

    /// Counts an agent less.
    pub(crate) fn discount_agent(&self) {
        self.counts().for_each(ExporterCount::decrement);
    }

    fn counts(&self) -> impl Iterator<Item = &ExporterCount> {
        let fields = self.fields.iter().map(|field| &field.exporters);
        let places = self.places.iter().map(|place| &place.exporters);
        std::iter::once(&self.exporters).chain(fields).chain(places)
    }
}
