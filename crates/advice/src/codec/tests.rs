//! The byte form round trips, and refuses what is cut or too long.

use super::*;
use crate::aggregate::AggregateKind;
use crate::error::{DecodeError, EvalErrors};
use crate::groups::Groups;
use crate::value::Value;

fn sample() -> Groups {
    let mut groups = Groups::new(2, &AggregateKind::ALL);
    let inputs = [Value::I64(-5), Value::U64(u64::MAX), Value::Duration(7), Value::F64(0.5), Value::Null];
    for (i, input) in inputs.iter().enumerate() {
        let list = Value::List([Value::str("a"), Value::Null].into());
        let group = groups.entry(&[Value::U64(i as u64), list]);
        group.n += 3;
        group.states.iter_mut().for_each(|state| state.update(input, 3, &mut EvalErrors::default()));
    }
    groups
}

#[test]
fn sizes_are_those_of_what_would_be_written() {
    let long = Value::str("x".repeat(300));
    let values = [Value::Null, Value::I64(-64), Value::I64(i64::MIN), Value::U64(1 << 35), long];
    let list = Value::List(values.clone().into());
    for value in values.iter().chain([&list, &Value::F64(0.5), &Value::Bool(true)]) {
        let mut writer = ByteWriter::new();
        writer.value(value);
        assert!(writer.len().abs_diff(value_size(value)) <= 1, "{value:?}");
    }
    let mut groups = Groups::new(1, &[]);
    groups.entry(&[Value::U64(7)]).n = 1;
    assert_eq!(groups_size(&groups), 3);
}

#[test]
fn groups_round_trip() {
    let mut writer = ByteWriter::new();
    writer.groups(&sample());
    let bytes = writer.into_bytes();
    let mut reader = ByteReader::new(&bytes);
    assert_eq!(reader.groups(), Ok(sample()));
    assert!(reader.is_empty());
}

#[test]
fn every_kind_of_value_round_trips() {
    let bytes = Value::Bytes([1, 2].as_slice().into());
    let values = [
        Value::Null,
        Value::Bool(true),
        Value::I64(i64::MIN),
        Value::U64(u64::MAX),
        Value::F64(-1.5),
        Value::str("é"),
        Value::Timestamp(i64::MIN),
        Value::Duration(-1),
        bytes.clone(),
        Value::List([bytes, Value::Bool(false)].into()),
    ];
    for value in values {
        let mut writer = ByteWriter::new();
        writer.value(&value);
        assert_eq!(ByteReader::new(&writer.into_bytes()).value(), Ok(value));
    }
}

#[test]
fn every_cut_of_the_bytes_is_an_error() {
    let mut writer = ByteWriter::new();
    writer.groups(&sample());
    let bytes = writer.into_bytes();
    for end in 0..bytes.len() {
        assert!(ByteReader::new(&bytes[..end]).groups().is_err(), "{end} bytes of {}", bytes.len());
    }
}

#[test]
fn a_count_beyond_the_bytes_is_refused_before_allocating() {
    assert_eq!(ByteReader::new(&[10, 0xff, 0xff, 0x7f]).value(), Err(DecodeError::TooLarge { what: "list" }));
    assert!(ByteReader::new(&[0xff; 32]).varint().is_err());
    assert_eq!(
        ByteReader::new(&[10, 1, 10, 0]).value(),
        Err(DecodeError::UnknownTag { what: "value", tag: 10 })
    );
}
