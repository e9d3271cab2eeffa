//! Hostel with nothing set but where things are.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cpu::Group;
use crate::failure::{Result, Tried};
use crate::ground::{self, HOME, USER, WEB_USER};
use crate::probe::HOST;

/// Write the configuration and give the command that starts the server from the directory of its programs.
pub(crate) fn command(
    programs: &Path,
    directory: &Path,
    port: u16,
    group: &Group,
) -> Result<Command> {
    let own = directory.display();
    let configuration = directory.join("hostel.toml");
    ground::file(
        &configuration,
        &format!(
            "http = [\"127.0.0.1:{port}\"]\nhttps = []\nsites = \"sites.d\"\nstate = \"{own}/state\"\n\
             logs = \"{own}/logs\"\nrun = \"{own}/run\"\nuser = \"{WEB_USER}\"\n"
        ),
        None,
        0o644,
    )?;
    fs::create_dir(directory.join("sites.d")).tried("make the directory of Hostel's sites")?;
    ground::file(
        &directory.join("sites.d/bench.toml"),
        &format!(
            "domains = [\"{HOST}\"]\nuser = \"{USER}\"\nhome = \"{HOME}\"\nroot = \"public\"\n"
        ),
        None,
        0o644,
    )?;
    let mut command = group.command(programs.join("hostel"));
    command.arg("serve").arg("--config").arg(configuration);
    Ok(command)
}
