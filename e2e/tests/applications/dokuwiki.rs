//! DokuWiki from Debian's package, with its configuration and pages in the site's own home.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hostel_e2e::database::require;
use hostel_e2e::{Browser, Instance, Site, User};

use crate::html::{self, between, cut, field};
use crate::wordpress::check_file;

pub(crate) const SITE: &str = "wiki";
pub(crate) const USER: User = User::Two;
pub(crate) const DOMAIN: &str = "wiki.localhost";
/// The path of the page that is written.
pub(crate) const PAGE: &str = "/doku.php?id=notes:hostel";

/// In place of Debian's, which points to /etc/dokuwiki: DokuWiki's own places, and a header that says who runs PHP.
const PRELOAD: &str = "<?php
if (!headers_sent()) header('X-Php-User: ' . posix_geteuid());
";
/// Pages stand outside of the document root. Everyone may read, who is logged in may write.
const LOCAL: &str = "<?php
$conf['title'] = 'A wiki on Hostel';
$conf['savedir'] = '../data';
$conf['license'] = 'cc-by-sa';
$conf['useacl'] = 1;
$conf['superuser'] = '@admin';
$conf['updatecheck'] = 0;
";
const RIGHTS: &str = "# acl.auth.php\n# <?php exit()?>\n*  @ALL  1\n*  @user  8\n";
/// DokuWiki takes several kinds of hash; this is an MD5.
const USERS: &str = "# users.auth.php\n# <?php exit()?>\nowner:ad54a23cb08e9c35b3ffc0c30960238f:Owner:owner@wiki.localhost:user\n";
pub(crate) const PASSWORD: &str = "doku-word";
const TEXT: &str =
    "====== A page ======\nwritten **here**, with umlauts: äöü\n{{wiki:dokuwiki-128.png}}\n";

/// Add the site with DokuWiki in it.
pub(crate) fn add_to(instance: &mut Instance) {
    instance.add_site(site());
}

/// The site with DokuWiki in it.
pub(crate) fn site() -> Site {
    require("/usr/share/dokuwiki/doku.php", "dokuwiki");
    Site::new(SITE, USER)
        .domains(&[DOMAIN])
        .copy(Path::new("/usr/share/dokuwiki"), "public")
        .copy(Path::new("/etc/dokuwiki"), "public/conf")
        .copy(Path::new("/var/lib/dokuwiki/data"), "data")
        .file("public/inc/preload.php", PRELOAD)
        .file("public/conf/local.php", LOCAL)
        .file("public/conf/acl.auth.php", RIGHTS)
        .file("public/conf/users.auth.php", USERS)
}

/// Log in, write a page, read it as anyone, fetch every file that it names.
pub(crate) fn use_it(port: u16, home: &Path) {
    let host = format!("{DOMAIN}:{port}");
    let mut owner = Browser::new(port, &host);
    let mut visitor = Browser::new(port, &host);

    let refused = page(&mut visitor, &format!("{PAGE}&do=edit"));
    assert!(
        !refused.contains("do[save]"),
        "everyone may write:\n{}",
        cut(&refused)
    );
    log_in(&mut owner);
    write_page(&mut owner);

    let file =
        fs::read_to_string(home.join("data/pages/notes/hostel.txt")).expect("the page's file");
    assert_eq!(file.trim(), TEXT.trim());
    let read = page(&mut visitor, PAGE);
    assert!(
        read.contains("written <strong>here</strong>, with umlauts: äöü"),
        "{}",
        cut(&read)
    );

    let editor = page(&mut owner, &format!("{PAGE}&do=edit"));
    let media = page(&mut visitor, "/doku.php?id=start&do=media");
    let named: BTreeSet<_> = [read, editor, media]
        .iter()
        .flat_map(|page| html::files(page, &host, "/"))
        .collect();
    println!("DokuWiki names {} files", named.len());
    assert!(named.len() >= 5, "so few cannot be all: {named:?}");
    for (kind, target) in &named {
        check_file(*kind, target, &visitor.get(target).expect("an answer"));
    }
}

fn page(browser: &mut Browser, target: &str) -> String {
    let answer = browser.get(target).expect("an answer");
    assert_eq!(answer.status, 200, "{target}:\n{}", cut(&answer.text()));
    answer.text()
}

fn log_in(owner: &mut Browser) {
    let form = page(owner, "/doku.php?id=start&do=login");
    let token = field(&form, "sectok");
    let fields = [
        ("sectok", token.as_str()),
        ("id", "start"),
        ("do", "login"),
        ("u", "owner"),
        ("p", PASSWORD),
    ];
    let inside = owner
        .post("/doku.php?id=start", &fields)
        .expect("an answer")
        .text();
    assert!(
        inside.contains("do=logout"),
        "not logged in:\n{}",
        cut(&inside)
    );
}

/// Through the edit form, with all its hidden fields as they came.
fn write_page(owner: &mut Browser) {
    let form = page(owner, &format!("{PAGE}&do=edit"));
    let form = between(&form, "id=\"dw__editform\"", "</form>");
    let hidden: Vec<(String, String)> = html::tags(form, "input")
        .into_iter()
        .filter(|tag| tag.get("type").is_some_and(|kind| kind == "hidden"))
        .filter_map(|tag| Some((tag.get("name")?.clone(), tag.get("value")?.clone())))
        .collect();
    let mut fields: Vec<(&str, &str)> = hidden
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    fields.extend([
        ("wikitext", TEXT),
        ("summary", "first"),
        ("do[save]", "Save"),
    ]);
    let saved = owner
        .post("/doku.php?id=notes:hostel", &fields)
        .expect("an answer")
        .text();
    assert!(
        saved.contains("written <strong>here</strong>"),
        "not saved:\n{}",
        cut(&saved)
    );
}
