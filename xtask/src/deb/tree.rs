//! The package's tree before it is packed: which file goes where.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{PROGRAM_NAMES, PROGRAMS};
use crate::run::{self, Result, Tried, output, release_directory, repository};

/// Files of the repository as they are, each with its directory in the package; a name ends the second where it is another.
const FILES: &[(&str, &str)] = &[
    ("pkg/hostel.toml", "etc/hostel/hostel.toml"),
    ("pkg/logrotate/hostel", "etc/logrotate.d/hostel"),
    (
        "pkg/systemd/hostel.service",
        "lib/systemd/system/hostel.service",
    ),
    (
        "pkg/systemd/hostel-backup.service",
        "lib/systemd/system/hostel-backup.service",
    ),
    (
        "pkg/systemd/hostel-backup.timer",
        "lib/systemd/system/hostel-backup.timer",
    ),
    (
        "pkg/systemd/hostel.sysusers",
        "usr/lib/sysusers.d/hostel.conf",
    ),
    (
        "pkg/systemd/hostel.tmpfiles",
        "usr/lib/tmpfiles.d/hostel.conf",
    ),
    (
        "pkg/deb/lintian-overrides",
        "usr/share/lintian/overrides/hostel",
    ),
    ("README.md", "usr/share/doc/hostel/README.md"),
];
/// Scripts that dpkg runs.
const SCRIPTS: &[&str] = &["postinst", "prerm", "postrm"];
const DOCUMENTS: &str = "usr/share/doc/hostel";

/// A tree at work.
pub(super) struct Tree(PathBuf);

impl Tree {
    /// Lay it anew.
    pub(super) fn lay(place: &Path, version: &str) -> Result<Self> {
        if place.exists() {
            fs::remove_dir_all(place).tried(place.display())?;
        }
        let tree = Self(place.to_owned());
        tree.directory("etc/hostel/sites.d")?;
        tree.programs()?;
        for (from, to) in FILES {
            let from = repository().join(from);
            let text = fs::read(&from).tried(from.display())?;
            tree.write(to, &text)?;
        }
        tree.documents(version)?;
        tree.generated()?;
        Ok(tree)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn directory(&self, path: &str) -> Result<PathBuf> {
        let whole = self.0.join(path);
        fs::create_dir_all(&whole).tried(whole.display())?;
        // Whatever umask holds where this is built.
        for part in whole
            .ancestors()
            .take_while(|part| part.starts_with(&self.0))
        {
            fs::set_permissions(part, fs::Permissions::from_mode(0o755)).tried(part.display())?;
        }
        Ok(whole)
    }

    fn write(&self, path: &str, content: &[u8]) -> Result<PathBuf> {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        let file = self.directory(parent)?.join(name);
        fs::write(&file, content).tried(file.display())?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).tried(file.display())?;
        Ok(file)
    }

    fn write_compressed(&self, path: &str, content: &[u8]) -> Result<()> {
        let file = self.write(path, content)?;
        // Without name and time, so that the same content makes the same package.
        run::run(Command::new("gzip").args(["-9n", "--force"]).arg(file))
    }

    fn programs(&self) -> Result<()> {
        let directory = self.directory(PROGRAMS)?;
        for name in PROGRAM_NAMES {
            let (from, to) = (release_directory().join(name), directory.join(name));
            let mut strip = Command::new("strip");
            strip.args(["--strip-unneeded", "--remove-section=.comment", "-o"]);
            run::run(strip.args([&to, &from]))?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).tried(to.display())?;
        }
        // Each program looks for the others where it stands itself, and so behind the link.
        let link = self.directory("usr/bin")?.join("hostel");
        symlink("../lib/hostel/hostel", &link).tried(link.display())
    }

    fn documents(&self, version: &str) -> Result<()> {
        let docs = repository().join("docs");
        for entry in fs::read_dir(&docs).tried(docs.display())? {
            let entry = entry.tried(docs.display())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".md") {
                let text = fs::read(entry.path()).tried(&name)?;
                self.write(&format!("{DOCUMENTS}/{name}"), &text)?;
            }
        }
        let read = |name: &str| fs::read_to_string(repository().join(name)).tried(name);
        self.write(
            &format!("{DOCUMENTS}/CHANGELOG.md"),
            read("CHANGELOG.md")?.as_bytes(),
        )?;
        let entry = format!(
            "hostel ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- Hostel <root@localhost>  {}",
            output(Command::new("date").args(["--utc", "--rfc-email"]))?
        );
        self.write_compressed(&format!("{DOCUMENTS}/changelog"), entry.as_bytes())?;
        let mut copyright = read("pkg/deb/copyright.head")?;
        for line in read("LICENSE")?.lines() {
            let line = if line.is_empty() { "." } else { line };
            copyright.push_str(&format!(" {line}\n"));
        }
        self.write(&format!("{DOCUMENTS}/copyright"), copyright.as_bytes())?;
        Ok(())
    }

    /// Manual pages and completions, which the program makes of its own definitions.
    fn generated(&self) -> Result<()> {
        let draft = self.0.with_extension("generated");
        if draft.exists() {
            fs::remove_dir_all(&draft).tried(draft.display())?;
        }
        fs::create_dir_all(&draft).tried(draft.display())?;
        let mut hostel = Command::new(release_directory().join("hostel"));
        run::run(hostel.arg("documents").arg(&draft))?;
        for entry in fs::read_dir(&draft).tried(draft.display())? {
            let entry = entry.tried(draft.display())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = fs::read(entry.path()).tried(&name)?;
            let to = match name.as_str() {
                "hostel.bash" => "usr/share/bash-completion/completions/hostel",
                "_hostel" => "usr/share/zsh/vendor-completions/_hostel",
                "hostel.fish" => "usr/share/fish/vendor_completions.d/hostel.fish",
                page => {
                    self.write_compressed(&format!("usr/share/man/man1/{page}"), &text)?;
                    continue;
                }
            };
            self.write(to, &text)?;
        }
        Ok(())
    }

    /// Everything that dpkg itself reads.
    pub(super) fn control(&self, version: &str, architecture: &str, depends: &str) -> Result<()> {
        let (mut bytes, mut sums, mut settings) = (0, String::new(), String::new());
        let mut files = crate::tidy::files(&self.0, "")?;
        files.retain(|file| !file.starts_with(self.0.join("DEBIAN")));
        for file in files {
            bytes += fs::metadata(&file).tried(file.display())?.size();
            let name = file.strip_prefix(&self.0).unwrap_or(&file).display();
            if file.starts_with(self.0.join("etc")) {
                settings.push_str(&format!("/{name}\n"));
                continue;
            }
            let sum = output(Command::new("md5sum").arg(&file))?;
            let sum = sum.split(' ').next().unwrap_or_default();
            sums.push_str(&format!("{sum}  {name}\n"));
        }
        let template = repository().join("pkg/deb/control");
        let control = fs::read_to_string(&template).tried(template.display())?;
        let size = bytes.div_ceil(1024).to_string();
        let values = [
            ("@VERSION@", version),
            ("@ARCHITECTURE@", architecture),
            ("@DEPENDS@", depends),
            ("@SIZE@", &size),
        ];
        let control = values
            .iter()
            .fold(control, |text, (mark, value)| text.replace(mark, value));
        self.write("DEBIAN/control", control.as_bytes())?;
        self.write("DEBIAN/conffiles", settings.as_bytes())?;
        self.write("DEBIAN/md5sums", sums.as_bytes())?;
        for name in SCRIPTS {
            let from = repository().join("pkg/deb").join(name);
            let text = fs::read(&from).tried(from.display())?;
            let file = self.write(&format!("DEBIAN/{name}"), &text)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).tried(file.display())?;
        }
        Ok(())
    }
}
