//! The demonstration: two sites of two users on loopback, in a directory of their own.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::e2e;
use crate::run::{
    self, Failure, Result, Tried, as_root, is_root, output, release_directory, succeeds,
};
use crate::setup::ensure_user;

/// All that the demo makes, but for the users.
const GROUND: &str = "/srv/hostel-demo";
/// The sites, and their users.
const SITES: [(&str, &str); 2] = [("one", "hostel-demo-1"), ("two", "hostel-demo-2")];

/// Build, then serve as root until Ctrl-C.
pub(crate) fn run() -> Result<()> {
    e2e::build()?;
    let programs = release_directory();
    if is_root() {
        return serve(&programs);
    }
    let me = std::env::current_exe().tried("the path of xtask")?;
    run::run(as_root(me).arg("demo-serve").arg(programs))
}

/// The part that needs root: users, files, and becoming the server. Returns only if that failed.
pub(crate) fn serve(programs: &Path) -> Result<()> {
    if !is_root() {
        return Err(Failure("demo-serve: needs root".to_owned()));
    }
    ensure_user("hostel")?;
    let port = free_port()?;
    let ground = Path::new(GROUND);
    for part in ["", "etc", "etc/sites.d", "var"] {
        directory(&ground.join(part), 0o755, ROOT)?;
    }
    let config = ground.join("etc/hostel.toml");
    let text = format!(
        "http  = [\"127.0.0.1:{port}\"]\nstate = \"{GROUND}/var/state\"\nlogs  = \"{GROUND}/var/logs\"\nrun   = \"{GROUND}/var/run\"\n"
    );
    file(&config, &text)?;
    for (site, user) in SITES {
        ensure_user(user)?;
        prepare_site(ground, site, user)?;
    }
    let hostel = programs.join("hostel");
    announce(&hostel, &config, port);
    // It becomes the server: Ctrl-C is the server's to handle, and nothing of the demo outlives it.
    let error = Command::new(&hostel)
        .arg("serve")
        .arg("--config")
        .arg(config)
        .exec();
    Err(Failure(format!(
        "cannot start {}: {error}",
        hostel.display()
    )))
}

/// Remove everything that the demo made.
pub(crate) fn clean() -> Result<()> {
    run::run(as_root("rm").args(["--recursive", "--force", "--one-file-system", GROUND]))?;
    for (_, user) in SITES {
        if succeeds(Command::new("getent").args(["passwd", user])) {
            run::run(as_root("userdel").arg(user))?;
        }
    }
    Ok(())
}

fn prepare_site(ground: &Path, site: &str, user: &str) -> Result<()> {
    let number = |what: &str| -> Result<u32> {
        let number = output(Command::new("id").args([what, user]))?;
        number
            .trim()
            .parse()
            .tried(format!("the numbers of {user}"))
    };
    let owner = (number("--user")?, number("--group")?);
    let home = ground.join(site);
    let text = format!(
        "domains = [\"{site}.localhost\"]\nuser    = \"{user}\"\nhome    = \"{}\"\n",
        home.display()
    );
    file(&ground.join(format!("etc/sites.d/{site}.toml")), &text)?;
    // 0700: neither the front nor the other site can enter.
    directory(&home, 0o700, owner)?;
    // Beneath it everything is the site's, who may have put links there since: only the site's user writes there.
    run::run(
        as_user("mkdir", owner)
            .arg("--parents")
            .arg(home.join("public")),
    )?;
    site_file(&home.join("public/index.php"), PAGE, owner)?;
    site_file(&home.join("public/style.css"), STYLE, owner)?;
    site_file(
        &home.join("secret.txt"),
        &format!("only {user} can read this\n"),
        owner,
    )
}

fn site_file(path: &Path, text: &str, owner: (u32, u32)) -> Result<()> {
    let mut tee = as_user("tee", owner);
    let mut tee = tee
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .tried(path.display())?;
    let mut input = tee.stdin.take().expect("it was asked for");
    input.write_all(text.as_bytes()).tried(path.display())?;
    drop(input);
    let status = tee.wait().tried(path.display())?;
    if status.success() {
        return Ok(());
    }
    Err(Failure(format!("{}: tee: {status}", path.display())))
}

fn as_user(program: &str, (uid, gid): (u32, u32)) -> Command {
    let mut command = Command::new(program);
    command.uid(uid).gid(gid);
    command
}

fn announce(hostel: &Path, config: &Path, port: u16) {
    let (hostel, config) = (hostel.display(), config.display());
    println!(
        "
Hostel serves two sites of two users, until Ctrl-C. Look at

  http://one.localhost:{port}/       a page that says who it runs as, and tries to read the other site's files
  http://two.localhost:{port}/       the same for the other user

or, in another terminal,

  curl http://127.0.0.1:{port}/ --header 'Host: one.localhost'
  curl http://127.0.0.1:{port}/style.css --header 'Host: two.localhost' --head
  {hostel} status --config {config}
  {hostel} prove --config {config}     each site attacks the other, and the server
  ps -eo user,pid,ppid,rss,comm | grep hostel
  cat {GROUND}/var/logs/one/access.log

The configuration is {config} and sites.d beside it. To remove all of it afterwards: make demo-clean
"
    );
}

/// 8080, or the next free one.
fn free_port() -> Result<u16> {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (8080..8180)
        .find(is_free)
        .ok_or_else(|| Failure("no port from 8080 to 8179 is free".to_owned()))
}

fn directory(path: &Path, mode: u32, owner: (u32, u32)) -> Result<()> {
    fs::create_dir_all(path).tried(path.display())?;
    own(path, mode, owner)
}

/// A file of root, in a directory of root.
fn file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).tried(path.display())?;
    own(path, 0o644, ROOT)
}

fn own(path: &Path, mode: u32, (uid, gid): (u32, u32)) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).tried(path.display())?;
    chown(path, Some(uid), Some(gid)).tried(path.display())
}

const ROOT: (u32, u32) = (0, 0);
const PAGE: &str = include_str!("demo/index.php");
const STYLE: &str = include_str!("demo/style.css");
