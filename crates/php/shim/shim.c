/*
 * The C side of hostel-php: a SAPI that behaves like FPM's, see shim.h for its one rule.
 *
 * It calls itself fpm-fcgi, because OPcache starts only under names that it knows and applications ask for that one.
 */
#include "php.h"
#include "php_ini.h"
#include "php_main.h"
#include "php_output.h"
#include "php_variables.h"
#include "SAPI.h"
#include "ext/standard/head.h"
#include "zend_alloc_sizes.h"
#include "zend_extensions.h"
#include "zend_inheritance.h"
#include "zend_signal.h"
#include "zend_stream.h"
#include "zend_virtual_cwd.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shim.h"
#include "warm.h"

static struct hostel_callbacks callbacks;
static size_t memory_peak_bytes;

/* NULL while PHP starts, which may run a script of its own (opcache.preload). */
static const struct hostel_request *current_request(void)
{
    return SG(server_context);
}

static void *current_exchange(void)
{
    return current_request()->exchange;
}

/* ---- $_SERVER and the environment ------------------------------------------------------------------------------ */

static void (*import_process_environment)(zval *array);

static const struct hostel_variable *find_variable(const char *name, size_t length)
{
    const struct hostel_request *request = current_request();
    for (size_t i = 0; request && i < request->variable_count; i++) {
        const struct hostel_variable *variable = &request->variables[i];
        if (variable->name.length == length && memcmp(variable->name.bytes, name, length) == 0) {
            return variable;
        }
    }
    return NULL;
}

/* NULL where the request has no such variable. */
static const char *value_of(const char *name)
{
    const struct hostel_variable *variable = find_variable(name, strlen(name));
    return variable ? variable->value.bytes : NULL;
}

static char *sapi_hostel_getenv(const char *name, size_t length)
{
    const struct hostel_variable *variable = find_variable(name, length);
    if (variable) {
        return (char *)variable->value.bytes;
    }
    return current_request() ? NULL : getenv(name);
}

static void register_filtered(int source, const char *name, const char *bytes, size_t length, zval *array)
{
    char *value = estrndup(bytes, length);
    size_t filtered = length;
    if (sapi_module.input_filter(source, name, &value, length, &filtered)) {
        php_register_variable_safe(name, value, filtered, array);
    }
    efree(value);
}

/* The process's own variables, then the request's: what FPM puts into $_SERVER, $_ENV and getenv(). */
static void import_environment(zval *array)
{
    const struct hostel_request *request = current_request();
    zval *env = &PG(http_globals)[TRACK_VARS_ENV];
    int source = Z_TYPE_P(env) == IS_ARRAY && Z_ARR_P(array) == Z_ARR_P(env) ? PARSE_ENV : PARSE_SERVER;
    import_process_environment(array);
    for (size_t i = 0; request && i < request->variable_count; i++) {
        const struct hostel_variable *variable = &request->variables[i];
        register_filtered(source, variable->name.bytes, variable->value.bytes, variable->value.length, array);
    }
}

static void load_environment(zval *array)
{
    const struct hostel_request *request = current_request();
    import_process_environment(array);
    for (size_t i = 0; request && i < request->variable_count; i++) {
        const struct hostel_variable *variable = &request->variables[i];
        php_register_variable_safe(variable->name.bytes, variable->value.bytes, variable->value.length, array);
    }
}

static void sapi_hostel_register_variables(zval *array)
{
    php_import_environment_variables(array);
    if (!current_request()) {
        return;
    }
    char *self;
    size_t length = spprintf(&self, 0, "%s%s", value_of("SCRIPT_NAME"), value_of("PATH_INFO"));
    register_filtered(PARSE_SERVER, "PHP_SELF", self, length, array);
    efree(self);
}

static char *sapi_hostel_read_cookies(void)
{
    return (char *)value_of("HTTP_COOKIE");
}

/* ---- body in, answer out --------------------------------------------------------------------------------------- */

static size_t sapi_hostel_read_post(char *buffer, size_t length)
{
    return current_request() ? callbacks.read_body(current_exchange(), buffer, length) : 0;
}

static size_t sapi_hostel_write(const char *bytes, size_t length)
{
    if (!current_request()) {
        return fwrite(bytes, 1, length, stderr);
    }
    if (callbacks.write(current_exchange(), bytes, length) != 0) {
        php_handle_aborted_connection();
        return 0;
    }
    return length;
}

static void sapi_hostel_flush(void *context)
{
    if (!context) {
        return;
    }
    sapi_send_headers();
    if (callbacks.flush(current_exchange()) != 0) {
        php_handle_aborted_connection();
    }
}

/* The lines go to Rust in one array; which of them count, src/reply.rs decides. */
static int sapi_hostel_send_headers(sapi_headers_struct *headers)
{
    if (SG(request_info).no_headers || !current_request()) {
        return SAPI_HEADER_SENT_SUCCESSFULLY;
    }
    size_t count = 0;
    struct hostel_text *lines = safe_emalloc(zend_llist_count(&headers->headers), sizeof *lines, sizeof *lines);
    zend_llist_position position;
    for (sapi_header_struct *line = zend_llist_get_first_ex(&headers->headers, &position); line;
         line = zend_llist_get_next_ex(&headers->headers, &position)) {
        lines[count++] = (struct hostel_text){line->header, line->header_len};
    }
    int taken = callbacks.head(current_exchange(), SG(sapi_headers).http_response_code,
                               SG(sapi_headers).http_status_line, lines, count);
    efree(lines);
    if (taken != 0) {
        php_handle_aborted_connection();
    }
    return SAPI_HEADER_SENT_SUCCESSFULLY;
}

static void sapi_hostel_log(const char *message, int level)
{
    (void)level;
    if (current_request()) {
        callbacks.log(current_exchange(), message, strlen(message));
    } else {
        fprintf(stderr, "%s\n", message);
    }
}

/* ---- .user.ini ------------------------------------------------------------------------------------------------- */

/* What the .user.ini files from the document root down to one directory say together. */
struct user_settings {
    time_t expires;
    HashTable values;
};

static HashTable user_settings_cache;

static void user_settings_free(zval *element)
{
    struct user_settings *settings = Z_PTR_P(element);
    zend_hash_destroy(&settings->values);
    free(settings);
}

static char *script_directory(const struct hostel_request *request)
{
    return estrndup(value_of("SCRIPT_FILENAME"), request->script_directory_length);
}

static struct user_settings *user_settings_of(const char *directory, size_t length)
{
    struct user_settings *settings = zend_hash_str_find_ptr(&user_settings_cache, directory, length);
    if (!settings) {
        settings = pemalloc(sizeof *settings, 1);
        settings->expires = 0;
        zend_hash_init(&settings->values, 0, NULL, config_zval_dtor, 1);
        zend_hash_str_update_ptr(&user_settings_cache, directory, length, settings);
    }
    return settings;
}

/* Directories whose settings are remembered; the cache is emptied beyond, so that no site can fill its memory with it. */
#define USER_SETTINGS_MAX 1000

/* Whose settings these are: nobody else may give the site any. The directories are not writable by others, which was checked. */
static int is_trusted_ini(const char *directory, const struct hostel_request *request)
{
    char path[MAXPATHLEN];
    struct stat found;
    int length = snprintf(path, sizeof path, "%s/%s", directory, PG(user_ini_filename));
    return length > 0 && (size_t)length < sizeof path && stat(path, &found) == 0
           && (request->foreign_owners || found.st_uid == geteuid() || found.st_uid == 0);
}

static void activate_user_settings(const struct hostel_request *request)
{
    if (zend_hash_num_elements(&user_settings_cache) >= USER_SETTINGS_MAX) {
        zend_hash_clean(&user_settings_cache);
    }
    struct user_settings *settings = user_settings_of(value_of("SCRIPT_FILENAME"), request->script_directory_length);
    time_t now = (time_t)sapi_get_request_time();
    if (now > settings->expires) {
        zend_hash_clean(&settings->values);
        char *directory = script_directory(request);
        for (char *slash = strchr(directory + request->document_root_length, '/'); slash; slash = strchr(slash + 1, '/')) {
            char behind = slash[0];
            slash[0] = '\0';
            if (is_trusted_ini(directory, request)) {
                php_parse_user_ini_file(directory, PG(user_ini_filename), &settings->values);
            }
            slash[0] = behind;
        }
        efree(directory);
        settings->expires = now + PG(user_ini_cache_ttl);
    }
    php_ini_activate_config(&settings->values, PHP_INI_PERDIR, PHP_INI_STAGE_HTACCESS);
}

/* Called by php_request_startup: sections [HOST=] and [PATH=] of php.ini, then .user.ini, in FPM's order. */
static int sapi_hostel_activate(void)
{
    const struct hostel_request *request = current_request();
    if (hostel_is_warming) {
        hostel_quieten_request();
    }
    if (!request) {
        return SUCCESS;
    }
    if (php_ini_has_per_host_config()) {
        const char *server_name = value_of("SERVER_NAME");
        char *name = zend_str_tolower_dup(server_name, strlen(server_name));
        php_ini_activate_per_host_config(name, strlen(name));
        efree(name);
    }
    if (php_ini_has_per_dir_config()) {
        char *directory = script_directory(request);
        php_ini_activate_per_dir_config(directory, request->script_directory_length);
        efree(directory);
    }
    if (PG(user_ini_filename) && *PG(user_ini_filename)) {
        activate_user_settings(request);
    }
    return SUCCESS;
}

/* Called by php_request_shutdown while the request's memory still is there. */
static int sapi_hostel_deactivate(void)
{
    memory_peak_bytes = zend_memory_peak_usage(1);
    return SUCCESS;
}

/* ---- OPcache's file cache -------------------------------------------------------------------------------------- */

/* PHP's table of what its ini files say; its modules read it when they start. */
static HashTable *configuration;
static uint64_t rest_of_generation;

static void set_ini_default(const char *name, const char *value)
{
    zval text;
    ZVAL_NEW_STR(&text, zend_string_init(value, strlen(value), 1));
    zend_hash_str_update(configuration, name, strlen(name), &text);
}

static uint64_t hash(uint64_t sum, const char *bytes, size_t length)
{
    /* FNV-1a, with a step for the end, so that two texts are not one. */
    for (size_t i = 0; i <= length; i++) {
        sum = (sum ^ (i < length ? (unsigned char)bytes[i] : 0x100)) * UINT64_C(0x100000001b3);
    }
    return sum;
}

static uint64_t hash_settings(uint64_t sum, HashTable *settings)
{
    zend_ulong number;
    zend_string *name;
    zval *value;
    ZEND_HASH_FOREACH_KEY_VAL(settings, number, name, value) {
        sum = name ? hash(sum, ZSTR_VAL(name), ZSTR_LEN(name)) : hash(sum, (const char *)&number, sizeof number);
        if (Z_TYPE_P(value) == IS_ARRAY) {
            sum = hash_settings(sum, Z_ARRVAL_P(value));
        } else if (Z_TYPE_P(value) == IS_STRING) {
            sum = hash(sum, Z_STRVAL_P(value), Z_STRLEN_P(value));
        }
    } ZEND_HASH_FOREACH_END();
    return sum;
}

/* What a script is compiled to depends on PHP, on its modules, whose constants become part of it, and on settings. OPcache looks at
 * its own build alone. */
static uint64_t generation(void)
{
    uint64_t sum = hash(UINT64_C(0xcbf29ce484222325), (const char *)&rest_of_generation, sizeof rest_of_generation);
    zend_module_entry *loaded;
    ZEND_HASH_MAP_FOREACH_PTR(&module_registry, loaded) {
        const char *version = loaded->version ? loaded->version : "";
        sum = hash(hash(sum, loaded->name, strlen(loaded->name)), version, strlen(version));
    } ZEND_HASH_FOREACH_END();
    return hash_settings(sum, configuration);
}

/* Called when all ini files are read and before OPcache starts. Compiled scripts on disk outlive PHP. Where a script's time does not
 * count, its end is what makes a changed one count; and what a preloaded script has defined is taken for granted by others. */
static void choose_file_cache(void)
{
    zend_long times_count;
    char *preloaded = NULL;
    bool is_sound = (cfg_get_long("opcache.validate_timestamps", &times_count) == FAILURE || times_count != 0)
        && (cfg_get_string("opcache.preload", &preloaded) == FAILURE || !preloaded || !*preloaded);
    const char *directory = is_sound ? callbacks.file_cache(generation()) : NULL;
    set_ini_default("opcache.file_cache", directory ? directory : "");
}

static zif_handler reset_memory;

/* opcache_reset() as php-fpm has it leaves nothing that was compiled; OPcache's own would leave the files. */
static ZEND_NAMED_FUNCTION(reset_memory_and_files)
{
    reset_memory(INTERNAL_FUNCTION_PARAM_PASSTHRU);
    if (Z_TYPE_P(return_value) == IS_TRUE) {
        callbacks.forget_files();
    }
}

static void extend_reset(void)
{
    zend_internal_function *reset = zend_hash_str_find_ptr(CG(function_table), ZEND_STRL("opcache_reset"));
    if (reset && reset->type == ZEND_INTERNAL_FUNCTION) {
        reset_memory = reset->handler;
        reset->handler = reset_memory_and_files;
    }
}

/* ---- functions and settings that FPM has ----------------------------------------------------------------------- */

PHP_FUNCTION(fastcgi_finish_request)
{
    ZEND_PARSE_PARAMETERS_NONE();
    if (!current_request()) {
        RETURN_FALSE;
    }
    php_output_end_all();
    php_header();
    RETURN_BOOL(callbacks.finish(current_exchange()) == 0);
}

PHP_FUNCTION(apache_request_headers)
{
    ZEND_PARSE_PARAMETERS_NONE();
    array_init(return_value);
    const struct hostel_request *request = current_request();
    for (size_t i = 0; request && i < request->variable_count; i++) {
        const struct hostel_variable *variable = &request->variables[i];
        sapi_add_request_header(variable->name.bytes, (unsigned int)variable->name.length,
                                (char *)variable->value.bytes, (unsigned int)variable->value.length, return_value);
    }
}

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_finish_request, 0, 0, _IS_BOOL, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_request_headers, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

static const zend_function_entry functions[] = {
    PHP_FE(fastcgi_finish_request, arginfo_finish_request)
    PHP_FE(apache_request_headers, arginfo_request_headers)
    PHP_FALIAS(getallheaders, apache_request_headers, arginfo_request_headers)
    PHP_FE_END
};

/* Read by applications that check for it; the front splits paths, so it changes nothing. */
PHP_INI_BEGIN()
    PHP_INI_ENTRY("cgi.fix_pathinfo", "1", PHP_INI_SYSTEM, NULL)
PHP_INI_END()

static PHP_MINIT_FUNCTION(hostel)
{
    REGISTER_INI_ENTRIES();
    choose_file_cache();
    return SUCCESS;
}

static zend_module_entry module = {
    STANDARD_MODULE_HEADER,
    "cgi-fcgi",
    functions,
    PHP_MINIT(hostel),
    NULL,
    NULL,
    NULL,
    NULL,
    PHP_VERSION,
    STANDARD_MODULE_PROPERTIES
};

/* ---- start ----------------------------------------------------------------------------------------------------- */

/* Defaults that php.ini may override. */
static void sapi_hostel_ini_defaults(HashTable *read)
{
    configuration = read;
    set_ini_default("sys_temp_dir", "/tmp");
    set_ini_default("upload_tmp_dir", "/tmp");
}

static int sapi_hostel_startup(sapi_module_struct *sapi)
{
    return php_module_startup(sapi, &module);
}

static sapi_module_struct sapi = {
    .name = "fpm-fcgi",
    .pretty_name = "FPM/FastCGI",
    .startup = sapi_hostel_startup,
    .shutdown = php_module_shutdown_wrapper,
    .activate = sapi_hostel_activate,
    .deactivate = sapi_hostel_deactivate,
    .ub_write = sapi_hostel_write,
    .flush = sapi_hostel_flush,
    .getenv = sapi_hostel_getenv,
    .sapi_error = php_error,
    .send_headers = sapi_hostel_send_headers,
    .read_post = sapi_hostel_read_post,
    .read_cookies = sapi_hostel_read_cookies,
    .register_server_variables = sapi_hostel_register_variables,
    .log_message = sapi_hostel_log,
    .ini_defaults = sapi_hostel_ini_defaults,
    .php_ini_ignore_cwd = 1,
};

int hostel_php_start(const struct hostel_callbacks *from_rust, const char *ini_entries, uint64_t generation_rest)
{
    callbacks = *from_rust;
    rest_of_generation = generation_rest;
#ifdef ZEND_SIGNALS
    zend_signal_startup();
#endif
    sapi_startup(&sapi);
    sapi.ini_entries = (char *)ini_entries;
    if (sapi.startup(&sapi) == FAILURE) {
        return -1;
    }
    extend_reset();
    zend_hash_init(&user_settings_cache, 0, NULL, user_settings_free, 1);
    import_process_environment = php_import_environment_variables;
    php_import_environment_variables = import_environment;
    php_load_environment_variables = load_environment;
    return 0;
}

/* OPcache's last step of a successful start is to put its inheritance cache in place; nothing else sets it. */
int hostel_php_opcache_runs(void)
{
    return zend_inheritance_cache_get != NULL;
}

/* Asked of what the ini files say, since there is no such setting where the module is missing. */
int hostel_php_opcache_is_wanted(void)
{
    zend_long enabled;
    return cfg_get_long("opcache.enable", &enabled) == FAILURE || enabled != 0;
}

const char *hostel_php_module(size_t index)
{
    zend_module_entry *module_there;
    ZEND_HASH_FOREACH_PTR(&module_registry, module_there) {
        if (index-- == 0) {
            return module_there->name;
        }
    } ZEND_HASH_FOREACH_END();
    zend_llist_position position;
    for (zend_extension *extension = zend_llist_get_first_ex(&zend_extensions, &position); extension;
         extension = zend_llist_get_next_ex(&zend_extensions, &position)) {
        if (index-- == 0) {
            return extension->name;
        }
    }
    return NULL;
}

int hostel_php_lock_setting(const char *name)
{
    zend_ini_entry *entry = zend_hash_str_find_ptr(EG(ini_directives), name, strlen(name));
    if (!entry) {
        return -1;
    }
    entry->modifiable = ZEND_INI_SYSTEM;
    return 0;
}

/* Show in ini_get what was added to a list that php.ini may have begun. */
static void append_to_setting(const char *name, const char *list)
{
    zend_ini_entry *entry = zend_hash_str_find_ptr(EG(ini_directives), name, strlen(name));
    if (!entry) {
        return;
    }
    const char *before = entry->value ? ZSTR_VAL(entry->value) : "";
    size_t length = strlen(before) + 1 + strlen(list);
    zend_string *both = zend_string_alloc(length, 1);
    ZSTR_LEN(both) = (size_t)snprintf(ZSTR_VAL(both), length + 1, "%s%s%s", before, *before ? "," : "", list);
    entry->value = both;
}

void hostel_php_disable_functions(const char *list)
{
    zend_disable_functions(list);
    append_to_setting("disable_functions", list);
}

void hostel_php_disable_classes(const char *list)
{
    for (const char *name = list + strspn(list, " ,"); *name; name += strspn(name, " ,")) {
        size_t length = strcspn(name, " ,");
        char *copy = strndup(name, length);
        zend_disable_class(copy, length);
        free(copy);
        name += length;
    }
    append_to_setting("disable_classes", list);
}

/* PHP's start ends with a working directory in the heap, which the end of a request takes away. Before the first request that is all there is. */
static void forget_start(void)
{
    if (zend_memory_usage(0) != 0) {
        virtual_cwd_deactivate();
        if (zend_memory_usage(0) == 0) {
            shutdown_memory_manager(1, 0);
        }
    }
}

/* PHP's heap begins with one chunk, whose first page describes it. Where nothing is allocated, no other page of it is used. */
void hostel_php_free_memory(uintptr_t *start, uintptr_t *end)
{
    *start = *end = 0;
    if (is_zend_mm()) {
        forget_start();
    }
    if (is_zend_mm() && zend_memory_usage(0) == 0) {
        uintptr_t chunk = (uintptr_t)zend_mm_get_heap() & ~((uintptr_t)ZEND_MM_CHUNK_SIZE - 1);
        *start = chunk + ZEND_MM_FIRST_PAGE * ZEND_MM_PAGE_SIZE;
        *end = chunk + ZEND_MM_CHUNK_SIZE;
    }
}

/* FFI, where a script may use it or the preloaded files may. */
int hostel_php_runs_native_code(void)
{
    const char *ffi = INI_STR("ffi.enable");
    if (!zend_hash_str_exists(&module_registry, "ffi", strlen("ffi")) || !ffi) {
        return 0;
    }
    if (strcmp(ffi, "preload") == 0) {
        const char *preload = INI_STR("opcache.preload");
        return preload && *preload;
    }
    return INI_BOOL("ffi.enable");
}

void hostel_php_forget_paths(void)
{
    realpath_cache_clean();
}

/* ---- one request ----------------------------------------------------------------------------------------------- */

static void describe_request(const struct hostel_request *request)
{
    SG(server_context) = (void *)request;
    SG(options) |= SAPI_OPTION_NO_CHDIR;
    SG(sapi_headers).http_response_code = 200;
    SG(request_info).request_method = value_of("REQUEST_METHOD");
    SG(request_info).query_string = (char *)value_of("QUERY_STRING");
    SG(request_info).request_uri = (char *)value_of("SCRIPT_NAME");
    SG(request_info).path_translated = (char *)value_of("SCRIPT_FILENAME");
    SG(request_info).content_type = value_of("CONTENT_TYPE");
    SG(request_info).content_length = (zend_long)MIN(request->body_bytes, (uint64_t)ZEND_LONG_MAX);
    /* FPM counts each request as HTTP/1.0, which decides that header("Location:") after a POST means 302. */
    SG(request_info).proto_num = 1000;
    php_handle_auth_data(value_of("HTTP_AUTHORIZATION"));
}

#ifdef ZEND_SIGNALS
/* PHP puts its seven signal handlers back before each request, a system call each. Only a script that set some of its own makes
 * that necessary for the next one. */
static zend_signal_entry_t handlers_before[NSIG];

void hostel_remember_signal_handlers(void)
{
    memcpy(handlers_before, SIGG(handlers), sizeof handlers_before);
}

void hostel_compare_signal_handlers(void)
{
    SIGG(reset) = memcmp(handlers_before, SIGG(handlers), sizeof handlers_before) != 0;
}
#else
void hostel_remember_signal_handlers(void) {}
void hostel_compare_signal_handlers(void) {}
#endif

static void execute(const char *script_file)
{
    /* OPcache knows a script by this path and looks only every opcache.revalidate_freq seconds whether a link in it leads elsewhere.
     * The real path, which the cache of paths has, is another one as soon as a deploy switched the document root. */
    char real_path[MAXPATHLEN];
    const char *path = tsrm_realpath(script_file, real_path) ? real_path : script_file;
    zend_file_handle file;
    zend_stream_init_filename(&file, path);
    file.primary_script = 1;
    /* As php_execute_script does by itself, which would ask each time where it is. What the script leaves behind changes nothing. */
    php_ignore_value(VCWD_CHDIR_FILE(path));
    php_execute_script(&file);
    php_ignore_value(VCWD_CHDIR("/"));
    if (!file.in_list) {
        zend_destroy_file_handle(&file);
    }
}

void hostel_php_run(const struct hostel_request *request, struct hostel_result *result)
{
    result->started = 0;
    result->path_bytes_at_start = 0;
    memory_peak_bytes = 0;
    EG(exit_status) = 0;
    zend_first_try {
        describe_request(request);
        if (php_request_startup() == SUCCESS) {
            result->started = 1;
            result->path_bytes_at_start = (size_t)realpath_cache_size();
            hostel_remember_signal_handlers();
            execute(value_of("SCRIPT_FILENAME"));
        }
    } zend_end_try();
    SG(request_info).path_translated = NULL;
    if (result->started) {
        zend_try {
            php_request_shutdown(NULL);
        } zend_end_try();
        hostel_compare_signal_handlers();
    }
    SG(server_context) = NULL;
    result->exit_status = EG(exit_status);
    result->memory_peak_bytes = memory_peak_bytes;
}
