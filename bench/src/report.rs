//! What is kept of a run: raw.csv, summary.md, plots, and a README with the machine and the versions.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Result, Tried};
use crate::figure::{FOREIGN_SHARE_MAX, Figures, UNMARKED_MIN, measure};
use crate::ground::run as run_command;
use crate::run::{Run, shown};
use crate::server::Kind;
use crate::steady::TESTS;
use crate::{cold, compared, density, flood, fresh, goal, many, plot, zipf};

/// The tests that are no steady ones, with their titles and what is compared.
const OTHERS: [(&str, &str, &str); 10] = [
    (
        zipf::TEST,
        "500 keep-alive clients at 50 sites at once (Zipf), hello",
        measure::RATE,
    ),
    (
        cold::USUAL,
        "first answer of a site of which nothing runs, Debian's modules",
        measure::MEDIAN,
    ),
    (
        cold::FEW,
        "the same, OPcache the only module",
        measure::MEDIAN,
    ),
    (
        flood::CALM,
        "19 sites, gently asked, without a flood",
        measure::MEDIAN,
    ),
    (
        flood::SLOW_FLOOD,
        "the same 19, with slow pages asked of the 20th at 3 x its rate",
        measure::MEDIAN,
    ),
    (
        flood::CHEAP_FLOOD,
        "the same 19, with files asked of the 20th as fast as they go",
        measure::MEDIAN,
    ),
    (many::TESTS[0].0, "1,000 sites, nobody visits", measure::PSS),
    (
        many::TESTS[1].0,
        "10,000 sites, nobody visits",
        measure::PSS,
    ),
    (
        density::TEST,
        "6 WordPress sites under the same load",
        density::PER_SITE,
    ),
    (
        fresh::MEMORY,
        "memory while 4 visitors keep workers of WordPress's busy",
        fresh::PER_WORKER,
    ),
];

/// All of it, as Markdown: goals, README's table, then test by test.
pub(crate) fn summary(run: &Run) -> String {
    let mut text = format!("## Goals\n\n{}\n", goal::table(&run.figures));
    let _ = writeln!(text, "## In short\n\n{}", short_table(&run.figures));
    text.push_str("## Test by test\n\n");
    text.push_str(&compared::tables(&run.figures));
    for test in TESTS {
        rates(&mut text, test.word, test.title, &run.figures);
    }
    for (word, title, _) in OTHERS {
        any(&mut text, word, title, &run.figures);
    }
    let _ = writeln!(
        text,
        "Medians over the rounds. CPU is that of all processes of the server. `*`: in fewer than {UNMARKED_MIN} rounds did other \
         programs leave {:.0} % of the CPUs alone, so the median is over disturbed rounds too.",
        100.0 - FOREIGN_SHARE_MAX * 100.0
    );
    for remark in &run.remarks {
        let _ = writeln!(text, "\n{remark}");
    }
    if !run.problems.is_empty() {
        let _ = writeln!(text, "\nInvalid measurements, left out:\n");
        for line in &run.problems {
            let _ = writeln!(text, "- {line}");
        }
    }
    text
}

/// Requests in a second of the steady tests.
pub(crate) fn short_table(figures: &Figures) -> String {
    let kinds = [
        Kind::Prefork,
        Kind::Itk,
        Kind::Suexec,
        Kind::NginxFpm,
        Kind::Hostel,
    ];
    let mut text = String::from("| requests/s |");
    for kind in kinds {
        let _ = write!(text, " {kind} |");
    }
    text.push_str(" Hostel : prefork | Hostel : php-fpm |\n| --- |");
    text.push_str(&" ---: |".repeat(kinds.len() + 2));
    text.push('\n');
    let steady = TESTS.iter().map(|test| (test.word, test.title));
    for (word, title) in steady.chain([(zipf::TEST, OTHERS[0].1)]) {
        let rate = |kind| figures.value(word, kind, measure::RATE);
        let Some(own) = rate(Kind::Hostel) else {
            continue;
        };
        let _ = write!(text, "| {title} |");
        for kind in kinds {
            let _ = write!(text, " {} |", rate(kind).map_or("-".to_owned(), shown));
        }
        for peer in [Kind::Prefork, Kind::NginxFpm] {
            let ratio = rate(peer).map_or("-".to_owned(), |rate| format!("{:.2}", own / rate));
            let _ = write!(text, " {ratio} |");
        }
        text.push('\n');
    }
    text
}

fn rates(text: &mut String, word: &str, title: &str, figures: &Figures) {
    if figures.value(word, Kind::Hostel, measure::RATE).is_none() {
        return;
    }
    let rate = |kind| figures.value(word, kind, measure::RATE);
    let (prefork, fpm) = (rate(Kind::Prefork), rate(Kind::NginxFpm));
    let _ = writeln!(text, "### {title}\n");
    let _ = writeln!(
        text,
        "| server | requests/s | x prefork | x nginx + php-fpm | s per 1,000 | CPU µs/request | median ms | p99 ms | rounds (undisturbed) |"
    );
    let _ = writeln!(text, "| --- |{}", " ---: |".repeat(8));
    for kind in Kind::ALL {
        let Some((rate, disturbed)) = figures.median(word, kind, measure::RATE) else {
            continue;
        };
        let ratio = |base: Option<f64>| match base.map(|base| rate / base) {
            None => "-".to_owned(),
            Some(ratio) if ratio < 0.1 => format!("{ratio:.4}"),
            Some(ratio) => format!("{ratio:.2}"),
        };
        let of = |measure| {
            figures
                .value(word, kind, measure)
                .map_or("-".to_owned(), shown)
        };
        let own = || {
            figures
                .of(word, kind)
                .filter(|figure| figure.measure == measure::RATE)
        };
        let _ = writeln!(
            text,
            "| {kind} | {}{} | {} | {} | {:.2} | {} | {} | {} | {} ({}) |",
            shown(rate),
            if disturbed { " *" } else { "" },
            ratio(prefork),
            ratio(fpm),
            1000.0 / rate,
            of(measure::CPU),
            of(measure::MEDIAN),
            of(measure::P99),
            own().count(),
            own().filter(|figure| !figure.is_marked()).count(),
        );
    }
    let _ = writeln!(text);
}

/// Whatever was measured in this test, a column each.
fn any(text: &mut String, word: &str, title: &str, figures: &Figures) {
    let mut measures: Vec<&str> = Vec::new();
    for figure in figures.0.iter().filter(|figure| figure.test == word) {
        if !measures.contains(&figure.measure) {
            measures.push(figure.measure);
        }
    }
    if measures.is_empty() {
        return;
    }
    let _ = writeln!(text, "### {title}\n\n| server | {} |", measures.join(" | "));
    let _ = writeln!(text, "| --- |{}", " ---: |".repeat(measures.len()));
    for kind in Kind::ALL {
        if figures.of(word, kind).next().is_none() {
            continue;
        }
        let _ = write!(text, "| {kind} |");
        for measure in &measures {
            let cell = match figures.median(word, kind, measure) {
                Some((value, true)) => format!("{} *", shown(value)),
                Some((value, false)) => shown(value),
                None => "-".to_owned(),
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    let _ = writeln!(text);
}

/// Keep a run in a new directory beneath `runs`, and tell which.
pub(crate) fn keep(
    runs: &Path,
    suffix: &str,
    command: &str,
    tables: &str,
    run: &Run,
) -> Result<PathBuf> {
    let date = run_command("date", &["+%Y-%m-%d"])?;
    let directory = new_directory(runs, suffix, &date);
    let what = format!("keep the run in {}", directory.display());
    fs::create_dir_all(&directory).tried(&what)?;
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).tried(&what);
    let mut plots = String::new();
    for (name, title, groups) in charts(&run.figures) {
        if groups.iter().any(|group| !group.bars.is_empty()) {
            write(name, &plot::bars(title, &groups))?;
            let _ = write!(plots, "![{title}]({name})\n\n");
        }
    }
    write("raw.csv", &run.figures.raw())?;
    write("summary.md", &format!("# Summary\n\n{plots}{tables}"))?;
    write("README.md", &readme(&date, command, run)?)?;
    Ok(directory)
}

/// A name that no other run has: the date and the machine's processor.
pub(crate) fn new_directory(runs: &Path, suffix: &str, date: &str) -> PathBuf {
    let slug: Vec<String> = cpu_model()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let name = format!("{date}-{}{suffix}", slug.join("-"));
    let mut directory = runs.join(&name);
    let mut number = 2;
    while directory.exists() {
        directory = runs.join(format!("{name}-{number}"));
        number += 1;
    }
    directory
}

/// The plots: file, title, groups of bars.
fn charts(figures: &Figures) -> Vec<(&'static str, &'static str, Vec<plot::Bars>)> {
    let steady = |scenarios: &[&str]| {
        TESTS
            .iter()
            .filter(|test| scenarios.contains(&test.scenario))
            .map(|test| bars_of(figures, test.word, test.title, measure::RATE))
            .collect::<Vec<_>>()
    };
    let others = |words: &[&str]| {
        OTHERS
            .iter()
            .filter(|(word, ..)| words.contains(word))
            .map(|(word, title, measure)| bars_of(figures, word, title, measure))
            .collect::<Vec<_>>()
    };
    let mut pages = steady(&["article", "hello", "phpinfo"]);
    pages.extend(others(&[zipf::TEST]));
    vec![
        (
            "pages.svg",
            "One page, requests in a second (longer is better)",
            pages,
        ),
        (
            "applications.svg",
            "Applications, requests in a second (longer is better)",
            steady(&["wordpress", "dokuwiki"]),
        ),
        (
            "files.svg",
            "Files and uploads, requests in a second (longer is better)",
            steady(&["static", "post"]),
        ),
        (
            "fresh.svg",
            "Fresh requests, processor time for each (shorter is better)",
            fresh::TESTS
                .iter()
                .map(|test| bars_of(figures, test.word, test.title, measure::CPU))
                .chain(others(&[fresh::MEMORY]))
                .collect(),
        ),
        (
            "sleepers.svg",
            "Sites that sleep (shorter is better)",
            others(&[
                cold::USUAL,
                cold::FEW,
                many::TESTS[0].0,
                many::TESTS[1].0,
                density::TEST,
            ]),
        ),
        (
            "flood.svg",
            "A flood on 1 of 20 sites: what visitors of the others wait (shorter is better)",
            others(&[flood::CALM, flood::SLOW_FLOOD, flood::CHEAP_FLOOD]),
        ),
    ]
}

fn bars_of(figures: &Figures, word: &str, title: &str, measure: &str) -> plot::Bars {
    let bars = Kind::ALL
        .into_iter()
        .filter_map(|kind| Some((kind, figures.value(word, kind, measure)?)))
        .collect();
    plot::Bars {
        title: format!("{title}: {measure}"),
        bars,
    }
}

fn readme(date: &str, command: &str, run: &Run) -> Result<String> {
    let machine = machine()?;
    let all = &run.figures.0;
    Ok(format!(
        "# {date}, {}\n\n`{command}`\n\n{machine}\n\
         [summary.md](summary.md) has the medians, [raw.csv](raw.csv) every figure: {} of {} were undisturbed.\n",
        cpu_model(),
        all.iter().filter(|figure| !figure.is_marked()).count(),
        all.len(),
    ))
}

/// The machine and the versions of all that runs on it, as Markdown.
pub(crate) fn machine() -> Result<String> {
    let packages = [
        "apache2",
        "libapache2-mpm-itk",
        "libapache2-mod-php8.2",
        "apache2-suexec-pristine",
        "php8.2-cgi",
        "php8.2-fpm",
        "libphp8.2-embed",
        "nginx-light",
        "mariadb-server",
        "wordpress",
        "dokuwiki",
        "apache2-utils",
        "wrk",
    ];
    let versions = run_command("dpkg-query", &[&["-W"], &packages[..]].concat())?;
    let directory = env!("CARGO_MANIFEST_DIR");
    let commit = run_command("git", &["-C", directory, "describe", "--always", "--dirty"])?;
    let memory = field_of("/proc/meminfo", "MemTotal", ':').unwrap_or_default();
    Ok(format!(
        "- CPUs: {} x {}\n- memory: {memory}\n- kernel: {}\n- system: {}\n- Hostel: commit {commit}, {}\n- other packages:\n\n```text\n{versions}\n```\n",
        std::thread::available_parallelism().map_or(1, usize::from),
        cpu_model(),
        run_command("uname", &["-r"])?,
        system_name(),
        run_command("rustc", &["--version"])?,
    ))
}

/// The processor's name.
pub(crate) fn cpu_model() -> String {
    field_of("/proc/cpuinfo", "model name", ':').unwrap_or_else(|| "unknown CPU".to_owned())
}

fn system_name() -> String {
    field_of("/etc/os-release", "PRETTY_NAME", '=').unwrap_or_else(|| "unknown system".to_owned())
}

fn field_of(file: &str, name: &str, separator: char) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, value) = text
        .lines()
        .filter_map(|line| line.split_once(separator))
        .find(|(field, _)| field.trim() == name)?;
    Some(value.trim().trim_matches('"').to_owned())
}
