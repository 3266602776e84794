//! Generated code that is checked in is what its sources say.
#![allow(missing_docs, clippy::unwrap_used)]

#[test]
fn the_protocol_is_generated_from_its_proto_files() {
    let folder = std::env::temp_dir().join(format!("pivot-generated-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let expected = pivot_protocol_generator::generate(&folder);
    std::fs::remove_dir_all(&folder).unwrap();

    let found = std::fs::read_to_string(pivot_protocol_generator::checked_in()).unwrap();
    let is_fresh = found == expected.unwrap();
    let described = std::fs::read(pivot_protocol_generator::checked_in_descriptors()).unwrap();
    let is_fresh = is_fresh && described == pivot_protocol_generator::descriptors().unwrap();
    assert!(is_fresh, "`cargo run -p pivot-protocol-generator` was not run after a change of proto/pivot/v1");
}
