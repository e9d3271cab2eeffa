//! What was written, by the kernel's own count: userfaultfd with asynchronous write-protection, and PAGEMAP_SCAN (Linux 6.7).
//!
//! Nobody ever reads the userfaultfd: in this mode the kernel takes note of the first write to a protected page and lets it happen, its own
//! writes (read(2) into memory) included. It is opened for faults of user space alone, which needs no privilege.

use std::io;

use crate::Unfit;
use crate::calls;
use crate::image::{Image, PAGE, Region};

use super::{Heat, Track};

/// All zeros has no descriptors yet.
#[repr(C)]
pub(super) struct Written {
    pub(super) pagemap: libc::c_int,
    pub(super) userfault: libc::c_int,
    found: [Found; FOUND_MAX],
}

/// `struct page_region` of linux/fs.h.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Found {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg` of linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    found: u64,
    found_max: u64,
    pages_max: u64,
    inverted: u64,
    mask: u64,
    any_of: u64,
    wanted: u64,
}

/// `struct uffdio_api`.
#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`, and with one number less `struct uffdio_writeprotect`.
#[repr(C)]
struct Ranged {
    start: u64,
    length: u64,
    mode: u64,
    ioctls: u64,
}

/// A userfaultfd that keeps count of writes.
pub(crate) fn open() -> io::Result<libc::c_int> {
    let flags = libc::O_CLOEXEC | USER_MODE_ONLY;
    // SAFETY: takes flags and makes a descriptor.
    let opened = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
    let userfault = libc::c_int::try_from(opened).unwrap_or(-1);
    if userfault < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut api = Api {
        api: UFFD_API,
        features: FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED | FEATURE_PAGEFAULT_FLAG_WP,
        ioctls: 0,
    };
    if let Err(error) = calls::ioctl(userfault, UFFDIO_API, &raw mut api) {
        calls::close(userfault);
        return Err(error.into());
    }
    Ok(userfault)
}

/// Whether this kernel, and what filters its calls, has all of it. Changes nothing.
pub fn is_there() -> bool {
    let Ok(userfault) = open() else {
        return false;
    };
    calls::close(userfault);
    let Ok(pagemap) = std::fs::File::open("/proc/self/pagemap") else {
        return false;
    };
    let mut nothing = Scan {
        size: size_of::<Scan>() as u64,
        mask: PAGE_IS_WRITTEN,
        wanted: PAGE_IS_WRITTEN,
        ..Scan::default()
    };
    let pagemap = std::os::fd::AsRawFd::as_raw_fd(&pagemap);
    calls::ioctl(pagemap, PAGEMAP_SCAN, &raw mut nothing).is_ok()
}

impl Written {
    fn protect(&self, start: usize, end: usize) -> Result<(), Unfit> {
        let mut range = Ranged {
            start: start as u64,
            length: (end - start) as u64,
            mode: WRITEPROTECT_MODE_WP,
            ioctls: 0,
        };
        calls::ioctl(self.userfault, UFFDIO_WRITEPROTECT, &raw mut range)?;
        Ok(())
    }
}

impl Track for Written {
    fn arm(&mut self, image: &Image) -> Result<(), Unfit> {
        for region in image.regions() {
            let mut range = Ranged {
                start: region.start as u64,
                length: region.length() as u64,
                mode: REGISTER_MODE_WP,
                ioctls: 0,
            };
            calls::ioctl(self.userfault, UFFDIO_REGISTER, &raw mut range)?;
            self.protect(region.start, region.end)?;
        }
        Ok(())
    }

    fn check(&mut self, region: &Region) -> Result<(), Unfit> {
        let mut at = region.start;
        while at < region.end {
            at = self.scan(at, region.end)?.1;
        }
        Ok(())
    }

    fn restore(&mut self, image: &Image, region: &Region, heat: &mut Heat) -> Result<(), Unfit> {
        let mut at = region.start;
        while at < region.end {
            let (count, walked) = self.scan(at, region.end)?;
            for found in self.found.get(..count).unwrap_or_default() {
                let start = usize::try_from(found.start).unwrap_or(0).max(region.start);
                let end = usize::try_from(found.end).unwrap_or(0).min(region.end);
                if start >= end {
                    continue;
                }
                image.put_back(&region.part(start, end));
                self.protect_cold(region, start, end, heat)?;
            }
            at = walked;
        }
        Ok(())
    }
}

impl Written {
    /// Find what was written from here on. How many ranges, and where the kernel has stopped. It refuses where something is not watched.
    fn scan(&mut self, start: usize, end: usize) -> Result<(usize, usize), Unfit> {
        let mut scan = Scan {
            size: size_of::<Scan>() as u64,
            flags: CHECK_WATCHED,
            start: start as u64,
            end: end as u64,
            found: self.found.as_mut_ptr() as u64,
            found_max: self.found.len() as u64,
            mask: PAGE_IS_WRITTEN,
            wanted: PAGE_IS_WRITTEN,
            ..Scan::default()
        };
        let count = match calls::ioctl(self.pagemap, PAGEMAP_SCAN, &raw mut scan) {
            Err(Unfit::Kernel(libc::EPERM)) => return Err(Unfit::Mapping(start)),
            count => count?,
        };
        let walked = usize::try_from(scan.walk_end).unwrap_or(0);
        if walked > start {
            Ok((count, walked))
        } else {
            Err(Unfit::Mapping(start))
        }
    }

    /// Watch those pages again that are not hot, neighbours by one call.
    fn protect_cold(
        &self,
        region: &Region,
        start: usize,
        end: usize,
        heat: &mut Heat,
    ) -> Result<(), Unfit> {
        let mut cold_from = None;
        for page in (start..end).step_by(PAGE) {
            let is_hot = heat.warm(region.offset + (page - region.start));
            match (is_hot, cold_from) {
                (false, None) => cold_from = Some(page),
                (true, Some(from)) => {
                    self.protect(from, page)?;
                    cold_from = None;
                }
                (false, Some(_)) | (true, None) => {}
            }
        }
        match cold_from {
            Some(from) => self.protect(from, end),
            None => Ok(()),
        }
    }
}

/// Ranges of written pages that are read at once.
const FOUND_MAX: usize = 1024;

// linux/userfaultfd.h
const USER_MODE_ONLY: libc::c_int = 1;
const UFFD_API: u64 = 0xaa;
const FEATURE_PAGEFAULT_FLAG_WP: u64 = 1 << 0;
const FEATURE_WP_UNPOPULATED: u64 = 1 << 13;
const FEATURE_WP_ASYNC: u64 = 1 << 15;
const REGISTER_MODE_WP: u64 = 1 << 1;
const WRITEPROTECT_MODE_WP: u64 = 1 << 0;
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_WRITEPROTECT: u64 = 0xc018_aa06;
// linux/fs.h
const PAGEMAP_SCAN: u64 = 0xc060_6610;
const PAGE_IS_WRITTEN: u64 = 1 << 1;
/// PM_SCAN_CHECK_WPASYNC
const CHECK_WATCHED: u64 = 1 << 1;
