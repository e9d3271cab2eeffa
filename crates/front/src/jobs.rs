//! What jobs of a site write, into the site's log of them.
//!
//! Run by the front, one task for each run of a job. The pipe's other end is the site's: what comes from it is cut into lines, escaped
//! and limited in rate, and nothing else is done with it.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::keeper::Lines;
use crate::sites::Site;

/// Copy what a job writes from now on.
pub fn begin(site: &Rc<Site>, job: String, output: Option<OwnedFd>) {
    if let Some(output) = output {
        // At once: the log's file follows.
        site.log.job_begins();
        site.spawn(copy(Rc::clone(site), job, output));
    }
}

/// The log goes to this file from now on.
pub fn log_to(site: &Site, file: Option<OwnedFd>) {
    if let Some(file) = file {
        site.services.logs.set_jobs_file(&site.log, file.into());
    }
}

/// Copy lines until nothing of the job is left that could write.
async fn copy(site: Rc<Site>, job: String, output: OwnedFd) {
    let logs = &site.services.logs;
    let Ok(mut pipe) = pipe::Receiver::from_owned_fd(output) else {
        site.say(format_args!("the output of job {job} cannot be read"));
        return logs.job_ends(&site.log);
    };
    let mut lines = Lines::default();
    let mut buffer = vec![0; TURN_BYTES];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let bytes = buffer.get(..count).unwrap_or_default();
        lines.push(bytes, |line| logs.job(&site.log, &job, line));
        // However little came: who writes a byte at a time costs no more turns than who fills the pipe.
        tokio::time::sleep(PAUSE).await;
    }
    // A last line without an end.
    lines.push(b"\n", |line| logs.job(&site.log, &job, line));
    logs.job_ends(&site.log);
}

/// Bytes that are read at once, and the pause that follows: 160 KiB a second of each job.
const TURN_BYTES: usize = 16 * 1024;
const PAUSE: Duration = Duration::from_millis(100);
