//! Put a process back to what it was at an earlier moment, in place: its memory, and what the kernel holds for it.
//!
//! For a PHP worker whose every request is to find what the first one found (docs/fresh.md). A process says where that moment is
//! ([`Rewind::checkpoint`]) and later asks to be there again ([`Rewind::rewind`]): the function returns once more, with all memory as it was.
//! Run by the process itself, as its user, without any privilege. This is no barrier against code of the process's own that means to survive:
//! native code can write here too. It is hygiene, and whatever is not as expected is a reason for the process to end.
//!
//! Where the `unsafe` is: [`switch`] changes stacks, [`rewind`] goes from one to the other, [`arena`] is memory that outlives a rewind, [`base`] is shared by processes, [`image`] copies memory back, [`track`] knows
//! which, [`calls`] makes system calls, [`kernel`] and [`native`] some more. `maps` has none.
//!
//! **Why it is sound.** A rewind runs on a stack of its own, in shared memory, while the stack it puts back does not run. For the code of the
//! first stack, all that happened since the checkpoint has not happened: its registers, its stack, and every byte of private memory are what
//! they were, so whatever the compiler believed then holds. What is not put back, shared memory and the files behind descriptors,
//! is memory that others may change at any time anyway, and used as such.

#[cfg(not(target_arch = "x86_64"))]
compile_error!("a context switch for this processor is missing in switch.rs");

#[allow(unsafe_code, reason = "memory that outlives a rewind")]
mod arena;
#[allow(unsafe_code, reason = "memory that processes share")]
mod base;
#[allow(unsafe_code, reason = "system calls that no library makes safe")]
mod calls;
#[allow(unsafe_code, reason = "copies memory back")]
mod image;
#[allow(unsafe_code, reason = "system calls that no library makes safe")]
mod kernel;
mod maps;
#[allow(unsafe_code, reason = "system calls that no library makes safe")]
mod native;
#[allow(unsafe_code, reason = "goes from one stack to the other")]
mod rewind;
#[allow(unsafe_code, reason = "another stack")]
mod switch;
#[allow(unsafe_code, reason = "knows what was written")]
mod track;

pub use base::Base;
pub use rewind::{Rewind, Share};
pub use track::{Backend, kernel_keeps_count};

/// Why a process cannot be put back. It has to end then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It has threads.
    #[error("it has started threads")]
    Threads,
    /// It has children that run.
    #[error("a child of it still runs")]
    Children,
    /// It has timers that cannot be named.
    #[error("it has timers")]
    Timers,
    /// A signal is pending that its handler has not seen.
    #[error("a signal is pending")]
    Signals,
    /// What was mapped at the checkpoint is not, or otherwise.
    #[error("the mapping at {0:#x} is not what it was")]
    Mapping(usize),
    /// A descriptor that was open at the checkpoint is not, or is another.
    #[error("descriptor {0} is not what it was")]
    Descriptor(libc::c_int),
    /// A number that the kernel does not let change back: nice value, session, group of processes, personality, dumpability.
    #[error("it has changed what cannot be changed back")]
    Number,
    /// More mappings, descriptors or memory than there is room for.
    #[error("it has more mappings, descriptors or memory than can be held")]
    TooMany,
    /// There is no checkpoint.
    #[error("it has no checkpoint")]
    NotAsked,
    /// The kernel refused something.
    #[error("the kernel refused: {}", std::io::Error::from_raw_os_error(*.0))]
    Kernel(libc::c_int),
}

impl From<rustix::io::Errno> for Unfit {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Kernel(error.raw_os_error())
    }
}

impl From<Unfit> for std::io::Error {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Kernel(errno) => Self::from_raw_os_error(errno),
            other => Self::other(other),
        }
    }
}
