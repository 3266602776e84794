//! The ASCII form of host names in other alphabets: punycode (RFC 3492), label by label.
//!
//! Clients call hosts by this form, while people list them as they read them. Letters are lowered; other mappings
//! that registries require are not made, so a name that is written in an unusual way is another name.

use std::borrow::Cow;

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// The longest name that DNS knows, in bytes. Longer ones are of no host.
const MAX_NAME: usize = 253;

/// Returns a host name in lower case and ASCII, or `None` if it is too long to be one.
pub(crate) fn to_ascii(name: &str) -> Option<Cow<'_, str>> {
    if name.len() > MAX_NAME * 4 {
        return None;
    }
    if name.is_ascii() {
        let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        return Some(if is_lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) });
    }

    // The full stops of other alphabets separate labels too.
    let lower = name.to_lowercase().replace(['\u{3002}', '\u{ff0e}', '\u{ff61}'], ".");
    let mut labels = Vec::new();
    for label in lower.split('.') {
        labels.push(if label.is_ascii() { label.to_owned() } else { format!("xn--{}", encoded(label)?) });
    }
    Some(Cow::Owned(labels.join(".")))
}

/// Returns the punycode of a label, or `None` if its numbers overflow.
fn encoded(label: &str) -> Option<String> {
    let characters: Vec<u32> = label.chars().map(u32::from).collect();
    let mut output: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(output.len()).ok()?;
    if basic > 0 {
        output.push('-');
    }

    let total = u32::try_from(characters.len()).ok()?;
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0_u32, INITIAL_BIAS, basic);
    while handled < total {
        let next = characters.iter().copied().filter(|character| *character >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;

        for character in &characters {
            if *character < n {
                delta = delta.checked_add(1)?;
            }
            if *character == n {
                push_number(&mut output, delta, bias);
                bias = adapted(delta, handled + 1, handled == basic);
                (delta, handled) = (0, handled + 1);
            }
        }
        (delta, n) = (delta.checked_add(1)?, n + 1);
    }
    Some(output)
}

/// Appends a number in digits of variable weight.
fn push_number(output: &mut String, number: u32, bias: u32) {
    let (mut rest, mut k) = (number, BASE);
    loop {
        let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if rest < threshold {
            break;
        }
        output.push(digit(threshold + (rest - threshold) % (BASE - threshold)));
        (rest, k) = ((rest - threshold) / (BASE - threshold), k + BASE);
    }
    output.push(digit(rest));
}

/// Returns the digit of a value below 36: a letter, then a figure.
fn digit(value: u32) -> char {
    char::from_digit(if value < 26 { value + 10 } else { value - 26 }, BASE).unwrap_or('-')
}

/// Returns the bias for the next number.
fn adapted(delta: u32, points: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / DAMP } else { delta / 2 };
    delta += delta / points;

    let mut k = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        (delta, k) = (delta / (BASE - T_MIN), k + BASE);
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_registries_do() {
        for (name, ascii) in [
            ("bücher.example", "xn--bcher-kva.example"),
            ("München.DE", "xn--mnchen-3ya.de"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("правда", "xn--80aafi6cg"),
            ("faß.example", "xn--fa-hia.example"),
            ("Plain.Example", "plain.example"),
        ] {
            assert_eq!(to_ascii(name).as_deref(), Some(ascii));
        }
        assert!(to_ascii("ａ。ｂ").is_some_and(|found| found.split('.').count() == 2));
        assert!(to_ascii(&"ü".repeat(3000)).is_none());
        assert!(to_ascii(&"\u{10ffff}".repeat(200)).is_some());
    }
}
