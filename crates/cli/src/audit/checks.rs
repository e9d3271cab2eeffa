//! Every check, with its severity, its weight and what it means: the one table from which the score is made.
//!
//! A score is 0 for nothing found up to 10, as `systemd-analyze security` has it: the sum of the weights of the checks that
//! found something, each counted once however much it found, cut at 10.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Good to know; weighs nothing.
    Information,
    /// It weakens the site, or will together with another fault.
    Warning,
    /// Somebody else can read, change or become what is not theirs.
    Severe,
}

impl Severity {
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Information => "information",
            Self::Warning => "warning",
            Self::Severe => "severe",
        }
    }
}

/// One thing that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    Acl,
    ClosedDirectory,
    DiskNotBounded,
    HardLink,
    HostLacks,
    HostWeaker,
    Incomplete,
    LinkLeadsOut,
    LinkToSystem,
    LinksNotProtected,
    LogWritable,
    NotCounted,
    NotExamined,
    NotMade,
    PhpExplained,
    PhpSetting,
    PortOnLoopback,
    PortUndeclared,
    PrimaryGroupShared,
    ProcessPrivileges,
    ReadableByOthers,
    SecretReadable,
    SecretServed,
    ServerNotRunning,
    ServerFileOpen,
    SettingsReadable,
    SetIdForeign,
    SetIdOwn,
    TemporaryNotBounded,
    UserShared,
    WritableByOthers,
    WrongOwner,
}

/// What is known about a check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// For scripts.
    pub(crate) name: &'static str,
    pub(crate) severity: Severity,
    /// In tenths of a point.
    pub(crate) weight: u32,
    /// Why it matters.
    pub(crate) meaning: &'static str,
}

impl Check {
    /// The table.
    #[rustfmt::skip]
    pub(crate) fn rule(self) -> Rule {
        use Severity::{Information, Severe, Warning};
        let rule = |name, severity, weight, meaning| Rule { name, severity, weight, meaning };
        match self {
            Self::WritableByOthers => rule("writable-by-others", Severe, 40, "whoever can write a script becomes the site"),
            Self::SecretReadable => rule("secret-readable", Severe, 40, "passwords and keys that others on this host can read"),
            Self::ProcessPrivileges => rule("process-privileges", Severe, 50, "a process that holds more than its role needs is what an attacker looks for"),
            Self::HardLink => rule("hard-link", Severe, 30, "another user's file under a name of this site: whoever trusts the name trusts the wrong owner"),
            Self::SetIdForeign => rule("set-id-foreign", Severe, 40, "whoever runs it outside of the sandbox becomes its owner"),
            Self::LogWritable => rule("log-writable", Severe, 20, "others can forge lines, or fill the disk in the site's name"),
            Self::UserShared => rule("user-shared", Severe, 40, "sites with one user can read, change and end each other"),
            Self::HostLacks => rule("host-lacks", Severe, 30, "a layer of every sandbox is missing"),
            Self::ServerFileOpen => rule("server-file-open", Severe, 40, "the server's own files decide who runs what"),
            Self::WrongOwner => rule("wrong-owner", Warning, 15, "the site cannot manage the file, is not served it, and its owner can change it"),
            Self::PrimaryGroupShared => rule("primary-group-shared", Warning, 20, "members of the group can read what the group may, the site's logs among it"),
            Self::Acl => rule("acl", Warning, 15, "an access list grants others what the mode does not show"),
            Self::ReadableByOthers => rule("readable-by-others", Warning, 15, "scripts show how a site works and where its secrets are"),
            Self::SecretServed => rule("secret-served", Warning, 25, "visitors can download it"),
            Self::SetIdOwn => rule("set-id-own", Warning, 10, "whoever runs it outside of the sandbox becomes the site"),
            Self::HostWeaker => rule("host-weaker", Warning, 10, "sites are held less tightly than this version can"),
            Self::LinkLeadsOut => rule("link-leads-out", Warning, 5, "it leads nowhere inside of the site's view, but programs outside follow it"),
            Self::PhpSetting => rule("php-setting", Warning, 10, "a setting of PHP that weakens what runs with it"),
            Self::PortUndeclared => rule("port-undeclared", Warning, 10, "the network reaches a program that nobody declared"),
            Self::LinksNotProtected => rule("links-not-protected", Warning, 10, "the kernel can keep users from linking to files that are not theirs"),
            Self::DiskNotBounded => rule("disk-not-bounded", Warning, 10, "one site can fill the disk of all"),
            Self::TemporaryNotBounded => rule("temporary-not-bounded", Warning, 3, "the keeper removes the oldest files beyond the bound once a minute; the kernel does not stop them"),
            Self::NotCounted => rule("not-counted", Warning, 5, "it was there before the bound on home was set, and does not count"),
            Self::NotExamined => rule("not-examined", Warning, 5, "what was not looked at may hold anything"),
            Self::Incomplete => rule("incomplete", Warning, 5, "what the configuration says of the site is not there, so that it serves less or nothing"),
            Self::NotMade => rule("not-made", Information, 0, "the server makes it when the site is first visited"),
            Self::ClosedDirectory => rule("closed-directory", Information, 0, "the site's own user cannot look into it"),
            Self::LinkToSystem => rule("link-to-system", Information, 0, "links to the system's read-only files are served"),
            Self::PhpExplained => rule("php-explained", Information, 0, "a usual hardening of PHP, and what stands in its place"),
            Self::PortOnLoopback => rule("port-on-loopback", Information, 0, "programs of this host alone can reach it"),
            Self::ServerNotRunning => rule("server-not-running", Information, 0, "processes are examined while they run"),
            Self::SettingsReadable => rule("settings-readable", Information, 0, "fine, unless passwords stand in them"),
        }
    }
}

/// From 0.0 to 10.0, in tenths.
pub(crate) fn score(found: impl IntoIterator<Item = Check>) -> u32 {
    let mut checks: Vec<Check> = found.into_iter().collect();
    checks.sort_unstable();
    checks.dedup();
    let sum: u32 = checks.iter().map(|check| check.rule().weight).sum();
    sum.min(SCORE_MAX)
}

/// A score in a word.
pub(crate) fn in_a_word(score: u32) -> &'static str {
    match score {
        0..20 => "sound",
        20..50 => "fair",
        50..80 => "exposed",
        _ => "unsafe",
    }
}

const SCORE_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_counts_once_and_ten_is_the_worst() {
        assert_eq!(score([]), 0);
        let once = score([Check::ReadableByOthers]);
        assert_eq!(
            score([Check::ReadableByOthers, Check::ReadableByOthers]),
            once
        );
        let worst = [
            Check::WritableByOthers,
            Check::SecretReadable,
            Check::SetIdForeign,
        ];
        assert_eq!(score(worst), 100);
        assert_eq!(in_a_word(score(worst)), "unsafe");
    }

    #[test]
    fn what_is_only_good_to_know_weighs_nothing_and_what_is_severe_weighs_much() {
        for check in [Check::PhpExplained, Check::ServerNotRunning] {
            assert_eq!(check.rule().weight, 0);
        }
        assert!(score([Check::LogWritable]) >= 20);
    }
}
