//! POSIX access lists, as the kernel keeps them in an extended attribute: who is named in one besides owner and group.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd};

use hostel_sys::cred::Uid;
use rustix::fs::getxattr;

/// A user or group that a list names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    is_group: bool,
    id: u32,
    /// 4 read, 2 write, 1 execute or search; what the list's mask takes away is gone.
    permissions: u16,
    /// It counts for what will be made in the directory.
    is_default: bool,
}

impl Entry {
    /// Whether it lets somebody beneath a directory.
    pub(super) fn may_search(&self) -> bool {
        !self.is_default && self.permissions & 1 != 0
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = if self.is_default {
            "default for new files: "
        } else {
            ""
        };
        let kind = if self.is_group { "group" } else { "user" };
        let letter = |bit, letter| {
            if self.permissions & bit != 0 {
                letter
            } else {
                '-'
            }
        };
        let (r, w, x) = (letter(4, 'r'), letter(2, 'w'), letter(1, 'x'));
        write!(f, "{default}{kind} {} {r}{w}{x}", self.id)
    }
}

/// Whom the lists of a file or directory name, where that grants something; the site's own user and root are left out.
pub(super) fn named(handle: impl AsFd, own: Uid) -> Vec<Entry> {
    // The handle is O_PATH, which has no attributes of its own; this path is the very inode.
    let path = format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd());
    let mut found = Vec::new();
    for (attribute, is_default) in [(ACCESS, false), (DEFAULT, true)] {
        let mut list = vec![0; LIST_BYTES_MAX];
        if let Ok(length) = getxattr(&path, attribute, &mut list[..]) {
            found.extend(parse(list.get(..length).unwrap_or_default(), is_default));
        }
    }
    found.retain(|entry| entry.is_group || (entry.id != own.0 && entry.id != Uid::ROOT.0));
    found
}

fn parse(list: &[u8], is_default: bool) -> Vec<Entry> {
    let Some(entries) = list.strip_prefix(&VERSION) else {
        return Vec::new();
    };
    let entries = entries.chunks_exact(8).filter_map(|bytes| {
        let (tag, rest) = bytes.split_first_chunk()?;
        let (permissions, id) = rest.split_first_chunk()?;
        let id = id.first_chunk()?;
        let numbers = (u16::from_le_bytes(*tag), u16::from_le_bytes(*permissions));
        Some((numbers.0, numbers.1, u32::from_le_bytes(*id)))
    });
    let entries: Vec<(u16, u16, u32)> = entries.collect();
    let mask = entries.iter().find(|(tag, _, _)| *tag == MASK);
    let mask = mask.map_or(7, |(_, permissions, _)| *permissions);
    let named = entries
        .iter()
        .filter(|(tag, _, _)| [USER, GROUP].contains(tag));
    let named = named.map(|(tag, permissions, id)| Entry {
        is_group: *tag == GROUP,
        id: *id,
        permissions: permissions & mask,
        is_default,
    });
    named.filter(|entry| entry.permissions != 0).collect()
}

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";
/// The kernel's format: this version, then entries of eight bytes.
const VERSION: [u8; 4] = [2, 0, 0, 0];
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
/// Some five hundred entries; a longer list cannot be read and would be a curiosity.
const LIST_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = VERSION.to_vec();
        for (tag, permissions, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(permissions.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn named_entries_count_as_far_as_the_mask_lets_them() {
        let bytes = list(&[
            (1, 7, 0),
            (USER, 6, 33),
            (4, 5, 0),
            (GROUP, 2, 4),
            (MASK, 4, 0),
            (32, 0, 0),
        ]);
        let found = parse(&bytes, false);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].to_string(), "user 33 r--");
        assert!(parse(&list(&[(1, 7, 0), (4, 5, 0), (32, 5, 0)]), true).is_empty());
        assert!(parse(b"\x01\0\0\0", false).is_empty());
        assert!(parse(b"", false).is_empty());
    }
}
