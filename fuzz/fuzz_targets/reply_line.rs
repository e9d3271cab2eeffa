//! A header line of a worker's answer.
#![no_main]

use hostel_front::reply::ReplyHeaders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut headers = ReplyHeaders::default();
    if headers.push(input).is_ok() {
        assert!(!input.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
        assert!(headers.status(200).is_ok());
    }
});
