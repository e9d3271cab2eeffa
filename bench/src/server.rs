//! The servers that are measured: start, check, stop.
//!
//! Each is Debian's package with Debian's defaults but for ports, directories and the site, and runs in a control group of
//! its own. All use the same php.ini, modules and OPcache settings, and all write an access log.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use crate::cpu::Group;
use crate::failure::{Failure, Result, Tried};
use crate::ground::{Ground, PHP_INI, WEB_USER, look_up, run};
use crate::probe::Client;
use crate::sandbox::ALL_LAYERS;
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
    /// nginx with php-fpm: a pool of four static workers of the site's user.
    NginxFpm,
    /// Hostel.
    Hostel,
    /// Hostel, in the build for tests, without its sandbox.
    HostelOpen,
}

impl Kind {
    /// All, in the order of the tables.
    pub(crate) const ALL: [Self; 5] = [
        Self::Prefork,
        Self::Itk,
        Self::Suexec,
        Self::NginxFpm,
        Self::Hostel,
    ];

    /// The word for it on the command line, in file names and in raw.csv.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Prefork => "prefork",
            Self::Itk => "itk",
            Self::Suexec => "suexec",
            Self::NginxFpm => "nginx-fpm",
            Self::Hostel => "hostel",
            Self::HostelOpen => "hostel-open",
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
            Self::Hostel => "Hostel",
            Self::HostelOpen => "Hostel without sandbox",
        })
    }
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
    children: Vec<Child>,
}

impl Server {
    /// Configure and start a server, and wait until it answers as it should.
    pub(crate) fn start(kind: Kind, ground: &Ground, programs: &Path) -> Result<Self> {
        let directory = ground.server_directory(kind.word())?;
        let port = free_port()?;
        let group = Group::create(kind.word())?;
        let commands = match kind {
            Kind::Prefork | Kind::Itk | Kind::Suexec => {
                vec![apache::command(kind, ground, &directory, port, &group)?]
            }
            Kind::NginxFpm => nginx::commands(&directory, port, &group)?,
            Kind::Hostel | Kind::HostelOpen => {
                vec![hostel::command(programs, &directory, port, &group)?]
            }
        };
        let mut server = Self {
            kind,
            port,
            group,
            children: Vec::new(),
        };
        for mut command in commands {
            let log = File::create(directory.join(format!("start-{}.log", server.children.len())))
                .tried("make the log of a start")?;
            let errors = log.try_clone().tried("share the log of a start")?;
            command
                .env("PHPRC", PHP_INI)
                .env("PHP_INI_SCAN_DIR", format!("{PHP_INI}/conf.d"))
                // Nothing that is shipped looks at it.
                .env(
                    "HOSTEL_WITHOUT",
                    if kind == Kind::HostelOpen {
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
            server.children.push(spawn(command, kind)?);
        }
        server.wait_until_ready(&directory)?;
        server.check_identity(ground)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, directory: &Path) -> Result<()> {
        let start = Instant::now();
        loop {
            let why = match Client::new(self.port).ask("/hello.php") {
                Ok(answer) if answer.status == 200 && answer.body == b"Hello, world\n" => {
                    return Ok(());
                }
                Ok(answer) => format!("answers with status {}", answer.status),
                Err(Failure(why)) => why,
            };
            if start.elapsed() > Duration::from_secs(20) {
                return Err(Failure(format!(
                    "{} does not serve its page after 20 seconds: {why}; see the logs in {}",
                    self.kind,
                    directory.display()
                )));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// PHP must run as the user that this server is there to run it as, with OPcache on.
    fn check_identity(&self, ground: &Ground) -> Result<()> {
        let user = match self.kind {
            Kind::Prefork => look_up(WEB_USER)?.0,
            Kind::Itk | Kind::Suexec | Kind::NginxFpm | Kind::Hostel | Kind::HostelOpen => {
                ground.user.0
            }
        };
        let said = Client::new(self.port).ask("/who.php")?.body;
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
            while matches!(child.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(10)
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

fn spawn(mut command: Command, kind: Kind) -> Result<Child> {
    command.spawn().tried(format!("start {kind}"))
}

pub(crate) fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").tried("find a free port")?;
    Ok(listener.local_addr().tried("find a free port")?.port())
}
