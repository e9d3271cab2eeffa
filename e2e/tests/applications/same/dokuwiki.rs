//! DokuWiki: view, edit, save, search, media, revisions, as a visitor and as who is logged in.

use std::time::{Duration, Instant};

use super::pair::{Kind, Mark, Pair, hidden, with};
use super::{Application, Random, must_say};
use crate::dokuwiki::{DOMAIN, PASSWORD};
use crate::html;

const MARKS: &[Mark] = &[
    // A token of the session.
    ("name=\"sectok\" value=\"", Kind::Word),
    ("sectok=", Kind::Word),
    // A cookie whose name is of where the files are.
    ("Set-Cookie: DW", Kind::Word),
    // Digests with a secret of the installation.
    ("&amp;tok=", Kind::Word),
    ("?tok=", Kind::Word),
    // A digest of times.
    ("?tseed=", Kind::Word),
    ("tseed=", Kind::Word),
    ("&amp;hash=", Kind::Word),
];

/// Pages that are written.
const PAGES: usize = 12;
/// Between two saves of one page.
const SAVES_APART: Duration = Duration::from_millis(1500);

pub(super) struct Wiki {
    visitor: Pair,
    owner: Pair,
    edits: usize,
    /// When each page was saved.
    saved: [Option<Instant>; PAGES],
}

impl Wiki {
    pub(super) fn new(ports: [u16; 2]) -> Self {
        let pair = Pair::new(DOMAIN, ports, ["no_database"; 2], MARKS);
        Self {
            visitor: pair.clone(),
            owner: pair,
            edits: 0,
            saved: [None; PAGES],
        }
    }

    fn log_in(&mut self) {
        let form = self.owner.get("/doku.php?id=start&do=login");
        let inside = self.owner.post("/doku.php?id=start", |side| {
            let token = html::field(&form[side].text(), "sectok");
            let fields = [
                ("sectok", token.as_str()),
                ("id", "start"),
                ("do", "login"),
                ("u", "owner"),
                ("p", PASSWORD),
            ];
            with(Vec::new(), &fields)
        });
        must_say(&inside, "do=logout");
    }

    fn log_out(&mut self) {
        let page = self.owner.get("/doku.php?id=start");
        let tokens = page.map(|page| {
            let text = page.text();
            html::between(&text, "do=logout&amp;sectok=", "\"").to_owned()
        });
        let outside = self.owner.post("/doku.php?id=start", |side| {
            with(Vec::new(), &[("do", "logout"), ("sectok", &tokens[side])])
        });
        must_say(&outside, "do=login");
    }

    /// Two of a page's revisions of one second are one to DokuWiki, and on the other side it may not be the same second.
    fn was_saved_just_now(&mut self, page: usize) -> bool {
        let is = self.saved[page].is_some_and(|at| at.elapsed() < SAVES_APART);
        if !is {
            self.saved[page] = Some(Instant::now());
        }
        is
    }

    /// Through the edit form, with all its hidden fields as they came.
    fn write(&mut self, page: usize, button: &str) {
        self.edits += 1;
        let target = format!("/doku.php?id=notes:page{page}");
        let form = self.owner.get(&format!("{target}&do=edit"));
        let text = format!(
            "====== Page {page} ======\nedit **{}** of words: apple pear word{}\n  * äöü [[notes:page{}]]\n{{{{wiki:dokuwiki-128.png}}}}\n",
            self.edits,
            self.edits % 40,
            (page + 1) % PAGES
        );
        let saved = self.owner.post(&target, |side| {
            let fields = [
                ("wikitext", text.as_str()),
                ("summary", "an edit"),
                (button, "Button"),
            ];
            with(hidden(&form[side], "id=\"dw__editform\""), &fields)
        });
        must_say(&saved, &format!("<strong>{}</strong>", self.edits));
    }
}

impl Application for Wiki {
    fn name(&self) -> &'static str {
        "DokuWiki"
    }

    fn prepare(&mut self) {
        self.log_in();
        for page in 0..PAGES {
            self.saved[page] = Some(Instant::now());
            self.write(page, "do[save]");
        }
    }

    fn step(&mut self, random: &mut Random) {
        let page = random.below(PAGES);
        let id = format!("/doku.php?id=notes:page{page}");
        let any = if random.below(2) == 0 {
            &mut self.visitor
        } else {
            &mut self.owner
        };
        match random.below(17) {
            0..=3 => drop(any.get(&id)),
            4 => drop(any.get("/doku.php?id=start")),
            5 => drop(any.get(&format!(
                "/doku.php?do=search&id=notes:page{page}&q=apple+word{page}"
            ))),
            6 => drop(any.get(&format!("{id}&do=revisions"))),
            7 => drop(any.get("/doku.php?id=start&do=media&ns=wiki")),
            8 => drop(any.get("/doku.php?id=start&do=index&idx=notes")),
            9 => drop(any.get(&format!("{id}&do=backlink"))),
            10 => drop(any.get("/lib/exe/css.php?t=dokuwiki")),
            11 => drop(any.get("/doku.php?id=wiki:syntax")),
            12 => drop(any.get(&format!("/doku.php?id=notes:none{page}"))),
            13 => drop(any.get(&format!("/lib/exe/taskrunner.php?id=notes:page{page}"))),
            14 if !self.was_saved_just_now(page) => self.write(page, "do[save]"),
            14 => self.write(page, "do[preview]"),
            15 => self.write(page, "do[preview]"),
            _ => {
                self.log_out();
                self.log_in();
            }
        }
    }

    fn requests(&self) -> usize {
        self.visitor.requests + self.owner.requests
    }
}
