//! `hostel import` as it is typed: each case of `tests/import` with exactly what is printed.
//!
//! A case is a folder with `nginx.conf` or `apache2.conf` and mostly `fpm.conf`, written anew after what its first lines name, and
//! `expected`. After a wanted change, `HOSTEL_BLESS=1 cargo test -p hostel-cli` writes the expected files anew; read the difference
//! before committing it. e2e/tests/import.rs runs those with a `run.toml` beside the servers that they are from.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The issue asks for at least this many.
const CASES_MIN: usize = 30;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap();
    let mut cases: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    cases
}

/// `hostel import` of a case, in its folder.
fn import(case: &Path, more: &[&str]) -> Output {
    let has = |name: &str| case.join(name).exists();
    let mut arguments = vec!["import"];
    match (has("nginx.conf"), has("apache2.conf")) {
        (true, _) => arguments.extend(["nginx", "nginx.conf"]),
        (_, true) => arguments.extend(["apache", "apache2.conf"]),
        _ => arguments.extend(["php-fpm", "fpm.conf"]),
    }
    if arguments[1] != "php-fpm" && has("fpm.conf") {
        arguments.extend(["--php-fpm", "fpm.conf"]);
    }
    hostel(case, &arguments, more)
}

fn hostel(directory: &Path, arguments: &[&str], more: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_hostel"))
        .args(arguments)
        .args(more)
        .current_dir(directory)
        .output();
    output.unwrap()
}

#[test]
fn every_case_is_imported_as_expected() {
    let mut wrong = Vec::new();
    for case in cases() {
        let output = import(&case, &[]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let said = said.replace(&format!("{}/", case.display()), "");
        let expected = case.join("expected");
        if std::env::var_os("HOSTEL_BLESS").is_some() {
            fs::write(&expected, &said).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{}: was\n{said}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_case_names_its_source() {
    for case in cases() {
        let files = fs::read_dir(&case)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let texts = files.filter(|path| path.extension().is_some_and(|end| end == "conf"));
        let named = texts
            .map(|path| fs::read_to_string(path).unwrap())
            .any(|text| {
                let head: String = text
                    .lines()
                    .take_while(|line| line.starts_with(['#', ';']))
                    .collect();
                head.contains("https://")
            });
        assert!(
            named,
            "{}: the first lines must say where it is from",
            case.display()
        );
    }
}

#[test]
fn every_directive_is_in_one_list_and_the_files_are_taken() {
    for case in cases() {
        let shown = case.display();
        let output = import(&case, &["--json"]);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["problems"], Value::Array(Vec::new()), "{shown}");
        assert!(output.status.success(), "{shown}");
        let mut seen = BTreeSet::new();
        let mut count = 0;
        for list in ["carried_over", "not_needed", "not_supported"] {
            for entry in document[list].as_array().unwrap() {
                assert!(
                    entry["line"].as_u64().unwrap() >= 1
                        && !entry["text"].as_str().unwrap().is_empty(),
                    "{shown}: {entry}"
                );
                // Two directives of one line and text are two.
                let is_new = seen.insert((
                    entry["file"].to_string(),
                    entry["line"].as_u64(),
                    entry["directive"].to_string(),
                ));
                count += usize::from(is_new);
            }
        }
        assert!(count > 5, "{shown}: {count} directives");
    }
}

#[test]
fn files_are_written_once_and_never_over_others() {
    let directory = std::env::temp_dir().join(format!("hostel-cli-import-{}", std::process::id()));
    let write = ["--write", directory.to_str().unwrap()];
    let case = folder().join("nginx-two-users");
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let first = import(&case, &write);
    assert!(first.status.success(), "{first:?}");
    assert_eq!(said(&first).matches(": written").count(), 2);
    let one = directory.join("imp-one.toml");
    let text = fs::read_to_string(&one).unwrap();
    assert!(text.contains("domains = [\"one.example\"]"), "{text}");
    let again = import(&case, &write);
    assert_eq!(said(&again).matches(": as it was").count(), 2, "{again:?}");

    fs::write(&one, "# changed by hand\n").unwrap();
    fs::remove_file(directory.join("imp-two.toml")).unwrap();
    let refused = import(&case, &write);
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        error
            .contains("imp-one.toml is there already and says something else; nothing was written"),
        "{error}"
    );
    let left: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["imp-one.toml"], "nothing half done is left");
    assert_eq!(fs::read_to_string(&one).unwrap(), "# changed by hand\n");
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn what_cannot_be_read_is_said_with_file_and_line() {
    let directory =
        std::env::temp_dir().join(format!("hostel-cli-import-errors-{}", std::process::id()));
    fs::create_dir_all(directory.join("empty")).unwrap();
    fs::write(directory.join("loop.conf"), "\ninclude loop.conf;\n").unwrap();
    fs::write(directory.join("open.conf"), "server {\n").unwrap();
    for (arguments, expected) in [
        (&["nginx", "loop.conf"][..], "loop.conf:2: includes "),
        (
            &["nginx", "open.conf"],
            "open.conf:1: this block is never closed",
        ),
        (&["apache", "none.conf"], "none.conf: No such file"),
        (&["apache", "/dev/null"], "/dev/null: is not a regular file"),
        (
            &["php-fpm", "empty"],
            "no configuration files are in this directory",
        ),
        (
            &["php-fpm", "open.conf"],
            "open.conf:1: 'server {' is no line",
        ),
    ] {
        let output = hostel(&directory, &["import"], arguments);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            error.starts_with("hostel import: ") && error.contains(expected),
            "{arguments:?}: {error}"
        );
    }
    fs::remove_dir_all(&directory).unwrap();
}
