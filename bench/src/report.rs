//! What is kept of a run: raw.csv, summary.md and a README with the machine and the versions.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Result, Tried};
use crate::ground::run;
use crate::measure::{FOREIGN_SHARE_MAX, Sample, TESTS, Test};
use crate::server::Kind;

/// With fewer unmarked measurements than this, the marked ones count too.
const UNMARKED_MIN: usize = 3;

/// The tables, as Markdown.
pub(crate) fn tables(samples: &[Sample], invalid: &[String]) -> String {
    let mut text = String::new();
    for test in TESTS {
        table(&mut text, test, samples);
    }
    let _ = writeln!(
        text,
        "Medians over the rounds. CPU is that of all processes of the server. `*`: in fewer than {UNMARKED_MIN} rounds did other \
         programs leave {:.0} % of the CPUs alone, so the median is over disturbed rounds too.",
        100.0 - FOREIGN_SHARE_MAX * 100.0
    );
    if !invalid.is_empty() {
        let _ = writeln!(text, "\nInvalid measurements, left out:\n");
        for line in invalid {
            let _ = writeln!(text, "- {line}");
        }
    }
    text
}

fn table(text: &mut String, test: Test, samples: &[Sample]) {
    let rate = |kind| median(test, kind, samples, Sample::rate).map(|(value, _)| value);
    let (prefork, fpm) = (rate(Kind::Prefork), rate(Kind::NginxFpm));
    let _ = writeln!(text, "### {}\n", test.title);
    let _ = writeln!(
        text,
        "| server | requests/s | x prefork | x nginx + php-fpm | s per 1,000 | CPU µs/request | rounds (undisturbed) |"
    );
    let _ = writeln!(text, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for kind in Kind::ALL {
        let Some((rate, disturbed)) = median(test, kind, samples, Sample::rate) else {
            continue;
        };
        let cpu =
            median(test, kind, samples, |sample| sample.cpu_micros).map_or(0.0, |(value, _)| value);
        let ratio = |base: Option<f64>| match base.map(|base| rate / base) {
            None => "-".to_owned(),
            Some(ratio) if ratio < 0.1 => format!("{ratio:.4}"),
            Some(ratio) => format!("{ratio:.2}"),
        };
        let own = || {
            samples
                .iter()
                .filter(|s| s.test.word == test.word && s.kind == kind)
        };
        let _ = writeln!(
            text,
            "| {kind} | {rate:.0}{} | {} | {} | {:.2} | {cpu:.0} | {} ({}) |",
            if disturbed { " *" } else { "" },
            ratio(prefork),
            ratio(fpm),
            1000.0 / rate,
            own().count(),
            own().filter(|sample| !sample.is_marked()).count(),
        );
    }
    let _ = writeln!(text);
}

/// The median over the unmarked rounds, or over all of them (then `true`).
pub(crate) fn median(
    test: Test,
    kind: Kind,
    samples: &[Sample],
    value: impl Fn(&Sample) -> f64,
) -> Option<(f64, bool)> {
    let all = || {
        samples
            .iter()
            .filter(|s| s.test.word == test.word && s.kind == kind)
    };
    let unmarked: Vec<f64> = all()
        .filter(|sample| !sample.is_marked())
        .map(&value)
        .collect();
    let disturbed = unmarked.len() < UNMARKED_MIN.min(all().count());
    let mut values = if disturbed {
        all().map(&value).collect()
    } else {
        unmarked
    };
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    let lower = if values.len() % 2 == 0 {
        *values.get(middle.checked_sub(1)?)?
    } else {
        upper
    };
    Some(((lower + upper) / 2.0, disturbed))
}

/// Keep a run in a new directory beneath `runs`, and tell which.
pub(crate) fn keep(
    runs: &Path,
    suffix: &str,
    command: &str,
    tables: &str,
    samples: &[Sample],
) -> Result<PathBuf> {
    let date = run("date", &["+%Y-%m-%d"])?;
    let model = cpu_model();
    let slug: Vec<String> = model
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
    let what = format!("keep the run in {}", directory.display());
    fs::create_dir_all(&directory).tried(&what)?;
    fs::write(directory.join("raw.csv"), raw(samples)).tried(&what)?;
    fs::write(
        directory.join("summary.md"),
        format!("# Summary\n\n{tables}"),
    )
    .tried(&what)?;
    fs::write(
        directory.join("README.md"),
        readme(&date, &model, command, samples)?,
    )
    .tried(&what)?;
    Ok(directory)
}

fn raw(samples: &[Sample]) -> String {
    let mut text = "test,server,round,requests,seconds,requests_per_second,cpu_us_per_request,foreign_share,marked\n".to_owned();
    for s in samples {
        let _ = writeln!(
            text,
            "{},{},{},{},{:.3},{:.1},{:.1},{:.3},{}",
            s.test.word,
            s.kind.word(),
            s.round,
            s.requests,
            s.seconds,
            s.rate(),
            s.cpu_micros,
            s.foreign_share,
            s.is_marked()
        );
    }
    text
}

fn readme(date: &str, model: &str, command: &str, samples: &[Sample]) -> Result<String> {
    let packages = [
        "apache2",
        "libapache2-mpm-itk",
        "libapache2-mod-php8.2",
        "apache2-suexec-pristine",
        "php8.2-cgi",
        "php8.2-fpm",
        "libphp8.2-embed",
        "nginx-light",
        "apache2-utils",
        "wrk",
    ];
    let versions = run("dpkg-query", &[&["-W"], &packages[..]].concat())?;
    let directory = env!("CARGO_MANIFEST_DIR");
    let commit = run("git", &["-C", directory, "describe", "--always", "--dirty"])?;
    Ok(format!(
        "# {date}, {model}\n\n`{command}`\n\n\
         - CPUs: {} x {model}\n- kernel: {}\n- system: {}\n- Hostel: commit {commit}, {}\n- other packages:\n\n```text\n{versions}\n```\n\n\
         [summary.md](summary.md) has the medians, [raw.csv](raw.csv) every measurement: {} of {} were undisturbed.\n",
        std::thread::available_parallelism().map_or(1, usize::from),
        run("uname", &["-r"])?,
        system_name(),
        run("rustc", &["--version"])?,
        samples.iter().filter(|sample| !sample.is_marked()).count(),
        samples.len(),
    ))
}

fn cpu_model() -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(round: u32, requests: u64, foreign_share: f64) -> Sample {
        let (test, kind) = (TESTS[0], Kind::Hostel);
        Sample {
            test,
            kind,
            round,
            requests,
            seconds: 1.0,
            cpu_micros: 5.0,
            foreign_share,
        }
    }

    #[test]
    fn the_median_leaves_disturbed_rounds_out_while_three_others_remain() {
        let mut samples = vec![
            sample(1, 10, 0.0),
            sample(2, 20, 0.0),
            sample(3, 30, 0.0),
            sample(4, 1, 0.5),
        ];
        let of = |samples: &[Sample]| median(TESTS[0], Kind::Hostel, samples, Sample::rate);
        assert_eq!(of(&samples), Some((20.0, false)));
        samples.remove(0);
        assert_eq!(of(&samples), Some((20.0, true)));
        assert_eq!(median(TESTS[0], Kind::Itk, &samples, Sample::rate), None);
    }
}
