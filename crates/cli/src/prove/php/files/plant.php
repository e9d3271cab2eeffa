<?php
// Put something of one's own where the victim would run, read or trust it.
require __DIR__ . '/../prelude.php';
$code = '<?php echo "planted";';
foreach ($victim->directories as $directory) {
    $name = "$directory/hostel-prove-$victim->run-planted";
    attempt("script in $directory", fn() => file_put_contents("$name.php", $code));
    attempt("link in $directory", fn() => symlink("$me->home/x", "$name-link"));
    attempt("directory in $directory", fn() => mkdir("$name-directory"));
    attempt("socket in $directory", fn() => stream_socket_server("unix://$name-socket") ? 'bound' : false);
}
// What would run a script of the attacker's; a comment shows as much, and harms nobody if it gets through.
attempt('settings', fn() => file_put_contents("$victim->root/.user.ini", "; hostel-prove-$victim->run\n", FILE_APPEND));
attempt('session', fn() => file_put_contents("$victim->sessions/sess_hostel-prove-$victim->run", 'admin|b:1;'));
