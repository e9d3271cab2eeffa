//! `hostel serve`: become the monitor that stands beside this program.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use hostel_sys::cred::Uid;
use hostel_sys::layers::IS_FOR_TESTS;

use crate::output;

#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(
        "hostel serve: must be started by root, who alone can become the sites' users\n  hint: sudo hostel serve"
    )]
    NotRoot,
    #[error("hostel serve: cannot find out where this program stands: {0}")]
    OwnPath(io::Error),
    #[error("hostel serve: cannot start {}: {source}\n  hint: all programs of Hostel stand in one directory; build them with: cargo build --release", program.display())]
    Exec { program: PathBuf, source: io::Error },
}

/// Returns only if it failed.
pub(crate) fn run(config: &Path) -> ExitCode {
    let Err(error) = become_monitor(config);
    output::error(&error.to_string());
    ExitCode::FAILURE
}

fn become_monitor(config: &Path) -> Result<std::convert::Infallible, ServeError> {
    if Uid::effective() != Uid::ROOT {
        return Err(ServeError::NotRoot);
    }
    let program = std::env::current_exe()
        .map_err(ServeError::OwnPath)?
        .with_file_name("hostel-monitor");
    if IS_FOR_TESTS {
        output::error(
            "hostel: warning: these programs were built for tests, which may leave layers of a sandbox out (hint: cargo build --release, and nothing else)",
        );
    }
    // Exec and not spawn: the process that the administrator started is the monitor, and gets its signals.
    let source = Command::new(&program).arg("--config").arg(config).exec();
    Err(ServeError::Exec { program, source })
}
