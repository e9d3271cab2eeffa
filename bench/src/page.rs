//! The pages that are asked for: where they are, and what a right answer is.

use crate::applications::{self, Applications};
use crate::failure::{Failure, Result};
use crate::ground::letters;
use crate::load::POST_BYTES;
use crate::probe::{Answer, HOST};
use crate::site::Site;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// One line of PHP.
    Hello,
    /// `phpinfo()`.
    Info,
    /// A script that reads a body of 1 MB.
    Post,
    /// A file of 1 KB.
    SmallFile,
    /// A file of 1 MB.
    LargeFile,
    /// WordPress's front page.
    BlogFront,
    /// WordPress's list of posts, for who is logged in.
    BlogInside,
    /// DokuWiki's page of its syntax.
    Wiki,
    /// DokuWiki's start page.
    WikiStart,
}

/// A request for a page.
#[derive(Debug)]
pub(crate) struct Ask {
    /// The site.
    pub host: String,
    /// Where it is there.
    pub path: String,
    /// More header lines.
    pub headers: Vec<String>,
}

impl Ask {
    /// Of this page.
    pub(crate) fn new(page: Page, applications: Option<&Applications>) -> Result<Self> {
        let host = |site: fn(&Applications) -> &Site| match applications {
            Some(applications) => Ok(site(applications).host.as_str()),
            None => Err(Failure(format!("no application has the page {page:?}"))),
        };
        let (path, host) = match page {
            Page::Hello => ("/hello.php", HOST),
            Page::Info => ("/info.php", HOST),
            Page::Post => ("/post.php", HOST),
            Page::SmallFile => ("/1k.txt", HOST),
            Page::LargeFile => ("/1m.txt", HOST),
            Page::BlogFront => ("/", host(Applications::blog)?),
            Page::BlogInside => ("/wp-admin/edit.php", host(Applications::blog)?),
            Page::Wiki => ("/doku.php?id=wiki:syntax", host(Applications::wiki)?),
            Page::WikiStart => ("/doku.php", host(Applications::wiki)?),
        };
        let cookie = match (page, applications) {
            (Page::BlogInside, Some(applications)) => vec![applications.cookie()?],
            _ => Vec::new(),
        };
        Ok(Self {
            host: host.to_owned(),
            path: path.to_owned(),
            headers: cookie,
        })
    }
}

/// Whether an answer is the page.
pub(crate) fn is_right(page: Page, answer: &Answer) -> bool {
    let body = &answer.body[..];
    let text = || String::from_utf8_lossy(body);
    answer.status == 200
        && match page {
            Page::Hello => body == b"Hello, world\n",
            Page::Info => {
                body.starts_with(b"<!DOCTYPE html") && body.ends_with(b"</div></body></html>")
            }
            Page::Post => body == format!("{POST_BYTES}\n").as_bytes(),
            Page::SmallFile => body == letters(1024).as_bytes(),
            Page::LargeFile => body == letters(1 << 20).as_bytes(),
            Page::BlogFront => {
                text().contains(applications::POST_TITLE) && text().contains("</html>")
            }
            Page::BlogInside => {
                text().contains(applications::POST_TITLE) && text().contains("wp-admin-bar-logout")
            }
            Page::Wiki => text().contains("Formatting Syntax") && text().contains("</html>"),
            Page::WikiStart => {
                text().contains(applications::START_TITLE) && text().contains("</html>")
            }
        }
}
