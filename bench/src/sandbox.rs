//! What the sandbox costs: Hostel as it is shipped beside the build for tests that can leave layers out.
//!
//! Steady: the same tests in turn on both. Cold: the first request to each of many sites, once with everything and once without
//! each layer, so that it shows where the time goes.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cpu::Group;
use crate::failure::{Failure, Result, Tried};
use crate::figure::{Figures, at_share, measure};
use crate::ground::{self, Ground, PHP_INI, USER, WEB_USER, run};
use crate::plan::Plan;
use crate::probe::Client;
use crate::report;
use crate::run::Run;
use crate::server::{Kind, free_port};
use crate::steady::{self, TESTS};

/// Everything that is left out where "the sandbox is off": all but the change of user.
pub(crate) const ALL_LAYERS: &str = "control group,view,process namespace,ipc namespace,uts and cgroup namespaces,\
     resource limits,landlock,landlock of the worker,seccomp,no_new_privs,non-dumpable";
/// Sites that are woken for one figure.
const SITES: usize = 30;
/// What is left out, and how the table calls it.
const VARIANTS: [(&str, &str); 8] = [
    ("", "everything on"),
    ("seccomp", "without seccomp"),
    ("landlock,landlock of the worker", "without Landlock"),
    ("view", "without the view"),
    (
        "process namespace,ipc namespace,uts and cgroup namespaces",
        "without pid, ipc, uts and cgroup namespaces",
    ),
    ("resource limits,control group", "without limits"),
    ("non-dumpable", "without non-dumpable"),
    (ALL_LAYERS, "everything off but the user"),
];

/// Both comparisons, as Markdown.
pub(crate) fn compare(run: &mut Run, plan: &Plan) -> Result<String> {
    steady::run(run, |test| {
        let is_asked_for = !plan.only.is_empty() && plan.wants(&[test.scenario, test.word]);
        is_asked_for || ["article", "hello"].contains(&test.scenario)
    })?;
    let cold = cold_table(&run.ground, &run.open)?;
    let steady = steady_table(&run.figures);
    Ok(format!("{steady}\n{cold}\n{}", report::summary(run)))
}

/// The table of the steady tests: medians and the ratio on to off.
fn steady_table(figures: &Figures) -> String {
    let mut text = String::from(
        "| test | requests/s on | off | on : off | CPU µs/request on | off | on : off |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for test in TESTS {
        let of = |kind, what| figures.value(test.word, kind, what);
        let rate = |kind| of(kind, measure::RATE).unwrap_or(f64::NAN);
        let cpu = |kind| of(kind, measure::CPU).unwrap_or(f64::NAN);
        if of(Kind::Hostel, measure::RATE).is_none() {
            continue;
        }
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.3} | {:.1} | {:.1} | {:.3} |",
            test.title,
            rate(Kind::Hostel),
            rate(Kind::HostelOpen),
            rate(Kind::Hostel) / rate(Kind::HostelOpen),
            cpu(Kind::Hostel),
            cpu(Kind::HostelOpen),
            cpu(Kind::Hostel) / cpu(Kind::HostelOpen),
        );
    }
    text
}

/// Wake many sites with each variant in turn, and tell the medians.
fn cold_table(ground: &Ground, programs: &Path) -> Result<String> {
    let mut figures = vec![Vec::new(); VARIANTS.len()];
    for round in 1..=3 {
        for ((without, title), times) in VARIANTS.iter().zip(&mut figures) {
            println!("round {round} of 3: cold start, {title}");
            let name = format!("cold-{round}-{}", times.len());
            let name = name + &without.replace(|c: char| !c.is_ascii_lowercase(), "");
            times.extend(wake(
                ground,
                programs,
                &name[..name.len().min(40)],
                without,
            )?);
        }
    }
    let mut text = format!(
        "Milliseconds from the request to its answer at the first request to a site, {} sites each:\n\n\
         | sandbox | median | 10th percentile | 90th percentile |\n| --- | ---: | ---: | ---: |\n",
        3 * SITES
    );
    for ((_, title), times) in VARIANTS.iter().zip(&figures) {
        let at = |share| at_share(times, share).unwrap_or(f64::NAN);
        let _ = writeln!(
            text,
            "| {title} | {:.1} | {:.1} | {:.1} |",
            at(0.5),
            at(0.1),
            at(0.9)
        );
    }
    Ok(text)
}

/// Start a Hostel with many sites and ask each once; milliseconds for each.
fn wake(ground: &Ground, programs: &Path, name: &str, without: &str) -> Result<Vec<f64>> {
    let directory = ground.server_directory(name)?;
    let group = Group::create(name)?;
    let port = free_port()?;
    configure(ground, &directory, port)?;
    let mut command = group.command(programs.join("hostel"));
    let log = fs::File::create(directory.join("start.log")).tried("make the log of a start")?;
    let errors = log.try_clone().tried("share the log of a start")?;
    command
        .args(["serve", "--config"])
        .arg(directory.join("hostel.toml"))
        .env("HOSTEL_WITHOUT", without)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    let child = command.spawn().tried("start Hostel")?;
    let times = ask_each(port, &directory);
    end(child, &group)?;
    times
}

fn ask_each(port: u16, directory: &Path) -> Result<Vec<f64>> {
    let begun = Instant::now();
    // Site 0 tells when the server is up, and takes what only the first of all does.
    while !matches!(Client::new(port).ask_at("cold0.example", "/hello.php"), Ok(answer) if answer.status == 200)
    {
        if begun.elapsed() > Duration::from_secs(20) {
            return Err(Failure(format!(
                "Hostel does not serve; see {}/start.log",
                directory.display()
            )));
        }
        thread::sleep(Duration::from_millis(50));
    }
    (1..=SITES)
        .map(|number| {
            thread::sleep(Duration::from_millis(50));
            let begun = Instant::now();
            let host = format!("cold{number}.example");
            let answer = Client::new(port).ask_at(&host, "/hello.php")?;
            let taken = begun.elapsed();
            match answer.status {
                200 => Ok(taken.as_secs_f64() * 1e3),
                status => Err(Failure(format!("{host} answers with status {status}"))),
            }
        })
        .collect()
}

fn configure(ground: &Ground, directory: &Path, port: u16) -> Result<()> {
    let own = directory.display();
    ground::file(
        &directory.join("hostel.toml"),
        &format!(
            "http = [\"127.0.0.1:{port}\"]\nstate = \"{own}/state\"\nlogs = \"{own}/logs\"\nrun = \"{own}/run\"\n\
             user = \"{WEB_USER}\"\nphp_ini = \"{PHP_INI}\"\n"
        ),
        None,
        0o644,
    )?;
    fs::create_dir(directory.join("sites.d")).tried("make the directory of Hostel's sites")?;
    for number in 0..=SITES {
        let home = directory.join(format!("home{number}"));
        fs::create_dir_all(home.join("public")).tried("make a home")?;
        let page = home.join("public/hello.php");
        ground::file(
            &page,
            "<?php echo \"Hello\\n\";\n",
            Some(ground.user),
            0o644,
        )?;
        run(
            "chown",
            &["-R", &format!("{USER}:{USER}"), &home.to_string_lossy()],
        )?;
        ground::file(
            &directory.join(format!("sites.d/cold{number}.toml")),
            &format!(
                "domains = [\"cold{number}.example\"]\nuser = \"{USER}\"\nshare_user = true\nhome = \"{}\"\n",
                home.display()
            ),
            None,
            0o644,
        )?;
    }
    Ok(())
}

fn end(mut child: Child, group: &Group) -> Result<()> {
    // One that has ended already needs no signal.
    let _ = run("kill", &["-TERM", &child.id().to_string()]);
    let begun = Instant::now();
    while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(20));
    }
    group.end()?;
    let _ = child.wait();
    Ok(())
}
