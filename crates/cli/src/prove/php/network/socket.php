<?php
// The victim's socket with a file.
require_once __DIR__ . '/../prelude.php';
foreach ([$victim->socket, "/proc/self/root$victim->socket"] as $path) {
    attempt("connect to $path", function () use ($path) {
        $peer = stream_socket_client("unix://$path", $number, $text, 2);
        return $peer ? fread($peer, 4096) : throw new Exception($text);
    });
}
