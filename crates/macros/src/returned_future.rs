//! Recognises functions that return a future without being `async`, by what their return type says.
//!
//! | return type | taken as |
//! |---|---|
//! | `impl Future<Output = T> + Send + 'a` | a future |
//! | `Pin<Box<dyn Future<Output = T> + Send + 'a>>` (also what `#[async_trait]` makes), `BoxFuture<'a, T>` | a boxed future |
//! | `Result<impl Future, E>`, `Self::Future`, .. | an error: its end cannot be seen |
//! | an alias of another name, a type parameter | not recognised: an ordinary value |

use quote::ToTokens;
use syn::visit::{Visit, visit_path};
use syn::{
    Error, Expr, GenericArgument, ItemFn, Path, PathArguments, PathSegment, Result, ReturnType, Stmt, Type,
    TypeBareFn, TypeParamBound,
};

/// The return type of a function that returns a future: the function ends when the future does.
pub(crate) struct ReturnedFuture {
    pub(crate) form: FutureForm,
    /// The type of the future's output, if the return type says it.
    pub(crate) output: Option<Type>,
    /// Whether the body is an async block and nothing else, so that nothing happens before the first poll.
    pub(crate) is_lazy: bool,
}

/// How a function returns a future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FutureForm {
    /// `impl Future`
    Opaque,
    /// `Pin<Box<dyn Future>>`
    PinnedBox,
    /// `Pin<Box<impl Future>>`
    PinnedBoxOfOpaque,
    /// `Box<dyn Future + Unpin>`
    Box,
}

/// Traits that a future with tracepoints has if the one inside has them.
const KEPT_TRAITS: [&str; 5] = ["Send", "Sync", "Unpin", "UnwindSafe", "RefUnwindSafe"];

/// The names under which boxed futures are known.
const BOXED_NAMES: [&str; 3] = ["BoxFuture", "LocalBoxFuture", "BoxedFuture"];

/// Returns what future a function returns, or `None` if its return type does not say that it does.
pub(crate) fn of(function: &ItemFn) -> Result<Option<ReturnedFuture>> {
    let ReturnType::Type(_, ty) = &function.sig.output else { return Ok(None) };
    let is_lazy = is_async_block(function);
    if let Some((form, output)) = recognise(ty)? {
        return Ok(Some(ReturnedFuture { form, output, is_lazy }));
    }

    let mut hidden = HiddenFuture::default();
    hidden.visit_type(ty);
    match hidden.found {
        None => Ok(None),
        Some(path) => Err(Error::new_spanned(
            ty,
            format!(
                "`tracepoints` follows a function that returns a future to the future's end, which it cannot for this \
             use of `{path}`: make it an `async fn`, or return `impl Future<Output = ..>` or \
             `Pin<Box<dyn Future<Output = ..>>>`",
            ),
        )),
    }
}

fn recognise(ty: &Type) -> Result<Option<(FutureForm, Option<Type>)>> {
    match ty {
        // Parentheses, and what a macro passes on as one type.
        Type::Paren(inner) => recognise(&inner.elem),
        Type::Group(inner) => recognise(&inner.elem),

        Type::ImplTrait(opaque) => {
            let output = future_bound(opaque.bounds.iter());
            if output.is_some() {
                check_bounds(opaque.bounds.iter())?;
            }
            Ok(output.map(|output| (FutureForm::Opaque, output)))
        }
        Type::Path(named) => Ok(boxed(&named.path)),
        _ => Ok(None),
    }
}

/// Returns the form of a boxed future, and its output.
fn boxed(path: &Path) -> Option<(FutureForm, Option<Type>)> {
    let last = path.segments.last()?;
    if BOXED_NAMES.iter().any(|name| last.ident == name) {
        // Whose alias it is, and in which place the output stands, is not known.
        return Some((FutureForm::PinnedBox, None));
    }

    if last.ident == "Pin"
        && let Some(Type::Path(inner)) = only_type(last)
        && let Some(inner) = inner.path.segments.last()
        && inner.ident == "Box"
    {
        return match only_type(inner)? {
            Type::TraitObject(object) => Some((FutureForm::PinnedBox, future_bound(object.bounds.iter())?)),
            Type::ImplTrait(opaque) => {
                Some((FutureForm::PinnedBoxOfOpaque, future_bound(opaque.bounds.iter())?))
            }
            _ => None,
        };
    }

    match only_type(last)? {
        Type::TraitObject(object) if last.ident == "Box" => {
            Some((FutureForm::Box, future_bound(object.bounds.iter())?))
        }
        _ => None,
    }
}

/// Returns the first type among the arguments of a segment.
fn only_type(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// Returns the output of the future among some bounds, `Some(None)` if it does not say one.
fn future_bound<'a>(bounds: impl Iterator<Item = &'a TypeParamBound>) -> Option<Option<Type>> {
    let mut names = bounds.filter_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last(),
        _ => None,
    });
    let future = names.find(|name| name.ident == "Future")?;

    let PathArguments::AngleBracketed(arguments) = &future.arguments else { return Some(None) };
    Some(arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(output) if output.ident == "Output" => Some(output.ty.clone()),
        _ => None,
    }))
}

/// Refuses bounds that the future with tracepoints would not have.
fn check_bounds<'a>(bounds: impl Iterator<Item = &'a TypeParamBound>) -> Result<()> {
    for bound in bounds {
        // What is not a trait is a lifetime, or says what is captured.
        if let TypeParamBound::Trait(bound) = bound
            && let Some(name) = bound.path.segments.last()
            && name.ident != "Future"
            && !KEPT_TRAITS.iter().any(|kept| name.ident == kept)
        {
            let name = &name.ident;

            return Err(Error::new_spanned(
                bound,
                format!(
                    "a future with `tracepoints` does not have `{name}`: return `impl Future<Output = ..>` alone"
                ),
            ));
        }
    }
    Ok(())
}

/// Looks for a future anywhere in a type but behind a function that would make it.
#[derive(Default)]
struct HiddenFuture {
    found: Option<String>,
}

impl Visit<'_> for HiddenFuture {
    fn visit_path(&mut self, path: &Path) {
        if let Some(last) = path.segments.last() {
            let name = last.ident.to_string();
            if name.ends_with("Future") && name != "IntoFuture" {
                let text = path.to_token_stream().to_string();
                self.found.get_or_insert(text.replace(' ', ""));
            }
        }

        // A function's type has its arguments in parentheses.
        let mut arguments = path.segments.iter().map(|segment| &segment.arguments);
        if !arguments.any(|arguments| matches!(arguments, PathArguments::Parenthesized(_))) {
            visit_path(self, path);
        }
    }

    fn visit_type_bare_fn(&mut self, _: &TypeBareFn) {}
}

/// Returns whether a body is an async block, perhaps boxed, and nothing else.
fn is_async_block(function: &ItemFn) -> bool {
    let [Stmt::Expr(last, None)] = function.block.stmts.as_slice() else { return false };

    match last {
        Expr::Async(_) => true,
        Expr::Call(call) => {
            let is_pin = matches!(&*call.func, Expr::Path(path)
                if path.path.segments.last().is_some_and(|last| last.ident == "pin"));
            is_pin && call.args.len() == 1 && matches!(call.args.first(), Some(Expr::Async(_)))
        }
        Expr::MethodCall(call) => {
            (call.method == "boxed" || call.method == "boxed_local")
                && matches!(*call.receiver, Expr::Async(_))
        }
        _ => false,
    }
}
