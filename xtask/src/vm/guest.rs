//! The guest as seen from the host: qemu as a child with a deadline, and the lines of its serial console (see vm/guest.sh).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Suite;
use super::console::{Outcome, Reader};
use super::disks::Disks;
use crate::run::{Result, Tried};

/// From power-on to power-off. It ends what hangs: a host that does other things too makes a guest several times slower.
const WHOLE_MAX: Duration = Duration::from_secs(90 * 60);
/// One suite; the guest itself ends it.
const SUITE_MAX: Duration = Duration::from_secs(25 * 60);
/// How much longer the tests wait than on a machine of its own: an emulated processor is ten to twenty times slower.
const SLOW: u32 = 10;

/// By what the guest's clock goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// The host's: two processors, far slower than real ones.
    Host,
    /// Its own instructions, a nanosecond each, on one processor: what is measured does not depend on what else the host does, and
    /// a time slice holds as much work as on a real machine. Idle time is passed over.
    Instructions,
}

impl Clock {
    pub(super) const ALL: [Self; 2] = [Self::Host, Self::Instructions];

    /// In names of files, and on the kernel's command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Instructions => "instructions",
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            // Each processor is a thread of its own.
            Self::Host => &["-accel", "tcg,thread=multi", "-smp", "2"],
            Self::Instructions => &["-accel", "tcg", "-smp", "1", "-icount", "shift=0,sleep=off"],
        }
    }
}

/// What the kernel is told: where the root is, where to speak, to end at a panic instead of waiting for somebody, and that a
/// processor or timer which stands still for a while is the host's doing.
const KERNEL_LINE: &str = "root=/dev/nvme0n1 rw init=/sbin/hostel-init console=ttyS0 panic=-1 quiet loglevel=1 \
    mitigations=off no_timer_check rcupdate.rcu_cpu_stall_suppress=1 nowatchdog";
/// The disk that the host reads afterwards.
const REPORTS: usize = 2;

/// A plan on the run's disk: a line for each suite that goes by this clock.
pub(super) fn plan(suites: &[Suite], clock: Clock) -> String {
    let line = |suite: &Suite| {
        let (name, program) = (&suite.name, suite.program.display());
        let arguments = suite.arguments.join(" ");
        format!("{name} {} {program} {arguments}", SUITE_MAX.as_secs())
    };
    let suites = suites.iter().filter(|suite| suite.clock == clock);
    suites.map(line).collect::<Vec<_>>().join("\n")
}

/// `environment` of the run's disk: what the tests are told.
pub(super) fn environment(programs: &Path) -> String {
    format!(
        "HOSTEL_BIN='{}'\nHOSTEL_SLOW={SLOW}\nHOSTEL_EXPECT_CGROUP=2\nHOSTEL_REPORT=/run/report",
        programs.display()
    )
}

/// Where the serial console's text is kept.
pub(super) fn log(place: &Path, clock: Clock) -> PathBuf {
    place.join(format!("serial-{}.log", clock.name()))
}

/// Switch on, show what happens, and wait for the end.
pub(super) fn run(place: &Path, disks: &Disks, clock: Clock) -> Result<Outcome> {
    let path = log(place, clock);
    let mut log = File::create(&path).tried(path.display())?;
    let machine = Machine::start(disks, clock)?;
    let mut reader = Reader::default();
    let end = Instant::now() + WHOLE_MAX;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match machine.lines.recv_timeout(left) {
            Ok(line) => {
                writeln!(log, "{line}").tried(path.display())?;
                reader.line(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                reader.broken(format!("ended by the host after {WHOLE_MAX:?}"));
                break;
            }
        }
    }
    Ok(reader.finish())
}

/// A qemu; dropped, it is ended.
struct Machine {
    child: Child,
    lines: Receiver<String>,
}

impl Machine {
    fn start(disks: &Disks, clock: Clock) -> Result<Self> {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-nodefaults", "-no-user-config", "-no-reboot"]);
        qemu.args(["-display", "none", "-nic", "none", "-serial", "stdio"]);
        qemu.args(clock.options());
        // No five-level page tables: slower to walk, and nothing asks for them.
        qemu.args(["-m", "2G", "-cpu", "max,la57=off"]);
        // NVMe is in the kernel itself, virtio is not: no initrd is needed. The emulation does not speculate, so there is
        // nothing to mitigate.
        qemu.arg("-kernel").arg(&disks.kernel);
        // The guest reads the last word, the kernel does not.
        let line = format!("{KERNEL_LINE} hostel.clock={}", clock.name());
        qemu.args(["-append", &line]);
        for (number, image) in disks.images.iter().enumerate() {
            let keep = if number == REPORTS { "off" } else { "on" };
            let path = image.display().to_string().replace(',', ",,");
            qemu.arg("-drive").arg(format!(
                "if=none,format=raw,id=disk{number},snapshot={keep},file={path}"
            ));
            qemu.arg("-device")
                .arg(format!("nvme,drive=disk{number},serial=disk{number}"));
        }
        let mut child = qemu
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .tried("qemu-system-x86_64 (cargo xtask setup vm)")?;
        let (sender, lines) = mpsc::channel();
        let console = child.stdout.take().expect("it is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(console)
                .split(b'\n')
                .map_while(io::Result::ok)
            {
                let line = String::from_utf8_lossy(&line);
                if sender.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only when it has ended and was waited for, which nothing else does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
