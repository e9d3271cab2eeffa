//! What bounds a site's temporary files: the keeper, which removes the oldest, where the file system bounds nothing.

use std::fs;
use std::time::Duration;

use hostel_e2e::{Instance, Site, User, wait_until};

/// The first sweep comes ten seconds after the start, the next ones a minute apart.
const SWEPT_WITHIN: Duration = Duration::from_secs(90);

const FILL: &str = "<?php
    $bytes = str_repeat('x', 1 << 20);
    foreach (range(1, 6) as $n) {
        foreach (['/tmp', '/var/tmp'] as $place) file_put_contents(\"$place/$n\", $bytes);
        usleep(1100000);
    }
    $held = fopen('/tmp/1', 'r');
    touch('/tmp/done');
    sleep(75);";

#[test]
fn beyond_the_bound_the_oldest_files_go_and_those_in_use_stay() {
    let site = Site::new("a", User::One)
        .toml("temporary_bytes_max = \"8M\"")
        .file("public/fill.php", FILL)
        .file("public/index.php", "<?php echo 'fine';");
    let instance = Instance::new("disk-soft").site(site).start();
    let [tmp, var] = ["tmp", "var-tmp"].map(|name| instance.path("state/sites/a").join(name));
    let mut connection = instance.connect();
    let request = hostel_e2e::Request::get("a.test", "/fill.php");
    connection.send(&request.bytes()).expect("a connection");
    assert!(
        wait_until(SWEPT_WITHIN, || tmp.join("done").exists()),
        "{}",
        instance.logs()
    );
    let bytes = || -> u64 {
        let files = [&tmp, &var]
            .into_iter()
            .flat_map(|place| fs::read_dir(place).expect("it is there"));
        files
            .map(|file| {
                file.expect("it is there")
                    .metadata()
                    .expect("it is there")
                    .len()
            })
            .sum()
    };
    let swept = wait_until(SWEPT_WITHIN, || bytes() <= 8 << 20);
    assert!(swept, "{} bytes\n{}", bytes(), instance.logs());
    assert!(tmp.join("1").exists(), "it was open");
    assert!(
        !var.join("1").exists() && !tmp.join("2").exists(),
        "the oldest go first"
    );
    assert!(
        tmp.join("6").exists() && var.join("6").exists(),
        "the youngest stay"
    );
    let said = || {
        instance
            .log("a", "error")
            .contains("more than temporary_bytes_max (8388608)")
    };
    assert!(
        wait_until(Duration::from_secs(5), said),
        "{}",
        instance.logs()
    );
    assert_eq!(instance.get("a.test", "/").text(), "fine");
}
