/*
 * Everything that Hostel asks of libphp, and everything that libphp asks of Hostel.
 *
 * Every Zend macro and every zend_try is in shim.c and warm.c: a PHP bailout is a longjmp and must not cross a Rust frame. So the
 * callbacks below are leaves: they never call PHP, and what they answer is acted on here, after their frame is gone.
 * Plain C types only. src/ffi.rs repeats these declarations for Rust.
 */
#ifndef HOSTEL_SHIM_H
#define HOSTEL_SHIM_H

#include <stddef.h>
#include <stdint.h>

/* Bytes with a NUL behind them that `length` does not count. */
struct hostel_text {
    const char *bytes;
    size_t length;
};

/* One variable of $_SERVER. */
struct hostel_variable {
    struct hostel_text name;
    struct hostel_text value;
};

/* A request, valid for the length of one hostel_php_run. `exchange` is handed to each callback. */
struct hostel_request {
    void *exchange;
    const struct hostel_variable *variables;
    size_t variable_count;
    uint64_t body_bytes;
    /* SCRIPT_FILENAME begins with the document root, and with its own directory up to and with the last slash. */
    size_t document_root_length;
    size_t script_directory_length;
    /* Whether a .user.ini of somebody else than the site's user and root counts. */
    int foreign_owners;
};

struct hostel_result {
    int started;                  /* 0: PHP could not start the request; the process is of no more use */
    int exit_status;              /* what the script gave to exit(), 255 after a fatal error */
    size_t memory_peak_bytes;
    size_t path_bytes_at_start;   /* of the cache of paths, before the script ran */
};

/* What PHP asks of Rust. Those that answer an int answer 0, or -1 when nobody takes the answer any more. */
struct hostel_callbacks {
    int (*head)(void *exchange, int status, const char *status_line, const struct hostel_text *lines, size_t count);
    int (*write)(void *exchange, const char *bytes, size_t length);
    int (*flush)(void *exchange);
    int (*finish)(void *exchange);      /* 0, or 1 when it was finished before */
    size_t (*read_body)(void *exchange, char *buffer, size_t length);
    void (*log)(void *exchange, const char *bytes, size_t length);
    /* Where OPcache is to keep compiled scripts, for a PHP of this number; NULL for nowhere. Asked once, while PHP starts. */
    const char *(*file_cache)(uint64_t generation);
    /* They are to be forgotten. */
    void (*forget_files)(void);
};

/* How much PHP keeps from one request to the next. */
struct hostel_caches {
    size_t patterns;              /* compiled ones */
    size_t path_bytes;            /* of where paths lead */
    int64_t path_seconds;         /* for how long that is believed; 0 for ever */
};

#define HOSTEL_KEY_PATTERN 0
#define HOSTEL_KEY_PATH 1

/* Takes a key; a leaf, as the callbacks are. */
typedef void (*hostel_tell_key)(void *context, int kind, const char *bytes, size_t length);

/* Start PHP with the lines of `ini_entries` (static, as php.ini would have them) above php.ini's. `generation_rest` is another
 * number where something else differs that compiled scripts depend on. 0, or -1. */
int hostel_php_start(const struct hostel_callbacks *callbacks, const char *ini_entries, uint64_t generation_rest);
/* 1 when OPcache runs, 0 when it does not. */
int hostel_php_opcache_runs(void);
/* 0 when the ini files switch OPcache off, else 1. */
int hostel_php_opcache_is_wanted(void);
/* The name of the module of this number, PHP's own and OPcache's kind counted alike; NULL behind the last. */
const char *hostel_php_module(size_t index);
/* Keep scripts and .user.ini from changing a setting. 0, or -1 where PHP does not know it. */
int hostel_php_lock_setting(const char *name);
/* Take away functions or classes, a list as disable_functions has it, on top of what php.ini takes away. */
void hostel_php_disable_functions(const char *list);
void hostel_php_disable_classes(const char *list);
/* The memory between these addresses is free: what stands there is nobody's. Both 0 where nothing is, or where that is not known. */
void hostel_php_free_memory(uintptr_t *start, uintptr_t *end);
/* From now on PHP's heap grows into memory that stays mapped, if there is some. To be called once. */
void hostel_php_keep_chunks(void);
/* Let go of what PHP holds back of it for later, beyond what stays anyway. The request that has ended must be undone next: PHP does not know. */
void hostel_php_give_chunks_back(void);
/* The part of it that PHP does not use. Both 0 where there is none. */
void hostel_php_free_chunks(uintptr_t *start, uintptr_t *end);
/* From now on it is noted when a script calls a function that changes what is rarely looked at: limits, actions of any signal. To be called once. */
void hostel_php_note_rare_calls(void);
/* Whether one was called since. */
int hostel_php_has_called_rare(void);
/* Whether scripts may call what they like of the process and the kernel. */
int hostel_php_runs_native_code(void);
/* Forget which path led to which file. */
void hostel_php_forget_paths(void);
/* What PHP keeps at the moment. No request runs. */
void hostel_php_look_at_caches(struct hostel_caches *caches);
/* Tell the keys of all that it keeps. No request runs. */
void hostel_php_each_key(void *context, hostel_tell_key tell);
/* Work out what these keys stand for, as far as this time allows, in a request that begins and ends and runs nothing of the site's. 0, or
 * -1 when the process is of no more use. */
int hostel_php_warm(const struct hostel_text *patterns, size_t pattern_count, const struct hostel_text *paths,
                    size_t path_count, uint64_t nanoseconds_max);
/* Run one request from its start to its shutdown. */
void hostel_php_run(const struct hostel_request *request, struct hostel_result *result);
/* Draw from all generators of random numbers that are in this process, between two requests: lines of a name, a space and what it yields,
 * without a NUL. How many bytes; 0 where PHP cannot run what draws. Where `text` is NULL, PHP begins and ends a request and draws nothing. */
size_t hostel_php_draw(char *text, size_t room);
/* Have those generators that can be told to draw their seed from the kernel anew. */
void hostel_php_renew_generators(void);

#endif
