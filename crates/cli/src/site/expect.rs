//! What a site must have on its host: its user, home, document root, state, logs, and its file. Nothing is looked at here. `hostel site` makes
//! it so, and `hostel audit` tells what is not so.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use hostel_config::{Server, Site};
use hostel_sys::cred::{Gid, Uid, User};

use super::database::copies::Copied;

/// What must be beneath the home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contents {
    /// A document root, whatever is in it.
    Root,
    /// A document root that visitors find something in.
    Welcome,
    /// What this other site has.
    CopyOf(String),
    /// What a backup of this site holds.
    BackupOf(String),
}

/// What one site must have.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    /// As the checked configuration has it. The numbers of a user who does not exist yet stand for nothing.
    pub(crate) site: Rc<Site>,
    /// The text of its file; `None`: whatever it is.
    pub(crate) file: Option<String>,
    /// Whether a user who exists was named on purpose.
    pub(crate) is_user_named: bool,
    /// The login shell of a user that is made.
    pub(crate) shell: Option<PathBuf>,
    pub(crate) contents: Contents,
    /// Databases that it is to have of its own, each with what another site's has, in the order of its file.
    pub(crate) databases: Vec<Copied>,
}

impl Expected {
    /// What a site of the configuration must have.
    pub(crate) fn of_site(site: &Rc<Site>) -> Self {
        Self {
            site: Rc::clone(site),
            file: None,
            is_user_named: true,
            shell: None,
            contents: Contents::Root,
            databases: Vec::new(),
        }
    }
}

/// A directory in a directory of root's, and who may do what with it.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) owner: Uid,
    pub(crate) group: Option<Gid>,
    /// Bits that its mode must not have.
    pub(crate) forbidden: u32,
}

/// The site's directories besides its home, outer ones first.
pub(crate) fn places(server: &Server, name: &str, user: &User) -> Vec<Place> {
    let place = |path, owner, group, forbidden| Place {
        path,
        owner,
        group,
        forbidden,
    };
    let state = state(server, name);
    let mut places: Vec<Place> = OF_STATE
        .iter()
        .map(|name| place(state.join(name), user.uid, None, 0o077))
        .collect();
    places.insert(0, place(state, Uid::ROOT, None, 0o066));
    let logs = logs(server, name);
    places.push(place(logs, Uid::ROOT, Some(user.gid), 0o027));
    places
}

/// The site's own directories in `state`, which the monitor makes too.
pub(crate) fn state(server: &Server, name: &str) -> PathBuf {
    server.state.join("sites").join(name)
}

/// Their names; each is the site's user's, mode 0700.
pub(crate) const OF_STATE: [&str; 4] = ["tmp", "var-tmp", "sessions", "opcache"];

/// The directory of the site's logs: root's, and its group's to read.
pub(crate) fn logs(server: &Server, name: &str) -> PathBuf {
    server.logs.join(name)
}

/// Where a site's home is when nothing else is said.
pub(crate) fn default_home(name: &str) -> String {
    format!("/srv/{name}")
}

/// Whether a home may only be entered by its user: these bits of its mode are others'.
pub(crate) fn open_bits(has_own_group: bool) -> u32 {
    if has_own_group { 0o007 } else { 0o077 }
}

/// Whether this is where it is when nothing else is said.
pub(crate) fn is_default_home(home: &str, name: &str) -> bool {
    Path::new(home) == Path::new(&default_home(name))
}
