<?php
// Every number that a stream of PHP's may name, and the names in /proc.
$limit = posix_getrlimit()['soft openfiles'];
$found = [];
for ($i = 0; $i < $limit + 64; $i++) {
    $stream = @fopen("php://fd/$i", 'r');
    if ($stream && ($stat = fstat($stream))) $found[$i] = sprintf('%o', $stat['mode']);
    if ($stream) fclose($stream);
}
$pagemap = @fopen('/proc/self/pagemap', 'r');
$opened = [];
foreach (scandir('/proc/self/fd') as $number) {
    $name = (string) @readlink("/proc/self/fd/$number");
    if ((int) $number >= $limit && @fopen("/proc/self/fd/$number", 'r')) $opened[] = basename($name);
}
sort($opened);
$c = FFI::cdef('long syscall(long, long, long, long, long, long);');
$new = $c->syscall(323, 1, 0, 0, 0, 0);
$dumpable = $c->syscall(157, 4, 1, 0, 0, 0);
echo json_encode([array_keys($found), $pagemap !== false, $opened, $new, $dumpable]);
