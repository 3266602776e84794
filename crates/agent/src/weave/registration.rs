//! Tracepoints that become known as the program runs: they join the catalogue, and what a frontend wants woven
//! there is woven at once.

use crate::report::fork::is_forked;
use crate::site::catalogue;
use crate::site::declaration::{Constants, ExportedField, SourceLocation};
use crate::site::tracepoint::Tracepoint;
use crate::weave::weaver::weave_new;
use pivot_advice::Value;
use std::sync::atomic::AtomicU8;

impl Tracepoint {
    /// Adds a tracepoint that no macro declared, for as long as the process lives: that of a library's
    /// own instrumentation, or of a library that was loaded as the program ran. What a frontend wants
    /// woven there is woven at once; of the fields that it observes, those that are not here are null,
    /// since another of the same name may have them.
    pub fn register(name: &str, fields: &[ExportedField], location: SourceLocation) -> &'static Tracepoint {
        Tracepoint::register_with(name, fields, |_| None, location)
    }

    /// Registers a tracepoint some fields of which always have the same value, which `constants` returns. Advice with a
    /// condition that such a value rules out is not woven here at all.
    pub fn register_with(
        name: &str,
        fields: &[ExportedField],
        constants: impl Fn(&str) -> Option<Value> + Send + Sync + 'static,
        location: SourceLocation,
    ) -> &'static Tracepoint {
        // Leaked: it is known for as long as the process lives, and advice refers to it.
        let name: &'static str = Box::leak(Box::<str>::from(name));
        let fields: &'static [ExportedField] = Box::leak(Box::<[ExportedField]>::from(fields));
        let flag: &'static AtomicU8 = Box::leak(Box::new(AtomicU8::new(0)));
        let constants: Constants = Box::leak(Box::new(constants));
        let tracepoint = Tracepoint::registered(name, fields, constants, location, flag);
        let tracepoint: &'static Tracepoint = Box::leak(Box::new(tracepoint));

        // Known first, woven then: a weaving in between finds it in the catalogue.
        catalogue::add(tracepoint);
        weave_new(tracepoint);
        tracepoint
    }
}

/// Takes in the tracepoints of a library that was loaded as the program ran and that shares this crate's
/// code with it but has slices of its own: what it finds in its own
/// [`TRACEPOINTS_V0`](crate::TRACEPOINTS_V0). A library with a copy of the crate is an agent of its own instead.
pub fn adopt(tracepoints: &[&'static Tracepoint]) {
    if !is_forked() {
        catalogue::add_unknown(tracepoints).into_iter().for_each(weave_new);
    }
}
