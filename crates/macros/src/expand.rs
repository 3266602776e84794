//! Writes the function with its tracepoints.
//!
//! ```text
//! #[tracepoints("read", fields(n: u64 = n))]           fn read(n: u64) -> io::Result<u64> {
//! fn read(n: u64) -> io::Result<u64> {                     let enter = { declare read@enter };
//!     open(n)?;                                  ──▶       if enter.is_woven() { fire(n) }
//!     Ok(n)                                                let exit = FunctionExitGuard::begin(…);
//! }                                                        let result: io::Result<u64> = run(move || -> io::Result<u64> {
//!                                                              open(n)?;
//!                                                              Ok(n)
//!                                                          });
//!                                                          exit.finish(outcome of &result);
//!                                                          result
//!                                                      }
//! ```
//!
//! The body becomes a closure, or an async block, so that `return` and `?` leave it and not the function.
//! `exit` is a guard: dropped without `finish`, it reports a panic or a cancelled future. Names made here
//! are hygienic: the body does not see them.

use crate::arguments::{FieldArgument, FieldConversion, TracepointArguments};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::visit::Visit;
use syn::{AttrStyle, Error, ItemFn, LitStr, Result, ReturnType, TypeImplTrait};

/// Expands the attribute, or returns the error to show in its place.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments: TracepointArguments = syn::parse2(arguments)?;

    // An error of `syn` would point at the token that is no function's; the item as a whole is wrong.
    let first = item.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span());
    let function: ItemFn = syn::parse2(item).map_err(|error| {
        Error::new(first, format!("`tracepoints` goes on a function with a body: {error}"))
    })?;

    if let Some(constant) = &function.sig.constness {
        return Err(Error::new_spanned(constant, "a `const fn` cannot have tracepoints"));
    }
    Ok(instrumented(&arguments, &function))
}

/// Writes the function: attributes and signature as they are, tracepoints around the body.
fn instrumented(arguments: &TracepointArguments, function: &ItemFn) -> TokenStream {
    let ItemFn { attrs, vis, sig, .. } = function;

    let fields: Vec<_> = arguments.fields.iter().map(declaration).collect();
    let elapsed = quote!(("elapsed", ::pivot::__private::Type::Duration));
    let outcome = quote!(("outcome", ::pivot::__private::Type::String));
    let result = quote!(("result", ::pivot::__private::Type::Any));
    let error = quote!(("error", ::pivot::__private::Type::String));
    let enter = site(&tracepoint_name(arguments, function, "enter"), &fields, &[]);
    let exit =
        site(&tracepoint_name(arguments, function, "exit"), &fields, &[elapsed.clone(), outcome, result]);
    let error = site(&tracepoint_name(arguments, function, "error"), &fields, &[elapsed, error]);

    // Written twice: once for `@enter`, and once for the guard, which keeps what its advice observes.
    let values: Vec<_> = arguments.fields.iter().map(value).collect();
    let count = values.len();
    let (enter_index, exit_index) = (0..count, 0..count);

    let entered = hygienic("enter");
    let guard = hygienic("exit");
    let at = hygienic("index");
    let rest = guarded_body(function, &guard);

    // Inner attributes (`#![..]`) must stay the first in the body.
    let (outer, inner): (Vec<_>, Vec<_>) =
        attrs.iter().partition(|attribute| matches!(attribute.style, AttrStyle::Outer));

    quote! {
        #(#outer)*
        #vis #sig {
            #(#inner)*
            let #entered = #enter;
            if #entered.is_woven() {
                #entered.tracepoint.fire(&|#at: usize| match #at {
                    #(#enter_index => #values,)*
                    _ => ::pivot::__private::Value::Null,
                });
            }
            let #guard = ::pivot::__private::site::function::FunctionExitGuard::begin(#exit, #error, #count, |#at: usize| match #at {
                #(#exit_index => #values,)*
                _ => ::pivot::__private::Value::Null,
            });
            #rest
        }
    }
}

/// Returns a name that the body cannot see.
fn hygienic(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// Returns the name of a tracepoint: the one that is given, or the function's, with `@` and the event.
fn tracepoint_name(arguments: &TracepointArguments, function: &ItemFn, event: &str) -> LitStr {
    match &arguments.name {
        Some(name) => LitStr::new(&format!("{}@{event}", name.value()), name.span()),
        None => {
            let ident = &function.sig.ident;
            LitStr::new(&format!("{}@{event}", ident.unraw()), ident.span())
        }
    }
}

/// Writes the body, and tells the guard how it ended.
fn guarded_body(function: &ItemFn, guard: &Ident) -> TokenStream {
    if let ReturnType::Type(_, ty) = &function.sig.output
        && let syn::Type::Never(_) = **ty
    {
        // It ends by a panic or by being dropped, which the guard notices by itself.
        let statements = &function.block.stmts;
        return quote!(#(#statements)*);
    }

    let returned = hygienic("result");
    let annotation = annotation(&function.sig.output).map(|ty| quote!(: #ty));
    let body = body(function);

    // The references choose among traits by autoref: the first that the type of the result has decides
    // how it is exported.
    quote! {
        #[allow(clippy::let_unit_value)]
        let #returned #annotation = #body;
        #guard.finish(|wanted| {
            #[allow(unused_imports)]
            use ::pivot::__private::site::function::{
                OfAny as _, OfError as _, OfErrorDebug as _, OfErrorDisplay as _, OfExport as _,
                OfResultDebug as _, OfResultDisplay as _,
            };
            #[allow(clippy::needless_borrow)]
            (&&&&&&&::pivot::__private::site::function::ReturnedValue(&#returned)).outcome(wanted)
        });
        #returned
    }
}

/// Declares one tracepoint, in a block of its own so that its statics do not meet those of the others.
fn site(name: &LitStr, fields: &[TokenStream], last: &[TokenStream]) -> TokenStream {
    quote! {{
        ::pivot::__private::__declare!(#name, [#(#fields,)* #(#last),*]);
        ::pivot::__private::site::function::FunctionTracepoint { flag: &FLAG, tracepoint: &TRACEPOINT }
    }}
}

/// Writes the name and the type of a field.
fn declaration(field: &FieldArgument) -> TokenStream {
    let (name, kind) = (field.name.unraw().to_string(), field_kind(field));
    let ty = match &field.capture {
        FieldConversion::Typed(ty) => quote!(<#ty as ::pivot::__private::Export>::TYPE),
        FieldConversion::Display | FieldConversion::Debug => quote!(::pivot::__private::Type::String),
        FieldConversion::Any => quote!(::pivot::__private::Type::Any),
    };
    quote!((#name, #kind::ty(#ty)))
}

/// Writes the value of a field.
fn value(field: &FieldArgument) -> TokenStream {
    let (value, own, kind) = (&field.value, hygienic("value"), field_kind(field));
    // Bound to a variable of the declared type, so that a wrong type is an error at the field.
    let exported = match &field.capture {
        FieldConversion::Typed(ty) => quote!({
            let #own: #ty = #value;
            ::pivot::__private::Export::export(&#own)
        }),
        FieldConversion::Display => {
            quote!(::pivot::__private::site::formatted::formatted(::core::format_args!("{}", #value)))
        }
        FieldConversion::Debug => {
            quote!(::pivot::__private::site::formatted::formatted(::core::format_args!("{:?}", #value)))
        }
        FieldConversion::Any => quote!(::pivot::__private::Export::export(&#value)),
    };

    quote!(#kind::value(#exported))
}

/// Names the wrapper that lets queries see the value of a field, or a hash of it.
fn field_kind(field: &FieldArgument) -> TokenStream {
    if field.sensitive {
        quote!(::pivot::__private::site::fields::SensitiveField)
    } else {
        quote!(::pivot::__private::site::fields::PlainField)
    }
}

/// Writes the body as a closure that is called, or as an async block that is awaited.
fn body(function: &ItemFn) -> TokenStream {
    let block = &function.block;
    let ty = annotation(&function.sig.output);
    if function.sig.asyncness.is_none() {
        let output = ty.map(|ty| quote!(-> #ty));
        return quote!(::pivot::__private::site::function::run(move || #output #block));
    }

    // An async block has no syntax for its type: a return that never happens tells it.
    let never = hygienic("never");
    let hint = ty.map(|ty| {
        quote! {
            #[allow(unreachable_code, clippy::all)]
            if false {
                let #never: #ty = loop {};
                return #never;
            }
        }
    });

    let statements = &block.stmts;
    quote!(async move { #hint #(#statements)* }.await)
}

/// Returns the type that the function returns, or `None` if it may not be written within the function:
/// `impl Trait` is allowed in signatures alone.
fn annotation(output: &ReturnType) -> Option<TokenStream> {
    let ReturnType::Type(_, ty) = output else { return Some(quote!(())) };
    let mut finder = ImplTraitFinder::default();
    finder.visit_type(ty);
    (!finder.found).then(|| ty.to_token_stream())
}

/// Looks for `impl Trait` anywhere in a type.
#[derive(Default)]
struct ImplTraitFinder {
    found: bool,
}

impl Visit<'_> for ImplTraitFinder {
    fn visit_type_impl_trait(&mut self, _: &TypeImplTrait) {
        self.found = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the attribute's error, or `no error`, contains a text.
    fn check(arguments: TokenStream, item: TokenStream, expected: &str) {
        let message = expand(arguments, item).map_or_else(|error| error.to_string(), |_| "no error".into());
        assert!(message.contains(expected), "`{message}` does not say `{expected}`");
    }

    fn function() -> TokenStream {
        quote!(
            fn read(n: u64) -> u64 {
                n
            }
        )
    }

    #[test]
    fn a_function_may_have_a_name_and_fields() {
        check(quote!(), function(), "no error");
        check(quote!("Reader.read"), function(), "no error");
        check(
            quote!(fields(n: u64 = n, sensitive(user) = "x", text = %n, debug = ?n)),
            function(),
            "no error",
        );
        check(quote!("Reader.read", fields(n = n)), function(), "no error");
    }

    #[test]
    fn errors_say_what_was_expected() {
        check(quote!(4), function(), "expected a name in quotes, or `fields(name: type = expr, ..)`");
        check(quote!("a@b"), function(), "a tracepoint's name is not empty and has no `@`");
        check(quote!(fields(n)), function(), "expected `= expr`, the value of field `n`");
        check(quote!(fields(n = n, n = n)), function(), "field `n` is given twice");
        check(
            quote!(fields(elapsed = n)),
            function(),
            "`elapsed` is a field that the attribute itself exports",
        );
        check(
            quote!(fields(sensitive(a, b) = n)),
            function(),
            "expected one field's name in `sensitive(..)`",
        );
        check(quote!("a", fields(n = n), 5), function(), "expected nothing after the fields");
        check(
            quote!(),
            quote!(
                struct Reader;
            ),
            "`tracepoints` goes on a function with a body",
        );
        check(
            quote!(),
            quote!(
                fn read(&self);
            ),
            "`tracepoints` goes on a function with a body",
        );
        check(
            quote!(),
            quote!(
                const fn read() {}
            ),
            "a `const fn` cannot have tracepoints",
        );
    }
}
