/*
 * What PHP has worked out from a text and would work out from it again: compiled patterns, and where paths lead.
 *
 * A worker that is put back after each request loses both. Here their keys are told, and worked out again in a request in which nothing of
 * the site's runs: no script, no handler, no session.
 */
#include "php.h"
#include "php_ini.h"
#include "php_main.h"
#include "SAPI.h"
#include "ext/pcre/php_pcre.h"
#include "zend_virtual_cwd.h"

#include <time.h>

#include "shim.h"
#include "warm.h"

bool hostel_is_warming;

void hostel_php_look_at_caches(struct hostel_caches *caches)
{
    caches->patterns = zend_hash_num_elements(&PCRE_G(pcre_cache));
    caches->path_bytes = (size_t)realpath_cache_size();
    caches->path_seconds = zend_ini_long(ZEND_STRL("realpath_cache_ttl"), 0);
}

void hostel_php_each_key(void *context, hostel_tell_key tell)
{
    zend_string *pattern;
    ZEND_HASH_MAP_FOREACH_STR_KEY(&PCRE_G(pcre_cache), pattern) {
        if (pattern) {
            tell(context, HOSTEL_KEY_PATTERN, ZSTR_VAL(pattern), ZSTR_LEN(pattern));
        }
    } ZEND_HASH_FOREACH_END();
    realpath_cache_bucket **buckets = realpath_cache_get_buckets();
    for (zend_long i = 0; i < realpath_cache_max_buckets(); i++) {
        for (realpath_cache_bucket *path = buckets[i]; path; path = path->next) {
            tell(context, HOSTEL_KEY_PATH, path->path, path->path_len);
        }
    }
}

/* ---- the request that nobody asked for ------------------------------------------------------------------------- */

static void set_for_this_request(const char *name, const char *value)
{
    zend_string *key = zend_string_init(name, strlen(name), 0);
    zend_string *text = zend_string_init(value, strlen(value), 0);
    /* By force: some are for .user.ini alone, and an administrator may have locked any. */
    zend_alter_ini_entry_ex(key, text, PHP_INI_SYSTEM, PHP_INI_STAGE_HTACCESS, 1);
    zend_string_release(text);
    zend_string_release(key);
}

/* Called by sapi_activate: what would begin a session, draw random numbers, call a function of the site's or say something. */
void hostel_quieten_request(void)
{
    set_for_this_request("session.auto_start", "0");
    set_for_this_request("output_buffering", "0");
    set_for_this_request("output_handler", "");
    set_for_this_request("zlib.output_compression", "0");
    set_for_this_request("zlib.output_handler", "");
    set_for_this_request("error_reporting", "0");
}

static uint64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void compile(const struct hostel_text *pattern)
{
    uint32_t before = zend_hash_num_elements(&PCRE_G(pcre_cache));
    zend_string *key = zend_string_init(pattern->bytes, pattern->length, 0);
    pcre_cache_entry *entry = pcre_get_compiled_regex_cache(key);
    if (entry && zend_hash_num_elements(&PCRE_G(pcre_cache)) > before) {
        /* A script that fills the cache must not free it: its memory is the same for each request. */
        php_pcre_pce_incref(entry);
    }
    zend_string_release(key);
}

int hostel_php_warm(const struct hostel_text *patterns, size_t pattern_count, const struct hostel_text *paths,
                    size_t path_count, uint64_t nanoseconds_max)
{
    volatile int started = 0, finished = 0;
    const php_pcre_error_code error_before = PCRE_G(error_code);
    uint64_t end = nanoseconds() + nanoseconds_max;
    hostel_is_warming = true;
    zend_first_try {
        if (php_request_startup() == SUCCESS) {
            started = 1;
            hostel_remember_signal_handlers();
            for (size_t i = 0; i < path_count && nanoseconds() < end; i++) {
                char real_path[MAXPATHLEN];
                php_ignore_value(tsrm_realpath(paths[i].bytes, real_path));
            }
            for (size_t i = 0; i < pattern_count && nanoseconds() < end; i++) {
                compile(&patterns[i]);
            }
            finished = 1;
        }
    } zend_end_try();
    if (started) {
        zend_try {
            php_request_shutdown(NULL);
        } zend_end_try();
        hostel_compare_signal_handlers();
    }
    hostel_is_warming = false;
    PCRE_G(error_code) = error_before;
    EG(exit_status) = 0;
    return started && finished ? 0 : -1;
}
