<?php
// Fill memory with bytes that stand nowhere else, and let go of it.
$mark = '';
for ($i = 0; $i < 64; $i++) {
    $mark .= chr(($i * 7 + 13) & 255);
}
$marks = str_repeat($mark, 15000);
$many = [];
for ($i = 0; $i < 1000; $i++) {
    $many[] = $mark . $i;
}
$library = FFI::cdef('void *malloc(size_t); void free(void *); void *memcpy(void *, const char *, size_t);');
$block = $library->malloc(64);
$library->memcpy($block, $mark, 64);
$library->free($block);
echo 'marked';
