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
    /// As `On`, and memory that PHP has freed is wiped: not even bytes that nobody reads stay.
    Paranoid,
}

impl Fresh {
    /// Whether a worker surely serves one request and ends.
    pub fn is_by_fork(self) -> bool {
        match self {
            Self::Off | Self::On | Self::Paranoid => false,
            Self::Fork => true,
        }
    }

    /// Whether workers find out by which means nothing stays.
    pub fn is_by_best_means(self) -> bool {
        match self {
            Self::Off | Self::Fork => false,
            Self::On | Self::Paranoid => true,
        }
    }

    pub(crate) fn encode(self, w: &mut Writer) {
        w.u8(match self {
            Self::Off => 0,
            Self::On => 1,
            Self::Fork => 2,
            Self::Paranoid => 3,
        });
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        match r.u8("fresh")? {
            0 => Ok(Self::Off),
            1 => Ok(Self::On),
            2 => Ok(Self::Fork),
            3 => Ok(Self::Paranoid),
            _ => Err(Malformed::Value("fresh")),
        }
    }
}

/// How a worker knows what a request has written, so that it can be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// The kernel keeps count of written pages (Linux 6.7).
    Written,
    /// Its memory is private mappings of what it is put back to.
    Private,
}

impl Watch {
    pub(crate) fn byte(watch: Option<Self>) -> u8 {
        match watch {
            None => 0,
            Some(Self::Written) => 1,
            Some(Self::Private) => 2,
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        match r.u8("watch")? {
            0 => Ok(None),
            1 => Ok(Some(Self::Written)),
            2 => Ok(Some(Self::Private)),
            _ => Err(Malformed::Value("watch")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_state_survives_the_wire_and_nothing_else_does() {
        for fresh in [Fresh::Off, Fresh::On, Fresh::Fork, Fresh::Paranoid] {
            let mut w = Writer::new();
            fresh.encode(&mut w);
            assert_eq!(Fresh::decode(&mut Reader::new(&w.finish())), Ok(fresh));
        }
        assert!(Fresh::decode(&mut Reader::new(&[4])).is_err());
    }
}
