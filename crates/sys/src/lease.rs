//! Whether anybody has a file open.
//!
//! Used by the keeper's sweeper as the site's user, before it removes an old temporary file. The kernel grants a write lease on
//! a file only while nobody else has it open, whoever and in whichever namespace that is; the lease is given back at once.

use std::os::fd::{AsFd, AsRawFd};

/// Once, before [`is_held`] is asked in this process: whoever opens a file while its lease is held makes the kernel send SIGIO,
/// which would end the process, and so any process of the site could end the sweeper.
pub fn ignore_breaks() {
    // SAFETY: to ignore a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
}

/// Whether somebody besides this descriptor, which was opened for reading, has the file open. Where the kernel does not tell
/// (another owner's file, a file system without leases), it counts as open.
pub fn is_held(file: impl AsFd) -> bool {
    let descriptor = file.as_fd().as_raw_fd();
    // SAFETY: asks for something about an open descriptor, and passes numbers only.
    let granted = unsafe { libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_WRLCK) } == 0;
    if granted {
        // SAFETY: the same. It cannot fail for a lease that is held; and if it did, closing the file gives it back.
        unsafe { libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_UNLCK) };
    }
    !granted
}

#[cfg(test)]
mod tests {
    use super::is_held;
    use std::fs::File;

    #[test]
    fn who_opens_a_file_meanwhile_ends_nobody() {
        super::ignore_breaks();
        let path = std::env::temp_dir().join(format!("hostel-break-{}", std::process::id()));
        std::fs::write(&path, "x").unwrap();
        let file = File::open(&path).unwrap();
        let opened = path.clone();
        let opener = std::thread::spawn(move || {
            for _ in 0..20_000 {
                File::options().append(true).open(&opened).unwrap();
            }
        });
        while !opener.is_finished() {
            is_held(&file);
        }
        opener.join().unwrap();
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_is_held_while_another_has_it_open() {
        let path = std::env::temp_dir().join(format!("hostel-lease-{}", std::process::id()));
        std::fs::write(&path, "x").unwrap();
        let file = File::open(&path).unwrap();
        assert!(!is_held(&file));
        let reader = File::open(&path).unwrap();
        assert!(is_held(&file));
        drop(reader);
        let writer = File::options().append(true).open(&path).unwrap();
        assert!(is_held(&file));
        drop(writer);
        assert!(!is_held(&file), "the lease was given back");
        std::fs::remove_file(&path).unwrap();
    }
}
