//! Two real applications side by side on one Hostel, each as its own user: WordPress with MariaDB, and DokuWiki.
//!
//! Both are Debian's packages, copied into the sites' homes with the packages' links resolved, and used through HTTP alone. The
//! same steps are run on nginx and php-fpm too: where they fail there, the test is wrong, not Hostel.

mod dokuwiki;
mod html;
mod same;
mod wordpress;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hostel_e2e::load::Connections;
use hostel_e2e::{Database, Instance, Leftovers, Load, MailServer, Peer, Process, Request, User};

use crate::wordpress::{Made, WordPress};

/// Both tests want the database's usual socket.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn instance(name: &str) -> Instance {
    let mut instance = Instance::new(name);
    wordpress::add_to(&mut instance);
    dokuwiki::add_to(&mut instance);
    instance
}

#[test]
fn the_steps_are_right_on_nginx_and_php_fpm() {
    let _turn = turn();
    let instance = instance("applications-peer");
    let database = Database::start(instance.path("database"), &["wordpress"]);
    let root = |site| instance.home(site).join("public");
    fs::create_dir_all(instance.path("one")).expect("the instance's directory");
    let blog = Peer::start(
        &instance.path("one"),
        wordpress::DOMAIN,
        &root(wordpress::SITE),
        wordpress::USER,
        "",
    );
    WordPress::new(blog.port(), &instance.home(wordpress::SITE)).use_it(&database);
    let wiki = Peer::start(
        &instance.path("two"),
        dokuwiki::DOMAIN,
        &root(dokuwiki::SITE),
        dokuwiki::USER,
        "",
    );
    dokuwiki::use_it(wiki.port(), &instance.home(dokuwiki::SITE));
}

#[test]
fn wordpress_and_dokuwiki_live_side_by_side_as_two_users() {
    let _turn = turn();
    let mut mail = MailServer::new("applications");
    mail.start();
    let mut hostel = instance("applications").settings(&mail.settings()).start();
    let database = Database::start(hostel.path("database"), &["wordpress"]);
    let step = Instant::now();
    let mut blog = WordPress::new(hostel.port(), &hostel.home(wordpress::SITE));
    let made = blog.use_it(&database);
    blog.reset_password(&mail);
    println!("WordPress took {:.1} s", step.elapsed().as_secs_f64());
    let step = Instant::now();
    dokuwiki::use_it(hostel.port(), &hostel.home(dokuwiki::SITE));
    println!("DokuWiki took {:.1} s", step.elapsed().as_secs_f64());

    hundred_mixed_requests(&hostel, &blog, &made);
    every_file_belongs_to_its_user(&hostel, &made);
    status_names_both_users(&hostel);
    let step = Instant::now();
    assert_eq!(hostel.stop(), Leftovers::default());
    println!("the end took {:.1} s", step.elapsed().as_secs_f64());
}

/// A page of either site: host, target, what it must contain, and whose PHP must have made it, if PHP does.
type Page = (String, String, &'static str, Option<User>);

fn mixed_pages(blog: &WordPress, port: u16, made: &Made) -> Vec<Page> {
    let (blog, wiki) = (blog.host(), format!("{}:{port}", dokuwiki::DOMAIN));
    let (one, two) = (Some(wordpress::USER), Some(dokuwiki::USER));
    [
        (blog, made.post.as_str(), "from a site of its own", one),
        (&wiki, dokuwiki::PAGE, "written <strong>here</strong>", two),
        (blog, "/wp-json/wp/v2/posts", "Hello from Hostel", one),
        (&wiki, "/lib/exe/css.php?t=dokuwiki", "{", two),
        (blog, &made.picture, "PNG", None),
        (
            &wiki,
            "/doku.php?id=notes:hostel&do=revisions",
            "first",
            two,
        ),
    ]
    .map(|(host, target, mark, user)| (host.to_owned(), target.to_owned(), mark, user))
    .into()
}

/// Both sites at once from four connections: each answer must be the right page, made by the right user's PHP.
fn hundred_mixed_requests(hostel: &Instance, blog: &WordPress, made: &Made) {
    const COUNT: u32 = 100;
    let pages = mixed_pages(blog, hostel.port(), made);
    let asked = pages.clone();
    let load = Load::start(
        hostel.port(),
        4,
        Connections::Kept,
        move |number| {
            let (host, target, ..) = &asked[number as usize % asked.len()];
            Request::get(host, target)
        },
        move |number, answer| {
            let (_, _, mark, user) = &pages[number as usize % pages.len()];
            let right_user = user.map(|user| user.ids().0.to_string());
            let said = answer.header("X-Php-User").map(str::to_owned);
            answer.status == 200 && answer.text().contains(mark) && said == right_user
        },
    );
    // While they run, /proc must show no other user's PHP.
    let mut seen = BTreeSet::new();
    let end = Instant::now() + Duration::from_secs(60);
    while load.sent() < COUNT && Instant::now() < end {
        let php = hostel.running("hostel-php").into_iter();
        seen.extend(
            php.chain(hostel.running("hostel-keeper"))
                .map(|process| process.uid),
        );
    }
    let counts = load.finish();
    println!(
        "{} mixed requests, the slowest in {:?}",
        counts.right, counts.slowest
    );
    assert!(
        counts.lost() == 0 && counts.right >= COUNT,
        "{counts:?}\n{}",
        hostel.logs()
    );
    let users = [wordpress::USER, dokuwiki::USER].map(|user| user.ids().0);
    assert_eq!(
        seen,
        BTreeSet::from(users),
        "users of the processes of both sites"
    );
}

/// All beneath the homes and the sites' own directories, and the files that the steps made among them.
fn every_file_belongs_to_its_user(hostel: &Instance, made: &Made) {
    let blog = hostel.home(wordpress::SITE);
    let wiki = hostel.home(dokuwiki::SITE);
    let uploads = blog
        .join("public")
        .join(made.picture.trim_start_matches('/'));
    for file in [
        uploads,
        blog.join("public/wp-config.php"),
        wiki.join("data/pages/notes/hostel.txt"),
    ] {
        assert!(file.exists(), "{} was not made", file.display());
    }
    for (site, user) in [
        (wordpress::SITE, wordpress::USER),
        (dokuwiki::SITE, dokuwiki::USER),
    ] {
        let mut count = owned_files(&hostel.home(site), user);
        for directory in ["tmp", "var-tmp", "sessions", "opcache"] {
            count += owned_files(&hostel.path("state/sites").join(site).join(directory), user);
        }
        println!("{count} files of {site}, all of {}", user.name());
    }
}

fn owned_files(path: &Path, user: User) -> usize {
    let metadata = path
        .symlink_metadata()
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(
        (metadata.uid(), metadata.gid()),
        user.ids(),
        "owner of {}",
        path.display()
    );
    if !metadata.is_dir() {
        return 1;
    }
    let entries = fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    1 + entries
        .flatten()
        .map(|entry| owned_files(&entry.path(), user))
        .sum::<usize>()
}

/// What `hostel status` says of both sites: keeper, zygote and workers run as the site's user, as /proc says too.
fn status_names_both_users(hostel: &Instance) {
    let (fine, output, errors) = hostel.command(&["status", "--json"]);
    assert!(fine, "hostel status: {errors}");
    let status: serde_json::Value =
        serde_json::from_str(&output).unwrap_or_else(|e| panic!("{e}: {output}"));
    let sites = status["sites"].as_array().expect("a list of sites");
    for (site, user) in [
        (wordpress::SITE, wordpress::USER),
        (dokuwiki::SITE, dokuwiki::USER),
    ] {
        let entry = sites.iter().find(|entry| entry["name"] == site);
        let entry = entry.unwrap_or_else(|| panic!("status has no site {site}: {status:#}"));
        assert_eq!(entry["user"], user.name(), "{entry:#}");
        let processes = entry["processes"].as_array().expect("a list of processes");
        for name in ["hostel-keeper", "hostel-php", "hostel-worker"] {
            let runs = processes.iter().any(|process| process["name"] == name);
            assert!(runs, "no {name}: {entry:#}");
        }
        for process in processes {
            assert_eq!(process["uid"], user.ids().0, "{entry:#}");
            let pid = process["pid"]
                .as_i64()
                .and_then(|pid| i32::try_from(pid).ok());
            let found = pid.and_then(Process::find);
            let found = found.unwrap_or_else(|| panic!("/proc does not know {process:#}"));
            assert_eq!(found.uid, user.ids().0, "{found:?}");
        }
    }
}
