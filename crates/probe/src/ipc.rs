//! POSIX queues, for which PHP has no functions: the victim's half makes one, the attacker takes what is in it.

use crate::arguments::Arguments;
use crate::call::{call, descriptor, structure};
use crate::outcome::Tried;

/// Take a message from a POSIX queue by its name, which has no slash here.
pub(crate) fn read_posix_queue(arguments: &Arguments<'_>) -> Tried {
    let name = arguments.path(0)?;
    let flags = libc::O_RDONLY | libc::O_NONBLOCK;
    let queue = descriptor(call!(libc::SYS_mq_open, name.as_c_str(), flags, 0, 0)?)?;
    let mut message = [0_u8; POSIX_BYTES];
    let room = i64::try_from(POSIX_BYTES).unwrap_or(0);
    let length = call!(
        libc::SYS_mq_timedreceive,
        &queue,
        &mut message[..],
        room,
        0,
        0
    )?;
    let end = usize::try_from(length).unwrap_or(0).min(POSIX_BYTES);
    Ok(String::from_utf8_lossy(&message[..end]).into_owned())
}

/// The victim's half: make one with a message in it, open to all. It stays until it is removed, or its namespace ends.
pub(crate) fn make_posix_queue(arguments: &Arguments<'_>) -> Tried {
    let (name, text) = (arguments.path(0)?, arguments.text(1)?.as_bytes());
    // flags, messages at most, bytes of each at most, messages now; eight bytes each, then room.
    let mut attributes = structure(&[0, 0, 1, 0, 1024, 0]);
    attributes.resize(64, 0);
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let mode = 0o666;
    let queue = descriptor(call!(
        libc::SYS_mq_open,
        name.as_c_str(),
        flags,
        mode,
        &attributes[..]
    )?)?;
    // Whatever the umask is.
    call!(libc::SYS_fchmod, &queue, mode)?;
    let length = i64::try_from(text.len()).unwrap_or(0);
    call!(libc::SYS_mq_timedsend, &queue, text, length, 0, 0)?;
    Ok("made".to_owned())
}

/// The end of it.
pub(crate) fn remove_posix_queue(arguments: &Arguments<'_>) -> Tried {
    call!(libc::SYS_mq_unlink, arguments.path(0)?.as_c_str())?;
    Ok("removed".to_owned())
}

/// The longest message of a queue with usual limits.
const POSIX_BYTES: usize = 8192;
