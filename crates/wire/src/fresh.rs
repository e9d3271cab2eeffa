//! How much of a process's state one request of a site may leave to the next, as the configuration says it.
//!
//! Part of what the monitor tells the site's own processes, which do it, and the front, which starts workers ahead of need.

use crate::codec::{Malformed, Reader, Writer};

/// What becomes of a worker's state after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fresh {
    /// What PHP itself leaves of it stays, as with php-fpm.
    #[default]
    Off,
    /// Nothing stays, by the best means that there is.
    On,
    /// Nothing stays: each request has a process of its own.
    Fork,
}

impl Fresh {
    /// Whether a worker surely serves one request and ends.
    pub fn is_by_fork(self) -> bool {
        match self {
            Self::Off | Self::On => false,
            Self::Fork => true,
        }
    }

    pub(crate) fn encode(self, w: &mut Writer) {
        w.u8(match self {
            Self::Off => 0,
            Self::On => 1,
            Self::Fork => 2,
        });
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        match r.u8("fresh")? {
            0 => Ok(Self::Off),
            1 => Ok(Self::On),
            2 => Ok(Self::Fork),
            _ => Err(Malformed::Value("fresh")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_state_survives_the_wire_and_nothing_else_does() {
        for fresh in [Fresh::Off, Fresh::On, Fresh::Fork] {
            let mut w = Writer::new();
            fresh.encode(&mut w);
            assert_eq!(Fresh::decode(&mut Reader::new(&w.finish())), Ok(fresh));
        }
        assert!(Fresh::decode(&mut Reader::new(&[3])).is_err());
    }
}
