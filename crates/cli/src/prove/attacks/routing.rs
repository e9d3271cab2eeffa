//! Attacks of visitors, some of them the attacking site's owner: raw requests to the running server.
//!
//! The files that they are after are put into both sites' document roots for the time of one attack, by the sites' own users.
//! A request that leads to the other site's file has its secret in the answer; what must not be shown or run of the attacker's
//! own would print a line of its own, which begins with `got-`.

use crate::prove::attack::{Against, Attack, Control, Crowd, Group, Judge, Step, Stopper, php};
use crate::prove::scene::{Ran, Scene};

/// A request of the attacking site, by its own name, for this path, with more header lines if need be.
macro_rules! get {
    ($path:expr) => {
        get!($path, "")
    };
    ($path:expr, $lines:expr) => {
        concat!(
            "GET ",
            $path,
            " HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\n",
            $lines,
            "\r\n"
        )
    };
}

/// A request for the script that says which of its variables a visitor has set.
macro_rules! variables {
    ($lines:expr) => {
        get!("/{directory}/server.php", $lines)
    };
}

/// A request with these lines at its end, and what follows it on the connection.
macro_rules! post {
    ($lines:expr, $rest:expr) => {
        concat!(
            "POST /{directory}/server.php HTTP/1.1\r\nHost: {me.domain}\r\n",
            $lines,
            "\r\n",
            $rest
        )
    };
}

/// Steps: put the files, do this, remove them.
macro_rules! between {
    ($($step:expr),+) => {
        &[
            Step::Victim(php!("routing/put")),
            Step::Attacker(php!("routing/put-own")),
            $($step,)+
            Step::Attacker(php!("routing/remove")),
            Step::Victim(php!("routing/remove")),
        ]
    };
}

/// `id "title" (rule) judge [requests];`
macro_rules! visits {
    ($($id:literal $title:literal ($rule:ident) $judge:ident [$($request:expr),+ $(,)?];)*) => {
        &[$(Attack {
            id: $id,
            group: Group::Routing,
            against: Against::Victim,
            title: $title,
            stoppers: &[Stopper::Rule($rule)],
            needs: &[],
            steps: between!(Step::Visit(&[$($request),+])),
            judge: visits!(@judge $judge),
            control: visits!(@control $judge),
        }),*]
    };
    (@judge secret) => { Judge::Canaries };
    (@judge line) => { Judge::Look(got_line) };
    (@control secret) => {
        Control::Permitted("the other site is asked for it by its own name", between!(Step::Visit(&[THEIRS])))
    };
    (@control line) => {
        Control::Permitted("a file with such a line is asked for", between!(Step::Visit(&[get!("/{directory}/shown.txt")])))
    };
}

pub(super) const ATTACKS: &[Attack] = visits! {
    "routing-dots" "ask for the other site's files by `..`" (ONE_READING) secret [
        get!("/../../../../../..{victim.root}/{directory}/secret.txt"),
        get!("/{directory}/../../../../../../..{victim.root}/{directory}/secret.txt"),
        get!("/{directory}/../../../../../../..{victim.root}/{directory}/script.php"),
        get!("/{directory}/server.php/../../../../../../../..{victim.root}/{directory}/script.php"),
        get!("//../../../../../..{victim.root}/{directory}/script.php"),
    ];
    "routing-encoded-dots" "the same, with dots and slashes encoded" (ONE_READING) secret [
        get!("/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{victim.root}/{directory}/secret.txt"),
        get!("/..%2f..%2f..%2f..%2f..%2f..{victim.root}/{directory}/script.php"),
        get!("/{directory}/%2e./.%2e/%2e%2e/%2E%2E/..{victim.root}/{directory}/secret.txt"),
        get!("/{directory}%2f..%2f..%2f..%2f..%2f..{victim.root}/{directory}/script.php"),
    ];
    "routing-double-encoding" "the same, encoded twice or in ways that are none" (ONE_READING) secret [
        get!("/%252e%252e/%252e%252e/%252e%252e/%252e%252e{victim.root}/{directory}/secret.txt"),
        get!("/..%252f..%252f..%252f..%252f..{victim.root}/{directory}/script.php"),
        get!("/%c0%ae%c0%ae/%c0%ae%c0%ae/%c0%ae%c0%ae/%c0%ae%c0%ae{victim.root}/{directory}/secret.txt"),
        get!("/..%c0%af..%c0%af..%c0%af..%c0%af..{victim.root}/{directory}/script.php"),
        get!("/%u002e%u002e/%u002e%u002e/%u002e%u002e{victim.root}/{directory}/secret.txt"),
        get!("/....//....//....//....//..{victim.root}/{directory}/secret.txt"),
        get!("/..;/..;/..;/..;/..{victim.root}/{directory}/script.php"),
    ];
    "routing-backslash" "the same, with backslashes and NUL bytes" (ONE_READING) secret [
        get!("/..\\\\..\\\\..\\\\..\\\\..{victim.root}/{directory}/secret.txt"),
        get!("/..%5c..%5c..%5c..%5c..{victim.root}/{directory}/script.php"),
        get!("/{directory}/%00/../../../../..{victim.root}/{directory}/secret.txt"),
        get!("/../../../../..{victim.root}/{directory}/secret.txt%00.html"),
    ];
    "routing-absolute" "ask for the other site's files by their absolute paths" (SEES_OWN_FILES) secret [
        get!("{victim.root}/{directory}/secret.txt"),
        get!("/{victim.root}/{directory}/secret.txt"),
        get!("/{directory}/root{victim.root}/{directory}/secret.txt"),
        get!("/proc/self/root{victim.root}/{directory}/script.php"),
        get!("/~{victim.user}/{directory}/secret.txt"),
        get!("file://{victim.root}/{directory}/secret.txt"),
    ];
    "routing-links" "serve the other site's files through symbolic links" (SEES_OWN_FILES) secret [
        get!("/{directory}/link.txt"),
        get!("/{directory}/link.php"),
        get!("/{directory}/link/secret.txt"),
        get!("/{directory}/link/script.php"),
        get!("/{directory}/root{victim.root}/{directory}/secret.txt"),
        get!("/{directory}/environ.txt"),
    ];
    "routing-hosts" "have a request for one name answered as for another" (ONE_HOST) secret [
        "GET /{directory}/secret.txt HTTP/1.1\r\nHost: {me.domain}\r\nHost: {victim.domain}\r\nConnection: close\r\n\r\n",
        "GET /{directory}/secret.txt HTTP/1.1\r\nHost: {victim.domain}\r\nHost: {me.domain}\r\nConnection: close\r\n\r\n",
        "GET /{directory}/secret.txt HTTP/1.1\r\nHost: {me.domain}, {victim.domain}\r\nConnection: close\r\n\r\n",
        "GET /{directory}/secret.txt HTTP/1.1\r\nHost: {me.domain}@{victim.domain}\r\nConnection: close\r\n\r\n",
        "GET /{directory}/secret.txt HTTP/1.1\r\nHost: {victim.domain}@{me.domain}\r\nConnection: close\r\n\r\n",
        "GET /{directory}/secret.txt HTTP/1.1\r\nHost: {me.domain}#{victim.domain}\r\nConnection: close\r\n\r\n",
        "GET /{directory}/secret.txt HTTP/1.1\r\nHost: {victim.domain}/{me.domain}\r\nConnection: close\r\n\r\n",
        "GET /{directory}/secret.txt HTTP/1.1\r\nHost: {victim.domain}:80:80\r\nConnection: close\r\n\r\n",
        "GET /{directory}/secret.txt HTTP/1.1\r\nHost: {victim.domain}..\r\nConnection: close\r\n\r\n",
        "GET /{directory}/secret.txt HTTP/1.1\r\nHost: x.{victim.domain}\r\nConnection: close\r\n\r\n",
        "GET http://{me.domain}/{directory}/secret.txt HTTP/1.1\r\nHost: {victim.domain}\r\nConnection: close\r\n\r\n",
        "GET http://{victim.domain}@{me.domain}/{directory}/secret.txt HTTP/1.1\r\nHost: {victim.domain}\r\nConnection: close\r\n\r\n",
    ];
    "routing-kept-connection" "have a kept connection stay with the first request's site" (ONE_HOST) secret [
        "GET /{directory}/missing.txt HTTP/1.1\r\nHost: {victim.domain}\r\n\r\nGET /{directory}/secret.txt HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\n\r\n",
        "GET http://{victim.domain}/{directory}/missing.txt HTTP/1.1\r\nHost: {me.domain}\r\n\r\nGET /{directory}/script.php HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\n\r\n",
    ];
    "routing-proxy-headers" "choose site or path by a header that proxies use" (IGNORED) secret [
        get!("/{directory}/secret.txt", "X-Forwarded-Host: {victim.domain}\r\nX-Forwarded-Server: {victim.domain}\r\nX-Host: {victim.domain}\r\n"),
        get!("/{directory}/secret.txt", "Forwarded: host={victim.domain}\r\nX-HTTP-Host-Override: {victim.domain}\r\nX-Original-Host: {victim.domain}\r\n"),
        get!("/{directory}/plain.txt", "X-Original-URL: /../..{victim.root}/{directory}/secret.txt\r\nX-Rewrite-URL: /../..{victim.root}/{directory}/secret.txt\r\n"),
        get!("/{directory}/plain.txt", "X-Sendfile: {victim.root}/{directory}/secret.txt\r\nX-Accel-Redirect: {victim.root}/{directory}/secret.txt\r\n"),
        get!("/{directory}/server.php", "X-Original-URL: {victim.root}/{directory}/script.php\r\nX-Forwarded-Prefix: {victim.root}\r\n"),
    ];
    "routing-script-variables" "have PHP run the other site's script by naming it in a header" (DECIDED_HERE) secret [
        variables!("SCRIPT_FILENAME: {victim.root}/{directory}/script.php\r\nDOCUMENT_ROOT: {victim.root}\r\nPATH_TRANSLATED: {victim.root}/{directory}/script.php\r\n"),
        variables!("Script-Filename: {victim.root}/{directory}/script.php\r\nDocument-Root: {victim.root}\r\nRedirect-Status: 200\r\nScript-Name: /{directory}/script.php\r\n"),
        variables!("X-Script-Filename: {victim.root}/{directory}/script.php\r\nPHP_VALUE: auto_prepend_file={victim.root}/{directory}/script.php\r\nPHP_ADMIN_VALUE: open_basedir=/\r\n"),
        get!("/{directory}/server.php{victim.root}/{directory}/script.php"),
        get!("/{directory}/server.php/..{victim.root}/{directory}/script.php"),
    ];

    "routing-header-variables" "set the server's own variables by headers (httpoxy and others)" (DECIDED_HERE) line [
        variables!("Proxy: got-{marker}\r\nPROXY: got-{marker}\r\n"),
        variables!("SCRIPT_FILENAME: got-{marker}\r\nDOCUMENT_ROOT: got-{marker}\r\nREMOTE_USER: got-{marker}\r\nX_Underscore: got-{marker}\r\n"),
        variables!("Remote-User: got-{marker}\r\nRemote-Addr: got-{marker}\r\nAuth-Type: got-{marker}\r\nHttps: got-{marker}\r\n"),
        variables!("PHP_VALUE: auto_prepend_file=got-{marker}\r\nPHP-VALUE: user_agent=got-{marker}\r\nPHP_ADMIN_VALUE: error_log=got-{marker}\r\n"),
        variables!("X-Forwarded-For: got-{marker}\r\nForwarded: for=got-{marker}\r\nX-Forwarded-Proto: got-{marker}\r\n"),
        get!("/{directory}/server.php?PHP_VALUE=user_agent%3Dgot-{marker}&-d+auto_prepend_file%3Dgot-{marker}"),
    ];
    "routing-displaced-host" "have a script see another name than its request was routed by" (ONE_HOST) line [
        "GET http://{me.domain}/{directory}/server.php HTTP/1.1\r\nHost: {victim.domain}\r\nConnection: close\r\n\r\n",
        variables!("X-Forwarded-Host: {victim.domain}\r\n"),
        variables!("HTTP_HOST: {victim.domain}\r\nSERVER_NAME: {victim.domain}\r\n"),
    ];
    "routing-path-info" "shift PATH_INFO by line feeds and long queries (CVE-2019-11043)" (DECIDED_HERE) line [
        get!("/{directory}/server.php/%0a?QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ"),
        get!("/{directory}/server.php/PHP_VALUE%0auser_agent=got-{marker};;;;;;;;;;;;;;;;;;?QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ", "D-Gisos: 8=D\r\n"),
        get!("/{directory}/server.php%0aPHP_VALUE/user_agent=got-{marker}"),
        get!("/{directory}/server.php%0d%0aPHP-Value:%20user_agent=got-{marker}"),
    ];
    "routing-hidden-files" "read hidden files and what editors leave" (NEVER_SHOWN) line [
        get!("/{directory}/.user.ini"),
        get!("/{directory}/.env"),
        get!("/{directory}/.htaccess"),
        get!("/{directory}/.htpasswd"),
        get!("/{directory}/.git/config"),
        get!("/{directory}/%2eenv"),
        get!("/{directory}/x/../.env"),
        get!("/{directory}//.env"),
        get!("/{directory}/.env/"),
        get!("/{directory}/.env/x"),
        get!("/{directory}/source.php~"),
        get!("/{directory}/source.php%7e"),
        get!("/{directory}/source.php.bak"),
        get!("/{directory}/.source.php.swp"),
        get!("/{directory}/%23source.php%23"),
    ];
    "routing-source" "read a script's source" (BY_NAME) line [
        get!("/{directory}/source.php."),
        get!("/{directory}/source.php%20"),
        get!("/{directory}/source.php%00"),
        get!("/{directory}/source.php%00.txt"),
        get!("/{directory}/source.php/"),
        get!("/{directory}/source.php/x.txt"),
        get!("/{directory}/source.php%2f"),
        get!("/{directory}/source.php::$DATA"),
        get!("/{directory}/source.php;x"),
        get!("/{directory}/source%2ephp"),
        get!("/{directory}/source.%70hp"),
        get!("/{directory}/SOURCE.PHP"),
        get!("/{directory}/./source.php"),
        get!("/{directory}//source.php"),
        get!("/{directory}/source.php?source", "Range: bytes=0-100\r\nTranslate: f\r\nAccept: text/plain\r\n"),
        "OPTIONS /{directory}/source.php HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\n\r\n",
        "PROPFIND /{directory}/source.php HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\n\r\n",
        "COPY /{directory}/source.php HTTP/1.1\r\nHost: {me.domain}\r\nDestination: /{directory}/a.txt\r\nConnection: close\r\n\r\n",
        "PUT /{directory}/b.php HTTP/1.1\r\nHost: {me.domain}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "TRACE /{directory}/source.php HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\n\r\n",
    ];
    "routing-uploads" "run an upload that is no script by its name" (BY_NAME) line [
        get!("/{directory}/a.jpg"),
        get!("/{directory}/a.jpg/x.php"),
        get!("/{directory}/a.jpg/.php"),
        get!("/{directory}/a.jpg%00.php"),
        get!("/{directory}/a.jpg%0a.php"),
        get!("/{directory}/a.jpg%20.php"),
        get!("/{directory}/a.jpg%5cx.php"),
        get!("/{directory}/a.jpg;x.php"),
        get!("/{directory}/a.jpg?x.php"),
        get!("/{directory}/a.php5"),
        get!("/{directory}/a.phar"),
        get!("/{directory}/a.pht"),
        get!("/{directory}/a.phtml"),
        get!("/{directory}/a.phps"),
        get!("/{directory}/a.inc"),
        get!("/{directory}/a.PHP"),
        get!("/{directory}/a.php.jpg"),
        get!("/{directory}/a.php.jpg/x.php"),
        get!("/{directory}/a.php%2ejpg"),
        get!("/{directory}/a.php."),
        get!("/{directory}/a.php%20"),
    ];
    "routing-look-alikes" "run a script whose extension only looks like .php (CVE-2026-45062, CVE-2026-24895)" (BY_NAME) line [
        get!("/{directory}/a.%ef%bd%90%ef%bd%88%ef%bd%90"),
        get!("/{directory}/a.ph%e1%b9%97"),
        get!("/{directory}/a.php%cc%81"),
        get!("/{directory}/a%e2%80%a4php"),
        get!("/{directory}/a.%e2%b1%a3hp"),
        get!("/{directory}/a.p%d2%bbp"),
        get!("/{directory}/%e2%b1%a5.ph%e2%b1%a3"),
        get!("/{directory}/%e2%b1%a5%e2%b1%a5%e2%b1%a5a.jpg/x.php"),
        get!("/{directory}/%c8%ba%c8%ba%c8%ba%c8%ba/a.jpg.php/x"),
    ];
    "routing-split-answer" "put lines into the head of an answer by header()" (CHECKED_LINES) line [
        get!("/{directory}/split.php"),
        get!("/{directory}/split.php%0d%0agot-{marker}:%20x"),
        get!("/{directory}?%0d%0agot-{marker}:%20x"),
        get!("/{directory}/x%0d%0agot-{marker}:%20x"),
    ];

    "routing-length-and-chunks" "hide a request behind one with a length and chunks" (REFUSED) line [
        post!("Content-Length: {smuggled.after-end}\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding: chunked\r\nContent-Length: {smuggled.after-end}\r\n", "0\r\n\r\n{smuggled.request}"),
        post!("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "{smuggled.hex}\r\n{smuggled.request}\r\n0\r\n\r\n"),
        post!("Content-Length: {smuggled.length}\r\n", "{smuggled.request}"),
        post!("Transfer-Encoding: chunked\r\n", "{smuggled.hex}\r\n{smuggled.request}\r\n0\r\n\r\n"),
    ];
    "routing-codings" "the same by codings that only one of two readers knows" (REFUSED) line [
        post!("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding : chunked\r\n", "0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding: identity\r\nContent-Length: {smuggled.after-end}\r\n", "0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding:\x0bchunked\r\nContent-Length: {smuggled.after-end}\r\n", "0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding: \"chunked\"\r\nContent-Length: {smuggled.after-end}\r\n", "0\r\n\r\n{smuggled.request}"),
        post!("X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: {smuggled.after-end}\r\n", "0\r\n\r\n{smuggled.request}"),
        post!("Transfer_Encoding: chunked\r\nContent-Length: {smuggled.after-end}\r\n", "0\r\n\r\n{smuggled.request}"),
    ];
    "routing-lengths" "the same by lengths that two readers read differently" (REFUSED) line [
        post!("Content-Length: 0\r\nContent-Length: {smuggled.length}\r\n", "{smuggled.request}"),
        post!("Content-Length: {smuggled.length}\r\nContent-Length: 0\r\n", "{smuggled.request}"),
        post!("Content-Length: 0, {smuggled.length}\r\n", "{smuggled.request}"),
        post!("Content-Length: +0\r\n", "{smuggled.request}"),
        post!("Content-Length: -1\r\n", "{smuggled.request}"),
        post!("Content-Length: 0x0\r\n", "{smuggled.request}"),
        post!("Content-Length: 18446744073709551616\r\n", "{smuggled.request}"),
        post!("Content-Length: 4294967296\r\n", "{smuggled.request}"),
        post!("Content-Length : {smuggled.length}\r\n", "{smuggled.request}"),
        post!("Content-Length: \r\n", "{smuggled.request}"),
        post!("Content_Length: {smuggled.length}\r\nContent-Length: 0 0\r\n", "{smuggled.request}"),
    ];
    "routing-lines" "the same by ends of lines and names that two readers read differently" (REFUSED) line [
        "GET /{directory}/plain.txt HTTP/1.1\nHost: {me.domain}\n\n{smuggled.request}",
        "GET /{directory}/plain.txt HTTP/1.1\r\nHost: {me.domain}\r\nX: y\n\n{smuggled.request}",
        "GET /{directory}/plain.txt HTTP/1.1\r\nHost: {me.domain}\r\nX: y\r\r{smuggled.request}",
        "GET /{directory}/plain.txt HTTP/1.1\r\nHost: {me.domain}\r\nX: a\r\n\tb\r\n {smuggled.request}",
        "GET /{directory}/plain.txt HTTP/1.1\r\nHost: {me.domain}\r\nX\0: y\r\n\r\n{smuggled.request}",
        "GET /{directory}/plain.txt HTTP/1.1 {smuggled.request}",
        "GET /{directory}/plain.txt\r\n{smuggled.request}",
        "POST /{directory}/plain.txt HTTP/1.0\r\nHost: {me.domain}\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled.request}",
    ];
    "routing-chunks" "the same within chunks" (REFUSED) line [
        post!("Transfer-Encoding: chunked\r\n", "0\n\n{smuggled.request}"),
        post!("Transfer-Encoding: chunked\r\n", "-0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding: chunked\r\n", "10000000000000000\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding: chunked\r\n", "ffffffffffffffffffffffff0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding: chunked\r\n", "1;x=\n0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding: chunked\r\n", "1;\"\r\nx\r\n0\r\n{smuggled.request}"),
        post!("Transfer-Encoding: chunked\r\n", "1\r\nxy0\r\n\r\n{smuggled.request}"),
        post!("Transfer-Encoding: chunked\r\n", "1 \r\nx\r\n0 \r\n\r\r{smuggled.request}"),
        post!("Transfer-Encoding: chunked\r\n", "\r\n0\r\n\r\n{smuggled.request}"),
    ];
};

/// Loads under which the other site must still answer, quickly.
macro_rules! loads {
    ($($id:literal $title:literal [$(before $before:expr,)? $count:literal $head:literal $line:literal $lines:literal];)*) => {
        &[$(Attack {
            id: $id,
            group: Group::Routing,
            against: Against::Victim,
            title: $title,
            stoppers: &[Stopper::Rule(BOUNDED)],
            needs: &[],
            steps: between!(
                $($before,)?
                Step::Crowd(Crowd { count: $count, head: $head, line: $line, lines: $lines, asked: "{victim.domain}" })
            ),
            judge: Judge::Canaries,
            control: Control::Permitted(
                "the other site is asked for by a name that nobody has",
                between!(Step::Crowd(Crowd { count: 0, head: "", line: "", lines: 0, asked: "hostel-prove.invalid" })),
            ),
        }),*]
    };
}

pub(super) const LOADS: &[Attack] = loads! {
    "routing-slow-heads" "occupy the server with heads that never end"
        [200 "GET / HTTP/1.1\r\nHost: {me.domain}\r\nX: " "" 0];
    "routing-slow-bodies" "occupy the server with bodies that never end"
        [200 "POST /{directory}/server.php HTTP/1.1\r\nHost: {me.domain}\r\nContent-Length: 100000\r\n\r\nx" "" 0];
    "routing-slow-readers" "ask for much and read nothing of it"
        [100 "" "GET /{directory}/source.php HTTP/1.1\r\nHost: {me.domain}\r\n\r\n" 200];
    "routing-huge-heads" "send heads that are too large"
        [50 "GET / HTTP/1.1\r\nHost: {me.domain}\r\nX: " "xxxxxxxxxxxxxxxx" 4000];
    "routing-many-headers" "send more headers than anybody needs"
        [50 "GET / HTTP/1.1\r\nHost: {me.domain}\r\n" "X: y\r\n" 10000];
    "routing-many-chunks" "send a body in pieces of one byte"
        [20 "POST /{directory}/server.php HTTP/1.1\r\nHost: {me.domain}\r\nTransfer-Encoding: chunked\r\n\r\n" "1\r\nx\r\n" 10000];
    "routing-crashes" "crash workers one after the other"
        [before Step::Visit(&[
            get!("/{directory}/crash.php"),
            get!("/{directory}/crash.php"),
            get!("/{directory}/crash.php"),
            get!("/{directory}/crash.php"),
            get!("/{directory}/crash.php"),
        ]), 20 "GET /{directory}/crash.php HTTP/1.1\r\nHost: {me.domain}\r\n\r\n" "" 0];
};

/// What belongs to TLS and HTTP/2.
pub(super) const ENCRYPTED: &[Attack] = &[
    encrypted(
        "routing-sni",
        "name one site to TLS and ask for another one",
    ),
    encrypted(
        "routing-coalescing",
        "ask for another site on an HTTP/2 connection",
    ),
];

const fn encrypted(id: &'static str, title: &'static str) -> Attack {
    Attack {
        id,
        group: Group::Routing,
        against: Against::Victim,
        title,
        stoppers: &[],
        needs: &[],
        steps: &[Step::NotThere(
            "the server speaks neither TLS nor HTTP/2 yet",
        )],
        judge: Judge::Canaries,
        control: Control::WithoutLayers,
    }
}

/// The other site, asked by its own name.
const THEIRS: &str =
    "GET /{directory}/secret.txt HTTP/1.1\r\nHost: {victim.domain}\r\nConnection: close\r\n\r\n";

/// A line of an answer that begins as none may.
fn got_line(scene: &Scene<'_>, ran: &Ran) -> Option<String> {
    let start = format!("got-{}", scene.marker);
    let is_it = |answer: &&Vec<u8>| {
        let mut lines = answer.split(|byte| matches!(byte, b'\n' | b'\r'));
        lines.any(|line| line.starts_with(start.as_bytes()))
    };
    let found = ran.visits.iter().position(|answer| is_it(&answer));
    found.map(|number| format!("the answer to request {} has such a line", number + 1))
}

const ONE_READING: &str = "one reading of a path, by the front";
const SEES_OWN_FILES: &str = "files are opened by the site's own keeper, in its view";
const ONE_HOST: &str = "one reading of a host, by the front";
const IGNORED: &str = "such headers decide nothing";
const DECIDED_HERE: &str = "the front decides; headers with `_` and Proxy are dropped";
const NEVER_SHOWN: &str = "hidden files and editors' copies are never served";
const BY_NAME: &str = "a script is what has its extension, byte by byte";
const CHECKED_LINES: &str = "every line of an answer's head is checked";
const REFUSED: &str = "what two readers could read differently is refused";
const BOUNDED: &str = "every wait, length and count of the front is bounded";
