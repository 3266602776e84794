//! Edges of buckets of one width, as the decimal numbers that people mean.
//!
//! ```text
//! 1000 + 3 * 0.1                        1000.3000000000001    what doubles make of it
//! (1000 * 10 + 3 * 1) / 10              1000.3                integers of tenths, divided once
//! ```

/// Integers up to this size are exact as doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The most decimal digits that are tried: doubles hold no more.
const MAX_DIGITS: i32 = 15;

/// Returns `least + number * step`, as the double nearest to that decimal number.
pub fn bucket_edge(least: f64, step: f64, number: i64) -> f64 {
    let number = number as f64;
    match decimal_unit(least, step) {
        Some(unit) => {
            let sum = (least * unit).round() + number * (step * unit).round();
            if sum.abs() <= EXACT { sum / unit } else { least + number * step }
        }
        None => least + number * step,
    }
}

/// Returns how many buckets of a width there are from one bound to another; the last may reach further.
pub fn bucket_count(least: f64, most: f64, step: f64) -> f64 {
    let quotient = (most - least) / step;
    let nearest = quotient.round();
    // The quotient of 0.9 and 0.3 is a little more than 3, and three buckets are enough.
    let fits = nearest.abs() <= EXACT && bucket_edge(least, step, nearest as i64) == most;
    if fits { nearest } else { quotient.ceil() }
}

/// Returns the number of the bucket of one width that a number lies in, from 0 on, where the first begins at 0:
/// the one whose edges as decimal numbers enclose it. Returns `None` if it has no such number.
pub(crate) fn bucket_number(x: f64, step: f64) -> Option<i64> {
    let place = x / step;
    let nearest = place.round();
    if !place.is_finite() || nearest.abs() >= EXACT {
        return None;
    }

    // Far from an edge the quotient decides; at one, rounding would.
    Some(if is_near_edge(place, nearest) && x >= bucket_edge(0.0, step, nearest as i64) {
        nearest as i64
    } else if is_near_edge(place, nearest) {
        nearest as i64 - 1
    } else {
        place.floor() as i64
    })
}

/// Returns the number of the bucket that a number lies in, from 0 on, of `count` buckets between two bounds.
pub(crate) fn bucket_between(x: f64, least: f64, most: f64, count: i64) -> i64 {
    let place = (x - least) / ((most - least) / count as f64);
    let nearest = place.round();
    let number = match is_near_edge(place, nearest) {
        true if x >= edge_between(least, most, count as f64, nearest) => nearest as i64,
        true => nearest as i64 - 1,
        false => place.floor() as i64,
    };
    // A quotient that rounds up to `count` would be the bucket above the last.
    number.clamp(0, count - 1)
}

fn is_near_edge(place: f64, nearest: f64) -> bool {
    (place - nearest).abs() <= 1e-9 * nearest.abs().max(1.0)
}

/// Returns the edge before a bucket of `count` between two bounds.
fn edge_between(least: f64, most: f64, count: f64, number: f64) -> f64 {
    match decimal_unit(least, most) {
        Some(unit) => {
            let (least, most) = ((least * unit).round(), (most * unit).round());
            (least * count + (most - least) * number) / (unit * count)
        }
        None => least + (most - least) * number / count,
    }
}

/// Returns the power of ten of which both numbers are a whole number of parts, or `None` if there is none.
fn decimal_unit(a: f64, b: f64) -> Option<f64> {
    (0..=MAX_DIGITS).map(|digits| 10f64.powi(digits)).find(|unit| is_whole(a, *unit) && is_whole(b, *unit))
}

fn is_whole(x: f64, unit: f64) -> bool {
    let parts = (x * unit).round();
    parts.abs() <= EXACT && parts / unit == x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_decimal_numbers() {
        assert_eq!(bucket_edge(1000.0, 0.1, 3), 1000.3);
        assert_eq!(bucket_edge(0.0, 0.1, 3), 0.3);
        assert_eq!(bucket_edge(-1.0, 0.1, 7), -0.3);
        assert_eq!(bucket_edge(0.05, 0.1, 7), 0.75);
        // What no decimal number of a few digits is stays as it is.
        assert_eq!(bucket_edge(0.0, 1.0 / 3.0, 3), 1.0);
        assert_eq!(bucket_edge(1e300, 1e299, 2), 1e300 + 2e299);
    }

    #[test]
    fn an_edge_belongs_to_the_bucket_that_it_begins() {
        for step in [0.1, 0.3, 0.7, 0.01, 1e-7, 2.5, 1.0, 0.123] {
            for number in -200..200 {
                let edge = bucket_edge(0.0, step, number);
                assert_eq!(bucket_number(edge, step), Some(number), "{edge} in steps of {step}");
                let below = edge.next_down();
                assert_eq!(bucket_number(below, step), Some(number - 1), "{below} in steps of {step}");
            }
        }
        for (least, most, count) in
            [(1000.0, 1001.0, 10), (0.0, 1.0, 10), (-1.0, 1.0, 20), (0.1, 0.7, 6), (0.0, 100.0, 7)]
        {
            for number in 0..count {
                let edge = edge_between(least, most, count as f64, number as f64);
                assert_eq!(bucket_between(edge, least, most, count), number, "{edge} from {least} to {most}");
            }
        }
    }

    #[test]
    fn as_many_buckets_as_fit_are_counted() {
        assert_eq!(bucket_count(0.0, 0.9, 0.3), 3.0);
        assert_eq!(bucket_count(0.0, 0.7, 0.1), 7.0);
        assert_eq!(bucket_count(0.0, 1.0, 0.3), 4.0);
        assert_eq!(bucket_count(0.0, 30.0, 10.0), 3.0);
    }
}
