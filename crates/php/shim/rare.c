/*
 * Functions of PHP that change what is rarely looked at when a worker is put back (docs/fresh.md): whether a request has called one.
 */
#include "php.h"

#include "shim.h"

static int called;

/* Take note of the call, and do what PHP's own function does. */
#define NOTED(name)                                   \
    static zif_handler original_##name;               \
    static ZEND_FUNCTION(noted_##name)                \
    {                                                 \
        called = 1;                                   \
        original_##name(INTERNAL_FUNCTION_PARAM_PASSTHRU); \
    }

NOTED(pcntl_setpriority)
NOTED(pcntl_signal)
NOTED(pcntl_sigprocmask)
NOTED(posix_setpgid)
NOTED(posix_setrlimit)
NOTED(posix_setsid)
NOTED(proc_nice)
NOTED(readline)
NOTED(readline_callback_handler_install)

static void note(const char *name, zif_handler ours, zif_handler *original)
{
    zend_function *function = zend_hash_str_find_ptr(CG(function_table), name, strlen(name));
    if (function && function->type == ZEND_INTERNAL_FUNCTION) {
        *original = function->internal_function.handler;
        function->internal_function.handler = ours;
    }
}

#define NOTE(name) note(#name, ZEND_FN(noted_##name), &original_##name)

void hostel_php_note_rare_calls(void)
{
    NOTE(pcntl_setpriority);
    NOTE(pcntl_signal);
    NOTE(pcntl_sigprocmask);
    NOTE(posix_setpgid);
    NOTE(posix_setrlimit);
    NOTE(posix_setsid);
    NOTE(proc_nice);
    NOTE(readline);
    NOTE(readline_callback_handler_install);
}

int hostel_php_has_called_rare(void)
{
    return called;
}
