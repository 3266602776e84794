//! The columns of one event, without an allocation: a cell is two machine words.
//!
//! ```text
//! 42_i64     | 42                        | kind I64   0                     |
//! "host-7"   | 'h' 'o' 's' 't' '-' '7'   | kind SHORT + 6   0               |
//! 20 bytes   | start in the text buffer  | kind LONG  20                    |   out of line
//! [1, 2]     | index among the values    | kind OTHER 0                     |   out of line
//! ```
//!
//! The kind is the top byte of the second word. Numbers and text of up to 15 bytes are stored in their cells, longer text
//! in one buffer that all columns share. Two cells stored in line hold the same value exactly if their words are equal,
//! so that keys are compared and hashed as words.

use pivot_advice::{Sum, Type, Value};
use pivot_baggage::{AddedNumber, ValueRef};

const NULL: u8 = Type::Null.code();
const BOOL: u8 = Type::Bool.code();
const I64: u8 = Type::I64.code();
const U64: u8 = Type::U64.code();
const F64: u8 = Type::F64.code();
const TIMESTAMP: u8 = Type::Timestamp.code();
const DURATION: u8 = Type::Duration.code();
/// Text that is out of line: where it begins, and its length.
const LONG: u8 = 10;
/// Any other value, out of line: its index.
const OTHER: u8 = 11;
/// Text of no bytes; every byte of the text adds one.
const SHORT: u8 = 16;

/// The most bytes of text that a cell holds.
const MOST: usize = 15;

/// Gives the exported field of an index, as a cell.
pub(crate) type FieldReader<'a> = &'a dyn Fn(usize, &mut Cells) -> Cell;

/// One value of an event, or where its [`Cells`] store it out of line.
///
/// The first word is the number or the first eight bytes of text; the second has the other bytes, and the kind on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell(pub(crate) u64, pub(crate) u64);

impl Cell {
    /// No value.
    pub const NULL: Cell = Cell::of(NULL, 0);

    #[inline(always)]
    const fn of(kind: u8, word: u64) -> Cell {
        Cell(word, (kind as u64) << 56)
    }

    #[inline(always)]
    const fn kind(self) -> u8 {
        (self.1 >> 56) as u8
    }

    /// A truth value.
    #[inline(always)]
    pub const fn bool(x: bool) -> Cell {
        Cell::of(BOOL, x as u64)
    }

    /// A signed integer.
    #[inline(always)]
    pub const fn i64(x: i64) -> Cell {
        Cell::of(I64, x.cast_unsigned())
    }

    /// An unsigned integer.
    #[inline(always)]
    pub const fn u64(x: u64) -> Cell {
        Cell::of(U64, x)
    }

    /// A double.
    #[inline(always)]
    pub const fn f64(x: f64) -> Cell {
        Cell::of(F64, x.to_bits())
    }

    /// Nanoseconds since the Unix epoch.
    #[inline(always)]
    pub const fn timestamp(ns: i64) -> Cell {
        Cell::of(TIMESTAMP, ns.cast_unsigned())
    }

    /// Nanoseconds.
    #[inline(always)]
    pub const fn duration(ns: i64) -> Cell {
        Cell::of(DURATION, ns.cast_unsigned())
    }

    /// Text, if it is short enough.
    #[inline(always)]
    pub(crate) fn short(text: &str) -> Option<Cell> {
        let bytes = text.as_bytes();
        let kind = (u64::from(SHORT) + bytes.len() as u64) << 56;
        let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) else {
            return Some(Cell(few(bytes), kind));
        };

        if bytes.len() > MOST {
            return None;
        }

        // The last eight bytes begin among the first, which are shifted out; in two steps, as it may be
        // all of them.
        let others = u64::from_le_bytes(*last) >> 8 >> (8 * (MOST - bytes.len()));
        Some(Cell(u64::from_le_bytes(*first), others | kind))
    }

    /// Returns the value of a cell of one word, such as a number or a time, or `None` for text and the like.
    fn scalar(self) -> Option<Value> {
        Some(match self.kind() {
            NULL => Value::Null,
            BOOL => Value::Bool(self.0 != 0),
            I64 => Value::I64(self.0.cast_signed()),
            U64 => Value::U64(self.0),
            F64 => Value::F64(f64::from_bits(self.0)),
            TIMESTAMP => Value::Timestamp(self.0.cast_signed()),
            DURATION => Value::Duration(self.0.cast_signed()),
            _ => return None,
        })
    }

    /// Returns an integer that is at most `i64::MAX`, or `None` for anything else.
    #[inline(always)]
    pub(crate) fn as_integer(self) -> Option<i64> {
        let x = self.0.cast_signed();
        if self.1 == Cell::i64(0).1 {
            return Some(x);
        }
        (self.1 == Cell::u64(0).1 && x >= 0).then_some(x)
    }

    /// Returns the kind of an integer, durations included, or `None` if it is something else.
    pub(crate) fn int_kind(self) -> Option<IntKind> {
        matches!(self.kind(), I64 | U64 | DURATION).then_some(IntKind(self.1))
    }

    /// Returns what a sum adds for an integer or duration that is at most `i64::MAX`, or `None` for anything else.
    #[inline(always)]
    pub(crate) fn as_summand(self) -> Option<AddedNumber> {
        match self.kind() {
            DURATION => Some(AddedNumber::Duration(self.0.cast_signed())),
            _ => self.as_integer().map(AddedNumber::Integer),
        }
    }

    /// Returns an integer of this kind that is at most `i64::MAX`, or `None` for anything else.
    #[inline(always)]
    pub(crate) fn as_int_of(self, kind: IntKind) -> Option<i64> {
        let x = self.0.cast_signed();
        if self.1 != kind.0 {
            return None;
        }
        if x < 0 { self.as_negative() } else { Some(x) }
    }

    /// Returns a negative integer; `None` if it is an unsigned one beyond `i64::MAX`.
    #[cold]
    fn as_negative(self) -> Option<i64> {
        (self.kind() != U64).then_some(self.0.cast_signed())
    }

    /// A truth value.
    pub(crate) fn as_bool(self) -> Option<bool> {
        (self.kind() == BOOL).then_some(self.0 != 0)
    }

    /// Returns whether there is no value.
    #[inline(always)]
    pub(crate) fn is_null(self) -> bool {
        self.kind() == NULL
    }

    /// Returns whether this is text.
    pub(crate) fn is_text(self) -> bool {
        self.kind() == LONG || self.kind() >= SHORT
    }

    /// Returns whether the value is stored out of line: then equal values need not have equal cells.
    #[inline(always)]
    pub(crate) fn is_out_of_line(self) -> bool {
        matches!(self.kind(), LONG | OTHER)
    }

    /// Returns a cell of this kind for a value that is stored at another place.
    pub(crate) fn moved_to(self, place: u64) -> Cell {
        Cell::of(self.kind(), place)
    }

    /// Returns the bytes of short text.
    fn bytes(self, buffer: &mut [u8; 16]) -> &[u8] {
        *buffer = (u128::from(self.0) | u128::from(self.1) << 64).to_le_bytes();
        &buffer[..usize::from(self.kind() - SHORT).min(MOST)]
    }
}

/// A kind of integers: the second word of their cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IntKind(u64);

impl IntKind {
    /// No kind. No cell has this in it.
    pub(crate) const NONE: IntKind = IntKind(u64::MAX);

    /// Returns the sum of integers of this kind, of which `sum` are the words.
    pub(crate) fn sum(self, sum: i64) -> Sum {
        match Cell(0, self.0).kind() {
            DURATION => Sum::Duration(sum.into()),
            _ => Sum::Integer(sum.into()),
        }
    }
}

/// Returns less than eight bytes as one word.
#[inline(always)]
fn few(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        // The halves overlap, and say the same where they do.
        let shift = 8 * (bytes.len() as u32 - 4);
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << shift;
    }
    let byte = |i: usize| u64::from(bytes.get(i).copied().unwrap_or(0));
    byte(0) | byte(1) << 8 | byte(2) << 16
}

/// The columns of one event, and the values that are stored out of line. The events of a thread use it in turn.
#[derive(Debug, Default)]
pub struct Cells {
    columns: Vec<Cell>,
    text: String,
    values: Vec<Value>,
    /// Whether anything is stored out of line.
    is_used: bool,
    /// Space for a row of values.
    row: Vec<Value>,
}

impl Cells {
    /// Makes room for an event. Columns that an earlier event left are never read: steps set what later ones read.
    #[inline(always)]
    pub(crate) fn begin(&mut self, columns: usize) {
        if self.is_used || self.columns.len() < columns {
            self.clear(columns);
        }
    }

    /// Ends an event: drops what is stored out of line.
    pub(crate) fn end(&mut self) {
        if self.is_used {
            self.clear(0);
        }
    }

    #[cold]
    #[inline(never)]
    fn clear(&mut self, columns: usize) {
        self.is_used = false;
        self.text.clear();
        self.values.clear();
        self.columns.resize(columns.max(self.columns.len()), Cell::NULL);
    }

    /// The cell of a column.
    #[inline(always)]
    pub(crate) fn get(&self, column: usize) -> Cell {
        self.columns.get(column).copied().unwrap_or(Cell::NULL)
    }

    /// Sets a column.
    #[inline(always)]
    pub(crate) fn set(&mut self, column: usize, cell: Cell) {
        if let Some(place) = self.columns.get_mut(column) {
            *place = cell;
        }
    }

    /// Returns a cell for text.
    #[inline(always)]
    pub fn text(&mut self, text: &str) -> Cell {
        Cell::short(text).unwrap_or_else(|| self.long(text))
    }

    fn long(&mut self, text: &str) -> Cell {
        let start = self.text.len() as u64;
        self.is_used = true;
        self.text.push_str(text);
        // Far less than 2^56 bytes.
        Cell(start, Cell::of(LONG, 0).1 | text.len() as u64)
    }

    /// Returns a cell for a value.
    pub fn hold(&mut self, value: &Value) -> Cell {
        match value {
            Value::Null => Cell::NULL,
            Value::Bool(x) => Cell::bool(*x),
            Value::I64(x) => Cell::i64(*x),
            Value::U64(x) => Cell::u64(*x),
            Value::F64(x) => Cell::f64(*x),
            Value::Timestamp(ns) => Cell::timestamp(*ns),
            Value::Duration(ns) => Cell::duration(*ns),
            Value::Str(text) => self.text(text),
            Value::Bytes(_) | Value::List(_) => {
                self.is_used = true;
                self.values.push(value.clone());
                Cell::of(OTHER, self.values.len() as u64 - 1)
            }
        }
    }

    /// Returns a cell for a value of a bag.
    #[inline(always)]
    pub(crate) fn hold_ref(&mut self, value: ValueRef<'_>) -> Cell {
        match value {
            ValueRef::I64(x) => Cell::i64(x),
            ValueRef::U64(x) => Cell::u64(x),
            ValueRef::Text(text) => self.text(text),
            ValueRef::Other(value) => self.hold(&value),
        }
    }

    /// Returns a cell's value as a bag takes it. The buffer is for short text.
    #[inline(always)]
    pub(crate) fn as_value_ref<'a>(&'a self, cell: Cell, buffer: &'a mut [u8; 16]) -> ValueRef<'a> {
        match cell.kind() {
            I64 => ValueRef::I64(cell.0.cast_signed()),
            U64 => ValueRef::U64(cell.0),
            _ => match self.as_text(cell, buffer) {
                Some(text) => ValueRef::Text(text),
                None => ValueRef::Other(self.value(cell)),
            },
        }
    }

    /// Returns the value of a cell.
    pub(crate) fn value(&self, cell: Cell) -> Value {
        cell.scalar().unwrap_or_else(|| match self.values.get(cell.0 as usize) {
            Some(value) if cell.kind() == OTHER => value.clone(),
            _ => self.as_text(cell, &mut [0; 16]).map_or(Value::Null, Value::str),
        })
    }

    /// Lends an empty row, so that rows of values share one allocation; [`Cells::keep_row`] takes it back.
    pub(crate) fn take_row(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.row)
    }

    /// Takes a row back.
    pub(crate) fn keep_row(&mut self, mut row: Vec<Value>) {
        row.clear();
        self.row = row;
    }

    /// Returns the text of a cell, or `None` if it is not text.
    pub(crate) fn as_text<'a>(&'a self, cell: Cell, buffer: &'a mut [u8; 16]) -> Option<&'a str> {
        match cell.kind() {
            SHORT.. => std::str::from_utf8(cell.bytes(buffer)).ok(),
            _ => self.as_long(cell),
        }
    }

    /// Returns text that is stored out of line, or `None` if the cell is anything else.
    pub(crate) fn as_long(&self, cell: Cell) -> Option<&str> {
        let (start, length) = (cell.0 as usize, (cell.1 & (u64::MAX >> 8)) as usize);
        (cell.kind() == LONG).then(|| self.text.get(start..start + length)).flatten()
    }
}

/// Returns the value of a cell that is stored in line.
pub(crate) fn value_of(cell: Cell) -> Value {
    Cells::default().value(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: Value) {
        let mut cells = Cells::default();
        cells.begin(1);
        let _before = cells.text("what was there before, and is longer than a cell");
        let (cell, again) = (cells.hold(&value), cells.hold(&value));
        let found = cells.value(cell);
        assert_eq!((&found, found.type_of()), (&value, value.type_of()));
        assert_eq!(cell == again, !cell.is_out_of_line());
    }

    #[test]
    fn values_come_back_as_they_were() {
        let text = "0123456789abcdefgh";
        (0..=text.len()).for_each(|length| check(Value::str(&text[..length])));
        check(Value::str("ßßßß"));
        check(Value::Null);
        check(Value::Bool(true));
        [Value::I64(-5), Value::U64(u64::MAX), Value::F64(-0.0), Value::F64(f64::NAN)]
            .into_iter()
            .for_each(check);
        [Value::Timestamp(-1), Value::Duration(i64::MIN)].into_iter().for_each(check);
        check(Value::Bytes([0, 1].as_slice().into()));
        check(Value::List(vec![Value::str("x")].into()));
    }

    #[test]
    fn different_short_texts_are_different_cells() {
        let texts: Vec<String> =
            (0..=MOST).flat_map(|n| ["a".repeat(n), "a".repeat(n / 2) + &"b".repeat(n - n / 2)]).collect();
        for x in &texts {
            for y in &texts {
                assert_eq!(Cell::short(x) == Cell::short(y), x == y, "{x:?} {y:?}");
            }
        }
        assert_ne!(Cell::short("\0"), Cell::short(""));
        assert_eq!(Cell::short(&"a".repeat(MOST + 1)), None);
    }
}
