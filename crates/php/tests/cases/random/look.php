<?php
// How often those bytes stand in memory that this process has for itself. They are never a text here: it would be found.
$library = FFI::cdef('unsigned char *memmem(const unsigned char *, size_t, const unsigned char *, size_t);');
$mark = $library->new('unsigned char[64]');
for ($i = 0; $i < 64; $i++) {
    $mark[$i] = ($i * 7 + 13) & 255;
}
$own = $library->cast('uintptr_t', FFI::addr($mark[0]))->cdata;
$found = 0;
foreach (file('/proc/self/maps') as $line) {
    if (!preg_match('/^([0-9a-f]+)-([0-9a-f]+) rw.p /', $line, $parts)) {
        continue;
    }
    [$from, $to] = [hexdec($parts[1]), hexdec($parts[2])];
    $address = $library->new('uintptr_t');
    while ($from < $to) {
        $address->cdata = $from;
        $at = $library->memmem($library->cast('unsigned char *', $address), $to - $from, FFI::addr($mark[0]), 64);
        if ($at === null) {
            break;
        }
        $place = $library->cast('uintptr_t', $at)->cdata;
        $found += $place === $own ? 0 : 1;
        $from = $place + 1;
    }
}
echo $found;
