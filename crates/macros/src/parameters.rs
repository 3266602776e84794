//! Moves a function's arguments into the closure or the async block that its body becomes.
//!
//! A closure captures what its body mentions, piece by piece, and drops it in that order. A function drops its
//! arguments last, in reverse order, mentioned or not; so each is moved as a whole, by name:
//!
//! ```text
//! fn put(a: Lock, mut n: u64, (x, _): Pair)  ──▶  fn put(a: Lock, n: u64, parameter: Pair)
//!                                                     let a = a; let mut n = n; let (x, _) = parameter; body
//! ```

use crate::arguments::FieldArgument;
use crate::hygiene::hygienic;
use proc_macro2::TokenStream;
use quote::quote;
use syn::visit::Visit;
use syn::{FnArg, Pat, PatIdent, PatType, Signature, Type, parse_quote};

/// A signature, and the statements at the beginning of the body that move the arguments there.
pub(crate) struct MovedParameters {
    pub(crate) signature: Signature,
    pub(crate) rebound: TokenStream,
}

/// Returns how the arguments of a function get into its body. The names that `fields` may use stay outside too.
pub(crate) fn moved_into_body(signature: &Signature, fields: &[FieldArgument]) -> MovedParameters {
    // A field uses its names outside, so within they may be unused.
    let lints = match fields.is_empty() {
        true => quote!(#[allow(clippy::all, clippy::pedantic)]),
        false => quote!(#[allow(unused_variables, clippy::all, clippy::pedantic)]),
    };

    let mut signature = signature.clone();
    let mut rebound = TokenStream::new();
    for (index, parameter) in signature.inputs.iter_mut().enumerate() {
        rebound.extend(match parameter {
            FnArg::Receiver(receiver) => match &*receiver.ty {
                Type::Reference(_) => quote!(),
                // `self` cannot be bound again; a reference to it is enough for all of it to be captured.
                _ => quote!(let _ = &self;),
            },
            FnArg::Typed(typed) => match &*typed.pat {
                Pat::Ident(name) if is_plain_name(name) => rebind_name(typed, &lints),
                _ if fields.is_empty() => destructure_inside(typed, index, &lints),
                _ => rebind_all_names(typed, &lints),
            },
        });
    }
    MovedParameters { signature, rebound }
}

/// Returns whether a pattern is a name, perhaps with `mut`.
fn is_plain_name(name: &PatIdent) -> bool {
    name.by_ref.is_none() && name.subpat.is_none()
}

/// Moves an argument that has a name. A reference needs no move: dropping it does nothing.
fn rebind_name(typed: &mut PatType, lints: &TokenStream) -> TokenStream {
    let Pat::Ident(name) = &mut *typed.pat else { return TokenStream::new() };
    let (ident, mutability) = (&name.ident, name.mutability.take());
    if mutability.is_none() && matches!(*typed.ty, Type::Reference(_)) {
        return TokenStream::new();
    }
    let attributes = &typed.attrs;
    quote!(#(#attributes)* #lints let #mutability #ident = #ident;)
}

/// Gives an argument a name and takes it apart within the body.
fn destructure_inside(typed: &mut PatType, index: usize, lints: &TokenStream) -> TokenStream {
    let name = hygienic(&format!("parameter_{index}"));
    let whole = std::mem::replace(&mut *typed.pat, parse_quote!(#name));
    let attributes = &typed.attrs;

    // Bound to a name first: what the pattern leaves out is dropped with the arguments, and not at once.
    quote! {
        #(#attributes)* #lints let #name = #name;
        #(#attributes)* #lints let #whole = #name;
    }
}

/// Moves what a pattern binds, of an argument that is taken apart in the signature.
fn rebind_all_names(typed: &PatType, lints: &TokenStream) -> TokenStream {
    #[derive(Default)]
    struct BoundNames(Vec<PatIdent>);
    impl Visit<'_> for BoundNames {
        fn visit_pat_ident(&mut self, name: &PatIdent) {
            self.0.push(name.clone());
            syn::visit::visit_pat_ident(self, name);
        }
    }

    let mut names = BoundNames::default();
    names.visit_pat(&typed.pat);
    let attributes = &typed.attrs;
    let rebound = names
        .0
        .iter()
        .filter(|name| name.by_ref.is_none())
        .map(|PatIdent { ident, .. }| quote!(#(#attributes)* #lints let #ident = #ident;));
    rebound.collect()
}
