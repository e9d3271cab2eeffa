//! What the directives of nginx mean here that no site's file has a place for.

use super::super::ledger::List::{self, NotNeeded, NotSupported};
use super::super::tree::Directive;

/// The list and what to say, for what is not looked at by itself.
pub(crate) fn verdict(directive: &Directive) -> Option<(List, &'static str)> {
    let name = directive.name.as_str();
    let is_off = directive.arg() == Some("off");
    exact(name, is_off, directive.arg()).or_else(|| by_start(name, is_off))
}

fn exact(name: &str, is_off: bool, arg: Option<&str>) -> Option<(List, &'static str)> {
    of_server(name)
        .or_else(|| of_php(name))
        .or_else(|| of_access(name, is_off, arg))
        .or_else(|| of_answers(name, is_off))
}

/// The server's own affairs.
fn of_server(name: &str) -> Option<(List, &'static str)> {
    Some(match name {
        "access_log" | "error_log" | "log_not_found" | "log_subrequest" | "log_format"
        | "rewrite_log" => (NotNeeded, "each site has an access.log and an error.log"),
        "user" | "pid" | "daemon" | "master_process" | "load_module" | "lock_file" | "pcre_jit"
        | "thread_pool" | "timer_resolution" | "debug_connection" => {
            (NotNeeded, "the server's own affair")
        }
        "http" | "events" | "multi_accept" | "use" | "accept_mutex" | "accept_mutex_delay" => {
            (NotNeeded, "there is nothing to choose")
        }
        _ => return None,
    })
}

/// FastCGI, and what comes by itself.
fn of_php(name: &str) -> Option<(List, &'static str)> {
    Some(match name {
        "sendfile"
        | "tcp_nopush"
        | "tcp_nodelay"
        | "aio"
        | "directio"
        | "postpone_output"
        | "output_buffers"
        | "read_ahead"
        | "sendfile_max_chunk"
        | "reset_timedout_connection"
        | "send_timeout"
        | "send_lowat"
        | "client_header_timeout"
        | "client_body_timeout"
        | "client_header_buffer_size"
        | "large_client_header_buffers"
        | "client_body_buffer_size"
        | "client_body_temp_path"
        | "client_body_in_file_only"
        | "client_body_in_single_buffer"
        | "connection_pool_size"
        | "request_pool_size"
        | "types_hash_max_size"
        | "types_hash_bucket_size"
        | "variables_hash_max_size"
        | "variables_hash_bucket_size"
        | "map_hash_max_size"
        | "map_hash_bucket_size" => (
            NotNeeded,
            "buffers and timeouts of connections need no setting",
        ),
        "fastcgi_buffers"
        | "fastcgi_buffer_size"
        | "fastcgi_busy_buffers_size"
        | "fastcgi_temp_file_write_size"
        | "fastcgi_max_temp_file_size"
        | "fastcgi_temp_path"
        | "fastcgi_buffering"
        | "fastcgi_request_buffering"
        | "fastcgi_keep_conn"
        | "fastcgi_connect_timeout"
        | "fastcgi_send_timeout"
        | "fastcgi_ignore_client_abort"
        | "fastcgi_socket_keepalive"
        | "fastcgi_pass_header"
        | "fastcgi_ignore_headers"
        | "fastcgi_pass_request_body"
        | "fastcgi_pass_request_headers"
        | "fastcgi_next_upstream"
        | "fastcgi_next_upstream_tries"
        | "fastcgi_intercept_errors"
        | "fastcgi_limit_rate"
        | "fastcgi_catch_stderr" => (NotNeeded, "PHP is reached without FastCGI"),
        "fastcgi_index" => (NotNeeded, "'index' says what a directory's page is"),
        "fastcgi_split_path_info" => (
            NotNeeded,
            "the path behind a script is its PATH_INFO by itself",
        ),
        "fastcgi_hide_header" | "fastcgi_store" | "fastcgi_force_ranges" => (
            NotSupported,
            "PHP's headers are sent as they are; X-Powered-By goes with expose_php = Off in php.ini",
        ),
        _ => return None,
    })
}

/// Who may see what, and where.
fn of_access(name: &str, is_off: bool, arg: Option<&str>) -> Option<(List, &'static str)> {
    Some(match name {
        "server_tokens"
        | "server_name_in_redirect"
        | "port_in_redirect"
        | "absolute_redirect"
        | "merge_slashes"
        | "ignore_invalid_headers"
        | "if_modified_since"
        | "etag"
        | "msie_padding"
        | "msie_refresh"
        | "chunked_transfer_encoding"
        | "recursive_error_pages"
        | "max_ranges"
        | "default_type"
        | "types"
        | "satisfy"
        | "break" => (NotNeeded, "comes by itself, in one way"),
        "disable_symlinks" => (
            NotNeeded,
            "links lead nowhere but into the site's own home, to files of its own user",
        ),
        "underscores_in_headers" if is_off => (NotNeeded, "header names with '_' are dropped"),
        "underscores_in_headers" => (NotSupported, "header names with '_' are dropped"),
        "autoindex" if is_off => (NotNeeded, "no directory is listed"),
        "autoindex" => (NotSupported, "no directory is listed; a script can do it"),
        "allow" if arg == Some("all") => {
            (NotNeeded, "everything beneath the document root is served")
        }
        "allow" | "deny" => (
            NotSupported,
            "OPEN HERE: nothing is closed to addresses; close it in the application or by a proxy before Hostel",
        ),
        "internal" => (
            NotSupported,
            "OPEN HERE: a path is the same from within and from outside",
        ),
        "limit_except" => (
            NotSupported,
            "OPEN HERE: methods are not told apart; the application decides",
        ),
        "return" | "rewrite" => (
            NotSupported,
            "there are no redirects and no rewritten paths; let the application do it",
        ),
        _ => return None,
    })
}

/// What answers look like, and what else sites have.
fn of_answers(name: &str, is_off: bool) -> Option<(List, &'static str)> {
    Some(match name {
        "if" => (
            NotSupported,
            "there are no conditions; let the application decide",
        ),
        "charset" | "charset_types" | "override_charset" | "source_charset" => (
            NotSupported,
            "the Content-Type of files names no charset; files can say it themselves (<meta charset>, @charset)",
        ),
        "expires" if is_off => (NotNeeded, "no expiry is added"),
        "expires" | "add_header" | "add_trailer" | "more_set_headers" | "more_clear_headers" => (
            NotSupported,
            "no headers are added to answers; PHP's header() does it for pages, a proxy before Hostel for files",
        ),
        "error_page" => (NotSupported, "error pages are the server's own"),
        "set_real_ip_from" | "real_ip_header" | "real_ip_recursive" | "real_ip" => (
            NotSupported,
            "REMOTE_ADDR is the address of the connection; behind a proxy let the application read its header",
        ),
        "map" | "geo" | "split_clients" | "set" | "charset_map" => {
            (NotSupported, "there are no variables")
        }
        "env" => (
            NotSupported,
            "nothing of the server's environment reaches a site",
        ),
        "mail" | "stream" => (NotSupported, "Hostel speaks HTTP alone"),
        "least_conn" | "ip_hash" | "hash" | "random" | "zone" => {
            (NotNeeded, "a site has one pool of workers")
        }
        "stub_status" => (NotNeeded, "hostel status tells it"),
        "location" => (NotSupported, "of a server that is not carried over"),
        "upstream" | "server" => (NotNeeded, "no server that was read uses it"),
        "proxy_params" | "valid_referers" => (
            NotSupported,
            "nothing is told by where a visitor comes from",
        ),
        "client_max_body_size" => (
            NotNeeded,
            "a site without a bound of its own takes 128M ('body_bytes_max')",
        ),
        "root" | "index" | "try_files" | "listen" | "server_name" | "fastcgi_pass"
        | "fastcgi_param" => (NotNeeded, NO_SITE),
        _ => return None,
    })
}

fn by_start(name: &str, is_off: bool) -> Option<(List, &'static str)> {
    let found = BY_START.iter().find(|(start, ..)| name.starts_with(start));
    let &(start, list, text) = found?;
    let can_be_off = [
        "gzip",
        "brotli",
        "pagespeed",
        "modsecurity",
        "fastcgi_cache",
        "auth_basic",
        "auth_request",
    ];
    if is_off && can_be_off.contains(&start) {
        return Some((NotNeeded, "it is off"));
    }
    Some((list, text))
}

const BY_START: [(&str, List, &str); 29] = [
    ("ssl", NotSupported, NO_TLS),
    (
        "http2",
        NotSupported,
        "there is no HTTP/2 yet; it needs TLS, and so a proxy before Hostel",
    ),
    (
        "http3",
        NotSupported,
        "there is no HTTP/3; it needs a proxy before Hostel",
    ),
    (
        "quic",
        NotSupported,
        "there is no HTTP/3; it needs a proxy before Hostel",
    ),
    (
        "auth_",
        NotSupported,
        "OPEN HERE: there are no passwords of the server's; let the application ask for one, or a proxy before Hostel",
    ),
    (
        "gzip",
        NotSupported,
        "answers are not compressed; a proxy before Hostel, or zlib.output_compression for PHP's, does it",
    ),
    ("gunzip", NotNeeded, "nothing is compressed"),
    (
        "brotli",
        NotSupported,
        "answers are not compressed; a proxy before Hostel does it",
    ),
    (
        "fastcgi_cache",
        NotSupported,
        "answers are not cached; PHP starts fast, and a proxy before Hostel can",
    ),
    ("fastcgi_no_cache", NotSupported, "answers are not cached"),
    (
        "proxy_",
        NotSupported,
        "Hostel passes no requests on; keep nginx for this",
    ),
    (
        "uwsgi_",
        NotSupported,
        "Hostel runs PHP alone; keep nginx for this",
    ),
    (
        "scgi_",
        NotSupported,
        "Hostel runs PHP alone; keep nginx for this",
    ),
    (
        "grpc_",
        NotSupported,
        "Hostel passes no requests on; keep nginx for this",
    ),
    (
        "memcached_",
        NotSupported,
        "Hostel passes no requests on; keep nginx for this",
    ),
    (
        "limit_",
        NotSupported,
        "no rate is set: sites share connections, workers and processors fairly, and each has its bounds",
    ),
    (
        "open_file_cache",
        NotNeeded,
        "open files are kept for a second by themselves",
    ),
    (
        "open_log_file_cache",
        NotNeeded,
        "each site has an access.log and an error.log",
    ),
    (
        "keepalive",
        NotNeeded,
        "buffers and timeouts of connections need no setting",
    ),
    (
        "lingering",
        NotNeeded,
        "buffers and timeouts of connections need no setting",
    ),
    (
        "worker_",
        NotNeeded,
        "processes and connections are found, not set",
    ),
    (
        "server_names_hash",
        NotNeeded,
        "buffers and timeouts of connections need no setting",
    ),
    ("resolver", NotNeeded, "no names are looked up for requests"),
    (
        "sub_filter",
        NotSupported,
        "answers are not changed on their way",
    ),
    ("ssi", NotSupported, "there are no server side includes"),
    (
        "dav_",
        NotSupported,
        "files are only read; WebDAV is the application's",
    ),
    (
        "pagespeed",
        NotSupported,
        "answers are not changed on their way",
    ),
    (
        "modsecurity",
        NotSupported,
        "requests are not filtered; the sandbox bounds what a hole can do",
    ),
    ("geoip", NotSupported, "there are no variables"),
];

/// What a site's own settings are, where there is no site.
pub(crate) const NO_SITE: &str = "no site that was read depends on it";
/// For everything of TLS.
pub(crate) const NO_TLS: &str = "there is no TLS yet; keep a proxy with TLS before Hostel";

/// Whether a block for one path holds nothing but what is said line by line.
pub(crate) fn is_plain(directive: &Directive) -> bool {
    const PLAIN: [&str; 15] = [
        "access_log",
        "log_not_found",
        "error_log",
        "expires",
        "add_header",
        "more_set_headers",
        "try_files",
        "allow",
        "etag",
        "include",
        "sendfile",
        "tcp_nodelay",
        "charset",
        "default_type",
        "types",
    ];
    let name = directive.name.as_str();
    PLAIN.contains(&name)
        || ["gzip", "open_file_cache", "fastcgi_hide", "brotli"]
            .iter()
            .any(|start| name.starts_with(start))
}

/// Whether it is about logs alone.
pub(crate) fn is_about_logs(directive: &Directive) -> bool {
    ["access_log", "log_not_found", "error_log"].contains(&directive.name.as_str())
}

/// Parameters that PHP has by itself.
pub(crate) const PARAMETERS: [&str; 26] = [
    "QUERY_STRING",
    "REQUEST_METHOD",
    "CONTENT_TYPE",
    "CONTENT_LENGTH",
    "SCRIPT_FILENAME",
    "SCRIPT_NAME",
    "REQUEST_URI",
    "DOCUMENT_URI",
    "DOCUMENT_ROOT",
    "SERVER_PROTOCOL",
    "REQUEST_SCHEME",
    "GATEWAY_INTERFACE",
    "SERVER_SOFTWARE",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "REMOTE_USER",
    "SERVER_ADDR",
    "SERVER_PORT",
    "SERVER_NAME",
    "REDIRECT_STATUS",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "HTTP_PROXY",
    "HTTP_HOST",
    "HTTP_AUTHORIZATION",
    "ORIG_PATH_INFO",
];
