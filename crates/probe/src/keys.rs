//! The kernel's keys: root's, another site's, and places to leave some for others.

use std::ffi::CStr;
use std::fs;

use rustix::io::Errno;

use crate::arguments::Arguments;
use crate::call::call;
use crate::outcome::Tried;

/// Add a key to the keyring of the user, where other sandboxes of this user find it. Gone when this program ends.
pub(crate) fn add(arguments: &Arguments<'_>) -> Tried {
    let name = arguments.path(0)?;
    let ring = i64::from(libc::KEY_SPEC_PROCESS_KEYRING);
    let id = call!(
        libc::SYS_add_key,
        c"user",
        name.as_c_str(),
        &b"x"[..],
        1,
        ring
    )?;
    Ok(format!("made key {id}"))
}

/// Ask for a key by name, which makes the kernel look in all keyrings.
pub(crate) fn request(arguments: &Arguments<'_>) -> Tried {
    let name = arguments.path(0)?;
    let id = call!(libc::SYS_request_key, c"user", name.as_c_str(), 0, 0)?;
    Ok(read(id)?)
}

/// Join a named session keyring, which whoever knows the name shares.
pub(crate) fn join(arguments: &Arguments<'_>) -> Tried {
    let name = arguments.path(0)?;
    let id = call!(
        libc::SYS_keyctl,
        operation(libc::KEYCTL_JOIN_SESSION_KEYRING),
        name.as_c_str()
    )?;
    Ok(format!("joined session keyring {id}"))
}

/// The keyring that outlives all processes of the user.
pub(crate) fn persistent(_: &Arguments<'_>) -> Tried {
    let get = operation(libc::KEYCTL_GET_PERSISTENT);
    let id = call!(
        libc::SYS_keyctl,
        get,
        -1,
        i64::from(libc::KEY_SPEC_PROCESS_KEYRING)
    )?;
    Ok(format!("holds persistent keyring {id}"))
}

/// Look for a key by name in the session's and the user's keyrings, and read it.
pub(crate) fn search(arguments: &Arguments<'_>) -> Tried {
    let name = arguments.path(0)?;
    let rings = [
        libc::KEY_SPEC_SESSION_KEYRING,
        libc::KEY_SPEC_USER_SESSION_KEYRING,
        libc::KEY_SPEC_USER_KEYRING,
    ];
    let mut last = Errno::NOENT;
    for ring in rings {
        match find(i64::from(ring), &name).and_then(read) {
            Ok(text) => return Ok(text),
            Err(errno) => last = errno,
        }
    }
    Err(last.into())
}

/// Read every key that /proc/keys shows.
pub(crate) fn read_listed(_: &Arguments<'_>) -> Tried {
    let text = fs::read_to_string("/proc/keys")?;
    let ids = text.lines().filter(|line| line.contains(" user "));
    let numbers = ids.filter_map(|line| i64::from_str_radix(line.split(' ').next()?, 16).ok());
    let mut last = Errno::NOENT;
    let mut found = Vec::new();
    for id in numbers {
        match read(id) {
            Ok(text) => found.push(text),
            Err(errno) => last = errno,
        }
    }
    match found.as_slice() {
        [] => Err(last.into()),
        texts => Ok(texts.join(" ")),
    }
}

fn find(ring: i64, name: &CStr) -> Result<i64, Errno> {
    call!(
        libc::SYS_keyctl,
        operation(libc::KEYCTL_SEARCH),
        ring,
        c"user",
        name,
        0
    )
}

fn read(id: i64) -> Result<String, Errno> {
    let mut bytes = [0_u8; 256];
    let read = operation(libc::KEYCTL_READ);
    let length = call!(libc::SYS_keyctl, read, id, &mut bytes[..], 256)?;
    let length = usize::try_from(length).unwrap_or(0).min(bytes.len());
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

fn operation(number: u32) -> i64 {
    number.into()
}
