//! Blocks of columns round trip, and refuse what is cut, changed or too long.

use super::*;
use crate::aggregate::AggregateKind;
use crate::error::{DecodeError, EvalErrors};
use crate::groups::Groups;
use crate::value::Value;

fn round_trip(groups: &Groups) -> ColumnBlock {
    let block = ColumnBlock::decode(ColumnBlock::encode(groups)).expect("what was written can be read");
    assert_eq!(block.to_groups(), *groups);
    assert_eq!(block.row_count(), groups.row_count());
    block
}

/// Returns a table of one key column with these values, and all aggregates over the same values.
fn table_of(values: &[Value]) -> Groups {
    let mut groups = Groups::new(1, &AggregateKind::ALL);
    for (i, value) in values.iter().enumerate() {
        let group = groups.entry(std::slice::from_ref(value));
        group.n += 1 + i as u64 * 300;
        group.states.iter_mut().for_each(|state| state.update(value, 3, &mut EvalErrors::default()));
    }
    groups
}

fn samples() -> Vec<Vec<Value>> {
    let bytes = Value::Bytes([1, 2].as_slice().into());
    let of_one_type = [
        vec![Value::Bool(false), Value::Bool(true)],
        vec![Value::I64(-1), Value::I64(1), Value::I64(0)],
        vec![Value::I64(i64::MIN), Value::I64(i64::MAX)],
        vec![Value::U64(7), Value::U64(1 << 40)],
        vec![Value::U64(u64::MAX), Value::U64(0)],
        vec![Value::F64(0.5), Value::F64(-2e300), Value::F64(0.0)],
        vec![Value::Timestamp(i64::MIN), Value::Timestamp(5)],
        vec![Value::Duration(-7), Value::Duration(70_000)],
        vec![Value::str(""), Value::str("é"), Value::str("a longer text")],
        vec![bytes.clone(), Value::Bytes([].as_slice().into())],
        vec![Value::List([Value::I64(1)].into()), Value::List([].into())],
    ];
    let mixed = vec![Value::Null, Value::I64(1), Value::F64(1.0), Value::str("x"), bytes];
    of_one_type.into_iter().chain([mixed, vec![]]).collect()
}

#[test]
fn groups_of_every_type_and_aggregate_round_trip() {
    for values in samples() {
        round_trip(&table_of(&values));
    }
    let mut without_key = Groups::new(0, &[AggregateKind::Count]);
    without_key.entry(&[]).n = u64::MAX;
    round_trip(&without_key);

    let mut doubles = Groups::new(1, &[]);
    for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        doubles.entry(&[Value::F64(x)]).n = 1;
    }
    round_trip(&doubles);
}

#[test]
fn columns_of_one_type_take_the_form_of_the_type() {
    let block = round_trip(&table_of(&[Value::I64(-5), Value::I64(100)]));
    assert!(matches!(block.keys[..], [ValueColumn::Numbers(NumberType::I64, _)]));
    let sum = &block.states[AggregateKind::Sum as usize - 1];
    assert!(matches!(sum, StateColumn::Sums(SumType::Integer, _)), "{sum:?}");
    let average = &block.states[AggregateKind::Average as usize - 1];
    assert!(matches!(average, StateColumn::Averages(SumType::Integer, ..)), "{average:?}");
}

#[test]
fn texts_that_repeat_are_written_once() {
    let mut groups = Groups::new(2, &[]);
    for i in 0..100 {
        let host = if i % 2 == 0 { "a-rather-long-host-name" } else { "another-long-host-name" };
        groups.entry(&[Value::str(host), Value::I64(i)]).n = 1;
    }
    let block = round_trip(&groups);
    assert!(matches!(block.keys[0], ValueColumn::Dictionary(..)));
    assert!(block.bytes.len() < 300, "{} bytes", block.bytes.len());
}

#[test]
fn sums_beyond_64_bits_travel_as_states() {
    let mut groups = Groups::new(1, &[AggregateKind::Sum]);
    for key in [1, 2] {
        let group = groups.entry(&[Value::I64(key)]);
        (group.n, group.states[0]) = (1, crate::AggregateState::Sum(crate::Sum::Integer(1 << 100)));
    }
    let block = round_trip(&groups);
    assert!(matches!(block.states[0], StateColumn::States(_)));
}

#[test]
fn every_cut_and_every_changed_byte_is_read_without_a_panic() {
    for values in samples() {
        let bytes = ColumnBlock::encode(&table_of(&values));
        for end in 0..bytes.len() {
            assert!(ColumnBlock::decode(bytes[..end].to_vec()).is_err(), "{end} bytes of {}", bytes.len());
        }

        for (place, change) in (0..bytes.len()).flat_map(|place| [1, 0x80, 0xff].map(|x| (place, x))) {
            let mut changed = bytes.clone();
            changed[place] ^= change;
            if let Ok(block) = ColumnBlock::decode(changed) {
                block.to_groups();
            }
        }
    }
}

#[test]
fn more_rows_than_bytes_are_refused() {
    // No keys, no states, and each of 2^40 rows the number 7 in no bytes.
    let bytes = [[0x80; 5].as_slice(), &[0x20, 0, 0, 0, 14]].concat();
    assert_eq!(ColumnBlock::decode(bytes), Err(DecodeError::TooLarge { what: "rows" }));
}

#[test]
fn so_many_rows_that_their_numbers_would_take_gigabytes_are_refused() {
    // No key, no states, and each multiplicity in a byte.
    let block = |rows: usize| {
        let mut writer = ColumnBlockWriter::new(rows, 0, &[]);
        writer.multiplicities(&[&[0_u64, 1][..], &vec![1; rows - 2]].concat());
        ColumnBlock::decode(writer.into_bytes()).map(|block| block.rows)
    };
    assert_eq!(block(1 << 20), Ok(1 << 20));
    assert_eq!(block((1 << 22) + 1), Err(DecodeError::TooLarge { what: "rows" }));
}

/// Returns a block of two key columns: texts of a MiB each, and numbers.
fn long_texts(rows: usize) -> Vec<u8> {
    let texts = ["x".repeat(1 << 20), "y".repeat(1 << 20)];
    let texts: Vec<&str> = (0..rows).map(|row| texts[row % 2].as_str()).collect();
    let mut writer = ColumnBlockWriter::new(rows, 2, &[]);
    writer.text_keys(&texts);
    writer.number_keys(NumberType::U64, &(0..rows as u64).collect::<Vec<_>>());
    writer.multiplicities(&vec![1; rows]);
    writer.into_bytes()
}

#[test]
fn a_dictionary_that_would_take_gigabytes_is_refused() {
    let bytes = long_texts(64);
    assert!(ColumnBlock::decode(bytes.clone()).is_ok());
    assert!(bytes.len() < 3 << 20);

    // More rows with the first text, of which each has another number.
    let mut writer = ColumnBlockWriter::new(100, 2, &[]);
    writer.text_keys(&["x"; 100]);
    writer.number_keys(NumberType::U64, &(0..100).collect::<Vec<_>>());
    writer.multiplicities(&[1; 100]);
    let short = writer.into_bytes();
    // The length and the bytes of the one text, zigzag and not.
    let at = short.iter().position(|byte| *byte == b'x').expect("the text");
    let mut long = [&short[..at - 1], &[0x80, 0x80, 0x80, 0x01]].concat();
    long.extend(vec![b'x'; 1 << 20]);
    long.extend_from_slice(&short[at + 1..]);
    assert_eq!(ColumnBlock::decode(long), Err(DecodeError::TooLarge { what: "keys" }));
}

#[test]
fn texts_that_would_take_more_in_a_dictionary_than_is_read_are_written_without() {
    let block = ColumnBlock::decode(long_texts(65)).expect("what was written can be read");
    assert!(matches!(block.keys[0], ValueColumn::Texts(_)));
    assert_eq!(block.row_count(), 65);
}

#[test]
fn a_text_that_ends_within_a_character_is_refused() {
    let mut groups = Groups::new(1, &[]);
    ["é", "ab"].iter().for_each(|text| groups.entry(&[Value::str(text)]).n = 1);
    let mut bytes = ColumnBlock::encode(&groups);
    round_trip(&groups);

    // Both texts have two bytes; now the first has one and the second three.
    let at = bytes.iter().position(|byte| *byte == 6).expect("a column of texts") + 1;
    bytes.splice(at..at + 2, [1, 2, 0, 2]);
    assert_eq!(ColumnBlock::decode(bytes), Err(DecodeError::NotUtf8));
}
