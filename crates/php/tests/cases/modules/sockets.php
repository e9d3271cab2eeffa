<?php
// keeps: error
function work() {
    $server = socket_create_listen(0);
    socket_getsockname($server, $address, $port);
    $client = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
    socket_connect($client, '127.0.0.1', $port);
    $peer = socket_accept($server);
    socket_write($client, 'text');
    $text = socket_read($peer, 10);
    @socket_connect(socket_create(AF_INET, SOCK_STREAM, SOL_TCP), '127.0.0.1', 1);
    return [$text, socket_strerror(socket_last_error()), socket_create_pair(AF_UNIX, SOCK_STREAM, 0, $pair)];
}
function left() { return ['error' => socket_last_error() !== 0]; }
