//! The path of a target.
#![no_main]

use hostel_front::{normalize, route};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut path = Vec::new();
    if normalize::path(input, &mut path).is_err() {
        return;
    }
    assert!(path.starts_with(b"/") && !path.contains(&0));
    for component in path[1..].split(|b| *b == b'/') {
        assert!(component != b"." && component != b"..");
    }
    if let Some(length) = route::script_length(&path, &["php".to_owned()]) {
        assert!(path[..length].ends_with(b".php"));
    }
    route::is_hidden(&path);
});
