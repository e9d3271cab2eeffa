//! The table of sites, and the life of each: asleep, waking, up, down.
//!
//! Filled by the monitor, read by every request. What waits for a site (questions about paths, requests for a worker) waits in the
//! site and is moved on by [`Site::pump`] whenever something has changed. It trusts the monitor; a keeper that lies
//! is given up, and its site with it until the monitor has started it anew.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_wire::front_keeper::FrontToKeeper;
use hostel_wire::front_monitor::{Down, SiteEntry, SiteId, ToMonitor};

use crate::answer::Budget;
use crate::connections::CONNECTIONS_MAX;
use crate::disk::{Disk, SiteDisk};
use crate::dispatch::Dispatch;
use crate::handoff::HandoffError;
use crate::keeper::Keeper;
use crate::logs::{Level, Logs, SiteLog};
use crate::lookup::{FileBudget, PathMap, SiteUnavailable};
use crate::monitor::Monitor;
use crate::pool::Pool;
use crate::spill::{Share, Spill};
use crate::supply::{Portion, Supply};
use crate::turns::{Account, Place, Turns};
use crate::wake::{Step, Wake};

mod counters;
mod trial;

pub use counters::{Count, Counters};
use trial::Trial;

/// What every site needs of the server.
#[derive(Clone)]
pub struct Services {
    /// The logs.
    pub logs: Rc<Logs>,
    /// Spill files.
    pub spill: Rc<Spill>,
    /// The link to the monitor.
    pub monitor: Rc<Monitor>,
    /// The descriptors of files kept for all sites.
    pub files: Rc<FileBudget>,
    /// Who may run, in all sites.
    pub dispatch: Rc<Dispatch>,
    /// Whose turn it is on the front's thread.
    pub turns: Rc<Turns>,
    /// What there is of the front, for all sites.
    pub supplies: Rc<Supplies>,
    /// The way to the disk.
    pub disk: Rc<Disk>,
}

/// What there is of the front itself, for all sites together.
pub struct Supplies {
    /// Connections of visitors, by the site that they asked last.
    pub connections: Rc<Supply>,
    /// Bytes of bodies and answers that wait in memory.
    pub memory: Rc<Supply>,
    /// Spill files.
    pub files: Rc<Supply>,
}

impl Default for Supplies {
    fn default() -> Self {
        Self {
            connections: Supply::new(CONNECTIONS_MAX),
            memory: Supply::new(MEMORY_BYTES_MAX),
            files: Supply::new(SPILL_FILES_MAX),
        }
    }
}

/// The table of sites.
pub struct Sites {
    services: Services,
    table: RefCell<Table>,
}

#[derive(Default)]
struct Table {
    /// Those that are in the table, and those that left it and are not released yet.
    by_id: HashMap<SiteId, Rc<Site>>,
    exact: HashMap<String, Rc<Site>>,
    /// By what follows the star, with its dot.
    wildcard: HashMap<String, Rc<Site>>,
}

impl Sites {
    /// What every site has.
    pub(crate) fn services(&self) -> &Services {
        &self.services
    }

    /// An empty table.
    pub fn new(services: Services) -> Self {
        Self {
            services,
            table: RefCell::default(),
        }
    }

    /// The site of this host: lower case, without port or trailing dot. An exact domain wins, then the longest wildcard.
    pub fn find(&self, host: &str) -> Option<Rc<Site>> {
        let table = self.table.borrow();
        if let Some(site) = table.exact.get(host) {
            return Some(Rc::clone(site));
        }
        if table.wildcard.is_empty() {
            return None;
        }
        host.match_indices('.')
            .find_map(|(dot, _)| table.wildcard.get(host.get(dot..)?))
            .map(Rc::clone)
    }

    /// The site of this number, even one that is about to be released.
    pub fn by_id(&self, id: SiteId) -> Option<Rc<Site>> {
        self.table.borrow().by_id.get(&id).map(Rc::clone)
    }

    /// Look at the host, and move on who waits for a worker, for ever. Sleeps while nobody waits.
    pub async fn attend(&self) {
        let dispatch = &self.services.dispatch;
        loop {
            for id in dispatch.waiting().await {
                if let Some(site) = self.by_id(id) {
                    site.pump();
                }
            }
        }
    }

    /// All sites, by name.
    pub fn all(&self) -> Vec<Rc<Site>> {
        let mut all: Vec<_> = self.table.borrow().by_id.values().map(Rc::clone).collect();
        all.sort_by(|a, b| (&a.entry.name, a.entry.id).cmp(&(&b.entry.name, b.entry.id)));
        all
    }

    /// Take what has changed of the table. Sites that are gone finish and are released; all others keep all their state.
    pub fn change(&self, gone: &[SiteId], added: Vec<SiteEntry>) {
        let mut table = self.table.borrow_mut();
        for id in gone {
            table.retire(*id);
        }
        for entry in added {
            table.add(entry, &self.services);
        }
    }

    /// What has to be done every [`SWEEP`]: deadlines, idle workers, sites that may be released.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.services.dispatch.look(now);
        let sites: Vec<_> = self
            .table
            .borrow()
            .by_id
            .values()
            .filter(|site| site.needs_sweep())
            .map(Rc::clone)
            .collect();
        for site in sites {
            site.sweep(now);
            if site.is_leaving.get() && site.is_unused() {
                site.end();
                self.table.borrow_mut().by_id.remove(&site.entry.id);
                let released = ToMonitor::SiteReleased(site.entry.id);
                self.services.monitor.send(released);
            }
        }
        self.services.monitor.flush();
    }
}

impl Table {
    fn add(&mut self, entry: SiteEntry, services: &Services) {
        let site = self.place(entry, services);
        site.is_leaving.set(false);
        for domain in &site.entry.domains {
            let (domains, key) = self.place_of(domain);
            domains
                .entry(key.to_owned())
                .or_insert_with(|| Rc::clone(&site));
        }
    }

    /// One that was tried is there already.
    fn place(&mut self, entry: SiteEntry, services: &Services) -> Rc<Site> {
        match self.by_id.entry(entry.id) {
            Entry::Occupied(known) => Rc::clone(known.get()),
            Entry::Vacant(place) => {
                Rc::clone(place.insert(Rc::new(Site::new(entry, services.clone()))))
            }
        }
    }

    /// Nobody comes by its domains any more; what came before finishes.
    fn retire(&mut self, id: SiteId) {
        let Some(site) = self.by_id.get(&id).map(Rc::clone) else {
            return;
        };
        site.is_leaving.set(true);
        for domain in &site.entry.domains {
            let (domains, key) = self.place_of(domain);
            if domains.get(key).is_some_and(|one| Rc::ptr_eq(one, &site)) {
                domains.remove(key);
            }
        }
    }

    fn place_of<'d>(&mut self, domain: &'d str) -> (&mut HashMap<String, Rc<Site>>, &'d str) {
        match domain.strip_prefix('*') {
            Some(suffix) => (&mut self.wildcard, suffix),
            None => (&mut self.exact, domain),
        }
    }
}

/// One site.
pub struct Site {
    /// What the monitor says of it.
    pub entry: SiteEntry,
    /// What happened so far.
    pub counters: Counters,
    pub(crate) services: Services,
    pub(crate) log: Rc<SiteLog>,
    pub(crate) map: PathMap,
    pub(crate) pool: Pool,
    pub(crate) budget: Rc<Budget>,
    pub(crate) spill_share: Rc<Share>,
    /// Its visitors' connections.
    pub(crate) connections: Rc<Portion>,
    /// What its bodies and answers have of the memory.
    pub(crate) memory: Rc<Portion>,
    /// What it had of the front's time.
    pub(crate) account: Rc<Account>,
    /// Its way to the disk.
    pub(crate) disk: SiteDisk,
    pub(crate) wake: Wake,
    state: RefCell<State>,
    running: Cell<u32>,
    is_leaving: Cell<bool>,
    trial: Cell<Trial>,
    used: Cell<Instant>,
    /// When it was asked to retire, until it answers.
    retiring: Cell<Option<Instant>>,
    /// When the server's log was told last that its document root is not served.
    root_refused: Cell<Option<Instant>>,
}

enum State {
    Asleep,
    /// The monitor was asked for a sandbox.
    Waking,
    Up(Rc<Keeper>),
    /// There is no sandbox, and asking for one makes no sense before that time.
    Down(Instant),
    /// The keeper is gone or was given up, and the monitor has not said anything yet. After that time it is asked.
    Lost(Instant),
}

impl Site {
    /// A site that sleeps.
    pub fn new(entry: SiteEntry, services: Services) -> Self {
        let disk = services.disk.site();
        let supplies = &services.supplies;
        let files = supplies.files.portion();
        let spill_share = Share::new(entry.spill_bytes_max, files, disk.clone());
        let memory = supplies.memory.portion();
        Self {
            connections: supplies.connections.portion(),
            account: Account::new(entry.cpu_weight),
            disk,
            log: Rc::new(SiteLog::new(&entry.name, entry.log_bytes_max)),
            pool: Pool::new(&entry, Rc::clone(&services.dispatch)),
            budget: Rc::new(Budget::new(entry.answer_bytes_max, &memory, &spill_share)),
            memory,
            spill_share,
            entry,
            services,
            counters: Counters::default(),
            map: PathMap::default(),
            wake: Wake::default(),
            state: RefCell::new(State::Asleep),
            running: Cell::new(0),
            is_leaving: Cell::new(false),
            trial: Cell::default(),
            used: Cell::new(Instant::now()),
            retiring: Cell::new(None),
            root_refused: Cell::new(None),
        }
    }

    /// Count a request, from the moment its site is known to the end of its answer. A site that leaves the table is kept
    /// until no such value lives, so that a reload loses nothing: hold it.
    pub fn begin(self: &Rc<Self>) -> Running {
        self.counters.requests.add(1);
        self.running.set(self.running.get() + 1);
        Running(Rc::clone(self))
    }

    /// Begin a task that works for this site, in its turn.
    pub fn spawn(self: &Rc<Self>, work: impl Future<Output = ()> + 'static) {
        let (place, turns) = (Place::new(&self.account), Rc::clone(&self.services.turns));
        tokio::task::spawn_local(async move { turns.run(&place, work).await });
    }

    /// Its workers.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Descriptors of its files that are kept.
    pub fn files_kept(&self) -> usize {
        self.map.files_kept()
    }

    /// Its log files.
    pub fn log(&self) -> &Rc<SiteLog> {
        &self.log
    }

    /// Its keeper, while it has one.
    pub(crate) fn keeper(&self) -> Option<Rc<Keeper>> {
        match &*self.state.borrow() {
            State::Up(keeper) => Some(Rc::clone(keeper)),
            State::Asleep | State::Waking | State::Down(_) | State::Lost(_) => None,
        }
    }

    /// A word for the status.
    pub(crate) fn state_word(&self) -> &'static str {
        match &*self.state.borrow() {
            State::Asleep => "asleep",
            State::Waking => "waking",
            State::Up(_) => "up",
            State::Down(_) => "down",
            State::Lost(_) => "lost",
        }
    }

    /// Requests that run.
    pub(crate) fn running(&self) -> u32 {
        self.running.get()
    }

    /// Whether no request runs, not even one whose answer is complete while its script goes on.
    pub fn is_quiet(&self) -> bool {
        self.running.get() == 0 && self.pool.is_quiet()
    }

    /// Say something in the site's error log.
    pub(crate) fn say(&self, text: std::fmt::Arguments<'_>) {
        self.services.logs.site_notice(self, text);
    }

    /// Tell the server's log, once in a while, that the keeper serves nothing; each visitor's request tells the site's own.
    pub(crate) fn root_is_refused(&self, reason: &str) {
        let now = Instant::now();
        let told = self.root_refused.get();
        if told.is_some_and(|told| now.duration_since(told) < ROOT_REFUSED_EVERY) {
            return;
        }
        self.root_refused.set(Some(now));
        self.services.logs.server(
            Level::Error,
            format_args!("site {}: {reason}", self.entry.name),
        );
    }

    /// Move on what waits: ask the keeper, start workers, wake the site, or refuse what cannot be had soon.
    pub(crate) fn pump(self: &Rc<Self>) {
        if let Some(keeper) = self.keeper() {
            self.map.pump(self, &keeper);
            self.pool.pump(self, &keeper);
            if self.trial.get() == Trial::Asked {
                self.trial.set(Trial::UnderWay);
                self.pool.begin_one(self, &keeper);
            }
            return;
        }
        let is_tried = self.trial.get() == Trial::Asked;
        if !self.map.has_waiting() && !self.pool.has_waiting() && !is_tried {
            return;
        }
        let now = Instant::now();
        let wake = match &*self.state.borrow() {
            State::Asleep => Some(ToMonitor::WakeSite(self.entry.id)),
            State::Down(until) if now >= *until => Some(ToMonitor::WakeSite(self.entry.id)),
            State::Lost(until) if now >= *until => Some(ToMonitor::ReplaceSite(self.entry.id)),
            State::Waking | State::Up(_) | State::Down(_) | State::Lost(_) => None,
        };
        let is_far = match &*self.state.borrow() {
            State::Down(until) => *until > now + DOWN_WAIT_MAX,
            State::Asleep | State::Waking | State::Up(_) | State::Lost(_) => false,
        };
        if is_far {
            self.refuse_waiting();
        } else if let Some(message) = wake {
            *self.state.borrow_mut() = State::Waking;
            self.wake.begin(now);
            self.services.monitor.send(message);
        }
    }

    /// The monitor has started the sandbox.
    pub fn up(self: &Rc<Self>, keeper: Rc<Keeper>) {
        self.leave_keeper();
        let now = Instant::now();
        self.used.set(now);
        self.wake.reach(Step::Sandbox, now);
        *self.state.borrow_mut() = State::Up(keeper);
        self.pump();
    }

    /// The monitor says that there is no sandbox (any more).
    pub fn down(self: &Rc<Self>, reason: Down, retry: Duration) {
        self.tried(false);
        self.end();
        *self.state.borrow_mut() = match reason {
            Down::Asleep => State::Asleep,
            Down::Died | Down::SpawnFailed => State::Down(Instant::now() + retry),
        };
        match reason {
            Down::Asleep => {}
            Down::Died => self.say(format_args!("the site's sandbox died; it is started again")),
            Down::SpawnFailed => self.say(format_args!(
                "the site's sandbox cannot be started; the server's log says why"
            )),
        }
        self.services.logs.flush();
        self.services.logs.close_site_files(&self.log);
        self.pump();
    }

    /// This keeper is gone, or broke its word: nothing more is asked of it. Its socket closes with the last use of it.
    ///
    /// What a keeper leaves open is asked of the next one. The monitor hears of a dead keeper by itself. One that lives is asked to
    /// end, which is the last that it hears of this front; if it does not, the monitor kills it once there is a visitor.
    pub(crate) fn lost(self: &Rc<Self>, keeper: &Rc<Keeper>, why: &str) {
        if !self
            .keeper()
            .is_some_and(|current| Rc::ptr_eq(&current, keeper))
        {
            return;
        }
        self.services.logs.server(
            Level::Warning,
            format_args!("site {}: its keeper is given up: {why}", self.entry.name),
        );
        self.tried(false);
        // It may be gone or deaf, and then there is nothing to ask.
        drop(keeper.send(&FrontToKeeper::Retire, None));
        self.end();
        *self.state.borrow_mut() = State::Lost(Instant::now() + LOST_WAIT);
    }

    /// A worker sends its answer.
    pub(crate) fn answers(&self) {
        if self.wake.is_under_way()
            && let Some(steps) = self.wake.reach(Step::Answer, Instant::now())
        {
            let name = &self.entry.name;
            let text = format_args!("site {name} woke in {steps}");
            self.services.logs.server(Level::Debugging, text);
        }
    }

    /// The keeper cannot sleep.
    pub(crate) fn busy(&self, processes: u32) -> bool {
        self.used.set(Instant::now());
        let asked = self.retiring.take().is_some();
        if asked {
            self.services.logs.server(
                Level::Debugging,
                format_args!(
                    "site {} stays awake for {processes} processes",
                    self.entry.name
                ),
            );
        }
        asked
    }

    /// The sandbox is gone, or is to be.
    fn end(self: &Rc<Self>) {
        self.wake.give_up();
        self.leave_keeper();
    }

    /// Everything that came from a keeper goes with it.
    fn leave_keeper(self: &Rc<Self>) {
        if let Some(keeper) = self.keeper() {
            keeper.close();
        }
        *self.state.borrow_mut() = State::Asleep;
        self.retiring.set(None);
        self.map.keeper_gone();
        self.pool.keeper_gone();
    }

    fn refuse_waiting(&self) {
        self.map.refuse_waiting(SiteUnavailable::Down);
        self.pool.refuse_waiting(HandoffError::SiteDown);
    }

    fn needs_sweep(&self) -> bool {
        self.is_leaving.get()
            || self.map.has_waiting()
            || self.pool.has_waiting()
            || self.keeper().is_some()
    }

    fn is_unused(&self) -> bool {
        self.is_quiet() && !self.map.has_waiting() && !self.pool.has_waiting()
    }

    fn sweep(self: &Rc<Self>, now: Instant) {
        let patience = Duration::from_millis(self.entry.queue_ms_max.into());
        self.map.sweep(now, patience);
        self.pool.sweep(self, now);
        let Some(keeper) = self.keeper() else {
            return self.pump();
        };
        if let Err(error) = keeper.flush() {
            return self.lost(&keeper, &error.to_string());
        }
        if self.map.is_unanswered(now) || self.pool.is_undead(now) {
            return self.lost(&keeper, "it does not answer");
        }
        if self.running.get() > 0 || self.pool.has_workers() {
            self.used.set(now);
        }
        let idle_time = Duration::from_millis(self.entry.idle_ms.into());
        let sleep_after = self
            .services
            .dispatch
            .scheduler()
            .idle_time(idle_time, true)
            * SLEEP_FACTOR;
        if self.retiring.get().is_none() && now.duration_since(self.used.get()) > sleep_after {
            self.retiring.set(Some(now));
            if let Err(error) = keeper.send(&FrontToKeeper::Retire, None) {
                return self.lost(&keeper, &error.to_string());
            }
        }
        self.pump();
    }
}

/// One request that needs its site.
pub struct Running(Rc<Site>);

impl Running {
    /// Its site.
    pub fn site(&self) -> &Rc<Site> {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get().saturating_sub(1));
    }
}

/// Bytes of bodies and answers of all sites that wait in memory.
const MEMORY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Spill files of all sites: what the descriptors leave besides connections, workers and files kept for sites.
const SPILL_FILES_MAX: usize = 2000;
/// How often the server's log is told of a site whose document root is not served.
const ROOT_REFUSED_EVERY: Duration = Duration::from_secs(60);
/// How often deadlines are looked at.
pub const SWEEP: Duration = Duration::from_millis(100);
/// Requests wait for a site that is down if it may be started again within this time, else they are refused.
const DOWN_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long the monitor may take to say what became of a keeper.
const LOST_WAIT: Duration = Duration::from_secs(1);
/// A site sleeps when it was idle for so many times the idle time of a worker.
const SLEEP_FACTOR: u32 = 10;
