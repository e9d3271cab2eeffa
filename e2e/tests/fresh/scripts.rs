//! The rota: scripts that each leave something in their process, and what is to be found where it survived.
//!
//! Here is what PHP code and PHP's own functions leave. A script that reaches what it must not says FOUND itself.

mod awkward;
mod libraries;
mod native;

pub(crate) use libraries::DATABASE;

/// One script.
pub(crate) struct Script {
    /// Its name, and of what it leaves.
    pub(crate) name: &'static str,
    /// PHP that leaves it.
    pub(crate) leak: &'static str,
    /// An expression of PHP that is true where it is there.
    pub(crate) found: &'static str,
    /// Whether it surely survives where workers are used again; PHP itself cleans up after many.
    pub(crate) sticks: bool,
    /// What becomes of a worker that is to be put back after it.
    pub(crate) after: After,
    /// Takes a second, and so is run less often.
    pub(crate) is_seldom: bool,
}

/// What becomes of a worker after a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It is put back.
    Back,
    /// It cannot be put back, and ends.
    Ends,
    /// The one or the other, by chance.
    Either,
    /// The script itself ends it.
    Dies,
}

const fn goes(name: &'static str, leak: &'static str, found: &'static str) -> Script {
    Script {
        name,
        leak,
        found,
        sticks: false,
        after: After::Back,
        is_seldom: false,
    }
}

const fn stays(name: &'static str, leak: &'static str, found: &'static str) -> Script {
    let mut script = goes(name, leak, found);
    script.sticks = true;
    script
}

impl Script {
    /// Whether it, or the look for what it leaves, is code of another language than PHP.
    pub(crate) fn needs_native_code(&self) -> bool {
        let parts = [self.leak, self.found];
        let words = [
            "c()",
            "FFI::",
            "address(",
            "flag_of(",
            "alternate_stack_size(",
        ];
        parts
            .iter()
            .any(|text| words.iter().any(|word| text.contains(word)))
    }

    const fn ends(mut self) -> Self {
        self.after = After::Ends;
        self
    }

    const fn may_end(mut self) -> Self {
        self.after = After::Either;
        self
    }

    const fn dies(mut self) -> Self {
        self.after = After::Dies;
        self
    }

    const fn seldom(mut self) -> Self {
        self.is_seldom = true;
        self
    }
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Script> {
    let parts = [
        SCRIPTS,
        awkward::SCRIPTS,
        libraries::SCRIPTS,
        native::SCRIPTS,
    ];
    parts.into_iter().flatten()
}

/// For all of them: functions of the C library, something static to count with, lines of /proc.
pub(crate) const COMMON: &str = r#"<?php
function c() {
    static $c;
    return $c ??= FFI::cdef('
        typedef struct { long soft, hard; } limit;
        int setenv(const char *, const char *, int); char *getenv(const char *);
        char *setlocale(int, const char *); unsigned umask(unsigned); extern int opterr; extern int optind;
        extern char *optarg; extern long timezone; void tzset(void); int rand(void); void srand(unsigned);
        void *malloc(size_t); void *memset(void *, int, size_t); void *mmap(void *, size_t, int, int, int, long);
        int open(const char *, int); int dup2(int, int); int fcntl(int, int); int socket(int, int, int);
        unsigned alarm(unsigned); int sigprocmask(int, const void *, void *); int nice(int); int getpriority(int, int);
        void *signal(int, void *); int setrlimit(int, const limit *); int prctl(int, const char *);
        int timer_create(int, void *, void *); int fork(void); unsigned sleep(unsigned); void _exit(int); int pause(void);
        void *dlsym(void *, const char *); int pthread_create(unsigned long *, void *, void *, void *);
        int chdir(const char *); int inotify_init(void); int eventfd(unsigned, int); int kill(int, int);
        char *bindtextdomain(const char *, const char *); char *textdomain(const char *); void srandom(unsigned); long random(void);
        int setpgid(int, int); int getpgid(int); int getpid(void); int sched_setaffinity(int, size_t, const void *);
        int sigaltstack(const void *, void *); double drand48(void); void srand48(long);
        char *strdup(const char *); extern char *program_invocation_name; int __cxa_atexit(void *, void *, void *);
        void *dlopen(const char *, int); int munmap(void *, size_t); int mprotect(void *, size_t, int); int madvise(void *, size_t, int);
        void *memcpy(void *, const void *, size_t); void qsort(void *, size_t, size_t, int (*)(const void *, const void *));
        int mlock(const void *, size_t); int mlockall(int); int close(int); int personality(unsigned long);
        long syscall(long, long, long, long, long, long, long);');
}
/// The address of what a pointer leads to.
function address($pointer) { return FFI::cast('long *', FFI::addr($pointer))[0]; }
/// Mappings with this in their line.
function mappings($pattern) { return preg_grep($pattern, file('/proc/self/maps')); }
/// Beginning and size of a line's mapping.
function bounds($line) { sscanf($line, '%x-%x', $start, $end); return [$start, $end - $start]; }
/// Where libc's variables are that begin as zeros.
function variables_of_c() { return [address(FFI::addr(c()->optarg)) & ~4095, 4096]; }
/// A page that nobody misses.
function spare_mapping() { $lines = mappings('#r--p .*/libicudata#'); [$start, $size] = bounds(end($lines)); return $start + $size - 4096; }
/// A number that prctl writes.
function flag_of($what) { $n = FFI::new('int[1]'); c()->prctl($what, FFI::cast('char *', FFI::addr($n))); return $n[0]; }
function alternate_stack_size() { $s = FFI::new('struct { void *at; int flags; size_t size; }'); c()->sigaltstack(null, FFI::addr($s)); return $s->size; }
/// Filters of system calls beyond those of the first request of all.
function filters_more() {
    $n = (int) process('Seccomp_filters');
    if (!is_file('/tmp/filters')) file_put_contents('/tmp/filters', $n);
    return $n - (int) file_get_contents('/tmp/filters');
}
function counter() { static $n = 0; return ++$n; }
class Holder { public static $items = []; public static $handle; }
class Exits { function __destruct() { putenv('AWKWARD=destructor'); exit(3); } }
function process($name) { return preg_match("/^$name:\\s*(.*)$/m", file_get_contents('/proc/self/status'), $m) ? $m[1] : ''; }
function deep($n) { return $n ? preg_replace_callback('/./', fn ($m) => deep($n - 1), 'a') : 'b'; }
"#;

/// KiB of address space, mappings, descriptors, threads of the worker that answers, and which one it is.
pub(crate) const MEASURE: &str = r#"<?php
require 'common.php';
echo json_encode([(int) process('VmSize'), count(file('/proc/self/maps')), count(scandir('/proc/self/fd')) - 3, (int) process('Threads'), getmypid()]);
"#;

/// Looks for what all of them leave; puts the names of what it has found into `$found`.
pub(crate) fn look(scripts: impl Iterator<Item = &'static Script>) -> String {
    let mut text = "<?php $found = []; $defined = [class_exists('Holder', false), function_exists('counter')]; require 'common.php'; require 'database.php';\n".to_owned();
    for script in scripts.filter(|script| script.found != "false") {
        let (name, expression) = (script.name, script.found);
        text.push_str(&format!("if ({expression}) $found[] = '{name}';\n"));
    }
    text
}

/// The script that looks and prints what it has found.
pub(crate) const PROBE: &str = "<?php require 'look.php'; echo json_encode($found);";

/// The file of a script. Asked with a query, it looks first, and leaves nothing where it finds anything.
pub(crate) fn file(script: &Script) -> String {
    format!(
        "<?php if ($_SERVER['QUERY_STRING'] !== '') {{ require 'look.php'; if ($found) exit('FOUND ' . json_encode($found)); }}
         require_once 'common.php'; require_once 'database.php'; echo 'begun'; {}",
        script.leak
    )
}

const SCRIPTS: &[Script] = &[
    // What PHP code defines.
    goes(
        "static-variable",
        "counter(); counter();",
        "counter() !== 1",
    ),
    goes(
        "static-property",
        "Holder::$items[] = 1;",
        "Holder::$items !== []",
    ),
    goes("class-and-function", "", "in_array(true, $defined)"),
    goes(
        "class-by-eval",
        "eval('class Leaked { static $x = 1; }');",
        "class_exists('Leaked', false)",
    ),
    goes(
        "function-by-eval",
        "eval('function leaked() {}');",
        "function_exists('leaked')",
    ),
    goes(
        "interface-and-trait",
        "eval('interface LeakedI {} trait LeakedT {} enum LeakedE { case A; }');",
        "interface_exists('LeakedI', false) || trait_exists('LeakedT', false) || enum_exists('LeakedE', false)",
    ),
    goes(
        "class-alias",
        "class_alias('Holder', 'Alias');",
        "class_exists('Alias', false)",
    ),
    goes("constant", "define('LEAKED', 1);", "defined('LEAKED')"),
    goes(
        "global-variable",
        "$GLOBALS['leaked'] = new Holder;",
        "isset($GLOBALS['leaked'])",
    ),
    goes(
        "superglobal",
        "$_SERVER['LEAKED'] = $_ENV['LEAKED'] = $_GET['LEAKED'] = 1;",
        "isset($_SERVER['LEAKED']) || isset($_ENV['LEAKED']) || isset($_GET['LEAKED'])",
    ),
    // Settings.
    goes(
        "ini-precision",
        "ini_set('precision', '3');",
        "ini_get('precision') !== '14'",
    ),
    goes(
        "ini-memory-limit",
        "ini_set('memory_limit', '512M');",
        "ini_get('memory_limit') === '512M'",
    ),
    goes(
        "ini-include-path",
        "set_include_path('/leaked');",
        "get_include_path() === '/leaked'",
    ),
    goes(
        "error-reporting",
        "error_reporting(0);",
        "error_reporting() === 0",
    ),
    goes(
        "time-limit",
        "set_time_limit(77);",
        "ini_get('max_execution_time') === '77'",
    ),
    goes(
        "time-zone",
        "date_default_timezone_set('Asia/Tokyo');",
        "date_default_timezone_get() === 'Asia/Tokyo'",
    ),
    goes(
        "ignore-user-abort",
        "ignore_user_abort(true);",
        "ignore_user_abort() === 1",
    ),
    goes("collector-off", "gc_disable();", "!gc_enabled()"),
    goes(
        "assertions",
        "ini_set('assert.exception', '0');",
        "ini_get('assert.exception') === '0'",
    ),
    goes(
        "internal-encoding",
        "mb_internal_encoding('EUC-JP');",
        "mb_internal_encoding() === 'EUC-JP'",
    ),
    goes(
        "language",
        "mb_language('Japanese'); mb_substitute_character(0x3f3f);",
        "mb_language() === 'Japanese' || mb_substitute_character() === 0x3f3f",
    ),
    goes(
        "default-locale",
        "Locale::setDefault('ja_JP');",
        "Locale::getDefault() === 'ja_JP'",
    ),
    goes(
        "iconv",
        "iconv('UTF-8', 'EUC-JP', 'ab'); ini_set('iconv.internal_encoding', 'EUC-JP');",
        "ini_get('iconv.internal_encoding') === 'EUC-JP'",
    ),
    goes(
        "xml-errors",
        "libxml_use_internal_errors(true); (new DOMDocument)->loadXML('<a>');",
        "libxml_use_internal_errors() || libxml_get_errors()",
    ),
    goes(
        "xml-loader",
        "libxml_set_external_entity_loader(fn () => null);",
        "!@(new DOMDocument)->load('/usr/share/xml/../../../etc/passwd') && libxml_get_last_error() && libxml_get_last_error()->code === 1549 && false",
    ),
    // Handlers and streams.
    goes(
        "stream-wrapper-gone",
        "stream_wrapper_unregister('http');",
        "!in_array('http', stream_get_wrappers())",
    ),
    goes(
        "stream-wrapper-new",
        "stream_wrapper_register('leaked', 'Holder');",
        "in_array('leaked', stream_get_wrappers())",
    ),
    goes(
        "stream-filter",
        "stream_filter_register('leaked', 'php_user_filter');",
        "in_array('leaked', stream_get_filters())",
    ),
    goes(
        "stream-context",
        "stream_context_set_default(['http' => ['method' => 'PUT']]);",
        "stream_context_get_options(stream_context_get_default()) !== []",
    ),
    goes(
        "error-handler",
        "set_error_handler(fn () => true);",
        "set_error_handler(null) !== null",
    ),
    goes(
        "exception-handler",
        "set_exception_handler(fn () => true);",
        "set_exception_handler(null) !== null",
    ),
    goes(
        "autoloader",
        "spl_autoload_register(fn ($c) => null);",
        "spl_autoload_functions() !== []",
    ),
    goes(
        "shutdown-function",
        "register_shutdown_function(function () { putenv('AT_END=1'); Holder::$items[] = 1; });",
        "getenv('AT_END') !== false",
    ),
    goes(
        "output-buffers",
        "for ($i = 0; $i < 5; $i++) ob_start(); echo 'x';",
        "ob_get_level() > 1",
    ),
    goes(
        "output-callback",
        "ob_start(function ($b) { putenv('IN_BUFFER=1'); return 'OB' . $b; }); echo 'x';",
        "getenv('IN_BUFFER') !== false",
    ),
    goes(
        "header-callback",
        "header_register_callback(fn () => header('X-Leaked: 1')); header('X-Leaked: 2'); http_response_code(500);",
        "headers_list() !== [] && str_contains(implode(headers_list()), 'X-Leaked')",
    ),
    // Ends in awkward places.
    goes(
        "exit-in-destructor",
        "$x = new Exits; exit;",
        "getenv('AWKWARD') === 'destructor'",
    ),
    goes(
        "exit-in-finally",
        "try { exit(3); } finally { putenv('AWKWARD=finally'); }",
        "getenv('AWKWARD') === 'finally'",
    ),
    goes(
        "exit-in-shutdown",
        "register_shutdown_function(function () { putenv('AWKWARD=shutdown'); exit(4); });",
        "getenv('AWKWARD') === 'shutdown'",
    ),
    goes(
        "exit-in-buffer",
        "ob_start(function ($b) { putenv('AWKWARD=buffer'); exit(5); }); echo 'x';",
        "getenv('AWKWARD') === 'buffer'",
    ),
    goes(
        "exception-in-handler",
        "set_exception_handler(function ($e) { putenv('AWKWARD=handler'); throw new Exception('again'); }); throw new Exception('x');",
        "getenv('AWKWARD') === 'handler'",
    ),
    goes(
        "endless-recursion",
        "ini_set('memory_limit', '32M'); if (true) { function endless($n) { static $k = []; $k[] = str_repeat('y', 1000); return endless($n + 1) . 'z'; } } endless(0);",
        "function_exists('endless')",
    ),
    goes("deep-callbacks", "deep(400);", "false"),
    goes(
        "compile-error",
        "putenv('AWKWARD=compile'); eval('class A { function f( }');",
        "getenv('AWKWARD') === 'compile'",
    ),
    // The process, by PHP's own functions.
    goes(
        "environment",
        "putenv('LEAKED=1');",
        "getenv('LEAKED') !== false",
    ),
    goes(
        "locale",
        "setlocale(LC_ALL, 'C.UTF-8');",
        "setlocale(LC_CTYPE, 0) === 'C.UTF-8' && setlocale(LC_TIME, 0) === 'C.UTF-8'",
    ),
    goes("umask", "umask(0077);", "umask() === 0077"),
    goes("directory", "chdir('/usr');", "getcwd() === '/usr'"),
    goes(
        "open-files",
        "for ($i = 0; $i < 20; $i++) Holder::$items[] = fopen('/etc/passwd', 'r');",
        "c()->fcntl(60, 1) !== -1",
    ),
    goes(
        "listening-socket",
        "Holder::$handle = stream_socket_server('unix:///tmp/leaked-' . getmypid());",
        "false",
    ),
    goes(
        "memory-256M",
        "ini_set('memory_limit', '512M'); Holder::$items[] = str_repeat('x', 256 << 20);",
        "(int) process('VmRSS') > 200 << 10",
    ),
    goes(
        "memory-many",
        "for ($i = 0; $i < 30; $i++) Holder::$items[] = str_repeat(chr(65 + $i), 1 << 20);",
        "memory_get_usage() > 20 << 20",
    ),
    goes(
        "session",
        "session_id('leaked'); session_start(); $_SESSION['x'] = 1;",
        "session_status() === PHP_SESSION_ACTIVE || isset($_SESSION)",
    ),
    goes(
        "objects-of-modules",
        "Holder::$items = [curl_init(), imagecreatetruecolor(500, 500), new Collator('de'), new ZipArchive, new XSLTProcessor];",
        "Holder::$items !== []",
    ),
    goes("seed", "mt_srand(1); srand(1);", "mt_rand() === 895547922"),
    goes(
        "opcache-reset",
        "opcache_reset(); putenv('LEAKED_RESET=1');",
        "getenv('LEAKED_RESET') !== false",
    ),
    stays(
        "text-domain",
        "textdomain('leaked');",
        "textdomain(null) === 'leaked'",
    ),
    stays(
        "nice-value",
        "proc_nice(3);",
        "c()->getpriority(0, 0) === 3",
    )
    .ends(),
    goes(
        "child-of-proc-open",
        "Holder::$handle = proc_open(['cat'], [['pipe', 'r'], ['pipe', 'w']], $pipes); Holder::$items = $pipes;",
        "Holder::$handle !== null",
    )
    .may_end(),
    goes(
        "commands",
        "exec('echo hi'); shell_exec('true'); passthru('true');",
        "false",
    ),
    // The process, by the C library.
    stays(
        "c-environment",
        "c()->setenv('LEAKED_C', '1', 1);",
        "c()->getenv('LEAKED_C') !== null",
    ),
    stays(
        "c-locale",
        "c()->setlocale(6, 'C.UTF-8');",
        "(string) setlocale(LC_MONETARY, 0) === 'C.UTF-8'",
    ),
    stays("c-umask", "c()->umask(0070);", "umask() === 0070"),
    stays("c-variable", "c()->opterr = 7;", "c()->opterr === 7"),
    stays(
        "c-time-zone",
        "c()->setenv('TZ', 'XYZ7', 1); c()->tzset();",
        "c()->timezone === 25200",
    ),
    stays("c-random", "c()->srand(7);", "c()->rand() !== 1804289383"),
    goes(
        "c-memory",
        "$c = c(); $c->memset($c->malloc(64 << 20), 1, 64 << 20);",
        "false",
    ),
    goes(
        "c-mapping",
        "c()->mmap(null, 64 << 20, 3, 0x22, -1, 0);",
        "false",
    ),
    stays(
        "descriptor-of-the-library",
        "c()->dup2(c()->open('/etc/passwd', 0), 200);",
        "c()->fcntl(200, 1) !== -1",
    ),
    stays(
        "socket-of-the-library",
        "c()->dup2(c()->socket(1, 1, 0), 201);",
        "c()->fcntl(201, 1) !== -1",
    ),
    stays(
        "inotify",
        "c()->dup2(c()->inotify_init(), 202);",
        "c()->fcntl(202, 1) !== -1",
    ),
    stays("timer", "c()->alarm(3600);", "c()->alarm(0) > 0"),
    goes(
        "signal-by-php",
        "pcntl_signal(SIGWINCH, SIG_IGN);",
        "(hexdec(substr(process('SigIgn'), -8)) & 1 << 27) !== 0",
    ),
    stays(
        "limit-by-php",
        "posix_setrlimit(POSIX_RLIMIT_NOFILE, 444, (int) posix_getrlimit()['hard openfiles']);",
        "posix_getrlimit()['soft openfiles'] === 444",
    ),
    goes(
        "reach-with-a-higher-limit",
        "@posix_setrlimit(POSIX_RLIMIT_NOFILE, 4096, 4096); $from = (int) posix_getrlimit()['soft openfiles'];
         for ($i = 20; $i < 4096; $i++) if (($f = @fopen(\"php://fd/$i\", 'r+')) && preg_match('/pagemap|userfault|task|statm/', (string) @readlink(\"/proc/self/fd/$i\"))) echo 'FOUND descriptor ', $i;",
        "false",
    ),
    stays(
        "signal-ignored",
        "c()->signal(10, FFI::cast('void *', 1));",
        "(hexdec(substr(process('SigIgn'), -8)) & 1 << 9) !== 0",
    ),
    stays(
        "signal-blocked",
        "$set = FFI::new('long[16]'); $set[0] = 1 << 11; c()->sigprocmask(0, FFI::addr($set), null);",
        "(hexdec(substr(process('SigBlk'), -8)) & 1 << 11) !== 0",
    ),
    stays(
        "limit",
        "$c = c(); $l = $c->new('limit'); $l->soft = 333; $l->hard = posix_getrlimit()['hard openfiles']; $c->setrlimit(7, FFI::addr($l));",
        "posix_getrlimit()['soft openfiles'] === 333",
    ),
    stays(
        "name",
        "c()->prctl(15, 'leaky');",
        "trim(process('Name')) === 'leaky'",
    ),
    stays(
        "process-group",
        "c()->setpgid(0, 0);",
        "c()->getpgid(0) === c()->getpid()",
    ),
    // It runs no more of PHP: OPcache does not know of it, may begin anew meanwhile, and it would read, and write, what is another script's then.
    stays(
        "child",
        "if (c()->fork() === 0) { c()->alarm(1); c()->pause(); }",
        "trim(file_get_contents('/proc/self/task/' . getmypid() . '/children')) !== ''",
    )
    .ends(),
    stays(
        "thread",
        "$c = c(); $t = FFI::new('unsigned long'); $c->pthread_create(FFI::addr($t), null, $c->dlsym(null, 'pause'), null);",
        "(int) process('Threads') > 1",
    )
    .ends(),
];
