//! The firewall, a helper of root's that keeps in force where sites may connect to; and what the monitor does about it.
//!
//! It is told what the configuration says and answers when that is in force. Sites wait for it, for a bounded time; where it
//! fails, those start that may connect to the world.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hostel_config::Egress;
use hostel_sys::helper::Helper;
use hostel_wire::egress::Policy;
use hostel_wire::monitor_firewall::{FromFirewall, ToFirewall};

use super::Monitor;
use crate::log::say;
use crate::requests::Phase;
use hostel_sys::back_off::BackOff;

/// The firewall, running or not.
#[derive(Debug)]
pub(crate) struct Firewall {
    pub(super) helper: Option<Helper>,
    back_off: BackOff,
    policy: Vec<u8>,
    generation: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Sites wait for the rules until this time.
    Pending(Instant),
    InForce,
    Failed,
}

impl Firewall {
    /// Nothing runs, nothing is in force.
    pub(crate) fn new(policy: &Policy, now: Instant) -> Self {
        Self {
            helper: None,
            back_off: BackOff::new(now),
            policy: policy.encode(),
            generation: 1,
            state: State::Pending(now + IN_FORCE_WITHIN),
        }
    }

    /// Whether sites wait for it.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending(_))
    }

    /// Whether nothing would hold a site to this setting.
    pub(super) fn fails(&self, egress: &Egress) -> bool {
        self.has_failed() && egress.is_bounded()
    }

    /// Whether nothing holds any site to its setting.
    pub(super) fn has_failed(&self) -> bool {
        self.state == State::Failed
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match (&self.helper, self.state) {
            (None, _) => Some(self.back_off.not_before()),
            (Some(_), State::Pending(until)) => Some(until),
            (Some(_), State::InForce | State::Failed) => None,
        }
    }

    /// Before another program takes this one's place: the rules stay, and there is another firewall soon.
    pub(super) fn abandon(&mut self) {
        if let Some(helper) = self.helper.take() {
            helper.abandon(DISMISSED_WITHIN);
        }
    }

    fn tell(&self) {
        let generation = self.generation;
        if let Some(helper) = &self.helper {
            helper.tell(&ToFirewall::Apply { generation }.encode(), &self.policy);
        }
    }
}

impl Monitor {
    /// Start it where there is none, and let sites wait no longer than they may.
    pub(super) fn firewall_is_due(&mut self, now: Instant) {
        let firewall = &mut self.firewall;
        if self.phase == Phase::Serving
            && firewall.helper.is_none()
            && firewall.back_off.not_before() <= now
        {
            match Helper::start("hostel-firewall", &self.server.run) {
                Ok(helper) => {
                    firewall.helper = Some(helper);
                    firewall.tell();
                }
                Err(error) => {
                    let wait = firewall.back_off.died(now, now);
                    self.rules_failed(&format!("not started, again in {wait:?}: {error}"));
                }
            }
        }
        if matches!(self.firewall.state, State::Pending(until) if until <= now) {
            self.rules_failed("the firewall takes too long");
        }
    }

    /// The configuration has changed. Sites that still end count where no other has their user.
    pub(super) fn change_rules(&mut self, mut policy: Policy, now: Instant) {
        let users: BTreeSet<u32> = policy.sites.iter().map(|site| site.uid).collect();
        let others = self
            .sites
            .iter()
            .map(|(_, site)| site.config.egress_entry());
        policy
            .sites
            .extend(others.filter(|site| !users.contains(&site.uid)));
        let (policy, firewall) = (policy.encode(), &mut self.firewall);
        if policy == firewall.policy && firewall.state != State::Failed {
            return;
        }
        firewall.policy = policy;
        firewall.generation = firewall.generation.wrapping_add(1);
        firewall.state = State::Pending(now + IN_FORCE_WITHIN);
        firewall.tell();
    }

    /// Hear what it says, and learn of its end, after which its rules stay.
    pub(super) fn hear_firewall(&mut self) {
        let mut buffer = [0; FromFirewall::BYTES_MAX];
        while let Some(Ok(Some(bytes))) = self
            .firewall
            .helper
            .as_ref()
            .map(|helper| helper.hear(&mut buffer))
        {
            match FromFirewall::decode(bytes) {
                Ok(said) if said.generation != self.firewall.generation => {}
                Ok(said) if !said.is_in_force => self.rules_failed(&said.text),
                Ok(said) => {
                    self.jobs.is_stale |= self.firewall.state != State::InForce;
                    self.firewall.state = State::InForce;
                    if !said.text.is_empty() {
                        self.log.warning(format_args!("firewall: {}", said.text));
                    }
                }
                Err(error) => self.log.error(format_args!("firewall: {error}")),
            }
        }
        let firewall = &mut self.firewall;
        if let Some(helper) = firewall
            .helper
            .take_if(|helper| !matches!(helper.has_ended(), Ok(false)))
        {
            let wait = firewall.back_off.died(helper.begun(), Instant::now());
            self.log.error(format_args!(
                "the firewall has ended, its rules stay; another one starts in {wait:?}"
            ));
        }
    }

    /// At the end: it removes its rules.
    pub(super) fn dismiss_firewall(&mut self) {
        if let Some(helper) = self.firewall.helper.take() {
            helper.dismiss(DISMISSED_WITHIN);
        }
    }

    /// Rules that were in force before stay; else nothing limits where sites may connect to.
    fn rules_failed(&mut self, why: &str) {
        if self.firewall.is_pending() {
            self.firewall.state = State::Failed;
            self.jobs.is_stale = true;
            say(&format!(
                "hostel: warning: sites may connect anywhere: {why}"
            ));
        }
        self.log.warning(format_args!(
            "firewall: {why}; without it, sites whose 'egress' is \"none\" or a list do not start"
        ));
    }
}

/// From the wish to the kernel: a fraction of a second; longer where everything is slow.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(20);
const DISMISSED_WITHIN: Duration = Duration::from_secs(5);
