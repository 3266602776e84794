//! The function with its tracepoints.
//!
//! The body becomes a closure, or an async block, so that `return` and `?` leave it and not the
//! function. Names made here are hygienic: the body does not see them.

use crate::arguments::{FieldArgument, FieldCapture, TracepointArguments};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::visit::Visit;
use syn::{AttrStyle, Error, ItemFn, LitStr, Result, ReturnType, TypeImplTrait};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments: TracepointArguments = syn::parse2(arguments)?;
    let first = item.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span());
    let function: ItemFn = syn::parse2(item).map_err(|error| {
        Error::new(first, format!("`tracepoints` goes on a function with a body: {error}"))
    })?;
    if let Some(constant) = &function.sig.constness {
        return Err(Error::new_spanned(constant, "a `const fn` cannot have tracepoints"));
    }
    Ok(traced(&arguments, &function))
}

fn traced(arguments: &TracepointArguments, function: &ItemFn) -> TokenStream {
    let ItemFn { attrs, vis, sig, .. } = function;
    let name = |at: &str| match &arguments.name {
        Some(name) => LitStr::new(&format!("{}@{at}", name.value()), name.span()),
        None => LitStr::new(&format!("{}@{at}", sig.ident.unraw()), sig.ident.span()),
    };
    let fields: Vec<_> = arguments.fields.iter().map(declared).collect();
    let elapsed = quote!(("elapsed", ::pivot::__private::Type::Duration));
    let outcome = quote!(("outcome", ::pivot::__private::Type::String));
    let result = quote!(("result", ::pivot::__private::Type::Any));
    let error = quote!(("error", ::pivot::__private::Type::String));
    let enter = site(&name("enter"), &fields, &[]);
    let exit = site(&name("exit"), &fields, &[elapsed.clone(), outcome, result]);
    let error = site(&name("error"), &fields, &[elapsed, error]);
    let values: Vec<_> = arguments.fields.iter().map(exported).collect();
    let (index, again, count) = (0..values.len(), 0..values.len(), values.len());
    let private = |name: &str| Ident::new(name, Span::mixed_site());
    let (entered, guard, at) = (private("enter"), private("exit"), private("index"));
    let rest = rest(function, &guard);
    let (outer, inner): (Vec<_>, Vec<_>) =
        attrs.iter().partition(|attribute| matches!(attribute.style, AttrStyle::Outer));
    quote! {
        #(#outer)*
        #vis #sig {
            #(#inner)*
            let #entered = #enter;
            if #entered.is_woven() {
                #entered.tracepoint.fire(&|#at: usize| match #at {
                    #(#index => #values,)*
                    _ => ::pivot::__private::Value::Null,
                });
            }
            let #guard = ::pivot::__private::site::function::Exit::begin(#exit, #error, #count, |#at: usize| match #at {
                #(#again => #values,)*
                _ => ::pivot::__private::Value::Null,
            });
            #rest
        }
    }
}

/// Runs the body and says how it went. One that never returns is left to the guard.
fn rest(function: &ItemFn, guard: &Ident) -> TokenStream {
    if let ReturnType::Type(_, ty) = &function.sig.output
        && let syn::Type::Never(_) = **ty
    {
        let statements = &function.block.stmts;
        return quote!(#(#statements)*);
    }
    let returned = Ident::new("result", Span::mixed_site());
    let annotation = annotation(&function.sig.output).map(|ty| quote!(: #ty));
    let body = body(function);
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
            (&&&&&&&::pivot::__private::site::function::Returned(&#returned)).outcome(wanted)
        });
        #returned
    }
}

/// A call site of its own, in a block of its own.
fn site(name: &LitStr, fields: &[TokenStream], last: &[TokenStream]) -> TokenStream {
    quote! {{
        ::pivot::__private::__declare!(#name, [#(#fields,)* #(#last),*]);
        ::pivot::__private::site::function::Site { flag: &FLAG, tracepoint: &TRACEPOINT }
    }}
}

/// Name and type of a field.
fn declared(field: &FieldArgument) -> TokenStream {
    let (name, shown) = (field.name.unraw().to_string(), shown(field));
    let ty = match &field.capture {
        FieldCapture::Typed(ty) => quote!(<#ty as ::pivot::__private::Export>::TYPE),
        FieldCapture::Display | FieldCapture::Debug => quote!(::pivot::__private::Type::String),
        FieldCapture::Any => quote!(::pivot::__private::Type::Any),
    };
    quote!((#name, #shown::ty(#ty)))
}

/// The value of a field.
fn exported(field: &FieldArgument) -> TokenStream {
    let (value, own, shown) = (&field.value, Ident::new("value", Span::mixed_site()), shown(field));
    let exported = match &field.capture {
        FieldCapture::Typed(ty) => quote!({
            let #own: #ty = #value;
            ::pivot::__private::Export::export(&#own)
        }),
        FieldCapture::Display => {
            quote!(::pivot::__private::site::formatted::formatted(::core::format_args!("{}", #value)))
        }
        FieldCapture::Debug => {
            quote!(::pivot::__private::site::formatted::formatted(::core::format_args!("{:?}", #value)))
        }
        FieldCapture::Any => quote!(::pivot::__private::Export::export(&#value)),
    };
    quote!(#shown::value(#exported))
}

/// Whether queries see the field or a hash of it.
fn shown(field: &FieldArgument) -> TokenStream {
    if field.sensitive {
        quote!(::pivot::__private::site::export::Hidden)
    } else {
        quote!(::pivot::__private::site::export::Shown)
    }
}

fn body(function: &ItemFn) -> TokenStream {
    let block = &function.block;
    let ty = annotation(&function.sig.output);
    if function.sig.asyncness.is_none() {
        let output = ty.map(|ty| quote!(-> #ty));
        return quote!(::pivot::__private::site::function::run(move || #output #block));
    }
    // An async block has no place for its type; a return that never happens tells it.
    let never = Ident::new("never", Span::mixed_site());
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

/// The type that the function returns, if it may be written within the function.
fn annotation(output: &ReturnType) -> Option<TokenStream> {
    #[derive(Default)]
    struct ImplTraitFinder(bool);
    impl Visit<'_> for ImplTraitFinder {
        fn visit_type_impl_trait(&mut self, _: &TypeImplTrait) {
            self.0 = true;
        }
    }
    let ReturnType::Type(_, ty) = output else { return Some(quote!(())) };
    let mut opaque = ImplTraitFinder::default();
    opaque.visit_type(ty);
    (!opaque.0).then(|| ty.to_token_stream())
}

#[cfg(test)]
mod tests {
    use super::*;

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
