//! Compiled scripts that outlive PHP: used again by the next one, and never in place of a script that has changed.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::front::get;
use crate::site::{Site, Wishes};

const SCRIPT: &str = "<?php echo 'as written';";

/// A site with a file cache in which what was tampered with is not noticed: so that it shows whether it was used.
fn site(values: &[(&str, &str)]) -> Site {
    let own = [
        ("opcache.file_cache", "%h/cache"),
        ("opcache.file_cache_consistency_checks", "0"),
    ];
    let site = Site::start(
        "settings",
        &Wishes {
            values: &[&own, values].concat(),
            ..Wishes::default()
        },
    );
    site.write_script(SCRIPT);
    site
}

impl Site {
    /// Write the script anew, with a time of modification that never changes.
    fn write_script(&self, text: &str) {
        let path = self.root().join("script.php");
        fs::write(&path, text).unwrap();
        let hour_ago = fs::metadata("/proc/self/exe").unwrap().modified().unwrap();
        let times = FileTimes::new().set_modified(hour_ago);
        File::options()
            .append(true)
            .open(path)
            .unwrap()
            .set_times(times)
            .unwrap();
    }

    fn run_script(&mut self) -> String {
        self.worker().front.ask(&get("/script.php")).text()
    }

    /// What was compiled of the script, made to say something else and to be written so many seconds after the present.
    fn tamper(&self, later: u64) {
        let compiled = self.compiled().pop().expect("the script was not kept");
        let mut bytes = fs::read(&compiled).unwrap();
        let at = bytes
            .windows(7)
            .position(|bytes| bytes == b"written")
            .unwrap();
        bytes[at..at + 7].copy_from_slice(b"planted");
        fs::write(&compiled, bytes).unwrap();
        let later = FileTimes::new().set_modified(SystemTime::now() + Duration::from_secs(later));
        File::options()
            .append(true)
            .open(compiled)
            .unwrap()
            .set_times(later)
            .unwrap();
    }

    /// The files that stand for the script.
    fn compiled(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        find(&self.directory.join("cache"), &mut found);
        found
    }
}

fn find(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            find(&entry.path(), found);
        } else if entry.file_name() == "script.php.bin" {
            found.push(entry.path());
        }
    }
}

#[test]
fn a_new_php_runs_what_the_last_one_has_compiled() {
    let mut site = site(&[]);
    assert_eq!(site.run_script(), "as written");
    site.tamper(9);
    assert_eq!(site.run_script(), "as written", "memory goes first");
    site.restart();
    assert_eq!(site.run_script(), "as planted", "it was compiled anew");
    assert_eq!(site.stderr(), "");
}

#[test]
fn a_script_that_changed_is_compiled_anew_even_with_time_and_size_as_before() {
    let mut site = site(&[]);
    assert_eq!(site.run_script(), "as written");
    site.tamper(0);
    site.write_script("<?php echo 'as changed';");
    site.restart();
    assert_eq!(site.run_script(), "as changed");
}

#[test]
fn other_settings_are_another_cache() {
    let mut site = site(&[]);
    assert_eq!(site.run_script(), "as written");
    site.tamper(9);
    let value = &mut site.settings.php_values[0];
    assert_eq!(value.name, "opcache.lockfile_path");
    value.value.push('/');
    site.restart();
    assert_eq!(site.compiled(), [] as [PathBuf; 0], "the old one is left");
    assert_eq!(site.run_script(), "as written");
    assert_eq!(site.compiled().len(), 1);
}

#[test]
fn what_opcache_reset_forgets_is_forgotten_on_disk() {
    let mut site = site(&[]);
    site.write("public/reset.php", "<?php var_dump(opcache_reset());");
    assert_eq!(site.run_script(), "as written");
    assert_eq!(site.compiled().len(), 1);
    let reset = site.worker().front.ask(&get("/reset.php")).text();
    assert_eq!(reset, "bool(true)\n");
    assert_eq!(site.compiled().len(), 0);
}

#[test]
fn nothing_is_kept_where_times_do_not_count_or_scripts_are_preloaded() {
    for value in [
        ("opcache.validate_timestamps", "0"),
        ("opcache.preload", "%h/public/preload.php"),
    ] {
        let mut site = site(&[value]);
        assert_eq!(site.run_script(), "as written");
        assert_eq!(site.compiled().len(), 0, "{value:?}");
    }
}

#[test]
fn a_directory_that_is_not_the_site_s_alone_is_not_used_and_told() {
    let mut site = site(&[]);
    let cache = site.directory.join("cache");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
    site.restart();
    assert_eq!(site.run_script(), "as written");
    assert_eq!(site.compiled().len(), 0);
    let said = site.stderr();
    assert!(said.contains("/cache has mode 0755, not 0700"), "{said}");

    fs::remove_dir(&cache).unwrap_or_else(|_| fs::remove_dir_all(&cache).unwrap());
    std::os::unix::fs::symlink(site.directory.join("tmp"), &cache).unwrap();
    site.restart();
    assert_eq!(site.run_script(), "as written");
    let said = site.stderr();
    assert!(
        said.contains("cannot open") && said.contains("/cache"),
        "{said}"
    );
}
