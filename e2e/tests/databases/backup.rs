//! Databases go into a backup and come back with their site.

use serde_json::Value;

use super::{KINDS, Scene, made_of};
use hostel_e2e::User;

impl Scene {
    /// `hostel WORDS… --to REPOSITORY --json`.
    fn backup(&self, words: &[&str]) -> Value {
        let to = self.instance.path("repository").display().to_string();
        let more = ["--to", &to, "--json"];
        let words: Vec<&str> = words.iter().chain(&more).copied().collect();
        let (fine, output, errors) = self.instance.command(&words);
        assert!(fine, "{words:?}: {output}{errors}");
        serde_json::from_str(&output).expect("a document")
    }
}

#[test]
fn databases_come_back_with_their_site_and_a_trial_has_its_own() {
    let mut scene = Scene::new("database-backup");
    scene.instance.serve();
    let name = User::One.name();
    let content = |scene: &Scene| KINDS.map(|kind| scene.content("one", name, kind));
    for kind in KINDS {
        scene.sql(kind, made_of(kind));
    }
    let then = content(&scene);
    scene.backup(&["backup", "init"]);
    scene.backup(&["backup", "one"]);
    for kind in KINDS {
        scene.sql(kind, "UPDATE things SET s='changed'");
        scene.sql(kind, "DROP VIEW few");
    }

    // A trial reads what was kept, and the site has its own.
    let home = scene.instance.home("trial").display().to_string();
    let user = User::Four.name();
    let mut words = vec!["restore", "one", "--as", "trial", "--domain", "trial.test"];
    words.extend(["--home", &home, "--user", user]);
    let made = scene.backup(&words);
    assert!(
        made["notes"].to_string().contains("no password"),
        "{made:#}"
    );
    for kind in KINDS {
        let read = |site, name| scene.sql_of(site, name, kind, "SELECT s FROM things WHERE id=1");
        assert_eq!(read("trial", "trial"), "original", "{kind}");
        assert!(read("one", name).eq_ignore_ascii_case("changed"), "{kind}");
    }
    let removed = ["site", "remove", "trial", "--purge", "--with-home"];
    let (fine, output, errors) = scene.instance.command(&removed);
    assert!(fine, "{output}{errors}");
    assert_eq!(scene.traces("trial")[0], "0");

    // The site itself, and what was there before is kept.
    let restored = scene.backup(&["restore", "one"]);
    assert_eq!(content(&scene), then);
    let kept = restored["kept"].as_array().expect("a list");
    assert_eq!(kept.len(), 2, "{restored:#}");
    let dumps = std::fs::read_dir(kept[1].as_str().expect("a path")).unwrap();
    // SQLite's file is in the home that was there.
    assert_eq!(dumps.count(), 2);
    // Where a run has ended between the two names, there is no home, and no sandbox that could dump anything.
    let home = scene.instance.home("one");
    let before = home.with_file_name(".one.before-1700000000");
    std::fs::rename(&home, &before).unwrap();
    scene.backup(&["restore", "one", "--purge"]);
    assert_eq!(content(&scene), then);
    assert!(!before.exists());
    // Databases stay as they are where that is wanted.
    scene.sql("mysql", "UPDATE things SET s='later'");
    scene.backup(&["restore", "one", "--purge", "--no-databases"]);
    let now = scene.sql("mysql", "SELECT s FROM things WHERE id=1");
    assert_eq!(now, "LATER".to_lowercase());
}
