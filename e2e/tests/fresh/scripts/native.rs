//! What native code can do to its process, by FFI: memory of libraries, mappings, what the kernel holds; and scripts that reach for what a rewind needs.

use super::{Script, goes, stays};

pub(crate) const SCRIPTS: &[Script] = &[
    // Reach for the descriptors of a rewind: these say themselves what they have reached.
    goes(
        "reach-by-number",
        "for ($i = (int) posix_getrlimit()['soft openfiles']; $i < 4096; $i++) if ($f = @fopen(\"php://fd/$i\", 'r+')) echo 'FOUND descriptor ', $i;",
        "false",
    ),
    goes(
        "reach-by-name",
        "foreach (['/proc/self/fd', '/dev/fd', '/proc/thread-self/fd', '/proc/' . getmypid() . '/fd'] as $d) for ($i = 0; $i < 4096; $i++)
         if (preg_match('/pagemap|userfault/', (string) @readlink(\"$d/$i\")) && ($f = @fopen(\"$d/$i\", 'r'))) echo 'FOUND ', $d, ' ', $i;",
        "false",
    ),
    goes(
        "reach-anew",
        "foreach (['pagemap', 'mem', 'clear_refs'] as $n) foreach (['self', 'thread-self', 'self/task/' . getmypid(), getmypid()] as $p)
         foreach (['r', 'r+', 'w'] as $m) if (@fopen(\"/proc/$p/$n\", $m)) echo 'FOUND ', $n; if (@fopen('/dev/userfaultfd', 'r+')) echo 'FOUND the device';",
        "false",
    ),
    goes(
        "reach-by-call",
        "foreach ([0, 1, 0x80001] as $f) if (c()->syscall(323, $f, 0, 0, 0, 0, 0) >= 0) echo 'FOUND a userfaultfd';",
        "false",
    ),
    goes(
        "dumpable",
        "foreach ([1, 2] as $n) if (c()->syscall(157, 4, $n, 0, 0, 0, 0) === 0) echo 'FOUND it dumpable';",
        "c()->syscall(157, 3, 0, 0, 0, 0, 0) !== 0",
    ),
    goes(
        "personality",
        "c()->personality(0x40000);",
        "(c()->personality(0xffffffff) & 0x40000) !== 0",
    ),
    // Close them: then the worker must end, as it cannot be put back.
    goes(
        "descriptors-closed",
        "for ($i = (int) posix_getrlimit()['soft openfiles']; $i < 4096; $i++) c()->close($i);",
        "false",
    )
    .ends(),
    goes(
        "session-of-processes",
        "posix_setsid();",
        "posix_getsid(0) === getmypid()",
    )
    .ends(),
    // Memory of libraries.
    stays(
        "c-variable-in-zeros",
        "c()->optarg = c()->strdup('leaked');",
        "c()->optarg !== null",
    ),
    stays(
        "c-program-name",
        "c()->program_invocation_name = c()->strdup('leaked');",
        "FFI::string(c()->program_invocation_name) === 'leaked'",
    ),
    goes(
        "c-at-exit",
        "c()->__cxa_atexit(c()->dlsym(null, 'abort'), null, null);",
        "false",
    ),
    goes(
        "c-library-loaded",
        "c()->dlopen('libmagic.so.1', 2) ?? c()->dlopen('libsqlite3.so.0', 2) ?? c()->dlopen('libresolv.so.2', 2);",
        "c()->dlopen('libmagic.so.1', 6) !== null",
    ),
    stays(
        "c-generator",
        "c()->srandom(7); c()->srand48(7);",
        "c()->drand48() > 0.0001",
    ),
    // Mappings.
    goes(
        "map-and-unmap",
        "$c = c(); for ($i = 0; $i < 50; $i++) { $p = $c->mmap(null, 1 << 20, 3, 0x22, -1, 0); if ($i % 2) $c->munmap($p, 1 << 20); else $c->mprotect($p, 4096, 0); }",
        "false",
    ),
    goes(
        "mapping-gone",
        "c()->munmap(FFI::cast('void *', spare_mapping()), 4096);",
        "false",
    )
    .ends(),
    goes(
        "mapping-protected",
        "c()->mprotect(FFI::cast('void *', spare_mapping()), 4096, 5);",
        "false",
    )
    .ends(),
    // Zeros of libc's in another mapping that looks the same, which nobody has told a rewind of.
    stays(
        "mapping-replaced",
        "$c = c(); [$start, $size] = variables_of_c(); $copy = $c->malloc($size); $at = FFI::cast('void *', $start);
         $c->memcpy($copy, $at, $size); $c->mmap($at, $size, 3, 0x32, -1, 0); $c->memcpy($at, $copy, $size); $c->optarg = $c->strdup('replaced');",
        "c()->optarg !== null",
    )
    .ends(),
    stays(
        "pages-let-go",
        "$c = c(); [$start, $size] = variables_of_c(); $copy = $c->malloc($size); $at = FFI::cast('void *', $start); $c->memcpy($copy, $at, $size);
         $c->madvise($at, $size, 4); $c->memcpy($at, $copy, $size); $c->optarg = $c->strdup('let go');",
        "c()->optarg !== null",
    ),
    goes(
        "stack-deep",
        "$c = c(); function down($c, $n) { $a = FFI::new('int[2]'); $a[0] = 2; $a[1] = 1; $c->qsort($a, 2, 4, function ($x, $y) use ($c, $n) { if ($n) down($c, $n - 1); return 0; }); } down($c, 200);",
        "false",
    ),
    // What the kernel holds.
    stays(
        "priority-of-input",
        "c()->syscall(251, 1, 0, 3 << 13, 0, 0, 0);",
        "c()->syscall(252, 1, 0, 0, 0, 0, 0) === 3 << 13",
    )
    .ends(),
    stays(
        "scheduling",
        "$p = FFI::new('int[1]'); c()->syscall(144, 0, 3, address(FFI::addr($p)), 0, 0, 0);",
        "c()->syscall(145, 0, 0, 0, 0, 0, 0) === 3",
    )
    .ends(),
    stays(
        "memory-locked",
        "$p = c()->malloc(4096); c()->mlock($p, 4096);",
        "(int) process('VmLck') > 0",
    ),
    stays(
        "memory-locked-later",
        "c()->mlockall(2);",
        "(int) process('VmLck') > 0",
    ),
    stays(
        "filter-of-calls",
        "$f = FFI::new('struct { unsigned short code; unsigned char jt, jf; unsigned k; }[1]'); $f[0]->code = 6; $f[0]->k = 0x7fff0000;
         $p = FFI::new('struct { unsigned short length; void *filter; }'); $p->length = 1; $p->filter = FFI::cast('void *', FFI::addr($f));
         putenv('FILTERED=' . c()->syscall(317, 1, 0, address(FFI::addr($p)), 0, 0, 0));",
        "filters_more() > 0",
    )
    .ends(),
    stays(
        "reaper",
        "c()->syscall(157, 36, 1, 0, 0, 0, 0);",
        "flag_of(37) !== 0",
    )
    .ends(),
    stays(
        "huge-pages-off",
        "c()->syscall(157, 41, 1, 0, 0, 0, 0);",
        "c()->syscall(157, 42, 0, 0, 0, 0, 0) === 1",
    )
    .ends(),
    stays(
        "timer-slack",
        "c()->syscall(157, 29, 777, 0, 0, 0, 0);",
        "c()->syscall(157, 30, 0, 0, 0, 0, 0) === 777",
    ),
    stays(
        "death-signal",
        "c()->syscall(157, 1, 0, 0, 0, 0, 0);",
        "flag_of(2) === 0",
    )
    .ends(),
    goes(
        "timer-of-posix",
        "$t = FFI::new('int[4]'); c()->timer_create(0, null, FFI::addr($t));",
        "false",
    )
    .ends(),
    goes(
        "signal-pending",
        "$set = FFI::new('long[16]'); $set[0] = 1 << 11; c()->sigprocmask(0, FFI::addr($set), null); c()->kill(getmypid(), 12);",
        "hexdec(substr(process('ShdPnd'), -8)) !== 0",
    )
    .ends(),
    goes(
        "alternate-stack",
        "$c = c(); $s = FFI::new('struct { void *at; int flags; size_t size; }'); $s->at = $c->malloc(65536); $s->size = 65536; $c->sigaltstack(FFI::addr($s), null);",
        "alternate_stack_size() === 65536",
    ),
    // These kill it.
    goes(
        "crash",
        "c()->memset(FFI::cast('void *', 16), 1, 1);",
        "false",
    )
    .dies(),
    goes("exit-of-the-library", "c()->_exit(3);", "false").dies(),
    goes("killed", "posix_kill(getmypid(), 9);", "false").dies(),
];
