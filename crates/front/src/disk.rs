//! Waits for the disk, on threads of their own, so that a slow disk stops nobody who does not need it.
//!
//! Used for what is not in memory: temporary files, and static files outside of the page cache. The threads are few, and a site may
//! keep as many busy as it leaves free ([`crate::supply`]), so one site's cold files do not stop another's.

use std::io;
use std::pin::pin;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::task::{spawn_blocking, spawn_local};

use crate::supply::{Portion, Supply};

/// The threads of the whole server.
#[derive(Debug)]
pub struct Disk {
    threads: Rc<Supply>,
    freed: Notify,
}

/// One site's way to the disk.
#[derive(Debug, Clone)]
pub struct SiteDisk {
    disk: Rc<Disk>,
    portion: Rc<Portion>,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            threads: Supply::new(THREADS_MAX),
            freed: Notify::new(),
        }
    }
}

impl Disk {
    /// The way to the disk of one site.
    pub fn site(self: &Rc<Self>) -> SiteDisk {
        SiteDisk {
            disk: Rc::clone(self),
            portion: self.threads.portion(),
        }
    }
}

impl SiteDisk {
    /// Do `work` on a thread that may wait. Whoever gives up waiting for it does not free the thread sooner. Needs a `LocalSet`.
    ///
    /// # Errors
    /// Those of `work`; or the server ends.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let thread = loop {
            let mut freed = pin!(self.disk.freed.notified());
            freed.as_mut().enable();
            if let Some(thread) = self.portion.take(1) {
                break thread;
            }
            freed.await;
        };
        let disk = Rc::clone(&self.disk);
        let done = spawn_local(async move {
            let done = spawn_blocking(work).await;
            drop(thread);
            disk.freed.notify_waiters();
            done
        });
        done.await.flatten().map_err(io::Error::other)?
    }
}

/// Threads that wait for the disk.
pub const THREADS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use tokio::task::LocalSet;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_site_whose_disk_hangs_leaves_threads_for_others() {
        let work = async {
            let disk = Rc::new(Disk::default());
            let (slow, other) = (disk.site(), disk.site());
            let (end, ended) = channel::<()>();
            let ended = std::sync::Arc::new(std::sync::Mutex::new(ended));
            for _ in 0..100 {
                let (slow, ended) = (slow.clone(), std::sync::Arc::clone(&ended));
                let wait = move || {
                    // Until the test lets go of the other end.
                    ended.lock().unwrap().recv().unwrap_err();
                    Ok(())
                };
                let waiting = spawn_local(async move { slow.run(wait).await });
                tokio::task::yield_now().await;
                // A client that leaves frees no thread.
                waiting.abort();
            }
            let other = timeout(Duration::from_secs(5), other.run(|| Ok(1))).await;
            assert_eq!(other.unwrap().unwrap(), 1);
            assert_eq!(slow.portion.taken(), THREADS_MAX / 2);
            drop(end);
            let again = timeout(Duration::from_secs(5), slow.run(|| Ok(2))).await;
            assert_eq!(again.unwrap().unwrap(), 2);
        };
        LocalSet::new().run_until(work).await;
    }
}
