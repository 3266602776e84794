//! Merging in columns gives what merging row by row gives, whatever the types of keys and states.

use pivot_advice::columns::ColumnBlock;
use pivot_advice::{AggregateKind, EvalErrors, GroupLimit, Groups, Value};
use pivot_merge::MergedGroups;
use proptest::prelude::*;

/// A column of one type, most often, so that columns of numbers and texts are reached, and change their form late.
#[derive(Debug, Clone, Copy)]
enum ColumnType {
    I64,
    U64,
    F64,
    Bool,
    Text,
    Duration,
    Mixed,
}

fn column_type() -> impl Strategy<Value = ColumnType> {
    use ColumnType::*;
    prop_oneof![
        4 => Just(Text), 4 => Just(I64), 2 => Just(U64), 2 => Just(F64), 1 => Just(Bool), 2 => Just(Duration), 1 => Just(Mixed)
    ]
}

fn value(of: ColumnType, number: u8) -> Value {
    // Few different values, so that keys meet, and some at the ends of what the type holds.
    let small = i64::from(number % 11) - 3;
    match of {
        ColumnType::I64 if number == 255 => Value::I64(i64::MIN),
        ColumnType::I64 => Value::I64(small),
        ColumnType::U64 if number == 255 => Value::U64(u64::MAX),
        ColumnType::U64 => Value::U64(u64::from(number % 11)),
        ColumnType::F64 if number == 255 => Value::F64(-0.0),
        // Of sums of such numbers no bit is lost, in whichever order they are added.
        ColumnType::F64 => Value::F64(small as f64 / 4.0),
        ColumnType::Bool => Value::Bool(number > 127),
        ColumnType::Text => {
            Value::str("text-é".repeat(usize::from(number % 7)) + ["", "x"][usize::from(number / 128)])
        }
        ColumnType::Duration => Value::Duration(small * 1_000_000_007),
        ColumnType::Mixed => match number % 5 {
            0 => Value::Null,
            1 => value(ColumnType::I64, number / 5),
            2 => value(ColumnType::Text, number / 5),
            3 => value(ColumnType::F64, number / 5),
            _ => Value::List([value(ColumnType::I64, number / 5)].into()),
        },
    }
}

/// One report: the types of its two key columns and of what is aggregated, and its rows.
type Report = (ColumnType, ColumnType, ColumnType, Vec<(u8, u8, u8, u16)>);

fn groups_of(keys: usize, aggregates: &[AggregateKind], report: &Report) -> Groups {
    let (first, second, folded, rows) = report;
    let mut groups = Groups::new(keys, aggregates);
    for (a, b, input, n) in rows {
        let key = [value(*first, *a), value(*second, *b)];
        let group = groups.entry(&key[..keys]);
        group.n += u64::from(*n);
        let input = value(*folded, *input);
        group
            .states
            .iter_mut()
            .for_each(|state| state.update(&input, (*n).into(), &mut EvalErrors::default()));
    }
    groups
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merging_in_columns_is_merging_row_by_row(
        keys in 0..3_usize,
        limit in prop_oneof![Just(usize::MAX), 0..20_usize],
        aggregates in proptest::sample::subsequence(AggregateKind::ALL.to_vec(), 0..5),
        types in (column_type(), column_type(), column_type()),
        reports in proptest::collection::vec(
            (any::<u8>(), (column_type(), column_type(), column_type()),
             proptest::collection::vec(any::<(u8, u8, u8, u16)>(), 0..40)),
            0..6,
        ),
    ) {
        let (mut expected, mut expected_other) = (Groups::new(keys, &aggregates), Groups::new(0, &aggregates));
        let (mut merged, mut other) = (MergedGroups::new(keys, &aggregates), Groups::new(0, &aggregates));

        for (differs, own_types, rows) in reports {
            // One report in eight has other types than the rest.
            let (a, b, c) = if differs < 32 { own_types } else { types };
            let report = groups_of(keys, &aggregates, &(a, b, c, rows));
            let limits = GroupLimit { groups: limit, new_bytes: usize::MAX };
            expected.absorb(&report, limits, &mut expected_other);

            let block = ColumnBlock::decode(ColumnBlock::encode(&report)).expect("it was just encoded");
            prop_assert_eq!(merged.merge(&block, limit, &mut other), 0);
        }
        prop_assert_eq!(merged.to_groups(), expected.clone());
        prop_assert_eq!(other, expected_other);
        prop_assert_eq!((merged.len(), merged.row_count()), (expected.len(), expected.row_count()));

        // What is stored and loaded again is the same table.
        let stored = ColumnBlock::decode(merged.encode()).expect("it was just encoded");
        prop_assert_eq!(stored.to_groups(), expected.clone());
        prop_assert_eq!(MergedGroups::from(&expected).to_groups(), expected);
    }
}

#[test]
fn a_block_of_another_shape_is_dropped_and_counted() {
    let mut groups = Groups::new(1, &[]);
    groups.entry(&[Value::U64(1)]).n = 7;
    let block = ColumnBlock::decode(ColumnBlock::encode(&groups)).expect("it was just encoded");
    let mut other = Groups::new(0, &[]);

    for mut merged in [MergedGroups::new(2, &[]), MergedGroups::new(1, &[AggregateKind::Count])] {
        assert_eq!(merged.merge(&block, usize::MAX, &mut other), 7);
        assert!(merged.is_empty() && other.is_empty());
    }
}

#[test]
fn ten_thousand_groups_are_all_found_again() {
    let mut groups = Groups::new(1, &[AggregateKind::Sum]);
    for i in 0..10_000 {
        let group = groups.entry(&[Value::str(format!("/svc/route-{i:06}"))]);
        group.n = 1;
        group.states[0].update(&Value::I64(i), 1, &mut EvalErrors::default());
    }
    let mut merged = MergedGroups::from(&groups);
    let block = ColumnBlock::decode(merged.encode()).expect("it was just encoded");
    merged.merge(&block, usize::MAX, &mut Groups::new(0, &[AggregateKind::Sum]));
    assert_eq!((merged.len(), merged.row_count()), (10_000, 20_000));
}

#[test]
fn long_texts_that_repeat_are_merged_and_stored_however_many_groups_have_them() {
    // Spelled out, the texts take more than a message could carry; a hundred agents may report as much.
    let texts: Vec<Value> = (0..100).map(|i| Value::str(format!("{i:02}").repeat(512))).collect();
    let mut groups = Groups::new(2, &[]);
    for i in 0..70_000 {
        groups.entry(&[texts[i as usize % 100].clone(), Value::I64(i)]).n = 1;
    }

    let merged = MergedGroups::from(&groups);
    assert_eq!((merged.len(), merged.row_count()), (70_000, 70_000));
    let stored = ColumnBlock::decode(merged.encode()).expect("it was just encoded");
    assert_eq!(stored.row_count(), 70_000);

    let (mut total, mut other) = (merged.empty_like(), Groups::new(0, &[]));
    assert_eq!(total.merge_table(&merged, usize::MAX, &mut other), 0);
    assert_eq!((total.len(), total.row_count(), other.len()), (70_000, 70_000, 0));
}
