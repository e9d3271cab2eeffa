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

NOTED(pcntl_signal)
NOTED(pcntl_sigprocmask)
NOTED(posix_setrlimit)

static void note(const char *name, zif_handler ours, zif_handler *original)
{
    zend_function *function = zend_hash_str_find_ptr(CG(function_table), name, strlen(name));
    if (function && function->type == ZEND_INTERNAL_FUNCTION) {
        *original = function->internal_function.handler;
        function->internal_function.handler = ours;
    }
}

void hostel_php_note_rare_calls(void)
{
    note("pcntl_signal", ZEND_FN(noted_pcntl_signal), &original_pcntl_signal);
    note("pcntl_sigprocmask", ZEND_FN(noted_pcntl_sigprocmask), &original_pcntl_sigprocmask);
    note("posix_setrlimit", ZEND_FN(noted_posix_setrlimit), &original_posix_setrlimit);
}

int hostel_php_has_called_rare(void)
{
    return called;
}
