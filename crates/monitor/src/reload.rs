//! From one configuration to the next: which sites are the same, which are new, which are gone.
//!
//! Part of the monitor. Pure: two configurations in, a difference out. A site with any other setting than before is a new site: its
//! old processes finish what they do while the new ones start.

use std::collections::BTreeMap;

use hostel_config::{Server, Site};

/// What changes for the sites.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference<'a, I> {
    /// Sites that are to be taken from the table, by number.
    pub(crate) gone: Vec<I>,
    /// Sites that are to be added.
    pub(crate) new: Vec<&'a Site>,
}

/// Compare the sites that run, with their numbers, with those of `next`.
pub(crate) fn difference<'a, 'b, I: Copy>(
    running: impl Iterator<Item = (I, &'b Site)>,
    next: &'a Server,
    is_all_new: bool,
) -> Difference<'a, I> {
    let mut wanted: BTreeMap<&str, &Site> = next
        .sites
        .iter()
        .map(|site| (site.name.as_str(), site))
        .collect();
    let mut gone = Vec::new();
    for (id, site) in running {
        if !is_all_new && wanted.get(site.name.as_str()) == Some(&site) {
            wanted.remove(site.name.as_str());
        } else {
            gone.push(id);
        }
    }
    Difference {
        gone,
        new: wanted.into_values().collect(),
    }
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
            sites,
        }
    }

    #[test]
    fn what_did_not_change_keeps_its_number() {
        let running = [site("a", "/1"), site("b", "/1"), site("c", "/1")];
        let next = server(vec![site("a", "/1"), site("b", "/2"), site("d", "/1")]);
        let found = difference((1..).zip(&running), &next, false);
        assert_eq!(found.gone, [2, 3]);
        let new: Vec<&str> = found.new.iter().map(|site| site.name.as_str()).collect();
        assert_eq!(new, ["b", "d"]);
    }

    #[test]
    fn another_php_ini_changes_every_site() {
        let running = [site("a", "/1")];
        let (old, mut next) = (server(running.to_vec()), server(running.to_vec()));
        assert!(!changes_all_sites(&old, &next));
        next.php_ini_directory = "/etc/php/8.2/fpm".into();
        assert!(changes_all_sites(&old, &next));
        let found = difference((1..).zip(&running), &next, true);
        assert_eq!((found.gone.len(), found.new.len()), (1, 1));
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
