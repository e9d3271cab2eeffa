//! A Range header: the first eight bytes of the input are the size of the file.
#![no_main]

use hostel_front::byte_range::{self, Selection};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((size, value)) = input.split_first_chunk() else {
        return;
    };
    // A file's size is a signed number of the kernel.
    let size = u64::from_le_bytes(*size) >> 1;
    if let Selection::Parts(parts) = byte_range::select(value, size) {
        assert!(!parts.is_empty());
        assert!(
            parts
                .iter()
                .all(|part| part.start < part.end && part.end <= size)
        );
    }
});
