//! The Linux users that the tests run sites as.
//!
//! They are fixed: `hostel` (the front), `hostel-mail` (the mail broker), `hostel-backup` (who speaks to repositories) and `hostel-t1` to `hostel-t4`, made when missing, without a login shell or a home,
//! and left in place for the next run. To be rid of them: `for n in 1 2 3 4; do userdel hostel-t$n; done`.

use std::fs::{self, File};
use std::process::Command;

/// A test user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// `hostel-t1`.
    One,
    /// `hostel-t2`.
    Two,
    /// `hostel-t3`.
    Three,
    /// `hostel-t4`.
    Four,
}

/// The front's user.
pub const FRONT: &str = "hostel";
/// The mail broker's.
pub const MAIL: &str = "hostel-mail";
/// Who restic runs as.
pub const BACKUP: &str = "hostel-backup";

impl User {
    const ALL: [Self; 4] = [Self::One, Self::Two, Self::Three, Self::Four];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "hostel-t1",
            Self::Two => "hostel-t2",
            Self::Three => "hostel-t3",
            Self::Four => "hostel-t4",
        }
    }

    /// Its user id and group id.
    pub fn ids(self) -> (u32, u32) {
        ids(self.name()).unwrap_or_else(|| panic!("user {} is missing", self.name()))
    }
}

/// User id and group id of a name in /etc/passwd.
pub fn ids(name: &str) -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd can be read");
    let line = passwd
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Make the users that are missing. Several test programs may ask at once.
pub(crate) fn ensure_all() {
    let lock = File::create("/run/hostel-e2e.lock").expect("/run can be written");
    lock.lock().expect("a lock on /run/hostel-e2e.lock");
    let names = [FRONT, MAIL, BACKUP]
        .into_iter()
        .chain(User::ALL.map(User::name));
    for name in names.filter(|name| ids(name).is_none()) {
        println!("making user {name}");
        let made = Command::new("useradd")
            .args(["--system", "--user-group", "--no-create-home"])
            .args([
                "--home-dir",
                "/nonexistent",
                "--shell",
                "/usr/sbin/nologin",
                name,
            ])
            .status()
            .expect("useradd can be started (package passwd)");
        assert!(made.success(), "useradd {name} failed");
    }
}
