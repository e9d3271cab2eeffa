//! Which pages were written since they last were as the image has them.
//!
//! One trait, two ways: `written` asks a kernel that keeps count (Linux 6.7 and later), `private` has each region be a private copy of
//! the image, which the kernel makes page by page where something is written (any kernel that has a sealed memfd).
//!
//! **Hot pages.** To protect a page, and to take the fault at its first write, costs more than to copy it. So a page that was written in two
//! requests is no longer watched, but copied each time, until it is forgotten who is hot.

use crate::Unfit;
use crate::image::{IMAGE_BYTES_MAX, Image, PAGE, Region};

mod private;
mod written;

pub use written::is_there as kernel_keeps_count;
pub(crate) use written::open as open_userfault;

/// A way to know what was written.
pub(crate) trait Track {
    /// Watch all regions from now on, which are as the image has them.
    fn arm(&mut self, image: &Image) -> Result<(), Unfit>;
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
    rewinds: u32,
}

impl Heat {
    /// Whether this page of the image has been written so often that it is not watched any more. To be asked once when it was.
    fn is_hot(&mut self, offset: usize) -> bool {
        match self.pages.get_mut(offset / PAGE) {
            Some(heat) if *heat < HOT => {
                *heat += 1;
                false
            }
            Some(_) => true,
            None => false,
        }
    }

    /// Who was hot a while ago need not be any more.
    fn cool(&mut self, bytes: usize) {
        self.rewinds += 1;
        if self.rewinds >= COOL_EVERY {
            self.forget(bytes);
        }
    }

    /// Of an image of so many bytes.
    fn forget(&mut self, bytes: usize) {
        self.rewinds = 0;
        let used = bytes.div_ceil(PAGE).min(self.pages.len());
        self.pages.get_mut(..used).unwrap_or_default().fill(0);
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

    /// Forget who is hot in an image of so many bytes: each page's place in it is another's.
    pub(crate) fn forget(&mut self, bytes: usize) {
        self.heat.forget(bytes);
    }

    /// Put every region back.
    pub(crate) fn restore(&mut self, image: &Image) -> Result<(), Unfit> {
        let (way, heat) = self.way()?;
        for region in image.regions() {
            if is_watched(region) {
                way.restore(image, region, heat)?;
            } else {
                image.put_back(region, region.start, region.end);
            }
        }
        heat.cool(image.bytes());
        Ok(())
    }
}

/// Whether it is worth to know what of a region was written. To copy a few pages costs less than to ask, and libraries have hundreds of
/// such regions.
fn is_watched(region: &Region) -> bool {
    region.length() > COPIED_BYTES
}

/// Regions up to this size are copied each time.
const COPIED_BYTES: usize = 4 * PAGE;
/// Requests that write a page until it counts as hot.
const HOT: u8 = 2;
/// Rewinds after which it is asked anew who is.
const COOL_EVERY: u32 = 4096;
