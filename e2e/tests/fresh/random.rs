//! A site with a module that seeds a library too early: workers that are put back would yield its random numbers again.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hostel_e2e::process::wait_until;
use hostel_e2e::{Instance, Request, Site, User};

use super::status;

/// What the library yields, and the process.
const DRAW: &str = "<?php
$library = FFI::cdef('void gcry_create_nonce(void *, size_t);');
$bytes = $library->new('unsigned char[16]');
$library->gcry_create_nonce($bytes, 16);
echo bin2hex(FFI::string($bytes, 16)), ' ', getmypid();";

/// The module that crates/php is tested with, built to draw from libgcrypt.
fn module() -> Vec<u8> {
    let directory = std::env::temp_dir().join(format!("hostel-early-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a temporary directory");
    let includes = Command::new("php-config8.2").arg("--includes").output();
    let includes = String::from_utf8(includes.expect("php8.2-dev").stdout).expect("UTF-8");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/php/tests/it/early.c");
    let target = directory.join("early.so");
    let draw = "-DDRAW=gcry_create_nonce(bytes, 16)";
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-w", draw, "-o"])
        .arg(&target)
        .arg(source)
        .args(includes.split_whitespace())
        .status();
    assert!(built.expect("cc").success(), "the module was not built");
    let module = std::fs::read(&target).expect("just built");
    std::fs::remove_dir_all(&directory).expect("ours");
    module
}

#[test]
fn where_random_numbers_would_come_again_status_says_fork_and_the_log_says_why() {
    let instance = Instance::new("fresh");
    let early = instance.home("a").join("early.so");
    let php = instance.path("php");
    std::fs::create_dir_all(php.join("conf.d")).expect("the instance's directory");
    let modules = ["ffi", "xml", "dom", "xsl", early.to_str().expect("UTF-8")];
    let mut lines = String::from("zend_extension = opcache\n");
    lines.extend(modules.map(|module| format!("extension = {module}\n")));
    std::fs::write(php.join("php.ini"), lines).expect("the instance's directory");
    let site = Site::new("a", User::One)
        .toml("fresh = true\n[php.admin_value]\n\"ffi.enable\" = true")
        .file("early.so", module())
        .file("public/draw.php", DRAW);
    let settings = format!("php_ini = {php:?}");
    let instance = instance.settings(&settings).site(site).start();
    let mut connection = instance.connect();
    let mut seen = HashSet::new();
    for round in 0..100 {
        let answer = connection
            .exchange(&Request::get("a.test", "/draw.php"))
            .expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        for part in answer.text().split(' ') {
            assert!(
                seen.insert(part.to_owned()),
                "{part} again in round {round}"
            );
        }
    }
    assert_eq!(status(&instance, "a")["fresh"], "fork");
    let told = "gcry_create_nonce yields the same number again";
    let is_told = || instance.log("a", "error").contains(told);
    assert!(wait_until(Duration::from_secs(5), is_told));
}
