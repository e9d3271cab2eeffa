//! docs/config.md, made of the doc comments of hostel-config.

use std::fmt::Write;
use std::fs;

use hostel_config::{Key, SERVER_KEYS, SITE_KEYS};

use crate::run::{Failure, Result, Tried, repository};

const PATH: &str = "docs/config.md";

/// Write it anew.
pub(crate) fn write() -> Result<()> {
    fs::write(repository().join(PATH), text()).tried(PATH)
}

/// It must be what the doc comments make.
pub(crate) fn check() -> Result<()> {
    let written = fs::read_to_string(repository().join(PATH)).tried(PATH)?;
    if written == text() {
        return Ok(());
    }
    Err(Failure(format!(
        "{PATH} is out of date; hint: cargo xtask docs"
    )))
}

fn text() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n## hostel.toml\n\nOnce per server. Every key has a default. Relative paths are relative to the directory of this file.\n");
    keys(&mut text, SERVER_KEYS);
    text.push_str(SITE);
    keys(&mut text, SITE_KEYS);
    text
}

fn keys(text: &mut String, keys: &[Key]) {
    for key in keys {
        let default = if key.default.starts_with('(') {
            key.default.trim_matches(['(', ')']).to_owned()
        } else {
            format!("`{}`", key.default)
        };
        let lines: Vec<&str> = key.text.iter().map(|line| line.trim()).collect();
        let lines = lines.join("\n");
        write!(
            text,
            "\n### `{}`\n\n{lines}\n\nDefault: {default}\n",
            key.name
        )
        .expect("a string takes everything");
    }
}

const INTRODUCTION: &str = "\
# Configuration reference

<!-- Made by `cargo xtask docs` from crates/config/src/raw.rs; change it there. -->

Hostel reads one file for the server and one for each site, all in [TOML](https://toml.io). `hostel check` lists every error in them
with file and line, and changes nothing; SIGHUP to the monitor reads them again, and if anything is wrong with them, everything
stays as it was.

Whoever can write these files is as powerful as root. So a file, and the directory of sites, is refused unless it belongs to root and
nobody else can write it; symbolic links are not followed.
";

const SITE: &str = "
## sites.d/NAME.toml

One file per site. The file's name, without `.toml`, is the site's name: lower-case letters, digits, `-`, `_` and `.`, at most 64
of them.

```toml
domains = [\"blog.example\", \"www.blog.example\"]
user    = \"blog\"

[php.value]                      # scripts and .user.ini may change these
memory_limit = \"256M\"
upload_max_filesize = \"64M\"
post_max_size = \"64M\"

[php.admin_value]                # and may not change these
disable_functions = \"exec,system\"
display_errors = false
```
";

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_is_up_to_date() {
        super::check().unwrap();
    }
}
