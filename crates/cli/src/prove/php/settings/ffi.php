<?php
// The C library from within PHP: no function of PHP's stands in between.
require_once __DIR__ . '/../prelude.php';
if (!class_exists('FFI')) {
    not_tried('PHP has no FFI here');
}
attempt('load', function () {
    global $c;
    $c = FFI::cdef('int open(const char *, int); long read(int, void *, size_t); int kill(int, int); int *__errno_location(void); char *strerror(int);');
    return 'loaded';
});
global $c;
if (!$c instanceof FFI) {
    exit;
}
$why = fn() => FFI::string($c->strerror($c->__errno_location()[0]));
foreach ($victim->files as $path) {
    attempt("open $path", function () use ($c, $path, $why) {
        $file = $c->open($path, 0);
        if ($file < 0) {
            throw new Exception($why());
        }
        $buffer = $c->new('char[4096]');
        $count = $c->read($file, $buffer, 4096);
        return FFI::string($buffer, max(0, $count));
    });
}
