//! The media type of a static file, by the extension of its name.
//!
//! Run by the front for each file sent. The table is nginx's own (`mime.types` of Debian 12), so that a site which moves keeps its
//! types, and as there no charset is added: that is the site's to say, in the file or by a script. [`ADDED`] has what browsers
//! insist on and that table lacks (a module script is not run unless it is JavaScript). It never looks into a file: what a
//! visitor uploaded must not choose its own type.

/// The media type of a file of this name, `application/octet-stream` where the extension says nothing.
pub fn of(name: &[u8]) -> &'static str {
    let Some(dot) = name.iter().rposition(|b| *b == b'.') else {
        return DEFAULT;
    };
    let extension = name.get(dot + 1..).unwrap_or_default();
    let mut lower = [0; EXTENSION_BYTES_MAX];
    let Some(lower) = lower.get_mut(..extension.len()) else {
        return DEFAULT;
    };
    lower.copy_from_slice(extension);
    lower.make_ascii_lowercase();
    let find = |table: &[(&[u8], &'static str)]| {
        let found = table
            .binary_search_by(|(other, _)| (*other).cmp(lower))
            .ok();
        found
            .and_then(|index| table.get(index))
            .map(|(_, media_type)| *media_type)
    };
    find(&NGINX).or_else(|| find(&ADDED)).unwrap_or(DEFAULT)
}

/// What nginx says too where nothing is known; browsers then save the file.
const DEFAULT: &str = "application/octet-stream";
/// The longest extension of the tables.
const EXTENSION_BYTES_MAX: usize = 11;

/// nginx's table, sorted.
#[rustfmt::skip]
static NGINX: [(&[u8], &str); 110] = [
    (b"3gp", "video/3gpp"),
    (b"3gpp", "video/3gpp"),
    (b"7z", "application/x-7z-compressed"),
    (b"ai", "application/postscript"),
    (b"asf", "video/x-ms-asf"),
    (b"asx", "video/x-ms-asf"),
    (b"atom", "application/atom+xml"),
    (b"avi", "video/x-msvideo"),
    (b"avif", "image/avif"),
    (b"bin", "application/octet-stream"),
    (b"bmp", "image/x-ms-bmp"),
    (b"cco", "application/x-cocoa"),
    (b"crt", "application/x-x509-ca-cert"),
    (b"css", "text/css"),
    (b"deb", "application/octet-stream"),
    (b"der", "application/x-x509-ca-cert"),
    (b"dll", "application/octet-stream"),
    (b"dmg", "application/octet-stream"),
    (b"doc", "application/msword"),
    (b"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"ear", "application/java-archive"),
    (b"eot", "application/vnd.ms-fontobject"),
    (b"eps", "application/postscript"),
    (b"exe", "application/octet-stream"),
    (b"flv", "video/x-flv"),
    (b"gif", "image/gif"),
    (b"hqx", "application/mac-binhex40"),
    (b"htc", "text/x-component"),
    (b"htm", "text/html"),
    (b"html", "text/html"),
    (b"ico", "image/x-icon"),
    (b"img", "application/octet-stream"),
    (b"iso", "application/octet-stream"),
    (b"jad", "text/vnd.sun.j2me.app-descriptor"),
    (b"jar", "application/java-archive"),
    (b"jardiff", "application/x-java-archive-diff"),
    (b"jng", "image/x-jng"),
    (b"jnlp", "application/x-java-jnlp-file"),
    (b"jpeg", "image/jpeg"),
    (b"jpg", "image/jpeg"),
    (b"js", "application/javascript"),
    (b"json", "application/json"),
    (b"kar", "audio/midi"),
    (b"kml", "application/vnd.google-earth.kml+xml"),
    (b"kmz", "application/vnd.google-earth.kmz"),
    (b"m3u8", "application/vnd.apple.mpegurl"),
    (b"m4a", "audio/x-m4a"),
    (b"m4v", "video/x-m4v"),
    (b"mid", "audio/midi"),
    (b"midi", "audio/midi"),
    (b"mml", "text/mathml"),
    (b"mng", "video/x-mng"),
    (b"mov", "video/quicktime"),
    (b"mp3", "audio/mpeg"),
    (b"mp4", "video/mp4"),
    (b"mpeg", "video/mpeg"),
    (b"mpg", "video/mpeg"),
    (b"msi", "application/octet-stream"),
    (b"msm", "application/octet-stream"),
    (b"msp", "application/octet-stream"),
    (b"odg", "application/vnd.oasis.opendocument.graphics"),
    (b"odp", "application/vnd.oasis.opendocument.presentation"),
    (b"ods", "application/vnd.oasis.opendocument.spreadsheet"),
    (b"odt", "application/vnd.oasis.opendocument.text"),
    (b"ogg", "audio/ogg"),
    (b"pdb", "application/x-pilot"),
    (b"pdf", "application/pdf"),
    (b"pem", "application/x-x509-ca-cert"),
    (b"pl", "application/x-perl"),
    (b"pm", "application/x-perl"),
    (b"png", "image/png"),
    (b"ppt", "application/vnd.ms-powerpoint"),
    (b"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    (b"prc", "application/x-pilot"),
    (b"ps", "application/postscript"),
    (b"ra", "audio/x-realaudio"),
    (b"rar", "application/x-rar-compressed"),
    (b"rpm", "application/x-redhat-package-manager"),
    (b"rss", "application/rss+xml"),
    (b"rtf", "application/rtf"),
    (b"run", "application/x-makeself"),
    (b"sea", "application/x-sea"),
    (b"shtml", "text/html"),
    (b"sit", "application/x-stuffit"),
    (b"svg", "image/svg+xml"),
    (b"svgz", "image/svg+xml"),
    (b"swf", "application/x-shockwave-flash"),
    (b"tcl", "application/x-tcl"),
    (b"tif", "image/tiff"),
    (b"tiff", "image/tiff"),
    (b"tk", "application/x-tcl"),
    (b"ts", "video/mp2t"),
    (b"txt", "text/plain"),
    (b"war", "application/java-archive"),
    (b"wasm", "application/wasm"),
    (b"wbmp", "image/vnd.wap.wbmp"),
    (b"webm", "video/webm"),
    (b"webp", "image/webp"),
    (b"wml", "text/vnd.wap.wml"),
    (b"wmlc", "application/vnd.wap.wmlc"),
    (b"wmv", "video/x-ms-wmv"),
    (b"woff", "font/woff"),
    (b"woff2", "font/woff2"),
    (b"xhtml", "application/xhtml+xml"),
    (b"xls", "application/vnd.ms-excel"),
    (b"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"xml", "text/xml"),
    (b"xpi", "application/x-xpinstall"),
    (b"xspf", "application/xspf+xml"),
    (b"zip", "application/zip"),
];

/// What it lacks, sorted.
#[rustfmt::skip]
static ADDED: [(&[u8], &str); 20] = [
    (b"aac", "audio/aac"),
    (b"apng", "image/apng"),
    (b"bz2", "application/x-bzip2"),
    (b"csv", "text/csv"),
    (b"epub", "application/epub+zip"),
    (b"flac", "audio/flac"),
    (b"gz", "application/gzip"),
    (b"ics", "text/calendar"),
    (b"jxl", "image/jxl"),
    (b"map", "application/json"),
    (b"md", "text/markdown"),
    (b"mjs", "application/javascript"),
    (b"oga", "audio/ogg"),
    (b"ogv", "video/ogg"),
    (b"opus", "audio/ogg"),
    (b"otf", "font/otf"),
    (b"ttf", "font/ttf"),
    (b"vtt", "text/vtt"),
    (b"wav", "audio/wav"),
    (b"webmanifest", "application/manifest+json"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_fit_the_buffer() {
        for table in [&NGINX[..], &ADDED[..]] {
            assert!(table.is_sorted_by(|a, b| a.0 < b.0));
            assert!(table.iter().all(|(e, _)| e.len() <= EXTENSION_BYTES_MAX));
        }
        assert!(
            ADDED
                .iter()
                .all(|(e, _)| !NGINX.iter().any(|(n, _)| n == e))
        );
    }

    #[test]
    fn the_last_extension_counts_whatever_its_case() {
        for (name, media_type) in [
            (&b"index.html"[..], "text/html"),
            (b"A.B.CSS", "text/css"),
            (b"app.js", "application/javascript"),
            (b"app.mjs", "application/javascript"),
            (b"site.webmanifest", "application/manifest+json"),
            (b"archive.tar.gz", "application/gzip"),
            (b"photo.JPeG", "image/jpeg"),
            (b"README", DEFAULT),
            (b"x.", DEFAULT),
            (b"x.verylongextension", DEFAULT),
            (b"", DEFAULT),
        ] {
            assert_eq!(of(name), media_type, "{}", name.escape_ascii());
        }
    }
}
