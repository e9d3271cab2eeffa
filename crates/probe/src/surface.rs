//! Parts of the kernel in which holes are found most often. What is made ends with this program.

use rustix::io::Errno;

use crate::arguments::Arguments;
use crate::call::{call, descriptor, structure};
use crate::outcome::Tried;

/// A map of one entry for programs inside of the kernel.
pub(crate) fn bpf(_: &Arguments<'_>) -> Tried {
    // map_type, key_size, value_size, max_entries; the rest is 0.
    let mut attributes = structure(&[BPF_MAP_ARRAY, 4, 4, 1]);
    attributes.resize(72, 0);
    descriptor(call!(libc::SYS_bpf, BPF_MAP_CREATE, &attributes[..], 72)?)?;
    Ok("made a map".to_owned())
}

/// Count how long this program runs, outside of the kernel.
pub(crate) fn perf(_: &Arguments<'_>) -> Tried {
    let mut attributes = structure(&[PERF_SOFTWARE, 64]);
    attributes.resize(64, 0);
    attributes[40] = PERF_EXCLUDE_KERNEL | PERF_EXCLUDE_HYPERVISOR;
    let answer = call!(libc::SYS_perf_event_open, &attributes[..], 0, -1, -1, 0)?;
    descriptor(answer)?;
    Ok("measures itself".to_owned())
}

/// Answer page faults oneself, for which kernel exploits use it.
pub(crate) fn userfaultfd(_: &Arguments<'_>) -> Tried {
    descriptor(call!(libc::SYS_userfaultfd, USER_MODE_ONLY)?)?;
    Ok("answers its page faults".to_owned())
}

/// System calls that no filter sees.
pub(crate) fn io_uring(_: &Arguments<'_>) -> Tried {
    let mut parameters = [0_u8; 120];
    descriptor(call!(libc::SYS_io_uring_setup, 1, &mut parameters[..])?)?;
    Ok("has a ring".to_owned())
}

/// Watch all of a file system.
pub(crate) fn fanotify(_: &Arguments<'_>) -> Tried {
    descriptor(call!(libc::SYS_fanotify_init, FAN_REPORT_FID, 0)?)?;
    Ok("may watch".to_owned())
}

/// Addresses that are not random, for this program and what it starts.
pub(crate) fn personality(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_personality, libc::ADDR_NO_RANDOMIZE)?;
    Ok("has fixed addresses".to_owned())
}

/// Segments of old programs.
#[cfg(target_arch = "x86_64")]
pub(crate) fn modify_ldt(_: &Arguments<'_>) -> Tried {
    let mut table = [0_u8; 64];
    // 0 reads.
    let read = call!(libc::SYS_modify_ldt, 0, &mut table[..], 64)?;
    Ok(format!("read {read} bytes of its table"))
}

/// Ask for the process id by the way of 32-bit programs, whose numbers a filter could mistake.
#[cfg(target_arch = "x86_64")]
pub(crate) fn call_32(_: &Arguments<'_>) -> Tried {
    use crate::call::in_child;
    in_child(|| {
        let answer: i32;
        // SAFETY: getpid takes no argument and touches no memory; what the entry may change is declared.
        unsafe {
            std::arch::asm!(
                "int 0x80",
                inlateout("eax") GETPID_32 => answer,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
        match answer {
            pid if pid > 0 => Ok(()),
            errno => Err(Errno::from_raw_os_error(-errno)),
        }
    })?;
    Ok("made a 32-bit call".to_owned())
}

/// There is no such call.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn modify_ldt(_: &Arguments<'_>) -> Tried {
    Err(Errno::NOSYS.into())
}

/// There is no such call.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn call_32(_: &Arguments<'_>) -> Tried {
    Err(Errno::NOSYS.into())
}

/// Choose where on the machine memory lies: as before.
pub(crate) fn memory_policy(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_set_mempolicy, 0, 0, 0)?;
    Ok("chooses where memory lies".to_owned())
}

/// Ask where on the machine no pages lie.
pub(crate) fn move_pages(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_move_pages, 0, 0, 0, 0, 0, 0)?;
    Ok("asks where memory lies".to_owned())
}

/// Put a page of memory into a pipe, as the holes named Dirty Pipe and vmsplice did.
pub(crate) fn vmsplice(_: &Arguments<'_>) -> Tried {
    let (_reader, writer) = rustix::pipe::pipe()?;
    let page = [0_u8; 16];
    let pieces = [std::io::IoSlice::new(&page)];
    let number = std::os::fd::AsRawFd::as_raw_fd(&writer);
    // SAFETY: the list has one entry, which lives until the pipe is closed.
    match unsafe { libc::syscall(libc::SYS_vmsplice, number, pieces.as_ptr(), 1, 0) } {
        -1 => Err(crate::call::errno().into()),
        _ => Ok("shares its memory with a pipe".to_owned()),
    }
}

/// How many kinds of file systems there are, by a call of old programs.
#[cfg(target_arch = "x86_64")]
pub(crate) fn old_call(_: &Arguments<'_>) -> Tried {
    let kinds = call!(libc::SYS_sysfs, 3)?;
    Ok(format!("{kinds} kinds of file systems"))
}

/// There is no such call.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn old_call(_: &Arguments<'_>) -> Tried {
    Err(Errno::NOSYS.into())
}

const BPF_MAP_CREATE: i32 = 0;
const BPF_MAP_ARRAY: u32 = 2;
const PERF_SOFTWARE: u32 = 1;
const PERF_EXCLUDE_KERNEL: u8 = 1 << 5;
const PERF_EXCLUDE_HYPERVISOR: u8 = 1 << 6;
const USER_MODE_ONLY: i32 = 1;
const FAN_REPORT_FID: i32 = 0x200;
#[cfg(target_arch = "x86_64")]
const GETPID_32: i32 = 20;
