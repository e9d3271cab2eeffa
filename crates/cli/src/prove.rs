//! `hostel prove`: the product's own attack suite, run from inside of each site's sandbox.
//!
//! Run by an administrator as root. For each site a fresh sandbox is started by the monitor's own plan, with the attack scripts as its document
//! root; another site is the victim. Nothing that they say is believed: success is seen by canaries. It
//! leaves nothing behind and attacks no running sandbox.
//!
//! - `attack`: what an attack is. `attacks`: the table. `php/`: the scripts.
//! - `ground`, `stage`: what a run stands on. `sandbox`, `exchange`: a site's sandbox, spoken to as the front does.
//! - `victim`, `canaries`: what is watched. `visit`: requests to the running server. `scene`: one attack and its judgement. `outcome`, `report`: what is said of it.

#[cfg_attr(
    not(feature = "controls"),
    allow(
        dead_code,
        reason = "a build for tests alone reads the controls of the table"
    )
)]
mod attack;
mod attacks;
mod canaries;
#[cfg(feature = "controls")]
mod controls;
mod exchange;
mod ground;
mod outcome;
mod report;
mod sandbox;
mod scene;
mod services;
mod stage;
mod victim;
mod visit;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use hostel_config::Site;
use hostel_sys::causes::with_causes;
use hostel_sys::cred::Uid;
#[cfg(not(feature = "controls"))]
use hostel_sys::layers::Layers;

use crate::output;
use attack::Attack;
use canaries::ServerCanaries;
use ground::{Ground, GroundError};
use outcome::Outcome;
use report::SiteReport;
use scene::{Scene, SceneError, Setting, Verdict};

/// What was asked for.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Prove this site alone; else each site is proven
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Attack this site; else the next one in the configuration
    #[arg(long, value_name = "SITE")]
    victim: Option<String>,
    /// Print one JSON document instead
    #[arg(long)]
    json: bool,
    /// Try attacks on addresses other than loopback too
    #[arg(long)]
    network: bool,
    /// List the attacks and try none
    #[arg(long)]
    list: bool,
    /// Leave these layers out of the sandboxes
    #[cfg(feature = "controls")]
    #[arg(long, value_name = "LAYER,LAYER", value_delimiter = ',', hide = true)]
    without: Vec<String>,
    /// Try each attack twice, the second time without what stops it
    #[cfg(feature = "controls")]
    #[arg(long, hide = true, requires = "json")]
    controls: bool,
    /// Try each attack with each single layer that is said to stop it
    #[cfg(feature = "controls")]
    #[arg(long, hide = true, requires = "json")]
    alone: bool,
}

#[derive(Debug, thiserror::Error)]
enum ProveError {
    #[error("only root can start the sandboxes of sites\n  hint: sudo hostel prove")]
    NotRoot,
    #[error(transparent)]
    Ground(#[from] GroundError),
    #[error("no site is called '{0}'\n  hint: hostel status lists them")]
    NoSite(String),
    #[error("the configuration has no sites: there is nothing to prove")]
    NoSites,
    #[error("cannot put canaries into the server's directories")]
    Canaries(#[source] io::Error),
    #[error("stopped by a signal; nothing is left behind")]
    Interrupted,
    #[error(transparent)]
    Scene(#[from] SceneError),
    #[cfg(feature = "controls")]
    #[error("no layer is called '{0}'")]
    NoLayer(String),
}

/// Status 1 if an attack got through, 2 if the suite could not be run.
pub(crate) fn run(config: &Path, options: &Options) -> ExitCode {
    if options.list {
        if options.json {
            output::json(&report::list());
        } else {
            list();
        }
        return ExitCode::SUCCESS;
    }
    match prove(config, options) {
        Ok(code) => code,
        Err(error) => {
            output::error(&format!("hostel prove: {}", with_causes(&error)));
            ExitCode::from(2)
        }
    }
}

fn prove(config: &Path, options: &Options) -> Result<ExitCode, ProveError> {
    if Uid::effective() != Uid::ROOT {
        return Err(ProveError::NotRoot);
    }
    let ground = Ground::prepare(config, options.network)?;
    let pairs = pairs(&ground.server.sites, options)?;
    let mut server = ServerCanaries::new(&ground.server, config, &ground.stage.run)
        .map_err(ProveError::Canaries)?;
    #[cfg(feature = "controls")]
    if options.controls || options.alone {
        let run = if options.alone {
            controls::run_alone
        } else {
            controls::run
        };
        let sites = pairs.into_iter();
        let sites: Result<Vec<_>, _> = sites
            .map(|(site, victim)| run(&ground, site, victim, &mut server))
            .collect();
        output::json(&serde_json::json!({ "sites": sites? }));
        return Ok(ExitCode::SUCCESS);
    }
    let setting = setting(options)?;
    let mut reports = Vec::new();
    for (site, victim) in pairs {
        let mut scene = Scene::new(&ground, site, victim, setting);
        reports.push(prove_site(&mut scene, &mut server)?);
    }
    if options.json {
        output::json(&report::document(&reports));
    } else {
        report::print(&reports);
    }
    let got_through = report::has_got_through(&reports);
    Ok(ExitCode::from(u8::from(got_through)))
}

/// All layers; a build for tests may leave some out.
#[cfg_attr(
    not(feature = "controls"),
    expect(clippy::unnecessary_wraps, reason = "a build for tests can fail here")
)]
fn setting(_options: &Options) -> Result<Setting, ProveError> {
    #[cfg(feature = "controls")]
    return Ok(controls::setting(
        controls::named(&_options.without)?,
        attack::Against::Victim,
    ));
    #[cfg(not(feature = "controls"))]
    Ok(Setting {
        layers: Layers::ALL,
    })
}

fn prove_site(
    scene: &mut Scene<'_>,
    server: &mut ServerCanaries,
) -> Result<SiteReport, ProveError> {
    let mut report = SiteReport::new(scene.site, scene.other);
    let count = attacks::all().count();
    for (number, attack) in (1..).zip(attacks::all()) {
        let verdict = scene.run(attack, attack.steps, server)?;
        if server.is_interrupted {
            return Err(ProveError::Interrupted);
        }
        progress(
            scene.site,
            attack,
            &verdict,
            &format!("{number} of {count}, "),
        );
        report.attacks.push((attack, verdict));
    }
    Ok(report)
}

fn progress(site: &Site, attack: &Attack, verdict: &Verdict, before: &str) {
    let by = match verdict.outcome {
        Outcome::Stopped => format!(" ({})", report::stoppers(attack).join(", ")),
        Outcome::GotThrough | Outcome::NotStoppedHere(_) | Outcome::NotTried(_) => String::new(),
    };
    output::error(&format!(
        "{}: {before}{}: {}{by}",
        site.name,
        attack.id,
        verdict.outcome.name()
    ));
}

/// Each site that is to be proven, with its victim: another site of another user.
fn pairs<'a>(
    sites: &'a [Rc<Site>],
    options: &Options,
) -> Result<Vec<(&'a Site, Option<&'a Site>)>, ProveError> {
    let sites: Vec<&Site> = sites.iter().map(Rc::as_ref).collect();
    let named = |name: &String| {
        let mut sites = sites.iter().copied();
        let found = sites.find(|site| site.name == *name);
        found.ok_or_else(|| ProveError::NoSite(name.clone()))
    };
    let victim = options.victim.as_ref().map(named).transpose()?;
    let attackers: Vec<&Site> = match &options.site {
        Some(name) => vec![named(name)?],
        None => sites.clone(),
    };
    if attackers.is_empty() {
        return Err(ProveError::NoSites);
    }
    let other = |attacker: &'a Site| {
        let is_other = |site: &&Site| site.user.uid != attacker.user.uid;
        let all = || sites.iter().copied();
        let after = all().skip_while(|site| site.name != attacker.name);
        victim
            .filter(is_other)
            .or_else(|| after.chain(all()).find(is_other))
    };
    Ok(attackers
        .into_iter()
        .map(|attacker| (attacker, other(attacker)))
        .collect())
}

fn list() {
    let mut rows = vec![
        ["ID", "GROUP", "STOPPED BY", "ATTACK"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for attack in attacks::all() {
        let stoppers: Vec<&str> = attack
            .stoppers
            .iter()
            .map(|stopper| stopper.name())
            .collect();
        rows.push(vec![
            attack.id.to_owned(),
            attack.group.name().to_owned(),
            stoppers.join(", "),
            attack.title.to_owned(),
        ]);
    }
    output::table(&rows);
}
