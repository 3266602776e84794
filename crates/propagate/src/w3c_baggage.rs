//! The member `pivot=` of a W3C `baggage` header: the bridge through hops that forward nothing else.
//!
//! ```text
//! baggage: user=alice;region=eu, plan=free                       from the application
//! baggage: pivot=CiBm…,user=alice;region=eu, plan=free           with the member
//! ```
//!
//! OpenTelemetry SDKs drop a member of over 4,096 bytes and members past the 180th, drop a header of over
//! 8,192 bytes altogether, and mangle properties (measured). So there is one member, in the first place,
//! without properties, of at most 2 KB; and none where the header would get too long for the members of
//! others. Those stay as they are, byte for byte.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The name of the header.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("baggage");

/// The name of the member.
pub(crate) const NAME: &str = "pivot";

/// The longest member that is sent.
pub(crate) const MAX_MEMBER: usize = 2048;

/// The longest header that every hop forwards.
const MAX_HEADER: usize = 8192;

/// Puts a member in front of those of others, in place of an earlier one of ours. Returns false if
/// the header would get too long.
pub(crate) fn put(headers: &mut HeaderMap, member: &HeaderValue) -> bool {
    // A member that the application copied from a request of its own is stale.
    take(headers);

    let others: usize = headers.get_all(HEADER).iter().map(|value| value.len() + 1).sum();
    if member.len() + others > MAX_HEADER {
        return false;
    }

    // The application's members may stand in several lines: ours joins the first of them.
    let mut values: Vec<HeaderValue> = headers.get_all(HEADER).iter().cloned().collect();
    let first = match values.first() {
        None => Some(member.clone()),
        Some(first) => HeaderValue::from_bytes(&[member.as_bytes(), first.as_bytes()].join(&b',')).ok(),
    };
    let Some(mut first) = first else { return false };

    first.set_sensitive(true);
    values.splice(..values.len().min(1), [first]);
    replace(headers, values);
    true
}

/// Removes every member of ours and returns the value of the first, without properties.
pub(crate) fn take(headers: &mut HeaderMap) -> Option<Vec<u8>> {
    let values = headers.get_all(HEADER).iter();
    let found = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).find(|m| is_ours(m))?;
    let value = value_of(found);

    let mut others = Vec::new();
    for line in headers.get_all(HEADER) {
        let members: Vec<&[u8]> = line.as_bytes().split(|byte| *byte == b',').collect();
        if !members.iter().any(|member| is_ours(member)) {
            others.push(line.clone());
            continue;
        }

        // A line that held nothing else goes away with it.
        let kept: Vec<&[u8]> = members.into_iter().filter(|member| !is_ours(member)).collect();
        others.extend(HeaderValue::from_bytes(&kept.join(&b',')).ok().filter(|value| !value.is_empty()));
    }

    replace(headers, others);
    Some(value)
}

fn replace(headers: &mut HeaderMap, values: Vec<HeaderValue>) {
    headers.remove(HEADER);
    values.into_iter().for_each(|value| {
        headers.append(HEADER, value);
    });
}

/// Returns whether a member is the one of ours.
fn is_ours(member: &[u8]) -> bool {
    name_of(member) == NAME.as_bytes()
}

/// Returns the name of a member, without the white space around it.
fn name_of(member: &[u8]) -> &[u8] {
    let name = member.split(|byte| matches!(byte, b'=' | b';')).next();
    name.unwrap_or_default().trim_ascii()
}

/// Returns the value of a member, without properties and the white space around it.
fn value_of(member: &[u8]) -> Vec<u8> {
    let text = member.split(|byte| *byte == b';').next().unwrap_or_default();
    let value = text.iter().position(|byte| *byte == b'=').map_or(&[][..], |at| &text[at + 1..]);
    value.trim_ascii().to_vec()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (HEADER, HeaderValue::from_static(line))).collect()
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        headers.get_all(HEADER).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    /// Checks the value that is taken out of lines that arrived, and the lines that are left.
    fn check_take(arrived: &[&'static str], value: Option<&str>, left: &[&str]) {
        let mut headers = headers(arrived);
        assert_eq!(take(&mut headers), value.map(|value| value.as_bytes().to_vec()));
        assert_eq!(lines(&headers), left);
    }

    #[test]
    fn the_member_is_taken_and_the_others_are_left_as_they_are() {
        check_take(&["pivot=abc"], Some("abc"), &[]);
        check_take(&["pivot=abc,user=al%20ice"], Some("abc"), &["user=al%20ice"]);
        check_take(&["user = 1;p=2 , pivot = abc ;x=y,\tb=2"], Some("abc"), &["user = 1;p=2 ,\tb=2"]);
        check_take(&["a=1", "b=2,pivot=x", "c=3, d=4"], Some("x"), &["a=1", "b=2", "c=3, d=4"]);
        check_take(&["a=1,,b=2", "pivots=1,pivot2=2"], None, &["a=1,,b=2", "pivots=1,pivot2=2"]);
        check_take(&["pivot=first,pivot=second"], Some("first"), &[]);
        check_take(&["pivot"], Some(""), &[]);
    }

    proptest! {
        #[test]
        fn whatever_the_others_are_they_are_left_as_they_are(
            others in proptest::collection::vec("[ -+\\--~]{1,20}", 0..6), at in any::<prop::sample::Index>()
        ) {
            let others: Vec<&String> = others.iter().filter(|m| name_of(m.as_bytes()) != b"pivot").collect();

            let left = others.iter().map(|member| member.as_str()).collect::<Vec<_>>().join(",");
            let mut members: Vec<&str> = others.iter().map(|member| member.as_str()).collect();
            members.insert(at.index(members.len() + 1), " pivot = a-_ ; p");

            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::try_from(members.join(",")).unwrap());
            prop_assert_eq!(take(&mut headers), Some(b"a-_".to_vec()));
            prop_assert_eq!(lines(&headers).join(","), left.clone());

            put(&mut headers, &HeaderValue::from_static("pivot=new"));
            prop_assert_eq!(take(&mut headers), Some(b"new".to_vec()));
            prop_assert_eq!(lines(&headers).join(","), left);
        }

        #[test]
        fn any_bytes_of_a_header_are_taken_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                for name in [HEADER, crate::BINARY_HEADER, crate::TEXT_HEADER] {
                    let mut headers = HeaderMap::from_iter([(name, value.clone())]);
                    crate::header::take_request(&mut headers, None);
                    prop_assert!(!headers.contains_key(crate::BINARY_HEADER) && !headers.contains_key(crate::TEXT_HEADER));
                }
            }
        }
    }

    /// Checks the lines that leave when an application sends these of its own.
    fn check_put(own: &[&'static str], left: &[&str]) {
        let mut headers = headers(own);
        put(&mut headers, &HeaderValue::from_static("pivot=new"));
        assert_eq!(lines(&headers), left);
    }

    #[test]
    fn the_member_comes_first_and_once() {
        check_put(&[], &["pivot=new"]);
        check_put(&["a=1, b=2;p"], &["pivot=new,a=1, b=2;p"]);
        check_put(&["a=1", "b=2"], &["pivot=new,a=1", "b=2"]);
        check_put(&["a=1,pivot=stale"], &["pivot=new,a=1"]);
    }

    #[test]
    fn where_it_would_cost_others_their_members_it_stays_away() {
        let long: &'static str = format!("a={}", "x".repeat(8185)).leak();
        check_put(&[long], &[long]);
        assert!(!put(&mut headers(&[long]), &HeaderValue::from_static("pivot=new")));
    }
}
