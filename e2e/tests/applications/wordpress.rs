//! WordPress from Debian's package, used as its owner uses it: through its own pages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hostel_e2e::database::{self, Database, require};
use hostel_e2e::{Browser, Instance, MailServer, Part, Request, Response, Site, User, wait_until};
use serde_json::{Value, json};

use crate::html::{self, Kind, between, cut, field};

pub(crate) const SITE: &str = "blog";
pub(crate) const USER: User = User::One;
/// curl, and so PHP, knows by itself that names beneath localhost are this machine: WordPress calls itself at its own address.
pub(crate) const DOMAIN: &str = "blog.localhost";
pub(crate) const PASSWORD: &str = "a long enough phrase 4711";
/// The picture that is uploaded: 1200 by 900.
const PICTURE: &str = "/usr/share/wordpress/wp-content/themes/twentytwentythree/screenshot.png";

/// Loaded by WordPress with every request: says who runs PHP, and keeps WordPress from calling other hosts.
const PLUGIN: &str = "<?php
header('X-Php-User: ' . posix_geteuid());
define('WP_HTTP_BLOCK_EXTERNAL', true);
";

/// Add the site with WordPress in it, not yet configured.
pub(crate) fn add_to(instance: &mut Instance) {
    instance.add_site(site());
    // Debian's own reads /etc/wordpress; WordPress's set-up page writes one where there is none.
    fs::remove_file(instance.home(SITE).join("public/wp-config.php")).expect("the package has one");
}

/// The site with WordPress in it, and Debian's configuration.
pub(crate) fn site() -> Site {
    require("/usr/share/wordpress/wp-load.php", "wordpress");
    require(PICTURE, "wordpress-theme-twentytwentythree");
    Site::new(SITE, USER)
        .domains(&[DOMAIN])
        .copy(Path::new("/usr/share/wordpress"), "public")
        .copy(
            Path::new("/var/lib/wordpress/wp-content"),
            "public/wp-content",
        )
        .file("public/wp-content/mu-plugins/test.php", PLUGIN)
}

/// A WordPress that is reached through one port.
#[derive(Debug)]
pub(crate) struct WordPress {
    host: String,
    root: PathBuf,
    browser: Browser,
    nonce: String,
}

/// What the steps made.
#[derive(Debug)]
pub(crate) struct Made {
    /// The path of the post's page.
    pub(crate) post: String,
    /// The path of the uploaded picture.
    pub(crate) picture: String,
}

impl WordPress {
    /// `home` is the site's.
    pub(crate) fn new(port: u16, home: &Path) -> Self {
        let host = format!("{DOMAIN}:{port}");
        Self {
            browser: Browser::new(port, &host),
            host,
            root: home.join("public"),
            nonce: String::new(),
        }
    }

    /// What the Host header says.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// All steps, from an empty directory to a published post.
    pub(crate) fn use_it(&mut self, database: &Database) -> Made {
        self.configure(database);
        self.install();
        self.log_in();
        self.set_permalinks();
        self.nonce = self.editor_nonce();
        let (id, picture) = self.upload();
        let post = self.publish(id, &picture);
        self.read_as_visitor(&post, &picture);
        self.fetch_named_files(&post);
        Made { post, picture }
    }

    /// The set-up page writes wp-config.php.
    fn configure(&mut self, database: &Database) {
        let first = self.page("/");
        assert!(
            first.contains("setup-config.php"),
            "no way to the set-up:\n{}",
            cut(&first)
        );
        let fields = [
            ("dbname", "wordpress"),
            ("uname", "wordpress"),
            ("pwd", database::PASSWORD),
            ("dbhost", &database.host),
            ("prefix", "wp_"),
            ("language", ""),
            ("noapi", "1"),
        ];
        let done = self.post("/wp-admin/setup-config.php?step=2", &fields);
        assert!(
            done.contains("install.php"),
            "wp-config.php was not written:\n{}",
            cut(&done)
        );
    }

    fn install(&mut self) {
        let form = self.page("/wp-admin/install.php");
        assert!(
            form.contains("weblog_title"),
            "no installer:\n{}",
            cut(&form)
        );
        let fields = [
            ("weblog_title", "A blog on Hostel"),
            ("user_name", "owner"),
            ("admin_password", PASSWORD),
            ("admin_password2", PASSWORD),
            ("admin_email", "owner@blog.localhost"),
            ("blog_public", "1"),
            ("language", ""),
        ];
        let done = self.post("/wp-admin/install.php?step=2", &fields);
        assert!(done.contains("Success!"), "not installed:\n{}", cut(&done));
    }

    fn log_in(&mut self) {
        self.page("/wp-login.php");
        let wrong = [("log", "owner"), ("pwd", "wrong"), ("testcookie", "1")];
        let refused = self.post("/wp-login.php", &wrong);
        assert!(
            refused.contains("login_error"),
            "a wrong password was taken:\n{}",
            cut(&refused)
        );
        let right = [
            ("log", "owner"),
            ("pwd", PASSWORD),
            ("testcookie", "1"),
            ("redirect_to", "/wp-admin/"),
        ];
        let inside = self.post("/wp-login.php", &right);
        assert!(
            inside.contains("<h1>Dashboard</h1>"),
            "not logged in:\n{}",
            cut(&inside)
        );
    }

    fn set_permalinks(&mut self) {
        let form = self.page("/wp-admin/options-permalink.php");
        let nonce = field(&form, "_wpnonce");
        let fields = [
            ("_wpnonce", nonce.as_str()),
            ("_wp_http_referer", "/wp-admin/options-permalink.php"),
            ("selection", "custom"),
            ("permalink_structure", "/%year%/%postname%/"),
            ("category_base", ""),
            ("tag_base", ""),
        ];
        let done = self.post("/wp-admin/options-permalink.php", &fields);
        assert!(
            done.contains("Permalink structure updated"),
            "permalinks were not set:\n{}",
            cut(&done)
        );
    }

    fn editor_nonce(&mut self) -> String {
        let editor = self.page("/wp-admin/post-new.php");
        between(&editor, "createNonceMiddleware( \"", "\"").to_owned()
    }

    /// By the page "Add New Media" as a browser's script does it; the answer is the picture's number.
    fn upload(&mut self) -> (u64, String) {
        let form = self.page("/wp-admin/media-new.php");
        let parameters = between(&form, "\"multipart_params\":{", "}");
        let nonce = between(parameters, "\"_wpnonce\":\"", "\"").to_owned();
        let content = fs::read(PICTURE).expect("it was there a moment ago");
        let text = |name, content: &'static str| Part {
            name,
            file: None,
            content: content.as_bytes(),
        };
        let parts = [
            text("name", "screenshot.png"),
            text("post_id", "0"),
            text("short", "1"),
            Part {
                name: "_wpnonce",
                file: None,
                content: nonce.as_bytes(),
            },
            Part {
                name: "async-upload",
                file: Some(("screenshot.png", "image/png")),
                content: &content,
            },
        ];
        let answer = self
            .browser
            .upload("/wp-admin/async-upload.php", &parts)
            .expect("an answer");
        let id = answer
            .text()
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("not uploaded: {}", cut(&answer.text())));

        let media = self.api("GET", &format!("/wp-json/wp/v2/media/{id}"), None, 200);
        let original = self.own_path(&media["source_url"]);
        assert_eq!(
            self.visit(&original).body,
            content,
            "the picture came back changed"
        );
        let thumbnail = &media["media_details"]["sizes"]["thumbnail"];
        let served = self.visit(&self.own_path(&thumbnail["source_url"]));
        assert_eq!(served.header("Content-Type"), Some("image/png"));
        // A PNG's width and height stand behind its mark and the head of its first chunk.
        let size = [150_u32.to_be_bytes(), 150_u32.to_be_bytes()].concat();
        assert_eq!(
            served.body.get(16..24),
            Some(size.as_slice()),
            "not a picture of 150 by 150"
        );
        (id, original)
    }

    /// As the editor does it: a draft, then its publication by a POST that says PUT.
    fn publish(&mut self, picture_id: u64, picture: &str) -> String {
        let content = format!(
            "<!-- wp:paragraph --><p>Grüße from a site of its own.</p><!-- /wp:paragraph --><img src=\"{picture}\" alt=\"\">"
        );
        let draft = json!({"title": "Hello from Hostel", "content": "", "status": "draft"});
        let draft = self.api(
            "POST",
            "/wp-json/wp/v2/posts?_locale=user",
            Some(&draft),
            201,
        );
        let full = json!({"content": content, "status": "publish", "featured_media": picture_id});
        let post = self.api(
            "PUT",
            &format!("/wp-json/wp/v2/posts/{}?_locale=user", draft["id"]),
            Some(&full),
            200,
        );
        assert_eq!(post["status"], "publish", "{post}");
        let path = self.own_path(&post["link"]);
        assert!(
            path.ends_with("/hello-from-hostel/"),
            "not the permalink that was set: {path}"
        );
        path
    }

    fn read_as_visitor(&self, post: &str, picture: &str) {
        let page = self.visit(post).text();
        assert!(
            page.contains("<p>Grüße from a site of its own.</p>") && page.contains(picture),
            "{}",
            cut(&page)
        );
        assert!(self.visit("/").text().contains("Hello from Hostel"));
        let missing = self.answer_to_visitor("/2001/no-such-post/");
        assert_eq!(missing.status, 404);
        assert!(
            missing.text().contains("wp-"),
            "the 404 page is not WordPress's own"
        );
        let closed = self.answer_to_visitor("/wp-json/wp/v2/settings");
        assert_eq!(closed.status, 401);
        // Redirected to the one right address, by PHP.
        let bare = self.answer_to_visitor(post.trim_end_matches('/'));
        let place = bare
            .header("Location")
            .map(|url| self.browser.target_of(url));
        assert_eq!((bare.status, place), (301, Some(post)));
    }

    /// Every script, style and picture that the pages name, once.
    fn fetch_named_files(&mut self, post: &str) {
        let mut named = BTreeSet::new();
        for page in ["/", post] {
            named.extend(html::files(&self.visit(page).text(), &self.host, page));
        }
        for page in [
            "",
            "post-new.php",
            "upload.php",
            "edit.php",
            "plugins.php",
            "profile.php",
        ] {
            let html = self.page(&format!("/wp-admin/{page}"));
            named.extend(html::files(&html, &self.host, "/wp-admin/"));
        }
        for kind in [Kind::Script, Kind::Style, Kind::Picture] {
            let count = named.iter().filter(|(k, _)| *k == kind).count();
            println!("WordPress names {count} files of kind {kind:?}");
            assert!(count >= 3, "so few cannot be all: {named:?}");
        }
        let mut of_styles = BTreeSet::new();
        for (kind, target) in &named {
            let answer = self.browser.get(target).expect("an answer");
            check_file(*kind, target, &answer);
            if *kind == Kind::Style {
                of_styles.extend(html::named_by_style(&answer.text(), &self.host, target));
            }
        }
        println!("its styles name {} more", of_styles.len());
        for target in of_styles {
            self.check_file_on_disk(&target);
        }
    }

    /// Debian's package lacks a few pictures that WordPress's styles name: what is there must be served as it is, the rest be 404.
    fn check_file_on_disk(&self, target: &str) {
        let path = target.split('?').next().unwrap_or_default();
        let answer = self.answer_to_visitor(target);
        match fs::read(self.root.join(path.trim_start_matches('/'))) {
            Ok(content) => assert!(
                answer.status == 200 && answer.body == content,
                "{target}: status {}",
                answer.status
            ),
            Err(_) => assert_eq!(answer.status, 404, "{target}"),
        }
    }

    /// As somebody who has forgotten the password: the letter arrives, and its link leads to where a new one is chosen.
    pub(crate) fn reset_password(&self, server: &MailServer) {
        let mut visitor = Self {
            browser: Browser::new(self.port(), &self.host),
            host: self.host.clone(),
            root: self.root.clone(),
            nonce: String::new(),
        };
        visitor.page("/wp-login.php?action=lostpassword");
        let fields = [("user_login", "owner"), ("redirect_to", "")];
        let asked = visitor.post("/wp-login.php?action=lostpassword", &fields);
        assert!(asked.contains("Check your email"), "{}", cut(&asked));
        let letter = || {
            let mails = server.mails().into_iter();
            mails.rev().find(|mail| mail.text().contains("action=rp"))
        };
        wait_until(Duration::from_secs(30), || letter().is_some());
        let letter = letter().expect("the letter has arrived");
        assert_eq!(letter.recipients, ["owner@blog.localhost"]);
        let head = letter.head();
        assert!(
            head.contains(&format!("X-Hostel-Site: {SITE}")),
            "{head:#?}"
        );
        let body = letter.body();
        let link = body
            .split_whitespace()
            .find_map(|word| word.strip_prefix(&format!("http://{}", self.host)))
            .filter(|target| target.contains("action=rp"));
        let form = visitor.page(link.unwrap_or_else(|| panic!("no link:\n{body}")));
        assert!(form.contains("resetpassform"), "no form:\n{}", cut(&form));
    }

    fn page(&mut self, target: &str) -> String {
        let answer = self.browser.get(target).expect("an answer");
        assert_eq!(answer.status, 200, "{target}:\n{}", cut(&answer.text()));
        answer.text()
    }

    fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.browser.post(target, fields).expect("an answer");
        assert_eq!(answer.status, 200, "{target}:\n{}", cut(&answer.text()));
        answer.text()
    }

    /// A call of the REST interface as the editor makes it.
    fn api(&mut self, method: &str, target: &str, body: Option<&Value>, status: u16) -> Value {
        let sent = if method == "GET" { "GET" } else { "POST" };
        let mut request = Request::new(sent, &self.host, target)
            .header("X-WP-Nonce", &self.nonce)
            .header("X-HTTP-Method-Override", method);
        if let Some(body) = body {
            request = request.body("application/json", body.to_string());
        }
        let answer = self.browser.send(request).expect("an answer");
        assert_eq!(
            answer.status,
            status,
            "{method} {target}:\n{}",
            cut(&answer.text())
        );
        serde_json::from_slice(&answer.body)
            .unwrap_or_else(|e| panic!("{target}: {e}:\n{}", cut(&answer.text())))
    }

    /// A GET without cookies that must be right.
    fn visit(&self, target: &str) -> Response {
        let answer = self.answer_to_visitor(target);
        assert_eq!(answer.status, 200, "{target}:\n{}", cut(&answer.text()));
        answer
    }

    fn answer_to_visitor(&self, target: &str) -> Response {
        let request = Request::get(&self.host, target);
        let mut visitor = Browser::new(self.port(), &self.host);
        visitor.send(request).expect("an answer")
    }

    fn port(&self) -> u16 {
        let (_, port) = self.host.split_once(':').expect("made with a port");
        port.parse().expect("made with a port")
    }

    fn own_path(&self, url: &Value) -> String {
        let url = url.as_str().expect("a URL");
        let path = url.strip_prefix(&format!("http://{}", self.host));
        path.unwrap_or_else(|| panic!("{url} is not on {}", self.host))
            .to_owned()
    }
}

/// A file that a page names must be there and be what the page takes it for.
pub(crate) fn check_file(kind: Kind, target: &str, answer: &Response) {
    let media_type = answer.header("Content-Type").unwrap_or_default();
    let right = match kind {
        Kind::Script => media_type.contains("javascript"),
        Kind::Style => media_type.starts_with("text/css"),
        Kind::Picture => media_type.starts_with("image/"),
    };
    assert!(
        answer.status == 200 && right && !answer.body.is_empty(),
        "{kind:?} {target}: status {}, {media_type}, {} bytes:\n{}",
        answer.status,
        answer.body.len(),
        cut(&answer.text())
    );
}
