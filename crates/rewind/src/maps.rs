//! The list of a process's mappings, as the kernel tells it, and what of it is new.
//!
//! It asks the kernel for single mappings, which is cheaper than its text of all, and is pure otherwise. Compared is the whole list, mapping by mapping, not its length or sum: a mapping that took another's place is a difference too.

use crate::Unfit;
use crate::calls;

/// A mapping, or a part of one. All that tells it from another in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub(crate) struct Mapping {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Of the file, where it begins.
    offset: usize,
    /// `rwxp`, as /proc has them.
    flags: [u8; 4],
    is_stack: bool,
    /// Major and minor number in one.
    device: u64,
    inode: u64,
}

/// Which mappings are listed. To ask for those that can be written takes a third of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// All of them.
    All,
    /// Those that can be written.
    Writable,
}

/// What differs between two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// This is mapped and was not.
    New(usize, usize),
    /// The stack has grown to here.
    Stack(usize, usize),
    /// From here on something else is mapped, or nothing.
    Changed(usize),
}

impl Mapping {
    /// Whether what is written to it concerns nobody but this process, and something can be.
    pub(crate) fn is_state(&self) -> bool {
        self.flags[1] == b'w' && self.flags[3] == b'p'
    }

    pub(crate) fn is_in(&self, which: Which) -> bool {
        which == Which::All || self.flags[1] == b'w'
    }

    /// Whether it has an address of these.
    pub(crate) fn overlaps(&self, start: usize, end: usize) -> bool {
        self.start < end && start < self.end
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.flags[0] == b'r'
    }

    pub(crate) fn is_executable(&self) -> bool {
        self.flags[2] == b'x'
    }

    pub(crate) fn is_stack(&self) -> bool {
        self.is_stack
    }

    /// Whether it is of a file, and so has content where no page was touched.
    pub(crate) fn is_of_file(&self) -> bool {
        self.inode != 0
    }

    /// The part of it from this address on, which is within it or its end.
    fn behind(&self, start: usize) -> Option<Self> {
        (start < self.end).then(|| Self {
            start,
            offset: self.offset.wrapping_add(start - self.start),
            ..*self
        })
    }

    /// Whether both show the same, where both are.
    fn agrees(&self, other: &Self) -> bool {
        let same_place = self.inode == 0
            || self.offset.wrapping_sub(self.start) == other.offset.wrapping_sub(other.start);
        self.flags == other.flags
            && (self.device, self.inode) == (other.device, other.inode)
            && self.is_stack == other.is_stack
            && same_place
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        let mut range = words.next()?.split(|byte| *byte == b'-');
        let (start, end) = (hex(range.next()?)?, hex(range.next()?)?);
        let flags = words.next()?.try_into().ok()?;
        let offset = hex(words.next()?)?;
        let mut device = words.next()?.split(|byte| *byte == b':');
        let device = (hex(device.next()?)? as u64) << 32 | hex(device.next()?)? as u64;
        let inode = decimal(words.next()?)?;
        let is_stack = words.next() == Some(b"[stack]");
        (start < end).then_some(Self {
            start,
            end,
            offset,
            flags,
            is_stack,
            device,
            inode,
        })
    }
}

/// `struct procmap_query` of linux/fs.h.
#[derive(Default)]
#[repr(C)]
struct Question {
    size: u64,
    which: u64,
    from: u64,
    start: u64,
    end: u64,
    flags: u64,
    page_size: u64,
    offset: u64,
    inode: u64,
    device: [u32; 2],
    name_length: u32,
    build_length: u32,
    name: u64,
    build: u64,
}

/// Ask for the first such mapping that ends above this address. `ENOTTY` where the kernel does not answer that.
pub(crate) fn next(
    maps: libc::c_int,
    from: usize,
    on_stack: usize,
    which: Which,
) -> Result<Option<Mapping>, Unfit> {
    let mut question = Question {
        size: size_of::<Question>() as u64,
        which: match which {
            Which::All => COVERING_OR_NEXT,
            Which::Writable => COVERING_OR_NEXT | WRITABLE,
        },
        from: from as u64,
        ..Question::default()
    };
    match calls::ioctl(maps, PROCMAP_QUERY, &raw mut question) {
        Err(Unfit::Kernel(libc::ENOENT)) => return Ok(None),
        Err(unfit) => return Err(unfit),
        Ok(_) => {}
    }
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let (start, end) = (number(question.start), number(question.end));
    let letter = |bit: u64, set: u8, clear: u8| {
        if question.flags & bit == 0 {
            clear
        } else {
            set
        }
    };
    Ok(Some(Mapping {
        start,
        end,
        offset: number(question.offset),
        flags: [
            letter(1, b'r', b'-'),
            letter(2, b'w', b'-'),
            letter(4, b'x', b'-'),
            letter(8, b's', b'p'),
        ],
        is_stack: (start..end).contains(&on_stack),
        device: u64::from(question.device[0]) << 32 | u64::from(question.device[1]),
        inode: question.inode,
    }))
}

/// Read the text of /proc/self/maps. How many there are; `None` for more than there is room for, or nonsense.
pub(crate) fn parse(text: &[u8], into: &mut [Mapping]) -> Option<usize> {
    let mut count = 0;
    for line in text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        *into.get_mut(count)? = Mapping::parse(line)?;
        count += 1;
    }
    Some(count)
}

/// Tell every difference of `now` from `before`, both in the order of addresses, until `tell` says that it is enough.
///
/// The kernel joins and cuts mappings as it likes, so they are compared by what is at each address.
pub(crate) fn compare(
    mut before: impl Iterator<Item = Mapping>,
    mut now: impl Iterator<Item = Mapping>,
    mut tell: impl FnMut(Difference) -> bool,
) -> bool {
    let (mut old, mut new) = (before.next(), now.next());
    loop {
        let difference = match (&old, &new) {
            (None, None) => return true,
            (Some(gone), None) => return tell(Difference::Changed(gone.start)),
            (Some(gone), Some(there)) if gone.start < there.start => {
                return tell(Difference::Changed(gone.start));
            }
            (known, Some(there)) if known.is_none_or(|known| there.start < known.start) => {
                let end = known.map_or(there.end, |known| known.start.min(there.end));
                let (start, is_stack) = (there.start, there.is_stack);
                new = there.behind(end).or_else(|| now.next());
                match known.is_some_and(|known| is_stack && known.is_stack && known.start == end) {
                    true => Difference::Stack(start, end),
                    false => Difference::New(start, end),
                }
            }
            (Some(known), Some(there)) => {
                if !known.agrees(there) {
                    return tell(Difference::Changed(known.start));
                }
                let end = known.end.min(there.end);
                old = known.behind(end).or_else(|| before.next());
                new = there.behind(end).or_else(|| now.next());
                continue;
            }
            (None, Some(_)) => return true,
        };
        if !tell(difference) {
            return false;
        }
    }
}

/// linux/fs.h
const PROCMAP_QUERY: u64 = 0xc068_6611;
const COVERING_OR_NEXT: u64 = 0x10;
const WRITABLE: u64 = 0x02;

fn hex(text: &[u8]) -> Option<usize> {
    usize::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[u8] = b"1000-3000 r--p 00000000 fe:01 77    /lib/x.so
3000-5000 rw-p 00002000 fe:01 77    /lib/x.so
8000-9000 rw-p 00000000 00:00 0     [heap]
b000-c000 rw-s 00000000 00:01 9     /memfd:x (deleted)
f000-10000 rw-p 00000000 00:00 0    [stack]
";

    fn list(text: &[u8]) -> Vec<Mapping> {
        let mut room = [Mapping::default(); 16];
        let count = parse(text, &mut room).unwrap();
        room[..count].to_vec()
    }

    fn differences(now: &str) -> Vec<Difference> {
        let mut all = Vec::new();
        let (before, now) = (list(LIST), list(now.as_bytes()));
        compare(before.into_iter(), now.into_iter(), |difference| {
            all.push(difference);
            true
        });
        all
    }

    fn with(from: &str, to: &str) -> String {
        let text = String::from_utf8(LIST.to_vec()).unwrap();
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    }

    #[test]
    fn what_can_be_written_and_is_nobody_elses_is_state() {
        let state: Vec<_> = list(LIST).iter().map(Mapping::is_state).collect();
        assert_eq!(state, [false, true, true, false, true]);
        assert!(list(LIST)[4].is_stack() && list(LIST)[1].is_of_file());
    }

    #[test]
    fn a_list_that_is_as_it_was_has_no_difference_however_it_is_cut() {
        assert_eq!(differences(&with("x", "x")), []);
        let cut = with(
            "1000-3000 r--p 00000000 fe:01 77    /lib/x.so",
            "1000-2000 r--p 00000000 fe:01 77 /lib/x.so\n2000-3000 r--p 00001000 fe:01 77 /lib/x.so",
        );
        assert_eq!(differences(&cut), []);
    }

    #[test]
    fn what_is_new_is_told_with_its_bounds() {
        let more = with("b000-c000", "9000-a000 rw-p 00000000 00:00 0\nb000-c000");
        assert_eq!(differences(&more), [Difference::New(0x9000, 0xa000)]);
        let grown = with("8000-9000", "8000-a000");
        assert_eq!(differences(&grown), [Difference::New(0x9000, 0xa000)]);
        let last = with("[stack]\n", "[stack]\n20000-30000 r--p 00000000 00:00 0\n");
        assert_eq!(differences(&last), [Difference::New(0x20000, 0x30000)]);
        let stack = with("f000-10000", "d000-10000");
        assert_eq!(differences(&stack), [Difference::Stack(0xd000, 0xf000)]);
    }

    #[test]
    fn what_is_gone_or_another_is_told() {
        for (from, to, at) in [
            ("8000-9000 rw-p 00000000 00:00 0     [heap]\n", "", 0x8000),
            ("8000-9000 rw-p", "8000-9000 r--p", 0x8000),
            ("8000-9000", "8800-9000", 0x8000),
            (
                "3000-5000 rw-p 00002000 fe:01 77",
                "3000-5000 rw-p 00002000 fe:01 78",
                0x3000,
            ),
            ("3000-5000 rw-p 00002000", "3000-5000 rw-p 00003000", 0x3000),
            ("00:01 9", "00:02 9", 0xb000),
        ] {
            let all = differences(&with(from, to));
            assert_eq!(all.last(), Some(&Difference::Changed(at)), "{to}");
        }
        // Unmapped in part: where it ends early, something is gone.
        let all = differences(&with("3000-5000", "3000-4000"));
        assert_eq!(all, [Difference::Changed(0x4000)]);
    }

    #[test]
    fn nonsense_and_too_much_are_no_list() {
        let mut room = [Mapping::default(); 2];
        assert_eq!(parse(LIST, &mut room), None);
        assert_eq!(parse(b"3000-1000 rw-p 0 00:00 0\n", &mut room), None);
        assert_eq!(parse(b"x\n", &mut room), None);
    }
}
