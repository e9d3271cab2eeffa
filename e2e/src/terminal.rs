//! A terminal with an administrator at it, for what is typed there.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::patience;

/// How long a program may take to say what is waited for.
const SAID_WITHIN: Duration = Duration::from_secs(15);

/// A terminal with one program that runs at it.
#[derive(Debug)]
pub struct Terminal {
    near: File,
    far: OwnedFd,
    child: Child,
    said: Vec<u8>,
}

impl Terminal {
    /// Start a program with a new terminal as its own.
    pub fn start(words: &[&str]) -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        unlockpt(&near).expect("a terminal");
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let far = ioctl_tiocgptpeer(&near, flags).expect("a terminal");
        let end = || Stdio::from(far.try_clone().expect("a descriptor"));
        let child = Command::new("setsid")
            .arg("--ctty")
            .args(words)
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("setsid of util-linux can be started");
        let flags = rustix::fs::fcntl_getfl(&near).expect("a descriptor");
        rustix::fs::fcntl_setfl(&near, flags | OFlags::NONBLOCK).expect("a descriptor");
        Self {
            near: near.into(),
            far,
            child,
            said: Vec::new(),
        }
    }

    /// Press keys.
    pub fn press(&mut self, keys: &[u8]) {
        self.near.write_all(keys).expect("the terminal takes keys");
    }

    /// Make it so many rows high and columns wide.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.near, size).expect("a terminal");
    }

    /// Wait until this stands on the screen behind what was waited for before; panics with the screen when it does not.
    pub fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + patience(SAID_WITHIN);
        loop {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = self.near.read(&mut buffer) {
                self.said.extend_from_slice(&buffer[..count]);
            }
            let at = self.said.windows(text.len());
            if let Some(at) = at.clone().position(|part| part == text.as_bytes()) {
                self.said.drain(..at + text.len());
                return;
            }
            assert!(
                Instant::now() < until,
                "'{text}' was not said, but: {}",
                String::from_utf8_lossy(&self.said).escape_debug()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What has been said since what was waited for.
    pub fn rest(&mut self) -> String {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = self.near.read(&mut buffer) {
            self.said.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&std::mem::take(&mut self.said)).into_owned()
    }

    /// Whether it is as a shell leaves it: keys are shown, and lines are edited.
    pub fn is_sane(&self) -> bool {
        let modes = tcgetattr(self.far.as_fd()).expect("a terminal").local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// The program's id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids are small")
    }

    /// Wait for the program's end.
    pub fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + patience(SAID_WITHIN);
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < until, "it did not end: {}", self.rest());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
