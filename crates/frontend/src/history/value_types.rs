//! Which types the values of a column have, as a set: what type the column of a file or of a table gets.

use pivot_advice::{Type, Value};

/// The time zone of all points in time.
pub(crate) const UTC: &str = "UTC";

/// The types that a column of a file may have, in the order in which they are preferred where values have several.
const COLUMN_TYPES: [Type; 8] =
    [Type::String, Type::F64, Type::I64, Type::U64, Type::Duration, Type::Timestamp, Type::Bool, Type::Bytes];

/// A set of types: bit `n` stands for the type with code `n`, all lists for one type.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ValueTypes(pub(crate) u32);

impl ValueTypes {
    /// Adds the type of a value. Null fits every type and adds none.
    pub(crate) fn note(&mut self, value: &Value) {
        if !value.is_null() {
            self.0 |= 1 << value.type_of().code().min(Type::Any.list().code());
        }
    }

    /// Returns the types of both sets.
    pub(crate) fn union(self, other: ValueTypes) -> ValueTypes {
        ValueTypes(self.0 | other.0)
    }

    /// Whether the set has a type.
    pub(crate) fn has(self, ty: Type) -> bool {
        self.0 & (1 << ty.code()) != 0
    }

    /// Returns the type that most values of a column of a file have, or at least some of them.
    pub(super) fn column_type(self) -> Type {
        COLUMN_TYPES.into_iter().find(|ty| self.has(*ty)).unwrap_or(Type::String)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_gets_a_type_of_its_values() {
        let types = |values: &[Value]| {
            let mut types = ValueTypes::default();
            values.iter().for_each(|value| types.note(value));
            types
        };
        assert_eq!(types(&[Value::Null]).column_type(), Type::String);
        assert_eq!(types(&[Value::Null, Value::Duration(3)]).column_type(), Type::Duration);
        assert_eq!(types(&[Value::I64(3), Value::F64(0.5)]).column_type(), Type::F64);
        let lists = types(&[Value::List(vec![Value::str("a")].into()), Value::U64(1)]);
        assert_eq!(lists.column_type(), Type::U64);
        assert!(!lists.has(Type::String));
    }
}
