//! Tracepoints as one message of an agent announces them, with what tells catalogues apart.
//!
//! Made before the frontend's lock is taken: it is the part of the work that grows with the message.

use pivot_advice::Exports;
use pivot_protocol::to_wire;
use prost::Message;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::collections::HashSet;
use std::hash::Hasher;

/// The most tracepoints that are kept of one agent; a tracepoint at two places of its program counts twice.
const MAX_TRACEPOINTS: usize = 20_000;

/// The most fields that all of them may have together.
const MAX_FIELDS: usize = 200_000;

/// The most bytes that all their names and places may have.
const MAX_BYTES: usize = 8 << 20;

/// Tells contents apart: SipHash-2-4 with 128 bits and no key, over a tracepoint as it is on the wire. Those of several
/// are added up, so that their order does not matter. It is the same in other processes and later versions.
pub(crate) type ExportsFingerprint = u128;

/// How much of its room a catalogue takes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CatalogueSize {
    pub(crate) tracepoints: usize,
    fields: usize,
    bytes: usize,
}

impl CatalogueSize {
    fn of(exports: &Exports) -> CatalogueSize {
        let names: usize = exports.fields.iter().map(|field| field.name.len()).sum();
        CatalogueSize {
            tracepoints: 1,
            fields: exports.fields.len(),
            bytes: names + exports.tracepoint.len() + exports.file.len() + exports.module.len(),
        }
    }

    /// Adds one tracepoint if there is room for it, and returns whether there is.
    pub(crate) fn take_in(&mut self, exports: &Exports) -> bool {
        let one = CatalogueSize::of(exports);
        let sum = CatalogueSize {
            tracepoints: self.tracepoints + one.tracepoints,
            fields: self.fields.saturating_add(one.fields),
            bytes: self.bytes.saturating_add(one.bytes),
        };

        let fits = sum.tracepoints <= MAX_TRACEPOINTS && sum.fields <= MAX_FIELDS && sum.bytes <= MAX_BYTES;
        if fits {
            *self = sum;
        }
        fits
    }
}

/// One announced tracepoint.
#[derive(Debug, Clone)]
pub(crate) struct AnnouncedTracepoint {
    pub(crate) exports: Exports,
    pub(crate) fingerprint: ExportsFingerprint,
}

/// The tracepoints of one message, each once, as many as an agent may have.
#[derive(Debug, Default)]
pub(crate) struct AnnouncedExports {
    pub(crate) tracepoints: Vec<AnnouncedTracepoint>,
    /// The fingerprint of all together.
    pub(crate) fingerprint: ExportsFingerprint,
    pub(crate) size: CatalogueSize,
    /// How many there was no room for.
    pub(crate) left_out: u64,
}

impl From<Vec<Exports>> for AnnouncedExports {
    fn from(catalogue: Vec<Exports>) -> AnnouncedExports {
        let mut announced = AnnouncedExports::default();
        let mut known = HashSet::new();

        for exports in catalogue {
            let fingerprint = fingerprint(&exports);
            if !known.insert(fingerprint) {
                continue;
            }
            if announced.size.take_in(&exports) {
                announced.fingerprint = announced.fingerprint.wrapping_add(fingerprint);
                announced.tracepoints.push(AnnouncedTracepoint { exports, fingerprint });
            } else {
                known.remove(&fingerprint);
                announced.left_out += 1;
            }
        }
        announced
    }
}

fn fingerprint(exports: &Exports) -> ExportsFingerprint {
    let mut hasher = SipHasher24::new();
    hasher.write(&to_wire::exports(exports).encode_to_vec());
    hasher.finish128().as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::{FieldDescriptor, Type};

    fn exports(tracepoint: String) -> Exports {
        Exports { tracepoint, fields: vec![], file: String::new(), line: 1, module: String::new() }
    }

    #[test]
    fn order_and_repetition_do_not_tell_catalogues_apart() {
        let announce = |names: &[&str]| {
            let all = names.iter().map(|name| exports((*name).to_owned())).collect::<Vec<_>>();
            AnnouncedExports::from(all)
        };
        let (one, other) = (announce(&["a", "b"]), announce(&["b", "a", "b"]));
        assert_eq!((one.fingerprint, one.size), (other.fingerprint, other.size));
        assert_ne!(one.fingerprint, announce(&["a"]).fingerprint);
    }

    #[test]
    fn a_fingerprint_is_that_of_the_content_and_never_changes() {
        let field = FieldDescriptor { name: "x".into(), ty: Type::I64 };
        let exports = Exports { fields: vec![field], file: "a.rs".into(), ..exports("T".into()) };
        assert_eq!(format!("{:032x}", fingerprint(&exports)), "e7f564b9c5802d003954dd92e004c5f9");
    }

    #[test]
    fn an_agent_announces_so_many_tracepoints_and_bytes_and_the_rest_is_counted() {
        let many = (0..MAX_TRACEPOINTS + 7).map(|i| exports(format!("T{i}"))).collect::<Vec<_>>();
        let found = AnnouncedExports::from(many);
        assert_eq!((found.tracepoints.len(), found.left_out), (MAX_TRACEPOINTS, 7));

        let large = (0..10).map(|i| exports(i.to_string().repeat(1 << 20))).collect::<Vec<_>>();
        let found = AnnouncedExports::from(large);
        assert_eq!((found.tracepoints.len(), found.left_out), (8, 2));
    }
}
