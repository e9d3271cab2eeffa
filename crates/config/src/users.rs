//! Which user may be the front's or a site's. Where users are looked up is a trait, so that tests need none of the system's.

use std::error::Error;
use std::path::PathBuf;

use hostel_sys::cred::{Gid, LookUpError, Uid, User};
use hostel_wire::limits;

use crate::errors::Fault;

/// A database of users.
pub trait UserLookUp {
    /// The user of this name, `None` where there is none.
    ///
    /// # Errors
    /// The database cannot be read.
    fn by_name(&self, name: &str) -> Result<Option<User>, LookUpError>;
}

/// The user of the front, or of another process of the server's own, as `who` names it.
pub(crate) fn server(who: &str, name: &str, users: &dyn UserLookUp) -> Result<User, Fault> {
    let user = look_up(name, users, || {
        format!(
            "create it: useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {name}"
        )
    })?;
    if user.uid.0 == 0 || user.gid.0 == 0 {
        return Err(Fault::new(format!(
            "the {who} cannot run as '{name}': it has root's user or group"
        ))
        .hint("it speaks to the network; give it a system user of its own"));
    }
    Ok(user)
}

/// The lowest numbers that a site's user and its primary group may have; never 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdBounds {
    pub(crate) uid_min: u32,
    pub(crate) gid_min: u32,
}

/// The user of a site; `is_default` where it is just the site's name.
pub(crate) fn site(
    name: &str,
    is_default: bool,
    bounds: IdBounds,
    users: &dyn UserLookUp,
) -> Result<User, Fault> {
    let user = look_up(name, users, || {
        let create = format!("create it: useradd --user-group --shell /usr/sbin/nologin {name}");
        if is_default {
            format!("{create}; or name another one with 'user' (its default is the site's name)")
        } else {
            create
        }
    })?;
    let wrong = |why: &str| Fault::new(format!("a site cannot run as '{name}': {why}"));
    if user.uid.0 == 0 {
        return Err(wrong("it is root").hint("give the site a user of its own"));
    }
    if user.uid.0 < bounds.uid_min {
        let why = format!(
            "its uid {} is below {}, as are those of the system's own users ('uid_min')",
            user.uid, bounds.uid_min
        );
        return Err(wrong(&why).hint("give the site a user of its own"));
    }
    if user.uid.0 == NOBODY {
        return Err(
            wrong("it stands for users that do not exist").hint("give the site a user of its own")
        );
    }
    if user.gid.0 == 0 {
        return Err(wrong("its group is root's").hint(format!("usermod --gid GROUP {name}")));
    }
    if user.gid.0 < bounds.gid_min || user.gid.0 == NOBODY {
        let why = if user.gid.0 == NOBODY {
            "its group stands for groups that do not exist".to_owned()
        } else {
            format!(
                "the gid {} of its group is below {}, as are those of the system's own groups ('gid_min')",
                user.gid, bounds.gid_min
            )
        };
        return Err(wrong(&why).hint(format!(
            "give the user a group of its own: groupadd {name}; usermod --gid {name} {name}"
        )));
    }
    Ok(user)
}

fn look_up(
    name: &str,
    users: &dyn UserLookUp,
    hint: impl FnOnce() -> String,
) -> Result<User, Fault> {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let others = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_name = name.bytes().next().is_some_and(first)
        && name.bytes().all(others)
        && name.len() <= limits::USER_NAME_BYTES_MAX;
    if !is_name {
        return Err(Fault::new(format!(
            "'{}' is not the name of a user",
            name.escape_debug()
        ))
        .hint(format!(
            "letters, digits, '_', '-' and '.', starting with a letter or '_', at most {} of them",
            limits::USER_NAME_BYTES_MAX
        )));
    }
    match users.by_name(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(Fault::new(format!("there is no user '{name}'")).hint(hint())),
        Err(error) => Err(Fault::new(format!(
            "{error}: {}",
            error.source().map(ToString::to_string).unwrap_or_default()
        ))),
    }
}

/// Stands for a user that was refused, in a table that is refused for it. No user has its number.
pub(crate) fn missing(name: &str) -> User {
    User {
        name: name.to_owned(),
        uid: Uid(u32::MAX),
        gid: Gid(u32::MAX),
        home: PathBuf::new(),
    }
}

/// `nobody` and `nogroup`: own what has no owner, in user namespaces and on network file systems.
const NOBODY: u32 = 65_534;
