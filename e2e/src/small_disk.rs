//! A disk that is full.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of 64 KiB in memory, full at first: no byte is free and no name can be made. Gone when this is dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mount one at this path, which is made.
    pub fn new(path: PathBuf) -> Self {
        fs::create_dir_all(&path).expect("the test's directory");
        let disk = Self(path);
        disk.mount(&[
            "-t",
            "tmpfs",
            "-o",
            "size=64k,nr_inodes=64,mode=0755",
            "tmpfs",
        ]);
        disk.fill();
        disk
    }

    /// One of so many MiB, with nothing on it.
    pub fn empty_of(path: PathBuf, mebibytes: u32) -> Self {
        fs::create_dir_all(&path).expect("the test's directory");
        let disk = Self(path);
        let size = format!("size={mebibytes}m,mode=0755");
        disk.mount(&["-t", "tmpfs", "-o", &size, "tmpfs"]);
        disk
    }

    /// Have so many MiB from now on.
    pub fn resize(&self, mebibytes: u32) {
        self.mount(&["-o", &format!("remount,size={mebibytes}m")]);
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leave nothing free.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a disk with room");
        while filler.write_all(&[b'x'; PAGE]).is_ok() {}
        let mut names = 0..;
        while File::create(self.empty(names.next().expect("no end"))).is_ok() {}
    }

    /// Leave room for so many small files alone.
    pub fn make_room_for(&self, files: u64) {
        let filler = File::options().write(true).open(self.filler());
        let filler = filler.expect("a full disk");
        let length = filler.metadata().expect("a file").len();
        let shorter = filler.set_len(length.saturating_sub(files * PAGE as u64));
        shorter.expect("a shorter file");
        for number in 0..files {
            fs::remove_file(self.empty(number)).expect("a full disk");
        }
    }

    /// Take away what filled it.
    pub fn make_room(&self) {
        let mut names = 0..;
        while fs::remove_file(self.empty(names.next().expect("no end"))).is_ok() {}
        fs::remove_file(self.filler()).expect("a full disk");
    }

    /// Be a larger one.
    pub fn grow(&self) {
        self.mount(&["-o", "remount,size=64m,nr_inodes=10000"]);
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn empty(&self, number: u64) -> PathBuf {
        self.0.join(format!("filler-{number}"))
    }

    fn mount(&self, words: &[&str]) {
        let mounted = Command::new("mount").args(words).arg(&self.0).status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "a tmpfs at {}",
            self.0.display()
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// What the smallest file takes.
const PAGE: usize = 4096;
