//! Plots as SVG: bars with their ratio to Hostel, and lines over time. Plain shapes and the reader's own sans-serif.

use std::fmt::Write;

use crate::run::shown;
use crate::server::Kind;

/// A group of bars with one scale.
#[derive(Debug)]
pub(crate) struct Bars {
    /// What is compared.
    pub title: String,
    /// Each server's figure.
    pub bars: Vec<(Kind, f64)>,
}

/// A line over time.
#[derive(Debug)]
pub(crate) struct Line {
    /// What it shows.
    pub title: String,
    /// Seconds and values.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 860.0;
const LABEL: f64 = 190.0;
const LONGEST: f64 = 480.0;
const BAR: f64 = 15.0;
const GROUP: f64 = 40.0;

/// Groups of horizontal bars; each bar says its figure and how many times Hostel's it is, or pooled Hostel's.
pub(crate) fn bars(title: &str, groups: &[Bars]) -> String {
    let mut body = String::new();
    let mut y = 46.0;
    for group in groups.iter().filter(|group| !group.bars.is_empty()) {
        let most = group
            .bars
            .iter()
            .map(|(_, value)| *value)
            .fold(0.0, f64::max);
        // Beside its other ways, Hostel is what is pooled.
        let of = |own| group.bars.iter().find(|(kind, _)| *kind == own);
        let own = of(Kind::Hostel).or_else(|| of(Kind::HostelPooled));
        let _ = writeln!(
            body,
            "<text x=\"12\" y=\"{:.0}\" font-weight=\"bold\">{}</text>",
            y + 12.0,
            escaped(&group.title)
        );
        y += 20.0;
        for (kind, value) in &group.bars {
            let length = (LONGEST * value / most.max(f64::MIN_POSITIVE)).max(1.0);
            let ratio = match own {
                Some((own_kind, own)) if kind != own_kind && *own > 0.0 => {
                    format!("  ({} x {own_kind})", shown(value / own))
                }
                _ => String::new(),
            };
            let _ = writeln!(
                body,
                "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{kind}</text>\n\
                 <rect x=\"{LABEL}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{:.1}\" fill=\"{}\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\">{}{ratio}</text>",
                LABEL - 8.0,
                y + BAR - 4.0,
                BAR - 3.0,
                colour(*kind),
                LABEL + length + 6.0,
                y + BAR - 4.0,
                shown(*value)
            );
            y += BAR;
        }
        y += GROUP - 20.0;
    }
    document(title, y, &body)
}

/// Lines over time, one beneath the other, each with its own scale from 0.
pub(crate) fn lines(title: &str, lines: &[Line]) -> String {
    const HEIGHT: f64 = 90.0;
    let mut body = String::new();
    let mut y = 46.0;
    for line in lines {
        let most = line
            .points
            .iter()
            .map(|(_, value)| *value)
            .fold(0.0, f64::max);
        let last = line
            .points
            .last()
            .map_or(1.0, |(seconds, _)| seconds.max(1.0));
        let _ = writeln!(
            body,
            "<text x=\"12\" y=\"{:.0}\" font-weight=\"bold\">{} (0 to {})</text>\n\
             <rect x=\"12\" y=\"{:.0}\" width=\"{:.0}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#bbb\"/>",
            y + 12.0,
            escaped(&line.title),
            shown(most),
            y + 20.0,
            WIDTH - 24.0
        );
        let mut points = String::new();
        for (seconds, value) in &line.points {
            let x = 12.0 + (WIDTH - 24.0) * seconds / last;
            let height = HEIGHT * value / most.max(f64::MIN_POSITIVE);
            let _ = write!(points, "{x:.1},{:.1} ", y + 20.0 + HEIGHT - height);
        }
        let _ = writeln!(
            body,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>",
            points.trim_end(),
            colour(Kind::Hostel)
        );
        y += HEIGHT + GROUP;
    }
    document(title, y, &body)
}

fn document(title: &str, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"26\" font-size=\"16\">{}</text>\n{body}</svg>\n",
        escaped(title)
    )
}

fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Hostel => "#1b6f4a",
        Kind::Prefork => "#b8504a",
        Kind::Itk => "#d38c7d",
        Kind::Suexec => "#e3bdb0",
        Kind::NginxFpm => "#4a6fb8",
        Kind::Ondemand => "#93a9d6",
        Kind::HostelPooled => "#2e7d9a",
        Kind::HostelFresh => "#1b6f4a",
        Kind::HostelForked | Kind::HostelOpen => "#84b79d",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_figure_and_says_the_ratio() {
        let group = Bars {
            title: "a < b".to_owned(),
            bars: vec![(Kind::Prefork, 50.0), (Kind::Hostel, 100.0)],
        };
        let text = bars("t", &[group]);
        assert!(text.contains("width=\"240.0\"") && text.contains("width=\"480.0\""));
        assert!(text.contains("50.0  (0.50 x Hostel)") && text.contains("a &lt; b"));
    }

    #[test]
    fn a_line_ends_at_the_right() {
        let line = Line {
            title: "m".to_owned(),
            points: vec![(0.0, 0.0), (10.0, 4.0)],
        };
        let text = lines("t", &[line]);
        assert!(text.contains("points=\"12.0,156.0 848.0,66.0\""), "{text}");
    }
}
