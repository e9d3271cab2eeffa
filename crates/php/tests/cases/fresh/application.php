<?php
// Many files and many patterns, each used once: what a page of an application is. The files are made by the test.
$found = 0;
foreach (glob(__DIR__ . '/library/*/*.php') as $file) {
    require_once $file;
}
for ($i = 0; $i < 60; $i++) {
    $pattern = "/^(?:word$i|[a-z]+(?:-$i)?|\\d{1,20}$i)\\s*(?<value>(?:[^\\n\\\\]|\\\\.)*?)\\b(?i:end|stop|last)$/mux";
    $found += preg_match($pattern, "word$i some text that ends with the end");
}
echo count(get_included_files()) - 1, ' files, ', $found, ' found';
