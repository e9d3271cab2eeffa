//! The kernel's keys: root's, another site's, and places to leave some for others.

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

fn operation(number: u32) -> i64 {
    number.into()
}
