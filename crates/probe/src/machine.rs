//! Calls that change the whole machine. Each has arguments that are wrong in a way which the kernel looks at after the
//! permission check, or asks for no change: nothing happens to a machine on which they are permitted.

use rustix::io::Errno;

use crate::arguments::Arguments;
use crate::call::{call, structure};
use crate::outcome::{Tried, WrongOnPurpose};

/// Another kernel, with more segments than there may be.
pub(crate) fn kexec(_: &Arguments<'_>) -> Tried {
    let answer = call!(libc::SYS_kexec_load, 0, SEGMENTS_TOO_MANY, 0, FLAGS_UNKNOWN);
    answer.passed_with(&[Errno::INVAL], "loaded")
}

/// The same by descriptors, which are not open, with unknown flags.
pub(crate) fn kexec_file(_: &Arguments<'_>) -> Tried {
    let answer = call!(libc::SYS_kexec_file_load, -1, -1, 0, 0, FLAGS_UNKNOWN);
    answer.passed_with(&[Errno::INVAL, Errno::BADF], "loaded")
}

/// A module of no bytes.
pub(crate) fn load_module(_: &Arguments<'_>) -> Tried {
    let answer = call!(libc::SYS_init_module, 0, 0, c"");
    answer.passed_with(&[Errno::NOEXEC], "loaded")
}

/// A module of a descriptor that is not open.
pub(crate) fn load_module_file(_: &Arguments<'_>) -> Tried {
    let answer = call!(libc::SYS_finit_module, -1, c"", FLAGS_UNKNOWN);
    answer.passed_with(&[Errno::INVAL, Errno::BADF], "loaded")
}

/// A module that is not loaded.
pub(crate) fn unload_module(_: &Arguments<'_>) -> Tried {
    let answer = call!(
        libc::SYS_delete_module,
        c"hostel_probe_none",
        libc::O_NONBLOCK
    );
    answer.passed_with(&[Errno::NOENT], "unloaded")
}

/// Reboot, with numbers that the kernel does not take.
pub(crate) fn reboot(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_reboot, 0, 0, 0, 0).passed_with(&[Errno::INVAL], "rebooting")
}

/// Swap to a file that does not exist.
pub(crate) fn swap_on(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_swapon, MISSING, 0).passed_with(&[Errno::NOENT], "swaps")
}

/// Stop swapping to a file that does not exist.
pub(crate) fn swap_off(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_swapoff, MISSING).passed_with(&[Errno::NOENT], "swaps no more")
}

/// Set neither time nor time zone.
pub(crate) fn set_time(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_settimeofday, 0, 0)?;
    Ok("may set the time".to_owned())
}

/// A host name of negative length.
pub(crate) fn set_host_name(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_sethostname, c"", -1).passed_with(&[Errno::INVAL], "named")
}

/// A domain name of negative length.
pub(crate) fn set_domain_name(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_setdomainname, c"", -1).passed_with(&[Errno::INVAL], "named")
}

/// Account for processes into a file that does not exist.
pub(crate) fn account(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_acct, MISSING).passed_with(&[Errno::NOENT], "accounts")
}

/// Read the kernel's log.
pub(crate) fn read_log(_: &Arguments<'_>) -> Tried {
    let mut bytes = [0_u8; 256];
    let read = call!(libc::SYS_syslog, LOG_READ_ALL, &mut bytes[..], 256)?;
    Ok(format!("{read} bytes of the kernel's log"))
}

/// The right to use a port of the machine, only for this program.
#[cfg(target_arch = "x86_64")]
pub(crate) fn io_port(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_ioperm, HARMLESS_PORT, 1, 1)?;
    Ok("may use a port of the machine".to_owned())
}

/// The right to use all ports, only for this program.
#[cfg(target_arch = "x86_64")]
pub(crate) fn io_level(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_iopl, 3)?;
    Ok("may use all ports of the machine".to_owned())
}

/// There is no such call.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn io_port(_: &Arguments<'_>) -> Tried {
    Err(Errno::NOSYS.into())
}

/// There is no such call.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn io_level(_: &Arguments<'_>) -> Tried {
    Err(Errno::NOSYS.into())
}

/// Switch quotas on for a device that does not exist.
pub(crate) fn quota(_: &Arguments<'_>) -> Tried {
    let answer = call!(
        libc::SYS_quotactl,
        libc::QCMD(libc::Q_QUOTAON, USER_QUOTA),
        MISSING,
        0,
        c""
    );
    answer.passed_with(&[Errno::NOENT, Errno::NODEV, Errno::NOTBLK], "switched on")
}

/// Hang up the terminal, of a session that has none.
pub(crate) fn hang_up(_: &Arguments<'_>) -> Tried {
    crate::call::in_child(|| {
        call!(libc::SYS_setsid)?;
        call!(libc::SYS_vhangup).map(drop)
    })?;
    Ok("may hang up".to_owned())
}

/// Set the clock, to a time that cannot be read.
pub(crate) fn set_clock(_: &Arguments<'_>) -> Tried {
    // The kernel reads the time before it asks who sets it: only a filter answers otherwise.
    let answer = call!(libc::SYS_clock_settime, libc::CLOCK_REALTIME, 0);
    answer.passed_with(&[Errno::FAULT], "set")
}

/// Set the clock's rate with a mode that does not exist.
pub(crate) fn adjust_clock(_: &Arguments<'_>) -> Tried {
    let mut settings = [0_u8; 208];
    let tick = structure(&[libc::ADJ_TICK]);
    settings[..tick.len()].copy_from_slice(&tick);
    // A tick of 0 is out of range.
    call!(libc::SYS_adjtimex, &mut settings[..]).passed_with(&[Errno::INVAL], "adjusted")
}

const MISSING: &std::ffi::CStr = c"/hostel-probe-is-not-there";
const SEGMENTS_TOO_MANY: i64 = 0xffff;
const FLAGS_UNKNOWN: i64 = 0xff00;
/// The port of power-on diagnostics.
#[cfg(target_arch = "x86_64")]
const HARMLESS_PORT: i64 = 0x80;
const USER_QUOTA: i32 = 0;
/// SYSLOG_ACTION_READ_ALL
const LOG_READ_ALL: i64 = 3;
