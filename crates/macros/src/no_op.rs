//! Without the runtime: the function as it is, and an error for what would be one with it.

use crate::expand::expand;
use proc_macro2::TokenStream;
use syn::Result;

pub(crate) fn check(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    expand(arguments, item.clone())?;
    Ok(item)
}
