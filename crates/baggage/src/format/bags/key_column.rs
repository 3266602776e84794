//! The values of one key column, as they stand in the rows of a grouped bag.
//!
//! While all values of a column are of one type, the type stands in front of the rows, once, and a value is
//! its payload alone. A column of several types, of nulls or of lists, is of [`Type::Any`], and each of its
//! values carries its tag:
//!
//! ```text
//! column of     value 5 and value `a`
//! i64           15                  5 in zigzag, as a number
//! string        03 61               its length as a number, its bytes
//! bool          01                  f64, timestamp, duration: 8 bytes LE; bytes: as a string
//! any           03 0a, 06 01 61     as `pivot_advice::codec` writes a value: tag, varint payload
//! ```
//!
//! A value takes a byte at least and tells its own length, and we write it in one way only, so keys of one
//! type are equal if their bytes are, and none is the beginning of another. The payloads are not those of the
//! codec: a number tells its length in its first byte, see `prefix_varint.rs`.

use crate::format::bags::prefix_varint;
use crate::format::bags::value::ValueRef;
use pivot_advice::codec::{ByteReader, ByteWriter, unzigzag, zigzag};
use pivot_advice::{DecodeError, Type, Value};
use std::sync::Arc;

const BOOL: u8 = Type::Bool.code();
const I64: u8 = Type::I64.code();
const U64: u8 = Type::U64.code();
const F64: u8 = Type::F64.code();
const STRING: u8 = Type::String.code();
const BYTES: u8 = Type::Bytes.code();
const TIMESTAMP: u8 = Type::Timestamp.code();
const DURATION: u8 = Type::Duration.code();

/// The code of a column whose values carry their tags.
pub(crate) const ANY: u8 = Type::Any.code();

/// Returns the code of a column that has only values of the type of this one.
#[inline]
pub(crate) fn code(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => BOOL,
        Value::I64(_) => I64,
        Value::U64(_) => U64,
        Value::F64(_) => F64,
        Value::Str(_) => STRING,
        Value::Bytes(_) => BYTES,
        Value::Timestamp(_) => TIMESTAMP,
        Value::Duration(_) => DURATION,
        Value::Null | Value::List(_) => ANY,
    }
}

/// Whether a byte is the code of a column.
pub(crate) fn is_code(code: u8) -> bool {
    code <= DURATION && code != Type::Null.code()
}

/// Appends a value to a column, of its own type or of [`ANY`].
#[inline(always)]
pub(crate) fn put(out: &mut Vec<u8>, column: u8, value: &Value) {
    match (column, value) {
        (I64, Value::I64(x)) => prefix_varint::put(out, zigzag(*x)),
        (U64, Value::U64(x)) => prefix_varint::put(out, *x),
        (STRING, Value::Str(text)) => put_bytes(out, text.as_bytes()),
        _ => put_other(out, column, value),
    }
}

/// Appends a borrowed value to a column, of its own type or of [`ANY`].
#[inline(always)]
pub(crate) fn put_ref(out: &mut Vec<u8>, column: u8, value: &ValueRef<'_>) {
    match (column, value) {
        (I64, ValueRef::I64(x)) => prefix_varint::put(out, zigzag(*x)),
        (U64, ValueRef::U64(x)) => prefix_varint::put(out, *x),
        (STRING, ValueRef::Text(text)) => put_bytes(out, text.as_bytes()),
        (_, value) => put_other(out, column, &Value::from(value.clone())),
    }
}

/// Returns the code of a column that has only values of the type of this borrowed one.
#[inline(always)]
pub(crate) fn code_of_ref(value: &ValueRef<'_>) -> u8 {
    match value {
        ValueRef::I64(_) => I64,
        ValueRef::U64(_) => U64,
        ValueRef::Text(_) => STRING,
        ValueRef::Other(value) => code(value),
    }
}

/// Appends a value of one of the less frequent types.
fn put_other(out: &mut Vec<u8>, column: u8, value: &Value) {
    match (column, value) {
        (BOOL, Value::Bool(x)) => out.push(u8::from(*x)),
        (F64, Value::F64(x)) => out.extend_from_slice(&x.to_bits().to_le_bytes()),
        (BYTES, Value::Bytes(bytes)) => put_bytes(out, bytes),
        (TIMESTAMP, Value::Timestamp(x)) | (DURATION, Value::Duration(x)) => {
            out.extend_from_slice(&x.to_le_bytes());
        }

        // A column whose values carry their tags, or a list.
        _ => {
            let mut writer = ByteWriter::new();
            writer.value(value);
            out.extend_from_slice(&writer.into_bytes());
        }
    }
}

#[inline]
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    prefix_varint::put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes a value of a column off the front.
#[inline(always)]
pub(crate) fn take(bytes: &mut &[u8], column: u8) -> Result<Value, DecodeError> {
    take_ref(bytes, column).map(Value::from)
}

/// Takes a value of a column off the front, borrowed where that saves something.
#[inline(always)]
pub(crate) fn take_ref<'a>(bytes: &mut &'a [u8], column: u8) -> Result<ValueRef<'a>, DecodeError> {
    Ok(match column {
        I64 => ValueRef::I64(unzigzag(prefix_varint::take(bytes).ok_or(DecodeError::Truncated)?)),
        U64 => ValueRef::U64(prefix_varint::take(bytes).ok_or(DecodeError::Truncated)?),
        STRING => ValueRef::Text(std::str::from_utf8(take_bytes(bytes)?).map_err(|_| DecodeError::NotUtf8)?),
        _ => ValueRef::Other(take_other(bytes, column)?),
    })
}

/// Takes a value of one of the less frequent types off the front.
fn take_other(bytes: &mut &[u8], column: u8) -> Result<Value, DecodeError> {
    Ok(match column {
        BOOL => match take_raw(bytes, 1)?[0] {
            0 => Value::Bool(false),
            1 => Value::Bool(true),
            tag => return Err(DecodeError::UnknownTag { what: "bool", tag }),
        },
        F64 => Value::F64(f64::from_bits(take_word(bytes)?)),
        BYTES => Value::Bytes(Arc::from(take_bytes(bytes)?)),
        TIMESTAMP => Value::Timestamp(take_word(bytes)? as i64),
        DURATION => Value::Duration(take_word(bytes)? as i64),

        // The value carries its tag.
        _ => {
            let mut reader = ByteReader::new(bytes);
            let value = reader.value()?;
            *bytes = reader.rest();
            value
        }
    })
}

/// Takes a value off the front without making it. Text may be no UTF-8.
#[inline]
pub(crate) fn skip(bytes: &mut &[u8], column: u8) -> Result<(), DecodeError> {
    match column {
        I64 | U64 => prefix_varint::take(bytes).map(drop).ok_or(DecodeError::Truncated),
        STRING | BYTES => take_bytes(bytes).map(drop),
        F64 | TIMESTAMP | DURATION => take_raw(bytes, 8).map(drop),
        _ => take_other(bytes, column).map(drop),
    }
}

/// Takes a value off the front without making it, if it can be read.
#[inline(always)]
pub(crate) fn check(bytes: &mut &[u8], column: u8) -> Result<(), DecodeError> {
    match column {
        I64 | U64 | STRING => take_ref(bytes, column).map(drop),
        _ => skip(bytes, column),
    }
}

fn take_word(bytes: &mut &[u8]) -> Result<u64, DecodeError> {
    let (word, rest) = bytes.split_first_chunk::<8>().ok_or(DecodeError::Truncated)?;
    *bytes = rest;
    Ok(u64::from_le_bytes(*word))
}

#[inline]
fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let length = prefix_varint::take(bytes).ok_or(DecodeError::Truncated)?;
    take_raw(bytes, usize::try_from(length).unwrap_or(usize::MAX))
}

#[inline]
fn take_raw<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], DecodeError> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(DecodeError::Truncated)?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_any_type_is_read_as_it_was_written_with_its_tag_or_without() {
        let bytes = Value::Bytes([1, 2].as_slice().into());
        let values = [
            Value::Null,
            Value::Bool(false),
            Value::Bool(true),
            Value::I64(i64::MIN),
            Value::U64(u64::MAX),
            Value::F64(-1.5),
            Value::str("é"),
            bytes.clone(),
            Value::Timestamp(i64::MIN),
            Value::Duration(-1),
            Value::List([bytes, Value::Bool(false)].into()),
        ];
        for value in values {
            for column in [code(&value), ANY] {
                assert!(is_code(column) && column == code(&value).min(column));
                let mut written = Vec::new();
                put(&mut written, column, &value);
                let (mut taken, mut skipped) = (written.as_slice(), written.as_slice());
                assert_eq!((take(&mut taken, column).as_ref(), taken.len()), (Ok(&value), 0));
                assert_eq!((skip(&mut skipped, column), skipped.len()), (Ok(()), 0));
                let mut checked = written.as_slice();
                assert_eq!((check(&mut checked, column), checked.len()), (Ok(()), 0));
                for end in 0..written.len() {
                    assert!(take(&mut &written[..end], column).is_err());
                    assert!(skip(&mut &written[..end], column).is_err());
                    assert!(check(&mut &written[..end], column).is_err());
                }
            }
        }
        assert!([1, 10, 16, 255].iter().all(|code| !is_code(*code)));
        let mut torn = Vec::new();
        put_bytes(&mut torn, &[b'a', 0xff]);
        assert_eq!(check(&mut torn.as_slice(), STRING), Err(DecodeError::NotUtf8));
        assert_eq!(check(&mut [7].as_slice(), BOOL), Err(DecodeError::UnknownTag { what: "bool", tag: 7 }));
    }
}
