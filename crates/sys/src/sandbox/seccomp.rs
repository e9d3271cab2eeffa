//! Seccomp filters from lists of denied calls.
//!
//! Compiled with the crate `seccompiler` by who prepares a process, and put in place by that process itself, for good and for all that
//! it starts. A filter has one answer, so there is one for each answer. The kernel remembers which calls are allowed
//! whatever their arguments, so most calls do not run the filters at all.

use std::collections::BTreeMap;
use std::io;

use rustix::io::Errno;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::calls::{Answer, Argument, Denied, Is, UNKNOWN_SINCE, When};

/// Filters, ready to be put in place any number of times.
#[derive(Debug)]
pub(crate) struct Filters(Vec<Vec<libc::sock_filter>>);

impl Filters {
    /// Compile a list of denied calls.
    ///
    /// # Errors
    /// The list is too long for the kernel, or compares an argument that no call has: a mistake in the list.
    pub(crate) fn compile(list: &[Denied]) -> Result<Self, BackendError> {
        let mut by_answer: BTreeMap<Answer, BTreeMap<i64, Vec<SeccompRule>>> = BTreeMap::new();
        for entry in list {
            let rules = by_answer.entry(entry.answer).or_default();
            for (_, call) in entry.calls {
                add(rules, *call, &entry.when)?;
            }
        }
        let programs = by_answer.into_iter().map(|(answer, rules)| {
            let filter = SeccompFilter::new(
                rules,
                SeccompAction::Allow,
                SeccompAction::Errno(answer.errno()),
                TARGET,
            )?;
            Ok(with_prelude(filter.try_into()?))
        });
        Ok(Self(programs.collect::<Result<_, BackendError>>()?))
    }

    /// Put them in place for this thread and all that it starts. Needs no_new_privs. Allocates nothing and takes no lock.
    ///
    /// # Errors
    /// The kernel has no filters, or no_new_privs is not set.
    pub(crate) fn install(&self) -> Result<(), Errno> {
        for program in &self.0 {
            install(program)?;
        }
        Ok(())
    }
}

/// A rule for one call. No rule for a call means: whatever its arguments; so that stays, whatever is added.
fn add(
    rules: &mut BTreeMap<i64, Vec<SeccompRule>>,
    call: libc::c_long,
    when: &When,
) -> Result<(), BackendError> {
    let is_always = rules.get(&call).is_some_and(Vec::is_empty);
    match when {
        When::Always => {
            rules.insert(call, Vec::new());
        }
        When::Any(_) if is_always => {}
        When::Any(lists) => {
            for list in *lists {
                let conditions = list.iter().map(condition).collect::<Result<_, _>>()?;
                let rule = SeccompRule::new(conditions)?;
                rules.entry(call).or_default().push(rule);
            }
        }
    }
    Ok(())
}

fn condition(argument: &Argument) -> Result<SeccompCondition, BackendError> {
    let (operator, value) = match argument.is {
        Is::Equal(value) => (SeccompCmpOp::Eq, value),
        Is::Not(value) => (SeccompCmpOp::Ne, value),
        Is::Masked(mask, value) => (SeccompCmpOp::MaskedEq(mask.into()), value),
    };
    SeccompCondition::new(
        argument.index,
        SeccompCmpArgLen::Dword,
        operator,
        value.into(),
    )
}

/// Before what `seccompiler` makes. System calls of another kind (32 bits, x32) have other numbers, so that none of them would be
/// seen: they do not exist. Nor do calls that are newer than the list; the numbers of x32 are above them. `seccompiler` knows
/// nothing of x32, and kills for the other.
fn with_prelude(program: BpfProgram) -> Vec<libc::sock_filter> {
    let not_there = libc::SECCOMP_RET_ERRNO | Answer::NotThere.errno();
    let prelude = [
        line(LOAD, OFFSET_ARCHITECTURE, 0, 0),
        line(JUMP_IF_EQUAL, ARCHITECTURE, 1, 0),
        line(RETURN, not_there, 0, 0),
        line(LOAD, OFFSET_NUMBER, 0, 0),
        line(JUMP_IF_AT_LEAST, UNKNOWN_SINCE, 0, 1),
        line(RETURN, not_there, 0, 0),
    ];
    let rest = program.into_iter().map(|instruction| {
        line(
            instruction.code,
            instruction.k,
            instruction.jt,
            instruction.jf,
        )
    });
    prelude.into_iter().chain(rest).collect()
}

/// A line of a filter: a jump goes on at the next one, skipping `jt` where its condition is true and `jf` where it is false.
fn line(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

fn install(program: &[libc::sock_filter]) -> Result<(), Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        filter: program.as_ptr().cast_mut(),
    };
    let (action, flags) = (
        libc::SECCOMP_SET_MODE_FILTER,
        libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    );
    // SAFETY: the program is of that length and lives until the call returns; the kernel copies and does not change it.
    match unsafe { libc::syscall(libc::SYS_seccomp, action, flags, &raw const program) } {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

/// Whether the kernel has filters. Changes nothing.
pub(super) fn is_there() -> bool {
    let (ask, action) = (libc::SECCOMP_GET_ACTION_AVAIL, libc::SECCOMP_RET_ERRNO);
    // SAFETY: reads a number that lives until the call returns.
    unsafe { libc::syscall(libc::SYS_seccomp, ask, 0, &raw const action) == 0 }
}

/// BPF_LD | BPF_W | BPF_ABS
const LOAD: u16 = 0x20;
/// BPF_JMP | BPF_JEQ | BPF_K
const JUMP_IF_EQUAL: u16 = 0x15;
/// BPF_JMP | BPF_JGE | BPF_K
const JUMP_IF_AT_LEAST: u16 = 0x35;
/// BPF_RET | BPF_K
const RETURN: u16 = 0x06;

/// Places in `struct seccomp_data`.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;

/// AUDIT_ARCH_* of linux/audit.h. Another architecture needs its own line.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: u32 = 0xC000_00F3;
#[cfg(target_arch = "x86_64")]
const TARGET: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const TARGET: TargetArch = TargetArch::aarch64;
#[cfg(target_arch = "riscv64")]
const TARGET: TargetArch = TargetArch::riscv64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::calls::{SCRIPTS, SITES};

    #[test]
    fn the_lists_compile_to_one_filter_for_each_answer() {
        assert_eq!(Filters::compile(SITES).unwrap().0.len(), 3);
        assert_eq!(Filters::compile(SCRIPTS).unwrap().0.len(), 1);
    }

    #[test]
    fn what_is_always_denied_stays_so() {
        let mut rules = BTreeMap::new();
        let sometimes = When::Any(&[&[Argument {
            index: 0,
            is: Is::Equal(1),
        }]]);
        for order in [[&When::Always, &sometimes], [&sometimes, &When::Always]] {
            for when in order {
                add(&mut rules, 1, when).unwrap();
            }
            assert_eq!(rules.remove(&1), Some(Vec::new()));
        }
    }
}
