//! The head of a request, as a client sends it.
#![no_main]

use hostel_front::head::{Head, Search};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(Some(end)) = Search::default().end_of_head(input) else {
        return;
    };
    let mut head = Head::default();
    if head.read(&input[..end]).is_err() {
        return;
    }
    assert!(!input[..end].contains(&0));
    for (name, value) in head.headers() {
        assert!(name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-'));
        assert!(!value.iter().any(|b| matches!(b, b'\r' | b'\n')));
    }
    assert!(head.query().is_none() || head.target().contains(&b'?'));
});
