//! Wait for descriptors, or for a time.
//!
//! Run by monitor and firewall, whose loops wait here and nowhere else.

use std::io;
use std::time::Instant;

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

/// Wait until one of `polled` is ready or `deadline` has come; without either, until a signal. Which one it was is told by
/// [`PollFd::revents`].
///
/// # Errors
/// The kernel's; being interrupted is none.
pub fn wait(polled: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<()> {
    let timeout = deadline.map(|deadline| {
        let wait = deadline.saturating_duration_since(Instant::now());
        Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        }
    });
    match poll(polled, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::PollFlags;
    use std::time::Duration;

    #[test]
    fn what_is_ready_ends_the_wait_before_the_deadline() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let soon = Some(Instant::now() + Duration::from_millis(10));
        let mut polled = [PollFd::new(&reader, PollFlags::IN)];
        wait(&mut polled, soon).unwrap();
        assert!(polled.iter().all(|one| one.revents().is_empty()));
        rustix::io::write(&writer, b"x").unwrap();
        wait(&mut polled, None).unwrap();
        assert!(polled.iter().all(|one| !one.revents().is_empty()));
    }
}
