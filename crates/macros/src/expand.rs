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
//!
//! async fn read(n: u64) -> io::Result<u64> {           fn read(n: u64) -> impl Future<Output = io::Result<u64>> {
//!     open(n).await?;                            ──▶       let call = PreparedCall::prepare(…);
//!     Ok(n)                                                observe_future(async move { open(n).await?; Ok(n) }, call, …)
//! }                                                    }
//! ```
//!
//! The body becomes a closure, or an async block, so that `return` and `?` leave it and not the function.
//! `exit` is a guard: dropped without `finish`, it reports a panic. An `async fn` becomes a function that returns the
//! future, because an `async fn` around the body's future would hold every argument twice. Names made here are
//! hygienic: the body does not see them.

use crate::arguments::{FieldArgument, FieldConversion, TracepointArguments};
use crate::hygiene::hygienic;
use crate::inlined_body;
use crate::parameters::{self, MovedParameters};
use crate::returned_future::{self, FutureForm, ReturnedFuture};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::visit_mut::{VisitMut, visit_type_mut};
use syn::{AttrStyle, Attribute, Error, ItemFn, LitStr, Result, ReturnType, Signature, Type, parse_quote};

/// Attributes that leave a function an ordinary one, by the first part of their names. Any other may be a macro that wants to see `async fn`.
const PLAIN_ATTRIBUTES: [&str; 24] = [
    "allow",
    "cfg",
    "cold",
    "deny",
    "deprecated",
    "doc",
    "expect",
    "export_name",
    "forbid",
    "ignore",
    "inline",
    "link_section",
    "must_use",
    "no_mangle",
    "optimize",
    "clippy",
    "rustfmt",
    "diagnostic",
    "should_panic",
    "target_feature",
    "track_caller",
    "unsafe",
    "coverage",
    "warn",
];

/// Expands the attribute, or returns the error to show in its place.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments: TracepointArguments = syn::parse2(arguments)?;

    // An error of `syn` would point at the token that is no function's; the item as a whole is wrong.
    let first = item.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span());
    let function: ItemFn = syn::parse2(item).map_err(|error| {
        Error::new(first, format!("`tracepoints` goes on a function with a body: {error}"))
    })?;

    if let Some(constant) = &function.sig.constness {
        return Err(Error::new_spanned(
            constant,
            "a `const fn` cannot have tracepoints: the compiler may run it, where nothing can be observed. \
             Remove `const`, or put the attribute on the function that calls it",
        ));
    }

    let body = match function.sig.asyncness {
        Some(_) => async_body(&arguments, &function),
        None => match returned_future::of(&function)? {
            Some(returned) => future_body(&arguments, &function, &returned),
            None => guarded_body(&arguments, &function),
        },
    };
    Ok(with_body(&function, body))
}

/// What stands in place of a function's signature and body.
struct Instrumented {
    signature: Signature,
    body: TokenStream,
}

/// Writes the function: attributes as they are, and the new signature and body.
fn with_body(function: &ItemFn, Instrumented { signature, body }: Instrumented) -> TokenStream {
    let ItemFn { attrs, vis, .. } = function;

    // Inner attributes (`#![..]`) must stay the first in the body.
    let (outer, inner): (Vec<_>, Vec<_>) =
        attrs.iter().partition(|attribute| matches!(attribute.style, AttrStyle::Outer));
    quote! {
        #(#outer)*
        #vis #signature {
            #(#inner)*
            #body
        }
    }
}

/// Writes an `async fn` as a function that returns the future of its body.
fn async_body(arguments: &TracepointArguments, function: &ItemFn) -> Instrumented {
    let MovedParameters { mut signature, rebound } =
        parameters::moved_into_body(&function.sig, &arguments.fields);
    let prepared = prepared_call(arguments, function);
    let (call, returned, statements) = (hygienic("call"), output(&function.sig), &function.block.stmts);

    // `!` can be written as the type that a function returns, and nowhere else.
    if let Type::Never(_) = returned {
        let (never, output) = (hygienic("never"), quote!(::core::convert::Infallible));
        let future = quote! {
            async move { #rebound #[allow(unreachable_code, clippy::all)] { let #never: #output = { #(#statements)* }; #never } }
        };
        let observed = observed_future(&output, &future, &call);
        return Instrumented { signature, body: quote! { let #call = #prepared; match #observed.await {} } };
    }

    let (hint, output) = (output_hint(&returned), placeholder(&returned).into_token_stream());
    let future = quote!(async move { #hint #rebound #(#statements)* });
    let observed = observed_future(&output, &future, &call);

    // Macros below this one may look for `async`.
    if !function.attrs.iter().all(is_plain) {
        return Instrumented { signature, body: quote! { let #call = #prepared; #observed.await } };
    }
    signature.asyncness = None;
    signature.output = parse_quote!(-> impl ::core::future::Future<Output = #returned>);
    Instrumented { signature, body: quote! { let #call = #prepared; #observed } }
}

/// Writes a function that returns a future without being `async`.
fn future_body(
    arguments: &TracepointArguments,
    function: &ItemFn,
    returned: &ReturnedFuture,
) -> Instrumented {
    let prepared = prepared_call(arguments, function);
    let (call, future) = (hygienic("call"), hygienic("future"));
    let output = returned.output.as_ref().map_or_else(|| quote!(_), |ty| placeholder(ty).into_token_stream());

    // A body that is an async block and nothing else does nothing before the first poll. Any other begins
    // when the function is called.
    let begin = (!returned.is_lazy).then(|| quote!(#call.begin();));
    let mutable = begin.as_ref().map(|_| quote!(mut));
    let SynchronousBody { signature, value } = synchronous_body(arguments, function);
    let future_type = placeholder(&self::output(&function.sig));

    let returned = match returned.form {
        FutureForm::Opaque => observed_future(&output, &value, &call),
        FutureForm::PinnedBox | FutureForm::Box | FutureForm::PinnedBoxOfOpaque => {
            let observed = observed_future(&output, &quote!(#future), &call);
            let boxed = match returned.form {
                FutureForm::Box => quote!(::std::boxed::Box::new(#observed)),
                _ => quote!(::std::boxed::Box::pin(#observed)),
            };

            // What is boxed already is boxed once more only if it is observed, or if its type must not depend on it.
            let unobserved = (returned.form != FutureForm::PinnedBoxOfOpaque).then(|| {
                quote! { if !#call.is_observed() { return #future; } }
            });
            quote! { let #future: #future_type = #value; #unobserved #boxed }
        }
    };
    Instrumented { signature, body: quote! { let #mutable #call = #prepared; #begin #returned } }
}

/// Writes a function that ends when it returns.
fn guarded_body(arguments: &TracepointArguments, function: &ItemFn) -> Instrumented {
    let Sites { enter, exit, error } = sites(arguments, function);
    let (entered, guard) = (hygienic("enter"), hygienic("exit"));
    let values = FieldValues::of(arguments);
    let (count, fields) = (values.count, &values.closure);
    let begin = quote! {
        let #entered = #enter;
        if #entered.is_woven() {
            #entered.tracepoint.fire(&#fields);
        }
        let #guard = ::pivot::__private::site::function::FunctionExitGuard::begin(#exit, #error, #count, #fields);
    };

    if let Type::Never(_) = output(&function.sig) {
        // It ends by a panic, which the guard notices by itself.
        let statements = &function.block.stmts;
        return Instrumented { signature: function.sig.clone(), body: quote! { #begin #(#statements)* } };
    }

    let returned = hygienic("result");
    let annotation = placeholder(&output(&function.sig));
    let SynchronousBody { signature, value } = synchronous_body(arguments, function);
    let outcome = outcome(&quote!(&#returned), &quote!(wanted));
    let body = quote! {
        #begin
        #[allow(clippy::let_unit_value)]
        let #returned: #annotation = #value;
        #guard.finish(|wanted| #outcome);
        #returned
    };
    Instrumented { signature, body }
}

/// A body that runs when the function is called, as an expression, and the signature that goes with it.
struct SynchronousBody {
    signature: Signature,
    value: TokenStream,
}

/// Writes the body as a closure that is called at once. Within a closure `#[track_caller]` would have no
/// effect, so such a body stays where it is, with its ways out rewritten.
fn synchronous_body(arguments: &TracepointArguments, function: &ItemFn) -> SynchronousBody {
    let ty = placeholder(&output(&function.sig));
    if function.attrs.iter().any(|attribute| attribute.path().is_ident("track_caller")) {
        let value = inlined_body::write(&function.block, &ty);
        return SynchronousBody { signature: function.sig.clone(), value };
    }

    let parameters = parameters::moved_into_body(&function.sig, &arguments.fields);
    let (rebound, statements) = (parameters.rebound, &function.block.stmts);
    let value = quote!(::pivot::__private::site::function::run(move || -> #ty { #rebound #(#statements)* }));
    SynchronousBody { signature: parameters.signature, value }
}

/// Writes the preparation of a call whose end is that of a future.
fn prepared_call(arguments: &TracepointArguments, function: &ItemFn) -> TokenStream {
    let Sites { enter, exit, error } = sites(arguments, function);
    let FieldValues { count, closure } = FieldValues::of(arguments);
    quote! {
        ::pivot::__private::site::function_future::PreparedCall::prepare(#enter, #exit, #error, #count, #closure)
    }
}

/// Writes a future that reports its end for a call.
fn observed_future(output: &TokenStream, future: &TokenStream, call: &Ident) -> TokenStream {
    let outcome = outcome(&quote!(returned), &quote!(wanted));
    quote! {
        ::pivot::__private::site::function_future::observe_future::<#output, _, _>(
            #future, #call, |returned, wanted| #outcome,
        )
    }
}

/// Writes what queries see of a returned value. The references choose among traits by autoref: the first that
/// the type of the value has decides how it is exported.
fn outcome(returned: &TokenStream, wanted: &TokenStream) -> TokenStream {
    quote! {{
        #[allow(unused_imports)]
        use ::pivot::__private::site::function::{
            OfAny as _, OfError as _, OfErrorDebug as _, OfErrorDisplay as _, OfExport as _,
            OfResultDebug as _, OfResultDisplay as _,
        };
        #[allow(clippy::needless_borrow)]
        (&&&&&&&::pivot::__private::site::function::ReturnedValue(#returned)).outcome(#wanted)
    }}
}

/// Writes a return that never happens and tells the type of an async block, for which there is no syntax.
fn output_hint(output: &Type) -> TokenStream {
    let (never, ty) = (hygienic("never"), placeholder(output));
    quote! {
        #[allow(unreachable_code, clippy::all)]
        if false {
            let #never: #ty = loop {};
            return #never;
        }
    }
}

/// Returns whether an attribute leaves a function as it is: a lint, documentation, or advice to the compiler.
fn is_plain(attribute: &Attribute) -> bool {
    let first = attribute.path().segments.first();
    first.is_some_and(|first| PLAIN_ATTRIBUTES.iter().any(|plain| first.ident == plain))
}

/// Returns the type that the function returns.
fn output(signature: &Signature) -> Type {
    match &signature.output {
        ReturnType::Type(_, ty) => (**ty).clone(),
        ReturnType::Default => parse_quote!(()),
    }
}

/// Returns a type as it may be written within the function: with `_` for each `impl Trait`, which is
/// allowed in signatures alone.
fn placeholder(ty: &Type) -> Type {
    struct OpaqueTypes;
    impl VisitMut for OpaqueTypes {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            match ty {
                Type::ImplTrait(_) => *ty = parse_quote!(_),
                _ => visit_type_mut(self, ty),
            }
        }
    }

    let mut ty = ty.clone();
    OpaqueTypes.visit_type_mut(&mut ty);
    ty
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

/// The tracepoints of a function, each as the expression that declares it.
struct Sites {
    enter: TokenStream,
    exit: TokenStream,
    error: TokenStream,
}

fn sites(arguments: &TracepointArguments, function: &ItemFn) -> Sites {
    let fields: Vec<_> = arguments.fields.iter().map(declaration).collect();
    let elapsed = quote!(("elapsed", ::pivot::__private::Type::Duration));
    let outcome = quote!(("outcome", ::pivot::__private::Type::String));
    let result = quote!(("result", ::pivot::__private::Type::Any));
    let error = quote!(("error", ::pivot::__private::Type::String));

    let [enter_name, exit_name, error_name] =
        ["enter", "exit", "error"].map(|event| tracepoint_name(arguments, function, event));
    Sites {
        enter: site(&enter_name, &fields, &[]),
        exit: site(&exit_name, &fields, &[elapsed.clone(), outcome, result]),
        error: site(&error_name, &fields, &[elapsed, error]),
    }
}

/// The function's own fields, as a closure that returns the value of the one with an index.
struct FieldValues {
    count: usize,
    closure: TokenStream,
}

impl FieldValues {
    fn of(arguments: &TracepointArguments) -> FieldValues {
        let values: Vec<_> = arguments.fields.iter().map(value).collect();
        let (count, at) = (values.len(), hygienic("index"));
        let index = 0..count;
        let closure = quote! {
            |#at: usize| match #at {
                #(#index => #values,)*
                _ => ::pivot::__private::Value::Null,
            }
        };
        FieldValues { count, closure }
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
