//! A bare Debian 12, copied and booted with its own systemd in namespaces of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hostel_e2e::process::{Signal, signal_by_id};
use hostel_e2e::wait_until;

/// Where the packages and the bare Debian are.
fn place() -> PathBuf {
    let place = std::env::var_os("HOSTEL_PACKAGE").map(PathBuf::from);
    let place = place.expect("HOSTEL_PACKAGE names the directory (hint: cargo xtask e2e package)");
    let absolute = std::path::absolute(&place).expect("the current directory");
    assert!(
        absolute.join("debian").exists(),
        "{} has no Debian (hint: cargo xtask e2e package)",
        absolute.display()
    );
    absolute
}

/// One of the two packages, `old` or `new`.
pub(crate) fn package(name: &str) -> PathBuf {
    place().join(format!("{name}.deb"))
}

/// A Debian that runs. Dropped, it is ended and removed.
pub(crate) struct Debian {
    tree: PathBuf,
    group: PathBuf,
    boot: Child,
    /// systemd, as this host numbers it.
    init: i32,
}

/// What a command inside said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) text: String,
}

impl Debian {
    pub(crate) fn boot() -> Self {
        let tree = PathBuf::from(format!("/srv/hostel-package-{}", std::process::id()));
        run(Command::new("cp")
            .arg("-a")
            .arg(place().join("debian"))
            .arg(&tree));
        fs::write(tree.join("etc/resolv.conf"), "").expect("the tree is ours");
        for name in ["old", "new"] {
            fs::copy(package(name), tree.join(format!("{name}.deb")))
                .expect("cargo xtask e2e makes both");
        }
        let group = control_groups().join(format!("hostel-package-{}", std::process::id()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("boot-tree");
        let boot = Command::new(script)
            .args([&tree, &group])
            .stdin(Stdio::null())
            .spawn()
            .expect("boot-tree can be started");
        let mut debian = Self {
            tree,
            group,
            boot,
            init: 0,
        };
        let procs = debian.group.join("init.scope/cgroup.procs");
        let booted = wait_until(Duration::from_secs(30), || {
            let text = fs::read_to_string(&procs).unwrap_or_default();
            debian.init = text
                .lines()
                .next()
                .and_then(|pid| pid.parse().ok())
                .unwrap_or(0);
            debian.init != 0
        });
        assert!(booted, "systemd did not start\n{}", debian.console());
        let up = wait_until(Duration::from_secs(60), || {
            debian.run("systemctl is-active basic.target").success
        });
        assert!(up, "the system did not come up\n{}", debian.console());
        debian
    }

    /// A shell's line inside, as root.
    pub(crate) fn run(&self, line: &str) -> Said {
        let output = Command::new("nsenter")
            .args(["--target", &self.init.to_string()])
            .args([
                "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--root", "--wd",
            ])
            .args([
                "env",
                "-i",
                "LC_ALL=C.UTF-8",
                "DEBIAN_FRONTEND=noninteractive",
            ])
            .args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", line])
            .stdin(Stdio::null())
            .output()
            .expect("nsenter can be started");
        let text = [output.stdout, output.stderr].concat();
        Said {
            success: output.status.success(),
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }

    /// The same; it must succeed. What it said.
    pub(crate) fn must(&self, line: &str) -> String {
        let said = self.run(line);
        if !said.success {
            let journal = self.run("journalctl --no-pager --unit hostel.service | tail -30; tail -30 /var/log/hostel/server.log");
            panic!("{line}\n{}\n--- {}", said.text, journal.text);
        }
        said.text
    }

    /// A path inside, as this host sees it.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.tree.join(inside.trim_start_matches('/'))
    }

    fn console(&self) -> String {
        fs::read_to_string(self.tree.with_extension("console")).unwrap_or_default()
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // Process 1 of its namespace takes all others with it.
        if self.init != 0 {
            signal_by_id(self.init, Signal::KILL);
        } else {
            let _ = self.boot.kill();
        }
        let _ = self.boot.wait();
        let empty = wait_until(Duration::from_secs(10), || {
            let mut remove = Command::new("find");
            remove
                .arg(&self.group)
                .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
            let _ = remove.stderr(Stdio::null()).status();
            !self.group.exists()
        });
        if !empty {
            println!(
                "{} is kept: processes are in {}",
                self.tree.display(),
                self.group.display()
            );
            return;
        }
        run(Command::new("rm")
            .args(["-r", "--one-file-system"])
            .arg(&self.tree));
        let _ = fs::remove_file(self.tree.with_extension("console"));
    }
}

/// Where control groups of version 2 are mounted.
fn control_groups() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc");
    let mut lines = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let found = lines.find_map(|words| match words.as_slice() {
        [_, place, "cgroup2", ..] => Some(PathBuf::from(place)),
        _ => None,
    });
    found.expect("systemd needs control groups of version 2, which are not mounted here")
}

fn run(command: &mut Command) {
    let status = command.status();
    assert!(
        status.as_ref().is_ok_and(|status| status.success()),
        "{command:?}: {status:?}"
    );
}
