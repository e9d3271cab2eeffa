<?php
// Sockets of the server's: the one that stands beside the status socket is open to every user.
require_once __DIR__ . '/../prelude.php';
foreach ([$server->socket, $server->status] as $path) {
    attempt("connect to $path", function () use ($path) {
        $peer = stream_socket_client("unix://$path", $number, $text, 2);
        return $peer ? 'connected' : throw new Exception($text);
    });
}
