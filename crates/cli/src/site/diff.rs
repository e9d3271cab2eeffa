//! From what a site must have and what is there to what is to be done, in words, or to why it is refused. Pure.

use hostel_config::database::{Database, Served};

use super::accounts::Account;
use super::expect::{Contents, Expected, open_bits};
use super::host::FileState;
use super::inspect::{Found, Home, Wrong};
use super::said::Root;
use super::trouble::Trouble;
use hostel_sys::cred::Uid;

/// One thing to be done that makes something. Each may be done again, and leaves the host such that another look finds what is left to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    MakeUser {
        name: String,
        home: String,
        shell: Option<String>,
    },
    MakeGroup {
        name: String,
    },
    MakeHome {
        path: String,
    },
    CloseHome {
        path: String,
        bits: u32,
    },
    Mend(Wrong),
    MakeState,
    MakeLogs,
    EmptyHome {
        path: String,
    },
    FillRoot {
        path: String,
        welcome: bool,
    },
    Copy {
        from: String,
    },
    Unpack {
        from: String,
    },
    MakeDatabase {
        served: Served,
        /// The original's name, where there is one.
        like: Option<String>,
        /// Whether its account is made too.
        with_account: bool,
    },
    CopyDatabase {
        from: String,
        number: usize,
        database: Database,
    },
    WriteFile {
        is_new: bool,
    },
}

impl Step {
    /// Whether it is done before anything beneath the home can be looked at.
    pub(crate) fn is_outside(&self) -> bool {
        matches!(
            self,
            Self::MakeUser { .. }
                | Self::MakeGroup { .. }
                | Self::MakeHome { .. }
                | Self::Mend(_)
                | Self::MakeState
                | Self::MakeLogs
                | Self::MakeDatabase { .. }
        )
    }

    /// What is done, as an administrator would say it.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::MakeUser { name, home, shell } => {
                let login = match shell {
                    Some(shell) => format!("with the login shell {shell}"),
                    None => "without a login".to_owned(),
                };
                format!("make the user {name} with a group of its own, home {home}, {login}")
            }
            Self::MakeGroup { name } => format!("make the group {name}"),
            Self::MakeHome { path } => {
                format!("make the home {path}, the site's user's, closed to others (0700)")
            }
            Self::CloseHome { path, bits } => {
                format!("close the home {path} to others (chmod {bits:04o} off)")
            }
            Self::Mend(wrong) => format!("mend {}, which {}", wrong.path.display(), wrong.faults),
            Self::MakeState => {
                "make its own /tmp, /var/tmp, sessions and OPcache directory".to_owned()
            }
            Self::MakeLogs => "make its logs, which its group can read".to_owned(),
            Self::EmptyHome { path } => format!("empty {path}, as the site's user"),
            Self::FillRoot {
                path,
                welcome: true,
            } => {
                format!("make the document root {path} and a welcome page, as the site's user")
            }
            Self::FillRoot { path, .. } => {
                format!("make the document root {path}, as the site's user")
            }
            Self::Copy { from } => {
                format!("copy the files of {from}, read as its user and written as the copy's")
            }
            Self::Unpack { from } => {
                format!("unpack the backup of {from}, as the site's user")
            }
            Self::MakeDatabase { .. } | Self::CopyDatabase { .. } => self.about_databases(),
            Self::WriteFile { is_new: true } => "write its file".to_owned(),
            Self::WriteFile { is_new: false } => "change its file".to_owned(),
        }
    }

    fn about_databases(&self) -> String {
        match self {
            Self::MakeDatabase {
                served,
                with_account,
                ..
            } => {
                let account = match with_account {
                    true => "an account of its own",
                    false => "the account",
                };
                let (kind, name, user) = (served.kind.word(), &served.name, &served.user);
                format!(
                    "make the {kind} database '{name}' and {account} '{user}', known by its Linux user"
                )
            }
            Self::CopyDatabase { from, database, .. } => {
                format!(
                    "fill the {database} with that of {from}, dumped as its user and loaded as the copy's"
                )
            }
            _ => String::new(),
        }
    }
}

/// What is to be done so that the site has what it must have.
pub(crate) fn to_have(expected: &Expected, found: &Found) -> Result<Vec<Step>, Trouble> {
    refuse_file(expected, found)?;
    refuse_user(expected, found)?;
    refuse_home(expected, found)?;
    let site = &expected.site;
    let mut steps = Vec::new();
    match &found.account {
        None => steps.push(Step::MakeUser {
            name: site.user.name.clone(),
            home: site.home.clone(),
            shell: expected
                .shell
                .as_ref()
                .map(|shell| shell.display().to_string()),
        }),
        Some(account) if !account.has_group => steps.push(Step::MakeGroup {
            name: site.user.name.clone(),
        }),
        Some(_) => {}
    }
    let path = site.home.clone();
    match found.home {
        Home::There { uid, gid, mode } => {
            let bits = mode & open_bits(gid == site.user.gid);
            // Into root's own its user comes by the group, or as one of the others.
            let closes = uid != Uid::ROOT || gid == site.user.gid;
            if bits != 0 && closes {
                steps.push(Step::CloseHome { path, bits });
            }
        }
        Home::Missing | Home::Refused(_) => steps.push(Step::MakeHome { path }),
    }
    steps.extend(found.wrong.iter().cloned().map(Step::Mend));
    if !found.has_state {
        steps.push(Step::MakeState);
    }
    if !found.has_logs {
        steps.push(Step::MakeLogs);
    }
    steps.extend(databases(expected, found)?);
    steps.extend(contents(expected, found)?);
    if let Contents::CopyOf(from) = &expected.contents {
        let copied = expected.databases.iter().enumerate();
        let left = copied.skip(found.record.databases_copied);
        steps.extend(left.map(|(number, copied)| Step::CopyDatabase {
            from: from.clone(),
            number,
            database: copied.database.clone(),
        }));
    }
    let text = found.file.as_ref().map(|(_, text)| text);
    if expected.file.is_some() && expected.file.as_ref() != text {
        steps.push(Step::WriteFile { is_new: true });
    }
    Ok(steps)
}

/// The databases and accounts that are to be made.
fn databases(expected: &Expected, found: &Found) -> Result<Vec<Step>, Trouble> {
    let mut steps = Vec::new();
    for (copied, present) in expected.databases.iter().zip(&found.databases) {
        let Database::Served(served) = &copied.database else {
            continue;
        };
        let mut made = found.record.databases_made.iter();
        let ours = made.find(|made| made.is(served));
        let mut made = found.record.databases_made.iter();
        let is_account_ours = made.any(|made| made.account_made && made.is_account_of(served));
        let (kind, name, account) = (served.kind.word(), &served.name, &served.user);
        if present.database && ours.is_none() {
            return Err(Trouble::new(format!(
                "the {kind} database '{name}' exists already, and was not made for this site"
            ))
            .hint(
                "give the site another name; a copy may also do without databases: --no-databases",
            ));
        }
        if present.account && !is_account_ours && !expected.is_user_named {
            return Err(Trouble::new(format!(
                "the {kind} server has an account '{account}' already, and it was not made for this site"
            ))
            .hint(format!(
                "give the site another user with --user, or name this one on purpose: --user {account}"
            )));
        }
        let is_whole = ours.is_some_and(|made| made.is_whole);
        if !present.database || !present.account || !is_whole {
            steps.push(Step::MakeDatabase {
                served: served.clone(),
                like: copied.like.clone(),
                with_account: !present.account || is_account_ours,
            });
        }
    }
    Ok(steps)
}

fn contents(expected: &Expected, found: &Found) -> Result<Vec<Step>, Trouble> {
    let site = &expected.site;
    let fill = |welcome| Step::FillRoot {
        path: site.root.clone(),
        welcome,
    };
    let root = found.content.map(|content| content.root);
    Ok(match &expected.contents {
        Contents::Root => match root {
            Some(Root::Missing) | None => vec![fill(false)],
            Some(Root::Empty | Root::Filled) => Vec::new(),
        },
        Contents::Welcome => match root {
            Some(Root::Missing | Root::Empty) | None => vec![fill(true)],
            Some(Root::Filled) => Vec::new(),
        },
        Contents::CopyOf(_) | Contents::BackupOf(_) if found.record.copied => Vec::new(),
        Contents::CopyOf(from) | Contents::BackupOf(from) => {
            let copy = match &expected.contents {
                Contents::BackupOf(_) => Step::Unpack { from: from.clone() },
                Contents::CopyOf(_) | Contents::Root | Contents::Welcome => {
                    Step::Copy { from: from.clone() }
                }
            };
            let is_begun = found.record.copy_of.as_ref() == Some(from);
            match found.content {
                Some(content) if content.entries > 0 && is_begun => {
                    let path = site.home.clone();
                    vec![Step::EmptyHome { path }, copy]
                }
                Some(content) if content.entries > 0 => {
                    return Err(Trouble::new(format!(
                        "the home {} of the copy is not empty",
                        site.home
                    ))
                    .hint("give the copy another home with --home"));
                }
                Some(_) | None => vec![copy],
            }
        }
    })
}

fn refuse_file(expected: &Expected, found: &Found) -> Result<(), Trouble> {
    let name = &expected.site.name;
    // What is on record of a site that goes must not be taken for what was made for the new one.
    if expected.file.is_some() && found.record.removing.is_some() {
        return Err(is_being_removed(name));
    }
    let (Some(wanted), Some((state, text))) = (&expected.file, &found.file) else {
        return Ok(());
    };
    match state {
        FileState::Serving if text == wanted => Ok(()),
        FileState::Serving => Err(Trouble::new(format!(
            "the site '{name}' exists already, with other settings than these"
        ))
        .hint(format!(
            "hostel site show {name}; hostel site edit {name} changes them"
        ))),
        FileState::Disabled => Err(Trouble::new(format!(
            "the site '{name}' exists already and is disabled"
        ))
        .hint(format!("hostel site enable {name}"))),
        FileState::Removing => Err(is_being_removed(name)),
    }
}

fn is_being_removed(name: &str) -> Trouble {
    Trouble::new(format!(
        "the site '{name}' is being removed, which was interrupted"
    ))
    .hint(format!(
        "hostel site remove {name} completes it; then add it anew"
    ))
}

fn refuse_user(expected: &Expected, found: &Found) -> Result<(), Trouble> {
    let user = &expected.site.user.name;
    let hint = format!(
        "give the site another user with --user, or name this one on purpose: --user {user}"
    );
    let Some(account) = &found.account else {
        if found.is_group_taken && found.record.user_made.as_ref() != Some(user) {
            return Err(Trouble::new(format!(
                "there is no user '{user}', but a group of this name, which a new user could not have for its own"
            ))
            .hint("give the site another user with --user"));
        }
        return Ok(());
    };
    let is_ours = found.record.user_made.as_ref() == Some(user) && account.was_made_here();
    if expected.is_user_named || is_ours {
        return Ok(());
    }
    let uid = account.user.uid;
    Err(Trouble::new(match &found.others_of_user[..] {
        [other, ..] => format!("the user '{user}' (uid {uid}) is that of the site '{other}'"),
        [] => format!(
            "the user '{user}' (uid {uid}) exists already: {}",
            kind(account)
        ),
    })
    .hint(hint))
}

fn kind(account: &Account) -> String {
    if account.user.uid.0 < 1000 {
        return "it is the system's".to_owned();
    }
    if account.can_log_in() {
        return format!("it is a person's, who logs in with {}", account.shell);
    }
    "it was not made for this site".to_owned()
}

fn refuse_home(expected: &Expected, found: &Found) -> Result<(), Trouble> {
    let (home, user) = (&expected.site.home, &expected.site.user);
    let other = "give the site another home with --home, or move this one away";
    match &found.home {
        Home::Refused(trouble) => return Err(trouble.clone()),
        Home::Missing => return Ok(()),
        Home::There { uid, .. } => {
            let owner = found.account.as_ref().map(|account| account.user.uid);
            // Root's own is the administrator's choice in a configuration, and an accident where a site is made.
            let may_be_roots = expected.file.is_none() && uid.0 == 0;
            if owner != Some(*uid) && !may_be_roots {
                return Err(Trouble::new(format!(
                    "the home {home} exists already and belongs to user {uid}, not to '{}'",
                    user.name
                ))
                .hint(other));
            }
        }
    }
    match found.content {
        Some(content) if content.foreign > 0 && expected.file.is_some() => {
            Err(Trouble::new(format!(
                "the home {home} exists already, and files in it belong to others than '{}': {}, one of them to user {}",
                user.name, content.foreign, content.foreign_uid
            ))
            .hint(other))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
