//! As much of something as there is, up to a bound that is said. What was taken is given back when this program ends, and it
//! ends by itself.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use crate::arguments::Arguments;
use crate::call::{call, descriptor, end, errno};
use crate::outcome::{Outcome, Tried};

/// Processes, which all wait and end with this one.
pub(crate) fn fork(arguments: &Arguments<'_>) -> Tried {
    let (wanted, seconds) = (
        bounded(arguments, 0, PROCESSES_MAX)?,
        bounded(arguments, 1, HELD_MAX)?,
    );
    let (mut near, far) = UnixStream::pair()?;
    let answer = take("processes", wanted, |_| {
        // SAFETY: this program has one thread.
        match unsafe { libc::fork() } {
            -1 => Err(errno()),
            0 => {
                // Its copy of the writer must not keep the others waiting; the reader ends when all writers have.
                call!(libc::SYS_close, std::os::fd::AsRawFd::as_raw_fd(&far))?;
                let _ = near.read(&mut [0]);
                end(0)
            }
            _ => Ok(()),
        }
    });
    std::thread::sleep(Duration::from_secs(seconds));
    answer
}

/// Threads, which all wait and end with this process.
pub(crate) fn threads(arguments: &Arguments<'_>) -> Tried {
    let wanted = bounded(arguments, 0, PROCESSES_MAX)?;
    take("threads", wanted, |_| {
        let builder = std::thread::Builder::new().stack_size(THREAD_STACK);
        let started = builder.spawn(std::thread::park);
        started
            .map(drop)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))
    })
}

/// Descriptors.
pub(crate) fn descriptors(arguments: &Arguments<'_>) -> Tried {
    let wanted = bounded(arguments, 0, DESCRIPTORS_MAX)?;
    let null = File::open("/dev/null")?;
    let mut held: Vec<OwnedFd> = Vec::new();
    take("descriptors", wanted, |_| {
        held.push(rustix::io::dup(&null)?);
        Ok(())
    })
}

/// Memory, in MiB, all of it written to.
pub(crate) fn memory(arguments: &Arguments<'_>) -> Tried {
    let wanted = bounded(arguments, 0, MEBIBYTES_MAX)?;
    let mut held: Vec<Vec<u8>> = Vec::new();
    take("MiB of memory", wanted, |_| {
        let mut piece: Vec<u8> = Vec::new();
        piece
            .try_reserve_exact(MEBIBYTE)
            .map_err(|_| Errno::NOMEM)?;
        piece.resize(MEBIBYTE, 1);
        held.push(piece);
        Ok(())
    })
}

/// A file, in MiB, without a name as soon as it is open.
pub(crate) fn file(arguments: &Arguments<'_>) -> Tried {
    let (path, wanted) = (
        arguments.text(0)?,
        bounded(arguments, 1, FILE_MEBIBYTES_MAX)?,
    );
    let mut file = File::options().write(true).create_new(true).open(path)?;
    fs::remove_file(path)?;
    let piece = vec![1_u8; MEBIBYTE];
    take("MiB of file", wanted, |_| {
        let written = file.write_all(&piece);
        written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    })
}

/// Empty files in a directory, removed again.
pub(crate) fn inodes(arguments: &Arguments<'_>) -> Tried {
    let wanted = bounded(arguments, 1, FILES_MAX)?;
    let directory = Path::new(arguments.text(0)?).join("hostel-probe");
    fs::create_dir(&directory)?;
    let answer = take("files", wanted, |number| {
        let made = File::create_new(directory.join(number.to_string()));
        made.map(drop)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    });
    fs::remove_dir_all(&directory)?;
    answer
}

/// Pipes of 1 MiB, full.
pub(crate) fn pipes(arguments: &Arguments<'_>) -> Tried {
    let wanted = bounded(arguments, 0, BUFFERS_MAX)?;
    let piece = vec![1_u8; MEBIBYTE];
    let mut held = Vec::new();
    take("MiB in pipes", wanted, |_| {
        let (reader, writer) = rustix::pipe::pipe()?;
        rustix::pipe::fcntl_setpipe_size(&writer, MEBIBYTE)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        rustix::io::write(&writer, &piece)?;
        held.push((reader, writer));
        Ok(())
    })
}

/// Instances of inotify, each with a watch.
pub(crate) fn watches(arguments: &Arguments<'_>) -> Tried {
    let wanted = bounded(arguments, 0, BUFFERS_MAX)?;
    let mut held: Vec<OwnedFd> = Vec::new();
    take("watches", wanted, |_| {
        let number = call!(libc::SYS_inotify_init1, 0)?;
        call!(
            libc::SYS_inotify_add_watch,
            number,
            c"/tmp",
            libc::IN_CREATE
        )?;
        held.extend(descriptor(number).ok());
        Ok(())
    })
}

/// Take one more until so many are had. Fewer is to be stopped.
fn take(what: &str, wanted: u64, mut one: impl FnMut(u64) -> Result<(), Errno>) -> Tried {
    for number in 0..wanted {
        if let Err(errno) = one(number) {
            return Err(Outcome::Bounded(format!("{number} {what}"), errno));
        }
    }
    Ok(format!("had {wanted} {what}"))
}

fn bounded(arguments: &Arguments<'_>, place: usize, max: u64) -> Result<u64, Outcome> {
    match arguments.number(place)? {
        number if number <= max => Ok(number),
        number => Err(Outcome::Impossible(format!(
            "{number} would be needed, and the suite takes {max} at most"
        ))),
    }
}

const PROCESSES_MAX: u64 = 5_000;
/// Seconds for which processes are held, so that they can be counted from outside.
const HELD_MAX: u64 = 10;
const THREAD_STACK: usize = 16 << 10;
const DESCRIPTORS_MAX: u64 = 200_000;
const MEBIBYTE: usize = 1 << 20;
const MEBIBYTES_MAX: u64 = 2_048;
/// Less than most disks have to spare.
const FILE_MEBIBYTES_MAX: u64 = 512;
const FILES_MAX: u64 = 200_000;
const BUFFERS_MAX: u64 = 2_000;
