//! What the kernel holds for a process besides its memory: looked at at the checkpoint, put back at each rewind.
//!
//! Whatever cannot be put back is a reason to end ([`Unfit`]). The order of a rewind: [`Kernel::quiet`] first, so that no handler of the
//! request's runs any more and nothing else of it does; then [`Kernel::put_back`], which may fail; then memory; the signals last.
//!
//! What native code alone can change besides is in [`Native`].

use crate::Unfit;
use crate::calls::{
    Action, DESCRIPTORS_OWN, action_of, affinity, alternate_stack, check, close_range, last,
    limit_of, open, pending, raise, read_at, set_action, set_affinity, set_break, set_limit,
    set_mask, status_of, stop_timer, timer_is_set,
};
use crate::native::Native;

/// Descriptors that are open at the checkpoint.
const DESCRIPTORS_MAX: usize = 64;
const SIGNALS: usize = 64;
const LIMITS: usize = 16;
/// Bytes of the set of processors.
const AFFINITY_BYTES: usize = 128;

/// The whole of it. All zeros is a value.
#[repr(C)]
pub(crate) struct Kernel {
    pub(crate) sources: Sources,
    descriptors: [Descriptor; DESCRIPTORS_MAX],
    descriptor_count: usize,
    break_end: usize,
    numbers: Numbers,
    actions: [Action; SIGNALS],
    mask: u64,
    stack: [usize; 3],
    limits: [[u64; 2]; LIMITS],
    affinity: [u8; AFFINITY_BYTES],
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
        self.native = Native::look(self.sources.status)?;
        set_mask(self.mask)?;
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
        Ok(())
    }

    fn has_threads(&self) -> Result<bool, Unfit> {
        // The directory of a process with one thread has one entry more than `.` and `..`.
        Ok(status_of(self.sources.tasks)?.st_nlink > 3)
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
    pub(crate) fn quiet(&mut self) -> Result<(), Unfit> {
        set_mask(ALL)?;
        for which in TIMERS {
            stop_timer(which)?;
        }
        if self.has_threads()? {
            return Err(Unfit::Threads);
        }
        if !self.is_childless()? {
            return Err(Unfit::Children);
        }
        if self.has_posix_timers()? {
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
    pub(crate) fn put_back(&mut self) -> Result<(), Unfit> {
        self.close_new()?;
        // SAFETY: takes a descriptor.
        check(unsafe { libc::fchdir(self.sources.directory) })?;
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

    /// Let the heap end where it did; what is beyond is gone for whoever asked for the rewind, too.
    pub(crate) fn shrink(&self) -> Result<(), Unfit> {
        match set_break(self.break_end) == self.break_end {
            true => Ok(()),
            false => Err(Unfit::Mapping(self.break_end)),
        }
    }

    /// The last part, once memory is what it was.
    pub(crate) fn signals_back(&self) -> Result<(), Unfit> {
        for (number, action) in (1..).zip(&self.actions) {
            if action_of(number)? != *action {
                set_action(number, action)?;
            }
        }
        if alternate_stack(None)? != self.stack {
            alternate_stack(Some(self.stack))?;
        }
        set_mask(self.mask)?;
        Ok(())
    }

    /// Close what was not open at the checkpoint; what was must be as it was.
    fn close_new(&self) -> Result<(), Unfit> {
        let known = self
            .descriptors
            .get(..self.descriptor_count)
            .unwrap_or_default();
        let mut next = 0;
        for descriptor in known {
            close_range(next, descriptor.number.cast_unsigned())?;
            next = descriptor.number.cast_unsigned() + 1;
            match Descriptor::look(descriptor.number)? {
                Some(there) if there == *descriptor => {}
                Some(there) if there.is_same_file(descriptor) => descriptor.put_flags_back()?,
                Some(_) | None => return Err(Unfit::Descriptor(descriptor.number)),
            }
        }
        close_range(next, u32::MAX)
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
            // Kernels without CONFIG_CHECKPOINT_RESTORE do not have it.
            timers: timers.and_then(raise).unwrap_or(-1),
            status: raise(open(c"/proc/self/status", libc::O_RDONLY)?)?,
        })
    }
}

impl Descriptor {
    fn look(number: libc::c_int) -> Result<Option<Self>, Unfit> {
        // SAFETY: asks for a number.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        if flags < 0 {
            return if last() == libc::EBADF {
                Ok(None)
            } else {
                Err(Unfit::Kernel(last()))
            };
        }
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
/// Every signal.
const ALL: u64 = u64::MAX;
