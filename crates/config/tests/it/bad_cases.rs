//! Bad configurations, each with exactly what is said about it.
//!
//! A case is `tests/cases/NAME.toml` with `NAME.expected`. After a wanted change of messages, `HOSTEL_BLESS=1 cargo test -p
//! hostel-config` writes the expected files anew; read the difference before committing it.

use std::fs;
use std::path::Path;

use crate::system::Instance;

#[test]
fn every_bad_configuration_is_refused_with_the_expected_messages() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut paths: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    paths.sort();
    assert!(paths.len() >= 30, "only {} cases", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let said = Instance::of_case(&text)
            .load()
            .expect_err(&path.display().to_string());
        let expected = path.with_extension("expected");
        if std::env::var_os("HOSTEL_BLESS").is_some() {
            fs::write(&expected, &said).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{}: was\n{said}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
