/*
 * Functions of PHP that change what is rarely looked at when a worker is put back (docs/fresh.md): whether a request has called one.
 */
#include "php.h"

#include "shim.h"

static int called;

/* All of them. */
#define RARE(each) \
    each(pcntl_setpriority) \
    each(pcntl_signal) \
    each(pcntl_sigprocmask) \
    each(posix_setpgid) \
    each(posix_setrlimit) \
    each(posix_setsid) \
    each(proc_nice) \
    each(readline) \
    each(readline_callback_handler_install)

/* Take note of the call, and do what PHP's own function does. */
#define NOTED(name)                                   \
    static zif_handler original_##name;               \
    static ZEND_FUNCTION(noted_##name)                \
    {                                                 \
        called = 1;                                   \
        original_##name(INTERNAL_FUNCTION_PARAM_PASSTHRU); \
    }

RARE(NOTED)

static void note(const char *name, zif_handler ours, zif_handler *original)
{
    zend_function *function = zend_hash_str_find_ptr(CG(function_table), name, strlen(name));
    if (function && function->type == ZEND_INTERNAL_FUNCTION) {
        *original = function->internal_function.handler;
        function->internal_function.handler = ours;
    }
}

#define NOTE(name) note(#name, ZEND_FN(noted_##name), &original_##name);

void hostel_php_note_rare_calls(void)
{
    RARE(NOTE)
}

int hostel_php_has_called_rare(void)
{
    return called;
}
