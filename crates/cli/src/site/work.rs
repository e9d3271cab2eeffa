//! What is done with the files of a site, by the site's own user.
//!
//! Run by the hidden command `site-work`, as process 1 of a fresh instance of the site's sandbox. Whatever the site does meanwhile with links and
//! names, nothing leads further than the site itself could go. It has no descriptor of root's but its control socket and
//! what it is sent over it: one end of a pipe, or the file of an archive.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use hostel_sys::cred::{self, Dropped, Uid};
use hostel_sys::{fdpass, process};
use hostel_wire::monitor_keeper::SiteSettings;
use hostel_wire::view;
use rustix::fs::Mode;

use super::database;
use super::options::Work;
use super::programs::{CHMOD, FIND, Helper, TAR};
use super::said::{Root, Said};
use crate::inside;
use crate::output;

/// The hidden command.
pub(crate) fn run(work: Work, welcome: bool) -> ExitCode {
    match begin() {
        Ok((mut child, dropped)) => {
            let said = child.work(work, welcome, &dropped);
            // Who listens has what it wants, or is gone.
            let _ = fdpass::send(&child.control, &said.encode(), &[]);
            ExitCode::SUCCESS
        }
        Err(text) => {
            output::error(&text);
            ExitCode::FAILURE
        }
    }
}

fn begin() -> Result<(Inside, Dropped), String> {
    // 1: nobody of the same user can look into this process. Exec had reset it.
    process::set_non_dumpable().map_err(|error| error.to_string())?;
    // 2: the proof that whatever follows is done without privileges.
    let dropped = cred::prove_dropped().map_err(|error| error.to_string())?;
    // 3: which site.
    let (control, settings) = inside::settings()
        .map_err(|error| format!("no settings: `hostel site` starts this ({error})"))?;
    // 4: nothing goes on once who started it is gone, for another run of the command may begin then. Its parent is outside of this namespace, and
    // whether it was gone before, the socket tells.
    process::end_with_parent(0)
        .and_then(|()| fdpass::send(&control, &Said::Progress { bytes: 0 }.encode(), &[]))
        .map_err(|error| error.to_string())?;
    // The modes of what is made are those that are asked for.
    rustix::process::umask(Mode::empty());
    let child = Inside {
        control,
        settings,
        told: Instant::now(),
    };
    Ok((child, dropped))
}

/// The child, at work.
pub(super) struct Inside {
    pub(super) control: OwnedFd,
    settings: SiteSettings,
    told: Instant,
}

impl Inside {
    fn work(&mut self, work: Work, welcome: bool, _: &Dropped) -> Said {
        let done = match work {
            Work::Archive => self.send_tar(&["--gzip"]),
            Work::DumpDatabase | Work::LoadDatabase | Work::LookAtDatabase => {
                database::work(self, work)
            }
            Work::Empty => self.empty(true, true),
            Work::EmptyHome => self.empty(true, false),
            Work::EmptyState => self.empty(false, true),
            Work::Fill => self.fill(welcome),
            Work::Look => self.look(),
            Work::Receive => self.receive(),
            Work::Send => self.send_tar(&[]),
        };
        done.unwrap_or_else(|error| Said::failed(error.to_string()))
    }

    fn look(&self) -> io::Result<Said> {
        let own = Uid::effective().0;
        let (mut entries, mut foreign, mut foreign_uid) = (0, 0, 0);
        for entry in fs::read_dir(&self.settings.home)?.flatten() {
            entries += 1;
            match entry.metadata() {
                Ok(metadata) if metadata.uid() != own && metadata.uid() != 0 => {
                    foreign += 1;
                    foreign_uid = metadata.uid();
                }
                Ok(_) | Err(_) => {}
            }
        }
        let root = match fs::read_dir(&self.settings.root) {
            Ok(entries) => match entries.flatten().all(|entry| is_draft(&entry)) {
                true => Root::Empty,
                false => Root::Filled,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Root::Missing,
            Err(error) => return Err(at(&self.settings.root, &error)),
        };
        Ok(Said::Looked {
            root,
            entries,
            foreign,
            foreign_uid,
        })
    }

    /// The document root, and a page in it that shows who serves it.
    fn fill(&self, welcome: bool) -> io::Result<Said> {
        let root = Path::new(&self.settings.root);
        let failed = |error: io::Error| at(&self.settings.root, &error);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(root)
            .map_err(failed)?;
        let is_empty = fs::read_dir(root)
            .map_err(failed)?
            .flatten()
            .all(|entry| is_draft(&entry));
        if welcome && is_empty {
            let has_php = self
                .settings
                .script_extensions
                .iter()
                .any(|one| one == "php");
            let (name, page) = if has_php {
                ("index.php", WELCOME_PHP)
            } else {
                ("index.html", WELCOME_HTML)
            };
            let page = page.replace("SITE", &self.settings.name);
            // It is there whole or not at all.
            let draft = root.join(DRAFT);
            let mut file = File::options();
            let file = file.write(true).create(true).truncate(true).mode(0o644);
            let mut file = file.open(&draft).map_err(failed)?;
            file.write_all(page.as_bytes()).map_err(failed)?;
            file.sync_all().map_err(failed)?;
            fs::rename(&draft, root.join(name)).map_err(failed)?;
        }
        Ok(done(0, String::new()))
    }

    /// Everything in home or in the site's own directories or in both, but not those themselves, which root has made.
    fn empty(&mut self, with_home: bool, with_state: bool) -> io::Result<Said> {
        let home = self.settings.home.clone();
        let own = [view::TEMPORARY, "/var/tmp", view::SESSIONS, view::OPCACHE];
        let own = own.into_iter().filter(|_| with_state);
        let places = own.chain(with_home.then_some(&home[..]));
        let mut places: Vec<&str> = places.filter(|place| Path::new(place).exists()).collect();
        let mut words = String::new();
        for attempt in 0..EMPTY_ATTEMPTS_MAX {
            for place in &places {
                if attempt > 0 {
                    // A directory that its owner closed to itself.
                    self.help(CHMOD, &["--recursive", "u+rwx", "--", place])?;
                }
                words = self.help(FIND, &[place, "-xdev", "-mindepth", "1", "-delete"])?;
            }
            places
                .retain(|place| fs::read_dir(place).map_or(true, |mut left| left.next().is_some()));
            if places.is_empty() {
                return Ok(done(0, String::new()));
            }
        }
        Ok(Said::Failed {
            words: format!("{} is not empty: {words}", places.join(" and ")),
        })
    }

    /// Run a program to its end, however it ends; what it said.
    fn help(&mut self, program: &str, arguments: &[&str]) -> io::Result<String> {
        let mut helper = Helper::start(program, arguments, Stdio::null(), Stdio::null())?;
        while helper.ended()?.is_none() {
            self.tell(0);
            std::thread::sleep(PAUSE);
        }
        Ok(helper.words())
    }

    /// The home's content as a stream of tar's. Set-id bits do not come along, wherever it is unpacked.
    fn send_tar(&mut self, more: &[&str]) -> io::Result<Said> {
        let mut to = File::from(self.descriptor()?);
        let home = self.settings.home.clone();
        let mut arguments = vec!["--create", "--file=-", "--directory", &home];
        arguments.extend(["--one-file-system", "--sparse", "--ignore-failed-read"]);
        arguments.extend(["--numeric-owner", "--mode=ug-s"]);
        arguments.extend(more);
        arguments.push(".");
        let mut tar = Helper::start(TAR, &arguments, Stdio::null(), Stdio::piped())?;
        let mut from = tar.output().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut bytes = 0;
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            to.write_all(buffer.get(..read).unwrap_or_default())?;
            bytes += read as u64;
            self.tell(bytes);
        }
        drop(to);
        let status = tar.wait()?;
        // 1: a file changed while it was read.
        if matches!(status.code(), Some(0 | 1)) {
            return Ok(done(bytes, tar.words()));
        }
        Ok(Said::Failed {
            words: format!("tar ended with {status}: {}", tar.words()),
        })
    }

    fn receive(&mut self) -> io::Result<Said> {
        let from = self.descriptor()?;
        let home = self.settings.home.clone();
        let arguments = [
            "--extract",
            "--file=-",
            "--directory",
            &home,
            "--no-same-owner",
            "--same-permissions",
            // Home's own mode is root's to set.
            "--no-overwrite-dir",
        ];
        let mut tar = Helper::start(TAR, &arguments, from.into(), Stdio::null())?;
        let status = loop {
            match tar.ended()? {
                Some(status) => break status,
                None => std::thread::sleep(PAUSE),
            }
            self.tell(0);
        };
        if !status.success() {
            // What tar says of it depends on where in a file it ran out of it.
            let free = rustix::fs::statvfs(home.as_str())
                .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
            let full = if free < FREE_BYTES_MIN {
                format!("No space left on device at {home}: ")
            } else {
                String::new()
            };
            return Ok(Said::Failed {
                words: format!("{full}tar ended with {status}: {}", tar.words()),
            });
        }
        // The stream came from another site, which may have made it itself.
        let set_id = [
            "-xdev", "-type", "f", "-perm", "/6000", "-exec", CHMOD, "ug-s", "{}", "+",
        ];
        let arguments: Vec<&str> = std::iter::once(&home[..]).chain(set_id).collect();
        self.help(FIND, &arguments)?;
        Ok(done(0, tar.words()))
    }

    /// What it is sent.
    fn descriptor(&self) -> io::Result<OwnedFd> {
        let received = fdpass::receive(self.control.as_fd(), &mut [0; 8])?;
        received
            .descriptors
            .into_iter()
            .next()
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// How far it is, now and then.
    pub(super) fn tell(&mut self, bytes: u64) {
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            // If nobody listens any more, this process is about to be killed.
            let _ = fdpass::send(&self.control, &Said::Progress { bytes }.encode(), &[]);
        }
    }
}

/// The end, a good one.
pub(super) fn done(bytes: u64, words: String) -> Said {
    Said::Done { bytes, words }
}

fn at(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}

/// A welcome page that was not finished.
fn is_draft(entry: &fs::DirEntry) -> bool {
    entry.file_name() == DRAFT
}

const DRAFT: &str = ".hostel-welcome";
const EMPTY_ATTEMPTS_MAX: usize = 3;
pub(super) const BUFFER_BYTES: usize = 128 * 1024;
/// With less a disk is full for everybody but root.
const FREE_BYTES_MIN: u64 = 64 * 1024;
const TELL_EVERY: Duration = Duration::from_secs(1);
pub(super) const PAUSE: Duration = Duration::from_millis(2);
const WELCOME_HTML: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>SITE</title></head>\n<body>\n\
    <h1>SITE</h1>\n<p>This site is ready. Put its files in the place of this page.</p>\n</body>\n</html>\n";
const WELCOME_PHP: &str = "<?php // Made by `hostel site add`: put the site's own files in its place.\n\
    header('Cache-Control: no-store');\n\
    $user = function_exists('posix_geteuid') ? posix_geteuid() : fileowner(__FILE__);\n?>\n\
    <!DOCTYPE html>\n<html lang=\"en\">\n<head><title>SITE</title></head>\n<body>\n<h1>SITE</h1>\n\
    <p>This site is ready: PHP <?= PHP_VERSION ?> runs as user <?= $user ?>. Put its files in the place of this page.</p>\n\
    </body>\n</html>\n";
