//! Names for what the expansion declares around a body.

use proc_macro2::{Ident, Span};

/// Returns a name that the body cannot see.
pub(crate) fn hygienic(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
