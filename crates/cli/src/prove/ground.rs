//! What every attack of one run stands on: the configuration, the programs, the stage, and what this kernel lacks.
//!
//! Made once by `hostel prove`, as root.

use std::path::Path;

use hostel_config::{Errors, Server, Site, SystemUsers};
use hostel_firewall::{Table, kernel};
use hostel_monitor::directories::Directories;
use hostel_monitor::launch::{LaunchError, Programs};
use hostel_monitor::resources::Resources;
use hostel_sys::quota::is_enforced_at;
use hostel_sys::sandbox::features;
use hostel_sys::secure::SecureError;
use hostel_wire::monitor_keeper::PhpValue;

use super::attack::Need;
use super::attacks;
use super::stage::{Stage, StageError};

/// The ground.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) server: Server,
    pub(crate) directories: Directories,
    pub(crate) programs: Programs,
    pub(crate) resources: Resources,
    pub(crate) stage: Stage,
    php_values: Vec<PhpValue>,
    /// Whether attacks on addresses other than loopback were allowed.
    pub(crate) network: bool,
}

/// Why nothing can be proven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroundError {
    #[error("the configuration has errors\n{0}")]
    Configuration(Errors),
    #[error(transparent)]
    Directory(#[from] SecureError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Stage(#[from] StageError),
}

impl Ground {
    /// Read the configuration and prepare the stage.
    pub(crate) fn prepare(config: &Path, network: bool) -> Result<Self, GroundError> {
        let server = hostel_config::load(config, &SystemUsers::read())
            .map_err(GroundError::Configuration)?;
        let directories = Directories::open(&server)?;
        let programs = Programs::open()?;
        let stage = Stage::new(&server.run, attacks::files(), &server.sites)?;
        Ok(Self {
            server,
            directories,
            programs,
            // Beside those of a server that runs with the same configuration.
            resources: Resources::begin(stage.directory()),
            stage,
            php_values: attacks::php_settings::values(),
            network,
        })
    }

    /// Whether a user's or group's number belongs to a site.
    pub(crate) fn is_identity(&self, number: u32) -> bool {
        let mut sites = self.server.sites.iter();
        sites.any(|site| site.user.uid.0 == number || site.user.gid.0 == number)
    }

    /// What the attacker's PHP is told besides the site's own settings.
    pub(crate) fn php_values(&self) -> &[PhpValue] {
        &self.php_values
    }

    /// What of these this kernel lacks, in words.
    pub(crate) fn lacking(&self, needs: &[Need], site: &Site) -> Option<String> {
        needs.iter().find_map(|need| match need {
            Need::Landlock(version) => {
                let present = features().landlock_abi.unwrap_or(0);
                (present < *version)
                    .then(|| format!("Landlock of version {version}; the kernel has {present}"))
            }
            Need::Firewall => self.no_rules(),
            Need::QuotaOfTemporaryFiles => no_quota(&self.server.state),
            Need::QuotaOfHome if site.limits.home_bytes_max.is_none() => {
                Some("home_bytes_max, which the site does not have".to_owned())
            }
            Need::QuotaOfHome => no_quota(Path::new(&site.home)),
        })
    }
}

impl Ground {
    /// Why no packet of a site's is refused.
    fn no_rules(&self) -> Option<String> {
        match kernel::is_there(&Table::egress(&self.server.run)) {
            Ok(true) => None,
            Ok(false) => Some(
                "the packet filter's rules: the server that keeps them in force does not run"
                    .to_owned(),
            ),
            Err(error) => Some(format!("the packet filter's rules: {error}")),
        }
    }
}

fn no_quota(path: &Path) -> Option<String> {
    let lacking = || {
        format!(
            "project quotas at {} (mount option prjquota)",
            path.display()
        )
    };
    (!is_enforced_at(path)).then(lacking)
}

/// Whether this process, which is root, has a capability.
pub(crate) fn has_capability(number: u8) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = u64::from_str_radix(set.unwrap_or("0").trim(), 16).unwrap_or(0);
    set & (1 << number) != 0
}
