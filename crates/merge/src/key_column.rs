//! One column of the keys of all groups.

use crate::incoming_keys::IncomingKeys;
use crate::texts::{Texts, are_equal, utf8};
use pivot_advice::Value;
use pivot_advice::columns::{ColumnBlockWriter, NumberType};
use std::borrow::Cow;

/// One column of the keys of all groups, of one type if all of them have one.
#[derive(Debug, Clone)]
pub(crate) enum KeyColumn {
    /// There is no group yet.
    Empty,
    /// Numbers of one type, equal ones with equal bits.
    Numbers(NumberType, Vec<u64>),
    /// Texts.
    Texts(Texts),
    /// Any values.
    Values(SizedValues),
}

/// Values of any types, with their size.
#[derive(Debug, Clone, Default)]
pub(crate) struct SizedValues {
    values: Vec<Value>,
    /// How many bytes they take; about.
    bytes: usize,
}

impl SizedValues {
    fn push(&mut self, value: Value) {
        self.bytes += value.memory_size();
        self.values.push(value);
    }
}

impl KeyColumn {
    /// Returns whether keys of a block can be compared with these and added to them as they are.
    pub(crate) fn fits(&self, incoming: &IncomingKeys<'_>) -> bool {
        match (self, incoming) {
            (KeyColumn::Numbers(mine, _), IncomingKeys::Numbers(theirs, _)) => mine == theirs,
            (KeyColumn::Texts(_), IncomingKeys::Texts(_)) => true,
            (KeyColumn::Values(_), IncomingKeys::Values(_)) => true,
            _ => false,
        }
    }

    /// Returns a column without groups into which these keys fit.
    pub(crate) fn for_keys(incoming: &IncomingKeys<'_>) -> KeyColumn {
        match incoming {
            IncomingKeys::Numbers(number_type, _) => KeyColumn::Numbers(*number_type, Vec::new()),
            IncomingKeys::Texts(_) => KeyColumn::Texts(Texts::new()),
            IncomingKeys::Values(_) => KeyColumn::Values(SizedValues::default()),
        }
    }

    /// Returns whether the key of a group equals the one in a row of a block.
    #[inline(always)]
    pub(crate) fn equals(&self, group: usize, incoming: &IncomingKeys<'_>, row: usize) -> bool {
        match (self, incoming) {
            (KeyColumn::Numbers(_, mine), IncomingKeys::Numbers(_, theirs)) => mine[group] == theirs[row],
            (KeyColumn::Texts(mine), IncomingKeys::Texts(theirs)) => {
                are_equal(mine.as_slice().get(group), theirs.get(row))
            }
            (KeyColumn::Values(mine), IncomingKeys::Values(theirs)) => mine.values[group] == theirs[row],
            _ => false,
        }
    }

    /// Adds a group with the key in a row of a block.
    pub(crate) fn push(&mut self, incoming: &IncomingKeys<'_>, row: usize) {
        match (self, incoming) {
            (KeyColumn::Numbers(_, mine), IncomingKeys::Numbers(_, theirs)) => mine.push(theirs[row]),
            (KeyColumn::Texts(mine), IncomingKeys::Texts(theirs)) => mine.push(theirs.get(row)),
            (KeyColumn::Values(mine), incoming) => mine.push(incoming.value(row)),
            _ => {}
        }
    }

    /// Returns the key of a group.
    pub(crate) fn value(&self, group: usize) -> Value {
        match self {
            KeyColumn::Empty => Value::Null,
            KeyColumn::Numbers(number_type, numbers) => number_type.value(numbers[group]),
            KeyColumn::Texts(texts) => Value::str(utf8(texts.as_slice().get(group))),
            KeyColumn::Values(mine) => mine.values[group].clone(),
        }
    }

    /// Returns how many bytes its texts take, or its values of any types; about.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            KeyColumn::Texts(texts) => texts.as_slice().bytes.len(),
            KeyColumn::Values(mine) => mine.bytes,
            KeyColumn::Empty | KeyColumn::Numbers(..) => 0,
        }
    }

    /// Makes it a column of any values.
    pub(crate) fn generalize(&mut self, groups: usize) {
        let mut values = SizedValues::default();
        (0..groups).for_each(|group| values.push(self.value(group)));
        *self = KeyColumn::Values(values);
    }

    /// Returns the column as keys of a block of which each row is a group.
    pub(crate) fn as_incoming(&self) -> IncomingKeys<'_> {
        match self {
            KeyColumn::Empty => IncomingKeys::Values(Cow::Borrowed(&[])),
            KeyColumn::Numbers(number_type, numbers) => IncomingKeys::Numbers(*number_type, numbers),
            KeyColumn::Texts(texts) => IncomingKeys::Texts(texts.as_slice()),
            KeyColumn::Values(mine) => IncomingKeys::Values(Cow::Borrowed(&mine.values)),
        }
    }

    /// Writes the column to a block.
    pub(crate) fn write(&self, writer: &mut ColumnBlockWriter) {
        match self {
            KeyColumn::Empty => writer.value_keys([].iter()),
            KeyColumn::Numbers(number_type, numbers) => writer.number_keys(*number_type, numbers),
            KeyColumn::Texts(texts) => {
                let texts: Vec<&str> = texts.as_slice().iter().map(utf8).collect();
                writer.text_keys(&texts);
            }
            KeyColumn::Values(mine) => writer.value_keys(mine.values.iter()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::TextSlice;

    #[test]
    fn texts_among_other_values_take_room_as_well() {
        let keys = [Value::Null, Value::str("x".repeat(1 << 20))];
        let incoming = IncomingKeys::Values(Cow::Borrowed(&keys));
        let mut column = KeyColumn::for_keys(&incoming);
        (0..2).for_each(|row| column.push(&incoming, row));
        assert!(column.text_bytes() >= 1 << 20, "{}", column.text_bytes());

        let (bytes, bounds) = ("x".repeat(1 << 20), [0, 1 << 20]);
        let incoming = IncomingKeys::Texts(TextSlice { bytes: bytes.as_bytes(), bounds: &bounds });
        let mut column = KeyColumn::for_keys(&incoming);
        column.push(&incoming, 0);
        column.generalize(1);
        assert!(column.text_bytes() >= 1 << 20, "{}", column.text_bytes());
    }
}
