//! Apache with Debian's modules and defaults, in three forms.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::cpu::Group;
use crate::failure::Result;
use crate::ground::{self, HOME, PHP_INI, USER, WEB_USER};
use crate::probe::HOST;
use crate::server::{Kind, Spec};
use crate::site::HOMES;

/// Debian's modules, from /etc/apache2/mods-available.
const MODULES: &str = "/etc/apache2/mods-available";
/// Those that the package switches on, but for the server's own status page.
const USUAL: [&str; 15] = [
    "access_compat",
    "alias",
    "auth_basic",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_host",
    "authz_user",
    "autoindex",
    "deflate",
    "dir",
    "env",
    "filter",
    "mime",
    "negotiation",
];

/// Write the configuration and give the command that starts the server in the foreground.
pub(crate) fn command(
    kind: Kind,
    spec: &Spec<'_>,
    directory: &Path,
    port: u16,
    group: &Group,
) -> Result<Command> {
    let configuration = directory.join("apache2.conf");
    ground::file(
        &configuration,
        &text(kind, spec, directory, port),
        None,
        0o644,
    )?;
    if kind == Kind::Suexec
        && let [site] = spec.sites
    {
        let wrapper = format!(
            "#!/bin/sh\nexport PHPRC={PHP_INI} PHP_INI_SCAN_DIR={PHP_INI}/conf.d\nexec /usr/bin/php-cgi8.2\n"
        );
        let path = Path::new(HOME).join("php-bin/php");
        ground::file(&path, &wrapper, Some(site.owner), 0o755)?;
    }
    let mut command = group.command("/usr/sbin/apache2");
    command.arg("-DFOREGROUND").arg("-f").arg(configuration);
    Ok(command)
}

fn text(kind: Kind, spec: &Spec<'_>, directory: &Path, port: u16) -> String {
    let own = directory.display();
    let modules = match kind {
        Kind::Itk => vec!["php8.2", "mpm_itk"],
        Kind::Suexec => vec!["cgi", "actions", "suexec"],
        _ => vec!["php8.2"],
    };
    let mut text = format!(
        "ServerRoot /etc/apache2\nServerName {HOST}\nListen 127.0.0.1:{port}\nPidFile {own}/apache2.pid\n\
         DefaultRuntimeDir {own}\nMutex file:{own} default\nUser {WEB_USER}\nGroup {WEB_USER}\nErrorLog {own}/error.log\n\
         Timeout 300\nKeepAlive On\nMaxKeepAliveRequests 100\nKeepAliveTimeout 5\nHostnameLookups Off\nLogLevel warn\n"
    );
    let usual = USUAL
        .into_iter()
        .chain(["reqtimeout", "setenvif", "mpm_prefork"]);
    for name in usual.chain(modules) {
        let _ = writeln!(
            text,
            "Include {MODULES}/{name}.load\nIncludeOptional {MODULES}/{name}.conf"
        );
    }
    let _ = write!(
        text,
        "<IfModule php_module>\nPHPIniDir {}\n</IfModule>\n\
         LogFormat \"%h %l %u %t \\\"%r\\\" %>s %O \\\"%{{Referer}}i\\\" \\\"%{{User-Agent}}i\\\"\" combined\n\
         <Directory />\nOptions FollowSymLinks\nAllowOverride None\nRequire all denied\n</Directory>\n\
         <Directory /var/www/>\nOptions Indexes FollowSymLinks\nAllowOverride None\nRequire all granted\n</Directory>\n\
         <Directory {HOMES}/>\nOptions Indexes FollowSymLinks\nAllowOverride None\nRequire all granted\n</Directory>\n",
        spec.php_ini
    );
    for site in spec.sites {
        let more = match kind {
            Kind::Itk => format!("AssignUserId {0} {0}\n", site.user),
            Kind::Suexec => suexec_site(),
            _ => String::new(),
        };
        let _ = write!(
            text,
            "<VirtualHost *:{port}>\nServerName {}\nDocumentRoot {}\nCustomLog {own}/access.log combined\n{more}</VirtualHost>\n",
            site.host,
            site.root().display()
        );
    }
    text
}

fn suexec_site() -> String {
    format!(
        "SuexecUserGroup {USER} {USER}\nScriptAlias /php-bin/ {HOME}/php-bin/\n\
         Action application/x-httpd-php /php-bin/php\n\
         <FilesMatch \".+\\.php$\">\nSetHandler application/x-httpd-php\n</FilesMatch>\n"
    )
}
