//! What the tests stand on: a directory that goes away, and users that exist nowhere else.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use hostel_config::UserLookUp;
use hostel_sys::cred::{Gid, LookUpError, Uid, User};

/// An instance's configuration in a directory of its own.
pub(crate) struct Instance {
    pub(crate) directory: PathBuf,
}

impl Instance {
    /// A directory with an empty `sites.d`.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hostel-config-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        fs::create_dir(directory.join("sites.d")).unwrap();
        let instance = Self { directory };
        instance.mode(".", 0o755);
        instance.mode("sites.d", 0o755);
        instance
    }

    /// The files of a case: hostel.toml first, others after lines `# file: NAME`.
    pub(crate) fn of_case(text: &str) -> Self {
        let instance = Self::new();
        let (mut name, mut content) = ("hostel.toml", String::new());
        for line in text.lines() {
            if let Some(next) = line.strip_prefix("# file: ") {
                instance.write(name, &content);
                (name, content) = (next, String::new());
            } else {
                content.push_str(line);
                content.push('\n');
            }
        }
        instance.write(name, &content);
        instance
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.mode(name, 0o644);
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Load it; errors as text, with paths relative to the directory.
    pub(crate) fn load(&self) -> Result<hostel_config::Server, String> {
        hostel_config::load(&self.path("hostel.toml"), &Users::new()).map_err(|errors| {
            let prefix = format!("{}/", self.directory.display());
            errors.to_string().replace(&prefix, "") + "\n"
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.directory).unwrap();
    }
}

/// Users with fixed numbers.
pub(crate) struct Users(HashMap<&'static str, (u32, u32)>);

impl Users {
    pub(crate) fn new() -> Self {
        Self(HashMap::from([
            ("root", (0, 0)),
            ("www-data", (33, 33)),
            ("hostel", (990, 990)),
            ("alice", (1001, 1001)),
            ("bob", (1002, 1002)),
            ("carol", (1003, 1003)),
            ("dave", (1004, 1004)),
            ("erin", (1005, 1005)),
            ("alias", (1001, 1001)),
            ("wheel", (1006, 0)),
            ("frontgroup", (1007, 990)),
            ("users", (1008, 100)),
            ("users2", (1009, 100)),
            ("stray", (1010, 65_534)),
            ("daemon2", (1011, 33)),
            ("nobody", (65_534, 65_534)),
        ]))
    }
}

impl UserLookUp for Users {
    fn by_name(&self, name: &str) -> Result<Option<User>, LookUpError> {
        Ok(self.0.get(name).map(|(uid, gid)| User {
            name: name.to_owned(),
            uid: Uid(*uid),
            gid: Gid(*gid),
            home: Path::new("/nonexistent").to_owned(),
        }))
    }
}
