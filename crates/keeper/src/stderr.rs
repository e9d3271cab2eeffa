//! Lines for the site's error log: standard error is a pipe that the front reads.
//!
//! The pipe is shared with every process of the site, so it may be full, and its status flags are not the keeper's to change.
//! A line that has no room is dropped: the keeper never waits for a log.

use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Say one line. The front adds time and site.
pub(crate) fn say(text: &str) {
    let stderr = io::stderr();
    let mut descriptors = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // A pipe is writable when a whole page fits; a longer line is cut rather than written in parts.
    if let Ok(1) = poll(&mut descriptors, Some(&now)) {
        let mut line = format!("hostel-keeper: {text}").into_bytes();
        line.truncate(LINE_BYTES_MAX);
        line.push(b'\n');
        // Nobody is left to be told of a failure.
        let _ = rustix::io::write(&stderr, &line);
    }
}

/// The longest line, so that with its end it fits PIPE_BUF.
const LINE_BYTES_MAX: usize = 4095;
