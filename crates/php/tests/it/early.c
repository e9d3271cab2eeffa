/* A module of PHP, under the name of one that is known, that has a worker draw random numbers as soon as it is forked, before the moment that it is put back to after each
 * request: so whatever DRAW draws from is seeded by then. Built by random.rs. */
#include "php.h"
#include <pthread.h>

int RAND_bytes(unsigned char *bytes, int length);
void gcry_create_nonce(void *bytes, size_t length);
int gnutls_rnd(int level, void *bytes, size_t length);

static void in_child(void)
{
    unsigned char bytes[16];
    (void)bytes;
    DRAW;
}

static PHP_MINIT_FUNCTION(early)
{
    return pthread_atfork(NULL, NULL, in_child) == 0 ? SUCCESS : FAILURE;
}

static zend_module_entry early_module_entry = {
    STANDARD_MODULE_HEADER, "psr", NULL, PHP_MINIT(early), NULL, NULL, NULL, NULL, "1", STANDARD_MODULE_PROPERTIES,
};

ZEND_GET_MODULE(early)
