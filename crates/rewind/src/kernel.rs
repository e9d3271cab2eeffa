//! What the kernel holds for a process besides its memory: looked at at the checkpoint, put back at each rewind.
//!
//! Whatever cannot be put back is a reason to end ([`Unfit`]). The order of a rewind: [`Kernel::quiet`] first, so that no handler of the
//! request's runs any more and nothing else of it does; then [`Kernel::put_back`], which may fail; then memory; the signals last.
//!
//! **Care.** What a script of PHP's can change is looked at each time; what native code alone can change (limits, processors, the actions of rare signals, timers that PHP
//! does not have, this crate's own descriptors) or functions that are noted, now and then, each time where scripts may run native code, and where the caller says that such a function was called ([`Care`]).
//! What native code alone can change besides is in [`Native`].

use crate::Unfit;
use crate::calls::{
    Action, DESCRIPTORS_OWN, action_of, affinity, alternate_stack, check, close_range, faults,
    last, limit_of, open, pause, pending, raise, read_at, set_action, set_affinity, set_break,
    set_limit, set_mask, status_of, stop_timer, timer_is_set,
};
use crate::native::Native;

/// Descriptors that are open at the checkpoint.
const DESCRIPTORS_MAX: usize = 64;
const SIGNALS: usize = 64;
/// Looks for threads that end, with a pause after each: 20 milliseconds or so, within which a busy processor gets to one.
const THREAD_LOOKS: usize = 200;
const LIMITS: usize = 16;
/// Bytes of the set of processors.
const AFFINITY_BYTES: usize = 128;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// What a script can change.
    Usual,
    /// All.
    Thorough,
}

/// The whole of it. All zeros is a value.
#[repr(C)]
pub(crate) struct Kernel {
    pub(crate) sources: Sources,
    descriptors: [Descriptor; DESCRIPTORS_MAX],
    descriptor_count: usize,
    /// What the kernel counts.
    descriptors_open: libc::off_t,
    break_end: usize,
    numbers: Numbers,
    actions: [Action; SIGNALS],
    mask: u64,
    stack: [usize; 3],
    limits: [[u64; 2]; LIMITS],
    affinity: [u8; AFFINITY_BYTES],
    /// Faults that were counted when the last rewind had ended.
    faults: [u64; 2],
    /// Bytes that were mapped then.
    size_at_last: usize,
    /// Bytes that were mapped at the checkpoint.
    size_at_first: usize,
    native: Native,
}

/// Where to look. They are opened once, see `Rewind::new`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Sources {
    pub(crate) directory: libc::c_int,
    pub(crate) maps: libc::c_int,
    pub(crate) pagemap: libc::c_int,
    pub(crate) tasks: libc::c_int,
    /// The directory of descriptors.
    descriptors: libc::c_int,
    /// The size of the address space.
    size: libc::c_int,
    /// -1 where the kernel does not have it.
    pub(crate) timers: libc::c_int,
    /// What the kernel tells of the process in words.
    status: libc::c_int,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
struct Descriptor {
    number: libc::c_int,
    flags: libc::c_int,
    status: libc::c_int,
    device: u64,
    inode: u64,
    kind: u32,
}

/// What is one number each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
struct Numbers {
    umask: libc::c_int,
    nice: libc::c_int,
    group: libc::c_int,
    session: libc::c_int,
    dumpable: libc::c_int,
    death_signal: libc::c_int,
    timer_slack: libc::c_int,
    personality: libc::c_int,
    name: [u8; 16],
}

impl Kernel {
    /// Remember all of it.
    pub(crate) fn look(&mut self) -> Result<(), Unfit> {
        self.mask = set_mask(ALL)?;
        let looked = self.look_undisturbed();
        set_mask(self.mask)?;
        looked
    }

    fn look_undisturbed(&mut self) -> Result<(), Unfit> {
        if self.has_threads()? {
            return Err(Unfit::Threads);
        }
        if !self.is_childless()? {
            return Err(Unfit::Children);
        }
        for which in TIMERS {
            if timer_is_set(which)? {
                return Err(Unfit::Timers);
            }
        }
        if self.has_posix_timers()? {
            return Err(Unfit::Timers);
        }
        self.break_end = set_break(0);
        self.numbers = Numbers::look()?;
        self.look_at_descriptors()?;
        for (number, action) in (1..).zip(&mut self.actions) {
            *action = action_of(number)?;
        }
        self.stack = alternate_stack(None)?;
        for (resource, limit) in (0..).zip(&mut self.limits) {
            *limit = limit_of(resource)?;
        }
        affinity(&mut self.affinity)?;
        self.size_at_first = self.size()?;
        self.native = Native::look(self.sources.status)?;
        Ok(())
    }

    fn look_at_descriptors(&mut self) -> Result<(), Unfit> {
        self.descriptor_count = 0;
        let end = limit_of(libc::RLIMIT_NOFILE)?[0] + DESCRIPTORS_OWN;
        for number in 0..libc::c_int::try_from(end).unwrap_or(0) {
            let Some(descriptor) = Descriptor::look(number)? else {
                continue;
            };
            let place = self.descriptors.get_mut(self.descriptor_count);
            *place.ok_or(Unfit::TooMany)? = descriptor;
            self.descriptor_count += 1;
        }
        self.descriptors_open = self.open_descriptors()?;
        Ok(())
    }

    fn has_threads(&self) -> Result<bool, Unfit> {
        // The directory of a process with one thread has one entry more than `.` and `..`.
        Ok(status_of(self.sources.tasks)?.st_nlink > 3)
    }

    /// Whoever joins a thread (curl, for one that has looked up a name) goes on when its memory is free, a moment before the kernel has taken it off its list.
    fn await_threads(&self) -> Result<(), Unfit> {
        for _ in 0..THREAD_LOOKS {
            if !self.has_threads()? {
                return Ok(());
            }
            pause();
        }
        Err(Unfit::Threads)
    }

    fn has_posix_timers(&self) -> Result<bool, Unfit> {
        Ok(self.sources.timers >= 0 && read_at(self.sources.timers, &mut [0; 16], 0)? > 0)
    }

    /// Reap what has ended. Whether nothing runs on.
    fn is_childless(&self) -> Result<bool, Unfit> {
        loop {
            // SAFETY: asks for no status and no usage.
            let waited =
                unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) };
            match waited {
                0 => return Ok(false),
                -1 if last() == libc::ECHILD => return Ok(true),
                -1 if last() == libc::EINTR => {}
                -1 => return Err(Unfit::Kernel(last())),
                _ => {}
            }
        }
    }

    /// The first part of a rewind: from here on nothing of the request runs. Nothing was changed that counts where this fails.
    pub(crate) fn quiet(&mut self, care: Care) -> Result<(), Unfit> {
        set_mask(ALL)?;
        let timers = match care {
            Care::Usual => &TIMERS_OF_PHP[..],
            Care::Thorough => &TIMERS,
        };
        for which in timers {
            stop_timer(*which)?;
        }
        self.await_threads()?;
        if !self.is_childless()? {
            return Err(Unfit::Children);
        }
        if care == Care::Thorough && self.has_posix_timers()? {
            return Err(Unfit::Timers);
        }
        if pending()? != 0 {
            return Err(Unfit::Signals);
        }
        let end = set_break(0);
        if end < self.break_end {
            return Err(Unfit::Mapping(end));
        }
        Ok(())
    }

    /// The second part: all but memory and signals. The process can still end by itself where this fails.
    pub(crate) fn put_back(&mut self, care: Care) -> Result<(), Unfit> {
        self.close_new(care)?;
        // SAFETY: takes a descriptor.
        check(unsafe { libc::fchdir(self.sources.directory) })?;
        if care == Care::Usual {
            self.numbers.put_umask_back();
            return Ok(());
        }
        for (resource, limit) in (0..).zip(&self.limits) {
            if limit_of(resource)? != *limit {
                set_limit(resource, *limit)?;
            }
        }
        let mut there = [0; AFFINITY_BYTES];
        affinity(&mut there)?;
        if there != self.affinity {
            set_affinity(&self.affinity)?;
        }
        self.native.check(self.sources.status)?;
        self.numbers.put_back()
    }

    /// Whether no page was touched for the first time since the last rewind (none that is watched was written, none that is new was used), and nothing was mapped.
    /// The kernel counts faults of this process and of children that were waited for, which may have run in this memory (vfork).
    pub(crate) fn is_untouched(&self) -> Result<bool, Unfit> {
        Ok(faults()? == self.faults && self.size()? == self.size_at_last)
    }

    /// Whether so many bytes more are mapped than at the checkpoint.
    pub(crate) fn has_grown_by(&self, bytes: usize) -> Result<bool, Unfit> {
        Ok(self.size()? == self.size_at_first + bytes)
    }

    /// From here on faults and mappings are those of the next request.
    pub(crate) fn begin_count(&mut self) -> Result<(), Unfit> {
        self.size_at_last = self.size()?;
        self.faults = faults()?;
        Ok(())
    }

    /// Bytes that are mapped.
    fn size(&self) -> Result<usize, Unfit> {
        let mut text = [0; 16];
        let length = read_at(self.sources.size, &mut text, 0)?;
        let pages = text.get(..length).unwrap_or_default();
        let digits = pages.iter().take_while(|byte| byte.is_ascii_digit());
        let number = digits.fold(0_usize, |number, digit| {
            number
                .wrapping_mul(10)
                .wrapping_add(usize::from(digit - b'0'))
        });
        Ok(number * crate::image::PAGE)
    }

    /// Let the heap end where it did; what is beyond is gone for whoever asked for the rewind, too.
    pub(crate) fn shrink(&self) -> Result<(), Unfit> {
        match set_break(self.break_end) == self.break_end {
            true => Ok(()),
            false => Err(Unfit::Mapping(self.break_end)),
        }
    }

    /// The last part, once memory is what it was.
    pub(crate) fn signals_back(&self, care: Care) -> Result<(), Unfit> {
        for (number, action) in (1..).zip(&self.actions) {
            if care == Care::Usual && !SIGNALS_OF_PHP.contains(&number) {
                continue;
            }
            if action_of(number)? != *action {
                set_action(number, action)?;
            }
        }
        if care == Care::Thorough && alternate_stack(None)? != self.stack {
            alternate_stack(Some(self.stack))?;
        }
        set_mask(self.mask)?;
        Ok(())
    }

    /// Close what was not open at the checkpoint; what was must be as it was.
    fn close_new(&self, care: Care) -> Result<(), Unfit> {
        let own = self.sources.lowest().cast_unsigned();
        let open = self.open_descriptors()?;
        // To close what is not open takes time for each number.
        let has_new = open == 0 || open != self.descriptors_open || care == Care::Thorough;
        let mut next = 0;
        for descriptor in self.known() {
            let number = descriptor.number.cast_unsigned();
            if care == Care::Usual && number >= own {
                break;
            }
            if has_new {
                close_range(next, number)?;
            }
            next = number + 1;
            match care {
                Care::Usual => descriptor.put_mode_back()?,
                Care::Thorough => descriptor.put_back()?,
            }
        }
        match care {
            // No descriptor that a script opens has a number as high: the limit is below.
            Care::Usual if has_new => close_range(next, own),
            Care::Usual => Ok(()),
            Care::Thorough => close_range(next, u32::MAX),
        }
    }

    /// How many descriptors are open, where the kernel says that (Linux 6.2), else 0.
    fn open_descriptors(&self) -> Result<libc::off_t, Unfit> {
        Ok(status_of(self.sources.descriptors)?.st_size)
    }

    fn known(&self) -> &[Descriptor] {
        self.descriptors
            .get(..self.descriptor_count)
            .unwrap_or_default()
    }
}

impl Sources {
    /// Open all of them. /proc/self/pagemap can be opened by a process that is dumpable alone.
    pub(crate) fn open() -> Result<Self, Unfit> {
        let timers = open(c"/proc/self/timers", libc::O_RDONLY);
        Ok(Self {
            directory: raise(open(c".", libc::O_PATH | libc::O_DIRECTORY)?)?,
            maps: raise(open(c"/proc/self/maps", libc::O_RDONLY)?)?,
            pagemap: raise(open(c"/proc/self/pagemap", libc::O_RDONLY)?)?,
            tasks: raise(open(
                c"/proc/self/task",
                libc::O_RDONLY | libc::O_DIRECTORY,
            )?)?,
            descriptors: raise(open(c"/proc/self/fd", libc::O_PATH | libc::O_DIRECTORY)?)?,
            size: raise(open(c"/proc/self/statm", libc::O_RDONLY)?)?,
            // Kernels without CONFIG_CHECKPOINT_RESTORE do not have it.
            timers: timers.and_then(raise).unwrap_or(-1),
            status: raise(open(c"/proc/self/status", libc::O_RDONLY)?)?,
        })
    }

    /// The first one that was opened, and so the one with the lowest number of this crate's.
    fn lowest(&self) -> libc::c_int {
        self.directory
    }
}

impl Descriptor {
    fn look(number: libc::c_int) -> Result<Option<Self>, Unfit> {
        // SAFETY: asks for a number.
        let flags = match check(unsafe { libc::fcntl(number, libc::F_GETFD) }) {
            Err(Unfit::Kernel(libc::EBADF)) => return Ok(None),
            flags => flags?,
        };
        // SAFETY: asks for a number.
        let status = check(unsafe { libc::fcntl(number, libc::F_GETFL) })?;
        let found = status_of(number)?;
        Ok(Some(Self {
            number,
            flags,
            status,
            device: found.st_dev,
            inode: found.st_ino,
            kind: found.st_mode & libc::S_IFMT,
        }))
    }

    fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode, self.kind) == (other.device, other.inode, other.kind)
            && self.status & libc::O_ACCMODE == other.status & libc::O_ACCMODE
    }

    /// What a script can do to it: close it, or change how it waits.
    fn put_mode_back(&self) -> Result<(), Unfit> {
        // SAFETY: asks for a number.
        let status = unsafe { libc::fcntl(self.number, libc::F_GETFL) };
        if status == self.status {
            Ok(())
        } else {
            self.put_back()
        }
    }

    fn put_back(&self) -> Result<(), Unfit> {
        match Self::look(self.number)? {
            Some(there) if there == *self => Ok(()),
            Some(there) if there.is_same_file(self) => self.put_flags_back(),
            Some(_) | None => Err(Unfit::Descriptor(self.number)),
        }
    }

    fn put_flags_back(&self) -> Result<(), Unfit> {
        // SAFETY: takes numbers.
        check(unsafe { libc::fcntl(self.number, libc::F_SETFD, self.flags) })?;
        // SAFETY: takes numbers.
        check(unsafe { libc::fcntl(self.number, libc::F_SETFL, self.status) })?;
        Ok(())
    }
}

impl Numbers {
    fn look() -> Result<Self, Unfit> {
        let mut name = [0; 16];
        // SAFETY: the kernel writes at most 16 bytes.
        check(unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) })?;
        let mut death_signal = 0;
        // SAFETY: the kernel writes a number.
        check(unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut death_signal) })?;
        // SAFETY: takes and gives a number. There is no way to ask alone.
        let umask = unsafe { libc::umask(0o077) };
        // SAFETY: the same.
        unsafe { libc::umask(umask) };
        Ok(Self {
            umask: umask.cast_signed(),
            // SAFETY: asks for a number. -1 is a nice value that no process of a site has, and an error that cannot be.
            nice: unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) },
            // SAFETY: asks for a number.
            group: check(unsafe { libc::getpgid(0) })?,
            // SAFETY: asks for a number.
            session: check(unsafe { libc::getsid(0) })?,
            // SAFETY: asks for a number.
            dumpable: check(unsafe { libc::prctl(libc::PR_GET_DUMPABLE) })?,
            death_signal,
            // SAFETY: asks for a number.
            timer_slack: check(unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) })?,
            // SAFETY: this argument asks and sets nothing.
            personality: check(unsafe { libc::personality(0xffff_ffff) })?,
            name,
        })
    }

    /// What a script can change without calling a function that the caller notes.
    fn put_umask_back(&self) {
        // SAFETY: takes and gives a number.
        unsafe { libc::umask(self.umask.cast_unsigned()) };
    }

    /// Whatever is another number; what the kernel does not let change back ends the process.
    fn put_back(&self) -> Result<(), Unfit> {
        let there = Self::look()?;
        if there == *self {
            return Ok(());
        }
        // SAFETY: takes a number.
        unsafe { libc::umask(self.umask.cast_unsigned()) };
        // SAFETY: the kernel reads up to 16 bytes.
        check(unsafe { libc::prctl(libc::PR_SET_NAME, self.name.as_ptr()) })?;
        // SAFETY: takes a number.
        check(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, self.timer_slack) })?;
        if there.death_signal != self.death_signal {
            // Who was without it for a moment may have missed the end of its parent.
            return Err(Unfit::Number);
        }
        if there.group != self.group {
            // SAFETY: takes numbers.
            check(unsafe { libc::setpgid(0, self.group) })?;
        }
        if Self::look()? == *self {
            Ok(())
        } else {
            Err(Unfit::Number)
        }
    }
}

const TIMERS: [libc::c_int; 3] = [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF];
/// Those that PHP, or a library that PHP often has, sets.
const TIMERS_OF_PHP: [libc::c_int; 2] = [libc::ITIMER_REAL, libc::ITIMER_PROF];
/// Signals whose actions such a library sets, without being told to by a function that the caller notes.
const SIGNALS_OF_PHP: [libc::c_int; 4] =
    [libc::SIGPIPE, libc::SIGALRM, libc::SIGCHLD, libc::SIGPROF];
/// Every signal.
const ALL: u64 = u64::MAX;
