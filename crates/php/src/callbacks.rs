//! What PHP calls: the Rust side of the SAPI's functions.
//!
//! Run by a worker from within PHP. Each is a leaf: it never calls PHP, and it never lets a panic out into C's frames; a panic is
//! recorded and answered as an error. What an error means to PHP is the shim's to do, once the Rust frame is gone.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::exchange::Exchange;
use crate::ffi::{Callbacks, KEY_PATH, Text};
use crate::file_cache;
use crate::keys::Kind;
use crate::reply::ScriptHead;

/// The table that the shim is given.
pub(crate) static TABLE: Callbacks = Callbacks {
    head,
    write,
    flush,
    finish,
    read_body,
    log,
    file_cache,
    forget_files,
};

/// Run `body` on the exchange, with `failed` as the answer to a panic.
///
/// # Safety
/// `exchange` is the pointer that `engine` put into the request, and no other reference to it lives: PHP has one thread, a
/// callback never leads into another, and `engine` does not touch the exchange while PHP runs.
unsafe fn guarded<T>(exchange: *mut c_void, failed: T, body: impl FnOnce(&mut Exchange) -> T) -> T {
    // SAFETY: the caller's promise.
    let Some(exchange) = (unsafe { exchange.cast::<Exchange>().as_mut() }) else {
        return failed;
    };
    let answer = catch_unwind(AssertUnwindSafe(|| body(exchange)));
    answer.unwrap_or_else(|_| {
        exchange.note_panic();
        failed
    })
}

/// The bytes of a text of PHP's.
///
/// # Safety
/// `bytes` is null, or valid for `length` bytes for as long as `'a`.
unsafe fn bytes_of<'a>(bytes: *const c_char, length: usize) -> &'a [u8] {
    if bytes.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(bytes.cast(), length) }
}

unsafe extern "C" fn head(
    exchange: *mut c_void,
    status: c_int,
    status_line: *const c_char,
    lines: *const Text,
    count: usize,
) -> c_int {
    let body = |exchange: &mut Exchange| {
        let lines = if count == 0 {
            &[]
        } else {
            // SAFETY: the shim passes an array of `count` texts that lives until the callback returns.
            unsafe { std::slice::from_raw_parts(lines, count) }
        };
        let line = |text: &Text| {
            // SAFETY: each is a header line of PHP's list, which does not change meanwhile.
            unsafe { bytes_of(text.bytes, text.length) }
        };
        let status_line = (!status_line.is_null()).then(|| {
            // SAFETY: a string of PHP's with its end, which does not change meanwhile.
            unsafe { CStr::from_ptr(status_line) }.to_bytes()
        });
        let head = ScriptHead {
            code: u16::try_from(status).unwrap_or(0),
            status_line,
            lines: lines.iter().map(line).collect(),
        };
        taken(exchange.head(&head).is_ok())
    };
    // SAFETY: called by the shim with the request's exchange.
    unsafe { guarded(exchange, ABORTED, body) }
}

unsafe extern "C" fn write(exchange: *mut c_void, bytes: *const c_char, length: usize) -> c_int {
    // SAFETY: the shim passes what PHP wants to write, valid until the callback returns.
    let bytes = unsafe { bytes_of(bytes, length) };
    let body = |exchange: &mut Exchange| taken(exchange.write(bytes).is_ok());
    // SAFETY: called by the shim with the request's exchange.
    unsafe { guarded(exchange, ABORTED, body) }
}

unsafe extern "C" fn flush(exchange: *mut c_void) -> c_int {
    let body = |exchange: &mut Exchange| taken(exchange.flush().is_ok());
    // SAFETY: called by the shim with the request's exchange.
    unsafe { guarded(exchange, ABORTED, body) }
}

unsafe extern "C" fn finish(exchange: *mut c_void) -> c_int {
    let body = |exchange: &mut Exchange| c_int::from(!exchange.finish());
    // SAFETY: called by the shim with the request's exchange.
    unsafe { guarded(exchange, ABORTED, body) }
}

unsafe extern "C" fn read_body(exchange: *mut c_void, buffer: *mut c_char, length: usize) -> usize {
    // PHP's buffer may be uninitialised, so it is cleared before it becomes a slice.
    // SAFETY: the shim passes a buffer of `length` bytes that nobody else uses until the callback returns.
    unsafe { buffer.write_bytes(0, length) };
    // SAFETY: the same, and it now is initialised.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    let body = |exchange: &mut Exchange| exchange.read_body(buffer);
    // SAFETY: called by the shim with the request's exchange.
    unsafe { guarded(exchange, 0, body) }
}

unsafe extern "C" fn log(exchange: *mut c_void, bytes: *const c_char, length: usize) {
    // SAFETY: the shim passes a message of PHP's, valid until the callback returns.
    let text = unsafe { bytes_of(bytes, length) };
    // SAFETY: called by the shim with the request's exchange.
    unsafe { guarded(exchange, (), |exchange| exchange.log(text)) };
}

/// Called while PHP starts, without an exchange: where to keep compiled scripts, null for nowhere.
unsafe extern "C" fn file_cache(generation: u64) -> *const c_char {
    let prepared = catch_unwind(|| file_cache::prepare(generation));
    // PHP starts without it.
    prepared
        .ok()
        .flatten()
        .map_or(std::ptr::null(), CStr::as_ptr)
}

/// A script has reset OPcache.
unsafe extern "C" fn forget_files() {
    // A panic has been told on standard error, and the script goes on.
    drop(catch_unwind(file_cache::forget_all));
}

/// Takes keys of PHP's caches, one after the other.
pub(crate) type TakeKey<'a> = &'a mut dyn FnMut(Kind, &[u8]);

/// A key of one of PHP's caches.
///
/// # Safety
/// `context` is the pointer to a [`TakeKey`] that `engine` handed over, and nobody else uses that meanwhile.
pub(crate) unsafe extern "C" fn key(
    context: *mut c_void,
    kind: c_int,
    bytes: *const c_char,
    length: usize,
) {
    // SAFETY: the caller's promise.
    let take = unsafe { &mut *context.cast::<TakeKey<'_>>() };
    // SAFETY: the shim passes a key that does not change until the callback returns.
    let bytes = unsafe { bytes_of(bytes, length) };
    let kind = match kind {
        KEY_PATH => Kind::Path,
        _ => Kind::Pattern,
    };
    // A key that is not taken is one that is not warm.
    drop(catch_unwind(AssertUnwindSafe(|| take(kind, bytes))));
}

fn taken(taken: bool) -> c_int {
    if taken { 0 } else { ABORTED }
}

/// Nobody takes the answer any more.
const ABORTED: c_int = -1;
