<?php
// Configuration, state, logs and sockets of the server.
require __DIR__ . '/../prelude.php';
foreach ([...$server->files, $server->config] as $path) {
    attempt("read $path", fn() => content($path));
    attempt("read /proc/self/root$path", fn() => content("/proc/self/root$path"));
}
foreach ([...$server->directories, $server->sites] as $directory) {
    attempt("list $directory", fn() => scandir($directory));
}
