//! The load generators: ab for one connection per request, wrk for keep-alive.
//!
//! ab speaks HTTP/1.0, where nginx must close after an answer of unknown length, so keep-alive is measured with wrk alone.
//! Both check every status. ab checks each length against the first unless the page's length varies; then, and with wrk, the
//! sum of all lengths must be what so many right answers have.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cpu::Group;
use crate::failure::{Failure, Result, Tried};
use crate::ground;
use crate::probe::HOST;

/// What a load generator did.
#[derive(Debug)]
pub(crate) struct Load {
    /// Answers received.
    pub requests: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Bytes of an answer on average: its body with ab, all of it with wrk.
    pub bytes_mean: f64,
    /// Requests that failed.
    pub errors: u64,
    /// The middle one of all answers' times; only wrk tells it.
    pub median_ms: f64,
    /// 99 of 100 answers came within this time; only wrk tells it.
    pub p99_ms: f64,
}

/// How much ab shall do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Amount {
    /// A number of requests, of a page whose length may vary.
    Requests(u32),
    /// As many requests of a page of one length as fit so many seconds.
    Seconds(u32),
}

/// GET with one connection per request, so many at a time.
pub(crate) fn ab(
    group: &Group,
    port: u16,
    path: &str,
    connections: u32,
    amount: Amount,
) -> Result<Load> {
    let mut command = group.command("/usr/bin/timeout");
    command.args([
        "90",
        "ab",
        "-q",
        "-s",
        "10",
        "-H",
        &format!("Host: {HOST}"),
        "-c",
        &connections.to_string(),
    ]);
    match amount {
        Amount::Requests(count) => command.args(["-l", "-n", &count.to_string()]),
        // -t alone stops at 50,000 requests.
        Amount::Seconds(seconds) => command.args(["-t", &seconds.to_string(), "-n", "1000000"]),
    };
    command.arg(format!("http://127.0.0.1:{port}{path}"));
    read_ab(&output(command, "ab")?, amount)
}

fn read_ab(said: &str, amount: Amount) -> Result<Load> {
    let number = |label: &str| -> Option<f64> {
        let line = said.lines().find_map(|line| line.strip_prefix(label))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let missing = || Failure(format!("ab's output is not as expected:\n{said}"));
    let failed = number("Failed requests:").ok_or_else(missing)?
        + number("Non-2xx responses:").unwrap_or(0.0);
    if failed > 0.0 {
        return Err(Failure(format!("{failed} requests failed:\n{said}")));
    }
    let requests = number("Complete requests:").ok_or_else(missing)?;
    let bytes_mean = match amount {
        Amount::Requests(_) => number("HTML transferred:").ok_or_else(missing)? / requests,
        Amount::Seconds(_) => number("Document Length:").ok_or_else(missing)?,
    };
    if let Amount::Requests(count) = amount
        && requests < f64::from(count)
    {
        return Err(Failure(format!(
            "only {requests} of {count} requests were answered:\n{said}"
        )));
    }
    Ok(Load {
        requests: count(requests),
        seconds: number("Time taken for tests:").ok_or_else(missing)?,
        bytes_mean,
        errors: 0,
        median_ms: f64::NAN,
        p99_ms: f64::NAN,
    })
}

/// What wrk shall ask for, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    /// The file with its script.
    pub script: &'a Path,
    /// The site.
    pub host: &'a str,
    /// What is asked for.
    pub path: &'a str,
    /// More header lines.
    pub headers: &'a [String],
    /// How many connections.
    pub connections: u32,
    /// For how long.
    pub seconds: u32,
}

/// Ask over connections that are kept; one request that fails is an error.
pub(crate) fn wrk(group: &Group, port: u16, kept: Kept<'_>) -> Result<Load> {
    let load = wrk_with_errors(group, port, kept)?;
    if load.errors > 0 {
        return Err(Failure(format!(
            "{} requests failed beside {} that did not",
            load.errors, load.requests
        )));
    }
    Ok(load)
}

/// Ask over connections that are kept, and count what fails.
pub(crate) fn wrk_with_errors(group: &Group, port: u16, kept: Kept<'_>) -> Result<Load> {
    let mut command = group.command("/usr/bin/timeout");
    command.args([
        "90",
        "wrk",
        "-t1",
        &format!("-c{}", kept.connections),
        &format!("-d{}s", kept.seconds),
        "--timeout",
        "10s",
    ]);
    command.arg("-s").arg(kept.script);
    command.args(["-H", &format!("Host: {}", kept.host)]);
    for line in kept.headers {
        command.args(["-H", line]);
    }
    command.arg(format!("http://127.0.0.1:{port}{}", kept.path));
    let said = output(command, "wrk")?;
    let numbers: Vec<f64> = said
        .lines()
        .find_map(|line| line.strip_prefix("figures "))
        .map(|line| {
            line.split(' ')
                .filter_map(|word| word.parse().ok())
                .collect()
        })
        .unwrap_or_default();
    let [requests, micros, bytes, errors, p50, p99] = numbers[..] else {
        return Err(Failure(format!("wrk's output is not as expected:\n{said}")));
    };
    if requests == 0.0 {
        return Err(Failure(format!(
            "no request was answered within {} seconds:\n{said}",
            kept.seconds
        )));
    }
    Ok(Load {
        requests: count(requests),
        seconds: micros / 1e6,
        bytes_mean: bytes / requests,
        errors: count(errors),
        median_ms: p50 / 1e3,
        p99_ms: p99 / 1e3,
    })
}

/// The end of each script for wrk: prints exact figures, and costs nothing per request.
const WRK_DONE: &str = "done = function(summary, latency, requests)\n\
    local e = summary.errors\n\
    local errors = e.connect + e.read + e.write + e.status + e.timeout\n\
    io.write(string.format('figures %d %d %d %d %d %d\\n', summary.requests, summary.duration, summary.bytes, errors,\
    latency:percentile(50), latency:percentile(99)))\n\
    end\n";

/// The scripts for wrk, as files.
#[derive(Debug)]
pub(crate) struct Scripts {
    /// GET of one page.
    pub get: PathBuf,
    /// POST of a body of [`POST_BYTES`].
    pub post: PathBuf,
}

/// What is posted.
pub(crate) const POST_BYTES: usize = 1_000_000;

impl Scripts {
    /// Write them.
    pub(crate) fn write(directory: &Path) -> Result<Self> {
        let scripts = Self {
            get: directory.join("get.lua"),
            post: directory.join("post.lua"),
        };
        ground::file(&scripts.get, WRK_DONE, None, 0o644)?;
        let post = format!(
            "wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/octet-stream'\n\
             wrk.body = string.rep('0123456789', {})\n{WRK_DONE}",
            POST_BYTES / 10
        );
        ground::file(&scripts.post, &post, None, 0o644)?;
        Ok(scripts)
    }
}

/// A script that asks for one path at many sites; `weights` says how often each.
pub(crate) fn many_sites_script(
    file: &Path,
    path: &str,
    hosts: &[String],
    weights: &[f64],
) -> Result<()> {
    let mut text = String::from("local asked, bounds = {}, {}\nlocal sum = 0\n");
    for (host, weight) in hosts.iter().zip(weights) {
        let _ = writeln!(
            text,
            "sum = sum + {weight:.6}; bounds[#bounds + 1] = sum\n\
             asked[#asked + 1] = 'GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n'"
        );
    }
    let _ = write!(
        text,
        "math.randomseed(4711)\nrequest = function()\n\
         local at = math.random() * sum\nlocal low, high = 1, #bounds\n\
         while low < high do\nlocal middle = math.floor((low + high) / 2)\n\
         if bounds[middle] < at then low = middle + 1 else high = middle end\nend\n\
         return asked[low]\nend\n{WRK_DONE}"
    );
    ground::file(file, &text, None, 0o644)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole numbers printed by a load generator"
)]
fn count(number: f64) -> u64 {
    number as u64
}

fn output(mut command: Command, name: &str) -> Result<String> {
    let output = command.output().tried(format!("start {name}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        let why = String::from_utf8_lossy(&output.stderr);
        Err(Failure(format!(
            "{name} failed ({}): {why}\n{said}",
            output.status
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Document Length:        13 bytes\n\nTime taken for tests:   0.500 seconds\n\
        Complete requests:      100\nFailed requests:        0\nHTML transferred:       1400 bytes\n";

    #[test]
    fn reads_what_ab_says() {
        let load = read_ab(SAID, Amount::Requests(100)).unwrap();
        assert_eq!(
            (load.requests, load.seconds, load.bytes_mean),
            (100, 0.5, 14.0)
        );
        assert_eq!(read_ab(SAID, Amount::Seconds(1)).unwrap().bytes_mean, 13.0);
    }

    #[test]
    fn one_failed_or_missing_request_is_an_error() {
        let failed = SAID.replace("Failed requests:        0", "Failed requests:        1");
        assert!(read_ab(&failed, Amount::Seconds(1)).is_err());
        assert!(
            read_ab(
                &format!("{SAID}Non-2xx responses:      1\n"),
                Amount::Seconds(1)
            )
            .is_err()
        );
        assert!(read_ab(SAID, Amount::Requests(101)).is_err());
    }
}
