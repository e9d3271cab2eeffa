//! More of the processor's and the disk's time than others have.

use crate::arguments::Arguments;
use crate::call::{call, structure};
use crate::outcome::Tried;
use crate::target::target;

/// Before every usual process.
pub(crate) fn realtime(_: &Arguments<'_>) -> Tried {
    let priority = structure(&[1]);
    call!(
        libc::SYS_sched_setscheduler,
        0,
        libc::SCHED_FIFO,
        &priority[..]
    )?;
    Ok("runs before all others".to_owned())
}

/// A negative nice value.
pub(crate) fn nice(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_setpriority, PROCESS, 0, -5)?;
    Ok("has nice value -5".to_owned())
}

/// The same for another process: its value raised by none.
pub(crate) fn nice_other(arguments: &Arguments<'_>) -> Tried {
    let pid = target(arguments, 0)?;
    // The call answers 20 less the value.
    let value = 20 - call!(libc::SYS_getpriority, PROCESS, pid)?;
    call!(libc::SYS_setpriority, PROCESS, pid, value)?;
    Ok(format!("sets the priority of process {pid}"))
}

/// Disk before every other process.
pub(crate) fn io_realtime(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_ioprio_set, 1, 0, IO_REALTIME)?;
    Ok("has the disk first".to_owned())
}

/// Which processors another process uses: the same as before.
pub(crate) fn affinity(arguments: &Arguments<'_>) -> Tried {
    let pid = target(arguments, 0)?;
    let mut processors = [0_u8; 128];
    let length = call!(libc::SYS_sched_getaffinity, pid, 128, &mut processors[..])?;
    call!(libc::SYS_sched_setaffinity, pid, length, &processors[..])?;
    Ok(format!("sets the processors of process {pid}"))
}

/// PRIO_PROCESS
const PROCESS: i32 = 0;
/// Class 1 (realtime), level 4.
const IO_REALTIME: i64 = 1 << 13 | 4;
