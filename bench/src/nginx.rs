//! nginx with Debian's defaults and a php-fpm with one pool of the site's user.

use std::path::Path;
use std::process::Command;

use crate::cpu::Group;
use crate::failure::{Result, Tried};
use crate::ground::{self, PHP_INI, ROOT, USER, WEB_USER};
use crate::probe::HOST;

/// Write both configurations and give the commands that start both in the foreground.
pub(crate) fn commands(directory: &Path, port: u16, group: &Group) -> Result<Vec<Command>> {
    let own = directory.display();
    let pool = directory.join("php-fpm.conf");
    ground::file(
        &pool,
        &format!(
            "[global]\nerror_log = {own}/php-fpm.log\ndaemonize = no\n[{USER}]\nuser = {USER}\ngroup = {USER}\n\
             listen = {own}/php.sock\nlisten.owner = {WEB_USER}\nlisten.group = {WEB_USER}\n\
             pm = static\npm.max_children = 4\n"
        ),
        None,
        0o644,
    )?;
    let configuration = directory.join("nginx.conf");
    ground::file(&configuration, &nginx_text(directory, port), None, 0o644)?;
    // The snippet includes fastcgi.conf relative to the directory of nginx.conf.
    std::os::unix::fs::symlink("/etc/nginx/fastcgi.conf", directory.join("fastcgi.conf"))
        .tried("link to nginx's fastcgi.conf")?;

    let mut fpm = group.command("/usr/sbin/php-fpm8.2");
    fpm.args(["--nodaemonize", "-c", PHP_INI, "--fpm-config"])
        .arg(pool);
    let mut nginx = group.command("/usr/sbin/nginx");
    nginx
        .arg("-c")
        .arg(configuration)
        .args(["-g", "daemon off;"]);
    Ok(vec![fpm, nginx])
}

fn nginx_text(directory: &Path, port: u16) -> String {
    let own = directory.display();
    format!(
        "user {WEB_USER};\nworker_processes auto;\npid {own}/nginx.pid;\nerror_log {own}/error.log;\n\
         events {{ worker_connections 768; }}\n\
         http {{\nsendfile on;\ntcp_nopush on;\ntypes_hash_max_size 2048;\ninclude /etc/nginx/mime.types;\n\
         default_type application/octet-stream;\naccess_log {own}/access.log;\ngzip on;\n\
         server {{\nlisten 127.0.0.1:{port};\nserver_name {HOST};\nroot {ROOT};\nindex index.html;\n\
         location / {{ try_files $uri $uri/ =404; }}\n\
         location ~ \\.php$ {{ include /etc/nginx/snippets/fastcgi-php.conf; fastcgi_pass unix:{own}/php.sock; }}\n}}\n}}\n"
    )
}
