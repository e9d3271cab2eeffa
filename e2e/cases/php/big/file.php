<?php
$name = tempnam(sys_get_temp_dir(), 'big');
file_put_contents($name, random_bytes(16) === '' ? '' : str_repeat("line\n", 300000));
header('Content-Type: text/plain');
var_dump(readfile($name));
unlink($name);
