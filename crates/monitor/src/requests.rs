//! What the front may ask, and when: one table.
//!
//! Part of the monitor, which is root; the front may be in anybody's hands. Pure: a message and the present state in, a
//! verdict out. Whatever the table does not allow ends the front, which is then started anew.

use hostel_wire::front_monitor::ToMonitor;

/// What the monitor knows about the site of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is in the table.
    Listed,
    /// It was taken from the table; the front still may have requests of it.
    Retired,
    /// It was in a table once. A message may have been on its way when it was given up.
    Former,
    /// There never was a site of this number.
    Never,
}

/// What the monitor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Serving.
    Serving,
    /// The front finishes its requests.
    Draining,
    /// The sites are being ended.
    Stopping,
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Do it.
    Allowed,
    /// It came too late to matter.
    Late,
    /// No correct front sends it.
    Breach,
}

/// The table.
///
/// | message | serving | draining | stopping |
/// | --- | --- | --- | --- |
/// | Ready | yes | late | late |
/// | TableTaken | yes | late | late |
/// | WakeSite | a site listed or retired | the same: a running request may need it | late |
/// | ReplaceSite | as WakeSite | as WakeSite | late |
/// | SiteReleased | a retired site | the same | late |
/// | SiteWorks, SiteFails | a site that there is or was; nothing comes of it unless that is being tried | the same | late |
/// | Drained | breach | yes | late |
pub(crate) fn judge(message: ToMonitor, phase: Phase, known: impl Fn(u32) -> Known) -> Verdict {
    match (message, phase) {
        (ToMonitor::Ready | ToMonitor::TableTaken, Phase::Serving)
        | (ToMonitor::Drained, Phase::Draining) => Verdict::Allowed,
        (ToMonitor::Drained, Phase::Serving) => Verdict::Breach,
        (ToMonitor::Ready | ToMonitor::TableTaken, Phase::Draining | Phase::Stopping)
        | (ToMonitor::Drained, Phase::Stopping) => Verdict::Late,
        (
            ToMonitor::WakeSite(site)
            | ToMonitor::ReplaceSite(site)
            | ToMonitor::SiteWorks(site)
            | ToMonitor::SiteFails(site)
            | ToMonitor::SiteReleased(site),
            phase,
        ) => match known(site.0) {
            Known::Never => Verdict::Breach,
            Known::Listed if message == ToMonitor::SiteReleased(site) => Verdict::Breach,
            Known::Former => Verdict::Late,
            Known::Listed | Known::Retired if phase == Phase::Stopping => Verdict::Late,
            Known::Listed | Known::Retired => Verdict::Allowed,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostel_wire::front_monitor::SiteId;

    fn verdict(message: ToMonitor, phase: Phase) -> Verdict {
        judge(message, phase, |site| match site {
            1 => Known::Listed,
            2 => Known::Retired,
            3 => Known::Former,
            _ => Known::Never,
        })
    }

    #[test]
    fn a_site_is_known_by_a_number_that_was_given_out() {
        for message in [
            ToMonitor::WakeSite,
            ToMonitor::ReplaceSite,
            ToMonitor::SiteWorks,
            ToMonitor::SiteFails,
        ] {
            let start = |site| verdict(message(SiteId(site)), Phase::Serving);
            assert_eq!(
                [1, 2, 3, 4].map(start),
                [
                    Verdict::Allowed,
                    Verdict::Allowed,
                    Verdict::Late,
                    Verdict::Breach
                ]
            );
        }
        let release = |site| verdict(ToMonitor::SiteReleased(SiteId(site)), Phase::Serving);
        assert_eq!(
            [1, 2, 3, 4].map(release),
            [
                Verdict::Breach,
                Verdict::Allowed,
                Verdict::Late,
                Verdict::Breach
            ]
        );
    }

    #[test]
    fn nothing_is_started_once_the_sites_are_being_ended() {
        for message in [
            ToMonitor::Ready,
            ToMonitor::Drained,
            ToMonitor::WakeSite(SiteId(1)),
            ToMonitor::ReplaceSite(SiteId(1)),
            ToMonitor::SiteReleased(SiteId(2)),
        ] {
            assert_eq!(verdict(message, Phase::Stopping), Verdict::Late);
        }
    }

    #[test]
    fn drained_is_an_answer() {
        assert_eq!(verdict(ToMonitor::Drained, Phase::Serving), Verdict::Breach);
        assert_eq!(
            verdict(ToMonitor::Drained, Phase::Draining),
            Verdict::Allowed
        );
    }
}
