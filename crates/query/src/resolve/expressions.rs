//! Expressions: names to columns, and a type for everything.
//!
//! What is wrong becomes null of any type after it was reported, so one mistake is reported once.

use super::name_scope::{AliasBinding, NameScope, TypedExpr};
use super::resolver::Resolver;
use super::typing::{self, fits};
use super::work_budget::{ResolverWork, lookup_cost};
use crate::diagnostic::Diagnostic;
use crate::suggest::nearest;
use crate::syntax::ast::{AstExpr, AstExprKind, NameAt, TextSpan};
use pivot_advice::expr::MAX_DEPTH;
use pivot_advice::{BinaryOperator, Expr, Pattern, Type, UnaryOperator, Value, parse_timestamp};

/// The most expressions inside one; a list of IN may be long, nothing may be endless.
const MAX_SIZE: usize = 1 << 14;

/// Returns a chosen value of the common type: an integer that is chosen among doubles becomes one, since
/// what comes after counts on the type.
pub(super) fn widened(chosen: TypedExpr, ty: Type) -> Expr {
    match ty == Type::F64 && chosen.ty.is_integer() {
        true => Expr::Cast(Box::new(chosen.expr), Type::F64),
        false => chosen.expr,
    }
}

fn is_null(typed: &TypedExpr) -> bool {
    typed.expr == Expr::Literal(Value::Null) && typed.ty == Type::Null
}

fn binary(op: BinaryOperator, left: TypedExpr, right: TypedExpr, ty: Type) -> TypedExpr {
    TypedExpr { expr: Expr::binary(op, left.expr, right.expr), ty }
}

impl Resolver<'_> {
    /// Resolves an expression of any type.
    pub(super) fn expression(&mut self, written: &AstExpr, scope: &NameScope) -> TypedExpr {
        // Each use of a named query resolves its expressions again.
        if !self.spend(ResolverWork::Expression, 1, written.span) {
            return TypedExpr::unknown();
        }
        let typed = self.node(written, scope);

        // Everything that follows recurses over expressions and copies them.
        if typed.expr.depth() > MAX_DEPTH {
            let wrong = format!("expression is nested deeper than {MAX_DEPTH}");
            self.report(Diagnostic::error(written.span, wrong).hint("name parts of it with LET"));
            return TypedExpr::unknown();
        }
        if typed.expr.size() > MAX_SIZE {
            let wrong = format!("expression has more than {MAX_SIZE} parts");
            self.report(Diagnostic::error(written.span, wrong));
            return TypedExpr::unknown();
        }
        typed
    }

    /// Resolves an expression that must be of one type.
    pub(super) fn expression_of(
        &mut self,
        written: &AstExpr,
        scope: &NameScope,
        ty: Type,
        what: &str,
    ) -> TypedExpr {
        let typed = self.expression(written, scope);
        // A type that is not known fits everywhere, and so does what was reported already.
        if fits(typed.ty, ty) {
            return typed;
        }

        let wrong = Diagnostic::error(written.span, format!("{what} must be {ty}"));
        self.report(wrong.detail(format!("this is {}", typed.ty)));
        TypedExpr::unknown()
    }

    fn node(&mut self, written: &AstExpr, scope: &NameScope) -> TypedExpr {
        let span = written.span;
        match &written.kind {
            AstExprKind::Path(path) => self.path(path, span, scope),
            AstExprKind::Literal(value) => {
                TypedExpr { ty: value.type_of(), expr: Expr::Literal(value.clone()) }
            }
            AstExprKind::Not(x) => {
                let x = self.expression_of(x, scope, Type::Bool, "the operand of NOT");
                TypedExpr { expr: Expr::Unary(UnaryOperator::Not, Box::new(x.expr)), ty: Type::Bool }
            }
            AstExprKind::Negate(x) => self.negate(x, scope),

            // Operators: chains are lists here and nest in the plan.
            AstExprKind::Connective(op, list) => self.connective(*op, list, scope),
            AstExprKind::Chain(first, rest) => self.chain(first, rest, scope),
            AstExprKind::Compare(op, x, y) => {
                let (left, right) = (self.expression(x, scope), self.expression(y, scope));
                self.compare(*op, left, right, span)
            }

            // Tests of one value.
            AstExprKind::In(x, list) => self.is_in(x, list, span, scope),
            AstExprKind::Between(x, low, high) => self.between(x, low, high, span, scope),
            AstExprKind::Like(x, pattern) => self.like(x, pattern, scope),
            AstExprKind::Regex(x, source) => match self.regex(&source.text, source.span) {
                Some(pattern) => self.matches(x, pattern, scope),
                None => TypedExpr::unknown(),
            },
            AstExprKind::IsNull(x) => {
                let x = self.expression(x, scope);
                TypedExpr { expr: Expr::Unary(UnaryOperator::IsNull, Box::new(x.expr)), ty: Type::Bool }
            }

            AstExprKind::Case { operand, arms, otherwise } => {
                self.case(operand.as_deref(), arms, otherwise.as_deref(), scope)
            }
            AstExprKind::Cast(x, ty) => self.cast(x, *ty, scope),
            AstExprKind::Call(name, arguments) => self.call(name, arguments, span, scope),

            // Aggregates with a grammar of their own.
            AstExprKind::CountRows => self.count_rows(span),
            AstExprKind::CountDistinct(name, x) => self.count_distinct(name, x, scope),
        }
    }

    fn cast(&mut self, x: &AstExpr, ty: Type, scope: &NameScope) -> TypedExpr {
        let operand = self.expression(x, scope);

        // A point in time that is written down is known now, and wrong now.
        if let (Type::Timestamp, Expr::Literal(Value::Str(text))) = (ty, &operand.expr) {
            return match parse_timestamp(text) {
                Ok(ns) => TypedExpr { expr: Expr::Literal(Value::Timestamp(ns)), ty },
                Err(why) => {
                    self.report(Diagnostic::error(x.span, "this text is no point in time").detail(why));
                    TypedExpr { ty, ..TypedExpr::unknown() }
                }
            };
        }
        TypedExpr { expr: Expr::Cast(Box::new(operand.expr), ty), ty }
    }

    fn negate(&mut self, x: &AstExpr, scope: &NameScope) -> TypedExpr {
        let operand = self.expression(x, scope);
        let ty = match operand.ty {
            ty if ty.is_integer() => Type::I64,
            ty if ty == Type::F64 || ty == Type::Duration || typing::open(ty) => ty,
            ty => {
                let wrong = Diagnostic::error(x.span, format!("{ty} cannot be negated"));
                self.report(wrong.detail(format!("this is {ty}")));
                return TypedExpr::unknown();
            }
        };

        // The least integer has no counterpart: its negation is an overflow when the query runs.
        let expr = match operand.expr {
            Expr::Literal(Value::I64(x)) if x != i64::MIN => Expr::Literal(Value::I64(-x)),
            Expr::Literal(Value::F64(x)) => Expr::Literal(Value::double(-x)),
            Expr::Literal(Value::Duration(x)) if x != i64::MIN => Expr::Literal(Value::Duration(-x)),
            other => Expr::Unary(UnaryOperator::Negate, Box::new(other)),
        };
        TypedExpr { expr, ty }
    }

    /// Resolves a row of ANDs or ORs as a balanced tree, so that a hundred conditions nest seven deep.
    fn connective(&mut self, op: BinaryOperator, list: &[AstExpr], scope: &NameScope) -> TypedExpr {
        let what = if op == BinaryOperator::And { "an operand of AND" } else { "an operand of OR" };
        let mut level: Vec<Expr> = Vec::with_capacity(list.len());
        for operand in list {
            level.push(self.expression_of(operand, scope, Type::Bool, what).expr);
        }

        // Each round pairs neighbours, which keeps their order.
        while level.len() > 1 {
            let mut operands = level.into_iter();
            level = Vec::new();
            while let Some(left) = operands.next() {
                level.push(match operands.next() {
                    Some(right) => Expr::binary(op, left, right),
                    None => left,
                });
            }
        }

        level.pop().map_or_else(TypedExpr::unknown, |expr| TypedExpr { expr, ty: Type::Bool })
    }

    fn chain(&mut self, first: &AstExpr, rest: &[(BinaryOperator, AstExpr)], scope: &NameScope) -> TypedExpr {
        let mut left = self.expression(first, scope);
        if rest.len() >= MAX_DEPTH {
            let wrong = format!("more than {MAX_DEPTH} operands in a row");
            self.report(Diagnostic::error(first.span, wrong).hint("name parts of it with LET"));
            return TypedExpr::unknown();
        }

        for (op, operand) in rest {
            let right = self.expression(operand, scope);
            // From the left: each operand is typed together with everything before it.
            left = match typing::binary(*op, left.ty, right.ty) {
                Some(ty) => binary(*op, left, right, ty),
                None => {
                    let span = TextSpan::new(first.span.start, operand.span.end);
                    self.mismatch(*op, left.ty, right.ty, span);
                    TypedExpr::unknown()
                }
            };
        }
        left
    }

    fn mismatch(&mut self, op: BinaryOperator, left: Type, right: Type, span: TextSpan) {
        let (message, detail) = match op {
            BinaryOperator::Add => ("cannot add", "+"),
            BinaryOperator::Subtract => ("cannot subtract", "-"),
            BinaryOperator::Multiply => ("cannot multiply", "*"),
            BinaryOperator::Divide => ("cannot divide", "/"),
            BinaryOperator::Remainder => ("cannot take the remainder of", "%"),
            _ => ("cannot compare", "with"),
        };

        let wrong = Diagnostic::error(span, format!("{message} {left} and {right}"));
        let wrong = wrong.detail(format!("{left} {detail} {right}"));
        // `+` joins text in other languages.
        let texts = left == Type::String && right == Type::String && op == BinaryOperator::Add;
        let dated =
            matches!((left, right), (Type::Timestamp, Type::String) | (Type::String, Type::Timestamp));
        self.report(match detail {
            _ if texts => wrong.hint("text is joined with `||`"),
            "with" if dated => wrong.hint("write `timestamp '2026-11-30T12:00:00Z'` for a point in time"),
            _ => wrong,
        });
    }

    pub(super) fn compare(
        &mut self,
        op: BinaryOperator,
        left: TypedExpr,
        right: TypedExpr,
        span: TextSpan,
    ) -> TypedExpr {
        if !typing::comparable(left.ty, right.ty) {
            self.mismatch(op, left.ty, right.ty, span);
            return TypedExpr { ty: Type::Bool, ..TypedExpr::unknown() };
        }

        // Where the text did not lex, null stands in for what was written.
        if (is_null(&left) || is_null(&right)) && !self.has_errors() {
            let warning = Diagnostic::warning(span, "a comparison with null is never true");
            self.report(warning.hint("write IS NULL or IS NOT NULL"));
        }
        binary(op, left, right, Type::Bool)
    }

    /// Resolves BETWEEN as two comparisons.
    fn between(
        &mut self,
        x: &AstExpr,
        low: &AstExpr,
        high: &AstExpr,
        span: TextSpan,
        scope: &NameScope,
    ) -> TypedExpr {
        let x = self.expression(x, scope);
        let low = self.expression(low, scope);
        let high = self.expression(high, scope);

        // Both bounds belong to the range, as in SQL.
        let above = self.compare(BinaryOperator::GreaterEqual, x.clone(), low, span);
        let below = self.compare(BinaryOperator::LessEqual, x, high, span);
        binary(BinaryOperator::And, above, below, Type::Bool)
    }

    fn is_in(&mut self, x: &AstExpr, list: &[AstExpr], span: TextSpan, scope: &NameScope) -> TypedExpr {
        let x = self.expression(x, scope);
        // Every item is compared by itself: one that does not fit is reported where it stands.
        let mut items = Vec::with_capacity(list.len());
        for written in list {
            let item = self.expression(written, scope);
            if !typing::comparable(x.ty, item.ty) {
                self.mismatch(BinaryOperator::Equal, x.ty, item.ty, written.span);
            }
            items.push(item.expr);
        }

        if items.is_empty() {
            self.report(Diagnostic::error(span, "the list of IN is empty"));
        }
        TypedExpr { expr: Expr::In(Box::new(x.expr), items), ty: Type::Bool }
    }

    /// Returns a regular expression, or `None`, which was reported, if it is wrong.
    pub(super) fn regex(&mut self, source: &str, span: TextSpan) -> Option<Pattern> {
        let pattern = Pattern::regex(source);
        if let Err(why) = &pattern {
            let wrong = Diagnostic::error(span, "regular expression is wrong");
            self.report(wrong.detail(why.clone()));
        }
        pattern.ok()
    }

    fn like(&mut self, x: &AstExpr, pattern: &NameAt, scope: &NameScope) -> TypedExpr {
        // An escape that nothing follows is no character, so such a pattern would match nothing.
        let escapes = pattern.text.chars().rev().take_while(|c| *c == '\\').count();
        if escapes % 2 == 1 {
            let wrong =
                Diagnostic::error(pattern.span, "a pattern of LIKE cannot end in its escape character");
            let wrong = wrong.detail("nothing follows the last `\\`");
            self.report(wrong.hint("write `\\\\` for a backslash"));
            return TypedExpr { ty: Type::Bool, ..TypedExpr::unknown() };
        }
        self.matches(x, Pattern::Like(pattern.text.as_str().into()), scope)
    }

    fn matches(&mut self, x: &AstExpr, pattern: Pattern, scope: &NameScope) -> TypedExpr {
        let x = self.expression_of(x, scope, Type::String, "what is matched");
        TypedExpr { expr: Expr::Matches(Box::new(x.expr), pattern), ty: Type::Bool }
    }

    fn case(
        &mut self,
        operand: Option<&AstExpr>,
        arms: &[(AstExpr, AstExpr)],
        otherwise: Option<&AstExpr>,
        scope: &NameScope,
    ) -> TypedExpr {
        let operand = operand.map(|operand| self.expression(operand, scope));
        let mut ty = Type::Null;
        let mut resolved = Vec::with_capacity(arms.len());
        for (when, then) in arms {
            let condition = match &operand {
                Some(operand) => {
                    let value = self.expression(when, scope);
                    self.compare(BinaryOperator::Equal, operand.clone(), value, when.span)
                }
                None => self.expression_of(when, scope, Type::Bool, "the condition of WHEN"),
            };
            let result = self.arm(then, scope, &mut ty);
            resolved.push((condition.expr, result));
        }
        let otherwise = otherwise.map(|otherwise| self.arm(otherwise, scope, &mut ty));

        // Only now the type of all results is known.
        let arms = resolved.into_iter().map(|(when, then)| (when, widened(then, ty)));
        let otherwise = otherwise.map(|otherwise| Box::new(widened(otherwise, ty)));
        TypedExpr { expr: Expr::Case(arms.collect(), otherwise), ty }
    }

    /// Resolves a result of CASE, and unites its type with those of the results before.
    fn arm(&mut self, written: &AstExpr, scope: &NameScope, ty: &mut Type) -> TypedExpr {
        let result = self.expression(written, scope);
        match typing::united(*ty, result.ty) {
            Some(both) => *ty = both,
            None => {
                let wrong = Diagnostic::error(written.span, "the results of CASE are of different types");
                self.report(wrong.detail(format!("this is {}, those before are {ty}", result.ty)));
            }
        }
        result
    }

    /// Resolves `alias.field`, or a name alone.
    fn path(&mut self, path: &[String], span: TextSpan, scope: &NameScope) -> TypedExpr {
        let Some((first, rest)) = path.split_first() else { return TypedExpr::unknown() };
        if !self.spend(ResolverWork::Expression, lookup_cost(scope.lets.len() + scope.aliases.len()), span) {
            return TypedExpr::unknown();
        }
        if rest.is_empty() {
            return self.bare(first, span, scope);
        }

        if let Some(binding) = &scope.bare
            && self.is_qualified(binding, path, scope)
        {
            let field = rest.join(".");
            let wrong = format!("`{}` stands with an alias", path.join("."));
            let wrong = Diagnostic::error(span, wrong);
            let wrong = wrong.detail("names inside First and MostRecent are the fields of their source");
            self.report(wrong.hint(format!("write `{field}`")));
            return TypedExpr::unknown();
        }
        if let Some(alias) = scope.alias(first) {
            let (binding, hidden) = (alias.binding.clone(), alias.hidden && !scope.sees_hidden);
            return match hidden {
                true => self.hidden(first, span),
                false => self.member_of(&binding, first, &rest.join("."), span),
            };
        }
        // Inside of First or MostRecent a path is a field with dots in its name.
        if let Some(binding) = &scope.bare {
            return self.member_of(binding, "", &path.join("."), span);
        }

        if !scope.broken {
            let aliases = scope.aliases.iter().map(|alias| alias.name.as_str());
            let found = nearest(first, aliases);

            // The caret stands under the alias alone, which is longer in the text if it is quoted.
            let quoted = self.text[span.start..].starts_with('"');
            let quotes = if quoted { 2 + first.matches('"').count() } else { 0 };
            let first_span = TextSpan::new(span.start, span.start + first.len() + quotes);
            let wrong = Diagnostic::error(first_span, format!("unknown alias `{first}`"));
            self.report(wrong.detail("no source has this alias").suggest_at(first_span, found));
        }
        TypedExpr::unknown()
    }

    /// Returns whether a path inside of First or MostRecent begins with an alias. A field may have dots in its name.
    fn is_qualified(&self, source: &AliasBinding, path: &[String], scope: &NameScope) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        let is_field = self.has(source, &path.join("."));
        !is_field && (scope.alias(first).is_some() || self.has(source, &rest.join(".")))
    }

    /// Resolves a name alone: a LET, a field of the only source, or an alias with one column.
    fn bare(&mut self, name: &str, span: TextSpan, scope: &NameScope) -> TypedExpr {
        // LET and SELECT give names of their own, so they come first.
        if let Some(typed) = scope.assigned(name) {
            return typed.clone();
        }
        if let Some(binding) = &scope.bare {
            return self.member_of(binding, "", name, span);
        }
        if let Some(alias) = scope.alias(name) {
            let (binding, hidden) = (alias.binding.clone(), alias.hidden && !scope.sees_hidden);
            return if hidden { self.hidden(name, span) } else { self.only_column(&binding, name, span) };
        }

        if !scope.broken {
            let lets = scope.lets.iter().map(|(name, _)| name.as_str());
            let aliases = scope.aliases.iter().map(|alias| alias.name.as_str());
            let owner = scope.aliases.iter().find(|alias| !alias.hidden && self.has(&alias.binding, name));
            let wrong = Diagnostic::error(span, format!("unknown name `{name}`"));
            let wrong = wrong.detail("neither an alias nor a LET");
            self.report(match owner {
                Some(alias) => wrong.suggest_at(span, Some(format!("{}.{name}", alias.name))),
                None => wrong.suggest_at(span, nearest(name, lets.chain(aliases))),
            });
        }
        TypedExpr::unknown()
    }

    /// Reports that an anti-joined alias was asked for a column.
    fn hidden(&mut self, alias: &str, span: TextSpan) -> TypedExpr {
        let wrong = Diagnostic::error(span, format!("`{alias}` binds no columns"));
        let wrong = wrong.detail("rows are kept only where nothing of it happened before");
        self.report(wrong.hint(format!("compare it in the join itself: `ON {alias} -> .. AND ..`")));
        TypedExpr::unknown()
    }

    /// Resolves an alias alone, which means its column if there is exactly one.
    fn only_column(&mut self, binding: &AliasBinding, alias: &str, span: TextSpan) -> TypedExpr {
        let name = match binding {
            AliasBinding::Unknown => return TypedExpr::unknown(),
            AliasBinding::Groups(groups) => match groups.columns.as_slice() {
                [(_, only)] => return only.clone(),
                _ => None,
            },
            AliasBinding::Tuples { .. } => self.only_field(binding),
        };

        match name {
            Some(name) => self.member_of(binding, alias, &name, span),
            None => {
                let wrong = Diagnostic::error(span, format!("`{alias}` is not one column"));
                let wrong = wrong.detail("an alias stands alone only if its source has exactly one column");
                self.report(wrong.hint(format!("name the column: `{alias}.field`")));
                TypedExpr::unknown()
            }
        }
    }
}
