//! Whose turn it is on the front's one thread.
//!
//! Used by every task that works for somebody: a client's connection, a worker's exchange, a keeper's link. The time of each poll is
//! written down in the [`Account`] of the site that it was for, or, before a site is known, of the address that it came from. Who has
//! had more than the others waits until they have had as much; meanwhile the kernel is asked for news after every few polls,
//! so that whoever wants little is served at once, however many connections another site's visitors keep busy. (Start-time fair
//! queueing: Goyal, Vin and Cheng, 1996.) Where nobody else is there, who waits goes on at once. It trusts nobody's
//! word: what is counted is this thread's own time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::connections::network;

/// Who has had how much, and who waits.
pub struct Turns {
    /// The time that an account which wants its turn has had, in ns: whoever begins to want something begins here.
    now: Cell<u64>,
    /// All time that anybody has had, in ns; up to when more than one account wanted some; and who had it last.
    worked: Cell<u64>,
    shared_until: Cell<u64>,
    last: Cell<*const Account>,
    /// Accounts with tasks that wait.
    waiting: RefCell<Vec<Rc<Account>>>,
    wanted: Notify,
    strangers: Vec<Rc<Account>>,
    key: RandomState,
}

/// The time that one site, or one of many addresses, has had.
pub struct Account {
    /// In ns, divided by its weight.
    used: Cell<u64>,
    weight: u32,
    waiting: RefCell<VecDeque<Rc<Place>>>,
}

/// One task's place: whom it works for at present, and whether it waits.
pub struct Place {
    account: RefCell<Rc<Account>>,
    state: Cell<State>,
    waker: RefCell<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Waiting,
    /// It has waited, and goes on whatever its account has had.
    Called,
}

impl Account {
    /// An account with a weight in percent of the usual one.
    pub fn new(weight: u32) -> Rc<Self> {
        Rc::new(Self {
            used: Cell::new(0),
            weight: weight.max(1),
            waiting: RefCell::default(),
        })
    }
}

impl Place {
    /// A place of somebody who works for this account.
    pub fn new(account: &Rc<Account>) -> Rc<Self> {
        Rc::new(Self {
            account: RefCell::new(Rc::clone(account)),
            state: Cell::new(State::Free),
            waker: RefCell::new(Waker::noop().clone()),
        })
    }

    fn account(&self) -> Rc<Account> {
        Rc::clone(&self.account.borrow())
    }
}

impl Default for Turns {
    fn default() -> Self {
        let strangers = std::iter::repeat_with(|| Account::new(100));
        Self {
            now: Cell::new(0),
            worked: Cell::new(0),
            shared_until: Cell::new(0),
            last: Cell::new(std::ptr::null()),
            waiting: RefCell::default(),
            wanted: Notify::new(),
            strangers: strangers.take(STRANGERS).collect(),
            key: RandomState::new(),
        }
    }
}

impl Turns {
    /// Do `work` from turn to turn.
    pub async fn run<T>(&self, place: &Rc<Place>, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if !self.may_go_on(place, cx.waker()) {
                return Poll::Pending;
            }
            let (begun, before) = (Instant::now(), place.account());
            let polled = work.as_mut().poll(cx);
            let took = begun.elapsed();
            self.charge(&before, took);
            let after = place.account();
            if !Rc::ptr_eq(&before, &after) {
                self.charge(&after, took);
            }
            polled
        })
        .await
    }

    /// From now on this task works for that account, as soon as it is that one's turn. To be called within [`Turns::run`].
    pub async fn enter(&self, place: &Rc<Place>, account: &Rc<Account>) {
        place.account.replace(Rc::clone(account));
        let mut has_waited = false;
        poll_fn(|cx| {
            if has_waited || self.is_due(account) {
                return Poll::Ready(());
            }
            has_waited = true;
            self.wait(place, cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// The account of a client whose site is not known yet. Few share one, and nobody can tell with whom.
    pub fn stranger(&self, address: IpAddr) -> Rc<Account> {
        let hash = self.key.hash_one(network(address));
        let index = usize::try_from(hash).unwrap_or(0) % STRANGERS;
        match self.strangers.get(index) {
            Some(account) => Rc::clone(account),
            None => Account::new(100),
        }
    }

    /// Call who waits, for ever.
    pub async fn attend(&self) {
        loop {
            while self.waiting.borrow().is_empty() {
                self.wanted.notified().await;
            }
            // First whatever is ready, and who has news from the kernel.
            yield_now().await;
            self.call_next();
        }
    }

    fn is_due(&self, account: &Account) -> bool {
        account.waiting.borrow().is_empty() && account.used.get() <= self.now.get() + LEAD_NS
    }

    fn may_go_on(&self, place: &Rc<Place>, waker: &Waker) -> bool {
        match place.state.get() {
            State::Called => place.state.set(State::Free),
            State::Free if self.is_due(&place.account.borrow()) => {}
            State::Free => {
                self.wait(place, waker);
                return false;
            }
            State::Waiting => {
                place.waker.borrow_mut().clone_from(waker);
                return false;
            }
        }
        true
    }

    fn wait(&self, place: &Rc<Place>, waker: &Waker) {
        place.state.set(State::Waiting);
        place.waker.borrow_mut().clone_from(waker);
        let account = place.account();
        let mut tasks = account.waiting.borrow_mut();
        if tasks.is_empty() {
            self.waiting.borrow_mut().push(Rc::clone(&account));
            self.wanted.notify_one();
        }
        tasks.push_back(Rc::clone(place));
    }

    fn charge(&self, account: &Account, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let weighted = took.saturating_mul(100) / u64::from(account.weight);
        let used = account.used.get().max(self.now.get());
        account.used.set(used.saturating_add(weighted));
        self.worked.set(self.worked.get().saturating_add(took));
        if self.last.replace(std::ptr::from_ref(account)) != std::ptr::from_ref(account) {
            let until = self.worked.get().saturating_add(SHARED_FOR_NS);
            self.shared_until.set(until);
        }
    }

    /// A few tasks of the account that has had the least go on.
    fn call_next(&self) {
        let mut waiting = self.waiting.borrow_mut();
        let all = waiting.iter().enumerate();
        let Some((index, _)) = all.min_by_key(|(_, account)| account.used.get()) else {
            return;
        };
        let account = waiting.swap_remove(index);
        self.now.set(self.now.get().max(account.used.get()));
        let mut tasks = account.waiting.borrow_mut();
        let is_shared = self.worked.get() < self.shared_until.get();
        let most = if is_shared {
            CALLED_AT_ONCE
        } else {
            CALLED_ALONE
        };
        let count = tasks.len().min(most);
        for place in tasks.drain(..count) {
            place.state.set(State::Called);
            place.waker.borrow().wake_by_ref();
        }
        if !tasks.is_empty() {
            waiting.push(Rc::clone(&account));
        }
    }
}

/// Accounts for addresses whose site is not known yet.
const STRANGERS: usize = 256;
/// What an account may have had more than who waits: so that who works now and then never waits.
const LEAD_NS: u64 = 1_000_000;
/// Tasks that go on between two looks at the kernel's news. Each polls for some 20 µs.
const CALLED_AT_ONCE: usize = 8;
/// The same where for some time nobody else has wanted anything: as many as the runtime itself polls between two looks.
const CALLED_ALONE: usize = 61;
/// That time, as far as the thread has worked.
const SHARED_FOR_NS: u64 = 50_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn waits(turns: &Turns, place: &Rc<Place>) -> bool {
        !turns.may_go_on(place, Waker::noop())
    }

    /// Let who is called next work for so long at once, until it has to wait, and count how often in which place.
    fn work(turns: &Turns, places: &[Rc<Place>], turn: Duration) -> Vec<u32> {
        turns.call_next();
        let counts = places.iter().map(|place| {
            let mut count = 0;
            while place.state.get() == State::Called || count > 0 && !waits(turns, place) {
                place.state.set(State::Free);
                turns.charge(&place.account(), turn);
                count += 1;
            }
            count
        });
        counts.collect()
    }

    #[test]
    fn who_wants_little_never_waits_beside_who_wants_all() {
        let turns = Turns::default();
        let (greedy, modest) = (Account::new(100), Account::new(100));
        let greedy: Vec<_> = (0..100).map(|_| Place::new(&greedy)).collect();
        let modest = Place::new(&modest);
        for place in &greedy {
            if !waits(&turns, place) {
                turns.charge(&place.account(), MS);
                waits(&turns, place);
            }
        }
        for _ in 0..1000 {
            work(&turns, &greedy, MS / 50);
            assert!(!waits(&turns, &modest));
            turns.charge(&modest.account(), MS / 100);
        }
    }

    #[test]
    fn two_that_want_all_have_half_each_however_many_tasks_they_have() {
        let turns = Turns::default();
        let (one, other) = (Account::new(100), Account::new(100));
        let mut places = vec![Place::new(&one)];
        places.extend((0..50).map(|_| Place::new(&other)));
        for place in &places {
            turns.charge(&place.account(), 2 * MS);
        }
        places
            .iter()
            .for_each(|place| assert!(waits(&turns, place)));
        let mut sums = [0, 0];
        for _ in 0..2000 {
            let counts = work(&turns, &places, MS);
            sums[0] += counts[0];
            sums[1] += counts[1..].iter().sum::<u32>();
        }
        let ratio = f64::from(sums[0]) / f64::from(sums[1]);
        assert!((0.9..1.1).contains(&ratio), "{sums:?}");
    }

    #[test]
    fn weights_are_kept() {
        let turns = Turns::default();
        let places = [50, 400].map(|weight| Place::new(&Account::new(weight)));
        for place in &places {
            turns.charge(&place.account(), 10 * MS);
            assert!(waits(&turns, place));
        }
        let mut sums = [0, 0];
        for _ in 0..4000 {
            let counts = work(&turns, &places, MS);
            sums = [sums[0] + counts[0], sums[1] + counts[1]];
        }
        let ratio = f64::from(sums[1]) / f64::from(sums[0]);
        assert!((7.0..9.0).contains(&ratio), "{sums:?}");
    }

    #[test]
    fn who_rested_saves_nothing_up() {
        let turns = Turns::default();
        let (busy, rested) = (
            Place::new(&Account::new(100)),
            Place::new(&Account::new(100)),
        );
        turns.charge(&busy.account(), 2 * MS);
        waits(&turns, &busy);
        for _ in 0..100 {
            work(&turns, &[Rc::clone(&busy)], MS);
        }
        turns.charge(&rested.account(), 2 * MS);
        assert!(waits(&turns, &rested), "it has had its lead and more");
    }

    #[test]
    fn tasks_of_one_account_go_on_in_their_order() {
        let turns = Turns::default();
        let account = Account::new(100);
        turns.charge(&account, 2 * MS);
        let places: Vec<_> = (0..CALLED_AT_ONCE * 3)
            .map(|_| Place::new(&account))
            .collect();
        places
            .iter()
            .for_each(|place| assert!(waits(&turns, place)));
        turns.call_next();
        for (index, place) in places.iter().enumerate() {
            assert_eq!(waits(&turns, place), index >= CALLED_AT_ONCE, "{index}");
        }
    }

    #[tokio::test]
    async fn a_task_that_works_alone_goes_on_at_once() {
        let turns = Turns::default();
        let place = Place::new(&Account::new(100));
        let site = Account::new(100);
        turns.charge(&site, 1000 * MS);
        let work = turns.run(&place, async {
            turns.enter(&place, &site).await;
            for _ in 0..10 {
                turns.charge(&site, 1000 * MS);
                yield_now().await;
            }
        });
        tokio::select! {
            () = work => {}
            () = turns.attend() => unreachable!("it never ends"),
            () = tokio::time::sleep(Duration::from_secs(5)) => panic!("it waits for nobody"),
        }
    }

    #[test]
    fn addresses_of_one_network_share_an_account() {
        let turns = Turns::default();
        let account = |text: &str| turns.stranger(text.parse().unwrap());
        assert!(Rc::ptr_eq(
            &account("2001:db8::1"),
            &account("2001:db8::ffff:1")
        ));
        let others = (1..100).map(|n| account(&format!("192.0.2.{n}")));
        let first = account("192.0.2.1");
        assert!(others.filter(|other| Rc::ptr_eq(other, &first)).count() < 20);
    }
}
