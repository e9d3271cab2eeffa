//! What this machine has and lacks for Hostel. Everything is tried, nothing is guessed from a version.

use std::io;
use std::path::{Path, PathBuf};

use hostel_config::{Server, Site};
use hostel_firewall::{Table, egress, nft};
use hostel_sys::capabilities::{self, Capability, MONITOR};
use hostel_sys::cgroup::{self, Controller};
use hostel_sys::cred::Uid;
use hostel_sys::home::open_home;
use hostel_sys::layers::IS_FOR_TESTS;
use hostel_sys::sandbox::{Features, features};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, MoveMountFlags, OpenTreeFlags};

/// One thing that was examined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) what: String,
    pub(crate) state: State,
    pub(crate) detail: String,
    pub(crate) hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is there.
    Fine,
    /// Hostel, or one of its sites, will not run without it.
    Missing,
    /// Hostel runs without it, and a site is held less tightly.
    Weaker,
    /// Only root could tell.
    Unknown,
}

/// Examine the machine: for itself, and for a configuration if there is a good one.
pub(crate) fn examine(server: Option<&Server>) -> Vec<Finding> {
    let mut findings = programs();
    if IS_FOR_TESTS {
        findings.push(Finding::weaker(
            "build",
            "made for tests, which may leave layers of a sandbox out",
            Some("build what is installed with: cargo build --release, and nothing else"),
        ));
    }
    findings.push(php_library());
    findings.extend(kernel());
    findings.extend(barriers(features()));
    findings.push(privileges());
    findings.push(control_groups());
    findings.push(disk_shares());
    if let Some(server) = server {
        findings.extend(disk(server));
        findings.push(php_ini(&server.php_ini_directory));
        findings.extend(server.sites.iter().map(|site| home(server, site)));
        findings.extend(weaknesses(server));
        findings.push(packet_filter(server));
    }
    findings
}

impl Finding {
    fn fine(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            state: State::Fine,
            detail: detail.into(),
            hint: None,
        }
    }

    fn missing(what: impl Into<String>, detail: impl Into<String>, hint: Option<&str>) -> Self {
        Self {
            state: State::Missing,
            hint: hint.map(str::to_owned),
            ..Self::fine(what, detail)
        }
    }

    fn weaker(what: impl Into<String>, detail: impl Into<String>, hint: Option<&str>) -> Self {
        Self {
            state: State::Weaker,
            ..Self::missing(what, detail, hint)
        }
    }

    fn unknown(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            state: State::Unknown,
            ..Self::fine(what, detail)
        }
    }
}

/// The programs that stand beside this one.
fn programs() -> Vec<Finding> {
    let examine = |name: &str| {
        let path = std::env::current_exe().map(|path| path.with_file_name(name));
        match path.and_then(|path| Ok((std::fs::metadata(&path)?, path))) {
            Ok((_, path)) => Finding::fine(name, path.display().to_string()),
            Err(error) => Finding::missing(
                name,
                format!("not beside this program: {error}"),
                Some("build all programs with: cargo build --release"),
            ),
        }
    };
    [
        "hostel-monitor",
        "hostel-firewall",
        "hostel-jobs",
        "hostel-resolver",
        "hostel-front",
        "hostel-keeper",
        "hostel-php",
        "hostel-mail",
        "hostel-sendmail",
    ]
    .map(examine)
    .into()
}

/// libphp, as Debian's package installs it. hostel-php was linked to one version and needs that one.
fn php_library() -> Finding {
    let found = PHP_LIBRARIES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists());
    match found {
        Some(path) => Finding::fine("PHP's embed library", path.display().to_string()),
        None => Finding::missing(
            "PHP's embed library",
            format!("none of {}", PHP_LIBRARIES.join(", ")),
            Some("apt-get install libphp8.2-embed"),
        ),
    }
}

fn php_ini(directory: &str) -> Finding {
    let what = format!("php.ini in {directory}");
    match std::fs::metadata(Path::new(directory).join("php.ini")) {
        Ok(_) => Finding::fine(what, "found"),
        Err(error) => Finding::missing(
            what,
            error.to_string(),
            Some("apt-get install libphp8.2-embed, or set 'php_ini' in hostel.toml"),
        ),
    }
}

/// nft and the kernel behind it, asked whether they would take this configuration's rules.
fn packet_filter(server: &Server) -> Finding {
    let what = "packet filter (nftables)";
    if Uid::effective() != Uid::ROOT {
        return Finding::unknown(what, "only root may ask the kernel");
    }
    let Err(error) = nft::check(&egress::rules(&Table::egress(&server.run), &server.http)) else {
        return Finding::fine(what, "it takes the rules of where sites may connect to");
    };
    let text = error.to_string();
    let (detail, hint) = text.split_once(" (hint: ").unwrap_or((&text, ""));
    let hint = Some(hint.trim_end_matches(')')).filter(|hint| !hint.is_empty());
    let bounded = server.sites.iter().find(|site| site.egress.is_bounded());
    match bounded {
        Some(site) => {
            let detail = format!("{detail}; site {} does not start without it", site.name);
            Finding::missing(what, detail, hint)
        }
        None => Finding::weaker(
            what,
            format!("{detail}; sites may connect to whatever they like"),
            hint,
        ),
    }
}

/// The home of a site: it must exist, and nobody but root may be able to exchange it.
fn home(server: &Server, site: &Site) -> Finding {
    let what = format!("home of site {}", site.name);
    if Uid::effective() != Uid::ROOT {
        return Finding::unknown(what, "only root can look at every home");
    }
    let reserved = [
        &server.state,
        &server.logs,
        &server.run,
        &server.sites_directory,
    ];
    match open_home(
        Path::new(&site.home),
        site.user.uid,
        &reserved.map(PathBuf::as_path),
    ) {
        Ok(_) => Finding::fine(what, site.home.clone()),
        Err(error) => {
            let text = error.to_string();
            match text.split_once("; hint: ") {
                Some((detail, hint)) => Finding::missing(what, detail, Some(hint)),
                None => Finding::missing(what, text, None),
            }
        }
    }
}

/// System calls that not every kernel or container has, each tried in a way that changes nothing.
fn kernel() -> Vec<Finding> {
    let tries: [(&str, Attempt); 6] = [
        ("openat2", || {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            rustix::fs::openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
                .map(drop)
        }),
        ("open_tree", || {
            rustix::mount::open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLOEXEC).map(drop)
        }),
        // An empty path without the flag that allows it: the answer is ENOENT where the call exists.
        ("move_mount", || {
            rustix::mount::move_mount(CWD, "", CWD, "", MoveMountFlags::empty())
        }),
        ("fsopen", || {
            rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map(drop)
        }),
        ("pidfd_open", || {
            rustix::process::pidfd_open(
                rustix::process::getpid(),
                rustix::process::PidfdFlags::empty(),
            )
            .map(drop)
        }),
        ("unnamed files (O_TMPFILE)", || {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            rustix::fs::open(std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR).map(drop)
        }),
    ];
    let mut findings: Vec<Finding> = tries
        .into_iter()
        .map(|(name, attempt)| kernel_finding(name, attempt()))
        .collect();
    for namespace in ["cgroup", "ipc", "mnt", "pid", "uts"] {
        let what = format!("{namespace} namespaces");
        findings.push(
            match std::fs::symlink_metadata(format!("/proc/self/ns/{namespace}")) {
                Ok(_) => Finding::fine(what, "the kernel has them"),
                Err(error) => Finding::missing(
                    what,
                    error.to_string(),
                    Some("a kernel with namespaces and a mounted /proc is needed"),
                ),
            },
        );
    }
    findings
}

/// What the kernel has of Landlock and seccomp. An older one is no error, but has to be known.
fn barriers(features: Features) -> Vec<Finding> {
    let mut findings = vec![match features.seccomp {
        true => Finding::fine("seccomp filters", "the kernel has them"),
        false => Finding::missing(
            "seccomp filters",
            "the kernel does not have them",
            Some("a kernel with CONFIG_SECCOMP_FILTER is needed"),
        ),
    }];
    if let Some(version) = features.landlock_abi {
        let detail = format!("version {version} of its interface");
        findings.push(Finding::fine("Landlock", detail));
    }
    findings.extend(features.weaknesses().map(|lack| Finding {
        state: State::Weaker,
        hint: Some(format!("needs {}", lack.kernel)),
        ..Finding::fine(lack.feature, lack.consequence)
    }));
    findings
}

fn kernel_finding(name: &str, result: rustix::io::Result<()>) -> Finding {
    let is_root = Uid::effective() == Uid::ROOT;
    match result {
        Ok(()) | Err(Errno::NOENT) => Finding::fine(name, "works"),
        Err(Errno::PERM) if !is_root => Finding::unknown(name, "only root may try it"),
        Err(errno) => Finding::missing(
            name,
            io::Error::from(errno).to_string(),
            Some(
                "a kernel of version 5.12 or later is needed, and a container must allow the call",
            ),
        ),
    }
}

/// What holds a site as a whole to its limits. What a running server could use of it, its log says.
fn control_groups() -> Finding {
    let what = "control groups";
    let found = cgroup::available();
    let (missing, why) = match &found {
        Ok(found) => {
            let mut missing = Controller::ALL.to_vec();
            missing.retain(|one| !found.contains(one));
            (missing, None)
        }
        Err(error) => (Controller::ALL.to_vec(), Some(error)),
    };
    match cgroup::shortcomings(&missing, why) {
        None => Finding::fine(what, "version 2 with memory, cpu, pids and io"),
        Some(text) => match hinted(&text) {
            Some((detail, hint)) => Finding::weaker(what, detail, Some(&hint)),
            None => Finding::weaker(what, text, None),
        },
    }
}

/// A text with `(hint: …)` in it, and the hint.
fn hinted(text: &str) -> Option<(String, String)> {
    let (before, rest) = text.split_once(" (hint: ")?;
    let (hint, after) = rest.split_once(')')?;
    Some((format!("{before}{after}"), hint.to_owned()))
}

/// Bounds on what sites put on the disk.
fn disk(server: &Server) -> Vec<Finding> {
    let what = "disk quotas";
    let texts = hostel_config::disk_warnings(server);
    if texts.is_empty() {
        return vec![Finding::fine(
            what,
            "the kernel holds sites to their bounds",
        )];
    }
    let weaker = |text: String| match hinted(&text) {
        Some((detail, hint)) => Finding::weaker(what, detail, Some(&hint)),
        None => Finding::weaker(what, text, None),
    };
    texts.into_iter().map(weaker).collect()
}

/// Whether any disk is shared by the weights of groups.
fn disk_shares() -> Finding {
    let what = "disk shares (io_weight)";
    let cost = std::fs::read_to_string("/sys/fs/cgroup/io.cost.qos").unwrap_or_default();
    let mut shared: Vec<String> = Vec::new();
    for entry in std::fs::read_dir("/sys/block")
        .into_iter()
        .flatten()
        .flatten()
    {
        let scheduler = entry.path().join("queue/scheduler");
        let scheduler = std::fs::read_to_string(scheduler).unwrap_or_default();
        if scheduler.contains("[bfq]") {
            shared.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let has_cost = cost.lines().any(|line| line.contains("enable=1"));
    if has_cost || !shared.is_empty() {
        return Finding::fine(
            what,
            format!("io.cost: {has_cost}; BFQ: {}", shared.join(", ")),
        );
    }
    Finding::weaker(
        what,
        "no disk has a scheduler that knows weights: one site's reading and writing can slow the others'",
        Some(
            "echo bfq > /sys/block/DISK/queue/scheduler (module bfq), and an udev rule to keep it",
        ),
    )
}

/// What root may lack in a container.
fn privileges() -> Finding {
    let what = "root's capabilities";
    if Uid::effective() != Uid::ROOT {
        return Finding::unknown(what, "not root");
    }
    match capabilities::lacking(MONITOR) {
        Ok(lacking) => lacking_capabilities(what, &lacking),
        Err(error) => Finding::missing(what, error.to_string(), None),
    }
}

fn lacking_capabilities(what: &str, lacking: &[Capability]) -> Finding {
    if lacking.is_empty() {
        return Finding::fine(what, "all that are needed");
    }
    let words: Vec<String> = lacking.iter().map(ToString::to_string).collect();
    let detail = format!("without {}", words.join(", "));
    let hint = Some("a container must give them to its root");
    if lacking.iter().all(|capability| capability.is_optional) {
        Finding::weaker(what, detail, hint)
    } else {
        Finding::missing(what, detail, hint)
    }
}

/// What is no error in the configuration, and weaker than it looks.
fn weaknesses(server: &Server) -> impl Iterator<Item = Finding> {
    let finding = |warning: String| match warning.split_once(" (hint: ") {
        Some((text, hint)) => {
            Finding::weaker("users of sites", text, Some(hint.trim_end_matches(')')))
        }
        None => Finding::weaker("users of sites", warning, None),
    };
    hostel_config::warnings(server).into_iter().map(finding)
}

/// Tries one system call.
type Attempt = fn() -> rustix::io::Result<()>;

/// Where Debian's package and a build of PHP's own put the library.
const PHP_LIBRARIES: [&str; 2] = ["/usr/lib/libphp8.2.so", "/usr/local/lib/libphp8.2.so"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_the_kernel_lacks_is_missing() {
        let finding = kernel_finding("x", Err(Errno::NOSYS));
        assert_eq!(finding.state, State::Missing);
        assert!(finding.hint.is_some());
        assert_eq!(kernel_finding("x", Ok(())).state, State::Fine);
    }

    #[test]
    fn a_hint_is_taken_out_of_its_text() {
        let found = hinted("no groups (hint: mount them); so less").unwrap();
        assert_eq!(
            found,
            ("no groups; so less".to_owned(), "mount them".to_owned())
        );
        assert_eq!(hinted("no groups"), None);
    }

    #[test]
    fn groups_are_found_or_said_to_be_missing() {
        let finding = control_groups();
        let is_weaker = finding.state == State::Weaker;
        assert_eq!(
            is_weaker,
            cgroup::available().map_or(0, |found| found.len()) < 4
        );
        assert_eq!(is_weaker, finding.hint.is_some());
    }

    #[test]
    fn an_older_kernel_is_weaker() {
        let states = |landlock_abi| {
            let features = Features {
                landlock_abi,
                seccomp: true,
            };
            let findings = barriers(features);
            let weaker = |finding: &&Finding| finding.state == State::Weaker;
            (findings.len(), findings.iter().filter(weaker).count())
        };
        assert_eq!(states(Some(7)), (2, 0));
        assert_eq!(states(Some(2)), (6, 4));
        assert_eq!(states(None), (6, 5));
    }

    #[test]
    fn what_root_lacks_is_named_and_weighed() {
        let (optional, needed): (Vec<_>, Vec<_>) = MONITOR.iter().partition(|one| one.is_optional);
        let state = |lacking: &[Capability]| lacking_capabilities("x", lacking).state;
        assert_eq!(state(&[]), State::Fine);
        assert_eq!(state(&optional), State::Weaker);
        assert_eq!(state(&needed[..1]), State::Missing);
        let finding = lacking_capabilities("x", &needed);
        assert!(
            finding.detail.contains("CAP_SYS_ADMIN ("),
            "{}",
            finding.detail
        );
    }

    #[test]
    fn what_is_beside_this_program_is_found() {
        // A test stands alone in its directory.
        assert!(
            programs()
                .iter()
                .all(|finding| finding.state == State::Missing)
        );
    }
}
