//! One run of the bench: what every test needs, and what it leaves.

use std::path::{Path, PathBuf};

use crate::cpu::{Group, Watch};
use crate::failure::{Failure, Result};
use crate::figure::{Figure, Figures};
use crate::ground::{Ground, PHP_INI, WORK};
use crate::load::Scripts;
use crate::plan::Plan;
use crate::server::{Kind, Server, Spec};
use crate::site::Site;

/// What every test works with.
#[derive(Debug)]
pub(crate) struct Run {
    /// Users and directories.
    pub ground: Ground,
    /// The group of ab and wrk.
    pub generator: Group,
    /// The scripts for wrk.
    pub scripts: Scripts,
    /// Where the programs of Hostel are.
    pub programs: PathBuf,
    /// Where those are that can leave the sandbox out; only to compare with.
    pub open: PathBuf,
    /// How many rounds.
    pub rounds: u32,
    /// Whether everything shall be short.
    pub quick: bool,
    /// The servers to measure, of those that a test has.
    pub kinds: Vec<Kind>,
    /// What was measured.
    pub figures: Figures,
    /// What went wrong; those figures are missing.
    pub problems: Vec<String>,
    /// What a reader must know about figures.
    pub remarks: Vec<String>,
}

impl Run {
    /// Prepare the ground.
    pub(crate) fn prepare(programs: PathBuf, plan: &Plan) -> Result<Self> {
        let ground = Ground::prepare()?;
        Ok(Self {
            generator: Group::create("load")?,
            scripts: Scripts::write(Path::new(WORK))?,
            ground,
            programs,
            open: PathBuf::new(),
            rounds: plan.rounds,
            quick: plan.quick,
            kinds: plan.kinds.clone(),
            figures: Figures::default(),
            problems: Vec::new(),
            remarks: Vec::new(),
        })
    }

    /// Those of a test's servers that are wanted.
    pub(crate) fn wanted(&self, kinds: &[Kind]) -> Vec<Kind> {
        kinds
            .iter()
            .copied()
            .filter(|kind| self.kinds.contains(kind))
            .collect()
    }

    /// Start those of these servers that are wanted, each with these sites.
    pub(crate) fn start(&self, name: &str, kinds: &[Kind], sites: &[Site]) -> Result<Vec<Server>> {
        self.wanted(kinds)
            .into_iter()
            .map(|kind| {
                println!("starting {kind}");
                let mut spec = self.spec(name, sites);
                if kind == Kind::HostelOpen {
                    spec.programs = &self.open;
                }
                Server::start(kind, &self.ground, &spec)
            })
            .collect()
    }

    /// What a server is started with.
    pub(crate) fn spec<'a>(&'a self, name: &'a str, sites: &'a [Site]) -> Spec<'a> {
        Spec {
            name,
            sites,
            php_ini: PHP_INI,
            programs: &self.programs,
        }
    }

    /// Watch a server and the load generators from now on.
    pub(crate) fn watch<'a>(&'a self, server: &'a Server) -> Result<Watch<'a>> {
        Watch::begin(&server.group, &[&self.generator])
    }

    /// Keep figures of one server in one round.
    pub(crate) fn keep(
        &mut self,
        test: &'static str,
        kind: Kind,
        round: u32,
        foreign_share: f64,
        values: &[(&'static str, f64)],
    ) {
        let mut said = String::new();
        for (measure, value) in values {
            said.push_str(&format!("  {} {measure}", shown(*value)));
            self.figures.0.push(Figure {
                test,
                kind,
                round,
                measure,
                value: *value,
                foreign_share,
            });
        }
        if self.figures.0.last().is_some_and(Figure::is_marked) {
            said.push_str(&format!(
                "   disturbed: {:.0} % foreign load",
                foreign_share * 100.0
            ));
        }
        println!("  {:26}{said}", kind.to_string());
    }

    /// End what the run itself needed.
    pub(crate) fn end(self) -> Result<()> {
        self.generator.end()
    }

    /// Note that something could not be measured.
    pub(crate) fn problem(&mut self, what: &str, failure: &Failure) {
        println!("  {what}: INVALID: {failure}");
        let why = failure.0.lines().next().unwrap_or_default();
        self.problems.push(format!("{what}: {why}"));
    }
}

/// A figure with as many places as it deserves.
pub(crate) fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
