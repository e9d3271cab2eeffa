//! From one configuration to the next: which sites are the same, which are new, which are gone.
//!
//! Part of the monitor. Pure: two configurations in, a difference out. A site with any other setting than before is a new site: its
//! old processes finish what they do while the new ones start.

use std::collections::HashMap;
use std::rc::Rc;

use hostel_config::{Server, Site};
use hostel_wire::admin::{Change, SiteChange};

/// In what two configurations differ. A site that runs is known by its number `I`.
#[derive(Debug)]
pub(crate) struct Difference<I> {
    pub(crate) removed: Vec<I>,
    pub(crate) changed: Vec<(I, Rc<Site>)>,
    pub(crate) added: Vec<Rc<Site>>,
    /// The same for a person.
    pub(crate) told: Vec<SiteChange>,
    pub(crate) unchanged: u32,
}

/// Compare the sites that run with those of `next`.
pub(crate) fn difference<'b, I>(
    running: impl Iterator<Item = (I, &'b Rc<Site>)>,
    next: &Server,
    is_all_new: bool,
) -> Difference<I> {
    let by_name = next.sites.iter().map(|site| (site.name.as_str(), site));
    let mut wanted: HashMap<&str, &Rc<Site>> = by_name.collect();
    let (mut removed, mut changed, mut unchanged) = (Vec::new(), Vec::new(), 0);
    let mut told = Vec::new();
    let mut tell = |site: &Site, change| {
        let name = site.name.clone();
        told.push(SiteChange { name, change });
    };
    for (id, site) in running {
        // What did not change is mostly the very same value, which is seen at once.
        match wanted.remove(site.name.as_str()) {
            Some(same) if !is_all_new && same == site => unchanged += 1,
            Some(other) => {
                tell(site, Change::Changed);
                changed.push((id, Rc::clone(other)));
            }
            None => {
                tell(site, Change::Removed);
                removed.push(id);
            }
        }
    }
    let is_new = |site: &&Rc<Site>| wanted.contains_key(site.name.as_str());
    let added: Vec<_> = next.sites.iter().filter(is_new).cloned().collect();
    added.iter().for_each(|site| tell(site, Change::Added));
    told.sort_by(|a, b| a.name.cmp(&b.name));
    Difference {
        removed,
        changed,
        added,
        told,
        unchanged,
    }
}

/// Whether every site changes, although its own file did not.
pub(crate) fn changes_all_sites(old: &Server, new: &Server) -> bool {
    old.php_ini_directory != new.php_ini_directory || old.mail.is_some() != new.mail.is_some()
}

/// The keys of hostel.toml that have changed and take effect at a restart only.
pub(crate) fn needs_restart(old: &Server, new: &Server) -> Vec<&'static str> {
    [
        ("http", old.http != new.http),
        ("state", old.state != new.state),
        ("logs", old.logs != new.logs),
        ("run", old.run != new.run),
        ("user", old.user != new.user),
        (
            "mail.user",
            matches!((&old.mail, &new.mail), (Some(old), Some(new)) if old.user != new.user),
        ),
        ("log_level", old.log_level != new.log_level),
    ]
    .into_iter()
    .filter_map(|(key, has_changed)| has_changed.then_some(key))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostel_config::{Egress, Limits, LogLevel, MailRate};
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
            fresh: hostel_wire::fresh::Fresh::Off,
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
            mail: MailRate {
                per_hour: 0,
                burst: 0,
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
            mail: None,
            sites: sites.into_iter().map(Rc::new).collect(),
            jobs: Vec::new(),
        }
    }

    fn difference_of(
        running: &[Rc<Site>],
        next: &Server,
        is_all_new: bool,
    ) -> (Vec<u32>, Vec<u32>, Vec<String>) {
        let found = difference((1..).zip(running), next, is_all_new);
        let told = found.told.iter();
        let told = told.map(|site| format!("{} {:?}", site.name, site.change));
        let changed = found.changed.iter().map(|(id, _)| *id);
        assert_eq!(
            found.unchanged as usize + found.changed.len() + found.removed.len(),
            running.len()
        );
        (found.removed, changed.collect(), told.collect())
    }

    #[test]
    fn what_did_not_change_keeps_its_number() {
        let running = [site("a", "/1"), site("b", "/1"), site("c", "/1")].map(Rc::new);
        let next = server(vec![site("a", "/1"), site("b", "/2"), site("d", "/1")]);
        let (removed, changed, told) = difference_of(&running, &next, false);
        assert_eq!((removed, changed), (vec![3], vec![2]));
        assert_eq!(told, ["b Changed", "c Removed", "d Added"]);
    }

    #[test]
    fn another_php_ini_changes_every_site() {
        let running = [site("a", "/1")];
        let (old, mut next) = (server(running.to_vec()), server(running.to_vec()));
        assert!(!changes_all_sites(&old, &next));
        next.php_ini_directory = "/etc/php/8.2/fpm".into();
        assert!(changes_all_sites(&old, &next));
        let (removed, changed, _) = difference_of(&running.map(Rc::new), &next, true);
        assert_eq!((removed.len(), changed.len()), (0, 1));
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
