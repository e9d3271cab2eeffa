//! How a worker's next request finds what its first one found, where the site wants that.
//!
//! Run by a worker. The order is what keeps site code from what a rewind needs: the worker makes its descriptors while it is dumpable for a
//! moment and may still call userfaultfd (step 7a of `main`), then come its own layer of the sandbox and the filter that denies that call
//! (7b), then the checkpoint, then the first script. See docs/fresh.md.

use hostel_rewind::{Backend, Rewind, kernel_keeps_count};
use hostel_sys::process::while_dumpable;
use hostel_wire::fresh::Fresh;

use crate::process::keep_heap;
use crate::say;

/// Prepare to be put back; `None` where the site does not want it, or where it cannot be done and the worker serves one request.
pub(crate) fn prepare(fresh: Fresh) -> std::io::Result<Option<Rewind>> {
    match fresh {
        Fresh::Off | Fresh::Fork => return Ok(None),
        Fresh::On => {}
    }
    keep_heap();
    let prepared = while_dumpable(|| {
        let backend = if kernel_keeps_count() {
            Backend::Written
        } else {
            Backend::Private
        };
        Rewind::new(backend)
    })?;
    Ok(prepared
        .inspect_err(|error| {
            say(&format!(
                "a worker serves one request, as it cannot be rewound: {error}"
            ))
        })
        .ok())
}
