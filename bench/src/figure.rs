//! What was measured: one figure of one server in one round, and what becomes of several rounds.

use std::fmt::Write;

use crate::server::Kind;

/// Foreign load above which a measurement is marked.
pub(crate) const FOREIGN_SHARE_MAX: f64 = 0.10;
/// With fewer unmarked measurements than this, the marked ones count too.
pub(crate) const UNMARKED_MIN: usize = 3;

/// What is measured, with its unit: the columns of tables.
pub(crate) mod measure {
    /// Answers in a second.
    pub(crate) const RATE: &str = "requests/s";
    /// CPU time of all processes of the server for each answer.
    pub(crate) const CPU: &str = "CPU µs/request";
    /// The middle one of all answers' times.
    pub(crate) const MEDIAN: &str = "median ms";
    /// 95 of 100 answers came within this time.
    pub(crate) const P95: &str = "p95 ms";
    /// 99 of 100 answers came within this time.
    pub(crate) const P99: &str = "p99 ms";
    /// Requests without a right answer.
    pub(crate) const ERRORS: &str = "errors";
    /// Memory of all processes of the server, shared pages divided among those that share them.
    pub(crate) const PSS: &str = "PSS MB";
}

/// One figure.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// The test.
    pub test: &'static str,
    /// The server.
    pub kind: Kind,
    /// In which round, from 1.
    pub round: u32,
    /// What was measured, with its unit.
    pub measure: &'static str,
    /// The figure.
    pub value: f64,
    /// The share of the machine's CPUs that something other than the servers and the load used meanwhile.
    pub foreign_share: f64,
}

impl Figure {
    /// Whether so much else ran that the figure says little.
    pub(crate) fn is_marked(&self) -> bool {
        self.foreign_share > FOREIGN_SHARE_MAX
    }
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures(pub Vec<Figure>);

impl Figures {
    /// The median over the unmarked rounds, or over all of them (then `true`).
    pub(crate) fn median(&self, test: &str, kind: Kind, measure: &str) -> Option<(f64, bool)> {
        let all = || self.of(test, kind).filter(|f| f.measure == measure);
        let unmarked = || all().filter(|figure| !figure.is_marked());
        let disturbed = unmarked().count() < UNMARKED_MIN.min(all().count());
        let values: Vec<f64> = if disturbed {
            all().map(|figure| figure.value).collect()
        } else {
            unmarked().map(|figure| figure.value).collect()
        };
        Some((at_share(&values, 0.5)?, disturbed))
    }

    /// The median alone.
    pub(crate) fn value(&self, test: &str, kind: Kind, measure: &str) -> Option<f64> {
        self.median(test, kind, measure).map(|(value, _)| value)
    }

    /// The median over the rounds of what becomes of a round's own two figures: of this server's and of the base's. Rounds in which one of
    /// both is marked are left out as in [`Figures::median`].
    pub(crate) fn paired(
        &self,
        test: &str,
        kind: Kind,
        base: Kind,
        measure: &str,
        compare: fn(f64, f64) -> f64,
    ) -> Option<(f64, bool)> {
        let bases: Vec<&Figure> = self
            .of(test, base)
            .filter(|figure| figure.measure == measure)
            .collect();
        let rounds: Vec<(f64, bool)> = self
            .of(test, kind)
            .filter(|figure| figure.measure == measure)
            .filter_map(|figure| {
                let base = bases.iter().find(|base| base.round == figure.round)?;
                let is_marked = figure.is_marked() || base.is_marked();
                Some((compare(figure.value, base.value), is_marked))
            })
            .collect();
        let unmarked = || rounds.iter().filter(|(_, is_marked)| !is_marked);
        let disturbed = unmarked().count() < UNMARKED_MIN.min(rounds.len());
        let values: Vec<f64> = if disturbed {
            rounds.iter().map(|(value, _)| *value).collect()
        } else {
            unmarked().map(|(value, _)| *value).collect()
        };
        Some((at_share(&values, 0.5)?, disturbed))
    }

    /// All figures of a server in a test.
    pub(crate) fn of<'a>(
        &'a self,
        test: &'a str,
        kind: Kind,
    ) -> impl Iterator<Item = &'a Figure> + 'a {
        self.0
            .iter()
            .filter(move |figure| figure.test == test && figure.kind == kind)
    }

    /// Every figure, as raw.csv.
    pub(crate) fn raw(&self) -> String {
        let mut text = "test,server,round,measure,value,foreign_share,marked\n".to_owned();
        for f in &self.0 {
            let (kind, marked) = (f.kind.word(), f.is_marked());
            let _ = writeln!(
                text,
                "{},{kind},{},{},{:.3},{:.3},{marked}",
                f.test, f.round, f.measure, f.value, f.foreign_share
            );
        }
        text
    }
}

/// The value below which this share of the values lies; between two values, their mean weighted by nearness.
pub(crate) fn at_share(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share * (sorted.len().checked_sub(1)?) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the number of values"
    )]
    let lower = place.floor() as usize;
    let (low, high) = (
        *sorted.get(lower)?,
        *sorted.get(lower + 1).or(sorted.last())?,
    );
    Some(low + (high - low) * (place - place.floor()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(round: u32, value: f64, foreign_share: f64) -> Figure {
        Figure {
            test: "hello",
            kind: Kind::Hostel,
            round,
            measure: measure::RATE,
            value,
            foreign_share,
        }
    }

    #[test]
    fn the_median_leaves_disturbed_rounds_out_while_three_others_remain() {
        let mut figures = Figures(vec![
            figure(1, 10.0, 0.0),
            figure(2, 20.0, 0.0),
            figure(3, 30.0, 0.0),
            figure(4, 1.0, 0.5),
        ]);
        let of = |figures: &Figures, kind| figures.median("hello", kind, measure::RATE);
        assert_eq!(of(&figures, Kind::Hostel), Some((20.0, false)));
        figures.0.remove(0);
        assert_eq!(of(&figures, Kind::Hostel), Some((20.0, true)));
        assert_eq!(of(&figures, Kind::Itk), None);
    }

    #[test]
    fn rounds_are_compared_with_themselves_before_the_median() {
        // The machine is twice as fast in each round as in the one before.
        let of = |kind, round, value, foreign_share| Figure {
            kind,
            ..figure(round, value, foreign_share)
        };
        let mut figures = Figures(Vec::new());
        for (round, speed) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0)] {
            figures.0.push(of(Kind::Hostel, round, 3.0 * speed, 0.0));
            // In the third round something else ran beside the base.
            let (value, foreign) = if round == 3 { (1.0, 0.5) } else { (speed, 0.0) };
            figures.0.push(of(Kind::Itk, round, value, foreign));
        }
        let ratio = |figures: &Figures| {
            let divide = |own, base| own / base;
            figures.paired("hello", Kind::Hostel, Kind::Itk, measure::RATE, divide)
        };
        assert_eq!(ratio(&figures), Some((3.0, false)));
        figures.0.truncate(2);
        assert_eq!(ratio(&figures), Some((3.0, false)));
        figures.0.truncate(1);
        assert_eq!(ratio(&figures), None);
    }

    #[test]
    fn a_share_lies_between_its_neighbours() {
        assert_eq!(at_share(&[], 0.5), None);
        assert_eq!(at_share(&[3.0, 1.0], 0.5), Some(2.0));
        assert_eq!(at_share(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95), Some(4.8));
        assert_eq!(at_share(&[7.0], 0.99), Some(7.0));
    }
}
