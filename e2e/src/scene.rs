//! Sites that `hostel site` makes, for tests of that command.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::instance::Instance;
use crate::process::killed_after;
use crate::user;

/// An instance, and sites that are made by the command under test. Users that are left at the end are deleted.
#[derive(Debug)]
pub struct Scene {
    /// Where they are made.
    pub instance: Instance,
    prefix: String,
}

impl Scene {
    /// Start an instance without sites.
    pub fn new(name: &str) -> Self {
        Self::of(Instance::new(name).start())
    }

    /// Use this one.
    pub fn of(instance: Instance) -> Self {
        Self {
            instance,
            prefix: format!("sc{}", std::process::id()),
        }
    }

    /// The name of a site, and of its user.
    pub fn name(&self, short: &str) -> String {
        format!("{}{short}", self.prefix)
    }

    /// Its home.
    pub fn home(&self, short: &str) -> PathBuf {
        self.instance.home(&self.name(short))
    }

    /// Run `hostel site …`; what a document of it says.
    pub fn site(&self, words: &[&str]) -> Outcome {
        let words: Vec<&str> = ["site"]
            .iter()
            .chain(words)
            .copied()
            .chain(["--json"])
            .collect();
        let (fine, output, errors) = self.instance.command(&words);
        let document = serde_json::from_str(&output).unwrap_or(Value::Null);
        Outcome {
            fine,
            document,
            errors,
        }
    }

    /// The words that add a site with its home in the instance's directory.
    pub fn add_words(&self, short: &str) -> Vec<String> {
        let home = self.home(short).display().to_string();
        let (name, domain) = (self.name(short), format!("{short}.test"));
        ["add", &name, "--domain", &domain, "--home", &home]
            .map(str::to_owned)
            .to_vec()
    }

    /// Add a site with its home in the instance's directory.
    pub fn add(&self, short: &str) -> Outcome {
        let words = self.add_words(short);
        self.site(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Start a command and kill it after so long; whether it had not ended by itself.
    pub fn killed(&self, words: &[&str], after: Duration) -> bool {
        let mut command = Command::new(self.instance.program("hostel"));
        command.arg("site").args(words).arg("--config");
        killed_after(command.arg(self.instance.configuration()), after)
    }

    /// Give a file to the site's user.
    pub fn write(&self, short: &str, path: &str, content: &str) {
        let (uid, gid) = user::ids(&self.name(short)).expect("the site's user");
        let path = self.home(short).join(path);
        let parent = path.parent().expect("beneath home");
        if !parent.exists() {
            fs::create_dir_all(parent).unwrap();
            chown(parent, Some(uid), Some(gid)).unwrap();
        }
        fs::write(&path, content).unwrap();
        chown(&path, Some(uid), Some(gid)).unwrap();
    }

    /// What is left of a site anywhere.
    pub fn traces(&self, short: &str) -> Vec<String> {
        let name = self.name(short);
        let mut traces = Vec::new();
        for path in [
            self.home(short),
            self.instance.path("state/sites").join(&name),
            self.instance.path("logs").join(&name),
            self.instance
                .path("state/records")
                .join(format!("{name}.json")),
        ] {
            if path.symlink_metadata().is_ok() {
                traces.push(path.display().to_string());
            }
        }
        for directory in [
            self.instance.path("etc/sites.d"),
            self.instance.path("homes"),
        ] {
            for entry in fs::read_dir(directory).unwrap().flatten() {
                let file = entry.file_name().to_string_lossy().into_owned();
                if file
                    .trim_start_matches('.')
                    .starts_with(&format!("{name}."))
                {
                    traces.push(file);
                }
            }
        }
        let groups = fs::read_to_string("/etc/group").unwrap();
        if user::ids(&name).is_some() || groups.lines().any(|l| l.starts_with(&format!("{name}:")))
        {
            traces.push(format!("user or group {name}"));
        }
        traces
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let names = passwd.lines().filter_map(|line| line.split(':').next());
        let ours: Vec<&str> = names
            .filter(|name| name.starts_with(&self.prefix))
            .collect();
        if ours.is_empty() {
            return;
        }
        // userdel refuses while something of them runs.
        let _ = self.instance.stop();
        for name in ours {
            let _ = Command::new("/usr/sbin/userdel")
                .args(["--force", name])
                .output();
        }
    }
}

/// What came of a command.
#[derive(Debug)]
pub struct Outcome {
    /// Whether its status is 0.
    pub fine: bool,
    /// The document that it printed.
    pub document: Value,
    /// What it said of its errors.
    pub errors: String,
}

impl Outcome {
    /// It was done.
    #[track_caller]
    pub fn fine(self) -> Self {
        assert!(self.fine, "{}\n{:#}", self.errors, self.document);
        self
    }

    /// It was refused with this text, and says so in the document too.
    #[track_caller]
    pub fn refused(self, text: &str) -> Self {
        assert!(!self.fine, "{:#}", self.document);
        assert!(self.errors.contains(text), "{text}: {}", self.errors);
        assert!(self.document["error"].is_object());
        self
    }

    /// What it has done, or would do.
    pub fn steps(&self) -> Vec<String> {
        let steps = self.document["steps"].as_array();
        let steps = steps.into_iter().flatten().filter_map(Value::as_str);
        steps.map(str::to_owned).collect()
    }

    /// What else it tells.
    pub fn notes(&self) -> String {
        self.document["notes"].to_string()
    }

    /// It was refused, with this among the reasons.
    #[track_caller]
    pub fn fine_or(self, text: &str) {
        assert!(!self.fine && self.errors.contains(text), "{}", self.errors);
    }
}
