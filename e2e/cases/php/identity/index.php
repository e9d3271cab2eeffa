<?php
echo get_current_user(), ' ', posix_getuid() === posix_geteuid() ? 'one uid' : 'two', ' ', posix_getpwuid(posix_getuid())['name'], ' ', getmyuid() === posix_getuid() ? 'owner' : 'not owner', "\n";
echo trim(shell_exec('id -un')), ' ', exec('echo from a shell', $lines, $code), ' ', $code, "\n";
$process = proc_open(['cat'], [['pipe', 'r'], ['pipe', 'w']], $pipes);
fwrite($pipes[0], 'through a pipe');
fclose($pipes[0]);
echo stream_get_contents($pipes[1]), ' ', proc_close($process);
