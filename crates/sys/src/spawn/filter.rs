//! The system calls that no process of a site may make: a seccomp filter, inherited by all of them for good.
//!
//! Put in place by the child of a spawn, as the site's user. It guards one thing: that nobody who closes a descriptor of a
//! site's waits for it. A socket can be set to hold whoever closes it last until the other side has read everything
//! (SO_LINGER, for up to years), and descriptors travel: a worker or keeper that sends such a socket to the front would stop
//! the front, and so every site, even where the front takes no descriptor, since then the kernel closes it on the
//! front's time. It is no general filter of the kernel's surface.

use rustix::io::Errno;

/// Forbid them to this thread and all that it starts. Needs no_new_privs.
pub(super) fn apply() -> Result<(), Errno> {
    let program = libc::sock_fprog {
        len: LENGTH,
        filter: PROGRAM.as_ptr().cast_mut(),
    };
    let (action, flags) = (
        libc::SECCOMP_SET_MODE_FILTER,
        libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    );
    // SAFETY: the program is of that length and static; the kernel copies and does not change it.
    match unsafe { libc::syscall(libc::SYS_seccomp, action, flags, &raw const program) } {
        0 => Ok(()),
        _ => Err(super::steps::errno()),
    }
}

/// A jump goes on at the next line, skipping so many where its condition is true and so many where it is false.
const PROGRAM: [libc::sock_filter; LENGTH as usize] = [
    // System calls of another kind (32 bits, x32) have other numbers, and what they set cannot be seen from here.
    line(LOAD, OFFSET_ARCHITECTURE, 0, 0),
    line(JUMP_IF_EQUAL, ARCHITECTURE, 0, 8),
    line(LOAD, OFFSET_NUMBER, 0, 0),
    line(JUMP_IF_AT_LEAST, X32, 6, 0),
    // It makes system calls that no filter sees, this one among them.
    line(JUMP_IF_EQUAL, IO_URING_SETUP, 5, 0),
    line(JUMP_IF_EQUAL, SETSOCKOPT, 0, 5),
    line(LOAD, OFFSET_LEVEL, 0, 0),
    line(JUMP_IF_EQUAL, SOL_SOCKET, 0, 3),
    line(LOAD, OFFSET_OPTION, 0, 0),
    line(JUMP_IF_EQUAL, SO_LINGER, 2, 1),
    line(RETURN, libc::SECCOMP_RET_ERRNO | ENOSYS, 0, 0),
    line(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    // As if it had been done: a library that asks for it does not mind that closing is quick.
    line(RETURN, libc::SECCOMP_RET_ERRNO, 0, 0),
];

const fn line(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

const LENGTH: u16 = 13;

/// BPF_LD | BPF_W | BPF_ABS
const LOAD: u16 = 0x20;
/// BPF_JMP | BPF_JEQ | BPF_K
const JUMP_IF_EQUAL: u16 = 0x15;
/// BPF_JMP | BPF_JGE | BPF_K
const JUMP_IF_AT_LEAST: u16 = 0x35;
/// BPF_RET | BPF_K
const RETURN: u16 = 0x06;

/// Places in `struct seccomp_data`; of an argument's eight bytes the kernel takes the lower four here.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
const OFFSET_LEVEL: u32 = 24;
const OFFSET_OPTION: u32 = 32;
#[cfg(target_endian = "big")]
compile_error!("the lower four bytes of an argument stand elsewhere");

/// AUDIT_ARCH_* of linux/audit.h. Another architecture needs its own line.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: u32 = 0xC000_00F3;

/// Numbers with this bit are x32's; no other architecture has any so high.
const X32: u32 = 0x4000_0000;
const IO_URING_SETUP: u32 = number(libc::SYS_io_uring_setup);
const SETSOCKOPT: u32 = number(libc::SYS_setsockopt);
const SOL_SOCKET: u32 = libc::SOL_SOCKET.cast_unsigned();
const SO_LINGER: u32 = libc::SO_LINGER.cast_unsigned();
const ENOSYS: u32 = libc::ENOSYS.cast_unsigned();

#[expect(
    clippy::cast_possible_truncation,
    reason = "there are some hundred system calls"
)]
const fn number(call: libc::c_long) -> u32 {
    call.cast_unsigned() as u32
}
