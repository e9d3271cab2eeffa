//! The chunks of a request's body: the first byte of the input says how they are cut on their way.
#![no_main]

use hostel_front::chunked::Chunks;
use libfuzzer_sys::fuzz_target;

fn decode(input: &[u8], step: usize) -> Option<(Vec<u8>, bool)> {
    let mut chunks = Chunks::default();
    let mut data = Vec::new();
    for mut rest in input.chunks(step) {
        while !rest.is_empty() && !chunks.is_complete() {
            let piece = chunks.next(rest).ok()?;
            assert!(piece.consumed > 0);
            data.extend_from_slice(piece.data);
            rest = &rest[piece.consumed..];
        }
    }
    Some((data, chunks.is_complete()))
}

fuzz_target!(|input: &[u8]| {
    if let Some((step, input)) = input.split_first() {
        let whole = decode(input, input.len().max(1));
        assert_eq!(decode(input, usize::from(*step).max(1)), whole);
    }
});
