<?php
$out = fopen('php://output', 'w');
fwrite($out, "to php://output\n");
fprintf($out, "%05d\n", 42);
fpassthru(fopen('data:text/plain,passed', 'r'));
echo "\n", implode(',', array_intersect(['php', 'file', 'data', 'glob', 'http'], stream_get_wrappers())), "\n";
readfile(__FILE__);
