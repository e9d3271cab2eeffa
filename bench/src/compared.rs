//! What the figures of fresh requests say: beside pooled ones and beside Apache, for the goals and for the summary.

use std::fmt::Write;

use crate::figure::{Figures, measure};
use crate::fresh::{KINDS, TESTS, Test};
use crate::page::Page;
use crate::run::shown;
use crate::server::Kind;

/// The largest of a page's tests, of fresh beside pooled; none where one of them was not measured.
fn most(figures: &Figures, page: Page, compare: fn(f64, f64) -> f64) -> Option<f64> {
    let (fresh, pooled) = (Kind::HostelFresh, Kind::HostelPooled);
    let compared = of_page(page).map(|test| {
        let (value, _) = figures.paired(test.word, fresh, pooled, measure::CPU, compare)?;
        Some(value)
    });
    let compared: Option<Vec<f64>> = compared.collect();
    compared?.into_iter().reduce(f64::max)
}

/// Processor time for each request, fresh to pooled, by the dearest of the page's tests.
pub(crate) fn dearest(figures: &Figures, page: Page) -> Option<f64> {
    most(figures, page, divide)
}

/// Microseconds of processor time by which a fresh hello takes more than a pooled one, by the dearest of its tests.
pub(crate) fn most_on_hello(figures: &Figures) -> Option<f64> {
    most(figures, Page::Hello, subtract)
}

/// The smallest of some tests, of fresh beside a peer; none where one of them was not measured.
fn slowest(figures: &Figures, peer: Kind, tests: impl Iterator<Item = Test>) -> Option<f64> {
    let compared = tests.map(|test| {
        let (value, _) =
            figures.paired(test.word, Kind::HostelFresh, peer, measure::RATE, divide)?;
        Some(value)
    });
    let compared: Option<Vec<f64>> = compared.collect();
    compared?.into_iter().reduce(f64::min)
}

/// Answers in a second of phpinfo(), fresh to prefork, by the slowest of its tests.
pub(crate) fn info_against_prefork(figures: &Figures) -> Option<f64> {
    slowest(figures, Kind::Prefork, of_page(Page::Info))
}

/// The same of a page beside mpm-itk, where each visitor has a connection of his own: with kept ones mpm-itk's requests are not fresh.
pub(crate) fn against_itk(figures: &Figures, page: Page) -> Option<f64> {
    slowest(
        figures,
        Kind::Itk,
        of_page(page).filter(|test| !test.is_kept),
    )
}

fn of_page(page: Page) -> impl Iterator<Item = Test> {
    TESTS.into_iter().filter(move |test| test.page == page)
}

fn divide(own: f64, base: f64) -> f64 {
    own / base
}

fn subtract(own: f64, base: f64) -> f64 {
    own - base
}

/// Speed, processor time and waiting, a line for each test.
pub(crate) fn tables(figures: &Figures) -> String {
    if !TESTS
        .iter()
        .any(|test| figures.0.iter().any(|figure| figure.test == test.word))
    {
        return String::new();
    }
    let mut text = String::from("### Fresh requests\n\n");
    let fresh = Kind::HostelFresh;
    let to = |base, name| Compared {
        base,
        name,
        compare: divide,
    };
    let more = Compared {
        base: Kind::HostelPooled,
        name: "µs more than pooled",
        compare: subtract,
    };
    let tables: [(&str, &[Compared]); 3] = [
        (
            measure::RATE,
            &[
                to(Kind::HostelPooled, "fresh : pooled"),
                to(Kind::Prefork, "fresh : prefork"),
                to(Kind::Itk, "fresh : mpm-itk"),
            ],
        ),
        (
            measure::CPU,
            &[to(Kind::HostelPooled, "fresh : pooled"), more],
        ),
        (measure::MEDIAN, &[]),
    ];
    for (measure, columns) in tables {
        let _ = write!(text, "| {measure} |");
        for kind in KINDS {
            let _ = write!(text, " {kind} |");
        }
        for column in columns {
            let _ = write!(text, " {} |", column.name);
        }
        let _ = writeln!(
            text,
            "\n| --- |{}",
            " ---: |".repeat(KINDS.len() + columns.len())
        );
        for test in TESTS {
            let _ = write!(text, "| {} |", test.title);
            for kind in KINDS {
                let _ = write!(
                    text,
                    " {} |",
                    cell(figures.median(test.word, kind, measure), shown)
                );
            }
            for Compared { base, compare, .. } in columns {
                let value = figures.paired(test.word, fresh, *base, measure, *compare);
                let _ = write!(text, " {} |", cell(value, |value| format!("{value:.2}")));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text.push_str(
        "Ratios and differences are medians of each round's own. With kept connections mpm-itk's requests are not fresh.\n\n",
    );
    text
}

/// A column that sets fresh beside another.
struct Compared {
    base: Kind,
    name: &'static str,
    compare: fn(f64, f64) -> f64,
}

/// A figure, marked where it is of disturbed rounds too.
fn cell(value: Option<(f64, bool)>, show: impl Fn(f64) -> String) -> String {
    match value {
        Some((value, true)) => format!("{} *", show(value)),
        Some((value, false)) => show(value),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;

    fn figure(test: Test, kind: Kind, measure: &'static str, value: f64) -> Figure {
        Figure {
            test: test.word,
            kind,
            round: 1,
            measure,
            value,
            foreign_share: 0.0,
        }
    }

    #[test]
    fn a_goal_is_held_by_the_worst_of_its_tests_and_only_where_all_were_measured() {
        let mut figures = Figures::default();
        for (number, test) in (1_u32..).zip(of_page(Page::Info)) {
            assert_eq!(dearest(&figures, Page::Info), None);
            let (number, cpu) = (f64::from(number), measure::CPU);
            figures.0.push(figure(test, Kind::HostelPooled, cpu, 100.0));
            figures
                .0
                .push(figure(test, Kind::HostelFresh, cpu, 100.0 + number));
            figures
                .0
                .push(figure(test, Kind::Prefork, measure::RATE, 10.0));
            figures.0.push(figure(
                test,
                Kind::HostelFresh,
                measure::RATE,
                10.0 - number,
            ));
        }
        assert_eq!(dearest(&figures, Page::Info), Some(1.03));
        assert_eq!(most(&figures, Page::Info, subtract), Some(3.0));
        assert_eq!(info_against_prefork(&figures), Some(0.7));
        assert_eq!(dearest(&figures, Page::BlogFront), None);
    }

    #[test]
    fn beside_mpm_itk_no_connection_is_kept() {
        let mut figures = Figures::default();
        for test in of_page(Page::WikiStart) {
            let own = if test.is_kept { 1.0 } else { 2.0 };
            figures
                .0
                .push(figure(test, Kind::HostelFresh, measure::RATE, own));
            figures.0.push(figure(test, Kind::Itk, measure::RATE, 1.0));
        }
        assert_eq!(against_itk(&figures, Page::WikiStart), Some(2.0));
    }

    #[test]
    fn the_table_has_a_line_for_each_test_and_says_how_fresh_and_pooled_compare() {
        assert_eq!(tables(&Figures::default()), "");
        let [test, ..] = TESTS;
        let figures = Figures(vec![
            figure(test, Kind::HostelPooled, measure::CPU, 50.0),
            figure(test, Kind::HostelFresh, measure::CPU, 75.0),
        ]);
        let text = tables(&figures);
        let line =
            "| hello, 1 at a time, a connection each | - | - | 50.0 | 75.0 | - | 1.50 | 25.00 |";
        assert!(text.lines().any(|found| found == line), "{text}");
        assert_eq!(text.matches("| hello, 1 at a time").count(), 3);
    }
}
