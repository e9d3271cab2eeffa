//! What the directives of Apache mean here that no site's file has a place for.

use super::super::ledger::List::{self, NotNeeded, NotSupported};
use super::super::tree::Directive;

/// The list and what to say, for what is not looked at by itself.
pub(crate) fn verdict(directive: &Directive) -> Option<(List, &'static str)> {
    let name = directive.name.to_ascii_lowercase();
    let arg = directive.arg().unwrap_or_default().to_ascii_lowercase();
    let is_off = ["off", "none", "disabled"].contains(&arg.as_str());
    if let Some(found) = access(&name, &directive.args) {
        return Some(found);
    }
    exact(&name, is_off).or_else(|| {
        let found = BY_START.iter().find(|(start, ..)| name.starts_with(start));
        found.map(|&(_, list, text)| {
            if is_off {
                (NotNeeded, "it is off")
            } else {
                (list, text)
            }
        })
    })
}

/// Who may see what.
fn access(name: &str, args: &[String]) -> Option<(List, &'static str)> {
    let text = args.join(" ").to_ascii_lowercase();
    Some(match name {
        "require" if text == "all granted" => (NotNeeded, OPEN),
        "require" if text.starts_with("method") || text.starts_with("all denied") => {
            (NotSupported, CLOSED)
        }
        "require" | "<requireall>" => (NotSupported, CLOSED),
        "requireall" | "requireany" | "requirenone" => {
            (NotNeeded, "what is in it is told line by line")
        }
        "allow" if text == "from all" => (NotNeeded, OPEN),
        "deny" if text == "from none" => (NotNeeded, OPEN),
        "allow" | "deny" => (NotSupported, CLOSED),
        "order" => (NotNeeded, "it says nothing by itself"),
        "satisfy" if text == "all" => (NotNeeded, "it says nothing by itself"),
        "satisfy" => (NotSupported, CLOSED),
        "options" => options(&text),
        _ => return None,
    })
}

fn options(text: &str) -> (List, &'static str) {
    let on = |word: &str| {
        let word = word.strip_prefix('+').unwrap_or(word);
        ["indexes", "multiviews", "includes", "includesnoexec", "all"].contains(&word)
    };
    if text.split_whitespace().any(on) {
        return (
            NotSupported,
            "no directory is listed, no name is completed, and there are no server side includes; a script can do it",
        );
    }
    (
        NotNeeded,
        "links lead nowhere but into the site's own home, and nothing but PHP is run",
    )
}

fn exact(name: &str, is_off: bool) -> Option<(List, &'static str)> {
    of_server(name)
        .or_else(|| of_users_and_paths(name, is_off))
        .or_else(|| of_answers(name, is_off))
        .or_else(|| of_sections(name))
}

/// The server's own affairs.
fn of_server(name: &str) -> Option<(List, &'static str)> {
    Some(match name {
        "errorlog" | "customlog" | "loglevel" | "transferlog" | "logformat" | "globallog"
        | "forensiclog" | "logiotrackttfb" | "errorlogformat" => {
            (NotNeeded, "each site has an access.log and an error.log")
        }
        "serveradmin"
        | "serversignature"
        | "servertokens"
        | "usecanonicalname"
        | "usecanonicalphysicalport"
        | "traceenable"
        | "hostnamelookups"
        | "enablesendfile"
        | "enablemmap"
        | "fileetag"
        | "acceptpathinfo"
        | "contentdigest"
        | "acceptfilter"
        | "namevirtualhost"
        | "serverpath" => (NotNeeded, "comes by itself, in one way"),
        "user"
        | "group"
        | "pidfile"
        | "mutex"
        | "defaultruntimedir"
        | "coredumpdirectory"
        | "scoreboardfile"
        | "lockfile"
        | "extendedstatus"
        | "seerequesttail"
        | "gracefulshutdowntimeout" => (NotNeeded, "the server's own affair"),
        "listen" => (NotNeeded, "ports are the server's ('http' in hostel.toml)"),
        _ => return None,
    })
}

/// Users, paths, environment.
fn of_users_and_paths(name: &str, is_off: bool) -> Option<(List, &'static str)> {
    Some(match name {
        "timeout"
        | "keepalive"
        | "keepalivetimeout"
        | "maxkeepaliverequests"
        | "requestreadtimeout"
        | "receivebuffersize"
        | "sendbuffersize"
        | "listenbacklog"
        | "limitrequestfields"
        | "limitrequestfieldsize"
        | "limitrequestline"
        | "limitxmlrequestbody"
        | "proxytimeout" => (
            NotNeeded,
            "buffers and timeouts of connections need no setting",
        ),
        "startservers"
        | "minspareservers"
        | "maxspareservers"
        | "minsparethreads"
        | "maxsparethreads"
        | "serverlimit"
        | "threadlimit"
        | "threadsperchild"
        | "maxrequestworkers"
        | "maxclients"
        | "maxconnectionsperchild"
        | "maxrequestsperchild"
        | "maxclientsvhost" => (NotNeeded, "the number of workers is found, not set"),
        "nicevalue" => (
            NotSupported,
            "sites share the processor by 'cpu_weight'; set it where this one matters more or less",
        ),
        "limituidrange" | "limitgidrange" => (
            NotNeeded,
            "'uid_min' and 'gid_min' in hostel.toml say who a site may be",
        ),
        "enablecapabilities" => (NotNeeded, "nothing that serves visitors has a capability"),
        "rgroups" | "rmode" | "rdefaultuidgid" | "rminuidgid" | "rusers" | "rdocumentchroot" => (
            NotNeeded,
            "a site has its user from the beginning, and that user's primary group alone",
        ),
        "suphp_engine" | "suphp_addhandler" | "suphp_removehandler" | "suphp_phppath" => {
            (NotNeeded, "PHP is run by itself")
        }
        "suphp_configpath" | "phpinidir" => (
            NotSupported,
            "php.ini is the same for all sites ('php_ini' in hostel.toml); put what differs into [php.value]",
        ),
        "alias" | "aliasmatch" => (
            NotSupported,
            "a site has one document root; put these files beneath it (a link within the home will do), or make a site of its own",
        ),
        "scriptalias" | "scriptaliasmatch" | "scriptinterpretersource" | "scriptsock" => {
            (NotSupported, "there is no CGI; nothing but PHP is run")
        }
        "action" | "script" => (NotSupported, "nothing but PHP is run"),
        "userdir" if is_off => (NotNeeded, "it is off"),
        "userdir" => (NotSupported, "make a site for each user"),
        _ => return None,
    })
}

/// What answers look like.
fn of_answers(name: &str, is_off: bool) -> Option<(List, &'static str)> {
    Some(match name {
        "redirect" | "redirectmatch" | "redirectpermanent" | "redirecttemp" => (
            NotSupported,
            "there are no redirects; let the application do it",
        ),
        "rewritemap" | "rewriteoptions" => (NotSupported, "there are no rewritten paths"),
        "rewriteengine" | "rewritebase" | "rewritelog" | "rewriteloglevel" => {
            (NotNeeded, "what rules say is told line by line")
        }
        "errordocument" => (NotSupported, "error pages are the server's own"),
        "setenv" | "passenv" => (
            NotSupported,
            "a site has no environment variables of its own; put this into the application's configuration (.env, config.php)",
        ),
        "unsetenv" => (
            NotNeeded,
            "nothing of the server's environment reaches a site",
        ),
        "setenvif" | "setenvifnocase" | "browsermatch" | "browsermatchnocase" => (
            NotSupported,
            "a site has no environment variables; PHP has the Authorization header by itself",
        ),
        "adddefaultcharset" | "addcharset" if is_off => (NotNeeded, "no charset is added"),
        "adddefaultcharset" | "addcharset" => (
            NotSupported,
            "the Content-Type of files names no charset; files can say it themselves (<meta charset>, @charset)",
        ),
        "addlanguage"
        | "languagepriority"
        | "forcelanguagepriority"
        | "defaultlanguage"
        | "addencoding"
        | "removeencoding" => (
            NotNeeded,
            "only what negotiates languages uses it, and nothing does",
        ),
        "typesconfig" | "mimemagicfile" | "removetype" => {
            (NotNeeded, "types of files are known by their extension")
        }
        "addtype" | "forcetype" | "defaulttype" => (
            NotSupported,
            "types of files are known by their extension; for this one ask with curl -I",
        ),
        _ => return None,
    })
}

/// Sections, conditions, and what else sites have.
fn of_sections(name: &str) -> Option<(List, &'static str)> {
    Some(match name {
        "addhandler"
        | "removehandler"
        | "addoutputfilter"
        | "addoutputfilterbytype"
        | "setoutputfilter"
        | "setinputfilter" => (
            NotSupported,
            "nothing but PHP is run, and answers are not changed on their way",
        ),
        "header" | "requestheader" | "expiresactive" | "expiresbytype" | "expiresdefault" => (
            NotSupported,
            "no headers are added to answers; PHP's header() does it for pages, a proxy before Hostel for files",
        ),
        "directoryslash" => (NotNeeded, "a directory without its slash is redirected"),
        "directorycheckhandler"
        | "indexoptions"
        | "addicon"
        | "addiconbytype"
        | "addiconbyencoding"
        | "defaulticon"
        | "readmename"
        | "headername"
        | "indexignore"
        | "indexorderdefault"
        | "addalt" => (NotNeeded, "no directory is listed"),
        "protocols" | "protocolshonororder" | "h2direct" | "h2push" => {
            (NotNeeded, "HTTP/1.1 is spoken")
        }
        "proxyfcgibackendtype"
        | "proxyfcgisetenvif"
        | "proxyset"
        | "proxyerroroverride"
        | "setproxy"
        | "proxy"
        | "proxymatch" => (NotNeeded, "PHP is reached without FastCGI"),
        "files" | "filesmatch" | "directory" | "directorymatch" | "location" | "locationmatch"
        | "limit" | "limitexcept" => (NotNeeded, "what is in it is told line by line"),
        "if" | "else" | "elseif" => (
            NotSupported,
            "there are no conditions; let the application decide",
        ),
        "macro" | "use" | "undefmacro" => (
            NotSupported,
            "macros are not expanded: write the virtual host out, and import it again",
        ),
        "allowoverridelist" => (NotSupported, ".htaccess files are not read"),
        "accessfilename" => (
            NotNeeded,
            ".htaccess files are not read, and no hidden file is served",
        ),
        "serverroot" | "loadmodule" | "loadfile" => (NotNeeded, "the server's own affair"),
        "php_value" | "php_flag" | "php_admin_value" | "php_admin_flag" | "documentroot"
        | "directoryindex" | "servername" | "serveralias" | "sethandler" | "virtualhost"
        | "fallbackresource" | "limitrequestbody" => (NotNeeded, NO_SITE),
        _ => return None,
    })
}

const BY_START: [(&str, List, &str); 13] = [
    ("ssl", NotSupported, NO_TLS),
    (
        "auth",
        NotSupported,
        "OPEN HERE: there are no passwords of the server's; let the application ask for one, or a proxy before Hostel",
    ),
    (
        "deflate",
        NotSupported,
        "answers are not compressed; a proxy before Hostel, or zlib.output_compression for PHP's, does it",
    ),
    (
        "brotli",
        NotSupported,
        "answers are not compressed; a proxy before Hostel does it",
    ),
    (
        "cache",
        NotSupported,
        "answers are not cached; PHP starts fast, and a proxy before Hostel can",
    ),
    (
        "proxy",
        NotSupported,
        "Hostel passes no requests on; keep Apache for this",
    ),
    (
        "fcgid",
        NotNeeded,
        "PHP is run by itself; the number of workers is found, not set",
    ),
    (
        "fcgi",
        NotNeeded,
        "PHP is run by itself; the number of workers is found, not set",
    ),
    (
        "fastcgi",
        NotNeeded,
        "PHP is run by itself; the number of workers is found, not set",
    ),
    (
        "sec",
        NotSupported,
        "requests are not filtered; the sandbox bounds what a hole can do",
    ),
    (
        "dav",
        NotSupported,
        "files are only read; WebDAV is the application's",
    ),
    (
        "remoteip",
        NotSupported,
        "REMOTE_ADDR is the address of the connection; behind a proxy let the application read its header",
    ),
    (
        "mod_gzip",
        NotSupported,
        "answers are not compressed; a proxy before Hostel does it",
    ),
];

const OPEN: &str = "everything beneath the document root is served";
/// What somebody has to look at first.
pub(crate) const CLOSED: &str = "OPEN HERE: nothing is closed to addresses, users or methods; close it in the application, or move it out of the document root";
/// What a site's own settings are, where there is no site.
pub(crate) const NO_SITE: &str = "no site that was read depends on it";
/// For everything of TLS.
pub(crate) const NO_TLS: &str = "there is no TLS yet; keep a proxy with TLS before Hostel";
