//! The authority that a client asks for.
#![no_main]

use hostel_front::normalize;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut host = String::new();
    if normalize::host(input, &mut host).is_some() {
        assert!(!host.is_empty() && !host.bytes().any(|b| b.is_ascii_uppercase()));
        let mut again = String::new();
        assert!(normalize::host(host.as_bytes(), &mut again).is_some() || host.ends_with('.'));
    }
});
