//! The types of expressions, as evaluation gives them. [`Type::Any`] goes with everything.

use pivot_advice::{Binary, Function, Type};

/// Whether a value of one type can be compared with a value of the other.
pub(super) fn comparable(a: Type, b: Type) -> bool {
    open(a) || open(b) || a == b || (a.is_number() && b.is_number()) || lists(a, b)
}

fn lists(a: Type, b: Type) -> bool {
    matches!((a, b), (Type::List(x), Type::List(y)) if comparable(*x, *y))
}

/// Whether nothing is known of the type.
pub(super) fn open(ty: Type) -> bool {
    matches!(ty, Type::Any | Type::Null)
}

/// Whether the type may be the wanted one.
pub(super) fn fits(ty: Type, wanted: Type) -> bool {
    open(ty) || ty == wanted
}

/// The type of an operator's result; none if the operands do not go together.
pub(super) fn binary(op: Binary, a: Type, b: Type) -> Option<Type> {
    use Binary::*;
    match op {
        And | Or => (fits(a, Type::Bool) && fits(b, Type::Bool)).then_some(Type::Bool),
        Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual => {
            comparable(a, b).then_some(Type::Bool)
        }
        Concat => Some(Type::String),
        Add | Subtract | Multiply | Divide | Remainder => arithmetic(op, a, b),
    }
}

fn arithmetic(op: Binary, a: Type, b: Type) -> Option<Type> {
    use Binary::*;
    use Type::*;
    match (op, a, b) {
        (_, U64, U64) if op != Subtract => Some(U64),
        (_, a, b) if a.is_integer() && b.is_integer() => Some(I64),
        (_, a, b) if a.is_number() && b.is_number() => Some(F64),
        (Subtract, Timestamp, Timestamp) => Some(Duration),
        (Add, Timestamp, Duration) | (Add, Duration, Timestamp) | (Subtract, Timestamp, Duration) => {
            Some(Timestamp)
        }
        (Divide, Duration, Duration) => Some(F64),
        (Add | Subtract | Remainder, Duration, Duration) => Some(Duration),
        (Multiply | Divide, Duration, b) if b.is_number() => Some(Duration),
        (Multiply, a, Duration) if a.is_number() => Some(Duration),
        (_, a, b) if (open(a) && adds_up(b)) || (open(b) && adds_up(a)) => Some(Any),
        _ => None,
    }
}

fn adds_up(ty: Type) -> bool {
    open(ty) || ty.is_number() || matches!(ty, Type::Timestamp | Type::Duration)
}

/// One type for values of both, as in the arms of CASE.
pub(super) fn united(a: Type, b: Type) -> Option<Type> {
    match (a, b) {
        (Type::Null, other) | (other, Type::Null) => Some(other),
        (Type::Any, _) | (_, Type::Any) => Some(Type::Any),
        (a, b) if a == b => Some(a),
        (a, b) if a.is_integer() && b.is_integer() => Some(Type::I64),
        (a, b) if a.is_number() && b.is_number() => Some(Type::F64),
        _ => None,
    }
}

/// The type of a function's result, or the place of the argument that does not fit and what it should be.
pub(super) fn call(function: Function, arguments: &[Type]) -> Result<Type, (usize, &'static str)> {
    use Function::*;
    let at = |i: usize| arguments.get(i).copied().unwrap_or(Type::Any);
    let need = |i: usize, wanted: bool, what| if wanted || open(at(i)) { Ok(()) } else { Err((i, what)) };
    let text = |i: usize| need(i, at(i) == Type::String, "text");
    let number = |i: usize| need(i, at(i).is_number(), "a number");
    let integer = |i: usize| need(i, at(i).is_integer(), "an integer");
    match function {
        Lower | Upper => text(0).map(|()| Type::String),
        Length => {
            let measured = matches!(at(0), Type::String | Type::Bytes | Type::List(_));
            need(0, measured, "text, bytes or a list").map(|()| Type::I64)
        }
        Substr => {
            text(0)?;
            integer(1)?;
            integer(2).map(|()| Type::String)
        }
        SplitPart => {
            text(0)?;
            text(1)?;
            integer(2).map(|()| Type::String)
        }
        StartsWith | Contains => {
            text(0)?;
            text(1).map(|()| Type::Bool)
        }
        Abs => {
            need(0, at(0).is_number() || at(0) == Type::Duration, "a number or a duration").map(|()| at(0))
        }
        Floor | Ceil | Round => number(0).map(|()| at(0)),
        Ln | Log2 => number(0).map(|()| Type::F64),
        Pow => {
            number(0)?;
            number(1).map(|()| Type::F64)
        }
        Bucket => bucket(at(0), at(1)),
        Truncate => {
            need(0, at(0) == Type::Timestamp, "a timestamp")?;
            text(1).map(|()| Type::Timestamp)
        }
        WidthBucket => {
            for i in 0..3 {
                need(i, at(i).is_number() || at(i) == Type::Duration, "a number or a duration")?;
            }
            integer(3).map(|()| Type::I64)
        }
        Coalesce => {
            let mut all = Type::Null;
            for (i, ty) in arguments.iter().enumerate() {
                all = united(all, *ty).ok_or((i, "of the type of the others"))?;
            }
            Ok(all)
        }
        If => {
            need(0, at(0) == Type::Bool, "a condition")?;
            united(at(1), at(2)).ok_or((2, "of the type of the other result"))
        }
        Hash | Size => Ok(Type::U64),
    }
}

fn bucket(x: Type, width: Type) -> Result<Type, (usize, &'static str)> {
    match x {
        Type::Timestamp | Type::Duration if fits(width, Type::Duration) => Ok(x),
        Type::Timestamp | Type::Duration => Err((1, "a duration")),
        x if x.is_integer() && (open(width) || width.is_integer()) => Ok(x),
        x if x.is_integer() => Err((1, "an integer")),
        Type::F64 if open(width) || width.is_number() => Ok(x),
        Type::F64 => Err((1, "a number")),
        x if open(x) => Ok(Type::Any),
        _ => Err((0, "a number, a timestamp or a duration")),
    }
}
