//! From one configuration to the next: which sites are the same, which are new, which are gone.
//!
//! Part of the monitor. Pure: two configurations in, a difference out. A site with any other setting than before is a new site: its
//! old processes finish what they do while the new ones start.

use std::collections::HashMap;
use std::rc::Rc;

use hostel_config::{Server, Site};

/// Compare the sites that run, with their numbers, with those of `next`: which are to be taken from the table, which to be added.
pub(crate) fn difference<'b, I: Copy>(
    running: impl Iterator<Item = (I, &'b Rc<Site>)>,
    next: &Server,
    is_all_new: bool,
) -> (Vec<I>, Vec<Rc<Site>>) {
    let mut gone = Vec::new();
    // What did not change is mostly the very same value, which is seen at once.
    let by_name = next.sites.iter().map(|site| (site.name.as_str(), site));
    let mut wanted: HashMap<&str, &Rc<Site>> = by_name.collect();
    for (id, site) in running {
        if !is_all_new && wanted.get(site.name.as_str()) == Some(&site) {
            wanted.remove(site.name.as_str());
        } else {
            gone.push(id);
        }
    }
    let is_new = |site: &&Rc<Site>| wanted.contains_key(site.name.as_str());
    let new = next.sites.iter().filter(is_new).cloned().collect();
    (gone, new)
}

/// Whether every site changes, although its own file did not.
pub(crate) fn changes_all_sites(old: &Server, new: &Server) -> bool {
    old.php_ini_directory != new.php_ini_directory
}

/// The keys of hostel.toml that have changed and take effect at a restart only.
pub(crate) fn needs_restart(old: &Server, new: &Server) -> Vec<&'static str> {
    [
        ("http", old.http != new.http),
        ("state", old.state != new.state),
        ("logs", old.logs != new.logs),
        ("run", old.run != new.run),
        ("user", old.user != new.user),
        ("log_level", old.log_level != new.log_level),
    ]
    .into_iter()
    .filter_map(|(key, has_changed)| has_changed.then_some(key))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostel_config::{Egress, Limits, LogLevel};
    use hostel_sys::cred::{Gid, Uid, User};
    use std::time::Duration;

    fn user(name: &str) -> User {
        User {
            name: name.into(),
            uid: Uid(1000),
            gid: Gid(1000),
            home: "/".into(),
        }
    }

    fn site(name: &str, root: &str) -> Site {
        Site {
            name: name.into(),
            domains: vec![format!("{name}.example")],
            user: user(name),
            home: format!("/srv/{name}"),
            root: root.into(),
            index: Vec::new(),
            script_extensions: Vec::new(),
            front_controller: String::new(),
            foreign_owners: false,
            suspended: false,
            egress: Egress::Usual,
            services: Vec::new(),
            limits: Limits {
                workers_max: 1,
                queue_max: 1,
                queue_time_max: Duration::from_secs(1),
                request_time_max: Duration::from_secs(1),
                body_bytes_max: 1,
                answer_bytes_max: 1 << 16,
                spill_bytes_max: 1 << 20,
                idle_time: Duration::from_secs(1),
                requests_per_worker: 0,
                memory_max: None,
                cpu_weight: 100,
                cpu_max: None,
                io_weight: 100,
                processes_max: 100,
                temporary_bytes_max: 1 << 30,
                home_bytes_max: None,
                log_bytes_max: 1 << 30,
            },
            php_values: Vec::new(),
        }
    }

    fn server(sites: Vec<Site>) -> Server {
        Server {
            http: vec!["127.0.0.1:80".parse().unwrap()],
            sites_directory: "/etc/hostel/sites.d".into(),
            state: "/var/lib/hostel".into(),
            logs: "/var/log/hostel".into(),
            run: "/run/hostel".into(),
            user: user("hostel"),
            log_level: LogLevel::Information,
            php_ini_directory: "/etc/php/8.2/embed".into(),
            uid_min: 100,
            gid_min: 100,
            open_ports: Vec::new(),
            sites: sites.into_iter().map(Rc::new).collect(),
        }
    }

    fn difference_of(
        running: &[Rc<Site>],
        next: &Server,
        is_all_new: bool,
    ) -> (Vec<u32>, Vec<String>) {
        let (gone, new) = difference((1..).zip(running), next, is_all_new);
        let names = new.iter().map(|site| site.name.clone());
        (gone, names.collect())
    }

    #[test]
    fn what_did_not_change_keeps_its_number() {
        let running = [site("a", "/1"), site("b", "/1"), site("c", "/1")].map(Rc::new);
        let next = server(vec![site("a", "/1"), site("b", "/2"), site("d", "/1")]);
        let (gone, new) = difference_of(&running, &next, false);
        assert_eq!(
            (gone, new),
            (vec![2, 3], vec!["b".to_owned(), "d".to_owned()])
        );
    }

    #[test]
    fn another_php_ini_changes_every_site() {
        let running = [site("a", "/1")];
        let (old, mut next) = (server(running.to_vec()), server(running.to_vec()));
        assert!(!changes_all_sites(&old, &next));
        next.php_ini_directory = "/etc/php/8.2/fpm".into();
        assert!(changes_all_sites(&old, &next));
        let (gone, new) = difference_of(&running.map(Rc::new), &next, true);
        assert_eq!((gone.len(), new.len()), (1, 1));
    }

    #[test]
    fn what_a_reload_cannot_do_is_named() {
        let old = server(Vec::new());
        let mut new = server(Vec::new());
        assert!(needs_restart(&old, &new).is_empty());
        new.http.push("127.0.0.1:81".parse().unwrap());
        new.user = user("www");
        assert_eq!(needs_restart(&old, &new), ["http", "user"]);
    }
}
