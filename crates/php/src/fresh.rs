//! How a worker's next request finds what its first one found, where the site wants that.
//!
//! Run by a worker. The order is what keeps site code from what a rewind needs: the worker makes its descriptors while it is dumpable for a
//! moment and may still call userfaultfd (step 7a of `main`), then come its own layer of the sandbox and the filter that denies that call
//! (7b), then the checkpoint, then the first script. See docs/fresh.md.

use hostel_rewind::{Backend, Base, Rewind, Share, kernel_keeps_count};
use hostel_sys::process::while_dumpable;
use hostel_wire::fresh::{Fresh, Watch};

use crate::engine::Engine;
use crate::modules::why_not_rewound;
use crate::say;
use crate::trial::{Record, Verdict};

/// What becomes of a worker after a request. Decided once for a site, by its zygote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    /// It ends: each request has a copy of the zygote.
    Fork,
    /// It goes on as it is.
    Pool,
    /// It is put back.
    Rewind {
        /// And nothing stays in memory that nobody uses.
        wipes: bool,
    },
}

/// What the site wants, as far as the modules that are loaded allow. Says why where they do not.
pub(crate) fn means(fresh: Fresh, engine: &Engine) -> Means {
    match fresh {
        Fresh::Off => return Means::Pool,
        Fresh::Fork => return Means::Fork,
        Fresh::On | Fresh::Paranoid => {}
    }
    match why_not_rewound(&engine.modules()) {
        None => Means::Rewind {
            wipes: fresh == Fresh::Paranoid,
        },
        Some((module, why)) => {
            say(&format!(
                "fresh = true is served by fork, as the module {module} {why}"
            ));
            Means::Fork
        }
    }
}

/// A record of the trial that has to be made before a worker of the site may be rewound, and the base that its process gives to all workers, if any may.
pub(crate) fn record(means: Means) -> std::io::Result<(Option<&'static Record>, Option<Base>)> {
    match means {
        Means::Fork | Means::Pool => Ok((None, None)),
        Means::Rewind { .. } => Ok((Some(Record::create()?), Some(Base::create()?))),
    }
}

/// What the front is told of it.
pub(crate) fn watch(rewind: &Rewind) -> Watch {
    match rewind.backend() {
        Backend::Written => Watch::Written,
        Backend::Private => Watch::Private,
    }
}

/// Prepare to be put back; `None` where that is not meant, or where it cannot be done, or is not known to be sound (yet), and the
/// worker serves one request.
pub(crate) fn prepare(
    engine: &mut Engine,
    means: Means,
    record: Option<&Record>,
    base: Option<Base>,
) -> std::io::Result<Option<Rewind>> {
    let (wipes, base) = match (means, base) {
        (Means::Rewind { wipes }, Some(base)) => (wipes, base),
        (Means::Fork | Means::Pool | Means::Rewind { .. }, _) => return Ok(None),
    };
    // Without a record it is the trial itself.
    let share = match record.map(Record::verdict) {
        Some(Verdict::Pending | Verdict::Unsound) => return Ok(None),
        Some(Verdict::Renew | Verdict::Sound) => Share::Takes(base),
        None => Share::Gives(base),
    };
    engine.prepare_for_rewinds();
    let runs_native_code = engine.runs_native_code();
    let prepared = while_dumpable(|| {
        let backend = if kernel_keeps_count() {
            Backend::Written
        } else {
            Backend::Private
        };
        Rewind::new(backend, runs_native_code, wipes, share)
    })?;
    Ok(prepared
        .inspect_err(|error| {
            say(&format!(
                "a worker serves one request, as it cannot be rewound: {error}"
            ))
        })
        .ok())
}
