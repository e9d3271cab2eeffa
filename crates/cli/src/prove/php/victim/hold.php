<?php
// As the victim: listen on every kind of socket, keep a secret in memory, and say when somebody comes.
require __DIR__ . '/../prelude.php';
set_time_limit(0);
$secrets = $victim->secrets;
$kept = 'kept:' . $secrets->memory;
$open = fopen("$victim->place/private", 'r');

$listeners = [
    'abstract socket' => stream_socket_server("unix://\0$victim->abstract"),
    'path socket' => stream_socket_server("unix://$victim->socket"),
    'TCP listener' => stream_socket_server('tcp://127.0.0.1:0'),
];
chmod($victim->socket, 0666);
// A word in a command line that nobody else may read.
if (function_exists('proc_open')) {
    $process = proc_open(['/bin/sh', '-c', 'while sleep 3600; do :; done', $secrets->{'command line'}], [], $pipes);
}
echo 'process ', getmypid(), "\n";
echo 'port ', substr(strrchr(stream_socket_get_name($listeners['TCP listener'], false), ':'), 1), "\n";
echo in_array(false, $listeners, true) ? "not all sockets\n" : "holding\n";
flush();

$until = time() + 3600;
while (time() < $until) {
    $ready = $listeners;
    $none = null;
    if (!stream_select($ready, $none, $none, 5)) {
        continue;
    }
    foreach ($ready as $name => $listener) {
        $peer = stream_socket_accept($listener, 0);
        if ($peer) {
            fwrite($peer, $secrets->$name . "\n");
            fclose($peer);
        }
        echo "$name got a connection\n";
        flush();
    }
}
