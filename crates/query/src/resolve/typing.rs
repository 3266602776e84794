//! The types of expressions, as evaluation gives them. [`Type::Any`] goes with everything.
//!
//! A type that is not known before the query runs is checked as it runs: what does not fit is null there.

use pivot_advice::{BinaryOperator, Function, Type};

/// Returns whether a value of one type can be compared with a value of the other.
pub(super) fn comparable(a: Type, b: Type) -> bool {
    open(a) || open(b) || a == b || (a.is_number() && b.is_number()) || lists(a, b)
}

fn lists(a: Type, b: Type) -> bool {
    matches!((a, b), (Type::List(x), Type::List(y)) if comparable(*x, *y))
}

/// Returns whether nothing is known of the type.
pub(super) fn open(ty: Type) -> bool {
    matches!(ty, Type::Any | Type::Null)
}

/// Returns whether the type may be the wanted one.
pub(super) fn fits(ty: Type, wanted: Type) -> bool {
    open(ty) || ty == wanted
}

/// Returns the type of an operator's result, or `None` if the operands do not go together.
pub(super) fn binary(op: BinaryOperator, a: Type, b: Type) -> Option<Type> {
    use BinaryOperator::*;
    match op {
        And | Or => (fits(a, Type::Bool) && fits(b, Type::Bool)).then_some(Type::Bool),
        Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual => {
            comparable(a, b).then_some(Type::Bool)
        }
        Concat => Some(Type::String),
        Add | Subtract | Multiply | Divide | Remainder => arithmetic(op, a, b),
    }
}

fn arithmetic(op: BinaryOperator, a: Type, b: Type) -> Option<Type> {
    use BinaryOperator::*;
    use Type::*;
    match (op, a, b) {
        // A difference of unsigned numbers may be negative.
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

        // What is not known may turn out to be a number when the query runs.
        (_, a, b) if (open(a) && adds_up(b)) || (open(b) && adds_up(a)) => Some(Any),
        _ => None,
    }
}

fn adds_up(ty: Type) -> bool {
    open(ty) || ty.is_number() || matches!(ty, Type::Timestamp | Type::Duration)
}

/// Returns one type for values of both, as in the arms of CASE, or `None` if there is none.
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

/// An argument of a function that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArgumentMismatch {
    /// The place of the argument.
    pub(super) argument: usize,
    /// The type that it should have, for messages.
    pub(super) wanted: &'static str,
}

/// The types of the arguments of a call; what is missing is open.
#[derive(Clone, Copy)]
struct ArgumentTypes<'t>(&'t [Type]);

impl ArgumentTypes<'_> {
    fn at(self, argument: usize) -> Type {
        self.0.get(argument).copied().unwrap_or(Type::Any)
    }

    /// Refuses an argument that does not fit, unless nothing is known of its type.
    fn need(self, argument: usize, fits: bool, wanted: &'static str) -> Result<(), ArgumentMismatch> {
        if fits || open(self.at(argument)) { Ok(()) } else { Err(ArgumentMismatch { argument, wanted }) }
    }

    fn text(self, argument: usize) -> Result<(), ArgumentMismatch> {
        self.need(argument, self.at(argument) == Type::String, "text")
    }

    fn number(self, argument: usize) -> Result<(), ArgumentMismatch> {
        self.need(argument, self.at(argument).is_number(), "a number")
    }

    fn number_or_duration(self, argument: usize) -> Result<(), ArgumentMismatch> {
        let ty = self.at(argument);
        self.need(argument, ty.is_number() || ty == Type::Duration, "a number or a duration")
    }

    fn integer(self, argument: usize) -> Result<(), ArgumentMismatch> {
        self.need(argument, self.at(argument).is_integer(), "an integer")
    }
}

/// Returns the type of a function's result, or the argument that does not fit.
pub(super) fn call(function: Function, arguments: &[Type]) -> Result<Type, ArgumentMismatch> {
    use Function::*;
    let given = ArgumentTypes(arguments);
    match function {
        Lower | Upper | Length | Substr | SplitPart | StartsWith | Contains => text_call(function, given),
        Abs | Floor | Ceil | Round | Ln | Log2 | Pow | WidthBucket => number_call(function, given),

        Bucket => bucket(given.at(0), given.at(1)),
        Truncate => {
            given.need(0, given.at(0) == Type::Timestamp, "a timestamp")?;
            given.text(1).map(|()| Type::Timestamp)
        }

        // The functions that give one of their arguments need a type for all of them.
        Coalesce => {
            let mut all = Type::Null;
            for (argument, ty) in arguments.iter().enumerate() {
                let mismatch = ArgumentMismatch { argument, wanted: "of the type of the others" };
                all = united(all, *ty).ok_or(mismatch)?;
            }
            Ok(all)
        }
        If => {
            given.need(0, given.at(0) == Type::Bool, "a condition")?;
            let mismatch = ArgumentMismatch { argument: 2, wanted: "of the type of the other result" };
            united(given.at(1), given.at(2)).ok_or(mismatch)
        }

        Hash | Size => Ok(Type::U64),
    }
}

/// Returns the type of a function of text.
fn text_call(function: Function, given: ArgumentTypes<'_>) -> Result<Type, ArgumentMismatch> {
    if function == Function::Length {
        let measured = matches!(given.at(0), Type::String | Type::Bytes | Type::List(_));
        return given.need(0, measured, "text, bytes or a list").map(|()| Type::I64);
    }

    // All others take a text first.
    given.text(0)?;
    match function {
        Function::Substr => {
            given.integer(1)?;
            given.integer(2).map(|()| Type::String)
        }
        Function::SplitPart => {
            given.text(1)?;
            given.integer(2).map(|()| Type::String)
        }
        Function::StartsWith | Function::Contains => given.text(1).map(|()| Type::Bool),
        _ => Ok(Type::String),
    }
}

/// Returns the type of a function of numbers.
fn number_call(function: Function, given: ArgumentTypes<'_>) -> Result<Type, ArgumentMismatch> {
    match function {
        Function::Abs => given.number_or_duration(0).map(|()| given.at(0)),
        Function::WidthBucket => {
            for argument in 0..3 {
                given.number_or_duration(argument)?;
            }
            given.integer(3).map(|()| Type::I64)
        }
        Function::Pow => {
            given.number(0)?;
            given.number(1).map(|()| Type::F64)
        }

        // A logarithm is a fraction, rounding keeps the type.
        Function::Ln | Function::Log2 => given.number(0).map(|()| Type::F64),
        _ => given.number(0).map(|()| given.at(0)),
    }
}

fn bucket(x: Type, width: Type) -> Result<Type, ArgumentMismatch> {
    match x {
        Type::Timestamp | Type::Duration if fits(width, Type::Duration) => Ok(x),
        Type::Timestamp | Type::Duration => Err(ArgumentMismatch { argument: 1, wanted: "a duration" }),
        x if x.is_integer() && (open(width) || width.is_integer()) => Ok(x),
        x if x.is_integer() => Err(ArgumentMismatch { argument: 1, wanted: "an integer" }),
        Type::F64 if open(width) || width.is_number() => Ok(x),
        Type::F64 => Err(ArgumentMismatch { argument: 1, wanted: "a number" }),
        x if open(x) => Ok(Type::Any),
        _ => Err(ArgumentMismatch { argument: 0, wanted: "a number, a timestamp or a duration" }),
    }
}
