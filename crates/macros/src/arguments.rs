//! Parses what is in the attribute's parentheses.
//!
//! ```text
//! arguments = [ string ] [ "," ] [ "fields" "(" field { "," field } ")" ]
//! field     = ( name | "sensitive" "(" name ")" ) ( ":" type "=" | "=" [ "%" | "?" ] ) expression
//! ```

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, LitStr, Result, Token, Type, parenthesized};

/// Names of fields that the attribute exports itself.
const RESERVED_FIELDS: [&str; 4] = ["elapsed", "outcome", "result", "error"];

/// The arguments of the attribute: a name, fields, or both, in this order.
pub(crate) struct TracepointArguments {
    pub(crate) name: Option<LitStr>,
    pub(crate) fields: Vec<FieldArgument>,
}

/// One field between the parentheses of `fields(..)`.
pub(crate) struct FieldArgument {
    pub(crate) name: Ident,
    /// Whether queries see only a hash of the value.
    pub(crate) sensitive: bool,
    pub(crate) capture: FieldConversion,
    pub(crate) value: Expr,
}

/// How a field's value becomes one that queries see.
pub(crate) enum FieldConversion {
    /// `name: type = expr`: exported as that type.
    Typed(Box<Type>),
    /// `name = %expr`: text.
    Display,
    /// `name = ?expr`: text.
    Debug,
    /// `name = expr`: exported as whatever type the expression has.
    Any,
}

impl Parse for TracepointArguments {
    fn parse(input: ParseStream<'_>) -> Result<TracepointArguments> {
        // A string in the first place is the name; `fields` may stand alone.
        let name: Option<LitStr> = if input.peek(LitStr) { Some(input.parse()?) } else { None };
        if let Some(name) = &name {
            check_name(name)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }

        let fields = if input.is_empty() { Vec::new() } else { parse_fields(input)? };
        if !input.is_empty() {
            return Err(input.error("expected nothing after the fields"));
        }
        Ok(TracepointArguments { name, fields })
    }
}

fn check_name(name: &LitStr) -> Result<()> {
    let text = name.value();
    if text.is_empty() || text.contains('@') {
        return Err(Error::new(name.span(), "a tracepoint's name is not empty and has no `@`"));
    }
    Ok(())
}

fn parse_fields(input: ParseStream<'_>) -> Result<Vec<FieldArgument>> {
    // One message for whatever stands here: it lists all that may.
    let expected = "expected a name in quotes, or `fields(name: type = expr, ..)`";
    let keyword = Ident::parse_any(input).map_err(|error| Error::new(error.span(), expected))?;
    if keyword != "fields" {
        return Err(Error::new(keyword.span(), expected));
    }

    let content;
    parenthesized!(content in input);
    let fields: Vec<FieldArgument> =
        Punctuated::<FieldArgument, Token![,]>::parse_terminated(&content)?.into_iter().collect();
    input.parse::<Option<Token![,]>>()?;
    check_names(&fields)?;
    Ok(fields)
}

/// Refuses a name that the attribute uses itself, and one that is given twice.
fn check_names(fields: &[FieldArgument]) -> Result<()> {
    for (index, field) in fields.iter().enumerate() {
        if RESERVED_FIELDS.iter().any(|own| field.name == own) {
            let message = format!("`{}` is a field that the attribute itself exports", field.name);
            return Err(Error::new(field.name.span(), message));
        }
        if fields[..index].iter().any(|before| before.name == field.name) {
            return Err(Error::new(field.name.span(), format!("field `{}` is given twice", field.name)));
        }
    }
    Ok(())
}

/// Parses `name` or `sensitive(name)`. Returns whether it is sensitive, and the name.
fn parse_name(input: ParseStream<'_>) -> Result<(bool, Ident)> {
    let first: Ident = input.parse()?;
    if first != "sensitive" || !input.peek(syn::token::Paren) {
        return Ok((false, first));
    }

    let inside;
    parenthesized!(inside in input);
    let name = inside.parse()?;
    if !inside.is_empty() {
        return Err(inside.error("expected one field's name in `sensitive(..)`"));
    }
    Ok((true, name))
}

impl Parse for FieldArgument {
    fn parse(input: ParseStream<'_>) -> Result<FieldArgument> {
        let (sensitive, name) = parse_name(input)?;
        let ty = input.parse::<Option<Token![:]>>()?.map(|_| input.parse::<Type>()).transpose()?;
        if !input.peek(Token![=]) {
            return Err(input.error(format!("expected `= expr`, the value of field `{name}`")));
        }
        input.parse::<Token![=]>()?;

        // `%` and `?` are no operators that an expression could begin with, so they are not ambiguous.
        let capture = match ty {
            Some(ty) => FieldConversion::Typed(Box::new(ty)),
            None if input.parse::<Option<Token![%]>>()?.is_some() => FieldConversion::Display,
            None if input.parse::<Option<Token![?]>>()?.is_some() => FieldConversion::Debug,
            None => FieldConversion::Any,
        };
        Ok(FieldArgument { name, sensitive, capture, value: input.parse()? })
    }
}
