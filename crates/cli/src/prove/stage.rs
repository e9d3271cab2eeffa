//! The private directory of one run: attack scripts and the native probe, mounted read-only into the sandboxes that are proven.
//!
//! Made by `hostel prove` as root beneath `run`. The directory around it is closed to all but root, so that only who has
//! the mount in his view can reach what is inside. Dropped, it is removed.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hostel_config::Site;

/// A stage.
#[derive(Debug)]
pub(crate) struct Stage {
    directory: PathBuf,
    document_root: File,
    /// Whether `hostel-probe` stands beside this program.
    pub(crate) has_probe: bool,
    /// Twelve random characters that tell this run's things from all others.
    pub(crate) run: String,
}

/// Why there is no stage.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}", path.display())]
pub(crate) struct StageError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Stage {
    /// Make one beneath `run` with these files, by their paths in the document root.
    ///
    /// # Errors
    /// What could not be written.
    pub(crate) fn new(
        run: &Path,
        files: impl IntoIterator<Item = (&'static str, &'static str)>,
        sites: &[Rc<Site>],
    ) -> Result<Self, StageError> {
        let random = random_text().map_err(failed("read", Path::new("/dev/urandom")))?;
        let name: String = random.chars().take(12).collect();
        let directory = run.join(format!("prove-{name}"));
        make_directory(&directory, 0o700)?;
        let root = directory.join("root");
        let filled = make_directory(&root, 0o755)
            .and_then(|()| link_races(&root, sites, &name))
            .and_then(|()| fill(&root, files));
        let document_root = filled.and_then(|has_probe| {
            Ok((File::open(&root).map_err(failed("open", &root))?, has_probe))
        });
        match document_root {
            Ok((document_root, has_probe)) => Ok(Self {
                directory,
                document_root,
                has_probe,
                run: name,
            }),
            Err(error) => {
                remove(&directory);
                Err(error)
            }
        }
    }

    /// The private directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The host's path of something in the document root.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.directory.join("root").join(below)
    }

    /// The directory that becomes the document root.
    pub(crate) fn document_root(&self) -> BorrowedFd<'_> {
        self.document_root.as_fd()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        remove(&self.directory);
    }
}

/// 32 random hexadecimal digits.
///
/// # Errors
/// The kernel has no random numbers.
pub(crate) fn random_text() -> io::Result<String> {
    let mut bytes = [0; 16];
    io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn fill(
    root: &Path,
    files: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> Result<bool, StageError> {
    for (name, text) in files {
        let path = root.join(name);
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            make_directory(parent, 0o755)?;
        }
        fs::write(&path, text).map_err(failed("write", &path))?;
        open_to_all(&path, 0o644)?;
    }
    let program = std::env::current_exe().map_err(failed("find", Path::new("/proc/self/exe")))?;
    let program = program.with_file_name(PROBE);
    if !program.exists() {
        return Ok(false);
    }
    let copy = root.join(PROBE);
    fs::copy(&program, &copy).map_err(failed("copy", &program))?;
    open_to_all(&copy, 0o755)?;
    Ok(true)
}

/// For each site a link into its home, to a place that its attack on static files exchanges all the time.
fn link_races(root: &Path, sites: &[Rc<Site>], run: &str) -> Result<(), StageError> {
    let directory = root.join("race");
    make_directory(&directory, 0o755)?;
    for site in sites {
        let target = format!("{}/.hostel-prove-race-{run}/current", site.home);
        let link = directory.join(&site.name);
        symlink(target, &link).map_err(failed("make the link", &link))?;
    }
    Ok(())
}

fn make_directory(path: &Path, mode: u32) -> Result<(), StageError> {
    let made = DirBuilder::new().mode(mode).create(path);
    made.map_err(failed("make the directory", path))?;
    // Whatever the umask is.
    open_to_all(path, mode)
}

fn open_to_all(path: &Path, mode: u32) -> Result<(), StageError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
}

fn remove(directory: &Path) {
    if let Err(error) = fs::remove_dir_all(directory) {
        crate::output::error(&format!(
            "hostel prove: cannot remove {}: {error}",
            directory.display()
        ));
    }
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> StageError {
    move |source| StageError {
        what,
        path: path.to_owned(),
        source,
    }
}

/// The native attack program, beside this one.
pub(crate) const PROBE: &str = "hostel-probe";
