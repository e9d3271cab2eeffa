//! The chunks of a request's body (RFC 9112, section 7.1), read strictly.
//!
//! Run by the front on bytes of a client, of which it trusts none. It is pure and keeps no bytes. Extensions and trailers mean
//! nothing to anybody here: they are bounded, read as strictly as the header lines of a head, and passed over.

/// Takes chunks apart, however the bytes arrive.
#[derive(Debug, Default)]
pub struct Chunks {
    state: State,
    trailer_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a chunk's size, so many digits in.
    Size { digits: u8, size: u64 },
    /// Behind the `;` of a chunk's size.
    Extension { bytes: usize, size: u64 },
    /// Behind the CR of a chunk's size.
    SizeEnd { size: u64 },
    /// In a chunk's data.
    Data { left: u64 },
    /// Behind a chunk's data.
    DataEnd,
    /// Behind the CR that follows a chunk's data.
    DataLineEnd,
    /// At the start of a line of the trailer section.
    Trailer,
    /// In a trailer's name.
    TrailerName,
    /// Behind a trailer's colon.
    TrailerValue,
    /// Behind the CR of a trailer.
    TrailerEnd,
    /// Behind the CR of the empty line that ends the trailer section.
    LastLineEnd,
    /// The body is complete.
    Complete,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { digits: 0, size: 0 }
    }
}

/// Why bytes are not chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ChunkError(&'static str);

/// What one call found.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Bytes of the input that are done with, the data among them.
    pub consumed: usize,
    /// Data of the body; may be empty.
    pub data: &'a [u8],
}

impl Chunks {
    /// Whether the body's last byte has been seen.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Read up to the end of the first data in `input`, or to the body's end, or to the end of `input`.
    ///
    /// # Errors
    /// When the bytes are not chunks or an extension or the trailers are larger than anybody has use for.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<Piece<'a>, ChunkError> {
        let mut consumed = 0;
        while let Some(rest) = input.get(consumed..)
            && let Some(byte) = rest.first()
        {
            if self.state == State::Complete {
                break;
            }
            if let State::Data { left } = self.state {
                let count = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                let data = rest.get(..count).unwrap_or(rest);
                let left = left.saturating_sub(u64::try_from(count).unwrap_or(left));
                self.state = if left == 0 {
                    State::DataEnd
                } else {
                    State::Data { left }
                };
                consumed += count;
                return Ok(Piece { consumed, data });
            }
            self.state = self.after(*byte)?;
            consumed += 1;
        }
        Ok(Piece {
            consumed,
            data: &[],
        })
    }

    /// The state behind one byte that is not data.
    fn after(&mut self, byte: u8) -> Result<State, ChunkError> {
        Ok(match (self.state, byte) {
            (State::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(ChunkError("a chunk's size has too many digits"));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                State::Size {
                    digits: digits + 1,
                    size: size << 4 | u64::from(digit),
                }
            }
            (State::Size { digits: 1.., size }, b'\r') => State::SizeEnd { size },
            (State::Size { digits: 1.., size }, b';') => State::Extension { bytes: 0, size },
            (State::Size { .. }, _) => return Err(ChunkError("a chunk's size is no number")),
            (State::Extension { size, .. }, b'\r') => State::SizeEnd { size },
            (State::Extension { .. }, 0..=8 | 10..=31 | 127) => {
                return Err(ChunkError("a control character in a chunk's extension"));
            }
            (State::Extension { bytes, size }, _) if bytes < EXTENSION_BYTES_MAX => {
                State::Extension {
                    bytes: bytes + 1,
                    size,
                }
            }
            (State::Extension { .. }, _) => {
                return Err(ChunkError("a chunk's extension is too long"));
            }
            (State::SizeEnd { size: 0 }, b'\n') => State::Trailer,
            (State::SizeEnd { size }, b'\n') => State::Data { left: size },
            (State::DataEnd, b'\r') => State::DataLineEnd,
            (State::DataLineEnd, b'\n') => State::default(),
            (State::Trailer, b'\r') => State::LastLineEnd,
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerEnd,
            (State::Trailer | State::TrailerName, _) if !is_token(byte) => {
                return Err(ChunkError("a trailer without a proper name"));
            }
            (State::TrailerValue, 0..=8 | 10..=31 | 127) => {
                return Err(ChunkError("a control character in a trailer"));
            }
            (State::Trailer | State::TrailerName, _) => self.trailer_byte(State::TrailerName)?,
            (State::TrailerValue, _) => self.trailer_byte(State::TrailerValue)?,
            (State::TrailerEnd, b'\n') => State::Trailer,
            (State::LastLineEnd, b'\n') => State::Complete,
            (
                State::SizeEnd { .. } | State::DataLineEnd | State::TrailerEnd | State::LastLineEnd,
                _,
            ) => return Err(ChunkError("a CR without its LF")),
            (State::DataEnd, _) => return Err(ChunkError("a chunk is longer than its size")),
            (State::Data { .. } | State::Complete, _) => self.state,
        })
    }

    /// One byte more of the trailers, of which there may be so many.
    fn trailer_byte(&mut self, state: State) -> Result<State, ChunkError> {
        if self.trailer_bytes >= TRAILER_BYTES_MAX {
            return Err(ChunkError("the trailers are too long"));
        }
        self.trailer_bytes += 1;
        Ok(state)
    }
}

/// Whether a byte may be in the name of a field (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Digits of a chunk's size: 2^60 bytes are more than any limit of a body.
const SIZE_DIGITS_MAX: u8 = 15;
/// Bytes of one chunk's extension. Nobody is known to send any.
const EXTENSION_BYTES_MAX: usize = 256;
/// Bytes of all trailers of a body.
const TRAILER_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of `input`, fed in pieces of `step` bytes, and whether it was complete.
    fn decoded(input: &[u8], step: usize) -> Result<(Vec<u8>, bool), ChunkError> {
        let mut chunks = Chunks::default();
        let mut data = Vec::new();
        for mut part in input.chunks(step) {
            while !part.is_empty() && !chunks.is_complete() {
                let piece = chunks.next(part)?;
                data.extend_from_slice(piece.data);
                part = &part[piece.consumed..];
            }
        }
        Ok((data, chunks.is_complete()))
    }

    #[test]
    fn data_is_the_same_however_it_arrives() {
        let body = b"5\r\nhello\r\nA;x=\"y\"\r\n, world!!!\r\n000\r\nT: v\r\n\r\n";
        for step in 1..body.len() {
            assert_eq!(decoded(body, step), Ok((b"hello, world!!!".to_vec(), true)));
        }
    }

    #[test]
    fn what_follows_the_body_is_left() {
        let mut chunks = Chunks::default();
        let piece = chunks.next(b"0\r\n\r\nGET /").unwrap();
        assert_eq!((piece.consumed, piece.data), (5, &b""[..]));
        assert!(chunks.is_complete());
    }

    #[test]
    fn what_is_not_chunks_is_refused() {
        for body in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1 \r\n",
            b"1\n",
            b"1\rX",
            b"1;a\n",
            b"1\r\nab",
            b"1\r\na\n",
            b"1\r\na\rX",
            b"0\r\nA: b\nC: d\r\n\r\n",
            b"0\r\nA: b\r\n folded\r\n\r\n",
            b"0\r\nA\r\n\r\n",
            b"0\r\n: b\r\n\r\n",
            b"0\r\nA : b\r\n\r\n",
            b"0\r\nA(: b\r\n\r\n",
            b"0\r\n\xe9: b\r\n\r\n",
            b"0\r\nGET / HTTP/1.1\r\n\r\n",
            b"0\r\nA: b\0\r\n\r\n",
            b"0\r\nA: b\rX",
            b"0\r\nA: b\r\n\rX",
            b"0\r\n\n",
            b"1000000000000000\r\n",
        ] {
            assert!(decoded(body, 64).is_err(), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extension = [b"1;".to_vec(), vec![b'a'; EXTENSION_BYTES_MAX + 1]].concat();
        assert!(decoded(&extension, 4096).is_err());
        let trailer = [b"0\r\n".to_vec(), vec![b'a'; TRAILER_BYTES_MAX + 1]].concat();
        assert!(decoded(&trailer, 4096).is_err());
        let trailers = [b"0\r\n".to_vec(), b"A: b\r\n".repeat(TRAILER_BYTES_MAX)].concat();
        assert!(decoded(&trailers, 4096).is_err());
    }
}
