//! A keeper that answers questions about paths as the file's name says, and starts no PHP.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hostel_sys::child::inherited_descriptor;
use hostel_sys::fdpass;
use hostel_wire::front_keeper::{FileIdentity, FrontToKeeper, KeeperToFront, Resolution};
use hostel_wire::keeper_zygote::{Death, WorkerId};
use hostel_wire::limits;
use hostel_wire::monitor_keeper::ToKeeper;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};

/// Speak as a keeper until the monitor or the front is gone.
pub(crate) fn run() -> io::Result<()> {
    let mut buffer = vec![0; limits::MESSAGE_BYTES_MAX];
    let control = control(&mut buffer)?;
    let received = fdpass::receive(&control, &mut buffer)?;
    let ToKeeper::Settings(_) = monitor_message(&buffer[..received.bytes])? else {
        return Err(io::Error::other("settings come first"));
    };
    loop {
        let received = fdpass::receive(&control, &mut buffer)?;
        if received.bytes == 0 {
            return Ok(());
        }
        match monitor_message(&buffer[..received.bytes])? {
            ToKeeper::Front => {
                let front = received.descriptors.into_iter().next();
                serve(&front.ok_or(io::ErrorKind::InvalidData)?, &mut buffer)?;
            }
            ToKeeper::Settings(_) => {}
            ToKeeper::Stop { .. } => return Ok(()),
        }
    }
}

/// The monitor's socket, unless the site is an honest one: then this does not return. The first message is looked at and left
/// where it is, since the honest keeper reads it again.
fn control(buffer: &mut [u8]) -> io::Result<OwnedFd> {
    let control = inherited_descriptor(3)?;
    let (_, length) = recv(&control, &mut *buffer, RecvFlags::PEEK)?;
    if let ToKeeper::Settings(settings) = monitor_message(&buffer[..length])? {
        // The honest one must find it open after exec.
        rustix::io::fcntl_setfd(&control, rustix::io::FdFlags::empty())?;
        super::become_honest(&Path::new(&settings.home).join("honest/hostel-keeper"))?;
    }
    Ok(control)
}

fn monitor_message(bytes: &[u8]) -> io::Result<ToKeeper> {
    ToKeeper::decode(bytes).map_err(io::Error::other)
}

fn serve(front: &OwnedFd, buffer: &mut [u8]) -> io::Result<()> {
    rustix::io::ioctl_fionbio(front, false)?;
    send(front, &KeeperToFront::Ready.encode(), &[])?;
    loop {
        let received = fdpass::receive(front, buffer)?;
        if received.bytes == 0 {
            return Ok(());
        }
        let message = FrontToKeeper::decode(&buffer[..received.bytes]);
        match message.map_err(io::Error::other)? {
            FrontToKeeper::Resolve { ticket, path, .. } => {
                let name = String::from_utf8_lossy(&path);
                answer(
                    front,
                    ticket,
                    name.trim_matches('/').trim_end_matches(".txt"),
                )?;
            }
            FrontToKeeper::KillWorker(_) => {}
            FrontToKeeper::Retire => std::process::exit(0),
            FrontToKeeper::StartWorker(worker) => {
                send(
                    front,
                    &KeeperToFront::WorkerFailed(worker, 11).encode(),
                    &[],
                )?;
            }
        }
    }
}

fn answer(front: &OwnedFd, ticket: u32, case: &str) -> io::Result<()> {
    let open = OpenOptions::new().read(true).clone();
    let regular = || regular("regular", "a small file", &open);
    let resolved = |resolution| KeeperToFront::Resolved { ticket, resolution }.encode();
    let file_named = |name: &[u8], size| {
        resolved(Resolution::File {
            identity: identity(size),
            name: name.to_vec(),
        })
    };
    let file = file_named(b"a.txt", 12);
    let script = |path: &[u8]| {
        resolved(Resolution::Script {
            path: path.to_vec(),
        })
    };
    let pass = |descriptor: OwnedFd| send(front, &file, &[descriptor.as_fd()]);
    match case {
        "no-descriptor" => send(front, &file, &[]),
        "two-descriptors" => {
            let (one, two) = (regular()?, regular()?);
            send(front, &file, &[one.as_fd(), two.as_fd()])
        }
        "twenty-descriptors" => {
            let one = regular()?;
            send(front, &file, &[one.as_fd(); 20])
        }
        "descriptor-with-nothing" => {
            let one = regular()?;
            send(front, &resolved(Resolution::NotFound), &[one.as_fd()])
        }
        "handle" => {
            drop(regular()?);
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(flags(OFlags::PATH));
            pass(options.open("/tmp/regular")?.into())
        }
        "directory" => pass(File::open("/tmp")?.into()),
        "device" => pass(File::open("/dev/zero")?.into()),
        "socket" => pass(fdpass::stream_pair(false)?.0),
        "fifo" => pass(fifo()?),
        "write-only" => {
            pass(self::regular("write-only", "", OpenOptions::new().write(true))?.into())
        }
        "read-write" => {
            pass(self::regular("read-write", "", OpenOptions::new().read(true).write(true))?.into())
        }
        "direct" => pass(
            self::regular(
                "direct",
                "",
                OpenOptions::new()
                    .read(true)
                    .custom_flags(flags(OFlags::DIRECT)),
            )?
            .into(),
        ),
        "control-socket" => pass(front.try_clone()?),
        "unknown-ticket" => {
            let ticket = ticket.wrapping_add(1000);
            let resolution = Resolution::NotFound;
            send(
                front,
                &KeeperToFront::Resolved { ticket, resolution }.encode(),
                &[],
            )
        }
        "answers-twice" => {
            send(front, &resolved(Resolution::NotFound), &[])?;
            send(front, &resolved(Resolution::NotFound), &[])
        }
        "nonsense" => send(front, &[99; 40], &[]),
        "cut" => send(front, &file[..file.len() - 2], &[regular()?.as_fd()]),
        "too-long" => send(front, &vec![4; limits::MESSAGE_BYTES_MAX + 1], &[]),
        "unchanged" => send(front, &resolved(Resolution::Unchanged), &[]),
        "script-above" => send(front, &script(b"/../../etc/passwd"), &[]),
        "script-relative" => send(front, &script(b"x.php"), &[]),
        "name-with-slash" => send(front, &file_named(b"../x", 12), &[regular()?.as_fd()]),
        "name-empty" => send(front, &file_named(b"", 12), &[regular()?.as_fd()]),
        "unknown-worker" => send(
            front,
            &KeeperToFront::WorkerDied(WorkerId(4711), Death::Exited(0)).encode(),
            &[],
        ),
        "busy" => send(front, &KeeperToFront::Busy { processes: 1 }.encode(), &[]),
        "ready-again" => send(front, &KeeperToFront::Ready.encode(), &[]),
        "closes" => Ok(rustix::net::shutdown(front, rustix::net::Shutdown::Both)?),
        "flood" => loop {
            send(
                front,
                &KeeperToFront::PhpDown(Death::Exited(1)).encode(),
                &[],
            )?;
        },
        "script-for-ever" => send(front, &script(b"/x.php"), &[]),
        // What is said about the file is not what it is.
        "size-lie" => send(
            front,
            &file_named(b"a.txt", u64::MAX),
            &[regular()?.as_fd()],
        ),
        "shrinks" => {
            let large = self::regular("shrinks", "a small file", &open)?;
            let writer = OpenOptions::new().write(true).open("/tmp/shrinks")?;
            writer.set_len(64 << 20)?;
            send(front, &file, &[large.as_fd()])?;
            writer.set_len(12)
        }
        "silent" => Ok(()),
        _ => pass(regular()?.into()),
    }
}

/// A file of the site's /tmp with this text, opened so.
fn regular(name: &str, text: &str, options: &OpenOptions) -> io::Result<File> {
    let path = Path::new("/tmp").join(name);
    // Whole at once: the front may still send the one that an earlier keeper of the site passed.
    let new = path.with_extension("new");
    File::create(&new)?.write_all(text.as_bytes())?;
    std::fs::rename(&new, &path)?;
    options.open(path)
}

fn fifo() -> io::Result<OwnedFd> {
    mknodat(CWD, "/tmp/fifo", FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags(OFlags::NONBLOCK));
    Ok(options.open("/tmp/fifo")?.into())
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

fn identity(size: u64) -> FileIdentity {
    FileIdentity {
        device: 1,
        inode: 2,
        size,
        modified: (3, 4),
        changed: (5, 6),
    }
}

/// As `fdpass::send`, which refuses more than two.
fn send(socket: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(20))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}
