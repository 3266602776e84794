//! Leaves a body where it is, and makes its ways out lead to the end of a block:
//!
//! ```text
//! #[track_caller]                                'body: {
//! fn read() -> Result<u64, Error> {                  let n = match attempt(open()) {
//!     let n = open()?;                    ──▶            Continue(n) => n,
//!     return Ok(n);                                      Break(residual) => break 'body (|| residual?)(),
//! }                                                  };
//!                                                    break 'body Ok(n);
//!                                                }
//! ```
//!
//! Only in the function itself `#[track_caller]` has an effect. A `return` within a macro (`bail!`) is not seen
//! here; it leaves the function, whose outcome is then `err`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::visit_mut::{VisitMut, visit_expr_mut};
use syn::{Block, Expr, ExprBreak, Item, Lifetime, Token, Type, parse_quote};

/// Writes a body that returns values of a type as an expression.
pub(crate) fn write(block: &Block, ty: &Type) -> TokenStream {
    let mut exits = Exits { label: Lifetime::new("'body", Span::mixed_site()), ty, has_any: false };
    let mut block = block.clone();
    exits.visit_block_mut(&mut block);

    match exits.has_any {
        true => {
            let label = exits.label;
            quote!(#label: #block)
        }
        false => block.into_token_stream(),
    }
}

/// Rewrites the expressions that leave the function.
struct Exits<'a> {
    label: Lifetime,
    ty: &'a Type,
    has_any: bool,
}

impl VisitMut for Exits<'_> {
    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        // What returns from a closure or an async block stays within it.
        if matches!(expression, Expr::Async(_) | Expr::Closure(_) | Expr::Const(_)) {
            return;
        }
        visit_expr_mut(self, expression);

        let (label, ty) = (&self.label, self.ty);
        *expression = match expression {
            Expr::Return(exit) => Expr::Break(ExprBreak {
                attrs: std::mem::take(&mut exit.attrs),
                break_token: Token![break](exit.return_token.span),
                label: Some(label.clone()),
                expr: Some(exit.expr.take().unwrap_or_else(|| Box::new(parse_quote!(())))),
            }),
            Expr::Try(attempt) => {
                let tried = &attempt.expr;
                parse_quote! {
                    match ::pivot::__private::site::function::Attempt::attempt(#tried) {
                        ::core::ops::ControlFlow::Continue(value) => value,
                        ::core::ops::ControlFlow::Break(residual) => break #label {
                            ::pivot::__private::site::function::run(move || -> #ty { match residual? {} })
                        },
                    }
                }
            }
            _ => return,
        };
        self.has_any = true;
    }

    fn visit_item_mut(&mut self, _: &mut Item) {}
}
