//! Hostel with nothing set but where things are, and how fresh a site's requests are where a test is about that.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cpu::Group;
use crate::failure::{Result, Tried};
use crate::ground::{self, PHP_INI, WEB_USER};
use crate::server::{Kind, Spec};
use crate::site::Site;

/// Write the configuration and give the command that starts the server from the directory of its programs.
pub(crate) fn command(
    kind: Kind,
    spec: &Spec<'_>,
    directory: &Path,
    port: u16,
    group: &Group,
) -> Result<Command> {
    let own = directory.display();
    let configuration = directory.join("hostel.toml");
    // Where a test is about other modules than those of Debian's packages, that is set too.
    let php_ini = if spec.php_ini == PHP_INI {
        String::new()
    } else {
        format!("php_ini = \"{}\"\n", spec.php_ini)
    };
    ground::file(
        &configuration,
        &format!(
            "http = [\"127.0.0.1:{port}\"]\nstate = \"{own}/state\"\nlogs = \"{own}/logs\"\nrun = \"{own}/run\"\n\
             user = \"{WEB_USER}\"\n{php_ini}"
        ),
        None,
        0o644,
    )?;
    fs::create_dir(directory.join("sites.d")).tried("make the directory of Hostel's sites")?;
    for site in spec.sites {
        add(kind, directory, site, &[])?;
    }
    let mut command = group.command(spec.programs.join("hostel"));
    command.arg("serve").arg("--config").arg(configuration);
    Ok(command)
}

/// Write the file of a site, with more domains than its own or none.
pub(crate) fn add(kind: Kind, directory: &Path, site: &Site, more: &[&str]) -> Result<()> {
    let fresh = match kind {
        Kind::HostelPooled => "fresh = false\n",
        Kind::HostelFresh => "fresh = true\n",
        Kind::HostelForked => "fresh = \"fork\"\n",
        _ => "",
    };
    let mut domains = format!("\"{}\"", site.host);
    for domain in more {
        domains.push_str(&format!(", \"{domain}\""));
    }
    ground::file(
        &directory
            .join("sites.d")
            .join(format!("{}.toml", site.name)),
        &format!(
            "domains = [{domains}]\nuser = \"{}\"\nhome = \"{}\"\n{fresh}",
            site.user,
            site.home.display()
        ),
        None,
        0o644,
    )
}
