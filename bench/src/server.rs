//! The servers that are measured: start, check, stop.
//!
//! Each is Debian's package with Debian's defaults but for ports, directories and the site, and runs in a control group of
//! its own. All use the same php.ini, modules and OPcache settings, and all write an access log.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use crate::cpu::Group;
use crate::failure::{Failure, Result, Tried};
use crate::ground::{Ground, WEB_USER, look_up, run};
use crate::probe::Client;
use crate::sandbox::ALL_LAYERS;
use crate::site::Site;
use crate::{apache, hostel, nginx};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Apache prefork with mod_php: all sites as one user.
    Prefork,
    /// Apache with mpm-itk: a fork per connection, which becomes the site's user.
    Itk,
    /// Apache with suexec: a php-cgi per request, as the site's user.
    Suexec,
    /// nginx with php-fpm: a pool of the site's user, of four static workers where there are few sites, else as Debian's.
    NginxFpm,
    /// The same with pools that start at the first request.
    Ondemand,
    /// Hostel.
    Hostel,
    /// Hostel with sites whose workers are used again as they are, whatever the default is.
    HostelPooled,
    /// Hostel with sites whose requests are fresh by the best means of the host.
    HostelFresh,
    /// Hostel with sites that get a process for each request.
    HostelForked,
    /// Hostel, in the build for tests, without its sandbox.
    HostelOpen,
}

impl Kind {
    /// All, in the order of the tables.
    pub(crate) const ALL: [Self; 9] = [
        Self::Prefork,
        Self::Itk,
        Self::Suexec,
        Self::NginxFpm,
        Self::Ondemand,
        Self::Hostel,
        Self::HostelPooled,
        Self::HostelFresh,
        Self::HostelForked,
    ];

    /// The word for it on the command line, in file names and in raw.csv.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Prefork => "prefork",
            Self::Itk => "itk",
            Self::Suexec => "suexec",
            Self::NginxFpm => "nginx-fpm",
            Self::Ondemand => "nginx-fpm-ondemand",
            Self::Hostel => "hostel",
            Self::HostelPooled => "hostel-pooled",
            Self::HostelFresh => "hostel-fresh",
            Self::HostelForked => "hostel-fork",
            Self::HostelOpen => "hostel-open",
        }
    }

    /// Whether it is Hostel, with whatever set.
    pub(crate) fn is_hostel(self) -> bool {
        match self {
            Self::Hostel
            | Self::HostelPooled
            | Self::HostelFresh
            | Self::HostelForked
            | Self::HostelOpen => true,
            Self::Prefork | Self::Itk | Self::Suexec | Self::NginxFpm | Self::Ondemand => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefork => "Apache prefork + mod_php",
            Self::Itk => "Apache mpm-itk + mod_php",
            Self::Suexec => "Apache suexec + php-cgi",
            Self::NginxFpm => "nginx + php-fpm",
            Self::Ondemand => "nginx + php-fpm, ondemand",
            Self::Hostel => "Hostel",
            Self::HostelPooled => "Hostel, pooled",
            Self::HostelFresh => "Hostel, fresh",
            Self::HostelForked => "Hostel, fresh by fork",
            Self::HostelOpen => "Hostel without sandbox",
        })
    }
}

/// What a server shall serve.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec<'a> {
    /// What its directory and group are called, with the server's word.
    pub name: &'a str,
    /// The sites; the first has `hello.php` and `who.php`.
    pub sites: &'a [Site],
    /// The directory of php.ini and modules.
    pub php_ini: &'a str,
    /// Where the programs of Hostel are.
    pub programs: &'a Path,
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    /// Which.
    pub kind: Kind,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its processes.
    pub group: Group,
    /// Its configuration and logs.
    pub directory: PathBuf,
    children: Vec<Child>,
}

impl Server {
    /// Configure and start a server, and wait until it answers as it should.
    pub(crate) fn start(kind: Kind, ground: &Ground, spec: &Spec<'_>) -> Result<Self> {
        let mut server = Self::launch(kind, ground, spec)?;
        let first = spec
            .sites
            .first()
            .ok_or_else(|| Failure("a server needs a site".into()))?;
        server.wait_until_ready(&first.host)?;
        server.check_identity(first)?;
        Ok(server)
    }

    /// Configure and start a server, and wait for nothing.
    pub(crate) fn launch(kind: Kind, ground: &Ground, spec: &Spec<'_>) -> Result<Self> {
        let name = format!("{}-{}", spec.name, kind.word());
        let directory = ground.server_directory(&name)?;
        let port = free_port()?;
        let group = Group::create(&name)?;
        let commands = match kind {
            Kind::Prefork | Kind::Itk | Kind::Suexec => {
                vec![apache::command(kind, spec, &directory, port, &group)?]
            }
            Kind::NginxFpm | Kind::Ondemand => {
                nginx::commands(kind, spec, &directory, port, &group)?
            }
            Kind::Hostel
            | Kind::HostelPooled
            | Kind::HostelFresh
            | Kind::HostelForked
            | Kind::HostelOpen => {
                vec![hostel::command(kind, spec, &directory, port, &group)?]
            }
        };
        let mut server = Self {
            kind,
            port,
            group,
            directory,
            children: Vec::new(),
        };
        for command in commands {
            server.spawn(command, spec.php_ini)?;
        }
        Ok(server)
    }

    fn spawn(&mut self, mut command: Command, php_ini: &str) -> Result<()> {
        let log = format!("start-{}.log", self.children.len());
        let log = File::create(self.directory.join(log)).tried("make the log of a start")?;
        let errors = log.try_clone().tried("share the log of a start")?;
        command
            .env("PHPRC", php_ini)
            .env("PHP_INI_SCAN_DIR", format!("{php_ini}/conf.d"))
            // Nothing that is shipped looks at it.
            .env(
                "HOSTEL_WITHOUT",
                if self.kind == Kind::HostelOpen {
                    ALL_LAYERS
                } else {
                    ""
                },
            )
            // Apache ends its whole process group, which must not be the bench's.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let child = command.spawn().tried(format!("start {}", self.kind))?;
        self.children.push(child);
        Ok(())
    }

    /// Send a signal to its programs, the first of which is php-fpm where there are two.
    pub(crate) fn signal(&self, program: usize, signal: &str) -> Result<()> {
        match self.children.get(program) {
            Some(child) => run("kill", &[signal, &child.id().to_string()]).map(|_| ()),
            None => Err(Failure(format!("{} has no program {program}", self.kind))),
        }
    }

    /// Whether all that was started runs still.
    pub(crate) fn runs(&mut self) -> bool {
        self.children
            .iter_mut()
            .all(|child| matches!(child.try_wait(), Ok(None)))
    }

    fn wait_until_ready(&mut self, host: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            let why = match Client::new(self.port).ask_at(host, "/hello.php") {
                Ok(answer) if answer.status == 200 && answer.body == b"Hello, world\n" => {
                    return Ok(());
                }
                Ok(answer) => format!("answers with status {}", answer.status),
                Err(Failure(why)) => why,
            };
            if start.elapsed() > Duration::from_secs(20) {
                return Err(Failure(format!(
                    "{} does not serve its page after 20 seconds: {why}; its logs are in {}",
                    self.kind,
                    self.directory.display()
                )));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// PHP must run as the user that this server is there to run it as, with OPcache on.
    fn check_identity(&self, site: &Site) -> Result<()> {
        let user = match self.kind {
            Kind::Prefork => look_up(WEB_USER)?.0,
            _ => site.owner.0,
        };
        let said = Client::new(self.port).ask_at(&site.host, "/who.php")?.body;
        if said == format!("{user} 1").as_bytes() {
            Ok(())
        } else {
            let said = String::from_utf8_lossy(&said);
            Err(Failure(format!(
                "PHP on {} says user and OPcache are {said:?}, not \"{user} 1\"",
                self.kind
            )))
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in &self.children {
            // One that has ended already needs no signal.
            let _ = run("kill", &["-TERM", &child.id().to_string()]);
        }
        let start = Instant::now();
        for child in &mut self.children {
            while matches!(child.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(20)
            {
                thread::sleep(Duration::from_millis(20));
            }
        }
        // Ends what would not end by itself; the next run does the same should this fail.
        let _ = self.group.end();
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

/// A port of the loopback address that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").tried("find a free port")?;
    Ok(listener.local_addr().tried("find a free port")?.port())
}
