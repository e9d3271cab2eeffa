//! The goals: what Hostel has to reach beside its peers, and what this run measured.

use std::fmt::Write;

use crate::figure::{Figures, measure};
use crate::page::Page;
use crate::run::shown;
use crate::server::Kind;
use crate::{cold, compared, density, flood, many};

/// One goal.
struct Goal {
    what: &'static str,
    must: f64,
    wanted: f64,
    unit: &'static str,
    better: Better,
    measured: fn(&Figures) -> Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
}

/// The table of goals with the figures beside them.
pub(crate) fn table(figures: &Figures) -> String {
    let mut text =
        String::from("| goal | must | wanted | measured | |\n| --- | ---: | ---: | ---: | --- |\n");
    for goal in &GOALS {
        let bound = |value: f64| {
            let sign = if goal.better == Better::Higher {
                "≥"
            } else {
                "≤"
            };
            format!("{sign} {value}{}", goal.unit)
        };
        let (measured, verdict) = match (goal.measured)(figures) {
            Some(value) => (
                format!("{}{}", shown(value), goal.unit),
                goal.verdict(value),
            ),
            None => ("-".to_owned(), "not measured"),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {measured} | {verdict} |",
            goal.what,
            bound(goal.must),
            bound(goal.wanted)
        );
    }
    text
}

impl Goal {
    fn verdict(&self, value: f64) -> &'static str {
        let reaches = |bound: f64| match self.better {
            Better::Higher => value >= bound,
            Better::Lower => value <= bound,
        };
        if reaches(self.wanted) {
            "as wanted"
        } else if reaches(self.must) {
            "reached"
        } else {
            "**not reached**"
        }
    }
}

const fn ratio(
    what: &'static str,
    must: f64,
    wanted: f64,
    measured: fn(&Figures) -> Option<f64>,
) -> Goal {
    Goal {
        what,
        must,
        wanted,
        unit: " x",
        better: Better::Higher,
        measured,
    }
}

const fn at_most(
    what: &'static str,
    must: f64,
    wanted: f64,
    unit: &'static str,
    measured: fn(&Figures) -> Option<f64>,
) -> Goal {
    Goal {
        what,
        must,
        wanted,
        unit,
        better: Better::Lower,
        measured,
    }
}

#[rustfmt::skip]
const GOALS: [Goal; 32] = [
    ratio("hello, keep-alive, 4 connections, requests/s against prefork", 1.1, 1.2, |f| rate(f, "hello-keepalive-c4", Kind::Prefork)),
    ratio("the same at 32 connections", 1.3, 1.6, |f| rate(f, "hello-keepalive-c32", Kind::Prefork)),
    ratio("the same against nginx + php-fpm, 32 connections", 1.5, 2.0, |f| rate(f, "hello-keepalive-c32", Kind::NginxFpm)),
    at_most("its CPU per request against nginx + php-fpm's, 32 connections", 0.65, 0.55, " x", |f| against(f, "hello-keepalive-c32", Kind::NginxFpm, measure::CPU)),
    ratio("phpinfo, keep-alive, 32 connections, against prefork", 1.0, 1.2, |f| rate(f, "phpinfo-keepalive-c32", Kind::Prefork)),
    ratio("the same against nginx + php-fpm", 1.2, 1.3, |f| rate(f, "phpinfo-keepalive-c32", Kind::NginxFpm)),
    ratio("phpinfo one at a time (2008) against prefork", 0.95, 1.0, |f| rate(f, "phpinfo-c1", Kind::Prefork)),
    ratio("the same against mpm-itk", 3.5, 4.0, |f| rate(f, "phpinfo-c1", Kind::Itk)),
    ratio("the same against suexec", 25.0, 30.0, |f| rate(f, "phpinfo-c1", Kind::Suexec)),
    ratio("WordPress front page, 1 connection, against the better of prefork and php-fpm", 1.0, 1.05, |f| against_better(f, "wordpress-c1")),
    ratio("the same at 32 connections", 1.0, 1.05, |f| against_better(f, "wordpress-c32")),
    ratio("static 1 KB, 32 connections, against nginx", 0.95, 1.2, |f| rate(f, "static-1k-c32", Kind::NginxFpm)),
    ratio("static 1 MB, 32 connections, against nginx", 0.95, 1.0, |f| rate(f, "static-1m-c32", Kind::NginxFpm)),
    at_most("first answer of a sleeping site, Debian's modules, median", 70.0, 45.0, " ms", |f| f.value(cold::USUAL, Kind::Hostel, measure::MEDIAN)),
    at_most("the same, p99", 200.0, 200.0, " ms", |f| f.value(cold::USUAL, Kind::Hostel, measure::P99)),
    at_most("first answer of a sleeping site, OPcache only, median", 40.0, 25.0, " ms", |f| f.value(cold::FEW, Kind::Hostel, measure::MEDIAN)),
    at_most("the same, p99", 200.0, 200.0, " ms", |f| f.value(cold::FEW, Kind::Hostel, measure::P99)),
    at_most("10,000 sites, idle: PSS of all processes", 150.0, 80.0, " MB", |f| f.value("sites-10000", Kind::Hostel, measure::PSS)),
    at_most("10,000 sites: start", 2000.0, 1000.0, " ms", |f| f.value("sites-10000", Kind::Hostel, many::START)),
    at_most("10,000 sites: adding one", 100.0, 30.0, " ms", |f| f.value("sites-10000", Kind::Hostel, many::ADD)),
    at_most("10,000 sites: other processes replaced by adding one", 0.0, 0.0, "", |f| f.value("sites-10000", Kind::Hostel, many::TOUCHED)),
    at_most("flood on 1 of 20 sites: the others' median against without it", 1.1, 1.05, " x", |f| flooded(f, flood::SLOW_FLOOD)),
    at_most("the same: errors of the others in a round", 0.0, 0.0, "", |f| most_errors(f, flood::SLOW_FLOOD)),
    at_most("the same: the front's CPU time", 70.0, 70.0, " %", |f| f.value(flood::SLOW_FLOOD, Kind::Hostel, flood::FRONT_BUSY)),
    at_most("memory per active WordPress site against php-fpm's ondemand pools", 1.25, 1.0, " x", |f| against(f, density::TEST, Kind::Ondemand, density::PER_SITE)),
    at_most("fresh requests: CPU per request against pooled, phpinfo, the dearest of its tests", 1.15, 1.15, " x", |f| compared::dearest(f, Page::Info)),
    at_most("the same, DokuWiki start page", 1.15, 1.15, " x", |f| compared::dearest(f, Page::WikiStart)),
    at_most("the same, WordPress front page", 1.15, 1.15, " x", |f| compared::dearest(f, Page::BlogFront)),
    at_most("the same, hello: more than pooled", 60.0, 60.0, " µs", compared::most_on_hello),
    ratio("fresh requests: phpinfo against prefork, the slowest of its tests", 0.95, 0.95, compared::info_against_prefork),
    ratio("fresh requests: DokuWiki start page against mpm-itk, a connection each", 1.8, 1.8, |f| compared::against_itk(f, Page::WikiStart)),
    ratio("fresh requests: WordPress front page against mpm-itk, a connection each", 1.2, 1.2, |f| compared::against_itk(f, Page::BlogFront)),
];

fn against(figures: &Figures, test: &str, peer: Kind, measure: &str) -> Option<f64> {
    Some(figures.value(test, Kind::Hostel, measure)? / figures.value(test, peer, measure)?)
}

fn rate(figures: &Figures, test: &str, peer: Kind) -> Option<f64> {
    against(figures, test, peer, measure::RATE)
}

fn against_better(figures: &Figures, test: &str) -> Option<f64> {
    let prefork = rate(figures, test, Kind::Prefork)?;
    Some(prefork.min(rate(figures, test, Kind::NginxFpm)?))
}

/// The median over the rounds of each round's ratio: both phases of a round have the same minute.
fn flooded(figures: &Figures, test: &str) -> Option<f64> {
    flood::ratio_to_calm(figures, test, Kind::Hostel, measure::MEDIAN)
}

fn most_errors(figures: &Figures, test: &str) -> Option<f64> {
    figures
        .of(test, Kind::Hostel)
        .filter(|figure| figure.measure == measure::ERRORS)
        .map(|figure| figure.value)
        .reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;

    fn figures(hostel: f64, prefork: f64) -> Figures {
        let of = |kind, value| Figure {
            test: "hello-keepalive-c4",
            kind,
            round: 1,
            measure: measure::RATE,
            value,
            foreign_share: 0.0,
        };
        Figures(vec![of(Kind::Hostel, hostel), of(Kind::Prefork, prefork)])
    }

    #[test]
    fn a_goal_is_missed_reached_or_as_wanted() {
        let line = |hostel, prefork| {
            let text = table(&figures(hostel, prefork));
            text.lines().nth(2).map(str::to_owned).unwrap()
        };
        assert!(line(109.0, 100.0).ends_with("| 1.09 x | **not reached** |"));
        assert!(line(110.0, 100.0).ends_with("| 1.10 x | reached |"));
        assert!(line(130.0, 100.0).ends_with("| 1.30 x | as wanted |"));
        let text = table(&figures(1.0, 1.0));
        assert!(
            text.lines()
                .nth(3)
                .unwrap()
                .ends_with("| - | not measured |")
        );
    }
}
