//! What the kernel says of the host: pressure on processors and memory, idle time, available memory.
//!
//! Run by the front. The files of /proc are opened before the front closes itself in, and read from their beginning ever after; they hold
//! nothing of any process. It trusts the kernel; a line that it does not know is no figure. A kernel without PSI has fewer.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::scheduler::Sample;

/// The open files; the default has none and measures nothing.
#[derive(Debug, Default)]
pub struct Pressure {
    cpu: Option<File>,
    memory: Option<File>,
    available: Option<File>,
    /// Open where there is no PSI.
    idle: Option<File>,
}

impl Pressure {
    /// Open what this kernel has.
    pub fn open() -> Self {
        let cpu = first(File::open("/proc/pressure/cpu").ok());
        let idle = if cpu.is_none() {
            first(File::open("/proc/stat").ok())
        } else {
            None
        };
        Self {
            cpu,
            memory: first(File::open("/proc/pressure/memory").ok()),
            available: first(File::open("/proc/meminfo").ok()),
            idle,
        }
    }

    /// The figures of now.
    pub fn sample(&self) -> Sample {
        Sample {
            cpu_stall: self.cpu.as_ref().and_then(|file| stall(&text(file)?)),
            cpu_idle: self.idle.as_ref().and_then(|file| idle(&text(file)?)),
            memory_stall: self.memory.as_ref().and_then(|file| stall(&text(file)?)),
            memory_available: self
                .available
                .as_ref()
                .and_then(|file| field(&text(file)?, "MemAvailable:")),
        }
    }

    /// All memory of the host; a little where that is unknown.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let total = self
            .available
            .as_ref()
            .and_then(|file| field(&text(file)?, "MemTotal:"));
        total.unwrap_or(MEMORY_UNKNOWN)
    }
}

/// A file that can be read: where PSI is switched off, the files are there and cannot.
fn first(file: Option<File>) -> Option<File> {
    file.filter(|file| text(file).is_some())
}

/// The beginning of a file, in which everything of interest stands.
fn text(file: &File) -> Option<String> {
    let mut buffer = [0; TEXT_BYTES];
    let count = file.read_at(&mut buffer, 0).ok()?;
    let bytes = buffer.get(..count)?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=<microseconds>`
fn stall(text: &str) -> Option<Duration> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let total = line
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}

/// `cpu  <user> <nice> <system> <idle> …`, in hundredths of a second.
fn idle(text: &str) -> Option<Duration> {
    let line = text.lines().find(|line| line.starts_with("cpu "))?;
    let ticks: u64 = line.split_ascii_whitespace().nth(4)?.parse().ok()?;
    Some(Duration::from_millis(ticks.saturating_mul(10)))
}

/// `MemAvailable:   123 kB`
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// More than what is looked for takes, and less than /proc/stat has on a large host.
const TEXT_BYTES: usize = 1024;
/// Where the kernel does not say.
const MEMORY_UNKNOWN: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_their_lines_and_in_no_others() {
        let pressure = "some avg10=4.03 avg60=9.20 avg300=6.95 total=79406806\n\
                        full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(stall(pressure), Some(Duration::from_micros(79_406_806)));
        assert_eq!(stall("full avg10=0.00 total=7\n"), None);
        assert_eq!(stall("some avg10=0.00\n"), None);
        let stat = "cpu  10 20 30 4000 50 0 0 0 0 0\ncpu0 1 2 3 4 5\n";
        assert_eq!(idle(stat), Some(Duration::from_secs(40)));
        assert_eq!(idle("cpu0 1 2 3 4 5\n"), None);
        let memory = "MemTotal:       24684096 kB\nMemFree: 1 kB\nMemAvailable:   22083312 kB\n";
        assert_eq!(field(memory, "MemAvailable:"), Some(22_083_312 * 1024));
        assert_eq!(field(memory, "MemTotal:"), Some(24_684_096 * 1024));
        assert_eq!(field("MemTotal: many kB\n", "MemTotal:"), None);
    }

    #[test]
    fn this_kernel_has_figures_that_grow() {
        let pressure = Pressure::open();
        let before = pressure.sample();
        assert!(
            before
                .memory_available
                .is_some_and(|bytes| bytes < pressure.memory_bytes())
        );
        assert!(before.cpu_stall.is_some() || before.cpu_idle.is_some());
        std::thread::sleep(Duration::from_millis(30));
        let after = pressure.sample();
        assert!(after.cpu_stall >= before.cpu_stall && after.cpu_idle >= before.cpu_idle);
    }
}
