//! What native code alone can ask of the kernel for its process, and nothing takes back: then the process ends. Locks on memory are taken back.
//!
//! Not seen: layers of Landlock, of which the kernel says nothing, and protections of memory that were changed and changed back.

use crate::Unfit;
use crate::calls::{check, checked, read_at};

/// All zeros is a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub(crate) struct Native {
    /// Filters of system calls, where the kernel counts them (Linux 5.9).
    filters: u64,
    /// How the scheduler treats it.
    policy: libc::c_int,
    /// In the queues of disks.
    io_priority: usize,
    /// Whether it gets the children of its children.
    reaper: libc::c_int,
    has_no_huge_pages: libc::c_int,
}

impl Native {
    /// Look; at /proc/self/status by this descriptor.
    pub(crate) fn look(status: libc::c_int) -> Result<Self, Unfit> {
        let mut text = [0; 4096];
        let length = read_at(status, &mut text, 0)?;
        let text = text.get(..length).unwrap_or_default();
        let mut reaper = 0;
        // SAFETY: the kernel writes a number.
        check(unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut reaper) })?;
        Ok(Self {
            filters: number_of(text, b"Seccomp_filters:"),
            // SAFETY: asks for a number.
            policy: check(unsafe { libc::sched_getscheduler(0) })?,
            // SAFETY: asks for a number.
            io_priority: checked(unsafe {
                libc::syscall(libc::SYS_ioprio_get, IOPRIO_PROCESS, 0)
            })?,
            reaper,
            // SAFETY: asks for a number.
            has_no_huge_pages: check(unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, 0, 0, 0, 0) })?,
        })
    }

    /// All must be what it was.
    pub(crate) fn check(&self, status: libc::c_int) -> Result<(), Unfit> {
        // SAFETY: takes nothing; what was locked may be written to disk again, and nothing else changes.
        check(unsafe { libc::munlockall() })?;
        match Self::look(status)? == *self {
            true => Ok(()),
            false => Err(Unfit::Number),
        }
    }
}

/// The number in the line that begins so; 0 where there is none.
fn number_of(text: &[u8], name: &[u8]) -> u64 {
    let mut lines = text.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(name));
    let digits = value.unwrap_or_default().trim_ascii().iter();
    digits
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number, digit| number * 10 + u64::from(*digit - b'0'))
}

/// linux/ioprio.h
const IOPRIO_PROCESS: libc::c_int = 1;
