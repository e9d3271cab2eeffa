//! PHP itself, made safe to hold: started once per process, then one request after the other.
//!
//! Run by the zygote (start) and its workers (requests), as the site's user; starting takes the proof that it is unprivileged.
//! Every call into the shim is here. What PHP does to the process is not trusted to end at a request's end: that is why a
//! worker may be replaced. It never shuts PHP down; the process just ends.

use std::ffi::{CStr, CString, OsStr};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::hint::black_box;
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use hostel_sys::cred::Dropped;
use hostel_wire::monitor_keeper::SiteSettings;

use crate::callbacks;
use crate::exchange::Exchange;
use crate::ffi;
use crate::file_cache;
use crate::ini::{Ini, IniError};
use crate::keys::{Copied, Kind};
use crate::process::HEAP_MORE_BYTES;
use crate::request::Prepared;

/// Why PHP did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// A setting of the site cannot be passed on.
    #[error(transparent)]
    Ini(#[from] IniError),
    /// libphp.so is of another series than the headers of the build.
    #[error(
        "this program was built for {LIBRARY}, but the library that was loaded is /{0}: install the one that fits, or build anew"
    )]
    Library(String),
    /// The kernel does not say what was loaded.
    #[error("cannot read /proc/self/maps, which says which PHP library was loaded")]
    Maps(#[source] std::io::Error),
    /// PHP said why on standard error.
    #[error("PHP did not start with the settings of site '{0}'; what it said stands above")]
    Php(String),
    /// OPcache is switched on and did not start, or is not installed.
    #[error(
        "OPcache did not start for site '{0}'; apt-get install php8.2-opcache, or set opcache.enable=0"
    )]
    Opcache(String),
}

/// A started PHP. There is one in a process, and it stays in its thread.
pub(crate) struct Engine {
    _one_thread: PhantomData<*const ()>,
}

/// How a request went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// Whether PHP could begin it; if not, this process is of no more use.
    pub(crate) started: bool,
    /// What the script gave to `exit`.
    pub(crate) exit_status: i32,
    /// The most memory that PHP held for it.
    pub(crate) memory_peak_bytes: usize,
    /// Of the cache of paths, before the script ran.
    pub(crate) path_bytes_at_start: usize,
}

impl Engine {
    /// Start PHP with the layers of settings that `ini` describes. To be called once in a process.
    ///
    /// # Errors
    /// See [`EngineError`]; the process has to end then.
    pub(crate) fn start(_: &Dropped, settings: &SiteSettings) -> Result<Self, EngineError> {
        let ini = Ini::new(settings)?;
        let mut rest = DefaultHasher::new();
        check_library()?.hash(&mut rest);
        (&ini.disabled_functions, &ini.disabled_classes).hash(&mut rest);
        default_variable("PHPRC", &settings.php_ini_directory);
        let modules = format!("{}/conf.d", settings.php_ini_directory);
        default_variable("PHP_INI_SCAN_DIR", &modules);
        file_cache::begin(&ini.file_cache);

        // PHP keeps the text for as long as it lives.
        let entries: &'static CStr = Box::leak(ini.entries.into_boxed_c_str());
        // SAFETY: the table is copied, the text lives for ever, and this is the only start in this process.
        let started = unsafe {
            ffi::hostel_php_start(&raw const callbacks::TABLE, entries.as_ptr(), rest.finish())
        };
        // Where PHP did not ask for it.
        drop(file_cache::finish());
        if started != 0 {
            return Err(EngineError::Php(settings.name.clone()));
        }
        // SAFETY: PHP has started.
        let wanted = unsafe { ffi::hostel_php_opcache_is_wanted() } != 0;
        // SAFETY: PHP has started.
        let runs = unsafe { ffi::hostel_php_opcache_runs() } != 0;
        if wanted && !runs {
            return Err(EngineError::Opcache(settings.name.clone()));
        }
        restrict(&ini.disabled_functions, &ini.disabled_classes, &ini.locked);
        set_environment(settings);
        Ok(Self {
            _one_thread: PhantomData,
        })
    }

    /// The names of all modules that are loaded, such as `Core`, `curl` and `Zend OPcache`.
    pub(crate) fn modules(&self) -> Vec<String> {
        let name = |index| {
            // SAFETY: PHP has started.
            let name = unsafe { ffi::hostel_php_module(index) };
            // SAFETY: a module's name is a text of C that lives as long as the module, which nobody unloads.
            let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })?;
            Some(name.to_string_lossy().into_owned())
        };
        (0..).map_while(name).collect()
    }

    /// Run one request.
    ///
    /// # Panics
    /// When a callback panicked within it.
    pub(crate) fn run(&mut self, request: &Prepared, exchange: &mut Exchange) -> Outcome {
        let variables = request.variables();
        let described = ffi::Request {
            exchange: std::ptr::from_mut(exchange).cast(),
            variables: variables.as_ptr(),
            variable_count: variables.len(),
            body_bytes: request.body_bytes,
            document_root_length: request.document_root_length,
            script_directory_length: request.script_directory_length,
            foreign_owners: request.foreign_owners.into(),
        };
        let mut result = ffi::Outcome::default();
        // SAFETY: PHP has started, since there is a `self`.
        // 1. All that `described` points to lives until the call returns: `request` is borrowed, and `exchange` is used by the
        //    callbacks alone until then.
        // 2. The variables hold all that the shim takes for granted (SCRIPT_FILENAME, SCRIPT_NAME, PATH_INFO, SERVER_NAME…): they
        //    are in the fixed part of the table. Each text has its NUL.
        // 3. A bailout of PHP ends in the shim and does not cross this frame.
        unsafe { ffi::hostel_php_run(&raw const described, &raw mut result) };
        assert!(!exchange.has_panicked(), "a callback of PHP panicked");
        Outcome {
            started: result.started != 0,
            exit_status: result.exit_status,
            memory_peak_bytes: result.memory_peak_bytes,
            path_bytes_at_start: result.path_bytes_at_start,
        }
    }

    /// Be ready to be put back after each request: note what is called, and have memory ready so that requests map none of their own: more of
    /// the C library's heap, and of PHP's. To be called once in a process.
    pub(crate) fn prepare_for_rewinds(&mut self) {
        // A block that does not fit has the heap grow, by so much more.
        drop(black_box(vec![
            0_u8;
            usize::try_from(HEAP_MORE_BYTES).unwrap_or(0)
        ]));
        // SAFETY: PHP has started, and no request runs.
        unsafe { ffi::hostel_php_keep_chunks() };
        // SAFETY: the same; functions of PHP are exchanged for ones that call them.
        unsafe { ffi::hostel_php_note_rare_calls() };
    }

    /// Memory that nobody uses between two requests, from and to an address, in the order of addresses.
    pub(crate) fn free_memory(&self) -> [(usize, usize); 2] {
        let mut parts = [(0, 0); 2];
        let [(start, end), (chunks_start, chunks_end)] = &mut parts;
        // SAFETY: PHP has started, and no request runs; two places to write to.
        unsafe { ffi::hostel_php_free_memory(start, end) };
        // SAFETY: the same.
        unsafe { ffi::hostel_php_free_chunks(chunks_start, chunks_end) };
        parts.sort_unstable();
        parts
    }

    /// Let go of what PHP holds back of its heap for later. A rewind is to follow, or the end of this process: PHP does not know of it.
    pub(crate) fn give_memory_back(&mut self) {
        // SAFETY: PHP has started, and no request runs. It has no more requests before it finds its heap as it was at the checkpoint.
        unsafe { ffi::hostel_php_give_chunks_back() };
    }

    /// Whether the request that has ended has called a function that changes what a rewind rarely looks at.
    pub(crate) fn has_called_rare(&self) -> bool {
        // SAFETY: PHP has started, and no request runs.
        unsafe { ffi::hostel_php_has_called_rare() != 0 }
    }

    /// Whether scripts may call what they like of the process and the kernel, by FFI.
    pub(crate) fn runs_native_code(&self) -> bool {
        // SAFETY: PHP has started, and no request runs.
        unsafe { ffi::hostel_php_runs_native_code() != 0 }
    }

    /// Draw from all generators of random numbers in this process, and write down what they yield: lines of a name, a space and a number.
    /// How many bytes, none where PHP cannot run what draws or they do not fit. It is a request of PHP's own.
    pub(crate) fn draw(&mut self, text: &mut [u8]) -> usize {
        // SAFETY: PHP has started, and no request runs; a place to write to, and its size. A bailout ends in the shim.
        unsafe { ffi::hostel_php_draw(text.as_mut_ptr().cast(), text.len()) }
    }

    /// Have PHP begin and end a request in which nothing happens.
    pub(crate) fn pass(&mut self) {
        // SAFETY: PHP has started, and no request runs. A bailout ends in the shim.
        unsafe { ffi::hostel_php_draw(std::ptr::null_mut(), 0) };
    }

    /// Have those generators that can be told to draw their seed from the kernel anew.
    pub(crate) fn renew_generators(&mut self) {
        // SAFETY: PHP has started, and no request runs: nobody is within one of those libraries.
        unsafe { ffi::hostel_php_renew_generators() };
    }

    /// Forget which path led to which file.
    pub(crate) fn forget_paths(&mut self) {
        // SAFETY: PHP has started, and no request runs.
        unsafe { ffi::hostel_php_forget_paths() };
    }

    /// How much PHP keeps from one request to the next.
    pub(crate) fn caches(&self) -> ffi::Caches {
        let mut caches = ffi::Caches::default();
        // SAFETY: PHP has started, and no request runs; a place to write to.
        unsafe { ffi::hostel_php_look_at_caches(&raw mut caches) };
        caches
    }

    /// Tell the keys of all that it keeps.
    pub(crate) fn each_key(&self, mut take: callbacks::TakeKey<'_>) {
        let context = (&raw mut take).cast();
        // SAFETY: PHP has started, and no request runs; what the callback is handed lives until this returns, and it is the one for it.
        unsafe { ffi::hostel_php_each_key(context, callbacks::key) };
    }

    /// Work out what these keys stand for, within this time or a little more. `false` when this process is of no more use.
    pub(crate) fn warm(&mut self, keys: &Copied, most: Duration) -> bool {
        let (patterns, paths) = (keys.texts(Kind::Pattern), keys.texts(Kind::Path));
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        // SAFETY: PHP has started, and no request runs. The texts live until this returns, each with its NUL. A bailout of PHP ends in the
        // shim and does not cross this frame.
        let done = unsafe {
            ffi::hostel_php_warm(
                patterns.as_ptr(),
                patterns.len(),
                paths.as_ptr(),
                paths.len(),
                most,
            )
        };
        done == 0
    }
}

/// Debian's library is found by a name without a version, so another one may have been installed since the build, and its
/// structures would not be those of the build's headers. The kernel knows the file that was loaded. Returns
/// its time and size, which differ between two builds even where PHP's version is the same.
fn check_library() -> Result<(i64, u64), EngineError> {
    let maps = std::fs::read_to_string("/proc/self/maps").map_err(EngineError::Maps)?;
    let suffix = format!("/{LIBRARY}");
    if let Some(line) = maps.lines().find(|line| line.ends_with(&suffix)) {
        let path = line.split_once('/').map_or("", |(_, path)| path);
        let file = std::fs::metadata(format!("/{path}")).map_err(EngineError::Maps)?;
        return Ok((file.mtime(), file.size()));
    }
    let loaded = maps
        .lines()
        .filter_map(|line| line.split_once('/'))
        .map(|(_, path)| path);
    Err(EngineError::Library(
        loaded
            .filter(|path| path.contains("libphp"))
            .take(1)
            .collect(),
    ))
}

fn restrict(functions: &[CString], classes: &[CString], locked: &[CString]) {
    for list in functions {
        // SAFETY: PHP has started and no request runs; the list is copied.
        unsafe { ffi::hostel_php_disable_functions(list.as_ptr()) };
    }
    for list in classes {
        // SAFETY: PHP has started and no request runs; the list is copied.
        unsafe { ffi::hostel_php_disable_classes(list.as_ptr()) };
    }
    for name in locked {
        // A name that no module knows has no effect and so needs no lock.
        // SAFETY: PHP has started and no request runs; the name is read only.
        unsafe { ffi::hostel_php_lock_setting(name.as_ptr()) };
    }
}

/// Scripts see an environment as php-fpm gives it: USER and HOME, nothing of ours.
fn set_environment(settings: &SiteSettings) {
    // SAFETY: this process has one thread, and nobody holds a pointer into the environment.
    unsafe { libc::clearenv() };
    set_variable("USER", &settings.user);
    set_variable("HOME", &settings.home);
}

fn default_variable(name: &str, value: &str) {
    if std::env::var_os(name).is_none() {
        set_variable(name, value);
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "PHP reads its ini directories from the environment, and this process has one thread"
)]
fn set_variable(name: &str, value: impl AsRef<OsStr>) {
    // SAFETY: this process has one thread, and never gets another while Rust code runs.
    unsafe { std::env::set_var(name, value) };
}

/// The file name of the library that the build found, such as `libphp8.2.so`.
const LIBRARY: &str = env!("HOSTEL_PHP_LIBRARY");
