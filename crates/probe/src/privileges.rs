//! More rights than the site's user has.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::arguments::Arguments;
use crate::call::{call, structure};
use crate::outcome::{Outcome, Tried, WrongOnPurpose};

/// Become root.
pub(crate) fn set_user(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_setresuid, 0, 0, 0)?;
    Ok(status("Uid:"))
}

/// Root's group.
pub(crate) fn set_group(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_setresgid, 0, 0, 0)?;
    Ok(status("Gid:"))
}

/// Root's group as one more.
pub(crate) fn set_groups(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_setgroups, 1, &structure(&[0])[..])?;
    Ok(status("Groups:"))
}

/// Every capability.
pub(crate) fn capabilities(_: &Arguments<'_>) -> Tried {
    let header = structure(&[CAPABILITY_VERSION, 0]);
    let (low, high) = (1 << SYS_ADMIN | 1 << DAC_OVERRIDE, 0);
    // Effective, permitted, inheritable; twice, for the low and the high half.
    let wanted = structure(&[low, low, low, high, high, high]);
    call!(libc::SYS_capset, &header[..], &wanted[..])?;
    Ok(status("CapEff:"))
}

/// A capability that a program keeps over exec.
pub(crate) fn ambient(_: &Arguments<'_>) -> Tried {
    let header = structure(&[CAPABILITY_VERSION, 0]);
    let bit = 1 << DAC_OVERRIDE;
    let wanted = structure(&[bit, bit, bit, 0, 0, 0]);
    call!(libc::SYS_capset, &header[..], &wanted[..])?;
    let raise = i64::from(libc::PR_CAP_AMBIENT_RAISE);
    call!(
        libc::SYS_prctl,
        libc::PR_CAP_AMBIENT,
        raise,
        DAC_OVERRIDE,
        0,
        0
    )?;
    Ok(status("CapAmb:"))
}

/// Keep capabilities when the user changes.
pub(crate) fn secure_bits(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_prctl, libc::PR_SET_SECUREBITS, 0, 0, 0, 0)?;
    Ok("may set secure bits".to_owned())
}

/// Run a set-user-id program, by default `su`, which waits for a password, and look as whom it runs.
pub(crate) fn set_user_program(arguments: &Arguments<'_>) -> Tried {
    let path = arguments.text(0).unwrap_or("/usr/bin/su");
    let mut command = Command::new(path);
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn()?;
    let begun = Instant::now();
    let mut effective = String::new();
    while begun.elapsed() < PROGRAM_MAX && child.try_wait().is_ok_and(|ended| ended.is_none()) {
        let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let users = text.lines().find_map(|line| line.strip_prefix("Uid:"));
        effective = users
            .unwrap_or("")
            .split_whitespace()
            .nth(1)
            .unwrap_or("")
            .to_owned();
        if effective == "0" {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // An empty password, and the end of what it reads: it ends by itself where it cannot be killed.
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(b"\n");
    }
    let _ = child.kill();
    let _ = child.wait();
    match effective.as_str() {
        "0" => Ok(format!("{path} runs as root")),
        _ => Err(Errno::PERM.into()),
    }
}

/// Raise what a hard limit allows.
pub(crate) fn raise_limits(_: &Arguments<'_>) -> Tried {
    let mut raised = Vec::new();
    for (name, resource) in LIMITS {
        let mut limit = [0_u8; 16];
        call!(
            libc::SYS_prlimit64,
            0,
            i64::from(resource),
            0,
            &mut limit[..]
        )?;
        let [.., a, b, c, d, e, f, g, h] = limit;
        let hard = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        if hard == u64::MAX {
            continue; // nothing to raise
        }
        let wanted: Vec<u8> = [hard, hard + 1]
            .iter()
            .flat_map(|n| n.to_ne_bytes())
            .collect();
        if call!(libc::SYS_prlimit64, 0, i64::from(resource), &wanted[..], 0).is_ok() {
            raised.push(name);
        }
    }
    match raised.as_slice() {
        [] => Err(Errno::PERM.into()),
        names => Ok(format!("raised {}", names.join(" "))),
    }
}

/// Be the last that the kernel ends when memory runs out.
pub(crate) fn out_of_memory_score(_: &Arguments<'_>) -> Tried {
    let path = "/proc/self/oom_score_adj";
    let now: i32 = fs::read_to_string(path)?.trim().parse().unwrap_or(0);
    let wanted = (now - 100).max(-1000);
    fs::write(path, wanted.to_string())?;
    Ok(format!("lowered it from {now} to {wanted}"))
}

/// Make the kernel believe that it runs another program, of a descriptor that is not open.
pub(crate) fn change_program(_: &Arguments<'_>) -> Tried {
    let exe = i64::from(libc::PR_SET_MM_EXE_FILE);
    let answer = call!(libc::SYS_prctl, libc::PR_SET_MM, exe, -1, 0, 0);
    answer.passed_with(&[Errno::BADF], "changed")
}

/// Let others of the same user read this process.
pub(crate) fn dumpable(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0)?;
    match call!(libc::SYS_prctl, libc::PR_GET_DUMPABLE, 0, 0, 0, 0)? {
        1 => Ok("can be read by others of its user".to_owned()),
        _ => Err(Errno::PERM.into()),
    }
}

/// Lock more memory than the usual limit of 8 MiB, so much as is said, and let go of it again.
pub(crate) fn lock_memory(arguments: &Arguments<'_>) -> Tried {
    let mebibytes: usize = arguments.number(0)?;
    if mebibytes > LOCKED_MAX {
        return Err(Outcome::Impossible(format!("at most {LOCKED_MAX}")));
    }
    let memory = vec![0_u8; mebibytes << 20];
    let bytes = i64::try_from(memory.len()).unwrap_or(0);
    call!(libc::SYS_mlock, &memory[..], bytes)?;
    Ok(format!("locked {mebibytes} MiB"))
}

fn status(field: &str) -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(field));
    line.unwrap_or(field).replace('\t', " ")
}

/// linux/capability.h
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const DAC_OVERRIDE: u32 = 1;
const SYS_ADMIN: u32 = 21;
/// How long a set-user-id program is watched.
const PROGRAM_MAX: Duration = Duration::from_secs(1);
/// MiB
const LOCKED_MAX: usize = 256;
const LIMITS: [(&str, u32); 5] = [
    ("core", libc::RLIMIT_CORE),
    ("descriptors", libc::RLIMIT_NOFILE),
    ("processes", libc::RLIMIT_NPROC),
    ("address space", libc::RLIMIT_AS),
    ("locked memory", libc::RLIMIT_MEMLOCK),
];
