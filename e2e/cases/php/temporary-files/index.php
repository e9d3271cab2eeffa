<?php
$name = tempnam(sys_get_temp_dir(), 'abc');
echo sys_get_temp_dir(), ' ', dirname($name), ' ', decoct(fileperms($name) & 0777), ' ', posix_getpwuid(fileowner($name))['name'], "\n";
unlink($name);
$file = tmpfile();
fwrite($file, 'x');
echo ftell($file), ' ', decoct(umask()), "\n";
file_put_contents(__DIR__ . '/made-by-php.txt', 'made');
echo decoct(fileperms(__DIR__ . '/made-by-php.txt') & 0777), ' ', posix_getpwuid(fileowner(__DIR__ . '/made-by-php.txt'))['name'];
unlink(__DIR__ . '/made-by-php.txt');
