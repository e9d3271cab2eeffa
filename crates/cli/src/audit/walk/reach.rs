//! Who, besides the site's own user and root, can get to a place: judged with every directory above it. Pure.

/// Which groups have other members, and who can get to home.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Others {
    /// Everybody can search all directories above home.
    pub(crate) is_open: bool,
    /// Members of these groups can, although not everybody can.
    pub(crate) groups: Vec<u32>,
    /// The site's own group, where nobody else is in it.
    pub(crate) own_group: Option<u32>,
}

/// Who can get to a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    everyone: bool,
    /// Members of these groups.
    groups: Vec<u32>,
    /// Somebody whom an access list names.
    named: bool,
}

impl Others {
    /// Whether a group may have members besides the site's user and root.
    fn has_members(&self, gid: u32) -> bool {
        gid != 0 && Some(gid) != self.own_group
    }

    /// The same, one directory above home further down.
    pub(crate) fn beneath(&self, mode: u32, gid: u32) -> Self {
        let before = Reach::of_parents(self);
        let after = before.beneath(self, mode, gid, false);
        Self {
            is_open: after.everyone,
            groups: after.groups,
            own_group: self.own_group,
        }
    }
}

impl Reach {
    /// Of home.
    pub(crate) fn of_parents(parents: &Others) -> Self {
        Self {
            everyone: parents.is_open,
            groups: parents.groups.clone(),
            named: false,
        }
    }

    /// Whether anybody can.
    pub(crate) fn is_any(&self) -> bool {
        self.everyone || self.named || !self.groups.is_empty()
    }

    /// Who can get beneath a directory here. `named`: its access list lets somebody search it.
    pub(crate) fn beneath(&self, others: &Others, mode: u32, gid: u32, named: bool) -> Self {
        let everyone = self.everyone && mode & 1 != 0;
        let search = |group: u32| {
            if group == gid {
                mode & 0o010 != 0
            } else {
                mode & 1 != 0
            }
        };
        let mut groups: Vec<u32> = self
            .groups
            .iter()
            .copied()
            .filter(|group| search(*group))
            .collect();
        // Whoever is in everyone's reach needs no place among the groups.
        if everyone {
            groups.clear();
        } else if self.everyone && others.has_members(gid) && mode & 0o010 != 0 {
            groups.push(gid);
        }
        Self {
            everyone,
            groups,
            named: (self.named && mode & 1 != 0) || (self.is_any() && named),
        }
    }

    /// Whether somebody can do with something here what `bit` (4 read, 2 write, 1 execute) stands for.
    pub(crate) fn may(&self, others: &Others, mode: u32, gid: u32, bit: u32) -> bool {
        let everybody = mode & bit != 0;
        let group = mode & (bit << 3) != 0;
        let of_group = |member: &u32| if *member == gid { group } else { everybody };
        (everybody && (self.everyone || self.named))
            || (group && self.everyone && others.has_members(gid))
            || self.groups.iter().any(of_group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 1000;
    const WEB: u32 = 33;

    fn others() -> Others {
        Others {
            is_open: true,
            groups: Vec::new(),
            own_group: Some(OWN),
        }
    }

    fn through(home: u32, gid: u32) -> Reach {
        Reach::of_parents(&others()).beneath(&others(), home, gid, false)
    }

    #[test]
    fn a_closed_home_hides_what_is_open_beneath_it() {
        let reach = through(0o700, OWN);
        assert!(!reach.is_any());
        assert!(!reach.may(&others(), 0o666, OWN, 4));
    }

    #[test]
    fn everyone_comes_through_an_open_home_and_reads_what_is_open() {
        let reach = through(0o711, OWN);
        assert!(reach.may(&others(), 0o604, OWN, 4));
        assert!(
            !reach.may(&others(), 0o640, OWN, 4),
            "its own group has no other members"
        );
        assert!(
            reach.may(&others(), 0o640, WEB, 4),
            "members of another group"
        );
        assert!(!reach.may(&others(), 0o600, WEB, 4));
    }

    #[test]
    fn a_group_that_is_let_into_home_reads_what_is_open_to_everybody() {
        let reach = through(0o710, WEB);
        assert!(reach.is_any());
        assert!(reach.may(&others(), 0o644, OWN, 4));
        assert!(!reach.may(&others(), 0o640, OWN, 4));
        assert!(reach.may(&others(), 0o640, WEB, 4));
        let below = reach.beneath(&others(), 0o750, OWN, false);
        assert!(!below.is_any());
    }

    #[test]
    fn an_own_group_with_other_members_is_like_any() {
        let shared = Others {
            own_group: None,
            ..others()
        };
        let reach = Reach::of_parents(&shared).beneath(&shared, 0o750, OWN, false);
        assert!(reach.may(&shared, 0o640, OWN, 4));
    }

    #[test]
    fn an_access_list_lets_somebody_in() {
        let reach = Reach::of_parents(&others()).beneath(&others(), 0o710, OWN, true);
        assert!(reach.is_any());
        assert!(reach.may(&others(), 0o604, OWN, 4));
        assert!(!reach.may(&others(), 0o600, OWN, 4));
    }

    #[test]
    fn parents_that_only_a_group_can_pass_let_only_that_group_in() {
        let parents = others().beneath(0o750, WEB);
        assert_eq!(parents.groups, [WEB]);
        assert!(!parents.is_open);
        let reach = Reach::of_parents(&parents).beneath(&parents, 0o755, OWN, false);
        assert!(reach.may(&parents, 0o644, OWN, 4));
        assert!(!parents.beneath(0o700, 0).is_open);
    }
}
