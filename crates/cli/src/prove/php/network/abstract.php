<?php
// The victim's socket without a file; its name is no secret, /proc/net/unix lists it.
require_once __DIR__ . '/../prelude.php';
attempt('list', fn() => content('/proc/net/unix'));
attempt("connect to @$victim->abstract", function () use ($victim) {
    $peer = stream_socket_client("unix://\0$victim->abstract", $number, $text, 2);
    return $peer ? fread($peer, 4096) : throw new Exception($text);
});
