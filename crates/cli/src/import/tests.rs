//! What tests of one server's importer start from; and damaged configurations: whatever is done to those of `tests/import`, nothing panics, nothing runs on, and each directive is in a list.

use std::fs;
use std::path::Path;

use hostel_config::{SystemUsers, UserLookUp};
use hostel_sys::cred::{LookUpError, User};

use super::ledger::List;
use super::source::memory::Memory;
use super::{Imported, Server, import};

/// The sites of one file of a server and one of pools, which may be empty.
pub(super) fn of(server: Server, file: &str, pools: &str) -> Imported {
    let files = Memory::new(&[("/c/main", file), ("/p/pools.conf", pools)]);
    let pool_paths: &[String] = match pools {
        "" => &[],
        _ => &["/p/pools.conf".to_owned()],
    };
    let users = SystemUsers::read();
    import(server, &["/c/main".to_owned()], pool_paths, &files, &users).unwrap()
}

/// The lines of the only site, without the comment.
pub(super) fn lines(imported: &Imported) -> Vec<&str> {
    let [site] = &imported.sites[..] else {
        panic!("one site: {:?}", imported.sites)
    };
    site.text.lines().skip(1).collect()
}

/// Of each file.
const VARIANTS: u64 = 40;

#[test]
fn damaged_files_are_errors_or_reports() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import");
    let (mut taken, mut refused) = (0, 0);
    for case in fs::read_dir(folder).unwrap().flatten() {
        for (name, server) in [
            ("nginx.conf", Server::Nginx),
            ("apache2.conf", Server::Apache),
            ("fpm.conf", Server::PhpFpm),
        ] {
            let Ok(text) = fs::read_to_string(case.path().join(name)) else {
                continue;
            };
            for seed in 1..=VARIANTS {
                let files =
                    Memory::new(&[("/c/main", &damaged(&text, seed)), ("/c/other", "x y;\n")]);
                let Ok(imported) = import(server, &["/c/main".to_owned()], &[], &files, &Nobody)
                else {
                    refused += 1;
                    continue;
                };
                taken += 1;
                let all = imported.ledger.entries().count();
                let listed: usize = List::ALL
                    .iter()
                    .map(|list| imported.ledger.of(*list).count())
                    .sum();
                assert_eq!(
                    all,
                    listed,
                    "{name} of {}, seed {seed}",
                    case.path().display()
                );
                for site in &imported.sites {
                    let is_line = |line: &str| {
                        line.is_empty() || line.starts_with(['#', '[', '"']) || line.contains(" = ")
                    };
                    assert!(site.text.lines().all(is_line), "{}", site.text);
                }
            }
        }
    }
    assert!(
        taken > 100 && refused > 100,
        "{taken} taken, {refused} refused"
    );
}

/// The text with something cut out, something twice, and some characters changed.
fn damaged(text: &str, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(bound.max(1)).unwrap()).unwrap()
    };
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..1 + below(4) {
        let from = below(characters.len());
        let to = (from + below(40)).min(characters.len());
        match below(3) {
            0 => drop(characters.drain(from..to)),
            1 => {
                let twice = characters[from..to].to_vec();
                characters.splice(from..from, twice);
            }
            _ => {
                let special = [
                    '{', '}', ';', '"', '\'', '\\', '#', '<', '>', '[', ']', '=', '$', '*', '\n',
                    '\0', '\u{fffd}', 'é',
                ];
                let at = below(characters.len());
                characters[at] = special[below(special.len())];
            }
        }
    }
    characters.into_iter().collect()
}

struct Nobody;

impl UserLookUp for Nobody {
    fn by_name(&self, _: &str) -> Result<Option<User>, LookUpError> {
        Ok(None)
    }
}
