//! The declarations of shim/shim.h, for Rust.
//!
//! Linked into zygote and workers. Nothing here has logic; `engine` is the only caller and says why each call is sound.

use std::ffi::{c_char, c_int, c_void};

/// `struct hostel_text`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Text {
    pub(crate) bytes: *const c_char,
    pub(crate) length: usize,
}

/// `struct hostel_variable`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Variable {
    pub(crate) name: Text,
    pub(crate) value: Text,
}

/// `struct hostel_request`.
#[repr(C)]
pub(crate) struct Request {
    pub(crate) exchange: *mut c_void,
    pub(crate) variables: *const Variable,
    pub(crate) variable_count: usize,
    pub(crate) body_bytes: u64,
    pub(crate) document_root_length: usize,
    pub(crate) script_directory_length: usize,
    pub(crate) foreign_owners: c_int,
}

/// `struct hostel_result`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) started: c_int,
    pub(crate) exit_status: c_int,
    pub(crate) memory_peak_bytes: usize,
    pub(crate) path_bytes_at_start: usize,
}

/// `struct hostel_caches`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Caches {
    pub(crate) patterns: usize,
    pub(crate) path_bytes: usize,
    pub(crate) path_seconds: i64,
}

/// `hostel_tell_key`.
pub(crate) type TellKey =
    unsafe extern "C" fn(context: *mut c_void, kind: c_int, bytes: *const c_char, length: usize);

/// `HOSTEL_KEY_PATH`; the other kind is a pattern.
pub(crate) const KEY_PATH: c_int = 1;

/// `struct hostel_callbacks`.
#[repr(C)]
pub(crate) struct Callbacks {
    pub(crate) head: unsafe extern "C" fn(
        exchange: *mut c_void,
        status: c_int,
        status_line: *const c_char,
        lines: *const Text,
        count: usize,
    ) -> c_int,
    pub(crate) write:
        unsafe extern "C" fn(exchange: *mut c_void, bytes: *const c_char, length: usize) -> c_int,
    pub(crate) flush: unsafe extern "C" fn(exchange: *mut c_void) -> c_int,
    pub(crate) finish: unsafe extern "C" fn(exchange: *mut c_void) -> c_int,
    pub(crate) read_body:
        unsafe extern "C" fn(exchange: *mut c_void, buffer: *mut c_char, length: usize) -> usize,
    pub(crate) log:
        unsafe extern "C" fn(exchange: *mut c_void, bytes: *const c_char, length: usize),
    pub(crate) file_cache: unsafe extern "C" fn(generation: u64) -> *const c_char,
    pub(crate) forget_files: unsafe extern "C" fn(),
}

unsafe extern "C" {
    pub(crate) fn hostel_php_start(
        callbacks: *const Callbacks,
        ini_entries: *const c_char,
        generation_rest: u64,
    ) -> c_int;
    pub(crate) fn hostel_php_opcache_runs() -> c_int;
    pub(crate) fn hostel_php_opcache_is_wanted() -> c_int;
    pub(crate) fn hostel_php_module(index: usize) -> *const c_char;
    pub(crate) fn hostel_php_lock_setting(name: *const c_char) -> c_int;
    pub(crate) fn hostel_php_disable_functions(list: *const c_char);
    pub(crate) fn hostel_php_disable_classes(list: *const c_char);
    pub(crate) fn hostel_php_free_memory(start: *mut usize, end: *mut usize);
    pub(crate) fn hostel_php_keep_chunks();
    pub(crate) fn hostel_php_give_chunks_back();
    pub(crate) fn hostel_php_free_chunks(start: *mut usize, end: *mut usize);
    pub(crate) fn hostel_php_note_rare_calls();
    pub(crate) fn hostel_php_has_called_rare() -> c_int;
    pub(crate) fn hostel_php_runs_native_code() -> c_int;
    pub(crate) fn hostel_php_forget_paths();
    pub(crate) fn hostel_php_look_at_caches(caches: *mut Caches);
    pub(crate) fn hostel_php_each_key(context: *mut c_void, tell: TellKey);
    pub(crate) fn hostel_php_warm(
        patterns: *const Text,
        pattern_count: usize,
        paths: *const Text,
        path_count: usize,
        nanoseconds_max: u64,
    ) -> c_int;
    pub(crate) fn hostel_php_run(request: *const Request, result: *mut Outcome);
    pub(crate) fn hostel_php_draw(text: *mut c_char, room: usize) -> usize;
    pub(crate) fn hostel_php_renew_generators();
}
