<?php
// keeps: variable, environment
function work() {
    $c = FFI::cdef('int setenv(const char *, const char *, int); extern int opterr; int abs(int); void *malloc(size_t);');
    $c->setenv('SEEN', '1', 1);
    $c->opterr = 7;
    $c->malloc(100000);
    $callback = fn (int $n) => $n + 1;
    $pair = FFI::new('struct { int a; char b[4]; }');
    $pair->a = 5;
    return [$c->abs(-3), $pair->a, FFI::sizeof($pair), $callback(4)];
}
function left() {
    $c = FFI::cdef('extern int opterr; char *getenv(const char *);');
    return ['variable' => $c->opterr !== 1, 'environment' => $c->getenv('SEEN') !== null];
}
