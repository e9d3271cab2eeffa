//! System V's and POSIX's memory, queues and semaphores: the victim's half holds some with a secret in it, the attacker reads it.

use rustix::io::Errno;

use crate::arguments::Arguments;
use crate::call::{call, descriptor, errno, structure};
use crate::outcome::{Outcome, Tried};
use crate::sockets::hold;

/// Read shared memory by its key.
pub(crate) fn read_memory(arguments: &Arguments<'_>) -> Tried {
    let id = call!(libc::SYS_shmget, arguments.number::<i32>(0)?, 0, 0)?;
    let memory = attach(id, libc::SHM_RDONLY)?;
    let mut bytes = [0_u8; MEMORY_BYTES];
    // SAFETY: a segment is at least a page long, and mapped for reading until this program ends.
    unsafe { std::ptr::copy_nonoverlapping(memory, bytes.as_mut_ptr(), MEMORY_BYTES) };
    let text = bytes.iter().take_while(|byte| **byte != 0);
    Ok(text.map(|byte| char::from(*byte)).collect())
}

/// The victim's half of it.
pub(crate) fn hold_memory(arguments: &Arguments<'_>) -> Tried {
    let (key, text) = (arguments.number::<i32>(0)?, short(arguments, 1)?);
    let bytes = i64::try_from(MEMORY_BYTES).unwrap_or(0);
    let id = call!(libc::SYS_shmget, key, bytes, libc::IPC_CREAT | OPEN_TO_ALL)?;
    let memory = attach(id, 0)?;
    // SAFETY: the text is shorter than the segment, which is mapped for writing until this program ends.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), memory, text.len()) };
    held(|| call!(libc::SYS_shmctl, id, libc::IPC_RMID, 0))
}

fn attach(id: i64, flags: i32) -> Result<*mut u8, Outcome> {
    let id = i32::try_from(id).unwrap_or(-1);
    // SAFETY: mapped where the kernel finds room, so over nothing.
    let memory = unsafe { libc::shmat(id, std::ptr::null(), flags) };
    match memory.addr() {
        usize::MAX => Err(errno().into()),
        _ => Ok(memory.cast()),
    }
}

/// Take a message from a queue by its key.
pub(crate) fn read_queue(arguments: &Arguments<'_>) -> Tried {
    let id = call!(libc::SYS_msgget, arguments.number::<i32>(0)?, 0)?;
    let mut message = [0_u8; 8 + MEMORY_BYTES];
    let room = i64::try_from(MEMORY_BYTES).unwrap_or(0);
    let length = call!(
        libc::SYS_msgrcv,
        id,
        &mut message[..],
        room,
        0,
        libc::IPC_NOWAIT
    )?;
    let end = 8 + usize::try_from(length).unwrap_or(0).min(MEMORY_BYTES);
    Ok(String::from_utf8_lossy(&message[8..end]).into_owned())
}

/// The victim's half of it.
pub(crate) fn hold_queue(arguments: &Arguments<'_>) -> Tried {
    let (key, text) = (arguments.number::<i32>(0)?, short(arguments, 1)?);
    let id = call!(libc::SYS_msgget, key, libc::IPC_CREAT | OPEN_TO_ALL)?;
    // The kind of message, of eight bytes, then the text.
    let mut message = 1_i64.to_ne_bytes().to_vec();
    message.extend(text);
    let length = i64::try_from(text.len()).unwrap_or(0);
    call!(libc::SYS_msgsnd, id, &message[..], length, libc::IPC_NOWAIT)?;
    held(|| call!(libc::SYS_msgctl, id, libc::IPC_RMID, 0))
}

/// Read a semaphore by its key.
pub(crate) fn read_semaphore(arguments: &Arguments<'_>) -> Tried {
    let id = call!(libc::SYS_semget, arguments.number::<i32>(0)?, 0, 0)?;
    let value = call!(libc::SYS_semctl, id, 0, libc::GETVAL, 0)?;
    Ok(format!("{value}"))
}

/// The victim's half of it, with a number of up to 32767.
pub(crate) fn hold_semaphore(arguments: &Arguments<'_>) -> Tried {
    let (key, value) = (arguments.number::<i32>(0)?, arguments.number::<u16>(1)?);
    let id = call!(libc::SYS_semget, key, 1, libc::IPC_CREAT | OPEN_TO_ALL)?;
    call!(libc::SYS_semctl, id, 0, libc::SETVAL, i64::from(value))?;
    held(|| call!(libc::SYS_semctl, id, 0, libc::IPC_RMID, 0))
}

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

/// The victim's half of it.
pub(crate) fn hold_posix_queue(arguments: &Arguments<'_>) -> Tried {
    let (name, text) = (arguments.path(0)?, short(arguments, 1)?);
    // flags, messages at most, bytes of each at most, messages now; eight bytes each, then room.
    let mut attributes = structure(&[0, 0, 1, 0, 1024, 0]);
    attributes.resize(64, 0);
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let opened = call!(
        libc::SYS_mq_open,
        name.as_c_str(),
        flags,
        OPEN_TO_ALL,
        &attributes[..]
    )?;
    let queue = descriptor(opened)?;
    let length = i64::try_from(text.len()).unwrap_or(0);
    call!(libc::SYS_mq_timedsend, &queue, text, length, 0, 0)?;
    held(|| call!(libc::SYS_mq_unlink, name.as_c_str()))
}

fn held(remove: impl FnOnce() -> Result<i64, Errno>) -> Tried {
    let waited = hold();
    remove()?;
    waited?;
    Ok("held it".to_owned())
}

fn short<'a>(arguments: &'a Arguments<'_>, place: usize) -> Result<&'a [u8], Outcome> {
    match arguments.text(place)?.as_bytes() {
        text if text.len() < MEMORY_BYTES => Ok(text),
        _ => Err(Outcome::Impossible("the text is too long".to_owned())),
    }
}

/// The longest secret, with the byte that ends it.
const MEMORY_BYTES: usize = 256;
/// The longest message of a queue with usual limits.
const POSIX_BYTES: usize = 8192;
const OPEN_TO_ALL: i32 = 0o666;
