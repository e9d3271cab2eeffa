//! The load generators: ab for one connection per request, wrk for keep-alive.
//!
//! ab speaks HTTP/1.0, where nginx must close after an answer of unknown length, so keep-alive is measured with wrk alone.
//! Both check every status. ab checks each length against the first unless the page's length varies; then, and with wrk, the
//! sum of all lengths must be what so many right answers have.

use std::process::Command;

use crate::cpu::Group;
use crate::failure::{Failure, Result, Tried};
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
    })
}

/// GET over connections that are kept.
pub(crate) fn wrk(
    group: &Group,
    script: &str,
    port: u16,
    path: &str,
    connections: u32,
    seconds: u32,
) -> Result<Load> {
    let mut command = group.command("/usr/bin/timeout");
    command.args([
        "90",
        "wrk",
        "-t1",
        &format!("-c{connections}"),
        &format!("-d{seconds}s"),
        "--timeout",
        "10s",
    ]);
    command.args(["-s", script, "-H", &format!("Host: {HOST}")]);
    command.arg(format!("http://127.0.0.1:{port}{path}"));
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
    let [requests, micros, bytes, errors] = numbers[..] else {
        return Err(Failure(format!("wrk's output is not as expected:\n{said}")));
    };
    if errors > 0.0 {
        return Err(Failure(format!("{errors} requests failed:\n{said}")));
    }
    if requests == 0.0 {
        return Err(Failure(format!(
            "no request was answered within {seconds} seconds:\n{said}"
        )));
    }
    Ok(Load {
        requests: count(requests),
        seconds: micros / 1e6,
        bytes_mean: bytes / requests,
    })
}

/// A script for wrk that prints exact figures at the end; it costs nothing per request.
pub(crate) const WRK_SCRIPT: &str = "done = function(summary, latency, requests)\n\
    local e = summary.errors\n\
    local errors = e.connect + e.read + e.write + e.status + e.timeout\n\
    io.write(string.format('figures %d %d %d %d\\n', summary.requests, summary.duration, summary.bytes, errors))\n\
    end\n";

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
