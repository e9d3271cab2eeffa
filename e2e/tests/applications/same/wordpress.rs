//! WordPress: what visitors read, and what its owner does on its own pages, with plugins.

use hostel_e2e::database::PASSWORD as DATABASE_PASSWORD;
use hostel_e2e::{Request, Site};
use serde_json::{Value, json};

use super::pair::{Kind, Mark, Pair, with};
use super::{Application, BLOG_DATABASES, Random, must_say};
use crate::html::{self, between};
use crate::wordpress::{DOMAIN, PASSWORD};

const MARKS: &[Mark] = &[
    // Nonces are of a session, whose token is by chance.
    ("", Kind::Hex(10)),
    // When it was installed, and now.
    ("hh\" value=\"", Kind::Number),
    ("mn\" value=\"", Kind::Number),
    ("ss\" value=\"", Kind::Number),
    ("<div class=\"hh\">", Kind::Number),
    ("<div class=\"mn\">", Kind::Number),
    ("<div class=\"ss\">", Kind::Number),
    // Where its files are.
    ("/srv/hostel-test-", Kind::Place),
    // One of three servers of pictures of people.
    ("http://", Kind::Number),
    ("http:\\/\\/", Kind::Number),
    // A number by chance of Akismet's.
    ("name=\"ak_js\" value=\"", Kind::Number),
    // A password that is proposed.
    ("data-pw=\"", Kind::Value),
];

/// A plugin with what plugins keep: statics, an option, a transient, a filter, a short code.
const COUNTER: &str = "<?php
/* Plugin Name: Counter */
class Counter { static $count = 0; static function next() { return ++self::$count; } }
add_shortcode('counter', fn () => 'counted ' . Counter::next());
add_filter('the_content', function ($text) { static $n = 0; return $text . '<p>content ' . ++$n . '</p>'; });
add_action('wp_footer', function () { set_transient('counter', Counter::next(), 3600); setlocale(LC_ALL, 'C.UTF-8'); date_default_timezone_set('Asia/Tokyo'); echo '<!-- ', Counter::next(), ' -->'; });
";
const GREETING: &str = "<?php
/* Plugin Name: Greeting */
define('GREETING', 'Greetings ' . (defined('GREETED') ? 'again' : 'once')); define('GREETED', 1);
add_action('admin_notices', function () { echo '<p>', GREETING, ' ', (int) get_option('greetings'), '</p>'; update_option('greetings', 1 + (int) get_option('greetings')); });
";

fn configuration(database: &str) -> String {
    let keys = ["AUTH", "SECURE_AUTH", "LOGGED_IN", "NONCE"].map(|name| {
        format!("define('{name}_KEY', 'a key {name}'); define('{name}_SALT', 'a salt {name}');\n")
    });
    // Where another server has the usual socket, the test's database is at the port.
    format!(
        "<?php
define('DB_NAME', '{database}'); define('DB_USER', 'wordpress'); define('DB_PASSWORD', '{DATABASE_PASSWORD}');
define('DB_HOST', trim(file_get_contents(__DIR__ . '/../database-host'))); define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', '');
{}define('WP_HOME', 'http://{DOMAIN}'); define('WP_SITEURL', WP_HOME);
define('DISABLE_WP_CRON', true); define('AUTOMATIC_UPDATER_DISABLED', true);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
",
        keys.concat()
    )
}

/// The site with WordPress in it, configured.
pub(super) fn site(database: &str, host: &str) -> Site {
    crate::wordpress::site()
        .file("database-host", host)
        .file("public/wp-config.php", configuration(database))
        .file("public/wp-content/plugins/counter.php", COUNTER)
        .file("public/wp-content/plugins/greeting.php", GREETING)
}

pub(super) struct Blog {
    visitor: Pair,
    owner: Pair,
    /// Of the REST interface, at each side.
    nonces: [String; 2],
    posts: Vec<u64>,
}

impl Blog {
    pub(super) fn new(ports: [u16; 2]) -> Self {
        let pair = Pair::new(DOMAIN, ports, BLOG_DATABASES, MARKS);
        Self {
            visitor: pair.clone(),
            owner: pair,
            nonces: [String::new(), String::new()],
            posts: Vec::new(),
        }
    }

    fn install(&mut self) {
        drop(self.owner.get("/wp-admin/install.php"));
        let fields = [
            ("weblog_title", "A blog on Hostel"),
            ("user_name", "owner"),
            ("admin_password", PASSWORD),
            ("admin_password2", PASSWORD),
            ("admin_email", "owner@blog.localhost"),
            ("blog_public", "1"),
            ("language", ""),
        ];
        let done = self.owner.post("/wp-admin/install.php?step=2", |_| {
            with(Vec::new(), &fields)
        });
        must_say(&done, "Success!");
    }

    fn log_in(&mut self) {
        drop(self.owner.get("/wp-login.php"));
        let fields = [
            ("log", "owner"),
            ("pwd", PASSWORD),
            ("testcookie", "1"),
            ("redirect_to", "/wp-admin/"),
        ];
        let inside = self
            .owner
            .post("/wp-login.php", |_| with(Vec::new(), &fields));
        must_say(&inside, "<h1>Dashboard</h1>");
        let editor = self.owner.get("/wp-admin/post-new.php");
        self.nonces =
            editor.map(|page| between(&page.text(), "createNonceMiddleware( \"", "\"").to_owned());
    }

    /// By the links of the page of plugins.
    fn activate(&mut self, plugin: &str) {
        let page = self.owner.get("/wp-admin/plugins.php");
        let nonces = page.map(|page| {
            let text = page.text();
            let mark = format!("action=activate&amp;plugin={}", hostel_e2e::encode(plugin));
            let rest = between(&text, &mark, "\"").to_owned();
            let (_, nonce) = rest.split_once("_wpnonce=").expect("a nonce");
            nonce.to_owned()
        });
        let plugin = hostel_e2e::encode(plugin);
        let done = self.owner.send(|host, side| {
            let nonce = &nonces[side];
            let target =
                format!("/wp-admin/plugins.php?action=activate&plugin={plugin}&_wpnonce={nonce}");
            Request::get(host, &target)
        });
        assert_eq!(done[0].status, 200);
    }

    /// A call of the REST interface as the editor makes it.
    fn api(&mut self, target: &str, body: &Value) -> Value {
        let (nonces, body) = (self.nonces.clone(), body.to_string());
        let answers = self.owner.send(|host, side| {
            Request::new("POST", host, target)
                .header("X-WP-Nonce", &nonces[side])
                .body("application/json", body.clone())
        });
        let text = answers[0].text();
        assert!(matches!(answers[0].status, 200 | 201), "{text}");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// Dates are said, so that those of both sides are the same, and the posts' order too.
    fn publish(&mut self) {
        let number = self.posts.len();
        let (hour, minute) = (number / 60 % 24, number % 60);
        let day = 1 + number / 1440;
        let made = self.api(
            "/?rest_route=/wp/v2/posts",
            &json!({
                "title": format!("Post {number} of many"),
                "content": format!("<p>Grüße {number} from a site. [counter] [counter]</p>"),
                "status": "publish",
                "date": format!("2026-01-{day:02}T{hour:02}:{minute:02}:00"),
            }),
        );
        self.posts.push(made["id"].as_u64().expect("a number"));
    }

    fn save_settings(&mut self, random: &mut Random) {
        let target = "/wp-admin/options-general.php";
        let form = self.owner.get(target);
        let tagline = format!("a tagline {}", random.below(1000));
        let done = self.owner.post("/wp-admin/options.php", |side| {
            let nonce = html::field(&form[side].text(), "_wpnonce");
            let fields = [
                ("option_page", "general"),
                ("action", "update"),
                ("_wpnonce", nonce.as_str()),
                ("_wp_http_referer", target),
                ("blogname", "A blog on Hostel"),
                ("blogdescription", &tagline),
                ("siteurl", "http://blog.localhost"),
                ("home", "http://blog.localhost"),
                ("new_admin_email", "owner@blog.localhost"),
                ("default_role", "subscriber"),
                ("timezone_string", "UTC"),
                ("date_format", "F j, Y"),
                ("time_format", "g:i a"),
                ("start_of_week", "1"),
                ("WPLANG", ""),
            ];
            with(Vec::new(), &fields)
        });
        must_say(&done, "Settings saved");
    }
}

impl Application for Blog {
    fn name(&self) -> &'static str {
        "WordPress"
    }

    fn prepare(&mut self) {
        self.install();
        self.log_in();
        for plugin in ["akismet/akismet.php", "counter.php", "greeting.php"] {
            self.activate(plugin);
        }
        for _ in 0..4 {
            self.publish();
        }
    }

    fn step(&mut self, random: &mut Random) {
        let post = self.posts[random.below(self.posts.len())];
        let read = |this: &mut Self, target: &str| drop(this.visitor.get(target));
        let own = |this: &mut Self, target: &str| drop(this.owner.get(target));
        match random.below(20) {
            0..=2 => read(self, "/"),
            3 | 4 => read(self, &format!("/?p={post}")),
            5 => read(self, &format!("/?s=Post+{}", post % 7)),
            6 => read(self, "/?feed=rss2"),
            7 => read(self, "/?rest_route=/wp/v2/posts"),
            8 => read(self, "/?p=99999999"),
            9 => read(self, "/wp-login.php"),
            10 => own(self, "/wp-admin/index.php"),
            11 => own(self, "/wp-admin/edit.php"),
            12 => own(self, &format!("/wp-admin/post.php?post={post}&action=edit")),
            13 => own(self, "/wp-admin/plugins.php"),
            14 => own(self, "/wp-admin/profile.php"),
            15 => own(self, &format!("/?p={post}")),
            16 => self.publish(),
            17 => {
                let text = format!("<p>changed {} [counter]</p>", random.below(999));
                let target = format!("/?rest_route=/wp/v2/posts/{post}");
                drop(self.api(&target, &json!({ "content": text })));
            }
            18 => self.save_settings(random),
            _ => own(self, "/wp-admin/upload.php?mode=list"),
        }
    }

    fn requests(&self) -> usize {
        self.visitor.requests + self.owner.requests
    }
}
