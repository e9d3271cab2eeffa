//! Which pages were written since they last were as the image has them.
//!
//! One trait, two ways: `written` asks a kernel that keeps count (Linux 6.7 and later), `private` has each region be a private copy of
//! the image, which the kernel makes page by page where something is written (any kernel that has a sealed memfd).
//!
//! **Hot pages.** To protect a page, and to take the fault at its first write, costs more than to copy it. So a page that was written in two
//! requests is no longer watched, but copied each time, until it is forgotten who is hot.
//!
//! **Faults.** By either way the first write to a watched page is a fault of this process, and the kernel counts faults. Where it has counted
//! none, only hot pages can be other than they were, and nothing needs to be looked at (`kernel`, `is_untouched`).

use crate::Unfit;
use crate::image::{IMAGE_BYTES_MAX, Image, PAGE, Part, Region};

mod private;
mod written;

pub use written::is_there as kernel_keeps_count;
pub(crate) use written::open as open_userfault;

/// A way to know what was written.
pub(crate) trait Track {
    /// Watch all regions from now on, which are as the image has them.
    fn arm(&mut self, image: &Image) -> Result<(), Unfit>;
    /// Whether this region can still be watched: what was unmapped and mapped again looks the same, and is another.
    fn check(&mut self, region: &Region) -> Result<(), Unfit>;
    /// Put back what was written in this region.
    fn restore(&mut self, image: &Image, region: &Region, heat: &mut Heat) -> Result<(), Unfit>;
}

/// The way of this process. All zeros is none.
#[repr(C)]
pub(crate) struct Tracker {
    pub(crate) backend: Option<Backend>,
    written: written::Written,
    private: private::Private,
    heat: Heat,
    hot: Hot,
}

/// How it is known what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Backend {
    /// The kernel keeps count: userfaultfd's asynchronous write-protection, and PAGEMAP_SCAN.
    Written,
    /// Regions are private mappings of the image.
    Private,
}

/// How often each page of the image was found written.
#[repr(C)]
pub(crate) struct Heat {
    pages: [u8; IMAGE_BYTES_MAX / PAGE],
    /// Since who is hot was forgotten.
    rewinds: u32,
}

impl Heat {
    /// Whether this page of the image has been written so often that it is not watched any more. To be asked once when it was.
    fn warm(&mut self, offset: usize) -> bool {
        if let Some(heat) = self.pages.get_mut(offset / PAGE) {
            *heat = heat.saturating_add(1).min(HOT);
        }
        self.is_hot(offset)
    }

    fn is_hot(&self, offset: usize) -> bool {
        self.pages
            .get(offset / PAGE)
            .is_some_and(|heat| *heat >= HOT)
    }

    /// Nobody is hot any more in an image of so many bytes.
    fn cool(&mut self, bytes: usize) {
        self.rewinds = 0;
        let used = bytes.div_ceil(PAGE).min(self.pages.len());
        self.pages.get_mut(..used).unwrap_or_default().fill(0);
    }
}

/// The hot pages, neighbours in one.
#[repr(C)]
struct Hot {
    parts: [Part; HOT_MAX],
    count: usize,
}

impl Hot {
    fn get(&self) -> &[Part] {
        self.parts.get(..self.count).unwrap_or_default()
    }

    fn add(&mut self, part: Part) -> Result<(), Unfit> {
        let last = self.count.checked_sub(1);
        let last = last.and_then(|last| self.parts.get_mut(last));
        if last.is_some_and(|last| last.join(&part)) {
            return Ok(());
        }
        *self.parts.get_mut(self.count).ok_or(Unfit::TooMany)? = part;
        self.count += 1;
        Ok(())
    }

    /// Write down who is hot.
    fn gather(&mut self, image: &Image, heat: &Heat) -> Result<(), Unfit> {
        self.count = 0;
        for region in image.regions() {
            for start in (region.start..region.end).step_by(PAGE) {
                let part = region.part(start, start + PAGE);
                if heat.is_hot(part.offset) {
                    self.add(part)?;
                }
            }
        }
        Ok(())
    }
}

impl Tracker {
    pub(crate) fn set_descriptors(&mut self, pagemap: libc::c_int, userfault: libc::c_int) {
        self.written.pagemap = pagemap;
        self.private.pagemap = pagemap;
        self.written.userfault = userfault;
    }

    /// Room for entries of pagemap.
    pub(crate) fn entries(&mut self) -> (libc::c_int, &mut [u64]) {
        self.private.room()
    }

    fn way(&mut self) -> Result<(&mut dyn Track, &mut Heat), Unfit> {
        let way: &mut dyn Track = match self.backend.ok_or(Unfit::NotAsked)? {
            Backend::Written => &mut self.written,
            Backend::Private => &mut self.private,
        };
        Ok((way, &mut self.heat))
    }

    pub(crate) fn arm(&mut self, image: &Image) -> Result<(), Unfit> {
        self.way()?.0.arm(image)
    }

    /// See that all regions are those that are watched. Changes nothing.
    pub(crate) fn check(&mut self, image: &Image) -> Result<(), Unfit> {
        let (way, _) = self.way()?;
        let mut regions = image.regions().iter();
        regions.try_for_each(|region| way.check(region))
    }

    /// Put back what is not watched. It is enough where nothing else was written.
    pub(crate) fn restore_hot(&self, image: &Image) {
        for part in self.hot.get() {
            image.put_back(part);
        }
    }

    /// Forget who is hot in an image of so many bytes: each page's place in it is another's.
    pub(crate) fn forget(&mut self, bytes: usize) {
        self.heat.cool(bytes);
        self.hot.count = 0;
    }

    /// Put back whatever was written.
    pub(crate) fn restore(&mut self, image: &Image) -> Result<(), Unfit> {
        self.heat.rewinds += 1;
        if self.heat.rewinds >= COOL_EVERY {
            // Who was hot a while ago need not be any more.
            self.heat.cool(image.bytes());
        }
        let (way, heat) = self.way()?;
        for region in image.regions() {
            way.restore(image, region, heat)?;
        }
        self.hot.gather(image, &self.heat)
    }
}

/// Requests that write a page until it counts as hot.
const HOT: u8 = 2;
/// Looks at all pages after which it is asked anew who is.
const COOL_EVERY: u32 = 4096;
/// Runs of hot pages.
const HOT_MAX: usize = 4096;
