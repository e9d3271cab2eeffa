/*
 * The generators of random numbers that are in this process: drawn from, for the trial that shows whether a rewind repeats them
 * (src/trial.rs), and seeded anew where it does.
 *
 * Libraries are asked for by the names of their functions, and only those that some module has loaded: none is linked for this.
 */
#define _GNU_SOURCE
#include "php.h"
#include "php_main.h"
#include "SAPI.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "shim.h"
#include "warm.h"

/* Two draws of everything that PHP and its modules have, by name. What this PHP has not, or a site has switched off, throws and is left out:
 * no other function is called. What takes long and draws from one of these all the same (salts of passwords, keys) is left to the tests. */
static const char draws_of_php[] =
    "(static function () {\n"
    "    $draws = [];\n"
    "    $take = static function ($name, $draw) use (&$draws) {\n"
    "        try {\n"
    "            $draws[$name] = $draw() . ' ' . $draw();\n"
    "        } catch (Throwable) {\n"
    "        }\n"
    "    };\n"
    "    $functions = [\n"
    "        'gmp_random_bits' => [64], 'lcg_value' => [], 'mcrypt_create_iv' => [16], 'mt_rand' => [],\n"
    "        'openssl_random_pseudo_bytes' => [16], 'rand' => [], 'random_bytes' => [16], 'random_int' => [0, PHP_INT_MAX],\n"
    "        'session_create_id' => [], 'sodium_crypto_secretbox_keygen' => [],\n"
    "        'str_shuffle' => ['abcdefghijklmnopqrstuvwxyz0123456789'], 'uniqid' => ['', true], 'uuid_create' => [4],\n"
    "    ];\n"
    "    foreach ($functions as $function => $arguments) {\n"
    "        $take($function, static fn () => (string) $function(...$arguments));\n"
    "    }\n"
    "    foreach (['Mt19937', 'PcgOneseq128XslRr64', 'Secure', 'Xoshiro256StarStar'] as $engine) {\n"
    "        $class = \"Random\\\\Engine\\\\$engine\";\n"
    "        $take($class, static fn () => (new $class)->generate() . (new $class)->generate());\n"
    "    }\n"
    "    $take('MongoDB\\\\BSON\\\\ObjectId', static fn () => (string) new MongoDB\\BSON\\ObjectId);\n"
    "    return $draws;\n"
    "})()";

/* Lines of a name and a number. */
struct draws {
    char *bytes;
    size_t length;
    size_t room;
    /* Whether there was one for which there is no room. */
    int is_short;
};

static void take(struct draws *draws, const char *name, const unsigned char *number, size_t length)
{
    size_t needed = strlen(name) + 2 * length + 3;
    if (draws->room - draws->length < needed) {
        draws->is_short = 1;
        return;
    }
    draws->length += (size_t)sprintf(draws->bytes + draws->length, "%s ", name);
    for (size_t i = 0; i < length; i++) {
        draws->length += (size_t)sprintf(draws->bytes + draws->length, "%02x", number[i]);
    }
    draws->bytes[draws->length++] = '\n';
}

static int (*activate)(void);

/* Called by php_request_startup in the place of what it calls for a site's requests. */
static int activate_quietly(void)
{
    hostel_quieten_request();
    return activate();
}

/* How many generators PHP has. Without draws it is a request in which nothing happens. */
static size_t draw_from_php(struct draws *draws)
{
    volatile size_t count = 0;
    activate = sapi_module.activate;
    sapi_module.activate = activate_quietly;
    zend_first_try {
        if (php_request_startup() == SUCCESS && draws) {
            zval numbers;
            ZVAL_UNDEF(&numbers);
            if (zend_eval_stringl(draws_of_php, sizeof draws_of_php - 1, &numbers, "hostel-php") == SUCCESS
                && Z_TYPE(numbers) == IS_ARRAY) {
                zend_string *name;
                zval *number;
                ZEND_HASH_FOREACH_STR_KEY_VAL(Z_ARR(numbers), name, number) {
                    if (name && Z_TYPE_P(number) == IS_STRING) {
                        take(draws, ZSTR_VAL(name), (const unsigned char *)Z_STRVAL_P(number), Z_STRLEN_P(number));
                        count++;
                    }
                } ZEND_HASH_FOREACH_END();
            }
            zval_ptr_dtor(&numbers);
        }
    } zend_catch {
        count = 0;
    } zend_end_try();
    zend_try {
        php_request_shutdown(NULL);
    } zend_end_try();
    sapi_module.activate = activate;
    return count;
}

/* A function of whichever library has it; NULL where none is loaded. */
#define FUNCTION(type, name) ((type)dlsym(RTLD_DEFAULT, name))
/* krb5_data. */
struct kerberos_text {
    int magic;
    unsigned int length;
    char *bytes;
};

static void draw_from_libraries(struct draws *draws)
{
    unsigned char number[16];
    static const char *const fillers[] = {"arc4random_buf", "gcry_create_nonce", "randombytes_buf"};
    for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++) {
        void (*fill)(void *, size_t) = FUNCTION(void (*)(void *, size_t), fillers[i]);
        if (fill) {
            fill(number, sizeof number);
            take(draws, fillers[i], number, sizeof number);
        }
    }
    static const char *const of_openssl[] = {"RAND_bytes", "RAND_priv_bytes"};
    for (size_t i = 0; i < sizeof of_openssl / sizeof *of_openssl; i++) {
        int (*fill)(unsigned char *, int) = FUNCTION(int (*)(unsigned char *, int), of_openssl[i]);
        if (fill && fill(number, sizeof number) == 1) {
            take(draws, of_openssl[i], number, sizeof number);
        }
    }
    static const char *const of_uuid[] = {"uuid_generate_random", "uuid_generate_time"};
    for (size_t i = 0; i < sizeof of_uuid / sizeof *of_uuid; i++) {
        void (*make)(unsigned char *) = FUNCTION(void (*)(unsigned char *), of_uuid[i]);
        if (make) {
            make(number);
            take(draws, of_uuid[i], number, sizeof number);
        }
    }
    void (*gcrypt)(void *, size_t, int) = FUNCTION(void (*)(void *, size_t, int), "gcry_randomize");
    if (gcrypt) {
        gcrypt(number, sizeof number, 1 /* GCRY_STRONG_RANDOM */);
        take(draws, "gcry_randomize", number, sizeof number);
    }
    static const char *const of_gnutls[] = {"gnutls_rnd nonce", "gnutls_rnd random", "gnutls_rnd key"};
    int (*gnutls)(int, void *, size_t) = FUNCTION(int (*)(int, void *, size_t), "gnutls_rnd");
    for (int level = 0; gnutls && level < 3; level++) {
        if (gnutls(level, number, sizeof number) == 0) {
            take(draws, of_gnutls[level], number, sizeof number);
        }
    }
    int (*kerberos)(void *, struct kerberos_text *) =
        FUNCTION(int (*)(void *, struct kerberos_text *), "krb5_c_random_make_octets");
    struct kerberos_text wanted = {0, sizeof number, (char *)number};
    if (kerberos && kerberos(NULL, &wanted) == 0) {
        take(draws, "krb5_c_random_make_octets", number, sizeof number);
    }
    uint32_t (*glib)(void) = FUNCTION(uint32_t (*)(void), "g_random_int");
    if (glib) {
        uint32_t numbers[] = {glib(), glib(), glib(), glib()};
        take(draws, "g_random_int", (unsigned char *)numbers, sizeof numbers);
    }
}

size_t hostel_php_draw(char *text, size_t room)
{
    if (!text) {
        draw_from_php(NULL);
        return 0;
    }
    struct draws draws = {text, 0, room, 0};
    if (draw_from_php(&draws) == 0) {
        return 0;
    }
    draw_from_libraries(&draws);
    /* A generator that was left out would count as sound. */
    return draws.is_short ? 0 : draws.length;
}

void hostel_php_renew_generators(void)
{
    int (*openssl)(void) = FUNCTION(int (*)(void), "RAND_poll");
    if (openssl) {
        openssl();
    }
    void (*gnutls)(void) = FUNCTION(void (*)(void), "gnutls_rnd_refresh");
    if (gnutls) {
        gnutls();
    }
}
