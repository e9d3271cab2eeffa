//! The cases.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::CString;
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use hostel_rewind::{Backend, Rewind, Share, Unfit};

use crate::Case::{self, Ends, Gone, GoneOfNativeCode, Whole};

static COUNT: AtomicU64 = AtomicU64::new(7);
static mut LARGE: [u8; 1 << 20] = [0; 1 << 20];
thread_local! {
    static LOCAL: Cell<u64> = const { Cell::new(3) };
}

pub(crate) const CASES: &[(&str, Case)] = &[
    ("static", Gone(|_| COUNT.fetch_add(1, Relaxed) != 7)),
    ("static memory that was zero", Gone(large)),
    ("thread's variable", Gone(|_| LOCAL.replace(9) != 3)),
    ("environment", Gone(environment)),
    ("locale", Gone(locale)),
    ("heap", Gone(heap)),
    ("heap that grows", Gone(growing_heap)),
    ("mapping", Gone(mapping)),
    ("mapping over a gap", Gone(many_mappings)),
    ("deep stack", Gone(deep_stack)),
    ("written by the kernel", Gone(written_by_the_kernel)),
    ("descriptors", Gone(descriptors)),
    ("flags of a descriptor", GoneOfNativeCode(descriptor_flags)),
    ("directory", Gone(directory)),
    ("umask", Gone(|_| umask(0o077) != 0o022)),
    ("timer", Gone(timer)),
    ("signals", Gone(signals)),
    ("rare signals", GoneOfNativeCode(rare_signals)),
    ("alternate stack", GoneOfNativeCode(alternate_stack)),
    ("limit", GoneOfNativeCode(limit)),
    ("name", GoneOfNativeCode(name)),
    ("affinity", GoneOfNativeCode(affinity)),
    ("locked memory", GoneOfNativeCode(locked_memory)),
    ("child that has ended", Gone(ended_child)),
    ("fork in between", Gone(fork_in_between)),
    ("thread that has just ended", Whole(ended_thread)),
    ("collections", Whole(collections)),
    ("pages that were let go", Whole(forgotten_pages)),
    ("memory stays flat", Whole(flat)),
    ("spared memory", Whole(spared)),
    ("image cannot be written", Whole(sealed)),
    ("descriptors out of reach", Whole(out_of_reach)),
    ("what it costs", Whole(cost)),
    ("thread", Ends(thread, |unfit| unfit == Unfit::Threads)),
    (
        "running child",
        Ends(running_child, |unfit| unfit == Unfit::Children),
    ),
    (
        "posix timer",
        Ends(posix_timer, |unfit| unfit == Unfit::Timers),
    ),
    (
        "pending signal",
        Ends(pending_signal, |unfit| unfit == Unfit::Signals),
    ),
    (
        "protection",
        Ends(protection, |unfit| matches!(unfit, Unfit::Mapping(_))),
    ),
    ("nice value", Ends(nice, |unfit| unfit == Unfit::Number)),
    (
        "session",
        Ends(session, |unfit| {
            matches!(unfit, Unfit::Number | Unfit::Kernel(_))
        }),
    ),
    (
        "closed descriptor",
        Ends(
            || assert_eq!(closed(1), 0),
            |unfit| unfit == Unfit::Descriptor(1),
        ),
    ),
    (
        "exchanged descriptor",
        Ends(
            || assert_eq!(exchanged(1), 1),
            |unfit| unfit == Unfit::Descriptor(1),
        ),
    ),
    ("filter", Ends(filter, |unfit| unfit == Unfit::Number)),
    (
        "scheduling",
        Ends(scheduling, |unfit| unfit == Unfit::Number),
    ),
    (
        "priority of input",
        Ends(io_priority, |unfit| unfit == Unfit::Number),
    ),
    ("reaper", Ends(reaper, |unfit| unfit == Unfit::Number)),
    (
        "hole",
        Ends(hole, |unfit| matches!(unfit, Unfit::Mapping(_))),
    ),
    (
        "mapped anew",
        Ends(mapped_anew, |unfit| matches!(unfit, Unfit::Mapping(_))),
    ),
    (
        "another mapping in its place",
        Ends(exchange, |unfit| matches!(unfit, Unfit::Mapping(_))),
    ),
];

/// A page of this process's own static memory.
pub(crate) fn page() -> *mut u8 {
    let start = &raw mut LARGE;
    // SAFETY: within the array, which has many pages.
    unsafe { start.cast::<u8>().add(65536 - (start as usize % 4096)) }
}

pub(crate) fn get(at: *const u8) -> u8 {
    // SAFETY: of `page`, or of a mapping that the case has made.
    unsafe { at.read_volatile() }
}

pub(crate) fn set(at: *mut u8, value: u8) {
    // SAFETY: as in `get`.
    unsafe { at.write_volatile(value) };
}

fn large(_: u64) -> bool {
    let start = (&raw mut LARGE).cast::<u8>();
    let found = (0..1 << 20)
        .step_by(4096)
        .any(|at| get(start.wrapping_add(at)) != 0);
    (0..1 << 20)
        .step_by(4096)
        .for_each(|at| set(start.wrapping_add(at), 5));
    found
}

fn environment(_: u64) -> bool {
    let found = std::env::var_os("LEFT").is_some();
    // SAFETY: one thread.
    unsafe { std::env::set_var("LEFT", "1") };
    found
}

fn locale(_: u64) -> bool {
    // SAFETY: asks for a name.
    let now = unsafe { std::ffi::CStr::from_ptr(libc::setlocale(libc::LC_ALL, std::ptr::null())) };
    let found = now.to_bytes() != b"C";
    let wanted = CString::new("C.UTF-8").unwrap();
    // SAFETY: a string.
    unsafe { libc::setlocale(libc::LC_ALL, wanted.as_ptr()) };
    found
}

fn heap(_: u64) -> bool {
    // SAFETY: asks for numbers.
    let before = unsafe { libc::mallinfo2() }.uordblks;
    std::mem::forget(std::hint::black_box(vec![1_u8; 100_000]));
    before > 500_000
}

fn growing_heap(_: u64) -> bool {
    let heap = |line: &&String| line.ends_with("[heap]");
    let size = |line: &String| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        usize::from_str_radix(end, 16).unwrap() - usize::from_str_radix(start, 16).unwrap()
    };
    let before: usize = maps().iter().filter(heap).map(size).sum();
    for _ in 0..4000 {
        std::mem::forget(std::hint::black_box(vec![1_u8; 1000]));
    }
    before > 3 << 20
}

pub(crate) fn map(bytes: usize) -> *mut u8 {
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a new mapping.
    unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) }.cast()
}

pub(crate) fn maps() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/maps").unwrap();
    text.lines()
        .filter(|line| !line.ends_with("[stack]"))
        .map(str::to_owned)
        .collect()
}

fn mapping(_: u64) -> bool {
    let count = maps().iter().filter(|line| line.contains("rwxp")).count();
    let new = map(1 << 20);
    // SAFETY: its own mapping.
    unsafe { libc::mprotect(new.cast(), 1 << 20, 7) };
    set(new, 1);
    count > 0
}

fn many_mappings(_: u64) -> bool {
    let count = maps().len();
    for _ in 0..20 {
        let new = map(3 * 4096);
        // SAFETY: its own mapping.
        unsafe { libc::munmap(new.add(4096).cast(), 4096) };
    }
    count > 60
}

fn deep_stack(_: u64) -> bool {
    fn deep(n: usize) -> u64 {
        let array = [n as u64; 128];
        if n == 0 {
            0
        } else {
            deep(n - 1) + std::hint::black_box(&array)[5]
        }
    }
    // Pages of the stack that hold something.
    let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let stack = text.split_once("[stack]").unwrap().1;
    let resident = stack
        .lines()
        .find_map(|line| line.strip_prefix("Rss:"))
        .unwrap();
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    deep(4000);
    kib > 2000
}

/// What they held at the checkpoint is there again, though nobody has written anything else.
fn forgotten_pages(backend: Backend) {
    let page = page();
    set(page, 5);
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    let round = rewind.checkpoint(&[]).unwrap();
    assert_eq!(get(page), 5, "round {round}");
    // SAFETY: a page of this process's own.
    unsafe { libc::madvise(page.cast(), 4096, libc::MADV_DONTNEED) };
    if round % 2 == 1 {
        get(page);
    }
    if round < 8 {
        panic!("{}", rewind.rewind(false));
    }
}

fn written_by_the_kernel(_: u64) -> bool {
    let page = page();
    let found = get(page) != 0;
    let zero = std::fs::File::open("/proc/self/stat").unwrap();
    // SAFETY: a page of this process's own.
    unsafe { libc::read(zero.as_raw_fd(), page.cast(), 1000) };
    assert_ne!(get(page), 0);
    found
}

fn descriptors(_: u64) -> bool {
    let is_open = |number| {
        // SAFETY: asks for a number.
        unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
    };
    let found = is_open(100) || is_open(37);
    for number in [37, 100] {
        // SAFETY: makes descriptors.
        unsafe { libc::dup2(0, number) };
    }
    std::mem::forget(std::fs::File::open("/etc/passwd").unwrap());
    found
}

fn descriptor_flags(_: u64) -> bool {
    // SAFETY: asks for a number.
    let flags = unsafe { libc::fcntl(1, libc::F_GETFD) };
    // SAFETY: takes numbers.
    unsafe { libc::fcntl(1, libc::F_SETFD, libc::FD_CLOEXEC) };
    flags != 0
}

fn directory(_: u64) -> bool {
    let found = std::env::current_dir().unwrap() == std::path::Path::new("/usr");
    std::env::set_current_dir("/usr").unwrap();
    found
}

fn umask(mask: libc::mode_t) -> libc::mode_t {
    // SAFETY: takes a number.
    unsafe { libc::umask(mask) }
}

fn timer(_: u64) -> bool {
    // SAFETY: takes a number.
    unsafe { libc::alarm(1000) > 0 }
}

extern "C" fn ignore(_: libc::c_int) {}

fn rare_signals(_: u64) -> bool {
    is_handled(libc::SIGUSR1) | is_handled(libc::SIGVTALRM)
}

/// Whether the signal had another action than what it has at first. It has from now on.
fn is_handled(signal: libc::c_int) -> bool {
    // SAFETY: the handler does nothing.
    let before = unsafe { libc::signal(signal, ignore as *const () as usize) };
    before != libc::SIG_DFL
}

fn signals(_: u64) -> bool {
    let was_handled = is_handled(libc::SIGCHLD);
    let mut set = std::mem::MaybeUninit::zeroed();
    let mut old = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: a set to write to.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGUSR2) };
    // SAFETY: two sets.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), old.as_mut_ptr()) };
    // SAFETY: the kernel has written it.
    let was_blocked = unsafe { libc::sigismember(old.as_ptr(), libc::SIGUSR2) } == 1;
    was_handled || was_blocked
}

fn alternate_stack(_: u64) -> bool {
    let new = libc::stack_t {
        ss_sp: page().cast(),
        ss_flags: 0,
        ss_size: 65536,
    };
    let mut old = std::mem::MaybeUninit::<libc::stack_t>::zeroed();
    // SAFETY: memory that is there for it.
    let made = unsafe { libc::sigaltstack(&raw const new, old.as_mut_ptr()) };
    assert_eq!(made, 0);
    // SAFETY: the kernel has written it.
    unsafe { old.assume_init() }.ss_size == 65536
}

fn limit(_: u64) -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a place to write to.
    unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) };
    let found = limit.rlim_cur == 4096 * 7;
    limit.rlim_cur = limit.rlim_max.min(4096 * 7);
    // SAFETY: a limit to read.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) };
    found && limit.rlim_max >= 4096 * 7
}

fn name(_: u64) -> bool {
    let found = std::fs::read_to_string("/proc/self/comm").unwrap().trim() == "left";
    // SAFETY: a string.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"left".as_ptr()) };
    found
}

fn affinity(_: u64) -> bool {
    let mut set = [0_u64; 16];
    // SAFETY: the kernel writes at most as many bytes.
    unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, 128, set.as_mut_ptr()) };
    let found = set[0].count_ones() == 1;
    if set[0].count_ones() > 1 {
        set[0] &= set[0].wrapping_neg();
        // SAFETY: the kernel reads as many bytes.
        unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, 128, set.as_ptr()) };
    }
    // SAFETY: asks for a number.
    let processors = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    // On one there is nothing to be changed.
    found && processors > 1
}

fn fork() -> libc::pid_t {
    // SAFETY: this process has one thread.
    unsafe { libc::fork() }
}

fn end() -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}

fn ended_child(_: u64) -> bool {
    // SAFETY: asks for what has ended.
    let found = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } >= 0;
    let child = fork();
    if child == 0 {
        end();
    }
    let mut status = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: waits without reaping.
    unsafe {
        libc::waitid(
            libc::P_PID,
            child.cast_unsigned(),
            status.as_mut_ptr(),
            libc::WEXITED | libc::WNOWAIT,
        )
    };
    found
}

/// Pages of both are marked by the kernel; each write afterwards must count.
fn fork_in_between(_: u64) -> bool {
    let page = page();
    let found = get(page) != 0 || get(page.wrapping_add(8192)) != 0;
    set(page, 1);
    let child = fork();
    if child == 0 {
        set(page, 2);
        end();
    }
    set(page.wrapping_add(8192), 3);
    // SAFETY: waits for the child.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    found
}

/// Whoever has waited for a thread's end may be there before the kernel has taken the thread off its list.
fn ended_thread(backend: Backend) {
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    let round = rewind.checkpoint(&[]).unwrap();
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(|| ())).collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    if round < 1000 {
        panic!("{}", rewind.rewind(false));
    }
}

/// What was there before stays, what came later goes, and the number of rewinds is what it is.
fn collections(backend: Backend) {
    let mut map: HashMap<u64, String> = (0..1000).map(|n| (n, format!("value {n}"))).collect();
    let mut output = std::fs::File::create("/dev/null").unwrap();
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    let round = rewind.checkpoint(&[]).unwrap();
    assert_eq!(map.len(), 1000);
    assert!((0..1000).all(|n| map[&n] == format!("value {n}")));
    map.clear();
    map.extend((0..5000).map(|n| (n, "other".to_owned())));
    output.write_all(b"x").unwrap();
    let mut numbers = [0.0_f64; 64];
    numbers
        .iter_mut()
        .enumerate()
        .for_each(|(n, number)| *number = (n as f64).sqrt());
    assert!((numbers[49] - 7.0).abs() < 1e-9);
    if round < 5000 {
        panic!("{}", rewind.rewind(false));
    }
    assert_eq!(round, 5000);
}

pub(crate) fn statm() -> Vec<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect()
}

/// Shared with itself across rewinds.
pub(crate) fn shared() -> *mut u64 {
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_SHARED | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a new mapping.
    unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) }.cast()
}

fn flat(backend: Backend) {
    let notes = shared();
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    let round = rewind.checkpoint(&[]).unwrap();
    let now = statm();
    // SAFETY: two numbers of the page.
    let (size, resident) = unsafe { (&mut *notes, &mut *notes.add(1)) };
    match round {
        0..100 => {}
        100 => (*size, *resident) = (now[0], now[1]),
        2000 => {
            assert_eq!(now[0], *size, "address space");
            assert!(
                now[1] <= *resident + 64,
                "{} pages, then {}",
                *resident,
                now[1]
            );
            return;
        }
        _ => {}
    }
    let each = [
        heap,
        growing_heap,
        mapping,
        many_mappings,
        deep_stack,
        large,
        environment,
        descriptors,
    ];
    each[(round % 8) as usize](round);
    panic!("{}", rewind.rewind(false));
}

fn spared(backend: Backend) {
    let page = page();
    let start = page as usize;
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    let round = rewind.checkpoint(&[(start, start + 4096)]).unwrap();
    let (inside, before, behind) = (
        get(page),
        get(page.wrapping_sub(1)),
        get(page.wrapping_add(4096)),
    );
    assert_eq!((u64::from(inside), before, behind), (round, 0, 0));
    set(page, inside + 1);
    set(page.wrapping_sub(1), 1);
    set(page.wrapping_add(4096), 1);
    if round < 5 {
        panic!("{}", rewind.rewind(false));
    }
}

/// The image's mapping is there and cannot be made writable.
fn sealed(backend: Backend) {
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    rewind.checkpoint(&[]).unwrap();
    let all = maps();
    let images: Vec<_> = all
        .iter()
        .filter(|line| line.contains("hostel-image") && line.contains(" r--s "))
        .collect();
    assert_eq!(images.len(), 1, "{all:?}");
    let start = usize::from_str_radix(images[0].split('-').next().unwrap(), 16).unwrap();
    // SAFETY: of a mapping that is there.
    let made = unsafe { libc::mprotect(start as *mut _, 4096, libc::PROT_READ | libc::PROT_WRITE) };
    assert_eq!(made, -1);
}

/// No number below the limit is one of the crate's.
fn out_of_reach(backend: Backend) {
    let open = || -> Vec<i32> {
        let entries = std::fs::read_dir("/proc/self/fd").unwrap();
        entries
            .map(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .to_str()
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect()
    };
    let before = open();
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    rewind.checkpoint(&[]).unwrap();
    let mut limit = std::mem::MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: a place to write to.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) };
    // SAFETY: the kernel has written it.
    let limit = unsafe { limit.assume_init() }.rlim_cur;
    let new: Vec<_> = open()
        .into_iter()
        .filter(|number| !before.contains(number))
        .collect();
    assert!(
        new.len() >= 5 && new.iter().all(|number| *number as u64 >= limit),
        "{new:?} {limit}"
    );
}

fn cost(backend: Backend) {
    let notes = shared();
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    let origin = Instant::now();
    let round = rewind.checkpoint(&[]).unwrap();
    // SAFETY: a number of the page.
    let last = unsafe { &mut *notes };
    let now = u64::try_from(origin.elapsed().as_nanos()).unwrap();
    if round == 100 {
        *last = now;
    }
    if round == 2100 {
        println!(
            "  {} ns for a rewind, mappings {}",
            (now - *last) / 2000,
            maps().len()
        );
        return;
    }
    for at in 0..40 {
        set(page().wrapping_add(at * 4096), 1);
    }
    panic!("{}", rewind.rewind(false));
}

fn thread() {
    std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(100)));
}

fn running_child() {
    if fork() == 0 {
        std::thread::sleep(std::time::Duration::from_secs(1));
        end();
    }
}

fn posix_timer() {
    let mut timer = std::mem::MaybeUninit::<libc::timer_t>::zeroed();
    let (clock, none) = (libc::CLOCK_MONOTONIC, std::ptr::null_mut());
    // SAFETY: a place to write to.
    let made = unsafe { libc::timer_create(clock, none, timer.as_mut_ptr()) };
    assert_eq!(made, 0);
}

fn pending_signal() {
    signals(0);
    // SAFETY: to this process, which has it blocked.
    unsafe { libc::raise(libc::SIGUSR2) };
}

fn protection() {
    // SAFETY: a page of this process's own, which nobody writes any more.
    let made = unsafe { libc::mprotect(page().cast(), 4096, libc::PROT_READ) };
    assert_eq!(made, 0);
}

/// With memory of its own that came after the checkpoint, which it needs to say so and to end.
fn nice() {
    growing_heap(0);
    mapping(0);
    // SAFETY: takes a number.
    unsafe { libc::nice(3) };
}

fn locked_memory(_: u64) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = !status.contains("VmLck:\t       0 kB");
    // SAFETY: pages of this process's own.
    unsafe { libc::mlock(page().cast(), 4096) };
    // SAFETY: takes a number.
    unsafe { libc::mlockall(libc::MCL_FUTURE) };
    found
}

fn filter() {
    let mut allow = libc::sock_filter {
        code: 6,
        jt: 0,
        jf: 0,
        k: libc::SECCOMP_RET_ALLOW,
    };
    let program = libc::sock_fprog {
        len: 1,
        filter: &raw mut allow,
    };
    // SAFETY: takes numbers.
    let made = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(made, 0);
    // SAFETY: a program of that length.
    let made = unsafe { libc::syscall(libc::SYS_seccomp, 1, 0, &raw const program) };
    assert_eq!(made, 0);
}

fn scheduling() {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads a number.
    let made = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const none) };
    assert_eq!(made, 0);
}

fn io_priority() {
    // SAFETY: takes numbers.
    let made = unsafe { libc::syscall(libc::SYS_ioprio_set, 1, 0, 3 << 13) };
    assert_eq!(made, 0);
}

fn reaper() {
    // SAFETY: takes a number.
    let made = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    assert_eq!(made, 0);
}

fn session() {
    // SAFETY: takes nothing.
    assert_ne!(unsafe { libc::setsid() }, -1);
}

fn closed(number: i32) -> i32 {
    // SAFETY: nobody uses it any more.
    unsafe { libc::close(number) }
}

fn exchanged(number: i32) -> i32 {
    let other = std::fs::File::open("/proc/self/stat").unwrap();
    // SAFETY: takes numbers.
    unsafe { libc::dup2(other.as_raw_fd(), number) }
}

fn hole() {
    // SAFETY: a page of this process's own, which nobody uses any more.
    assert_eq!(unsafe { libc::munmap(page().cast(), 4096) }, 0);
}

/// What is there looks the same, and nobody has touched it since.
fn mapped_anew() {
    hole();
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
    );
    // SAFETY: where a page of this process's own was a moment ago.
    let mapped = unsafe { libc::mmap(page().cast(), 4096, protection, flags, -1, 0) };
    assert_eq!(mapped, page().cast());
}

/// The sum of all mappings is as before.
fn exchange() {
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
    );
    // SAFETY: in the place of a page of this process's own.
    let mapped = unsafe { libc::mmap(page().cast(), 4096, protection, flags, -1, 0) };
    assert_eq!(mapped, page().cast());
}
