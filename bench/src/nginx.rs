//! nginx with Debian's defaults and a php-fpm with a pool for each site, of the site's user.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cpu::Group;
use crate::failure::{Result, Tried};
use crate::ground::{self, WEB_USER};
use crate::server::{Kind, Spec};
use crate::site::Site;

/// A pool for speed: as many workers as there is load, always there. What a person who tunes would set.
const STATIC: &str = "pm = static\npm.max_children = 4\n";
/// The pool that Debian's package brings.
const DEBIAN: &str = "pm = dynamic\npm.max_children = 5\npm.start_servers = 2\npm.min_spare_servers = 1\npm.max_spare_servers = 3\n";
/// The same, with nothing running until the first request.
const ONDEMAND: &str = "pm = ondemand\npm.max_children = 5\n";
/// More sites than this share a machine, where nobody gives each a static pool.
const STATIC_SITES_MAX: usize = 3;
/// More sites than this need larger tables of names than nginx's defaults.
const NAMES_USUAL: usize = 100;

/// Write both configurations and give the commands that start both in the foreground, php-fpm first.
pub(crate) fn commands(
    kind: Kind,
    spec: &Spec<'_>,
    directory: &Path,
    port: u16,
    group: &Group,
) -> Result<Vec<Command>> {
    configure(kind, spec.sites, directory, port)?;
    // The snippet includes fastcgi.conf relative to the directory of nginx.conf.
    std::os::unix::fs::symlink("/etc/nginx/fastcgi.conf", directory.join("fastcgi.conf"))
        .tried("link to nginx's fastcgi.conf")?;
    let mut fpm = group.command("/usr/sbin/php-fpm8.2");
    fpm.args(["--nodaemonize", "-c", spec.php_ini, "--fpm-config"])
        .arg(directory.join("php-fpm.conf"));
    let mut nginx = group.command("/usr/sbin/nginx");
    nginx
        .arg("-c")
        .arg(directory.join("nginx.conf"))
        .args(["-g", "daemon off;"]);
    Ok(vec![fpm, nginx])
}

/// Write both configurations for these sites.
pub(crate) fn configure(kind: Kind, sites: &[Site], directory: &Path, port: u16) -> Result<()> {
    let own = directory.display();
    let manager = match kind {
        Kind::Ondemand => ONDEMAND,
        _ if sites.len() > STATIC_SITES_MAX => DEBIAN,
        _ => STATIC,
    };
    let mut pools = format!(
        "[global]\npid = {own}/php-fpm.pid\nerror_log = {own}/php-fpm.log\ndaemonize = no\n"
    );
    for site in sites {
        let _ = write!(
            pools,
            "[{0}]\nuser = {1}\ngroup = {1}\nlisten = {2}\nlisten.owner = {WEB_USER}\nlisten.group = {WEB_USER}\n{manager}",
            site.name,
            site.user,
            socket(directory, site).display()
        );
    }
    ground::file(&directory.join("php-fpm.conf"), &pools, None, 0o644)?;
    let text = nginx_text(sites, directory, port);
    ground::file(&directory.join("nginx.conf"), &text, None, 0o644)
}

/// Where a site's pool listens.
pub(crate) fn socket(directory: &Path, site: &Site) -> PathBuf {
    directory.join(format!("{}.sock", site.name))
}

fn nginx_text(sites: &[Site], directory: &Path, port: u16) -> String {
    let own = directory.display();
    let names = if sites.len() > NAMES_USUAL {
        format!("server_names_hash_max_size {};\n", sites.len() * 4)
    } else {
        String::new()
    };
    let mut text = format!(
        "user {WEB_USER};\nworker_processes auto;\npid {own}/nginx.pid;\nerror_log {own}/error.log;\n\
         events {{ worker_connections 768; }}\n\
         http {{\nsendfile on;\ntcp_nopush on;\ntypes_hash_max_size 2048;\n{names}include /etc/nginx/mime.types;\n\
         default_type application/octet-stream;\naccess_log {own}/access.log;\ngzip on;\n"
    );
    for site in sites {
        let _ = write!(
            text,
            "server {{\nlisten 127.0.0.1:{port};\nserver_name {};\nroot {};\nindex index.php index.html;\n\
             location / {{ try_files $uri $uri/ =404; }}\n\
             location ~ \\.php$ {{ include /etc/nginx/snippets/fastcgi-php.conf; fastcgi_pass unix:{}; }}\n}}\n",
            site.host,
            site.root().display(),
            socket(directory, site).display()
        );
    }
    text.push_str("}\n");
    text
}
