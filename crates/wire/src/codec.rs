//! A bounded reader and a writer of little-endian bytes.
//!
//! Run by every process. It trusts nothing: a [`Reader`] can only shrink, every length is checked against what is
//! left and against a maximum of the caller, and a message with bytes left over is refused. It does no I/O.

use std::fmt;

/// Why bytes of a peer are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The message ends before this field does.
    Short(&'static str),
    /// Bytes follow the last field of the message.
    Surplus(&'static str),
    /// A length or a count is over its maximum.
    TooLarge(&'static str),
    /// A value is not one of those that the field may have.
    Value(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(field) => write!(f, "message ends within {field}"),
            Self::Surplus(message) => write!(f, "bytes follow the end of {message}"),
            Self::TooLarge(field) => write!(f, "{field} is larger than allowed"),
            Self::Value(field) => write!(f, "{field} has a value that does not exist"),
        }
    }
}

impl std::error::Error for Malformed {}

/// The unread rest of a message.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over a whole message.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(Malformed::Short(field))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(Malformed::Short(field))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    /// A truth value: 0 or 1 and nothing else.
    pub fn bool(&mut self, field: &'static str) -> Result<bool, Malformed> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Value(field)),
        }
    }

    /// Two bytes.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, Malformed> {
        self.array(field).map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.array(field).map(u32::from_le_bytes)
    }

    /// Four bytes, signed.
    pub fn i32(&mut self, field: &'static str) -> Result<i32, Malformed> {
        self.array(field).map(i32::from_le_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, Malformed> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// Eight bytes, signed.
    pub fn i64(&mut self, field: &'static str) -> Result<i64, Malformed> {
        self.array(field).map(i64::from_le_bytes)
    }

    /// Bytes behind a length of four bytes, at most `max` of them.
    pub fn bytes(&mut self, max: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.u32(field)?).map_err(|_| Malformed::TooLarge(field))?;
        if length > max {
            return Err(Malformed::TooLarge(field));
        }
        self.take(length, field)
    }

    /// Text in UTF-8 behind a length of four bytes, at most `max` bytes of it.
    pub fn text(&mut self, max: usize, field: &'static str) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes(max, field)?).map_err(|_| Malformed::Value(field))
    }

    /// A count of four bytes, at most `max`.
    pub fn count(&mut self, max: usize, field: &'static str) -> Result<usize, Malformed> {
        match usize::try_from(self.u32(field)?) {
            Ok(count) if count <= max => Ok(count),
            _ => Err(Malformed::TooLarge(field)),
        }
    }

    /// Everything that is left.
    pub fn remaining(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The end of the message: nothing may be left.
    pub fn end(self, message: &'static str) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed::Surplus(message))
        }
    }
}

/// Appends fields to a message.
///
/// Lengths are written as four bytes; a field over 4 GiB cannot occur, since every sender keeps to `limits`, and would
/// be cut to nothing by the reader's own check.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer that appends to `bytes`, so that a buffer can be used again.
    pub fn append_to(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// A truth value.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Four bytes, signed.
    pub fn i32(&mut self, value: i32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Eight bytes, signed.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A count, as four bytes.
    pub fn count(&mut self, value: usize) -> &mut Self {
        self.u32(u32::try_from(value).unwrap_or(u32::MAX))
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.count(value.len()).raw(value)
    }

    /// Text behind its length.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// Bytes without a length.
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(value);
        self
    }

    /// The message.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_message_is_short() {
        let mut reader = Reader::new(&[5, 0, 0, 0, 1]);
        assert_eq!(reader.bytes(10, "x"), Err(Malformed::Short("x")));
    }

    #[test]
    fn a_length_beyond_the_maximum_is_refused_before_it_is_read() {
        let mut reader = Reader::new(&[5, 0, 0, 0, 1, 2, 3, 4, 5]);
        assert_eq!(reader.bytes(4, "x"), Err(Malformed::TooLarge("x")));
    }

    #[test]
    fn bytes_after_the_last_field_are_refused() {
        let mut reader = Reader::new(&[1, 2]);
        assert_eq!(reader.u8("x"), Ok(1));
        assert_eq!(reader.end("m"), Err(Malformed::Surplus("m")));
    }

    #[test]
    fn a_truth_value_is_zero_or_one() {
        assert_eq!(Reader::new(&[2]).bool("b"), Err(Malformed::Value("b")));
    }
}
