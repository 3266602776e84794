//! Calls of functions by name, whose number and types of arguments are checked.

use super::expressions::widened;
use super::name_scope::{NameScope, TypedExpr};
use super::resolver::Resolver;
use super::typing;
use crate::diagnostic::Diagnostic;
use crate::lexical::{FunctionKind, FunctionMeaning, function, functions};
use crate::suggest::nearest;
use crate::syntax::ast::{AstExpr, AstExprKind, NameAt, TextSpan};
use pivot_advice::{Expr, Function, Type, Value};

/// Returns the place of a constant argument for which a function never has a value, and what is wrong with it.
fn impossible_argument(function: Function, arguments: &[TypedExpr]) -> Option<(usize, &'static str)> {
    let Expr::Literal(value) = &arguments.get(2)?.expr else { return None };
    let number = value.as_integer()?;
    match function {
        Function::Substr if number < 0 => Some((2, "the length of `substr` is negative")),
        Function::SplitPart if number == 0 => {
            Some((2, "`split_part` counts from 1, or from the end with -1"))
        }
        _ => None,
    }
}

impl Resolver<'_> {
    /// Resolves the call of a function or of an aggregate.
    pub(super) fn call(
        &mut self,
        name: &NameAt,
        arguments: &[AstExpr],
        span: TextSpan,
        scope: &NameScope,
    ) -> TypedExpr {
        let function = function(&name.text);

        if function.is_some_and(|function| function.kind == FunctionKind::Aggregate) {
            return self.aggregate(name, arguments, scope);
        }
        // CAST does not come here, and sources are no values.
        match function.map(|function| function.meaning) {
            Some(FunctionMeaning::Scalar(function)) => self.scalar(function, arguments, span, scope),
            Some(FunctionMeaning::RegexpExtract) => self.extract(name, arguments, scope),
            Some(FunctionMeaning::Now) => self.now(name, arguments),
            _ => {
                self.unknown_function(name);
                TypedExpr::unknown()
            }
        }
    }

    fn scalar(
        &mut self,
        function: Function,
        arguments: &[AstExpr],
        span: TextSpan,
        scope: &NameScope,
    ) -> TypedExpr {
        let (least, most) = function.arity();
        if arguments.len() < least || arguments.len() > most {
            let count = if least == most { format!("{least}") } else { format!("{least} to {most}") };
            let plural = if most == 1 { "" } else { "s" };
            let wrong = format!("`{}` takes {count} argument{plural}", function.name());
            let wrong = Diagnostic::error(span, wrong);
            self.report(wrong.detail(format!("here are {}", arguments.len())));
            return TypedExpr::unknown();
        }

        let mut resolved = Vec::with_capacity(arguments.len());
        for argument in arguments {
            resolved.push(self.expression(argument, scope));
        }
        let types: Vec<Type> = resolved.iter().map(|typed| typed.ty).collect();

        let ty = match typing::call(function, &types) {
            Ok(ty) => ty,
            Err(mismatch) => {
                let at = arguments.get(mismatch.argument).map_or(span, |argument| argument.span);
                let found = types.get(mismatch.argument).copied().unwrap_or(Type::Any);
                let wrong = format!("an argument of `{}` must be {}", function.name(), mismatch.wanted);
                self.report(Diagnostic::error(at, wrong).detail(format!("this is {found}")));
                return TypedExpr::unknown();
            }
        };

        if let Some((place, wrong)) = impossible_argument(function, &resolved) {
            let at = arguments.get(place).map_or(span, |argument| argument.span);
            self.report(Diagnostic::error(at, wrong).detail("there is no such part"));
            return TypedExpr::unknown();
        }

        // The functions that give one of their arguments give it as the common type.
        let chooses = matches!(function, Function::Coalesce | Function::If);
        let argument = |x: TypedExpr| if chooses { widened(x, ty) } else { x.expr };
        TypedExpr { expr: Expr::Call(function, resolved.into_iter().map(argument).collect()), ty }
    }

    /// `now()`: the time of the install, which is a constant of the query.
    fn now(&mut self, name: &NameAt, arguments: &[AstExpr]) -> TypedExpr {
        if !arguments.is_empty() {
            let wrong = Diagnostic::error(name.span, "`now` takes no arguments");
            self.report(wrong.detail(format!("here are {}", arguments.len())));
        }
        TypedExpr { expr: Expr::Literal(Value::Timestamp(self.now_ns)), ty: Type::Timestamp }
    }

    /// `regexp_extract(x, '..' [, group])`: the first group, or the whole match if there is none.
    fn extract(&mut self, name: &NameAt, arguments: &[AstExpr], scope: &NameScope) -> TypedExpr {
        let ([x, source] | [x, source, _]) = arguments else {
            let wrong = Diagnostic::error(name.span, "`regexp_extract` takes 2 to 3 arguments");
            self.report(wrong.detail(format!("here are {}", arguments.len())));
            return TypedExpr::unknown();
        };
        let AstExprKind::Literal(Value::Str(text)) = &source.kind else {
            let wrong = Diagnostic::error(source.span, "expected a regular expression in quotes");
            self.report(wrong.detail("written as a constant"));
            return TypedExpr::unknown();
        };
        let Some(pattern) = self.regex(text, source.span) else { return TypedExpr::unknown() };

        // Without a number the first group is meant, or everything if there is none.
        let groups = pattern.groups();
        let group = match arguments.get(2).map(|written| (&written.kind, written.span)) {
            None => groups.min(1),
            Some((AstExprKind::Literal(Value::I64(n)), _)) if (0..=groups as i64).contains(n) => *n as usize,
            Some((_, span)) => {
                let wrong = Diagnostic::error(span, "expected the number of a group");
                self.report(wrong.detail(format!("the expression has {groups}")));
                return TypedExpr::unknown();
            }
        };

        let x = self.expression_of(x, scope, Type::String, "what is matched");
        let group = u16::try_from(group).unwrap_or(0);
        TypedExpr { expr: Expr::Extract(Box::new(x.expr), pattern, group), ty: Type::String }
    }

    fn unknown_function(&mut self, name: &NameAt) {
        let known = functions()
            .filter(|function| matches!(function.kind, FunctionKind::Aggregate | FunctionKind::Scalar));
        let found = nearest(&name.text, known.map(|function| function.name));
        let wrong = Diagnostic::error(name.span, format!("unknown function `{}`", name.text));
        self.report(wrong.detail("no function has this name").suggest_at(name.span, found));
    }
}
