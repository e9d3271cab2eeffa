//! Files of the kernel and of the machine, device files, the terminal.

use std::fs::{self, File};
use std::io::Read;

use rustix::io::Errno;

use crate::arguments::Arguments;
use crate::call::call;
use crate::outcome::{Tried, WrongOnPurpose};

/// Open a file for reading and show its beginning.
pub(crate) fn read(arguments: &Arguments<'_>) -> Tried {
    let mut bytes = [0; SHOWN_MAX];
    let length = File::open(arguments.text(0)?)?.read(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// Open a file for writing, without writing or emptying it.
pub(crate) fn open_for_writing(arguments: &Arguments<'_>) -> Tried {
    let path = arguments.text(0)?;
    File::options().write(true).open(path)?;
    Ok(format!("opened {path} for writing"))
}

/// Read a setting and write the same again.
pub(crate) fn write_same(arguments: &Arguments<'_>) -> Tried {
    let path = arguments.text(0)?;
    let value = fs::read(path)?;
    fs::write(path, value)?;
    Ok(format!("wrote {path}"))
}

/// Make a device file that leads to nothing (/dev/null), and remove it.
pub(crate) fn make_device(arguments: &Arguments<'_>) -> Tried {
    let path = arguments.path(0)?;
    let (mode, null) = (
        libc::S_IFCHR | 0o600,
        i64::try_from(libc::makedev(1, 3)).unwrap_or(0),
    );
    call!(
        libc::SYS_mknodat,
        libc::AT_FDCWD,
        path.as_c_str(),
        mode,
        null
    )?;
    call!(libc::SYS_unlinkat, libc::AT_FDCWD, path.as_c_str(), 0)?;
    Ok("made a device".to_owned())
}

/// Leave one's control group for the highest that can be seen.
pub(crate) fn leave_control_group(_: &Arguments<'_>) -> Tried {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let places = mounts.lines().filter(|line| line.contains(" - cgroup"));
    let mut last = Errno::NOENT;
    for place in places.filter_map(|line| line.split(' ').nth(4)) {
        let path = format!("{place}/cgroup.procs");
        match fs::write(&path, "0") {
            Ok(()) => return Ok(format!("moved itself by {path}")),
            Err(error) => last = Errno::from_io_error(&error).unwrap_or(last),
        }
    }
    Err(last.into())
}

/// Type a byte that does nothing (NUL) into the terminal, as if its user had. Standard input is none in a sandbox, and the kernel's
/// word that it is none is the answer of a kernel that would have done it.
pub(crate) fn type_into_terminal(_: &Arguments<'_>) -> Tried {
    let request = i64::try_from(libc::TIOCSTI).unwrap_or(0);
    call!(libc::SYS_ioctl, 0, request, &[0_u8][..]).passed_with(&[Errno::NOTTY], "typed")
}

/// Whether a path exists, even where it cannot be opened.
pub(crate) fn exists(arguments: &Arguments<'_>) -> Tried {
    let status = fs::symlink_metadata(arguments.text(0)?)?;
    Ok(format!("is there, {} bytes", status.len()))
}

const SHOWN_MAX: usize = 256;
