//! Words of commands that are shown to be run by a shell as root: no file's name may become anything else than that name.

/// One word. What is not plain stands in quotes; what could not be seen, or be taken for something else, as numbers (bash's
/// `$'…'`).
pub(crate) fn word(bytes: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let is_visible = |c: char| c.is_alphanumeric() || (' '..='~').contains(&c);
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(is_visible) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let bytes: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("$'{bytes}'")
        }
    }
}

/// Several words.
pub(crate) fn words<'a>(all: impl IntoIterator<Item = &'a [u8]>) -> String {
    let words: Vec<String> = all.into_iter().map(word).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn a_name_stays_one_word() {
        assert_eq!(word(b"/srv/a/x.php"), "/srv/a/x.php");
        assert_eq!(word(b"a b"), "'a b'");
        assert_eq!(word(b"a'; rm -rf /; '"), r"'a'\''; rm -rf /; '\'''");
        assert_eq!(word(b"$(id)"), "'$(id)'");
        assert_eq!(word("gr\u{fc}n".as_bytes()), "'gr\u{fc}n'");
        assert_eq!(word(b"x\ny"), r"$'\x78\x0a\x79'");
        assert_eq!(word("a\u{202e}b".as_bytes()), r"$'\x61\xe2\x80\xae\x62'");
        assert_eq!(word(b""), "''");
    }
}
