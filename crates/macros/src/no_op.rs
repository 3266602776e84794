//! The attribute without the runtime: the function as it is.

use crate::expand::expand;
use proc_macro2::TokenStream;
use syn::Result;

/// Returns the function as it is, or the error that the attribute would give with the runtime: a library
/// must not stop compiling when its application turns the runtime on.
pub(crate) fn check(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    expand(arguments, item.clone())?;
    Ok(item)
}
