//! Which files are refused whatever they say, since somebody else could write them.

use std::os::unix::fs::{chown, symlink};

use crate::system::Instance;

fn instance() -> Instance {
    Instance::of_case("# file: sites.d/alice.toml\ndomains = ['a.example']\n")
}

#[test]
fn what_others_can_write_is_refused() {
    for (name, mode) in [
        ("hostel.toml", 0o666),
        ("hostel.toml", 0o664),
        ("sites.d/alice.toml", 0o662),
        ("sites.d", 0o777),
        ("sites.d", 0o1777),
    ] {
        let instance = instance();
        instance.mode(name, mode);
        assert_eq!(
            instance.load().unwrap_err(),
            format!(
                "{name}: can be written by others than its owner (mode {mode:04o})\n  hint: chmod go-w\n"
            )
        );
    }
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    for name in ["hostel.toml", "sites.d/alice.toml", "sites.d"] {
        let instance = instance();
        // Only root can give a file away; for others there is nothing to test.
        if chown(instance.path(name), Some(1001), None).is_err() {
            eprintln!("skipped: needs root");
            return;
        }
        assert_eq!(
            instance.load().unwrap_err(),
            format!(
                "{name}: belongs to the user with uid 1001, who could change what root does\n  hint: chown root\n"
            )
        );
    }
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let instance = instance();
    symlink(
        instance.path("sites.d/alice.toml"),
        instance.path("sites.d/bob.toml"),
    )
    .unwrap();
    assert_eq!(
        instance.load().unwrap_err(),
        "sites.d/bob.toml: is a symbolic link; it is not followed\n  hint: put the file itself here\n"
    );
}

#[test]
fn only_regular_files_are_read() {
    let instance = instance();
    std::fs::create_dir(instance.path("sites.d/bob.toml")).unwrap();
    let pipe = instance.path("sites.d/carol.toml");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert_eq!(
        instance.load().unwrap_err(),
        "sites.d/bob.toml: is not a regular file\nsites.d/carol.toml: is not a regular file\n"
    );
}

#[test]
fn what_is_missing_is_named() {
    let instance = instance();
    std::fs::remove_file(instance.path("hostel.toml")).unwrap();
    assert_eq!(
        instance.load().unwrap_err(),
        "hostel.toml: does not exist\n  hint: create a regular file of this name\n"
    );
}

#[test]
fn what_is_not_text_is_refused() {
    let instance = instance();
    std::fs::write(instance.path("sites.d/alice.toml"), [0xff, 0xfe]).unwrap();
    std::fs::write(instance.path("sites.d/bob.toml"), " ".repeat(2 << 20) + " ").unwrap();
    instance.mode("sites.d/bob.toml", 0o644);
    assert_eq!(
        instance.load().unwrap_err(),
        "sites.d/alice.toml: cannot be read: it is not UTF-8 text\nsites.d/bob.toml: is larger than 2048 KiB\n"
    );
}
