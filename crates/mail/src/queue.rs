//! The queue on the disk: for each message a file with its text and one with its envelope.
//!
//! The directory is the broker's alone. A message is in the queue once its envelope has its name, which is the last thing that happens and is on the disk
//! before the site is answered; it is out of it once the envelope is gone, which is the first. What a broker that was killed in between has
//! left is removed at the next start. Names hold the time and the site, so that whoever lists them need not read what sites wrote.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, fsync, openat, renameat, unlinkat};
use serde::{Deserialize, Serialize};

/// Of one message: when it was accepted, in nanoseconds, and the site's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    nanoseconds: u64,
    site: String,
}

/// From whom, to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// Empty for none.
    pub(crate) sender: String,
    /// Those that are still to get it.
    pub(crate) recipients: Vec<String>,
    /// The length of the text.
    pub(crate) bytes: u64,
}

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    directory: Arc<OwnedFd>,
}

impl Id {
    /// One that is later than `last`.
    pub(crate) fn new(site: &str, last: u64) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
        Self {
            nanoseconds: now.max(last.saturating_add(1)),
            site: site.to_owned(),
        }
    }

    /// `TIME.SITE`, the time in 16 hexadecimal digits.
    pub(crate) fn text(&self) -> String {
        format!("{:016x}.{}", self.nanoseconds, self.site)
    }

    /// Back from that.
    fn parse(text: &str) -> Option<Self> {
        let (time, site) = text.split_once('.')?;
        let is_time = time.len() == 16 && time.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(Self {
            nanoseconds: u64::from_str_radix(time, 16).ok().filter(|_| is_time)?,
            site: site.to_owned(),
        })
    }

    pub(crate) fn site(&self) -> &str {
        &self.site
    }

    pub(crate) fn number(&self) -> u64 {
        self.nanoseconds
    }

    /// When it was accepted.
    pub(crate) fn accepted(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.nanoseconds)
    }
}

impl Queue {
    pub(crate) fn new(directory: OwnedFd) -> Self {
        Self {
            directory: Arc::new(directory),
        }
    }

    /// Put a message in; `write` writes its text. When this has returned, it outlives a power cut.
    pub(crate) fn store(
        &self,
        id: &Id,
        sender: String,
        recipients: Vec<String>,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<Envelope> {
        let text = format!("{}.{TEXT}", id.text());
        let stored = self.write(&text, write).and_then(|bytes| {
            let envelope = Envelope {
                sender,
                recipients,
                bytes,
            };
            self.update(id, &envelope)?;
            Ok(envelope)
        });
        if stored.is_err() {
            self.remove(id);
        }
        stored
    }

    /// Replace its envelope, whole or not at all.
    pub(crate) fn update(&self, id: &Id, envelope: &Envelope) -> io::Result<()> {
        let (new, name) = (
            format!("{}.{NEW}", id.text()),
            format!("{}.{ENVELOPE}", id.text()),
        );
        let text = serde_json::to_vec(envelope)?;
        let written = self.write(&new, |file| file.write_all(&text));
        let renamed = written.and_then(|_| {
            renameat(&self.directory, &new, &self.directory, &name)?;
            Ok(fsync(&self.directory)?)
        });
        if renamed.is_err() {
            self.unlink(&new);
        }
        renamed
    }

    /// Take it out.
    pub(crate) fn remove(&self, id: &Id) {
        for kind in [ENVELOPE, TEXT] {
            self.unlink(&format!("{}.{kind}", id.text()));
        }
    }

    /// Its text.
    pub(crate) fn text(&self, id: &Id) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.open(&format!("{}.{TEXT}", id.text()))?
            .read_to_end(&mut text)?;
        Ok(text)
    }

    /// All that is in it, oldest first. Of a message whose envelope cannot be read, the files stay and `complain` is told.
    pub(crate) fn load(
        &self,
        mut complain: impl FnMut(&str, io::Error),
    ) -> io::Result<Vec<(Id, Envelope)>> {
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for entry in Dir::read_from(&self.directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let id = name
                .rsplit_once('.')
                .and_then(|(id, kind)| Some((Id::parse(id)?, kind)));
            match id {
                Some((id, ENVELOPE)) => match self.envelope(&name) {
                    Ok(envelope) => found.push((id, envelope)),
                    Err(error) => complain(&name, error),
                },
                Some((id, TEXT)) => others.push((id, name.clone())),
                Some((_, NEW)) => self.unlink(&name),
                _ => {}
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (id, text) in others {
            let envelope = format!("{}.{ENVELOPE}", id.text());
            if self
                .open(&envelope)
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            {
                self.unlink(&text);
            }
        }
        Ok(found)
    }

    fn envelope(&self, name: &str) -> io::Result<Envelope> {
        let mut text = Vec::new();
        let file = self.open(name)?;
        file.take(ENVELOPE_BYTES_MAX).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(File::from(openat(
            &self.directory,
            name,
            flags,
            Mode::empty(),
        )?))
    }

    /// A new file, on the disk when this has returned. Gives its length.
    fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<u64> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = openat(&self.directory, name, flags | OFlags::NOFOLLOW, mode)?;
        let mut file = BufWriter::new(File::from(file));
        write(&mut file)?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    }

    fn unlink(&self, name: &str) {
        // What is not there is what is wanted; what stays is found again at the next start.
        let _ = unlinkat(&self.directory, name, AtFlags::empty());
    }
}

const TEXT: &str = "mail";
const ENVELOPE: &str = "envelope";
const NEW: &str = "new";
/// Some hundred addresses.
const ENVELOPE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> (Self, Queue) {
            let path = std::env::temp_dir().join(format!("hostel-{name}-{}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            let queue = Queue::new(File::open(&path).unwrap().into());
            (Self(path), queue)
        }

        fn names(&self) -> usize {
            std::fs::read_dir(&self.0).unwrap().count()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn load(queue: &Queue) -> Vec<(Id, Envelope)> {
        queue.load(|name, error| panic!("{name}: {error}")).unwrap()
    }

    #[test]
    fn what_is_put_in_is_found_again_in_order_until_it_is_taken_out() {
        let (directory, queue) = Directory::new("queue-order");
        let ids = [Id::new("a.b-c_d", 0), Id::new("a", u64::MAX - 1)];
        for id in ids.iter().rev() {
            let to = vec!["x@y.example".to_owned()];
            let stored = queue.store(id, String::new(), to, |file| file.write_all(b"text"));
            assert_eq!(stored.unwrap().bytes, 4);
        }
        let mut found = load(&queue);
        assert!(found.iter().map(|(id, _)| id).eq(&ids));
        assert_eq!(queue.text(&ids[0]).unwrap(), b"text");
        let (id, envelope) = &mut found[0];
        envelope.recipients.clear();
        queue.update(id, envelope).unwrap();
        assert_eq!(load(&queue)[0].1.recipients, [""; 0]);
        ids.iter().for_each(|id| queue.remove(id));
        assert_eq!((load(&queue).len(), directory.names()), (0, 0));
    }

    #[test]
    fn what_was_not_finished_is_removed() {
        let (directory, queue) = Directory::new("queue-half");
        let id = Id::new("a", 0);
        let failed = queue.store(&id, String::new(), Vec::new(), |file| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(failed.is_err());
        assert_eq!(directory.names(), 0);
        // As a broker leaves them that was killed: the text without an envelope, the envelope without its name.
        std::fs::write(directory.0.join(format!("{}.mail", id.text())), "x").unwrap();
        std::fs::write(directory.0.join(format!("{}.new", id.text())), "{").unwrap();
        assert_eq!((load(&queue).len(), directory.names()), (0, 0));
    }

    #[test]
    fn an_envelope_that_cannot_be_read_is_told_of_and_kept() {
        let (directory, queue) = Directory::new("queue-broken");
        let id = Id::new("a", 0).text();
        std::fs::write(directory.0.join(format!("{id}.mail")), "x").unwrap();
        std::fs::write(directory.0.join(format!("{id}.envelope")), "{").unwrap();
        let mut told = 0;
        assert_eq!(queue.load(|_, _| told += 1).unwrap().len(), 0);
        assert_eq!((told, directory.names()), (1, 2));
    }
}
