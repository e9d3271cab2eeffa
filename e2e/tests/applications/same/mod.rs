//! WordPress, DokuWiki and Adminer where every request is fresh: the same answers as where workers are used again.
//!
//! Two servers have the same files and the same content in their databases. Pages by chance, which read and which write, are asked of both at
//! the same time, so that both stay the same; each answer is compared whole, apart from a list of what must differ (`MARKS` of each
//! application) and times. HOSTEL_FRESH_PAGES says how many for each application (`cargo xtask fresh`: 20,000), HOSTEL_SEED in which order;
//! HOSTEL_FRESH_APPLICATION, which one alone.

mod adminer;
mod dokuwiki;
mod pair;
mod wordpress;

use std::time::Instant;

use hostel_e2e::random::{Random, say};
use hostel_e2e::{Database, Instance};

use crate::{html, turn};
use pair::Answers;

/// Requests to each application, where HOSTEL_FRESH_PAGES does not say otherwise.
const PAGES: usize = 80;
const SIDES: [&str; 2] = ["one", "two"];
const ADMINER_DATABASES: [&str; 2] = ["shop_one", "shop_two"];
const BLOG_DATABASES: [&str; 2] = ["blog_one", "blog_two"];

/// Both have these words.
fn must_say(answers: &Answers, words: &str) {
    for answer in answers {
        let text = answer.text();
        assert!(text.contains(words), "no {words:?}:\n{}", html::cut(&text));
    }
}

/// A server with all three.
fn server(mut instance: Instance, side: usize, fresh: &str, host: &str) -> Instance {
    let fresh = format!("fresh = {fresh}");
    for site in [
        wordpress::site(BLOG_DATABASES[side], host),
        crate::dokuwiki::site(),
        adminer::site(),
    ] {
        instance.add_site(site.toml(&fresh));
    }
    instance.start()
}

/// What an application's test does: prepares both sides, and then asks for pages, some at a time.
trait Application {
    fn name(&self) -> &'static str;
    fn prepare(&mut self);
    /// One page or a few.
    fn step(&mut self, random: &mut Random);
    fn requests(&self) -> usize;
}

/// So many pages of an application.
fn many(application: &mut dyn Application, pages: usize, mut random: Random) {
    let name = application.name();
    let begun = Instant::now();
    application.prepare();
    let mut told = 0;
    while application.requests() < pages {
        application.step(&mut random);
        if application.requests() / 1000 > told {
            told = application.requests() / 1000;
            let seconds = begun.elapsed().as_secs();
            say(&format!(
                "{name}: {told} thousand of {pages} in {seconds} s"
            ));
        }
    }
    let seconds = begun.elapsed().as_secs();
    say(&format!(
        "{name}: {} requests in {seconds} s",
        application.requests()
    ));
}

/// All three applications at once.
fn the_same_answers(fresh: &str, share: usize) {
    let _turn = turn();
    let pages = std::env::var("HOSTEL_FRESH_PAGES").map_or(PAGES, |given| {
        given.parse().expect("HOSTEL_FRESH_PAGES is a number")
    });
    let pages = (pages / share).max(40);
    let [one, two] = SIDES.map(Instance::new);
    let names = [BLOG_DATABASES, ADMINER_DATABASES].concat();
    let database = Database::start(one.path("database"), &names);
    let pooled = server(one, 0, "false", &database.host);
    let other = server(two, 1, fresh, &database.host);
    let ports = [pooled.port(), other.port()];
    let alone = std::env::var("HOSTEL_FRESH_APPLICATION").ok();
    let is_alone = alone.is_some();
    std::thread::scope(|scope| {
        let applications: [Box<dyn Application + Send>; 3] = [
            Box::new(wordpress::Blog::new(ports)),
            Box::new(dokuwiki::Wiki::new(ports)),
            Box::new(adminer::Adminer::new(ports, &database.host)),
        ];
        let is_wanted = |name: &str| alone.as_ref().is_none_or(|alone| alone == name);
        let wanted: Vec<_> = applications
            .into_iter()
            .filter(|application| is_wanted(application.name()))
            .collect();
        assert!(
            !wanted.is_empty(),
            "HOSTEL_FRESH_APPLICATION is none of them"
        );
        for mut application in wanted {
            scope.spawn(move || many(&mut *application, pages, Random::by_seed()));
        }
    });
    let (is_well, text, errors) = other.command(&["status", "--json"]);
    assert!(is_well, "{errors}");
    let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for site in status["sites"].as_array().expect("sites") {
        let means = site["fresh"].as_str().expect("means");
        let wanted = if fresh == "true" { "rewind-" } else { "fork" };
        let was_left_out = is_alone && site["requests"] == 0;
        assert!(was_left_out || means.starts_with(wanted), "{site}");
        assert_eq!(site["workers"]["crashed"], 0, "{site}");
        let (started, requests) = (&site["workers"]["started"], &site["requests"]);
        say(&format!(
            "{}: {started} workers for {requests} requests",
            site["name"]
        ));
    }
}

#[test]
fn applications_answer_the_same_where_workers_are_put_back() {
    the_same_answers("true", 1);
}

#[test]
fn applications_answer_the_same_where_each_request_has_a_process() {
    the_same_answers("\"fork\"", 3);
}
