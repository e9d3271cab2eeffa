//! WordPress and DokuWiki from Debian's packages, with a MariaDB of the bench's own: the same files and content for every server.
//!
//! Apache's www-data must read them and write DokuWiki's cache, so that much is open to everybody, as it is where sites share a user.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cpu::Group;
use crate::failure::{Failure, Result, Tried};
use crate::ground::{self, look_up, run as run_command};
use crate::run::Run;
use crate::site::{self, HELLO, Site, WHO};

/// What the front page of WordPress shows.
pub(crate) const POST_TITLE: &str = "Seven ways to serve a page";
/// What the start page of DokuWiki shows.
pub(crate) const START_TITLE: &str = "The allotments by the canal";

/// Where Debian's PHP looks for the database, and so a place that a site's view has.
const SOCKET: &str = "/run/mysqld/mysqld.sock";
const SOCKET_DIRECTORY: &str = "/run/mysqld";
const PASSWORD: &str = "not a secret, on a socket";

/// What WordPress reads first. The key is as good as any: nobody else reaches it.
const WP_CONFIG: &str = "<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'wordpress');
define('DB_PASSWORD', 'not a secret, on a socket');
define('DB_HOST', 'localhost');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {
    define($name . '_KEY', 'bench ' . $name);
    define($name . '_SALT', 'bench salt ' . $name);
}
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST']);
define('WP_SITEURL', WP_HOME);
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
$table_prefix = 'wp_';
define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
";

/// Run by PHP's command line in the document root: makes the tables, then in a second run posts and a session.
const WP_INSTALL: &str = "
$_SERVER += ['HTTP_HOST' => 'blog.example', 'REQUEST_URI' => '/', 'SERVER_PROTOCOL' => 'HTTP/1.1'];
define('WP_INSTALLING', true);
function wp_mail() { return true; }
require 'wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('A blog', 'owner', 'owner@blog.example', true, '', 'a long enough phrase 4711');
";
const WP_FILL: &str = "
$_SERVER += ['HTTP_HOST' => 'blog.example', 'REQUEST_URI' => '/', 'SERVER_PROTOCOL' => 'HTTP/1.1'];
require 'wp-load.php';
for ($i = 1; $i <= 8; $i++) {
    wp_insert_post(['post_title' => 'Seven ways to serve a page', 'post_status' => 'publish', 'post_author' => 1,
        'post_content' => str_repeat('<p>A paragraph of a post, as long as such paragraphs are.</p>', 20)]);
}
$end = time() + 86400;
$token = WP_Session_Tokens::get_instance(1)->create($end);
echo 'Cookie: ', LOGGED_IN_COOKIE, '=', rawurlencode(wp_generate_auth_cookie(1, $end, 'logged_in', $token)),
    '; ', AUTH_COOKIE, '=', rawurlencode(wp_generate_auth_cookie(1, $end, 'auth', $token));
";

/// DokuWiki's settings. Whichever server writes a cached page, the others may replace it.
const WIKI_LOCAL: &str = "<?php
$conf['title'] = 'A wiki';
$conf['savedir'] = '../data';
$conf['useacl'] = 0;
$conf['updatecheck'] = 0;
$conf['fmode'] = 0666;
$conf['dmode'] = 0777;
";

/// DokuWiki's start page, which Debian's package has none of: as long as such pages are.
const WIKI_START: &str = "====== The allotments by the canal ======

What one member finds out, all shall be able to read. **Everybody may write here**; who is new looks at the [[wiki:syntax|syntax]] first.

===== This month =====

  * prune the //currants//, see [[fruit:currants]]
  * sow [[vegetables:beans|broad beans]] and garlic
    * not in bed four, which is flooded
  * clean the tools, with <code>linseed oil</code>

===== Who has what =====

^ bed ^ who ^ since ^
| 1 | the school | 2011 |
| 2 | free | |
| 3 | the choir | 2019 |

===== Water =====

The pump is switched on in April. Its switch is in the shed, at the left; read the [[house:pump|page about it]] before. Until then each
brings his own water, or takes from the butt by the gate, which is full after a week of rain((four weeks in summer)).

  - open the valve
  - wait until the pump has stopped
  - close the valve
";

/// Both applications, and the database while it lives.
#[derive(Debug)]
pub(crate) struct Applications {
    blog: Site,
    wiki: Site,
    cookie: String,
    database: Database,
}

/// Install both in sites whose names begin so, and start the database.
pub(crate) fn install(run: &Run, prefix: &str) -> Result<Applications> {
    println!("installing WordPress and DokuWiki");
    let database = Database::start(run, &format!("{prefix}database"))?;
    let names = [format!("{prefix}blog"), format!("{prefix}wiki")];
    let sites = site::make(&names, &[HELLO, WHO])?;
    let [blog, wiki] = <[Site; 2]>::try_from(sites)
        .map_err(|_| Failure("two names did not make two sites".into()))?;
    copy_wordpress(&blog)?;
    let cookie = fill_wordpress(&blog)?;
    copy_dokuwiki(&wiki)?;
    Ok(Applications {
        blog,
        wiki,
        cookie,
        database,
    })
}

impl Applications {
    /// The sites.
    pub(crate) fn sites(&self) -> [Site; 2] {
        [self.blog.clone(), self.wiki.clone()]
    }

    /// That of WordPress.
    pub(crate) fn blog(&self) -> &Site {
        &self.blog
    }

    /// That of DokuWiki.
    pub(crate) fn wiki(&self) -> &Site {
        &self.wiki
    }

    /// The header line of who is logged in to WordPress.
    pub(crate) fn cookie(&self) -> Result<String> {
        if self.cookie.starts_with("Cookie: wordpress_logged_in_") {
            return Ok(self.cookie.clone());
        }
        let said = self.cookie.chars().take(300).collect::<String>();
        Err(Failure(format!("WordPress gave no session but: {said}")))
    }

    /// The processes of the database, whose time is part of every page.
    pub(crate) fn database(&self) -> &Group {
        &self.database.group
    }
}

/// WordPress's files and configuration in a site, owned by it.
pub(crate) fn copy_wordpress(site: &Site) -> Result<()> {
    site.copy("/usr/share/wordpress", "public")?;
    site.copy("/var/lib/wordpress/wp-content", "public/wp-content")?;
    // Debian's own reads /etc/wordpress.
    site.page("wp-config.php", WP_CONFIG)?;
    site.own_all()
}

/// Make tables and posts; gives the header line of a session.
pub(crate) fn fill_wordpress(blog: &Site) -> Result<String> {
    let root = blog.root();
    let php = |code: &str| {
        let code = format!("chdir('{}'); {code}", root.display());
        run_command(
            "/usr/bin/php8.2",
            &["-d", "display_errors=stderr", "-r", &code],
        )
    };
    php(WP_INSTALL)?;
    let cookie = php(WP_FILL)?;
    // What the command line wrote as root.
    blog.own_all()?;
    Ok(cookie)
}

fn copy_dokuwiki(wiki: &Site) -> Result<()> {
    wiki.copy("/usr/share/dokuwiki", "public")?;
    wiki.copy("/etc/dokuwiki", "public/conf")?;
    wiki.copy("/var/lib/dokuwiki/data", "data")?;
    wiki.page("inc/preload.php", "<?php\n")?;
    wiki.page("conf/local.php", WIKI_LOCAL)?;
    let start = wiki.home.join("data/pages/start.txt");
    ground::file(&start, WIKI_START, None, 0o644)?;
    wiki.own_all()?;
    let data = wiki.home.join("data");
    run_command("chmod", &["-R", "a+rwX", &data.to_string_lossy()])?;
    Ok(())
}

/// A MariaDB at the usual socket.
#[derive(Debug)]
pub(crate) struct Database {
    group: Group,
    server: Child,
    made_directory: bool,
}

impl Database {
    /// Start it in a directory of this name, with the empty database `wordpress` of a user `wordpress`.
    pub(crate) fn start(run: &Run, name: &str) -> Result<Self> {
        if UnixStream::connect(SOCKET).is_ok() {
            return Err(Failure(format!(
                "a database listens on {SOCKET} already; stop it for the while"
            )));
        }
        let owner = look_up("mysql")?;
        let made_directory = !Path::new(SOCKET_DIRECTORY).exists();
        if made_directory {
            fs::create_dir(SOCKET_DIRECTORY).tried("make the directory of the socket")?;
            chown(SOCKET_DIRECTORY, Some(owner.0), Some(owner.1)).tried("give it to mysql")?;
        }
        let directory = run.ground.server_directory(name)?;
        chown(&directory, Some(owner.0), Some(owner.1)).tried("give a directory to mysql")?;
        let data = directory.join("data").display().to_string();
        run_command(
            "mariadb-install-db",
            &[
                "--no-defaults",
                "--user=mysql",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
                &format!("--datadir={data}"),
            ],
        )?;
        let first = directory.join("first.sql");
        let statements = format!(
            "CREATE DATABASE wordpress;\nCREATE USER 'wordpress'@'localhost' IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL ON wordpress.* TO 'wordpress'@'localhost';\n"
        );
        ground::file(&first, &statements, Some(owner), 0o600)?;
        let group = Group::create("database")?;
        let log = fs::File::create(directory.join("mariadbd.log")).tried("make a log")?;
        let mut command = group.command(PathBuf::from("/usr/sbin/mariadbd"));
        command
            .args(["--no-defaults", "--user=mysql", "--skip-name-resolve"])
            .args(["--skip-networking", "--innodb-flush-log-at-trx-commit=0"])
            .arg(format!("--socket={SOCKET}"))
            .arg(format!("--datadir={data}"))
            .arg(format!("--pid-file={}/pid", directory.display()))
            .arg(format!("--init-file={}", first.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let database = Self {
            group,
            server: command.spawn().tried("start mariadbd")?,
            made_directory,
        };
        database.wait()?;
        Ok(database)
    }

    fn wait(&self) -> Result<()> {
        let begun = Instant::now();
        while UnixStream::connect(SOCKET).is_err() {
            if begun.elapsed() > Duration::from_secs(30) {
                return Err(Failure("mariadbd does not answer after 30 seconds".into()));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Its data goes with the ground: there is nothing to save.
        let _ = self.group.end();
        let _ = self.server.wait();
        if self.made_directory {
            let _ = fs::remove_dir_all(SOCKET_DIRECTORY);
        }
    }
}
